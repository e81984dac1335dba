/* tls.h - the relay's TLS: OpenSSL, TLS 1.2 or later, certificates that can be changed while connections live. */
#ifndef GAGE_RELAYD_TLS_H
#define GAGE_RELAYD_TLS_H

#include <pthread.h>

#include <openssl/ssl.h>

#include "base/crypto.h"

/* The pin of a key, as libcurl's CURLOPT_PINNEDPUBLICKEY takes it: "sha256//" and the base64 of SHA-256 over the DER form of its
 * SubjectPublicKeyInfo. */
#define PIN_TEXT_MAX 64

struct tls {
    pthread_mutex_t lock;
    SSL_CTX *context;
    char pin[PIN_TEXT_MAX];
};

/* Reads chain and key (PEM), or makes the context anew from changed files; what was in force stays on failure.
 * GAGE_E_CONFIG where a file cannot be read, is no certificate or key, or they do not belong together. */
gage_rc tls_load(struct tls *tls, const char *cert_path, const char *key_path, struct gage_err *err);
/* A new server-side session over the socket, with the certificate now in force; NULL where memory is short. */
SSL *tls_session(struct tls *tls, int fd);
void tls_cleanup(struct tls *tls);

/* Makes an ECDSA P-256 key and a self-signed certificate for localhost, 127.0.0.1 and ::1 in the two files unless both are there. The
 * key stays, so the pin does. */
gage_rc tls_self_signed(const char *cert_path, const char *key_path, struct gage_err *err);

#endif
