#include "relayd/tls.h"

#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "base/encode.h"

static gage_rc
fail_tls(struct gage_err *err, const char *path, const char *what)
{
    char reason[128] = "";
    unsigned long code = ERR_peek_last_error();
    ERR_error_string_n(code, reason, sizeof reason);
    ERR_clear_error();
    return gage_fail(err, GAGE_E_CONFIG, "%s: %s (%.100s)", path, what, reason);
}

/* Only strong suites; AES-128 first, the cheapest here; X25519 first. No sessions are resumed: making a ticket costs each connection
 * more than the few that come back would save (doc/relay.md has the figures). Buffers are given back while a connection waits. The chain
 * is the file's: without NO_AUTO_CHAIN each handshake would look for one, and verify it. */
static gage_rc
configure(SSL_CTX *context, struct gage_err *err)
{
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_num_tickets(context, 0);
    if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(context,
                                 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256") != 1 ||
        SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1 ||
        SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384") != 1)
        return gage_fail(err, GAGE_E_INTERNAL, "OpenSSL does not take the relay's TLS settings");
    return GAGE_DONE;
}

static gage_rc
make_pin(SSL_CTX *context, char pin[PIN_TEXT_MAX], struct gage_err *err)
{
    unsigned char *der = NULL;
    uint8_t digest[SHA256_LEN];
    AUTO(gage_buf) text = GAGE_BUF(PIN_TEXT_MAX);
    int n = i2d_PUBKEY(X509_get0_pubkey(SSL_CTX_get0_certificate(context)), &der);
    REQUIRE(n > 0, err, GAGE_E_INTERNAL, "the certificate's key has no DER form");
    gage_rc rc = sha256_of(gage_slice_of(der, (size_t)n), digest);
    OPENSSL_free(der);
    TRY(rc);
    put_bytes(&text, SLICE_LITERAL("sha256//"));
    put_base64(&text, SLICE_OF(digest));
    TRY(buf_check(&text, err));
    snprintf(pin, PIN_TEXT_MAX, "%.*s", (int)text.n, (const char *)text.p);
    return GAGE_DONE;
}

static gage_rc
fill(SSL_CTX *context, const char *cert_path, const char *key_path, struct gage_err *err)
{
    TRY(configure(context, err));
    if (SSL_CTX_use_certificate_chain_file(context, cert_path) != 1)
        return fail_tls(err, cert_path, "no certificate chain in PEM form can be read there");
    if (SSL_CTX_use_PrivateKey_file(context, key_path, SSL_FILETYPE_PEM) != 1)
        return fail_tls(err, key_path, "no private key of that certificate can be read there");
    if (SSL_CTX_check_private_key(context) != 1)
        return fail_tls(err, key_path, "the key does not belong to the certificate");
    return GAGE_DONE;
}

gage_rc
tls_load(struct tls *tls, const char *cert_path, const char *key_path, struct gage_err *err)
{
    char pin[PIN_TEXT_MAX];
    SSL_CTX *fresh = SSL_CTX_new(TLS_server_method());
    REQUIRE(fresh != NULL, err, GAGE_E_NOMEM, "out of memory for TLS");
    gage_rc rc = fill(fresh, cert_path, key_path, err);
    if (gage_ok(rc))
        rc = make_pin(fresh, pin, err);
    if (!gage_ok(rc)) {
        SSL_CTX_free(fresh);
        return rc;
    }
    pthread_mutex_lock(&tls->lock);
    SSL_CTX *old = tls->context;
    tls->context = fresh;
    memcpy(tls->pin, pin, sizeof pin);
    pthread_mutex_unlock(&tls->lock);
    SSL_CTX_free(old);
    return GAGE_DONE;
}

SSL *
tls_session(struct tls *tls, int fd)
{
    pthread_mutex_lock(&tls->lock);
    SSL *ssl = SSL_new(tls->context);
    pthread_mutex_unlock(&tls->lock);
    if (ssl != NULL && SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        return NULL;
    }
    if (ssl != NULL)
        SSL_set_accept_state(ssl);
    return ssl;
}

void
tls_cleanup(struct tls *tls)
{
    SSL_CTX_free(tls->context);
    tls->context = NULL;
}
