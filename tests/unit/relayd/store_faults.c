/* The SQLite store while its disk fails, is full, is slow, or loses what was not synced. */
#include "unit/test.h"

#include "relayd/fault_vfs.h"
#include "relayd/store_kit.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    pthread_mutex_t lock;
    unsigned failures, recoveries, wakes;
    struct gage_err last;
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void
on_report(void *context, bool serious, const struct gage_err *err)
{
    pthread_mutex_lock(&seen.lock);
    seen.failures += err != NULL;
    seen.recoveries += err == NULL;
    if (err != NULL)
        seen.last = *err;
    pthread_mutex_unlock(&seen.lock);
}

static void
on_wake(void *context, const uint8_t *tag, enum store_role writer, uint64_t version)
{
    pthread_mutex_lock(&seen.lock);
    seen.wakes++;
    pthread_mutex_unlock(&seen.lock);
}

static unsigned
count_seen(const unsigned *what)
{
    pthread_mutex_lock(&seen.lock);
    unsigned now = *what;
    pthread_mutex_unlock(&seen.lock);
    return now;
}

static struct store *
open_reporting(void)
{
    struct store_options options = kit_options();
    options.report = on_report;
    options.wake = on_wake;
    return kit_open(&options);
}

/* ---- failing and full disks ---- */

#define BATCH 10

static void
start_updates(struct store *store, const struct box *box, struct call *calls)
{
    for (size_t i = 0; i < BATCH; i++) {
        call_init(&calls[i], STORE_UPDATE, box[i].id, box[i].initiator);
        calls[i].op.request.payload = slice_str("two");
        call_start(store, &calls[i]);
    }
    for (size_t i = 0; i < BATCH; i++)
        call_wait(&calls[i]);
}

/* Whatever fails: everybody in the batch hears "unavailable", nothing is changed or remembered, reading goes on, and service comes
 * back by itself. */
static void
check_failure(void (*fault)(int), int code, enum gage_code health)
{
    struct store *store = open_reporting();
    struct box box[BATCH];
    static struct call calls[BATCH];
    struct gage_err err;
    for (size_t i = 0; i < BATCH; i++)
        assert_int_equal(box_create(store, &box[i], "one"), STORE_OK);
    unsigned failures = count_seen(&seen.failures), recoveries = count_seen(&seen.recoveries);
    unsigned wakes = count_seen(&seen.wakes);
    fault(code);
    start_updates(store, box, calls);
    for (size_t i = 0; i < BATCH; i++) {
        assert_int_equal(calls[i].op.result.verdict, STORE_UNAVAILABLE);
        assert_true(box_holds(store, &box[i], box[i].initiator, "one"));
    }
    assert_int_equal(count_seen(&seen.wakes), wakes);
    assert_int_equal(count_seen(&seen.failures), failures + 1);
    assert_code(store_health(store, &err), health);
    assert_non_null(strstr(err.text, "relay.db"));
    fault(0);
    for (size_t i = 0; i < BATCH; i++) { /* the same request ids again */
        assert_int_equal(call_run(store, &calls[i]), STORE_OK);
        assert_int_equal(calls[i].op.result.version, 2);
        assert_true(box_holds(store, &box[i], box[i].initiator, "two"));
    }
    assert_ok(store_health(store, NULL));
    assert_int_equal(count_seen(&seen.recoveries), recoveries + 1);
    store_close(&store);
}

TEST(a_failed_sync_is_unavailable_for_the_whole_batch_and_remembers_nothing)
{
    check_failure(fault_syncs, SQLITE_IOERR_FSYNC, GAGE_E_IO);
}

TEST(a_full_disk_is_unavailable_until_there_is_room)
{
    check_failure(fault_writes, SQLITE_FULL, GAGE_E_UNAVAILABLE);
}

TEST(a_failing_disk_is_unavailable_until_it_works)
{
    check_failure(fault_writes, SQLITE_IOERR_WRITE, GAGE_E_IO);
}

TEST(a_read_only_file_system_is_unavailable_until_it_is_writable)
{
    check_failure(fault_writes, SQLITE_READONLY, GAGE_E_IO);
}

TEST(health_comes_back_without_traffic)
{
    struct store *store = open_reporting();
    struct box box;
    fault_writes(SQLITE_FULL);
    assert_int_equal(box_create(store, &box, "one"), STORE_UNAVAILABLE);
    assert_false(gage_ok(store_health(store, NULL)));
    unsigned recoveries = count_seen(&seen.recoveries);
    fault_writes(0);
    while (count_seen(&seen.recoveries) == recoveries)
        usleep(10000);
    assert_ok(store_health(store, NULL));
    store_close(&store);
}

TEST(the_quota_is_right_after_failures)
{
    struct store *store = open_reporting();
    struct store_stats before, after;
    struct box box;
    store_stats(store, &before);
    fault_syncs(SQLITE_IOERR_FSYNC);
    for (int i = 0; i < 3; i++)
        assert_int_equal(box_create(store, &box, "one"), STORE_UNAVAILABLE);
    fault_syncs(0);
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    store_stats(store, &after);
    assert_int_equal(after.mailboxes, before.mailboxes + 1);
    store_close(&store);
    store = open_reporting();
    store_stats(store, &after);
    assert_int_equal(after.mailboxes, before.mailboxes + 1);
    assert_int_equal(after.reserved_bytes, before.reserved_bytes + store_reserve_of(4096));
    store_close(&store);
}

/* ---- slow disks ---- */

TEST(a_duplicate_of_an_unsynced_write_waits_for_its_sync_and_nobody_sees_the_write_before)
{
    struct store *store = open_reporting();
    struct box box;
    struct call first, dup, seen_before;
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    assert_int_equal(box_read(store, &box, box.recipient, NULL), STORE_OK);
    unsigned wakes = count_seen(&seen.wakes);
    fault_gate_close();
    call_init(&first, STORE_UPDATE, box.id, box.initiator);
    first.op.request.payload = slice_str("two");
    call_start(store, &first);
    fault_gate_wait();
    call_init(&dup, STORE_UPDATE, box.id, box.initiator);
    memcpy(dup.request_id, first.request_id, sizeof dup.request_id);
    call_start(store, &dup);
    assert_int_equal(box_read(store, &box, box.recipient, &seen_before), STORE_OK);
    assert_int_equal(seen_before.op.result.version, 1);
    assert_slice_equal(gage_buf_slice(&seen_before.op.result.payload), slice_str("one"));
    assert_false(first.finished);
    assert_false(dup.finished);
    assert_int_equal(count_seen(&seen.wakes), wakes);
    fault_gate_open();
    call_wait(&first);
    call_wait(&dup);
    assert_int_equal(first.op.result.verdict, STORE_OK);
    assert_int_equal(dup.op.result.verdict, STORE_DUPLICATE);
    assert_int_equal(dup.op.result.version, 2);
    assert_int_equal(count_seen(&seen.wakes), wakes + 1);
    store_op_clear(&seen_before.op);
    store_close(&store);
}

TEST(a_duplicate_of_a_write_whose_sync_fails_is_done_itself)
{
    struct store *store = open_reporting();
    struct box box;
    struct call first, dup;
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    fault_gate_close();
    fault_syncs(SQLITE_IOERR_FSYNC);
    call_init(&first, STORE_UPDATE, box.id, box.initiator);
    call_start(store, &first);
    fault_gate_wait();
    call_init(&dup, STORE_UPDATE, box.id, box.initiator);
    memcpy(dup.request_id, first.request_id, sizeof dup.request_id);
    call_start(store, &dup);
    fault_gate_open();
    call_wait(&first);
    fault_syncs(0);
    call_wait(&dup);
    assert_int_equal(first.op.result.verdict, STORE_UNAVAILABLE);
    if (dup.op.result.verdict == STORE_UNAVAILABLE) /* it may have met the failing disk too */
        assert_int_equal(call_run(store, &dup), STORE_OK);
    assert_int_equal(dup.op.result.verdict, STORE_OK);
    assert_int_equal(dup.op.result.version, 2);
    store_close(&store);
}

TEST(a_full_queue_refuses_at_once_and_loses_nothing_it_took)
{
    struct store_options options = kit_options();
    options.queue_max = 8;
    struct store *store = kit_open(&options);
    static struct call calls[32];
    struct box box;
    size_t done = 0, refused = 0;
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    fault_gate_close();
    for (size_t i = 0; i < 32; i++) {
        call_init(&calls[i], STORE_UPDATE, box.id, box.initiator);
        call_start(store, &calls[i]);
        if (i == 0)
            fault_gate_wait();
    }
    fault_gate_open();
    for (size_t i = 0; i < 32; i++) {
        call_wait(&calls[i]);
        done += calls[i].op.result.verdict == STORE_OK;
        refused += calls[i].op.result.verdict == STORE_UNAVAILABLE;
    }
    assert_int_equal(done, 9); /* one in the held batch, eight in the queue */
    assert_int_equal(refused, 23);
    struct store_stats stats;
    store_stats(store, &stats);
    assert_int_equal(stats.refused_queue, 23);
    store_close(&store);
}

static uint64_t
count_immediate(struct store *store)
{
    struct store_stats stats;
    store_stats(store, &stats);
    return stats.immediate;
}

TEST(an_idle_store_works_in_the_callers_thread_and_a_busy_one_does_not)
{
    struct store *store = open_reporting();
    struct box box;
    struct call first, second;
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    uint64_t before = count_immediate(store);
    call_init(&first, STORE_UPDATE, box.id, box.initiator);
    call_init(&second, STORE_UPDATE, box.id, box.initiator);
    fault_gate_close();
    call_start(store, &first);
    fault_gate_wait();
    assert_false(store_now(store, &second.op));
    fault_gate_open();
    call_wait(&first);
    while (!store_now(store, &second.op)) /* the store's thread is still on its way out */
        ;
    assert_int_equal(second.op.result.verdict, STORE_OK);
    assert_int_equal(second.op.result.version, 3);
    assert_false(second.finished);
    assert_int_equal(count_immediate(store), before + 1);
    store_close(&store);
}

static void *
run_now(void *context)
{
    void **both = context;
    while (!store_now(both[0], both[1]))
        ;
    return NULL;
}

TEST(after_a_slow_sync_the_stores_thread_waits_for_the_disk_and_no_other)
{
    struct store *store = open_reporting();
    struct box box;
    struct call slow, next;
    pthread_t thread;
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    call_init(&slow, STORE_UPDATE, box.id, box.initiator);
    call_init(&next, STORE_UPDATE, box.id, box.initiator);
    fault_gate_close();
    assert_int_equal(pthread_create(&thread, NULL, run_now, (void *[]){store, &slow.op}), 0);
    fault_gate_wait();
    nanosleep(&(struct timespec){0, 30000000}, NULL);
    fault_gate_open();
    pthread_join(thread, NULL);
    assert_int_equal(slow.op.result.verdict, STORE_OK);
    assert_false(store_now(store, &next.op));
    assert_int_equal(call_run(store, &next), STORE_OK);
    store_close(&store);
}

/* ---- what nobody waits for ---- */

static uint64_t
count_batches(struct store *store)
{
    struct store_stats stats;
    store_stats(store, &stats);
    return stats.batches;
}

TEST(what_is_to_be_done_later_goes_along_with_the_next_transaction)
{
    struct store *store = open_reporting();
    struct box box, other;
    struct call later;
    for (int i = 0; i < 4; i++) { /* in the calling thread, and through the queue */
        assert_int_equal(box_create(store, &box, "one"), STORE_OK);
        assert_int_equal(box_create(store, &other, "one"), STORE_OK);
        uint64_t before = count_batches(store);
        call_init(&later, STORE_DELETE, box.id, box.initiator);
        assert_true(store_later(store, &later.op));
        assert_false(later.finished);
        assert_int_equal(count_batches(store), before);
        assert_int_equal(box_update(store, &other, other.initiator, "two", NULL), STORE_OK);
        call_wait(&later);
        assert_int_equal(later.op.result.verdict, STORE_OK);
        assert_int_equal(count_batches(store), before + 1);
        assert_int_equal(box_read(store, &box, box.initiator, NULL), STORE_NOT_FOUND);
        if (i % 2 == 0) /* the next round takes the other way */
            assert_int_equal(box_update(store, &other, other.initiator, "three", NULL), STORE_OK);
    }
    store_close(&store);
}

TEST(a_read_does_not_overtake_what_is_to_be_done_later)
{
    struct store *store = open_reporting();
    struct box box;
    struct call later, read;
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    call_init(&later, STORE_DELETE, box.id, box.initiator);
    call_init(&read, STORE_READ, box.id, box.initiator);
    assert_true(store_later(store, &later.op));
    assert_false(store_try(store, &read.op));
    assert_int_equal(call_run(store, &read), STORE_NOT_FOUND);
    call_wait(&later);
    store_close(&store);
}

TEST(what_is_to_be_done_later_is_done_on_demand_and_before_closing)
{
    struct store *store = open_reporting();
    struct box box;
    struct call later, last;
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    call_init(&later, STORE_UPDATE, box.id, box.initiator);
    call_init(&last, STORE_DELETE, box.id, box.initiator);
    assert_true(store_later(store, &later.op));
    store_flush(store);
    call_wait(&later);
    assert_int_equal(later.op.result.version, 2);
    assert_true(store_later(store, &last.op));
    store_close(&store);
    assert_true(last.finished);
    assert_int_equal(last.op.result.verdict, STORE_OK);
}

TEST(only_what_answers_nothing_can_be_done_later)
{
    struct store *store = open_reporting();
    struct box box;
    struct call call;
    static const enum store_verb verbs[] = {STORE_CREATE, STORE_READ, STORE_DISPLAY};
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        call_init(&call, verbs[i], box.id, box.initiator);
        assert_false(store_later(store, &call.op));
    }
    store_close(&store);
}

TEST(closing_answers_what_is_queued)
{
    struct store *store = open_reporting();
    static struct call calls[20];
    struct box box;
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    fault_gate_close();
    for (size_t i = 0; i < 20; i++) {
        call_init(&calls[i], STORE_UPDATE, box.id, box.initiator);
        call_start(store, &calls[i]);
    }
    fault_gate_open();
    store_close(&store);
    for (size_t i = 0; i < 20; i++) {
        assert_true(calls[i].finished);
        assert_int_equal(calls[i].op.result.verdict, STORE_OK);
    }
}

/* ---- power cuts ---- */

TEST(what_was_acknowledged_survives_a_power_cut)
{
    char cut[256], path[300], key[300], url[320];
    snprintf(cut, sizeof cut, "%s/cut", kit_folder());
    assert_int_equal(mkdir(cut, 0700), 0);
    struct store *store = open_reporting();
    struct box kept[30], deleted;
    fault_keep_synced(cut);
    for (size_t i = 0; i < 30; i++) {
        assert_int_equal(box_create(store, &kept[i], "one"), STORE_OK);
        assert_int_equal(box_read(store, &kept[i], kept[i].recipient, NULL), STORE_OK);
        assert_int_equal(box_update(store, &kept[i], kept[i].recipient, "two", NULL), STORE_OK);
        if (i == 15) /* also across a checkpoint */
            store_sweep(store, 0);
    }
    assert_int_equal(box_create(store, &deleted, "one"), STORE_OK);
    assert_int_equal(box_plain(store, STORE_DELETE, &deleted, deleted.initiator, NULL), STORE_OK);
    fault_keep_synced(NULL); /* the power is cut here */
    store_close(&store);
    snprintf(path, sizeof path, "%s/relay.db", cut);
    snprintf(url, sizeof url, "sqlite://%s", path);
    struct store_options options = {.url = url, .key_file = kit_key()};
    store = kit_open(&options);
    for (size_t i = 0; i < 30; i++) {
        assert_true(box_holds(store, &kept[i], kept[i].initiator, "two"));
        assert_int_equal(box_read(store, &kept[i], kit_fresh(), NULL), STORE_UNAUTHORIZED);
    }
    assert_int_equal(box_read(store, &deleted, deleted.initiator, NULL), STORE_NOT_FOUND);
    store_close(&store);
    static const char *const names[] = {"relay.db", "relay.db-wal", "relay.db-shm", "relay.db.lock"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(key, sizeof key, "%s/%s", cut, names[i]);
        unlink(key);
    }
    assert_int_equal(rmdir(cut), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_failed_sync_is_unavailable_for_the_whole_batch_and_remembers_nothing),
        CASE(a_full_disk_is_unavailable_until_there_is_room),
        CASE(a_failing_disk_is_unavailable_until_it_works),
        CASE(a_read_only_file_system_is_unavailable_until_it_is_writable),
        CASE(health_comes_back_without_traffic),
        CASE(the_quota_is_right_after_failures),
        CASE(a_duplicate_of_an_unsynced_write_waits_for_its_sync_and_nobody_sees_the_write_before),
        CASE(a_duplicate_of_a_write_whose_sync_fails_is_done_itself),
        CASE(a_full_queue_refuses_at_once_and_loses_nothing_it_took),
        CASE(an_idle_store_works_in_the_callers_thread_and_a_busy_one_does_not),
        CASE(after_a_slow_sync_the_stores_thread_waits_for_the_disk_and_no_other),
        CASE(what_is_to_be_done_later_goes_along_with_the_next_transaction),
        CASE(a_read_does_not_overtake_what_is_to_be_done_later),
        CASE(what_is_to_be_done_later_is_done_on_demand_and_before_closing),
        CASE(only_what_answers_nothing_can_be_done_later),
        CASE(closing_answers_what_is_queued),
        CASE(what_was_acknowledged_survives_a_power_cut),
    };
    fault_vfs_install();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
