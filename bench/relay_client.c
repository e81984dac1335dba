#include "relay_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int64_t
now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void
die(const char *what)
{
    fprintf(stderr, "relay_load: %s (%s)\n", what, strerrordesc_np(errno));
    exit(1);
}

void
client_init(struct client *client, int port)
{
    *client =
        (struct client){.port = port, .epoll = epoll_create1(EPOLL_CLOEXEC), .tls = SSL_CTX_new(TLS_client_method())};
    if (client->tls == NULL || client->epoll < 0)
        die("cannot start");
    SSL_CTX_set_mode(client->tls, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_clear_mode(client->tls, SSL_MODE_AUTO_RETRY); /* a ticket alone must not make a read block */
    SSL_CTX_set_session_cache_mode(client->tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set1_groups_list(client->tls, "X25519:P-256");
}

void
conn_open(struct client *client, struct conn *conn)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)client->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int on = 1;
    conn->client = client;
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (conn->fd < 0 || connect(conn->fd, (const struct sockaddr *)&to, sizeof to) != 0)
        die("cannot connect");
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    conn->ssl = SSL_new(client->tls);
    if (conn->ssl == NULL || SSL_set_fd(conn->ssl, conn->fd) != 1)
        die("no memory");
    SSL_set_connect_state(conn->ssl);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = conn};
    if (epoll_ctl(client->epoll, EPOLL_CTL_ADD, conn->fd, &event) != 0)
        die("epoll");
}

void
conn_close(struct conn *conn)
{
    if (conn->ssl == NULL)
        return;
    SSL_shutdown(conn->ssl);
    SSL_free(conn->ssl);
    close(conn->fd);
    conn->ssl = NULL;
    conn->fd = -1;
}

/* The sockets block: what is written here always fits their buffers, and reads happen after epoll said so. */
void
conn_send(struct conn *conn, const char *request, size_t n)
{
    conn->in_n = 0;
    conn->status = 0;
    conn->client->active++;
    conn->busy = true;
    conn->sent_ns = now_ns();
    if (SSL_write(conn->ssl, request, (int)n) != (int)n)
        die("cannot send");
}

static void
finish(struct conn *conn, int status)
{
    conn->status = status;
    conn->got_ns = now_ns();
    conn->client->active--;
    conn->busy = false;
    conn->answered(conn);
}

/* Whether the answer is here whole. */
static bool
complete(struct conn *conn)
{
    conn->in[conn->in_n] = '\0';
    const char *end = strstr(conn->in, "\r\n\r\n");
    const char *length = strstr(conn->in, "Content-Length: ");
    if (end == NULL || length == NULL)
        return false;
    return conn->in_n >= (size_t)(end + 4 - conn->in) + strtoul(length + 16, NULL, 10);
}

static void
readable(struct conn *conn)
{
    do {
        int got = SSL_read(conn->ssl, conn->in + conn->in_n, (int)(sizeof conn->in - 1 - conn->in_n));
        if (got <= 0 && SSL_get_error(conn->ssl, got) == SSL_ERROR_WANT_READ)
            return;
        if (got <= 0) {
            epoll_ctl(conn->client->epoll, EPOLL_CTL_DEL, conn->fd, NULL);
            if (conn->busy)
                finish(conn, 0);
            return;
        }
        conn->in_n += (size_t)got;
    } while (SSL_pending(conn->ssl) > 0);
    if (complete(conn))
        finish(conn, (int)strtol(conn->in + 9, NULL, 10));
}

void
conn_member(const struct conn *conn, const char *key, char *out, size_t size)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "\"%s\":\"", key);
    const char *from = strstr(conn->in, wanted);
    if (from == NULL) {
        fprintf(stderr, "%s\n", conn->in);
        die("the answer lacks a member");
    }
    from += strlen(wanted);
    snprintf(out, size, "%.*s", (int)strcspn(from, "\""), from);
}

void
client_step(struct client *client, int ms)
{
    struct epoll_event events[256];
    int n = epoll_wait(client->epoll, events, 256, ms);
    for (int i = 0; i < n; i++)
        readable(events[i].data.ptr);
}
