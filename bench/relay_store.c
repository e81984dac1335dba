/* Durable operations a second of the relay's store, with 64 submitters, beside the same store with one operation a commit; and what an
 * operation costs in CPU. relay_store [SECONDS [URL KEY-FILE]], default 2 and a SQLite file in the current folder, removed afterwards. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "relayd/store.h"

#define CLIENTS 64
#define PAYLOAD 1500 /* base64 of an envelope with a GSS token or two */
#define NOW INT64_C(2000000000)

static const char payload[PAYLOAD] = "x",
                  display[] = "{\"title\":\"A key\",\"description\":\"for you\",\"imageURL\":\"https://\"}";

/* A client that sends its next operation when the last one is answered. */
struct client {
    struct store *store;
    struct store_op op;
    size_t cycle_length, at;
    bool recipient;
    uint8_t id[UUID_LEN], claim[2][16], request_id[16];
    uint64_t done, failed;
    bool stopped;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_stopped = PTHREAD_COND_INITIALIZER;
static bool stop;
static unsigned running;

static void send_next(struct client *c);

static void
answered(struct store_op *op)
{
    struct client *c = op->context;
    enum store_verdict verdict = op->result.verdict;
    c->done++;
    c->failed += verdict != STORE_OK;
    store_op_clear(op);
    if (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        send_next(c);
        return;
    }
    pthread_mutex_lock(&lock);
    if (--running == 0)
        pthread_cond_signal(&all_stopped);
    pthread_mutex_unlock(&lock);
}

/* The life of a mailbox: create, claim, three updates with a read after each, delete. */
static const struct {
    enum store_verb verb;
    bool recipient;
} life[] = {{STORE_CREATE, false}, {STORE_READ, true},    {STORE_UPDATE, true},
            {STORE_READ, false},   {STORE_UPDATE, false}, {STORE_READ, true},
            {STORE_UPDATE, true},  {STORE_READ, false},   {STORE_DELETE, false}};

static void
send_next(struct client *c)
{
    for (;;) {
        size_t step = c->cycle_length == 1 ? 0 : c->at++ % c->cycle_length;
        enum store_verb verb = life[step].verb;
        if (verb == STORE_CREATE)
            (void)!gage_ok(rng_fill(&gage_system_rng, c->id, sizeof c->id));
        (void)!gage_ok(rng_fill(&gage_system_rng, c->request_id, sizeof c->request_id));
        c->op.request = (struct store_request){.verb = verb,
                                               .now = NOW,
                                               .claim = SLICE_OF(c->claim[life[step].recipient]),
                                               .request_id = SLICE_OF(c->request_id),
                                               .payload_type = SLICE_LITERAL("AEAD_AES_256_GCM"),
                                               .payload = SLICE_OF(payload),
                                               .display = SLICE_LITERAL(display),
                                               .rights = 7,
                                               .expires = NOW + 86400,
                                               .payload_max = 8192};
        memcpy(c->op.request.mailbox, c->id, UUID_LEN);
        c->op.done = answered;
        c->op.context = c;
        if (store_try(c->store, &c->op)) {
            c->done++;
            c->failed += c->op.result.verdict != STORE_OK;
            store_op_clear(&c->op);
            continue;
        }
        if (!store_submit(c->store, &c->op))
            abort(); /* 64 operations never fill the queue */
        return;
    }
}

static double
cpu_seconds(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

struct figures {
    double per_second, cpu_us, batch;
};

static struct figures
measure(const struct store_options *base, size_t batch_max, size_t count, size_t cycle_length, double seconds)
{
    static struct client clients[CLIENTS];
    struct store_options options = *base;
    struct store *store = NULL;
    struct gage_err err = {0};
    options.batch_max = batch_max;
    options.limits.bytes = (uint64_t)1 << 40;
    options.limits.mailboxes = 100000000;
    if (!gage_ok(store_open(&options, &store, &err))) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    stop = false;
    running = (unsigned)count;
    memset(clients, 0, sizeof clients);
    int64_t start = clock_monotonic_ns();
    double cpu = cpu_seconds();
    for (size_t i = 0; i < count; i++) {
        clients[i].store = store;
        clients[i].cycle_length = cycle_length;
        (void)!gage_ok(rng_fill(&gage_system_rng, clients[i].claim, sizeof clients[i].claim));
        send_next(&clients[i]);
    }
    usleep((useconds_t)(seconds * 1e6));
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    pthread_mutex_lock(&lock);
    while (running > 0)
        pthread_cond_wait(&all_stopped, &lock);
    pthread_mutex_unlock(&lock);
    double elapsed = (double)(clock_monotonic_ns() - start) / 1e9;
    cpu = cpu_seconds() - cpu;
    uint64_t done = 0, failed = 0;
    for (size_t i = 0; i < count; i++) {
        done += clients[i].done;
        failed += clients[i].failed;
    }
    struct store_stats stats;
    store_stats(store, &stats);
    store_close(&store);
    if (failed > 0) {
        fprintf(stderr, "%llu of %llu operations failed\n", (unsigned long long)failed, (unsigned long long)done);
        exit(1);
    }
    return (struct figures){(double)done / elapsed, cpu * 1e6 / (double)done,
                            (double)stats.operations / (double)stats.batches};
}

static void
print(const char *what, struct figures f)
{
    printf("%-34s %9.0f a second  %7.1f us CPU each  %6.1f a commit\n", what, f.per_second, f.cpu_us, f.batch);
}

static void
remove_files(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".lock", ".key"};
    char name[4200];
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
}

int
main(int argc, char **argv)
{
    char folder[4000], path[4096], url[4200];
    double seconds = argc > 1 ? atof(argv[1]) : 2.0;
    if (getcwd(folder, sizeof folder) == NULL)
        return 1;
    snprintf(path, sizeof path, "%s/relay-store-bench.db", folder);
    snprintf(url, sizeof url, "sqlite://%s", path);
    struct store_options options = {.url = argc > 3 ? argv[2] : url, .key_file = argc > 3 ? argv[3] : NULL};
    remove_files(path);
    struct figures single = measure(&options, 1, CLIENTS, 1, seconds);
    print("creates, one a commit", single);
    if (argc <= 3)
        remove_files(path);
    struct figures grouped = measure(&options, 0, CLIENTS, 1, seconds);
    print("creates, group commit", grouped);
    const size_t steps = sizeof life / sizeof life[0];
    struct figures lives = measure(&options, 0, CLIENTS, steps, seconds);
    print("operations of 64 transfers at once", lives);
    struct figures lonely = measure(&options, 0, 1, steps, seconds);
    print("operations of one transfer alone", lonely);
    printf("ratio of creates a second: %.1f   CPU of a whole transfer in the store: %.3f ms, alone %.3f ms\n",
           grouped.per_second / single.per_second, lives.cpu_us * (double)steps / 1000,
           lonely.cpu_us * (double)steps / 1000);
    if (argc <= 3)
        remove_files(path);
    return 0;
}
