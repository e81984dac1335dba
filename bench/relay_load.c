/* relay_load - drives a relay on loopback; usage:
 *   relay_load PORT creates CLIENTS SECONDS    creates a second, by that many clients at once
 *   relay_load PORT readers COUNT              that many waiting reads; each is woken by a write of the other side; then "parked" is
 *                                              printed, a second round parks and one line of standard input later all must be woken at once
 *   relay_load PORT transfers COUNT AT_ONCE    whole transfers, so many at the same time
 * Prints KEY=VALUE lines. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "relay_client.h"

#define WRITERS 64
#define CLAIM_A "11111111"
#define CLAIM_B "22222222"
#define SEALED "AEAD_AES_256_GCM\",\"data\":\"%s\""

static struct client client;
static long unique; /* for request ids */
static char filler[801];

/* ---- requests ---- */

static size_t
make_request(char *out, size_t size, const char *method, const char *path, const char *headers, const char *body)
{
    int n = snprintf(
        out, size,
        "%s %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
        method, path, headers, strlen(body), body);
    if (n < 0 || (size_t)n >= size)
        die("request too long");
    return (size_t)n;
}

static void
write_headers(char *out, size_t size, const char *claim, long number)
{
    char id[64];
    snprintf(id, sizeof id, "%s-1111-4111-8111-%012ld", claim, number);
    snprintf(out, size, "Mailbox-Device-Claim: %s\r\nMailbox-Request-ID: r-%d-%ld\r\n", id, (int)getpid(), ++unique);
}

static void
add_wait(char *headers, size_t size, int after)
{
    size_t n = strlen(headers);
    if (after > 0)
        snprintf(headers + n, size - n, "Mailbox-After: %d\r\nPrefer: wait=50\r\n", after);
}

static void
send_create(struct conn *conn, long number)
{
    char headers[256], body[1400], request[2400];
    write_headers(headers, sizeof headers, CLAIM_A, number);
    snprintf(body, sizeof body,
             "{\"payload\":{\"type\":\"" SEALED
             "},\"displayInformation\":{\"title\":\"bench\",\"description\":\"one of many\","
             "\"imageURL\":\"\"},\"mailboxConfiguration\":{\"accessRights\":\"RWD\",\"expiration\":\"2099-01-01T00:00:"
             "00Z\"}}",
             filler);
    conn_send(conn, request, make_request(request, sizeof request, "POST", "/v1/m", headers, body));
}

/* after 0: the answer at once; else with what comes after the write. */
static void
send_put(struct conn *conn, const char *path, const char *claim, long number, int after)
{
    char headers[256], body[1000], request[2000];
    write_headers(headers, sizeof headers, claim, number);
    add_wait(headers, sizeof headers, after);
    snprintf(body, sizeof body, "{\"payload\":{\"type\":\"" SEALED "}}", filler);
    conn_send(conn, request, make_request(request, sizeof request, "PUT", path, headers, body));
}

static void
send_read(struct conn *conn, const char *path, const char *claim, long number, int after)
{
    char headers[256], id[64], request[1000];
    snprintf(id, sizeof id, "%s-1111-4111-8111-%012ld", claim, number);
    snprintf(headers, sizeof headers, "Mailbox-Device-Claim: %s\r\n", id);
    add_wait(headers, sizeof headers, after);
    conn_send(conn, request, make_request(request, sizeof request, "POST", path, headers, ""));
}

static void
send_delete(struct conn *conn, const char *path, long number)
{
    char headers[256], request[1000];
    write_headers(headers, sizeof headers, CLAIM_A, number);
    strcat(headers, "Prefer: respond-async\r\n");
    conn_send(conn, request, make_request(request, sizeof request, "DELETE", path, headers, ""));
}

static void
path_of(const struct conn *conn, char *out, size_t size)
{
    char link[256];
    conn_member(conn, "urlLink", link, sizeof link);
    const char *path = strstr(link, "/v1/m/");
    snprintf(out, size, "%s", path != NULL ? path : "");
}

static void
must(const struct conn *conn, const char *what)
{
    if (conn->status != 200) {
        fprintf(stderr, "%s: %d %s\n", what, conn->status, conn->in);
        exit(1);
    }
}

/* ---- creates ---- */

static long done;
static int64_t until;

static void
created(struct conn *conn)
{
    must(conn, "create");
    done++;
    if (now_ns() < until)
        send_create(conn, ++unique);
}

static void
creates(long clients, long seconds)
{
    struct conn *conns = calloc((size_t)clients, sizeof *conns);
    until = INT64_MAX;
    for (long i = 0; i < clients; i++) {
        conns[i].answered = created;
        conn_open(&client, &conns[i]);
        send_create(&conns[i], ++unique);
    }
    while (done < clients * 4)
        client_step(&client, 100);
    int64_t began = now_ns();
    done = 0;
    until = began + seconds * 1000000000;
    while (client.active > 0)
        client_step(&client, 1000);
    printf("creates_per_second=%.0f\n", (double)done / ((double)(now_ns() - began) / 1e9));
}

/* ---- readers ---- */

struct mailbox {
    char path[64];
    int64_t written_ns;
    int64_t woken_ns;
};
static struct mailbox *mailboxes;
static long next_mailbox, mailboxes_count, woken;

static void
mailbox_made(struct conn *conn)
{
    must(conn, "create");
    path_of(conn, mailboxes[conn->number].path, sizeof mailboxes[0].path);
    if (next_mailbox < mailboxes_count) {
        conn->number = next_mailbox++;
        send_create(conn, conn->number);
    }
}

static void
mailbox_written(struct conn *conn)
{
    must(conn, "put");
    mailboxes[conn->number].written_ns = conn->got_ns;
    if (next_mailbox < mailboxes_count) {
        conn->number = next_mailbox++;
        send_put(conn, mailboxes[conn->number].path, CLAIM_A, conn->number, 0);
    }
}

static void
reader_woken(struct conn *conn)
{
    must(conn, "waiting read");
    mailboxes[conn->number].woken_ns = conn->got_ns;
    woken++;
}

/* Lets the writers take the mailboxes in turn, each beginning with `first`. */
static void
all_mailboxes(struct conn *writers, void (*answered)(struct conn *), void (*first)(struct conn *, long))
{
    next_mailbox = 0;
    for (long i = 0; i < WRITERS && next_mailbox < mailboxes_count; i++) {
        writers[i].answered = answered;
        writers[i].number = next_mailbox++;
        first(&writers[i], writers[i].number);
    }
}

static void
first_put(struct conn *conn, long number)
{
    send_put(conn, mailboxes[number].path, CLAIM_A, number, 0);
}

static int
compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* From the acknowledged write to the woken reader's whole answer. */
static void
print_latencies(void)
{
    int64_t *late = calloc((size_t)mailboxes_count, sizeof *late);
    for (long i = 0; i < mailboxes_count; i++)
        late[i] = mailboxes[i].woken_ns - mailboxes[i].written_ns;
    qsort(late, (size_t)mailboxes_count, sizeof *late, compare);
    printf("wake_after_write_p50_ms=%.1f\nwake_after_write_p99_ms=%.1f\nwake_after_write_max_ms=%.1f\n",
           (double)late[mailboxes_count / 2] / 1e6, (double)late[mailboxes_count * 99 / 100] / 1e6,
           (double)late[mailboxes_count - 1] / 1e6);
    free(late);
}

static void
park_all(struct conn *readers, int after)
{
    for (long i = 0; i < mailboxes_count; i++) {
        readers[i].answered = reader_woken;
        readers[i].number = i;
        if (readers[i].ssl == NULL)
            conn_open(&client, &readers[i]);
        send_read(&readers[i], mailboxes[i].path, CLAIM_B, i, after);
        if (i % 64 == 63)
            client_step(&client, 0);
    }
    int64_t settle = now_ns() + 1500000000;
    while (now_ns() < settle)
        client_step(&client, 100);
    if (woken > 0)
        die("a reader was woken too early");
    printf("parked\n");
    fflush(stdout);
}

static void
readers(long count)
{
    struct conn *writers = calloc(WRITERS, sizeof *writers);
    struct conn *waiting = calloc((size_t)count, sizeof *waiting);
    char line[16];
    mailboxes_count = count;
    mailboxes = calloc((size_t)count, sizeof *mailboxes);
    for (long i = 0; i < WRITERS; i++)
        conn_open(&client, &writers[i]);
    all_mailboxes(writers, mailbox_made, send_create);
    while (client.active > 0)
        client_step(&client, 1000);
    park_all(waiting, 1);
    if (fgets(line, sizeof line, stdin) == NULL)
        exit(1);
    all_mailboxes(writers, mailbox_written, first_put);
    while (client.active > 0)
        client_step(&client, 1000);
    print_latencies();
    woken = 0;
    park_all(waiting, 2);
    if (fgets(line, sizeof line, stdin) == NULL)
        exit(1);
    int64_t began = now_ns(), first = 0;
    while (woken < count) {
        client_step(&client, 1000);
        if (woken > 0 && first == 0)
            first = now_ns();
    }
    printf("all_woken_after_ms=%.1f\nspread_ms=%.1f\n", (double)(now_ns() - began) / 1e6,
           (double)(now_ns() - first) / 1e6);
}

/* ---- transfers by clients that let writes wait, over one connection each ---- */

struct transfer {
    struct conn sender, receiver;
    char path[64];
    int sent, received; /* answers so far, on either side */
};
static long transfers_left;

static void begin_transfer(struct transfer *t, long number);

static void
end_transfer(struct transfer *t)
{
    conn_close(&t->sender);
    conn_close(&t->receiver);
    if (transfers_left > 0)
        begin_transfer(t, ++unique);
}

/* Claim, write that waits, write. */
static void
receiver_answered(struct conn *conn)
{
    struct transfer *t = (struct transfer *)(void *)((char *)conn - offsetof(struct transfer, receiver));
    must(conn, "receiver");
    t->received++;
    if (t->received < 3)
        send_put(conn, t->path, CLAIM_B, conn->number, t->received == 1 ? 1 : 0);
    else if (t->sent == 4)
        end_transfer(t);
}

/* Create, waiting read, write that waits, delete. */
static void
sender_answered(struct conn *conn)
{
    struct transfer *t = (struct transfer *)(void *)conn;
    if (t->sent < 3)
        must(conn, "sender");
    switch (++t->sent) {
    case 1:
        path_of(conn, t->path, sizeof t->path);
        send_read(conn, t->path, CLAIM_A, conn->number, 1);
        conn_open(&client, &t->receiver);
        send_read(&t->receiver, t->path, CLAIM_B, conn->number, 0);
        break;
    case 2:
        send_put(conn, t->path, CLAIM_A, conn->number, 2);
        break;
    case 3:
        send_delete(conn, t->path, conn->number);
        break;
    default:
        if (t->received == 3)
            end_transfer(t);
    }
}

static void
begin_transfer(struct transfer *t, long number)
{
    transfers_left--;
    *t = (struct transfer){.sender = {.answered = sender_answered, .number = number},
                           .receiver = {.answered = receiver_answered, .number = number}};
    conn_open(&client, &t->sender);
    send_create(&t->sender, number);
}

static void
transfers(long count, long at_once)
{
    struct transfer *all = calloc((size_t)at_once, sizeof *all);
    transfers_left = count;
    for (long i = 0; i < at_once && transfers_left > 0; i++)
        begin_transfer(&all[i], ++unique);
    while (client.active > 0)
        client_step(&client, 1000);
    free(all);
}

int
main(int argc, char **argv)
{
    if (argc < 4)
        die("usage: relay_load PORT creates|readers|transfers COUNT [SECONDS|AT_ONCE]");
    long count = strtol(argv[3], NULL, 10);
    memset(filler, 'A', sizeof filler - 1);
    client_init(&client, (int)strtol(argv[1], NULL, 10));
    if (strcmp(argv[2], "creates") == 0)
        creates(count, argc > 4 ? strtol(argv[4], NULL, 10) : 5);
    else if (strcmp(argv[2], "readers") == 0)
        readers(count);
    else
        transfers(count, argc > 4 ? strtol(argv[4], NULL, 10) : 1);
    return 0;
}
