#include "relayd/store_core.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"

#define QUEUE_DEFAULT 4096
#define QUEUE_BYTES ((size_t)256 << 20)
#define BATCH_DEFAULT 256
#define LATER_MAX 64 /* and each read looks through them */
#define BATCH_LARGEST 4096
#define MAILBOXES_DEFAULT 1000000
#define BYTES_DEFAULT ((uint64_t)4 << 30)
#define PATIENCE_MS 4000      /* at closing, with a database that does not answer */
#define RECORD_OVERHEAD 12288 /* row, indexes, remembered requests, slack of the pages */
#define STUCK_NS INT64_C(10000000000)
#define SLOW_NS INT64_C(20000000)        /* a transaction that took longer... */
#define SLOW_FOR_NS INT64_C(10000000000) /* ...sends all of so long through the queue */

const char *
store_verdict_name(enum store_verdict verdict)
{
    static const char *const names[] = {
        [STORE_OK] = "ok",
        [STORE_DUPLICATE] = "duplicate",
        [STORE_UNAUTHORIZED] = "unauthorized",
        [STORE_DENIED] = "denied",
        [STORE_NOT_FOUND] = "not_found",
        [STORE_MISMATCH] = "mismatch",
        [STORE_TOO_LARGE] = "too_large",
        [STORE_FULL] = "full",
        [STORE_UNAVAILABLE] = "unavailable",
    };
    return (unsigned)verdict < sizeof names / sizeof names[0] ? names[verdict] : "unavailable";
}

void
store_op_clear(struct store_op *op)
{
    result_fail(&op->result, STORE_UNAVAILABLE);
    gage_wipe(op, sizeof *op);
}

uint64_t
store_reserve_of(uint64_t payload_max)
{
    return 2 * (payload_max < STORE_PAYLOAD_MAX ? payload_max : STORE_PAYLOAD_MAX) + STORE_DISPLAY_MAX +
           2 * STORE_TOKEN_MAX + RECORD_OVERHEAD;
}

/* ---- open and close ---- */

#define SQLITE_SCHEME "sqlite://"

static bool
starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The password between "user:" and "@" of the authority. */
static bool
carries_password(const char *url)
{
    const char *authority = strstr(url, "://") + 3;
    size_t n = strcspn(authority, "/?");
    const char *at = memchr(authority, '@', n);
    return (at != NULL && memchr(authority, ':', (size_t)(at - authority)) != NULL) || strstr(url, "password=") != NULL;
}

static gage_rc
load_key(struct store *store, const char *path, bool may_make, uint8_t check[KEYED_LEN], struct gage_err *err)
{
    TRY(relay_key_load(path, may_make, &store->key, err));
    return relay_key_check(&store->key, check);
}

static void
engine_changed(void *context, const uint8_t *tag, enum store_role writer, uint64_t version)
{
    struct store *store = context;
    if (store->wake != NULL)
        store->wake(store->context, tag, writer, version);
}

static void
engine_warned(void *context, const struct gage_err *err)
{
    struct store *store = context;
    if (store->report != NULL)
        store->report(store->context, false, err);
}

static gage_rc
open_sqlite(struct store *store, const struct store_options *options, struct gage_err *err)
{
    struct engine_hooks hooks = {store, engine_changed, engine_warned};
    const char *path = options->url + strlen(SQLITE_SCHEME);
    char key_path[PATH_MAX];
    uint8_t check[KEYED_LEN];
    REQUIRE(path[0] == '/', err, GAGE_E_USAGE, "the store %s is not of the form sqlite:///PATH", options->url);
    int n = snprintf(key_path, sizeof key_path, "%s.key", path);
    REQUIRE(n > 0 && (size_t)n < sizeof key_path - 16, err, GAGE_E_LIMIT, "the path of the store is too long");
    struct stat st;
    bool fresh = stat(path, &st) != 0 || st.st_size == 0;
    TRY(load_key(store, options->key_file != NULL ? options->key_file : key_path, fresh, check, err));
    return sqlite_engine_open(path, check, &hooks, &store->engine, err);
}

static gage_rc
open_postgres(struct store *store, const struct store_options *options, struct gage_err *err)
{
    uint8_t check[KEYED_LEN];
    struct engine_hooks hooks = {store, engine_changed, engine_warned};
    REQUIRE(options->key_file != NULL, err, GAGE_E_USAGE,
            "a PostgreSQL store needs a key file: name one, and give all relays on the database the same");
    REQUIRE(!carries_password(options->url), err, GAGE_E_USAGE,
            "the store's URL carries a password, which others can see: put it into ~/.pgpass (or a service file)");
    TRY(load_key(store, options->key_file, true, check, err)); /* a fresh key for an old database is found out below */
    return postgres_engine_open(options->url, check, &hooks, &store->engine, err);
}

static gage_rc
open_engine(struct store *store, const struct store_options *options, struct gage_err *err)
{
    if (starts_with(options->url, SQLITE_SCHEME))
        return open_sqlite(store, options, err);
    if (starts_with(options->url, "postgresql://") || starts_with(options->url, "postgres://"))
        return open_postgres(store, options, err);
    return gage_fail(err, GAGE_E_USAGE, "the store's URL is neither sqlite:///PATH nor postgresql://...");
}

static gage_rc
start_lanes(struct store *store, struct gage_err *err)
{
    TRY(lane_start(&store->writes, store_run_writes, store, err));
    return store->engine->ops->local ? GAGE_DONE : lane_start(&store->reads, store_run_reads, store, err);
}

gage_rc
store_open(const struct store_options *options, struct store **out, struct gage_err *err)
{
    REQUIRE(options->url != NULL, err, GAGE_E_USAGE, "no store is configured");
    struct store *store = calloc(1, sizeof *store);
    REQUIRE(store != NULL, err, GAGE_E_NOMEM, "no memory for the store");
    size_t queue_max = options->queue_max > 0 ? options->queue_max : QUEUE_DEFAULT;
    size_t batch_max = options->batch_max > 0 ? options->batch_max : BATCH_DEFAULT;
    store->batch_max = batch_max < BATCH_LARGEST ? batch_max : BATCH_LARGEST;
    store->wake = options->wake;
    store->report = options->report;
    store->context = options->context;
    pthread_mutex_init(&store->state, NULL);
    pthread_mutex_init(&store->writer, NULL);
    lane_init(&store->writes, queue_max, QUEUE_BYTES);
    lane_init(&store->reads, queue_max, QUEUE_BYTES);
    lane_init(&store->later, LATER_MAX, QUEUE_BYTES);
    store_set_limits(store, &options->limits);
    gage_rc rc = open_engine(store, options, err);
    if (gage_ok(rc))
        rc = workshop_make(&store->workshop, store->batch_max, err);
    if (gage_ok(rc))
        rc = start_lanes(store, err);
    if (!gage_ok(rc))
        store_close(&store);
    *out = store;
    return rc;
}

static void
interrupt(void *context)
{
    struct store *store = context;
    if (store->engine->ops->interrupt != NULL)
        store->engine->ops->interrupt(store->engine);
}

void
store_close(struct store **closing)
{
    struct store *store = *closing;
    if (store == NULL)
        return;
    lane_stop(&store->writes, PATIENCE_MS, interrupt, store); /* first: its last reads go over to the read lane */
    lane_stop(&store->reads, PATIENCE_MS, interrupt, store);
    if (store->engine != NULL)
        store->engine->ops->close(store->engine);
    hmac_key_cleanup(&store->key);
    workshop_free(&store->workshop);
    lane_cleanup(&store->writes);
    lane_cleanup(&store->reads);
    lane_cleanup(&store->later);
    pthread_mutex_destroy(&store->state);
    pthread_mutex_destroy(&store->writer);
    gage_wipe(store, sizeof *store);
    free(store);
    *closing = NULL;
}

/* ---- operations ---- */

static bool
fits(const struct store_request *q)
{
    bool claimed = q->verb != STORE_DISPLAY, identified = claimed && q->verb != STORE_READ;
    bool paid = q->verb == STORE_CREATE || q->verb == STORE_UPDATE;
    return (!claimed || (q->claim.n >= 1 && q->claim.n <= STORE_CLAIM_MAX)) &&
           (!identified || (q->request_id.n >= 1 && q->request_id.n <= STORE_REQUEST_ID_MAX)) &&
           (!paid || (q->payload_type.n <= STORE_TYPE_MAX && q->payload.n + q->payload_type.n <= STORE_PAYLOAD_MAX)) &&
           (q->verb != STORE_CREATE || (q->display.n <= STORE_DISPLAY_MAX && q->payload_max <= STORE_PAYLOAD_MAX &&
                                        q->expires >= 0 && q->rights <= 7)) &&
           q->token.n <= STORE_TOKEN_MAX;
}

/* Checks and names the operation; false: it is answered. */
static bool
prepare(struct store *store, struct store_op *op)
{
    op->inner.final = false;
    result_fail(&op->result, STORE_TOO_LARGE);
    if (!fits(&op->request))
        return false;
    op->result.verdict = STORE_UNAVAILABLE;
    return gage_ok(keyed_names(&store->key, op));
}

bool
store_try(struct store *store, struct store_op *op)
{
    enum store_verb verb = op->request.verb;
    if (!store->engine->ops->local || (verb != STORE_READ && verb != STORE_DISPLAY))
        return false;
    if (!prepare(store, op))
        return true;
    if (lane_holds(&store->later, op->result.tag))
        return false;
    struct gage_err err = {0};
    enum read_need need = READ_ANSWERED;
    bool writer = pthread_mutex_trylock(&store->writer) == 0; /* its connection has the pages in memory */
    gage_rc rc = store->engine->ops->read(store->engine, &op, &need, 1, writer, &err);
    if (writer)
        pthread_mutex_unlock(&store->writer);
    if (gage_ok(rc) && need == READ_NEEDS_WRITE)
        return false;
    if (!gage_ok(rc)) {
        result_fail(&op->result, STORE_UNAVAILABLE);
        store_note(store, rc, &err);
    }
    store_count(store, &store->stats.reads_direct, 1);
    return true;
}

static void
nothing_to_tell(struct store_op *op)
{
}

static void
run_alone(struct store *store, struct store_op *op)
{
    void (*done)(struct store_op *) = op->done;
    int64_t began = clock_monotonic_ns();
    struct workshop *w = &store->workshop;
    bool over;
    size_t n = lane_take(&store->later, w->ops, store->batch_max - 1, BATCH_BYTES, &over);
    op->done = nothing_to_tell;
    w->ops[n] = op;
    store_run_batch(store, &w->batch, w->ops, n + 1);
    op->done = done;
    int64_t ended = clock_monotonic_ns();
    if (ended - began > SLOW_NS)
        store->slow_until_ns = ended + SLOW_FOR_NS;
    store_count(store, &store->stats.immediate, 1);
}

bool
store_now(struct store *store, struct store_op *op)
{
    if (!store->engine->ops->local || clock_monotonic_ns() < store->slow_until_ns || lane_count(&store->writes) > 0 ||
        !gage_ok(store_health(store, NULL)) || pthread_mutex_trylock(&store->writer) != 0)
        return false;
    store->busy_since_ns = clock_monotonic_ns();
    if (prepare(store, op))
        run_alone(store, op);
    store->busy_since_ns = 0;
    pthread_mutex_unlock(&store->writer);
    return true;
}

bool
store_submit(struct store *store, struct store_op *op)
{
    enum store_verb verb = op->request.verb;
    if (!prepare(store, op))
        return false;
    bool reads = !store->engine->ops->local && (verb == STORE_READ || verb == STORE_DISPLAY);
    if (lane_push(reads ? &store->reads : &store->writes, op, false))
        return true;
    store_count(store, &store->stats.refused_queue, 1);
    return false;
}

bool
store_later(struct store *store, struct store_op *op)
{
    enum store_verb verb = op->request.verb;
    bool fits_here = verb == STORE_UPDATE || verb == STORE_RELINQUISH || verb == STORE_DELETE;
    return store->engine->ops->local && fits_here && prepare(store, op) && lane_push(&store->later, op, false);
}

void
store_flush(struct store *store)
{
    if (lane_count(&store->later) > 0)
        lane_poke(&store->writes);
}

gage_rc
store_tag_of(const struct store *store, const uint8_t mailbox[UUID_LEN], uint8_t tag[STORE_TAG_LEN])
{
    return keyed_tag(&store->key, mailbox, tag);
}

/* ---- state ---- */

void
store_sweep(struct store *store, int64_t now)
{
    pthread_mutex_lock(&store->state);
    store->sweep_wanted = true;
    store->sweep_until = now;
    pthread_mutex_unlock(&store->state);
    lane_poke(&store->writes);
}

void
store_set_limits(struct store *store, const struct store_limits *limits)
{
    pthread_mutex_lock(&store->state);
    store->limits.mailboxes = limits->mailboxes > 0 ? limits->mailboxes : MAILBOXES_DEFAULT;
    store->limits.bytes = limits->bytes > 0 ? limits->bytes : BYTES_DEFAULT;
    pthread_mutex_unlock(&store->state);
}

void
store_count(struct store *store, uint64_t *counter, uint64_t n)
{
    (void)store;
    __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

void
store_stats(struct store *store, struct store_stats *out)
{
    const uint64_t *from = (const uint64_t *)&store->stats;
    _Static_assert(offsetof(struct store_stats, shared) % sizeof(uint64_t) == 0, "counters come first");
    uint64_t *to = (uint64_t *)out;
    *out = (struct store_stats){.shared = store->engine->ops->shared};
    for (size_t i = 0; i < offsetof(struct store_stats, shared) / sizeof(uint64_t); i++)
        to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
    out->queued = lane_count(&store->writes) + lane_count(&store->reads) + lane_count(&store->later);
    store->engine->ops->usage(store->engine, &out->mailboxes, &out->reserved_bytes);
    pthread_mutex_lock(&store->state);
    out->mailboxes_max = store->limits.mailboxes;
    out->reserved_max = store->limits.bytes;
    pthread_mutex_unlock(&store->state);
}

void
store_note(struct store *store, gage_rc rc, const struct gage_err *err)
{
    pthread_mutex_lock(&store->state);
    bool fails = !gage_ok(rc);
    bool changed = fails != store->failing;
    store->failing = fails;
    if (fails)
        store->failure = *err;
    pthread_mutex_unlock(&store->state);
    if (changed && fails)
        lane_poke(&store->writes); /* it probes from now on, whoever's write it was that failed */
    if (changed && store->report != NULL)
        store->report(store->context, fails, fails ? err : NULL);
}

static gage_rc
check_stuck(const struct store *store, struct gage_err *err)
{
    int64_t since = store->busy_since_ns;
    REQUIRE(since == 0 || clock_monotonic_ns() - since < STUCK_NS, err, GAGE_E_UNAVAILABLE,
            "the database has not answered for ten seconds: look at it, its disk and its network");
    return GAGE_DONE;
}

gage_rc
store_health(struct store *store, struct gage_err *err)
{
    gage_rc rc = GAGE_DONE;
    pthread_mutex_lock(&store->state);
    if (store->failing) {
        rc = gage_rc_of(store->failure.code);
        if (err != NULL)
            *err = store->failure;
    }
    pthread_mutex_unlock(&store->state);
    return gage_ok(rc) ? check_stuck(store, err) : rc;
}
