/* The SQLite store's files: what opening refuses, who may read them, and what is and is not in them. */
#include "unit/test.h"

#include "relayd/store_kit.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "relayd/store_record.h"

static char path[128], url[160], key_path[160];

/* A store of its own for each case. */
static struct store_options
fresh_options(const char *name)
{
    snprintf(path, sizeof path, "%s/%s.db", kit_folder(), name);
    snprintf(url, sizeof url, "sqlite://%s", path);
    snprintf(key_path, sizeof key_path, "%s.key", path);
    return (struct store_options){.url = url};
}

static void
refuses(const struct store_options *options, enum gage_code code, const char *says)
{
    struct store *store = NULL;
    struct gage_err err = {0};
    assert_code(store_open(options, &store, &err), code);
    assert_null(store);
    if (strstr(err.text, says) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, says);
}

static void
run_sql(const char *text)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void
make_store(const struct store_options *options, struct box *box)
{
    struct store *store = kit_open(options);
    struct box unused;
    assert_int_equal(box_create(store, box != NULL ? box : &unused, "one"), STORE_OK);
    store_close(&store);
}

/* ---- opening ---- */

TEST(urls_that_name_no_store_are_refused)
{
    static const char *const urls[] = {"", "relay.db", "sqlite:relay.db", "sqlite://relay.db", "mysql://x/y"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++)
        refuses(&(struct store_options){.url = urls[i]}, GAGE_E_USAGE, "sqlite:///PATH");
    refuses(&(struct store_options){0}, GAGE_E_USAGE, "no store");
}

TEST(a_folder_that_is_not_there_is_named)
{
    refuses(&(struct store_options){.url = "sqlite:///nowhere/at/all.db"}, GAGE_E_IO, "/nowhere/at/all.db");
}

TEST(files_are_for_the_owner_alone)
{
    struct store_options options = fresh_options("modes");
    struct store *store = kit_open(&options);
    struct box box;
    char wal[160];
    struct stat st;
    mode_t before = umask(0);
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    snprintf(wal, sizeof wal, "%s-wal", path);
    const char *const names[] = {path, wal, key_path};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(stat(names[i], &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    umask(before);
    store_close(&store);
}

TEST(a_second_relay_on_one_file_is_refused)
{
    struct store_options options = fresh_options("twice");
    struct store *store = kit_open(&options);
    refuses(&options, GAGE_E_STATE, "another process");
    store_close(&store);
    make_store(&options, NULL);
}

TEST(another_key_a_short_key_and_a_readable_key_are_refused)
{
    struct store_options options = fresh_options("keys");
    AUTO(gage_buf) key = GAGE_BUF(64);
    make_store(&options, NULL);
    assert_ok(file_read(key_path, &key, NULL));
    assert_int_equal(key.n, 32);
    assert_int_equal(chmod(key_path, 0640), 0);
    refuses(&options, GAGE_E_CONFIG, "chmod 600");
    key.p[31] ^= 1;
    assert_ok(file_replace(key_path, gage_buf_slice(&key), 0600, NULL));
    refuses(&options, GAGE_E_SECRET, "relay key");
    assert_ok(file_replace(key_path, gage_slice_of(key.p, 31), 0600, NULL));
    refuses(&options, GAGE_E_FORMAT, "32");
}

TEST(a_database_without_its_key_gets_no_new_one)
{
    struct store_options options = fresh_options("keyless");
    make_store(&options, NULL);
    assert_int_equal(unlink(key_path), 0);
    refuses(&options, GAGE_E_NOT_FOUND, "restore it");
    assert_int_equal(access(key_path, F_OK), -1);
}

TEST(other_programs_databases_and_newer_schemas_are_left_alone)
{
    struct store_options options = fresh_options("foreign");
    run_sql("PRAGMA application_id = 7; CREATE TABLE theirs (x)");
    assert_ok(file_install(key_path, SLICE_LITERAL("0123456789abcdef0123456789abcdef"), 0600, NULL));
    refuses(&options, GAGE_E_FORMAT, "another program");
    options = fresh_options("newer");
    make_store(&options, NULL);
    run_sql("PRAGMA user_version = 99");
    refuses(&options, GAGE_E_FORMAT, "newer gage");
}

TEST(a_file_that_is_no_database_is_refused_and_kept)
{
    struct store_options options = fresh_options("garbage");
    static uint8_t garbage[8192];
    AUTO(gage_buf) after = GAGE_BUF(sizeof garbage);
    memset(garbage, 'g', sizeof garbage);
    assert_ok(file_install(path, SLICE_OF(garbage), 0600, NULL));
    assert_ok(file_install(key_path, SLICE_LITERAL("0123456789abcdef0123456789abcdef"), 0600, NULL));
    refuses(&options, GAGE_E_FORMAT, "restore it from a copy");
    assert_ok(file_read(path, &after, NULL));
    assert_slice_equal(gage_buf_slice(&after), SLICE_OF(garbage));
}

TEST(a_damaged_row_is_unavailable_and_its_neighbours_are_not)
{
    struct store_options options = fresh_options("rows");
    struct box bad, good;
    make_store(&options, &bad);
    static const char *const damages[] = {"UPDATE mailbox SET head = x'01ff'",
                                          "UPDATE mailbox SET version = -3",
                                          "UPDATE mailbox SET version = 9223372036854775807",
                                          "UPDATE mailbox SET payload_max = -1",
                                          "UPDATE mailbox SET expires = -9223372036854775807",
                                          "UPDATE mailbox SET initial = x'00'",
                                          "UPDATE mailbox SET create_key = x'00'"};
    run_sql("CREATE TABLE sound AS SELECT * FROM mailbox");
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        run_sql(damages[i]);
        struct store *store = kit_open(&options);
        assert_int_equal(box_create(store, &good, "one"), STORE_OK);
        assert_int_equal(box_read(store, &bad, bad.initiator, NULL), STORE_UNAVAILABLE);
        assert_int_equal(box_update(store, &bad, bad.initiator, "x", NULL), STORE_UNAVAILABLE);
        assert_true(box_holds(store, &good, good.initiator, "one"));
        store_close(&store);
        run_sql("DELETE FROM mailbox; INSERT INTO mailbox SELECT * FROM sound");
    }
    struct store *store = kit_open(&options);
    assert_true(box_holds(store, &bad, bad.initiator, "one"));
    store_close(&store);
}

TEST(a_database_of_damaged_pages_is_never_taken_for_a_sound_one)
{
    struct store_options options = fresh_options("pages");
    struct store *store = kit_open(&options);
    struct box box[200];
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(box_create(store, &box[i], "one"), STORE_OK);
    store_close(&store);
    AUTO(gage_buf) bytes = GAGE_BUF((size_t)16 << 20);
    assert_ok(file_read(path, &bytes, NULL));
    for (size_t at = 8192; at < bytes.n; at++) /* all but the schema */
        bytes.p[at] ^= 0x5a;
    assert_ok(file_replace(path, gage_buf_slice(&bytes), 0600, NULL));
    struct gage_err err = {0};
    gage_rc rc = store_open(&options, &store, &err);
    for (size_t i = 0; gage_ok(rc) && i < 200; i++)
        assert_int_not_equal(box_read(store, &box[i], box[i].initiator, NULL), STORE_OK);
    if (!gage_ok(rc))
        assert_int_equal(rc.code, GAGE_E_FORMAT);
    store_close(&store);
}

/* ---- what is in the files ---- */

/* Whether any of the store's files but the key holds these bytes. */
static bool
on_disk(gage_slice bytes)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char name[160];
        AUTO(gage_buf) file = GAGE_BUF((size_t)64 << 20);
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        gage_rc rc = file_read(name, &file, NULL);
        if (gage_ok(rc) && file.n > 0 && memmem(file.p, file.n, bytes.p, bytes.n) != NULL)
            return true;
    }
    return false;
}

/* Returns once the sweep that is asked for, and the checkpoint after it, are through: the store's thread does one of its steps after each
 * batch. */
static void
scrub(struct store *store)
{
    struct box nobody = {.initiator = 1};
    store_sweep(store, 0);
    for (int i = 0; i < 6; i++)
        assert_int_equal(box_update(store, &nobody, 1, "x", NULL), STORE_NOT_FOUND);
}

TEST(r12_no_claim_request_id_or_mailbox_id_is_on_the_disk)
{
    struct store_options options = fresh_options("secrets");
    struct store *store = kit_open(&options);
    struct call call;
    uint8_t id[UUID_LEN], claim[2][16];
    AUTO(gage_buf) key = GAGE_BUF(64);
    for (size_t i = 0; i < 2; i++)
        assert_ok(rng_fill(&gage_system_rng, claim[i], sizeof claim[i]));
    assert_ok(uuid_make(&gage_system_rng, id));
    call_init(&call, STORE_CREATE, id, 0);
    call.op.request.claim = SLICE_OF(claim[0]);
    call.op.request.request_id = SLICE_LITERAL("request number one");
    call.op.request.payload = SLICE_LITERAL("the sealed payload");
    assert_int_equal(call_run(store, &call), STORE_OK);
    call_init(&call, STORE_READ, id, 0);
    call.op.request.claim = SLICE_OF(claim[1]);
    assert_int_equal(call_run(store, &call), STORE_OK);
    store_op_clear(&call.op);
    call_init(&call, STORE_UPDATE, id, 0);
    call.op.request.claim = SLICE_OF(claim[1]);
    call.op.request.request_id = SLICE_LITERAL("request number two");
    call.op.request.payload = SLICE_LITERAL("another sealed payload");
    assert_int_equal(call_run(store, &call), STORE_OK);
    assert_true(on_disk(SLICE_LITERAL("the sealed payload"))); /* the search works */
    assert_false(on_disk(SLICE_OF(id)));
    assert_false(on_disk(SLICE_OF(claim[0])));
    assert_false(on_disk(SLICE_OF(claim[1])));
    assert_false(on_disk(SLICE_LITERAL("request number")));
    assert_ok(file_read(key_path, &key, NULL));
    assert_false(on_disk(gage_buf_slice(&key)));
    store_close(&store);
}

TEST(what_was_deleted_is_gone_from_the_disk_after_the_sweep)
{
    static char big[20001];
    struct store_options options = fresh_options("wiped");
    struct store *store = kit_open(&options);
    struct call call;
    struct box box = {.initiator = kit_fresh()}, other;
    memset(big, 'x', sizeof big - 1);
    memcpy(big + 19000, "needle in the payload", 21);
    assert_ok(uuid_make(&gage_system_rng, box.id));
    call_init(&call, STORE_CREATE, box.id, box.initiator);
    call.op.request.payload_max = 2 * sizeof big;
    call.op.request.payload = slice_str("needle of the first");
    call.op.request.display = slice_str("needle in the title");
    assert_int_equal(call_run(store, &call), STORE_OK);
    assert_int_equal(box_update(store, &box, box.initiator, big, NULL), STORE_OK);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(box_create(store, &other, "other"), STORE_OK);
    assert_true(on_disk(SLICE_LITERAL("needle in the payload")));
    assert_true(on_disk(SLICE_LITERAL("needle in the title")));
    assert_int_equal(box_plain(store, STORE_DELETE, &box, box.initiator, NULL), STORE_OK);
    scrub(store);
    assert_false(on_disk(SLICE_LITERAL("needle")));
    store_close(&store);
}

/* ---- the head's encoding ---- */

TEST(the_head_is_what_the_document_says)
{
    struct record record, back;
    AUTO(gage_buf) head = GAGE_BUF(HEAD_MAX);
    AUTO(gage_buf) expected = GAGE_BUF(HEAD_MAX);
    record_init(&record);
    record_init(&back);
    record.rights = 7;
    record.create_note = 0x11;
    record.writer = STORE_RECIPIENT;
    record.bound = true;
    memset(record.claim[0], 0xa0, KEYED_LEN);
    memset(record.claim[1], 0xa1, KEYED_LEN);
    memset(record.sealed_id, 0xa2, UUID_LEN);
    record.current = (struct body){BODY_IN_PAYLOAD, SLICE_LITERAL("T"), SLICE_NONE};
    record.initial = (struct body){BODY_IN_INITIAL, SLICE_LITERAL("UV"), SLICE_NONE};
    record.display = SLICE_LITERAL("{}");
    record.token[1] = SLICE_LITERAL("tok");
    record.done[1].count = 1;
    memset(record.done[1].entry[0].hash, 0xa3, KEYED_LEN);
    record.done[1].entry[0].version = 5;
    record.done[1].entry[0].note = 9;
    record_encode(&record, &head);
    assert_ok(get_hex(slice_str("0107110101"
                                "a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0"
                                "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"
                                "a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2"
                                "0154"
                                "025556"
                                "00027b7d"
                                "0000"
                                "0003746f6b"
                                "00"
                                "01a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3000000000000000509"
                                "00"),
                      &expected));
    assert_slice_equal(gage_buf_slice(&head), gage_buf_slice(&expected));
    assert_ok(record_decode(&back, gage_buf_slice(&head), true));
    assert_code(record_decode(&back, gage_buf_slice(&head), false), GAGE_E_FORMAT);
    for (size_t n = 0; n < head.n; n++)
        assert_code(record_decode(&back, gage_slice_of(head.p, n), true), GAGE_E_FORMAT);
    put_u8(&head, 0);
    assert_code(record_decode(&back, gage_buf_slice(&head), true), GAGE_E_FORMAT);
}

TEST_MAIN(CASE(urls_that_name_no_store_are_refused), CASE(a_folder_that_is_not_there_is_named),
          CASE(files_are_for_the_owner_alone), CASE(a_second_relay_on_one_file_is_refused),
          CASE(another_key_a_short_key_and_a_readable_key_are_refused),
          CASE(a_database_without_its_key_gets_no_new_one),
          CASE(other_programs_databases_and_newer_schemas_are_left_alone),
          CASE(a_file_that_is_no_database_is_refused_and_kept),
          CASE(a_damaged_row_is_unavailable_and_its_neighbours_are_not),
          CASE(a_database_of_damaged_pages_is_never_taken_for_a_sound_one),
          CASE(r12_no_claim_request_id_or_mailbox_id_is_on_the_disk),
          CASE(what_was_deleted_is_gone_from_the_disk_after_the_sweep), CASE(the_head_is_what_the_document_says))
