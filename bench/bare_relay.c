/* bare_relay - the least that can stand in a relay's place, to measure beside: usage: bare_relay CERT KEY PORT FILE
 *
 * A TLS server of one thread, OpenSSL on epoll, that answers what gage share and gage accept ask of a relay (create, claim, write and wait,
 * delete), keeps the mailboxes in memory, and writes and syncs what a relay has to make durable into FILE, once for each. It checks
 * nothing, limits nothing and forgets everything: what it costs is what TLS, the sockets and the disk cost on this machine. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#define LOG_BYTES (8L << 20) /* written through at the start and reused from its beginning, as a database's log is */
#define PLACES 1024          /* descriptors, mailboxes */
#define TEXT 65536

struct box {
    long number; /* 0: free */
    long version;
    bool claimed;
    char creator[64];
    char payload[TEXT], display[4096];
};

struct conn {
    SSL *ssl;
    struct box *waits; /* NULL: it does not wait */
    long after;
    size_t n;
    char in[TEXT];
};

static struct box boxes[PLACES];
static struct conn *conns[PLACES];
static SSL_CTX *tls;
static int log_fd, epoll_fd, port;
static long log_at, last_number;

static void
die(const char *what)
{
    fprintf(stderr, "bare_relay: %s (%s)\n", what, strerrordesc_np(errno));
    exit(1);
}

/* ---- the disk ---- */

static void
log_open(const char *path)
{
    static const char zeros[1 << 16];
    log_fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (long i = 0; i < LOG_BYTES; i += (long)sizeof zeros)
        if (pwrite(log_fd, zeros, sizeof zeros, i) != (ssize_t)sizeof zeros)
            die("cannot write the file");
    if (fsync(log_fd) != 0)
        die("cannot sync the file");
}

static void
log_write(const char *text, size_t n)
{
    if (log_at + (long)n > LOG_BYTES)
        log_at = 0;
    if (pwrite(log_fd, text, n, log_at) != (ssize_t)n || fdatasync(log_fd) != 0)
        die("cannot sync the file");
    log_at += (long)n;
}

/* ---- answers ---- */

static void
answer(struct conn *conn, int status, long version, const char *body)
{
    static char text[2 * TEXT];
    int n = snprintf(text, sizeof text,
                     "HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nMailbox-Version: "
                     "%ld\r\n\r\n%s",
                     status, strlen(body), version, body);
    if (SSL_write(conn->ssl, text, n) != n)
        die("cannot answer");
}

static void
answer_content(struct conn *conn, const struct box *box)
{
    static char body[TEXT + 8192];
    snprintf(body, sizeof body,
             "{\"payload\":%s,%s,\"expiration\":\"2099-01-01T00:00:00Z\",\"version\":%ld,"
             "\"isPushNotificationSupported\":false}",
             box->payload, box->display, box->version);
    answer(conn, 200, box->version, body);
}

static void
wake(const struct box *box)
{
    for (size_t i = 0; i < PLACES; i++)
        if (conns[i] != NULL && conns[i]->waits == box && box->version > conns[i]->after) {
            conns[i]->waits = NULL;
            answer_content(conns[i], box);
        }
}

/* ---- requests ---- */

/* Copies from `from` to the end of the object that begins behind it. */
static void
take_object(const char *from, char *to, size_t size)
{
    const char *end = from != NULL ? strchr(from, '}') : NULL;
    snprintf(to, size, "%.*s", end != NULL ? (int)(end + 1 - from) : 0, from != NULL ? from : "");
}

static void
take_payload(struct box *box, const char *body)
{
    const char *from = strstr(body, "\"payload\":");
    take_object(from != NULL ? from + 10 : NULL, box->payload, sizeof box->payload);
    log_write(box->payload, strlen(box->payload));
}

/* The field's value up to the line's end, "" where there is none. */
static void
take_field(const char *head, const char *name, char *to, size_t size)
{
    const char *from = strcasestr(head, name);
    snprintf(to, size, "%.*s", from != NULL ? (int)strcspn(from + strlen(name), "\r\n") : 0,
             from != NULL ? from + strlen(name) : "");
}

static void
create(struct conn *conn, const char *head, const char *body)
{
    char text[512];
    struct box *box = boxes;
    while (box->number != 0)
        if (++box == boxes + PLACES)
            die("too many mailboxes");
    box->number = ++last_number;
    box->version = 1;
    box->claimed = false;
    take_field(head, "Mailbox-Device-Claim: ", box->creator, sizeof box->creator);
    take_object(strstr(body, "\"displayInformation\""), box->display, sizeof box->display);
    take_payload(box, body);
    snprintf(
        text, sizeof text,
        "{\"urlLink\":\"https://127.0.0.1:%d/v1/m/00000000-0000-4000-8000-%012ld\",\"isPushNotificationSupported\":"
        "false,\"expiration\":\"2099-01-01T00:00:00Z\",\"version\":1}",
        port, box->number);
    answer(conn, 200, 1, text);
}

static struct box *
find(const char *head)
{
    const char *id = strstr(head, "/v1/m/");
    long number = id != NULL ? strtol(id + 6 + 24, NULL, 10) : 0;
    for (struct box *box = boxes; number > 0 && box < boxes + PLACES; box++)
        if (box->number == number)
            return box;
    return NULL;
}

static void
wait_or_answer(struct conn *conn, struct box *box, const char *head)
{
    char after[32];
    take_field(head, "Mailbox-After: ", after, sizeof after);
    conn->after = strtol(after, NULL, 10);
    if (conn->after < box->version)
        answer_content(conn, box);
    else
        conn->waits = box;
}

static void
read_box(struct conn *conn, struct box *box, const char *head)
{
    char claim[64];
    take_field(head, "Mailbox-Device-Claim: ", claim, sizeof claim);
    if (!box->claimed && strcmp(claim, box->creator) != 0) {
        box->claimed = true;
        log_write(claim, strlen(claim));
    }
    wait_or_answer(conn, box, head);
}

/* The answer to a write that wants the next payload waits for it. */
static void
write_box(struct conn *conn, struct box *box, const char *head, const char *body)
{
    char text[128];
    take_payload(box, body);
    box->version++;
    wake(box);
    if (strcasestr(head, "Mailbox-After: ") != NULL) {
        conn->after = box->version;
        conn->waits = box;
        return;
    }
    snprintf(text, sizeof text, "{\"isPushNotificationSupported\":false,\"version\":%ld}", box->version);
    answer(conn, 200, box->version, text);
}

/* A deletion that may be answered before it is durable (202) goes with the next write. */
static void
serve(struct conn *conn, const char *head, const char *body)
{
    struct box *box = find(head);
    if (strncmp(head, "POST /v1/m ", 11) == 0)
        create(conn, head, body);
    else if (box == NULL)
        answer(conn, 404, 0, "{}");
    else if (strncmp(head, "POST ", 5) == 0)
        read_box(conn, box, head);
    else if (strncmp(head, "PUT ", 4) == 0)
        write_box(conn, box, head, body);
    else if (strncmp(head, "GET ", 4) == 0)
        answer(conn, 200, box->version, "<html></html>");
    else {
        bool later = strstr(head, "respond-async") != NULL;
        box->number = 0;
        if (!later)
            log_write("deleted", 7);
        answer(conn, later ? 202 : 200, 0, "{}");
    }
}

/* ---- connections ---- */

static void
leave(int fd)
{
    SSL_free(conns[fd]->ssl);
    free(conns[fd]);
    conns[fd] = NULL;
    close(fd);
}

/* Serves the request if it is here whole; its head ends in a NUL then. */
static void
look(struct conn *conn)
{
    char length[32];
    conn->in[conn->n] = '\0';
    char *end = strstr(conn->in, "\r\n\r\n");
    if (end == NULL)
        return;
    take_field(conn->in, "Content-Length: ", length, sizeof length);
    if (conn->n < (size_t)(end + 4 - conn->in) + strtoul(length, NULL, 10))
        return;
    *end = '\0';
    serve(conn, conn->in, end + 4);
    conn->n = 0;
}

static void
readable(int fd)
{
    struct conn *conn = conns[fd];
    for (;;) {
        int got = SSL_read(conn->ssl, conn->in + conn->n, (int)(sizeof conn->in - 1 - conn->n));
        if (got <= 0) {
            if (SSL_get_error(conn->ssl, got) != SSL_ERROR_WANT_READ)
                leave(fd);
            return;
        }
        conn->n += (size_t)got;
        look(conn);
        if (!SSL_has_pending(conn->ssl))
            return;
    }
}

static void
take_connection(int listener)
{
    int on = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    struct conn *conn = fd < PLACES ? calloc(1, sizeof *conn) : NULL;
    if (conn == NULL || (conn->ssl = SSL_new(tls)) == NULL || SSL_set_fd(conn->ssl, fd) != 1)
        die("no room for a connection");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    SSL_set_accept_state(conn->ssl);
    conns[fd] = conn;
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
    readable(fd); /* its first bytes are here */
}

/* The settings that are cheapest here; the relay has the same. */
static void
tls_start(const char *cert, const char *key)
{
    tls = SSL_CTX_new(TLS_server_method());
    if (tls == NULL || SSL_CTX_use_certificate_chain_file(tls, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_set_ciphersuites(tls, "TLS_AES_128_GCM_SHA256") != 1 || SSL_CTX_set1_groups_list(tls, "X25519") != 1)
        die("cannot use the certificate");
    SSL_CTX_set_options(tls, SSL_OP_NO_TICKET | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(tls, SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(tls, 0);
    SSL_CTX_set_read_ahead(tls, 1);
}

static int
listen_at(void)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof at;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 128) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &n) != 0)
        die("cannot listen");
    port = ntohs(at.sin_port);
    return fd;
}

int
main(int argc, char **argv)
{
    if (argc != 5)
        die("usage: bare_relay CERT KEY PORT FILE");
    port = (int)strtol(argv[3], NULL, 10);
    tls_start(argv[1], argv[2]);
    log_open(argv[4]);
    int listener = listen_at();
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[64];
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    printf("listening %d\n", port);
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(epoll_fd, events, 64, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener)
                take_connection(listener);
            else if (conns[events[i].data.fd] != NULL)
                readable(events[i].data.fd);
        }
    }
}
