/* relay_client.h - many HTTPS connections from one thread, for the relay's benchmarks: OpenSSL over epoll, HTTP/1.1 with Content-Length. */
#ifndef GAGE_BENCH_RELAY_CLIENT_H
#define GAGE_BENCH_RELAY_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include <openssl/ssl.h>

#define ANSWER_MAX 8192 /* the longest answer, in bytes */

struct client {
    SSL_CTX *tls;
    int epoll;
    int port;    /* on 127.0.0.1 */
    long active; /* connections with a request under way */
};

struct conn {
    struct client *client;
    int fd;
    SSL *ssl;
    const char *out; /* borrowed until it was sent */
    size_t out_n;
    char in[ANSWER_MAX];
    size_t in_n;
    bool busy;  /* a request is under way */
    int status; /* of the last answer; 0: the connection ended instead */
    int64_t sent_ns, got_ns;
    void (*answered)(struct conn *conn); /* may send the next request */
    long number;                         /* the caller's */
};

int64_t now_ns(void);
/* Ends the program with a sentence. */
void die(const char *what) __attribute__((noreturn));
void client_init(struct client *client, int port);
/* Connects, and sends the request as soon as TLS stands. */
void conn_open(struct client *client, struct conn *conn);
void conn_send(struct conn *conn, const char *request, size_t n);
void conn_close(struct conn *conn);
/* The value of a JSON string member of the last answer, copied; dies where there is none. */
void conn_member(const struct conn *conn, const char *key, char *out, size_t size);
/* Handles what is there, waiting up to ms. */
void client_step(struct client *client, int ms);

#endif
