/* Several relays on one PostgreSQL database, and what goes wrong between a relay and its database. Run by tests/lib/postgres.py. */
#include "unit/test.h"

#include "relayd/store_kit.h"

#include <libpq-fe.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/file.h"

/* One relay and what it was told. */
struct relay {
    struct store *store;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    uint8_t tag[STORE_TAG_LEN];
    unsigned wakes, all_wakes, warnings, failures;
    uint64_t version;
    enum store_role writer;
    char warning[256];
};

static PGconn *admin;

/* ---- the administrator ---- */

static void
sql(const char *text)
{
    PGresult *result = PQexec(admin, text);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        fail_msg("%s: %s", text, PQerrorMessage(admin));
    PQclear(result);
}

/* The first column of the first row as a number; 0 where there is none. */
static long
ask(const char *text)
{
    PGresult *result = PQexec(admin, text);
    long n = PQntuples(result) > 0 ? atol(PQgetvalue(result, 0, 0)) : 0;
    PQclear(result);
    return n;
}

static long
ask_until(const char *text)
{
    long n;
    while ((n = ask(text)) == 0)
        usleep(5000);
    return n;
}

/* ---- relays ---- */

static void
on_wake(void *context, const uint8_t *tag, enum store_role writer, uint64_t version)
{
    struct relay *relay = context;
    pthread_mutex_lock(&relay->lock);
    relay->all_wakes += tag == NULL;
    if (tag != NULL && memcmp(tag, relay->tag, STORE_TAG_LEN) == 0) {
        relay->wakes++;
        relay->version = version;
        relay->writer = writer;
    }
    pthread_cond_broadcast(&relay->moved);
    pthread_mutex_unlock(&relay->lock);
}

static void
on_report(void *context, bool serious, const struct gage_err *err)
{
    struct relay *relay = context;
    pthread_mutex_lock(&relay->lock);
    relay->failures += serious;
    relay->warnings += !serious && err != NULL;
    if (!serious && err != NULL)
        snprintf(relay->warning, sizeof relay->warning, "%s", err->text);
    pthread_mutex_unlock(&relay->lock);
}

static void
relay_start(struct relay *relay)
{
    *relay = (struct relay){.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};
    struct store_options options = kit_options();
    options.wake = on_wake;
    options.report = on_report;
    options.context = relay;
    relay->store = kit_open(&options);
    pthread_mutex_lock(&relay->lock); /* it listens once it has said that changes may have been missed */
    while (relay->all_wakes == 0)
        pthread_cond_wait(&relay->moved, &relay->lock);
    pthread_mutex_unlock(&relay->lock);
}

static void
wait_for_wakes(struct relay *relay, unsigned count)
{
    pthread_mutex_lock(&relay->lock);
    while (relay->wakes < count)
        pthread_cond_wait(&relay->moved, &relay->lock);
    pthread_mutex_unlock(&relay->lock);
}

static void
wait_for_all_wakes(struct relay *relay, unsigned count)
{
    pthread_mutex_lock(&relay->lock);
    while (relay->all_wakes < count)
        pthread_cond_wait(&relay->moved, &relay->lock);
    pthread_mutex_unlock(&relay->lock);
}

static struct relay a, b;

static int
start_both(void **state)
{
    relay_start(&a);
    relay_start(&b);
    return 0;
}

static int
stop_both(void **state)
{
    store_close(&a.store);
    store_close(&b.store);
    return 0;
}

static void
watch(const struct box *box)
{
    for (size_t i = 0; i < 2; i++) {
        struct relay *relay = i == 0 ? &a : &b;
        pthread_mutex_lock(&relay->lock);
        assert_ok(store_tag_of(relay->store, box->id, relay->tag));
        relay->wakes = 0;
        pthread_mutex_unlock(&relay->lock);
    }
}

/* ---- two relays ---- */

TEST(a_change_on_one_relay_wakes_readers_on_the_other_once)
{
    struct box box;
    assert_int_equal(box_create(a.store, &box, "one"), STORE_OK);
    watch(&box);
    assert_int_equal(box_read(b.store, &box, box.recipient, NULL), STORE_OK);
    assert_int_equal(box_update(b.store, &box, box.recipient, "two", NULL), STORE_OK);
    wait_for_wakes(&a, 1);
    assert_int_equal(a.version, 2);
    assert_int_equal(a.writer, STORE_RECIPIENT);
    assert_true(box_holds(a.store, &box, box.initiator, "two"));
    assert_int_equal(box_plain(a.store, STORE_DELETE, &box, box.initiator, NULL), STORE_OK);
    wait_for_wakes(&b, 2); /* its own, and the other's */
    assert_int_equal(b.version, 0);
    assert_int_equal(b.writer, STORE_INITIATOR);
    wait_for_wakes(&a, 2);
    assert_int_equal(a.wakes, 2);
}

TEST(hundreds_of_changes_in_one_batch_all_cross)
{
    enum { COUNT = 300 };
    static struct box box[COUNT];
    static struct call calls[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(box_create(a.store, &box[i], "one"), STORE_OK);
    watch(&box[COUNT - 1]);
    for (size_t i = 0; i < COUNT; i++) {
        call_init(&calls[i], STORE_UPDATE, box[i].id, box[i].initiator);
        call_start(a.store, &calls[i]);
    }
    for (size_t i = 0; i < COUNT; i++) {
        call_wait(&calls[i]);
        assert_int_equal(calls[i].op.result.verdict, STORE_OK);
    }
    wait_for_wakes(&b, 1);
    assert_int_equal(b.version, 2);
}

TEST(a_request_repeated_at_the_other_relay_is_a_duplicate)
{
    struct box box = {.initiator = kit_fresh()};
    struct call first, again;
    uint8_t other[UUID_LEN];
    assert_ok(uuid_make(&gage_system_rng, box.id));
    assert_ok(uuid_make(&gage_system_rng, other));
    call_init(&first, STORE_CREATE, box.id, box.initiator);
    assert_int_equal(call_run(a.store, &first), STORE_OK);
    call_init(&again, STORE_CREATE, other, box.initiator);
    memcpy(again.request_id, first.request_id, sizeof again.request_id);
    assert_int_equal(call_run(b.store, &again), STORE_DUPLICATE);
    assert_memory_equal(again.op.result.mailbox, box.id, UUID_LEN);
    call_init(&first, STORE_UPDATE, box.id, box.initiator);
    assert_int_equal(call_run(b.store, &first), STORE_OK);
    call_init(&again, STORE_UPDATE, box.id, box.initiator);
    memcpy(again.request_id, first.request_id, sizeof again.request_id);
    assert_int_equal(call_run(a.store, &again), STORE_DUPLICATE);
    assert_int_equal(again.op.result.version, 2);
}

TEST(the_quota_counts_both_relays_mailboxes)
{
    struct box box;
    struct store_stats stats;
    assert_int_equal(box_create(b.store, &box, "one"), STORE_OK);
    assert_int_equal(box_create(a.store, &box, "one"), STORE_OK);
    store_stats(a.store, &stats);
    store_set_limits(b.store, &(struct store_limits){.mailboxes = stats.mailboxes});
    assert_int_equal(box_create(b.store, &box, "one"), STORE_FULL);
    assert_int_equal(box_create(a.store, &box, "one"), STORE_OK);
    store_set_limits(b.store, &(struct store_limits){0});
    assert_true(stats.shared);
    assert_int_equal(ask("SELECT ((SELECT count(*) FROM gage_mailbox) = (SELECT sum(mailboxes) FROM gage_usage))::int"),
                     1);
}

#define THREADS 64

struct racer {
    pthread_t thread;
    struct store *store;
    struct box box;
    uint64_t claim, request_id, version;
    uint8_t id[UUID_LEN];
    enum store_verdict verdict;
};

static void
race(struct racer *racers, void *(*run)(void *))
{
    for (size_t i = 0; i < THREADS; i++) {
        racers[i].store = i % 2 == 0 ? a.store : b.store;
        assert_int_equal(pthread_create(&racers[i].thread, NULL, run, &racers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(racers[i].thread, NULL), 0);
}

static void *
race_to_bind(void *context)
{
    struct racer *racer = context;
    racer->verdict = box_read(racer->store, &racer->box, racer->claim, NULL);
    return NULL;
}

TEST(r13_of_64_claims_racing_at_two_relays_exactly_one_is_bound)
{
    struct racer racers[THREADS] = {0};
    struct box box;
    size_t bound = 0;
    assert_int_equal(box_create(a.store, &box, "one"), STORE_OK);
    for (size_t i = 0; i < THREADS; i++) {
        racers[i].box = box;
        racers[i].claim = kit_fresh();
    }
    race(racers, race_to_bind);
    for (size_t i = 0; i < THREADS; i++) {
        bound += racers[i].verdict == STORE_OK;
        assert_true(racers[i].verdict == STORE_OK || racers[i].verdict == STORE_UNAUTHORIZED);
    }
    assert_int_equal(bound, 1);
}

static void *
race_one_create(void *context)
{
    struct racer *racer = context;
    struct call call;
    uint8_t id[UUID_LEN];
    (void)!gage_ok(uuid_make(&gage_system_rng, id));
    call_init(&call, STORE_CREATE, id, racer->claim);
    kit_name(call.request_id, racer->request_id);
    racer->verdict = call_run(racer->store, &call);
    memcpy(racer->id, call.op.result.mailbox, UUID_LEN);
    return NULL;
}

TEST(r22_of_64_repeats_of_a_create_racing_at_two_relays_one_makes_a_mailbox)
{
    for (int round = 0; round < 5; round++) {
        struct racer racers[THREADS] = {0};
        uint64_t claim = kit_fresh(), request_id = kit_fresh();
        size_t made = 0;
        for (size_t i = 0; i < THREADS; i++) {
            racers[i].claim = claim;
            racers[i].request_id = request_id;
        }
        race(racers, race_one_create);
        for (size_t i = 0; i < THREADS; i++) {
            made += racers[i].verdict == STORE_OK;
            assert_true(racers[i].verdict == STORE_OK || racers[i].verdict == STORE_DUPLICATE);
            assert_memory_equal(racers[i].id, racers[0].id, UUID_LEN);
        }
        assert_int_equal(made, 1);
    }
}

static void *
race_to_update(void *context)
{
    struct racer *racer = context;
    struct call call;
    call_init(&call, STORE_UPDATE, racer->box.id, racer->box.initiator);
    racer->verdict = call_run(racer->store, &call);
    racer->version = call.op.result.version;
    return NULL;
}

TEST(updates_racing_at_two_relays_have_different_versions)
{
    struct racer racers[THREADS] = {0};
    struct box box;
    bool seen[THREADS + 2] = {false};
    assert_int_equal(box_create(a.store, &box, "one"), STORE_OK);
    for (size_t i = 0; i < THREADS; i++)
        racers[i].box = box;
    race(racers, race_to_update);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(racers[i].verdict, STORE_OK);
        assert_in_range(racers[i].version, 2, THREADS + 1);
        assert_false(seen[racers[i].version]);
        seen[racers[i].version] = true;
    }
}

/* ---- what goes wrong ---- */

TEST(a_broken_connection_is_made_anew_and_missed_wakes_are_made_up_for)
{
    struct box box;
    assert_int_equal(box_create(a.store, &box, "one"), STORE_OK);
    pthread_mutex_lock(&b.lock);
    unsigned before = b.all_wakes;
    pthread_mutex_unlock(&b.lock);
    sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gage-relayd'");
    assert_true(box_holds(a.store, &box, box.initiator, "one"));
    assert_int_equal(box_update(a.store, &box, box.initiator, "two", NULL), STORE_OK);
    assert_true(box_holds(b.store, &box, box.initiator, "two"));
    wait_for_all_wakes(&b, before + 1);
    watch(&box);
    assert_int_equal(box_update(a.store, &box, box.initiator, "three", NULL), STORE_OK);
    wait_for_wakes(&b, 1);
}

TEST(a_failed_commit_is_unavailable_for_the_whole_batch_and_remembers_nothing)
{
    enum { COUNT = 5 };
    struct box box[COUNT];
    static struct call calls[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(box_create(a.store, &box[i], "one"), STORE_OK);
    sql("CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''the test says no''; END';"
        "CREATE CONSTRAINT TRIGGER fail AFTER UPDATE ON gage_mailbox DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
        " EXECUTE FUNCTION fail()");
    for (size_t i = 0; i < COUNT; i++) {
        call_init(&calls[i], STORE_UPDATE, box[i].id, box[i].initiator);
        calls[i].op.request.payload = slice_str("two");
        call_start(a.store, &calls[i]);
    }
    struct gage_err err = {0};
    for (size_t i = 0; i < COUNT; i++) {
        call_wait(&calls[i]);
        assert_int_equal(calls[i].op.result.verdict, STORE_UNAVAILABLE);
        assert_true(box_holds(a.store, &box[i], box[i].initiator, "one"));
    }
    assert_code(store_health(a.store, &err), GAGE_E_UNAVAILABLE);
    assert_non_null(strstr(err.text, "the test says no"));
    sql("DROP FUNCTION fail CASCADE");
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(call_run(a.store, &calls[i]), STORE_OK);
        assert_int_equal(calls[i].op.result.version, 2);
    }
    assert_ok(store_health(a.store, NULL));
}

TEST(a_duplicate_of_an_uncommitted_write_waits_for_its_commit_and_nobody_sees_the_write_before)
{
    struct box box;
    struct call first, dup, other;
    assert_int_equal(box_create(a.store, &box, "one"), STORE_OK);
    sql("BEGIN; LOCK TABLE gage_mailbox IN SHARE ROW EXCLUSIVE MODE");
    call_init(&first, STORE_UPDATE, box.id, box.initiator);
    first.op.request.payload = slice_str("two");
    call_start(a.store, &first);
    ask_until("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'gage_mailbox'::regclass");
    call_init(&dup, STORE_UPDATE, box.id, box.initiator);
    memcpy(dup.request_id, first.request_id, sizeof dup.request_id);
    call_start(a.store, &dup);
    call_init(&other, STORE_UPDATE, box.id, box.initiator); /* and at the other relay */
    memcpy(other.request_id, first.request_id, sizeof other.request_id);
    call_start(b.store, &other);
    assert_true(box_holds(a.store, &box, box.initiator, "one"));
    assert_true(box_holds(b.store, &box, box.initiator, "one"));
    assert_false(first.finished || dup.finished || other.finished);
    sql("COMMIT");
    call_wait(&first);
    call_wait(&dup);
    call_wait(&other);
    assert_int_equal(first.op.result.verdict, STORE_OK);
    assert_int_equal(dup.op.result.verdict, STORE_DUPLICATE);
    assert_int_equal(other.op.result.verdict, STORE_DUPLICATE);
    assert_true(box_holds(b.store, &box, box.initiator, "two"));
}

TEST(a_commit_whose_standby_was_not_waited_for_is_not_acknowledged)
{
    struct box box;
    struct call call;
    assert_int_equal(box_create(a.store, &box, "one"), STORE_OK);
    sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    sql("SELECT pg_reload_conf()");
    ask_until("SELECT (current_setting('synchronous_standby_names') = 'nobody')::int");
    usleep(200000); /* the other backends have heard it too */
    call_init(&call, STORE_UPDATE, box.id, box.initiator);
    call_start(a.store, &call);
    long pid = ask_until("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
    assert_false(call.finished);
    char text[64];
    snprintf(text, sizeof text, "SELECT pg_cancel_backend(%ld)", pid);
    sql(text);
    call_wait(&call);
    assert_int_equal(call.op.result.verdict, STORE_UNAVAILABLE);
    sql("ALTER SYSTEM RESET synchronous_standby_names");
    sql("SELECT pg_reload_conf()");
    assert_int_equal(call_run(a.store, &call), STORE_DUPLICATE); /* it is there after all */
    assert_int_equal(call.op.result.version, 2);
}

TEST(closing_does_not_wait_for_a_database_that_hangs)
{
    struct relay relay;
    struct box box;
    struct call call;
    relay_start(&relay);
    assert_int_equal(box_create(relay.store, &box, "one"), STORE_OK);
    long pid = ask("SELECT pid FROM pg_stat_activity WHERE application_name = 'gage-relayd' AND query = 'COMMIT'"
                   " ORDER BY backend_start DESC");
    assert_true(pid > 0);
    assert_int_equal(kill((pid_t)pid, SIGSTOP), 0);
    call_init(&call, STORE_UPDATE, box.id, box.initiator);
    call_start(relay.store, &call);
    store_close(&relay.store);
    assert_int_equal(kill((pid_t)pid, SIGCONT), 0);
    assert_true(call.finished);
    assert_int_equal(call.op.result.verdict, STORE_UNAVAILABLE);
}

/* ---- opening ---- */

TEST(one_node_alone_is_warned_of)
{
    assert_int_equal(a.warnings, 1);
    assert_non_null(strstr(a.warning, "durable on one node only"));
}

static void
refuses(const char *url, const char *key_file, enum gage_code code)
{
    struct store_options options = {.url = url, .key_file = key_file};
    struct store *store = NULL;
    struct gage_err err = {0};
    assert_code(store_open(&options, &store, &err), code);
    assert_null(store);
    assert_null(strstr(err.text, "hunter2"));
    assert_true(strlen(err.text) > 20);
}

TEST(opening_refuses_what_cannot_be_right)
{
    char other[128];
    snprintf(other, sizeof other, "%s/other.key", kit_folder());
    assert_ok(file_install(other, SLICE_LITERAL("0123456789abcdef0123456789abcdef"), 0600, NULL));
    refuses(kit_url(), other, GAGE_E_SECRET);
    refuses(kit_url(), NULL, GAGE_E_USAGE);
    refuses("postgresql://me:hunter2@/postgres", other, GAGE_E_USAGE);
    refuses("postgresql:///postgres?user=me&password=hunter2", other, GAGE_E_USAGE);
    refuses("postgresql:///postgres?host=/nowhere", other, GAGE_E_UNAVAILABLE);
    sql("UPDATE gage_meta SET value = '\\x63' WHERE name = 'schema'");
    refuses(kit_url(), kit_key(), GAGE_E_FORMAT);
    sql("UPDATE gage_meta SET value = '\\x01' WHERE name = 'schema'");
}

TEST(a_damaged_row_is_unavailable_and_its_neighbours_are_not)
{
    struct box bad, good;
    assert_int_equal(box_create(a.store, &bad, "one"), STORE_OK);
    assert_int_equal(box_create(a.store, &good, "one"), STORE_OK);
    uint8_t tag[STORE_TAG_LEN];
    AUTO(gage_buf) text = GAGE_BUF(256);
    assert_ok(store_tag_of(a.store, bad.id, tag));
    put_bytes(&text, slice_str("UPDATE gage_mailbox SET head = '\\x01ff' WHERE tag = '\\x"));
    put_hex(&text, SLICE_OF(tag));
    put_bytes(&text, gage_slice_of("'", 2));
    sql((const char *)text.p);
    assert_int_equal(box_read(a.store, &bad, bad.initiator, NULL), STORE_UNAVAILABLE);
    assert_int_equal(box_update(a.store, &bad, bad.initiator, "x", NULL), STORE_UNAVAILABLE);
    assert_true(box_holds(a.store, &good, good.initiator, "one"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_change_on_one_relay_wakes_readers_on_the_other_once),
        CASE(hundreds_of_changes_in_one_batch_all_cross),
        CASE(a_request_repeated_at_the_other_relay_is_a_duplicate),
        CASE(the_quota_counts_both_relays_mailboxes),
        CASE(r13_of_64_claims_racing_at_two_relays_exactly_one_is_bound),
        CASE(r22_of_64_repeats_of_a_create_racing_at_two_relays_one_makes_a_mailbox),
        CASE(updates_racing_at_two_relays_have_different_versions),
        CASE(a_broken_connection_is_made_anew_and_missed_wakes_are_made_up_for),
        CASE(a_failed_commit_is_unavailable_for_the_whole_batch_and_remembers_nothing),
        CASE(a_duplicate_of_an_uncommitted_write_waits_for_its_commit_and_nobody_sees_the_write_before),
        CASE(a_commit_whose_standby_was_not_waited_for_is_not_acknowledged),
        CASE(closing_does_not_wait_for_a_database_that_hangs),
        CASE(one_node_alone_is_warned_of),
        CASE(opening_refuses_what_cannot_be_right),
        CASE(a_damaged_row_is_unavailable_and_its_neighbours_are_not),
    };
    if (kit_is_sqlite())
        return 2;
    admin = PQconnectdb(kit_url());
    cmocka_set_message_output(CM_OUTPUT_TAP);
    int failed = cmocka_run_group_tests(tests, start_both, stop_both);
    PQfinish(admin);
    return failed;
}
