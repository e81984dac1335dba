/* The certificate a relay on loopback makes for itself. */
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/file.h"
#include "relayd/tls.h"

#define LIFE_SECONDS (3650L * 86400L)

static void
free_x509(X509 **cert)
{
    X509_free(*cert);
}

static void
free_key(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static void
free_bio(BIO **bio)
{
    BIO_free_all(*bio);
}

#define SCOPED(destroy) __attribute__((cleanup(destroy)))

static bool
add_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool done = extension != NULL && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return done;
}

static bool
fill_certificate(X509 *cert, EVP_PKEY *key)
{
    uint8_t serial[8];
    uint64_t number = 0;
    if (!gage_ok(rng_fill(&gage_system_rng, serial, sizeof serial)))
        return false;
    for (size_t i = 0; i < sizeof serial; i++)
        number = number << 8 | serial[i];
    X509_NAME *name = X509_get_subject_name(cert);
    return X509_set_version(cert, X509_VERSION_3) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), number >> 1) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -3600) != NULL &&
           X509_gmtime_adj(X509_getm_notAfter(cert), LIFE_SECONDS) != NULL && X509_set_pubkey(cert, key) == 1 &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0) == 1 &&
           X509_set_issuer_name(cert, name) == 1 && add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(cert, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1") &&
           X509_sign(cert, key, EVP_sha256()) > 0;
}

static gage_rc
write_bio(BIO *bio, const char *path, mode_t mode, struct gage_err *err)
{
    char *text = NULL;
    long n = BIO_get_mem_data(bio, &text);
    REQUIRE(n > 0, err, GAGE_E_NOMEM, "out of memory");
    return file_replace(path, gage_slice_of(text, (size_t)n), mode, err);
}

/* The key in the file, or a new one written there. */
static gage_rc
find_key(const char *path, EVP_PKEY **key, struct gage_err *err)
{
    SCOPED(free_bio) BIO *existing = access(path, F_OK) == 0 ? BIO_new_file(path, "r") : NULL;
    if (existing != NULL) {
        *key = PEM_read_bio_PrivateKey(existing, NULL, NULL, NULL);
        REQUIRE(*key != NULL, err, GAGE_E_CONFIG, "%s holds no private key; remove it to have a new one made", path);
        return GAGE_DONE;
    }
    SCOPED(free_bio) BIO *bio = BIO_new(BIO_s_secmem());
    *key = EVP_EC_gen("P-256");
    REQUIRE(bio != NULL && *key != NULL && PEM_write_bio_PrivateKey(bio, *key, NULL, NULL, 0, NULL, NULL) == 1, err,
            GAGE_E_INTERNAL, "OpenSSL cannot make a P-256 key");
    return write_bio(bio, path, 0600, err);
}

gage_rc
tls_self_signed(const char *cert_path, const char *key_path, struct gage_err *err)
{
    if (access(cert_path, R_OK) == 0 && access(key_path, R_OK) == 0)
        return GAGE_DONE;
    SCOPED(free_key) EVP_PKEY *key = NULL;
    TRY(find_key(key_path, &key, err));
    SCOPED(free_x509) X509 *cert = X509_new();
    SCOPED(free_bio) BIO *bio = BIO_new(BIO_s_mem());
    REQUIRE(cert != NULL && bio != NULL && fill_certificate(cert, key) && PEM_write_bio_X509(bio, cert) == 1, err,
            GAGE_E_INTERNAL, "OpenSSL cannot make a self-signed certificate");
    return write_bio(bio, cert_path, 0644, err);
}
