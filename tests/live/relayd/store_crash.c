/* The two halves of the crash sweep (store_crash.py kills the first one or its database):
 *   store_crash write ROUND    threads lead mailboxes through their lives and print each acknowledged step: "THREAD SERIAL STEP"
 *   store_crash verify ROUND   reads those lines, and checks the store against them: every acknowledged step is there, of the one that
 *                              may have been under way all or nothing, and repeating it completes it once
 * Names are made of (round, thread, serial), so that both halves know them. */
#include "unit/test.h"

#include "relayd/store_kit.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 8
#define SERIALS 4096

enum step { NOTHING, CREATED, BOUND, ANSWERED, REPLACED, RELINQUISHED, DELETED };

static struct store *store;
static uint64_t round_number;

struct name {
    unsigned thread, serial;
};

static uint64_t
number_of(struct name name, unsigned what)
{
    return round_number << 40 | (uint64_t)name.thread << 32 | (uint64_t)name.serial << 8 | what;
}

/* Makes the call that takes a mailbox to this step. */
static void
make_step(struct call *call, struct name name, enum step step)
{
    static const struct {
        enum store_verb verb;
        bool recipient;
        const char *payload;
    } steps[] = {
        [CREATED] = {STORE_CREATE, false, "payload 1"}, [BOUND] = {STORE_READ, true, ""},
        [ANSWERED] = {STORE_UPDATE, true, "payload 2"}, [REPLACED] = {STORE_UPDATE, false, "payload 3"},
        [RELINQUISHED] = {STORE_RELINQUISH, true, ""},  [DELETED] = {STORE_DELETE, false, ""},
    };
    uint8_t id[UUID_LEN];
    kit_name(id, number_of(name, 100));
    call_init(call, steps[step].verb, id, number_of(name, steps[step].recipient ? 2 : 1));
    kit_name(call->request_id, number_of(name, 10 + (unsigned)step));
    call->op.request.payload = slice_str(steps[step].payload);
}

/* ---- write ---- */

static void *
lead_lives(void *context)
{
    struct name name = {.thread = *(unsigned *)context};
    struct call call;
    char line[64];
    for (; name.serial < SERIALS; name.serial++)
        for (int step = CREATED; step <= DELETED; step++) {
            make_step(&call, name, (enum step)step);
            if (call_run(store, &call) != STORE_OK)
                return NULL;
            store_op_clear(&call.op);
            int n = snprintf(line, sizeof line, "%u %u %d\n", name.thread, name.serial, step);
            if (write(STDOUT_FILENO, line, (size_t)n) != n) /* one write: the line is whole or not there */
                return NULL;
        }
    return NULL;
}

static int
run_write(void)
{
    pthread_t thread[THREADS];
    unsigned number[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        number[i] = i;
        if (pthread_create(&thread[i], NULL, lead_lives, &number[i]) != 0)
            return 1;
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    return 1; /* it ought to have been killed */
}

/* ---- verify ---- */

static enum step acknowledged[THREADS][SERIALS + 1];

static int
wrong(struct name name, const char *what)
{
    fprintf(stderr, "round %llu thread %u serial %u, acknowledged step %d: %s\n", (unsigned long long)round_number,
            name.thread, name.serial, (int)acknowledged[name.thread][name.serial], what);
    return 1;
}

/* Whether the recipient's claim is bound, without binding it: its impossible condition fails, or nobody knows it. */
static bool
is_bound(struct name name)
{
    struct call call;
    make_step(&call, name, ANSWERED);
    kit_name(call.request_id, kit_fresh());
    call.op.request.if_match = 1000000;
    return call_run(store, &call) == STORE_MISMATCH;
}

/* The step that the store shows, from version, payload and binding; -1: something half-done. */
static int
observe(struct name name)
{
    struct call call;
    make_step(&call, name, CREATED);
    call.op.request.verb = STORE_READ;
    enum store_verdict verdict = call_run(store, &call);
    if (verdict == STORE_NOT_FOUND)
        return acknowledged[name.thread][name.serial] >= RELINQUISHED ? DELETED : NOTHING;
    struct store_result *r = &call.op.result;
    char expected[32];
    snprintf(expected, sizeof expected, "payload %d", (int)r->version);
    bool whole = verdict == STORE_OK && slice_equal(gage_buf_slice(&r->payload), slice_str(expected));
    uint64_t version = r->version;
    store_op_clear(&call.op);
    bool bound = is_bound(name);
    if (!whole || version > 3 || (version == 2 && !bound))
        return -1;
    return version == 1 ? (bound ? BOUND : CREATED) : version == 2 ? ANSWERED : bound ? REPLACED : RELINQUISHED;
}

/* Repeats the step that may have been under way: it is completed, once. */
static int
complete(struct name name, enum step step)
{
    struct call call;
    make_step(&call, name, step);
    enum store_verdict verdict = call_run(store, &call);
    bool done = verdict == STORE_OK || verdict == STORE_DUPLICATE || (step == DELETED && verdict == STORE_NOT_FOUND);
    store_op_clear(&call.op);
    acknowledged[name.thread][name.serial] = step;
    return done && observe(name) == (int)step ? 0 : wrong(name, "repeating the request did not complete it once");
}

static int
verify_one(struct name name, bool last)
{
    enum step known = acknowledged[name.thread][name.serial];
    int now = observe(name);
    if (now != (int)known && !(last && now == (int)known + 1))
        return wrong(name, now < 0 ? "half-done" : now < (int)known ? "lost" : "ahead of what was asked");
    if (!last || known == DELETED)
        return known == DELETED ? 0 : wrong(name, "left behind");
    int bad = complete(name, (enum step)(known + 1));
    struct call call;
    make_step(&call, name, DELETED);
    call_run(store, &call);
    return bad;
}

static int
run_verify(void)
{
    struct name name;
    unsigned last[THREADS] = {0}, lines = 0;
    int step, bad = 0;
    while (scanf("%u %u %d", &name.thread, &name.serial, &step) == 3) {
        if (name.thread >= THREADS || name.serial >= SERIALS)
            return 1;
        acknowledged[name.thread][name.serial] = (enum step)step;
        last[name.thread] = name.serial;
        lines++;
    }
    for (name.thread = 0; name.thread < THREADS; name.thread++) {
        if (acknowledged[name.thread][last[name.thread]] == DELETED)
            last[name.thread]++;
        for (name.serial = 0; name.serial <= last[name.thread]; name.serial++)
            bad += verify_one(name, name.serial == last[name.thread]);
    }
    struct store_stats stats;
    store_stats(store, &stats);
    if (stats.mailboxes != 0 || stats.reserved_bytes != 0)
        bad += wrong(name, "the usage does not come back to nothing");
    printf("verified %u\n", lines);
    return bad > 0;
}

int
main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    struct store_options options = kit_options();
    struct gage_err err = {0};
    round_number = strtoull(argv[2], NULL, 10);
    if (!gage_ok(store_open(&options, &store, &err))) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    int status = strcmp(argv[1], "write") == 0 ? run_write() : run_verify();
    store_close(&store);
    return status;
}
