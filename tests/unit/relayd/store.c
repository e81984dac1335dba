/* The store's conformance test: one set of claims, run against SQLite here and against PostgreSQL (GAGE_STORE_URL) by
 * tests/live/relayd/store_postgres.py. */
#include "unit/test.h"

#include "relayd/store_kit.h"

#include <pthread.h>

static struct store *store;

static int
open_shared(void **state)
{
    struct store_options options = kit_options();
    store = kit_open(&options);
    return 0;
}

static int
close_shared(void **state)
{
    store_close(&store);
    return 0;
}

/* ---- create and read ---- */

TEST(r12_create_binds_the_initiator_and_the_first_foreign_read_the_recipient)
{
    struct box box;
    struct call call;
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    assert_int_equal(box_read(store, &box, box.initiator, &call), STORE_OK);
    assert_int_equal(call.op.result.role, STORE_INITIATOR);
    store_op_clear(&call.op);
    assert_int_equal(box_read(store, &box, box.recipient, &call), STORE_OK);
    assert_int_equal(call.op.result.role, STORE_RECIPIENT);
    assert_int_equal(call.op.result.version, 1);
    assert_int_equal(call.op.result.expires, NOW + 3600);
    assert_slice_equal(gage_buf_slice(&call.op.result.payload), slice_str("one"));
    assert_slice_equal(gage_buf_slice(&call.op.result.payload_type), slice_str("AEAD_AES_256_GCM"));
    assert_slice_equal(gage_buf_slice(&call.op.result.display), slice_str("{\"title\":\"t\"}"));
    store_op_clear(&call.op);
    assert_int_equal(box_read(store, &box, kit_fresh(), NULL), STORE_UNAUTHORIZED);
    assert_true(box_holds(store, &box, box.recipient, "one")); /* A4: reading again is the same */
    assert_true(box_holds(store, &box, box.initiator, "one"));
}

TEST(a5_the_initiators_read_leaves_the_recipients_place_free)
{
    struct box box;
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(box_read(store, &box, box.initiator, NULL), STORE_OK);
    assert_int_equal(box_read(store, &box, box.recipient, NULL), STORE_OK);
}

TEST(a1_a_duplicate_create_answers_the_first_ones_mailbox)
{
    struct box box = {.initiator = kit_fresh()};
    struct call first, again;
    uint8_t id[UUID_LEN], other[UUID_LEN];
    assert_ok(uuid_make(&gage_system_rng, id));
    assert_ok(uuid_make(&gage_system_rng, other));
    call_init(&first, STORE_CREATE, id, box.initiator);
    first.op.request.payload = slice_str("one");
    first.op.request.note = 7;
    assert_int_equal(call_run(store, &first), STORE_OK);
    assert_memory_equal(first.op.result.mailbox, id, UUID_LEN);
    call_init(&again, STORE_CREATE, other, box.initiator);
    memcpy(again.request_id, first.request_id, sizeof again.request_id);
    again.op.request.payload = slice_str("two");
    again.op.request.expires = NOW + 9;
    assert_int_equal(call_run(store, &again), STORE_DUPLICATE);
    assert_memory_equal(again.op.result.mailbox, id, UUID_LEN);
    assert_memory_equal(again.op.result.tag, first.op.result.tag, STORE_TAG_LEN);
    assert_int_equal(again.op.result.expires, NOW + 3600);
    assert_int_equal(again.op.result.version, 1);
    assert_int_equal(again.op.result.note, 7);
    memcpy(box.id, id, UUID_LEN);
    assert_true(box_holds(store, &box, box.initiator, "one"));
    memcpy(box.id, other, UUID_LEN);
    assert_int_equal(box_read(store, &box, box.initiator, NULL), STORE_NOT_FOUND); /* R22 */
    store_op_clear(&first.op);
    store_op_clear(&again.op);
}

TEST(one_request_id_of_two_claims_makes_two_mailboxes)
{
    struct call call[2];
    uint8_t id[2][UUID_LEN];
    for (size_t i = 0; i < 2; i++) {
        assert_ok(uuid_make(&gage_system_rng, id[i]));
        call_init(&call[i], STORE_CREATE, id[i], kit_fresh());
        memcpy(call[i].request_id, call[0].request_id, sizeof call[0].request_id);
        assert_int_equal(call_run(store, &call[i]), STORE_OK);
        assert_memory_equal(call[i].op.result.mailbox, id[i], UUID_LEN);
    }
    store_op_clear(&call[0].op);
    store_op_clear(&call[1].op);
}

TEST(a10_the_preview_binds_nobody)
{
    struct box box;
    struct call call;
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    call_init(&call, STORE_DISPLAY, box.id, 0);
    call.op.request.claim = SLICE_NONE;
    assert_int_equal(call_run(store, &call), STORE_OK);
    assert_slice_equal(gage_buf_slice(&call.op.result.display), slice_str("{\"title\":\"t\"}"));
    assert_int_equal(call.op.result.payload.n, 0);
    assert_int_equal(call.op.result.expires, NOW + 3600);
    store_op_clear(&call.op);
    assert_int_equal(box_read(store, &box, box.recipient, NULL), STORE_OK);
}

TEST(a_read_after_the_current_version_carries_no_payload)
{
    struct box box;
    struct call call;
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    call_init(&call, STORE_READ, box.id, box.initiator);
    call.op.request.after = 1;
    assert_int_equal(call_run(store, &call), STORE_OK);
    assert_true(call.op.result.unchanged);
    assert_int_equal(call.op.result.version, 1);
    assert_int_equal(call.op.result.payload.n, 0);
    store_op_clear(&call.op);
    assert_int_equal(box_update(store, &box, box.initiator, "two", NULL), STORE_OK);
    call_init(&call, STORE_READ, box.id, box.initiator);
    call.op.request.after = 1;
    assert_int_equal(call_run(store, &call), STORE_OK);
    assert_false(call.op.result.unchanged);
    assert_int_equal(call.op.result.version, 2);
    store_op_clear(&call.op);
}

TEST(an_unknown_mailbox_is_not_found)
{
    struct box box = {.initiator = 1};
    assert_ok(uuid_make(&gage_system_rng, box.id));
    assert_int_equal(box_read(store, &box, 1, NULL), STORE_NOT_FOUND);
    assert_int_equal(box_update(store, &box, 1, "x", NULL), STORE_NOT_FOUND);
    assert_int_equal(box_plain(store, STORE_DISPLAY, &box, 1, NULL), STORE_NOT_FOUND);
    assert_int_equal(box_plain(store, STORE_DELETE, &box, 1, NULL), STORE_NOT_FOUND);
    assert_int_equal(box_plain(store, STORE_RELINQUISH, &box, 1, NULL), STORE_NOT_FOUND);
}

/* ---- update ---- */

TEST(r3_either_side_may_write_any_number_of_times)
{
    struct box box;
    struct call call;
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    assert_int_equal(box_read(store, &box, box.recipient, NULL), STORE_OK);
    assert_int_equal(box_update(store, &box, box.initiator, "two", NULL), STORE_OK);
    assert_int_equal(box_update(store, &box, box.recipient, "three", NULL), STORE_OK);
    assert_int_equal(box_update(store, &box, box.recipient, "four", &call), STORE_OK);
    assert_int_equal(call.op.result.version, 4);
    store_op_clear(&call.op);
    assert_true(box_holds(store, &box, box.initiator, "four"));
    assert_int_equal(box_update(store, &box, kit_fresh(), "five", NULL), STORE_UNAUTHORIZED);
    assert_true(box_holds(store, &box, box.recipient, "four"));
}

TEST(an_update_does_not_bind)
{
    struct box box;
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    assert_int_equal(box_update(store, &box, box.recipient, "x", NULL), STORE_UNAUTHORIZED);
    assert_int_equal(box_read(store, &box, box.recipient, NULL), STORE_OK);
}

/* Sends the same request again, with another body. */
static enum store_verdict
again(const struct call *first, struct call *out)
{
    call_init(out, first->op.request.verb, first->op.request.mailbox, 0);
    memcpy(out->claim, first->claim, sizeof out->claim);
    memcpy(out->request_id, first->request_id, sizeof out->request_id);
    out->op.request.payload = slice_str("ignored");
    return call_run(store, out);
}

TEST(a2_each_of_the_last_sixteen_requests_is_known_and_the_seventeenth_is_not)
{
    struct box box;
    struct call first[17], dup;
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    for (size_t i = 0; i < 17; i++) {
        call_init(&first[i], STORE_UPDATE, box.id, box.initiator);
        first[i].op.request.payload = slice_str("body");
        first[i].op.request.note = (uint8_t)(100 + i);
        assert_int_equal(call_run(store, &first[i]), STORE_OK);
    }
    for (size_t i = 1; i < 17; i++) {
        assert_int_equal(again(&first[i], &dup), STORE_DUPLICATE);
        assert_int_equal(dup.op.result.version, 2 + i);
        assert_int_equal(dup.op.result.note, 100 + i);
        store_op_clear(&dup.op);
    }
    assert_true(box_holds(store, &box, box.initiator, "body"));
    assert_int_equal(again(&first[0], &dup), STORE_OK);
    assert_int_equal(dup.op.result.version, 19);
    store_op_clear(&dup.op);
    for (size_t i = 0; i < 17; i++)
        store_op_clear(&first[i].op);
}

TEST(one_request_id_of_both_roles_is_two_requests)
{
    struct box box;
    struct call first, second;
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    assert_int_equal(box_read(store, &box, box.recipient, NULL), STORE_OK);
    call_init(&first, STORE_UPDATE, box.id, box.initiator);
    assert_int_equal(call_run(store, &first), STORE_OK);
    call_init(&second, STORE_UPDATE, box.id, box.recipient);
    memcpy(second.request_id, first.request_id, sizeof second.request_id);
    assert_int_equal(call_run(store, &second), STORE_OK);
    assert_int_equal(second.op.result.version, 3);
}

TEST(one_request_id_with_two_verbs_is_two_requests)
{
    struct box box;
    struct call update, relinquish;
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    assert_int_equal(box_read(store, &box, box.recipient, NULL), STORE_OK);
    call_init(&update, STORE_UPDATE, box.id, box.recipient);
    update.op.request.payload = slice_str("two");
    assert_int_equal(call_run(store, &update), STORE_OK);
    call_init(&relinquish, STORE_RELINQUISH, box.id, box.recipient);
    memcpy(relinquish.request_id, update.request_id, sizeof relinquish.request_id);
    assert_int_equal(call_run(store, &relinquish), STORE_OK);
    assert_int_equal(call_run(store, &relinquish), STORE_DUPLICATE);
    assert_true(box_holds(store, &box, box.initiator, "one"));
}

TEST(a21_a_version_mismatch_changes_and_remembers_nothing)
{
    struct box box;
    struct call call, dup;
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    call_init(&call, STORE_UPDATE, box.id, box.initiator);
    call.op.request.payload = slice_str("two");
    call.op.request.if_match = 2;
    assert_int_equal(call_run(store, &call), STORE_MISMATCH);
    assert_int_equal(call.op.result.version, 1);
    assert_true(box_holds(store, &box, box.initiator, "one"));
    call.op.request.if_match = 1;
    assert_int_equal(call_run(store, &call), STORE_OK);
    assert_int_equal(call.op.result.version, 2);
    /* its duplicate is one, though the version is another by now */
    call_init(&dup, STORE_UPDATE, box.id, box.initiator);
    memcpy(dup.request_id, call.request_id, sizeof dup.request_id);
    dup.op.request.if_match = 1;
    assert_int_equal(call_run(store, &dup), STORE_DUPLICATE);
    assert_int_equal(dup.op.result.version, 2);
}

TEST(a7_what_the_rights_leave_out_is_denied_to_both_roles)
{
    struct call call;
    struct box box = {.initiator = kit_fresh(), .recipient = kit_fresh()};
    assert_ok(uuid_make(&gage_system_rng, box.id));
    call_init(&call, STORE_CREATE, box.id, box.initiator);
    call.op.request.rights = STORE_RIGHT_READ;
    call.op.request.payload = slice_str("one");
    assert_int_equal(call_run(store, &call), STORE_OK);
    assert_int_equal(box_read(store, &box, box.recipient, NULL), STORE_OK);
    uint64_t claims[] = {box.initiator, box.recipient};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(box_update(store, &box, claims[i], "x", NULL), STORE_DENIED);
        assert_int_equal(box_plain(store, STORE_DELETE, &box, claims[i], NULL), STORE_DENIED);
    }
    assert_true(box_holds(store, &box, box.recipient, "one"));
    assert_int_equal(box_plain(store, STORE_RELINQUISH, &box, box.recipient, NULL), STORE_OK);
}

TEST(a_payload_past_its_reservation_is_too_large_and_the_last_byte_fits)
{
    static char big[4098];
    struct box box;
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    memset(big, 'x', sizeof big - 1);
    size_t most = 4096 - strlen("AEAD_AES_256_GCM");
    big[most + 1] = '\0';
    assert_int_equal(box_update(store, &box, box.initiator, big, NULL), STORE_TOO_LARGE);
    big[most] = '\0';
    assert_int_equal(box_update(store, &box, box.initiator, big, NULL), STORE_OK);
    assert_true(box_holds(store, &box, box.initiator, big));
}

TEST(payloads_of_every_size_come_back_as_they_were)
{
    static uint8_t bytes[300000];
    static const size_t sizes[] = {0, 1, 100, 2000, 4000, 4061, 4096, 10000, 65536, 299900};
    struct box box = {.initiator = kit_fresh(), .recipient = kit_fresh()};
    struct call call;
    assert_ok(rng_fill(&gage_system_rng, bytes, sizeof bytes));
    assert_ok(uuid_make(&gage_system_rng, box.id));
    call_init(&call, STORE_CREATE, box.id, box.initiator);
    call.op.request.payload_max = sizeof bytes;
    assert_int_equal(call_run(store, &call), STORE_OK);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        gage_slice payload = gage_slice_of(bytes + i, sizes[i]);
        call_init(&call, STORE_UPDATE, box.id, box.initiator);
        call.op.request.payload = payload;
        assert_int_equal(call_run(store, &call), STORE_OK);
        assert_int_equal(box_read(store, &box, box.recipient, &call), STORE_OK);
        assert_slice_equal(gage_buf_slice(&call.op.result.payload), payload);
        store_op_clear(&call.op);
    }
}

TEST(fields_past_their_bounds_are_too_large)
{
    static char text[STORE_DISPLAY_MAX + 2];
    uint8_t id[UUID_LEN] = {1};
    struct call call;
    memset(text, 'x', sizeof text - 1);
    struct {
        gage_slice *field;
        size_t max;
    } rows[] = {{&call.op.request.claim, STORE_CLAIM_MAX},
                {&call.op.request.request_id, STORE_REQUEST_ID_MAX},
                {&call.op.request.payload_type, STORE_TYPE_MAX},
                {&call.op.request.display, STORE_DISPLAY_MAX},
                {&call.op.request.token, STORE_TOKEN_MAX}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_ok(uuid_make(&gage_system_rng, id));
        call_init(&call, STORE_CREATE, id, kit_fresh());
        *rows[i].field = gage_slice_of(text, rows[i].max + 1);
        assert_int_equal(call_run(store, &call), STORE_TOO_LARGE);
        *rows[i].field = gage_slice_of(text, rows[i].max);
        assert_int_equal(call_run(store, &call), STORE_OK);
    }
    call_init(&call, STORE_CREATE, id, 1);
    call.op.request.claim = SLICE_NONE;
    assert_int_equal(call_run(store, &call), STORE_TOO_LARGE);
}

/* ---- tokens ---- */

TEST(a18_the_other_roles_token_comes_with_a_write_and_an_omitted_one_is_kept)
{
    struct box box = {.initiator = kit_fresh(), .recipient = kit_fresh()};
    struct call call;
    assert_ok(uuid_make(&gage_system_rng, box.id));
    call_init(&call, STORE_CREATE, box.id, box.initiator);
    call.op.request.token = slice_str("of the initiator");
    assert_int_equal(call_run(store, &call), STORE_OK);
    call_init(&call, STORE_READ, box.id, box.recipient);
    call.op.request.token = slice_str("of the recipient");
    assert_int_equal(call_run(store, &call), STORE_OK);
    store_op_clear(&call.op);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(box_update(store, &box, box.recipient, "two", &call), STORE_OK);
        assert_slice_equal(gage_buf_slice(&call.op.result.peer_token), slice_str("of the initiator"));
        store_op_clear(&call.op);
    }
    call_init(&call, STORE_READ, box.id, box.recipient); /* a new one at a later read */
    call.op.request.token = slice_str("newer");
    assert_int_equal(call_run(store, &call), STORE_OK);
    store_op_clear(&call.op);
    assert_int_equal(box_plain(store, STORE_DELETE, &box, box.initiator, &call), STORE_OK);
    assert_slice_equal(gage_buf_slice(&call.op.result.peer_token), slice_str("newer"));
    store_op_clear(&call.op);
}

/* ---- delete and relinquish ---- */

TEST(r30_either_bound_role_deletes_and_then_nothing_is_there)
{
    for (int i = 0; i < 2; i++) {
        struct box box;
        assert_int_equal(box_create(store, &box, "one"), STORE_OK);
        assert_int_equal(box_plain(store, STORE_DELETE, &box, box.recipient, NULL), STORE_UNAUTHORIZED);
        assert_int_equal(box_read(store, &box, box.recipient, NULL), STORE_OK);
        uint64_t claim = i == 0 ? box.initiator : box.recipient;
        assert_int_equal(box_plain(store, STORE_DELETE, &box, claim, NULL), STORE_OK);
        assert_int_equal(box_plain(store, STORE_DELETE, &box, claim, NULL), STORE_NOT_FOUND);
        assert_int_equal(box_read(store, &box, box.initiator, NULL), STORE_NOT_FOUND);
    }
}

TEST(a13_relinquish_restores_the_initiators_last_payload_and_frees_the_place)
{
    struct box box;
    struct call call;
    uint64_t second = kit_fresh();
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    assert_int_equal(box_plain(store, STORE_RELINQUISH, &box, box.initiator, NULL), STORE_UNAUTHORIZED);
    assert_int_equal(box_plain(store, STORE_RELINQUISH, &box, box.recipient, NULL), STORE_UNAUTHORIZED);
    assert_int_equal(box_read(store, &box, box.recipient, NULL), STORE_OK);
    assert_int_equal(box_update(store, &box, box.initiator, "two", NULL), STORE_OK);
    assert_int_equal(box_update(store, &box, box.recipient, "private", NULL), STORE_OK);
    assert_int_equal(box_update(store, &box, box.recipient, "more private", NULL), STORE_OK);
    assert_int_equal(box_plain(store, STORE_RELINQUISH, &box, box.recipient, &call), STORE_OK);
    assert_int_equal(call.op.result.version, 5);
    assert_int_equal(box_update(store, &box, box.recipient, "late", NULL), STORE_UNAUTHORIZED);
    assert_int_equal(box_read(store, &box, second, &call), STORE_OK);
    assert_int_equal(call.op.result.version, 5);
    store_op_clear(&call.op);
    assert_true(box_holds(store, &box, second, "two"));
    assert_int_equal(box_read(store, &box, box.recipient, NULL), STORE_UNAUTHORIZED);
}

TEST(a13_a_relinquish_without_a_payload_of_the_recipient_keeps_the_version)
{
    struct box box;
    struct call call;
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    assert_int_equal(box_read(store, &box, box.recipient, NULL), STORE_OK);
    assert_int_equal(box_plain(store, STORE_RELINQUISH, &box, box.recipient, &call), STORE_OK);
    assert_int_equal(call.op.result.version, 1);
    assert_true(box_holds(store, &box, box.initiator, "one"));
}

TEST(a13_a_duplicate_relinquish_is_known_though_the_claim_is_gone)
{
    struct box box;
    struct call first, dup;
    uint64_t second = kit_fresh();
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    assert_int_equal(box_read(store, &box, box.recipient, NULL), STORE_OK);
    call_init(&first, STORE_RELINQUISH, box.id, box.recipient);
    first.op.request.note = 9;
    assert_int_equal(call_run(store, &first), STORE_OK);
    assert_int_equal(box_read(store, &box, second, NULL), STORE_OK);
    assert_int_equal(again(&first, &dup), STORE_DUPLICATE);
    assert_int_equal(dup.op.result.note, 9);
    assert_true(box_holds(store, &box, second, "one")); /* the second recipient keeps its place */
    assert_int_equal(box_plain(store, STORE_RELINQUISH, &box, box.recipient, NULL), STORE_UNAUTHORIZED);
    kit_name(first.claim, second); /* the id alone proves nothing */
    assert_int_equal(again(&first, &dup), STORE_OK);
}

TEST(the_next_recipient_inherits_no_request_ids)
{
    struct box box;
    struct call first, other;
    uint64_t second = kit_fresh();
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    assert_int_equal(box_read(store, &box, box.recipient, NULL), STORE_OK);
    call_init(&first, STORE_UPDATE, box.id, box.recipient);
    assert_int_equal(call_run(store, &first), STORE_OK);
    assert_int_equal(box_plain(store, STORE_RELINQUISH, &box, box.recipient, NULL), STORE_OK);
    assert_int_equal(box_read(store, &box, second, NULL), STORE_OK);
    call_init(&other, STORE_UPDATE, box.id, second);
    memcpy(other.request_id, first.request_id, sizeof other.request_id);
    assert_int_equal(call_run(store, &other), STORE_OK);
}

/* ---- expiry ---- */

TEST(a9_an_expired_mailbox_is_gone_at_its_second_before_any_sweep)
{
    struct box box;
    struct call call;
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    assert_int_equal(box_read(store, &box, box.recipient, NULL), STORE_OK);
    static const enum store_verb verbs[] = {STORE_READ, STORE_DISPLAY, STORE_UPDATE, STORE_RELINQUISH, STORE_DELETE};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        call_init(&call, verbs[i], box.id, box.recipient);
        call.op.request.now = NOW + 3600;
        assert_int_equal(call_run(store, &call), STORE_NOT_FOUND);
        assert_int_equal(call.op.result.payload.n + call.op.result.display.n, 0);
    }
    call_init(&call, STORE_READ, box.id, box.recipient);
    call.op.request.now = NOW + 3599;
    assert_int_equal(call_run(store, &call), STORE_OK);
    store_op_clear(&call.op);
}

TEST(a_create_repeated_after_its_mailbox_expired_makes_a_new_one)
{
    struct call first, second;
    uint8_t id[2][UUID_LEN];
    for (size_t i = 0; i < 2; i++)
        assert_ok(uuid_make(&gage_system_rng, id[i]));
    call_init(&first, STORE_CREATE, id[0], kit_fresh());
    first.op.request.expires = NOW + 5;
    assert_int_equal(call_run(store, &first), STORE_OK);
    call_init(&second, STORE_CREATE, id[1], 0);
    memcpy(second.claim, first.claim, sizeof second.claim);
    memcpy(second.request_id, first.request_id, sizeof second.request_id);
    second.op.request.now = NOW + 5;
    assert_int_equal(call_run(store, &second), STORE_OK);
    assert_memory_equal(second.op.result.mailbox, id[1], UUID_LEN);
}

/* The sweep runs beside the operations; an operation that is submitted after it is answered after its first step. */
static void
sweep_and_wait(int64_t now)
{
    struct store_stats before, after;
    struct box box = {.initiator = 1};
    store_sweep(store, now);
    store_stats(store, &before);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(box_update(store, &box, 1, "x", NULL), STORE_NOT_FOUND);
        store_stats(store, &after);
        if (i > 3 && after.swept == before.swept)
            return;
        before = after;
    }
}

TEST(r18_the_sweep_removes_what_expired_and_nothing_else)
{
    struct box old[3], young;
    struct call call;
    struct store_stats before, filled, after;
    store_stats(store, &before);
    for (size_t i = 0; i < 3; i++) {
        assert_ok(uuid_make(&gage_system_rng, old[i].id));
        call_init(&call, STORE_CREATE, old[i].id, old[i].initiator = kit_fresh());
        call.op.request.expires = NOW - 1000 + (int64_t)i;
        call.op.request.now = NOW - 2000;
        assert_int_equal(call_run(store, &call), STORE_OK);
    }
    assert_int_equal(box_create(store, &young, "one"), STORE_OK);
    store_stats(store, &filled);
    assert_int_equal(filled.mailboxes, before.mailboxes + 4);
    assert_int_equal(filled.reserved_bytes, before.reserved_bytes + 4 * store_reserve_of(4096));
    sweep_and_wait(NOW - 999);
    store_stats(store, &after);
    assert_int_equal(after.mailboxes, before.mailboxes + 2);
    assert_int_equal(after.reserved_bytes, before.reserved_bytes + 2 * store_reserve_of(4096));
    assert_int_equal(after.swept, before.swept + 2);
    call_init(&call, STORE_READ, old[2].id, old[2].initiator);
    call.op.request.now = NOW - 2000;
    assert_int_equal(call_run(store, &call), STORE_OK);
    store_op_clear(&call.op);
    assert_int_equal(box_plain(store, STORE_DELETE, &young, young.initiator, NULL), STORE_OK);
    sweep_and_wait(NOW - 998);
    store_stats(store, &after);
    assert_int_equal(after.mailboxes, before.mailboxes);
    assert_int_equal(after.reserved_bytes, before.reserved_bytes);
}

/* ---- quota ---- */

TEST(a25_the_quota_is_taken_at_create_and_given_back_at_delete)
{
    struct box first, second;
    struct store_stats stats;
    assert_int_equal(box_create(store, &first, "one"), STORE_OK);
    store_stats(store, &stats);
    struct store_limits limits = {.bytes = stats.reserved_bytes + store_reserve_of(4096) - 1};
    store_set_limits(store, &limits);
    assert_int_equal(box_create(store, &second, "one"), STORE_FULL);
    assert_int_equal(box_update(store, &first, first.initiator, "two", NULL), STORE_OK); /* R2 */
    limits.bytes++;
    store_set_limits(store, &limits);
    assert_int_equal(box_create(store, &second, "one"), STORE_OK);
    assert_int_equal(box_create(store, &second, "one"), STORE_FULL);
    limits = (struct store_limits){.mailboxes = stats.mailboxes + 1};
    store_set_limits(store, &limits);
    assert_int_equal(box_create(store, &second, "one"), STORE_FULL);
    assert_int_equal(box_plain(store, STORE_DELETE, &first, first.initiator, NULL), STORE_OK);
    assert_int_equal(box_create(store, &second, "one"), STORE_OK);
    store_set_limits(store, &(struct store_limits){0});
}

TEST(a_batch_of_creates_stays_within_the_quota)
{
    enum { CALLS = 40, ROOM = 7 };
    static struct call call[CALLS];
    struct store_stats stats;
    uint8_t id[UUID_LEN];
    store_stats(store, &stats);
    store_set_limits(store, &(struct store_limits){.mailboxes = stats.mailboxes + ROOM});
    for (size_t i = 0; i < CALLS; i++) {
        assert_ok(uuid_make(&gage_system_rng, id));
        call_init(&call[i], STORE_CREATE, id, kit_fresh());
        call_start(store, &call[i]);
    }
    size_t made = 0;
    for (size_t i = 0; i < CALLS; i++) {
        call_wait(&call[i]);
        made += call[i].op.result.verdict == STORE_OK;
        assert_true(call[i].op.result.verdict == STORE_OK || call[i].op.result.verdict == STORE_FULL);
    }
    assert_int_equal(made, ROOM);
    store_set_limits(store, &(struct store_limits){0});
}

/* ---- concurrency ---- */

#define THREADS 64

struct racer {
    pthread_t thread;
    struct box box;
    uint64_t claim;
    enum store_verdict verdict;
    uint8_t request_id[16];
    uint8_t id[UUID_LEN];
    uint64_t version;
};

static void
race(struct racer *racers, void *(*run)(void *))
{
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&racers[i].thread, NULL, run, &racers[i]), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(racers[i].thread, NULL), 0);
}

static void *
race_to_bind(void *context)
{
    struct racer *racer = context;
    racer->verdict = box_read(store, &racer->box, racer->claim, NULL);
    return NULL;
}

TEST(r13_of_64_racing_claims_exactly_one_is_bound)
{
    struct racer racers[THREADS] = {0};
    struct box box;
    size_t bound = 0;
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
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
    memcpy(call.request_id, racer->request_id, sizeof call.request_id);
    racer->verdict = call_run(store, &call);
    memcpy(racer->id, call.op.result.mailbox, UUID_LEN);
    return NULL;
}

TEST(r22_of_64_racing_repeats_of_one_create_one_makes_a_mailbox)
{
    struct racer racers[THREADS] = {0};
    uint64_t claim = kit_fresh(), request_id = kit_fresh();
    size_t made = 0;
    for (size_t i = 0; i < THREADS; i++) {
        racers[i].claim = claim;
        kit_name(racers[i].request_id, request_id);
    }
    race(racers, race_one_create);
    for (size_t i = 0; i < THREADS; i++) {
        made += racers[i].verdict == STORE_OK;
        assert_true(racers[i].verdict == STORE_OK || racers[i].verdict == STORE_DUPLICATE);
        assert_memory_equal(racers[i].id, racers[0].id, UUID_LEN);
    }
    assert_int_equal(made, 1);
}

static void *
race_to_update(void *context)
{
    struct racer *racer = context;
    struct call call;
    call_init(&call, STORE_UPDATE, racer->box.id, racer->box.initiator);
    call.op.request.if_match = racer->version;
    racer->verdict = call_run(store, &call);
    racer->version = call.op.result.version;
    return NULL;
}

TEST(of_64_racing_conditional_updates_one_wins)
{
    struct racer racers[THREADS] = {0};
    struct box box;
    size_t won = 0;
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    for (size_t i = 0; i < THREADS; i++) {
        racers[i].box = box;
        racers[i].version = 1;
    }
    race(racers, race_to_update);
    for (size_t i = 0; i < THREADS; i++) {
        won += racers[i].verdict == STORE_OK;
        assert_true(racers[i].verdict == STORE_OK || racers[i].verdict == STORE_MISMATCH);
        assert_int_equal(racers[i].version, 2);
    }
    assert_int_equal(won, 1);
}

TEST(racing_updates_have_64_versions)
{
    struct racer racers[THREADS] = {0};
    struct box box;
    bool seen[THREADS + 2] = {false};
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
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

static void *
run_a_whole_life(void *context)
{
    struct racer *racer = context;
    struct box box;
    char text[32];
    racer->verdict = STORE_UNAVAILABLE;
    for (int i = 0; i < 5; i++) {
        if (box_create(store, &box, "one") != STORE_OK || box_read(store, &box, box.recipient, NULL) != STORE_OK)
            return NULL;
        for (int k = 0; k < 4; k++) {
            snprintf(text, sizeof text, "payload %d", k);
            if (box_update(store, &box, k % 2 == 0 ? box.recipient : box.initiator, text, NULL) != STORE_OK ||
                !box_holds(store, &box, k % 2 == 0 ? box.initiator : box.recipient, text))
                return NULL;
        }
        if (box_plain(store, STORE_DELETE, &box, box.initiator, NULL) != STORE_OK ||
            box_read(store, &box, box.initiator, NULL) != STORE_NOT_FOUND)
            return NULL;
    }
    racer->verdict = STORE_OK;
    return NULL;
}

TEST(each_of_64_threads_reads_what_it_wrote)
{
    struct racer racers[THREADS] = {0};
    race(racers, run_a_whole_life);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(racers[i].verdict, STORE_OK);
}

/* ---- several operations on one mailbox in one batch ---- */

/* Starts all, then waits for all: most of them share a batch. */
static void
run_together(struct call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        call_start(store, &calls[i]);
    for (size_t i = 0; i < count; i++)
        call_wait(&calls[i]);
}

TEST(operations_on_one_mailbox_in_one_batch_apply_in_order)
{
    struct box box;
    static struct call c[7];
    uint64_t second = kit_fresh();
    for (int round = 0; round < 20; round++) {
        assert_int_equal(box_create(store, &box, "one"), STORE_OK);
        assert_int_equal(box_read(store, &box, box.recipient, NULL), STORE_OK);
        uint64_t claims[] = {box.recipient, box.initiator, box.recipient, box.recipient,
                             box.recipient, box.recipient, box.recipient};
        const char *texts[] = {"r1", "i1", "r2", "r3", "r4", "", "late"};
        for (size_t i = 0; i < 7; i++) {
            call_init(&c[i], i == 5 ? STORE_RELINQUISH : STORE_UPDATE, box.id, claims[i]);
            c[i].op.request.payload = slice_str(texts[i]);
        }
        memcpy(c[4].request_id, c[3].request_id, sizeof c[4].request_id); /* a duplicate in the same batch */
        run_together(c, 7);
        for (size_t i = 0; i < 4; i++) {
            assert_int_equal(c[i].op.result.verdict, STORE_OK);
            assert_int_equal(c[i].op.result.version, 2 + i);
        }
        assert_int_equal(c[4].op.result.verdict, STORE_DUPLICATE);
        assert_int_equal(c[4].op.result.version, 5);
        assert_int_equal(c[5].op.result.version, 6);
        assert_int_equal(c[6].op.result.verdict, STORE_UNAUTHORIZED);
        assert_true(box_holds(store, &box, second, "i1"));
        assert_int_equal(box_plain(store, STORE_DELETE, &box, second, NULL), STORE_OK);
    }
}

TEST(deletes_and_updates_in_one_batch_agree)
{
    struct box box;
    static struct call c[3];
    for (int round = 0; round < 10; round++) {
        assert_int_equal(box_create(store, &box, "one"), STORE_OK);
        call_init(&c[0], STORE_UPDATE, box.id, box.initiator);
        call_init(&c[1], STORE_DELETE, box.id, box.initiator);
        call_init(&c[2], STORE_UPDATE, box.id, box.initiator);
        run_together(c, 3);
        assert_int_equal(c[0].op.result.verdict, STORE_OK);
        assert_int_equal(c[1].op.result.verdict, STORE_OK);
        assert_int_equal(c[2].op.result.verdict, STORE_NOT_FOUND);
        assert_int_equal(box_read(store, &box, box.initiator, NULL), STORE_NOT_FOUND);
    }
}

/* Two repeats of a create whose mailbox has ended: one makes a new one, the other is its duplicate; the rest of the batch is unharmed. */
static void
repeat_ended(const struct call *create, bool deleted)
{
    static struct call c[4];
    uint8_t id[UUID_LEN];
    struct store_stats before, after;
    store_stats(store, &before);
    call_init(&c[0], deleted ? STORE_DELETE : STORE_UPDATE, create->op.request.mailbox, 0);
    memcpy(c[0].claim, create->claim, sizeof c[0].claim);
    for (size_t i = 1; i < 4; i++) {
        assert_ok(uuid_make(&gage_system_rng, id));
        call_init(&c[i], STORE_CREATE, id, kit_fresh());
        c[i].op.request.expires = NOW + 50;
        memcpy(c[i].claim, i < 3 ? create->claim : c[i].claim, sizeof c[i].claim);
        memcpy(c[i].request_id, i < 3 ? create->request_id : c[i].request_id, sizeof c[i].request_id);
    }
    for (size_t i = 0; i < 4; i++)
        c[i].op.request.now = deleted ? NOW : NOW + 5;
    run_together(c, 4);
    assert_int_equal(c[0].op.result.verdict, deleted ? STORE_OK : STORE_NOT_FOUND);
    assert_int_equal(c[1].op.result.verdict, STORE_OK);
    assert_int_equal(c[2].op.result.verdict, STORE_DUPLICATE);
    assert_memory_equal(c[2].op.result.mailbox, c[1].op.result.mailbox, UUID_LEN);
    assert_int_equal(c[3].op.result.verdict, STORE_OK);
    store_stats(store, &after);
    assert_int_equal(after.mailboxes, before.mailboxes + 1);
}

TEST(two_repeats_of_an_ended_create_in_one_batch_make_one_mailbox)
{
    struct call first;
    uint8_t id[UUID_LEN];
    for (int round = 0; round < 20; round++) {
        assert_ok(uuid_make(&gage_system_rng, id));
        call_init(&first, STORE_CREATE, id, kit_fresh());
        first.op.request.expires = NOW + 5;
        assert_int_equal(call_run(store, &first), STORE_OK);
        repeat_ended(&first, round % 2 == 0);
    }
}

/* ---- persistence ---- */

TEST(all_is_there_after_closing_and_opening)
{
    struct box box;
    struct call first, dup;
    uint64_t stranger = kit_fresh();
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    assert_int_equal(box_read(store, &box, box.recipient, NULL), STORE_OK);
    call_init(&first, STORE_UPDATE, box.id, box.recipient);
    first.op.request.payload = slice_str("two");
    assert_int_equal(call_run(store, &first), STORE_OK);
    struct store_stats before, after;
    store_stats(store, &before);
    store_close(&store);
    assert_null(store);
    open_shared(NULL);
    store_stats(store, &after);
    assert_int_equal(after.mailboxes, before.mailboxes);
    assert_int_equal(after.reserved_bytes, before.reserved_bytes);
    assert_true(box_holds(store, &box, box.initiator, "two"));
    assert_int_equal(again(&first, &dup), STORE_DUPLICATE);
    assert_int_equal(box_read(store, &box, stranger, NULL), STORE_UNAUTHORIZED);
    assert_int_equal(box_plain(store, STORE_RELINQUISH, &box, box.recipient, NULL), STORE_OK);
    assert_true(box_holds(store, &box, stranger, "one"));
}

/* ---- wakes ---- */

static struct {
    pthread_mutex_t lock;
    uint8_t tag[STORE_TAG_LEN];
    unsigned count;
    uint64_t version;
    enum store_role writer;
} woken = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void
on_wake(void *context, const uint8_t *tag, enum store_role writer, uint64_t version)
{
    pthread_mutex_lock(&woken.lock);
    if (tag != NULL && memcmp(tag, woken.tag, STORE_TAG_LEN) == 0) {
        woken.count++;
        woken.version = version;
        woken.writer = writer;
    }
    pthread_mutex_unlock(&woken.lock);
}

static void
assert_woken(unsigned count, uint64_t version, enum store_role writer)
{
    pthread_mutex_lock(&woken.lock);
    assert_int_equal(woken.count, count);
    assert_int_equal(woken.version, version);
    assert_int_equal(woken.writer, writer);
    pthread_mutex_unlock(&woken.lock);
}

TEST(a_wake_comes_before_the_answer_of_each_change_and_of_nothing_else)
{
    store_close(&store);
    struct store_options options = kit_options();
    options.wake = on_wake;
    store = kit_open(&options);
    struct box box;
    assert_int_equal(box_create(store, &box, "one"), STORE_OK);
    assert_ok(store_tag_of(store, box.id, woken.tag));
    assert_int_equal(box_read(store, &box, box.recipient, NULL), STORE_OK);
    assert_int_equal(box_update(store, &box, kit_fresh(), "x", NULL), STORE_UNAUTHORIZED);
    assert_woken(0, 0, STORE_INITIATOR);
    assert_int_equal(box_update(store, &box, box.recipient, "two", NULL), STORE_OK);
    assert_woken(1, 2, STORE_RECIPIENT);
    assert_int_equal(box_update(store, &box, box.initiator, "three", NULL), STORE_OK);
    assert_woken(2, 3, STORE_INITIATOR);
    assert_int_equal(box_plain(store, STORE_DELETE, &box, box.recipient, NULL), STORE_OK);
    assert_woken(3, 0, STORE_RECIPIENT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(r12_create_binds_the_initiator_and_the_first_foreign_read_the_recipient),
        CASE(a5_the_initiators_read_leaves_the_recipients_place_free),
        CASE(a1_a_duplicate_create_answers_the_first_ones_mailbox),
        CASE(one_request_id_of_two_claims_makes_two_mailboxes),
        CASE(a10_the_preview_binds_nobody),
        CASE(a_read_after_the_current_version_carries_no_payload),
        CASE(an_unknown_mailbox_is_not_found),
        CASE(r3_either_side_may_write_any_number_of_times),
        CASE(an_update_does_not_bind),
        CASE(a2_each_of_the_last_sixteen_requests_is_known_and_the_seventeenth_is_not),
        CASE(one_request_id_of_both_roles_is_two_requests),
        CASE(one_request_id_with_two_verbs_is_two_requests),
        CASE(a21_a_version_mismatch_changes_and_remembers_nothing),
        CASE(a7_what_the_rights_leave_out_is_denied_to_both_roles),
        CASE(a_payload_past_its_reservation_is_too_large_and_the_last_byte_fits),
        CASE(payloads_of_every_size_come_back_as_they_were),
        CASE(fields_past_their_bounds_are_too_large),
        CASE(a18_the_other_roles_token_comes_with_a_write_and_an_omitted_one_is_kept),
        CASE(r30_either_bound_role_deletes_and_then_nothing_is_there),
        CASE(a13_relinquish_restores_the_initiators_last_payload_and_frees_the_place),
        CASE(a13_a_relinquish_without_a_payload_of_the_recipient_keeps_the_version),
        CASE(a13_a_duplicate_relinquish_is_known_though_the_claim_is_gone),
        CASE(the_next_recipient_inherits_no_request_ids),
        CASE(a9_an_expired_mailbox_is_gone_at_its_second_before_any_sweep),
        CASE(a_create_repeated_after_its_mailbox_expired_makes_a_new_one),
        CASE(r18_the_sweep_removes_what_expired_and_nothing_else),
        CASE(a25_the_quota_is_taken_at_create_and_given_back_at_delete),
        CASE(a_batch_of_creates_stays_within_the_quota),
        CASE(r13_of_64_racing_claims_exactly_one_is_bound),
        CASE(r22_of_64_racing_repeats_of_one_create_one_makes_a_mailbox),
        CASE(of_64_racing_conditional_updates_one_wins),
        CASE(racing_updates_have_64_versions),
        CASE(each_of_64_threads_reads_what_it_wrote),
        CASE(operations_on_one_mailbox_in_one_batch_apply_in_order),
        CASE(deletes_and_updates_in_one_batch_agree),
        CASE(two_repeats_of_an_ended_create_in_one_batch_make_one_mailbox),
        CASE(all_is_there_after_closing_and_opening),
        CASE(a_wake_comes_before_the_answer_of_each_change_and_of_nothing_else),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, open_shared, close_shared);
}
