/* Seals through the public calls, over contexts of real mechanisms. */
#include "live/seal/parties.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/file.h"

#define MIB (1 << 20)

struct world {
    struct meeting with_bob, with_carol;
    gage_keyring *alice, *bob, *carol;
    gage_buf sealed, grant, message;
};

static int
set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    w->with_bob = meet("gage");
    w->with_carol = meet("HTTP");
    w->alice = keyring_of("alice");
    w->bob = keyring_of("bob");
    w->carol = keyring_of("carol");
    pair_up(&w->with_bob, w->alice, "bob", w->bob, "alice");
    pair_up(&w->with_carol, w->alice, "carol", w->carol, "alice");
    w->sealed = w->grant = w->message = GAGE_BUF(4 * MIB);
    *state = w;
    return 0;
}

static int
tear_down(void **state)
{
    struct world *w = *state;
    part(&w->with_bob);
    part(&w->with_carol);
    gage_keyring_free(&w->alice);
    gage_keyring_free(&w->bob);
    gage_keyring_free(&w->carol);
    gage_buf_free(&w->sealed);
    gage_buf_free(&w->grant);
    gage_buf_free(&w->message);
    free(w);
    return 0;
}

#define WORLD struct world *w = *state
#define TEXT SLICE_LITERAL("four score barrels at the mill, Thursday")

static void
seal_for_bob(struct world *w, const char *via)
{
    const struct gage_seal_options options = {.to = "bob", .via = via};
    buf_reset(&w->sealed);
    buf_reset(&w->grant);
    assert_ok(gage_seal(w->alice, &options, now_s(), TEXT, &w->sealed, &w->grant, NULL));
}

static gage_rc
open_as(struct world *w, gage_keyring *who, struct gage_unseal_options options)
{
    struct gage_err err = {0};
    buf_reset(&w->message);
    gage_rc rc = gage_unseal(who, &options, now_s(), gage_buf_slice(&w->sealed), &w->message, NULL, &err);
    assert_true(gage_ok(rc) || (err.text[0] != '\0' && w->message.n == 0));
    return rc;
}

/* Both parties' names as people read them are what the mechanism says. */
static void
names_read_as_the_mechanism_displays_them(void **state)
{
    WORLD;
    OM_uint32 minor;
    gss_name_t names[2];
    assert_int_equal(
        gss_inquire_context(&minor, w->with_bob.initiator, &names[0], &names[1], NULL, NULL, NULL, NULL, NULL),
        GSS_S_COMPLETE);
    for (int i = 0; i < 2; i++) {
        gss_buffer_desc shown = GSS_C_EMPTY_BUFFER, exported = GSS_C_EMPTY_BUFFER;
        char text[GAGE_NAME_TEXT_MAX], expected[GAGE_NAME_TEXT_MAX];
        assert_int_equal(gss_display_name(&minor, names[i], &shown, NULL), GSS_S_COMPLETE);
        assert_int_equal(gss_export_name(&minor, names[i], &exported), GSS_S_COMPLETE);
        gage_name_text(gage_slice_of(exported.value, exported.length), text);
        snprintf(expected, sizeof expected, "%s:%.*s", parties_krb5() ? "krb5" : "otc", (int)shown.length,
                 (const char *)shown.value);
        assert_string_equal(text, expected);
        gss_release_buffer(&minor, &shown);
        gss_release_buffer(&minor, &exported);
        gss_release_name(&minor, &names[i]);
    }
}

static void
bob_opens_what_alice_sealed_and_learns_who_for_whom_and_when(void **state)
{
    WORLD;
    gage_opener *opener = NULL;
    char from[GAGE_NAME_TEXT_MAX];
    const struct gage_unseal_options options = {.from = "alice", .max_age = 60};
    seal_for_bob(w, NULL);
    assert_ok(gage_unseal(w->bob, &options, now_s(), gage_buf_slice(&w->sealed), &w->message, &opener, NULL));
    assert_slice_equal(gage_buf_slice(&w->message), TEXT);
    const struct gage_seal_info *info = gage_opener_info(opener);
    assert_string_equal(info->alias, "alice");
    assert_true(now_s() - info->time < 60);
    assert_int_equal(info->carrier, GAGE_CARRIER_ANYBODY);
    assert_false(info->carrier_checked);
    gage_name_text(info->originator, from);
    if (parties_krb5())
        assert_string_equal(from, "krb5:alice@TEST.GAGE");
    else
        assert_memory_equal(from, "otc:", 4);
    gage_opener_free(&opener);
}

static void
nobody_else_opens_it_not_even_its_maker(void **state)
{
    WORLD;
    seal_for_bob(w, NULL);
    assert_code(open_as(w, w->carol, (struct gage_unseal_options){0}), GAGE_E_NOT_OURS);
    assert_code(open_as(w, w->alice, (struct gage_unseal_options){0}), GAGE_E_NOT_OURS);
}

static void
a_keyring_opened_again_opens_older_seals(void **state)
{
    WORLD;
    seal_for_bob(w, NULL);
    gage_keyring_free(&w->bob);
    assert_ok(gage_keyring_open(kit_path("bob").c, false, &w->bob, NULL));
    assert_ok(open_as(w, w->bob, (struct gage_unseal_options){.from = "alice"}));
}

static void
another_originator_than_demanded_is_refused(void **state)
{
    WORLD;
    seal_for_bob(w, NULL);
    assert_code(open_as(w, w->bob, (struct gage_unseal_options){.from = "carol"}), GAGE_E_ORIGINATOR);
    assert_code(open_as(w, w->bob, (struct gage_unseal_options){.from_name = TEXT}), GAGE_E_ORIGINATOR);
}

static void
once_means_once_also_for_a_keyring_opened_again(void **state)
{
    WORLD;
    const struct gage_unseal_options once = {.once = true, .max_age = 600};
    seal_for_bob(w, NULL);
    assert_ok(open_as(w, w->bob, once));
    assert_code(open_as(w, w->bob, once), GAGE_E_USED);
    gage_keyring_free(&w->bob);
    assert_ok(gage_keyring_open(kit_path("bob").c, false, &w->bob, NULL));
    assert_code(open_as(w, w->bob, once), GAGE_E_USED);
    assert_code(open_as(w, w->bob, (struct gage_unseal_options){.once = true}), GAGE_E_USAGE);
}

static void
copy_file(const char *from, const char *to)
{
    AUTO(gage_buf) bytes = GAGE_BUF(64 * MIB);
    assert_ok(file_read(kit_path(from).c, &bytes, NULL));
    assert_ok(file_replace(kit_path(to).c, gage_buf_slice(&bytes), 0600, NULL));
}

/* The documented limit, shown: two copies do not see each other's replays, each sees its own. */
static void
a_copied_keyring_sees_its_own_replays_only(void **state)
{
    WORLD;
    gage_keyring *copy = NULL;
    const struct gage_unseal_options once = {.once = true, .max_age = 600};
    seal_for_bob(w, NULL);
    copy_file("bob", "copy");
    assert_ok(gage_keyring_open(kit_path("copy").c, false, &copy, NULL));
    assert_ok(open_as(w, w->bob, once));
    assert_ok(open_as(w, copy, once));
    assert_code(open_as(w, copy, once), GAGE_E_USED);
    gage_keyring_free(&copy);
}

/* By name where names are global, else by key: over Kerberos no grant, over the one-time credential one. */
static void
the_carrier_is_checked_by_name_or_by_proof(void **state)
{
    WORLD;
    seal_for_bob(w, "carol");
    assert_ok(open_as(w, w->bob, (struct gage_unseal_options){0}));
    if (!parties_krb5()) {
        assert_true(w->grant.n > 0);
        return;
    }
    AUTO(gage_buf) carol = GAGE_BUF(GAGE_SEAL_NAME_MAX);
    AUTO(gage_buf) mallory = GAGE_BUF(GAGE_SEAL_NAME_MAX);
    assert_int_equal(w->grant.n, 0);
    assert_ok(gage_name_parse("krb5:HTTP/localhost@TEST.GAGE", &carol, NULL));
    assert_ok(gage_name_parse("krb5:mallory@TEST.GAGE", &mallory, NULL));
    assert_ok(open_as(w, w->bob, (struct gage_unseal_options){.deliverer = gage_buf_slice(&carol)}));
    assert_code(open_as(w, w->bob, (struct gage_unseal_options){.deliverer = gage_buf_slice(&mallory)}),
                GAGE_E_CARRIER);
}

static void
a_proof_holds_for_its_occasion_and_its_seal_alone(void **state)
{
    WORLD;
    const struct gage_seal_options options = {.to = "bob", .via = "carol", .via_key = true};
    AUTO(gage_buf) granted = GAGE_BUF(4096);
    AUTO(gage_buf) proof = GAGE_BUF(4096);
    AUTO(gage_buf) there = GAGE_BUF(64);
    AUTO(gage_buf) here = GAGE_BUF(64);
    struct meeting delivery = meet("gage");
    assert_ok(gage_seal(w->alice, &options, now_s(), TEXT, &w->sealed, &w->grant, NULL));
    assert_ok(gage_unseal(w->carol, &(struct gage_unseal_options){.from = "alice"}, now_s(), gage_buf_slice(&w->grant),
                          &granted, NULL, NULL));
    assert_ok(gage_carrier_occasion(delivery.initiator, &there, NULL));
    assert_ok(gage_carrier_occasion(delivery.acceptor, &here, NULL));
    assert_ok(gage_carrier_prove(gage_buf_slice(&granted), gage_buf_slice(&there), &proof, NULL));
    struct gage_unseal_options demand = {.proof = gage_buf_slice(&proof), .occasion = gage_buf_slice(&here)};
    assert_ok(open_as(w, w->bob, demand));
    demand.occasion = TEXT;
    assert_code(open_as(w, w->bob, demand), GAGE_E_CARRIER);
    demand.occasion = gage_buf_slice(&here);
    proof.p[proof.n - 1] ^= 1;
    assert_code(open_as(w, w->bob, demand), GAGE_E_CARRIER);
    proof.p[proof.n - 1] ^= 1;
    seal_for_bob(w, NULL);
    assert_code(open_as(w, w->bob, demand), GAGE_E_CARRIER);
    part(&delivery);
}

struct gss_world {
    gss_name_t alice, bob;
    gss_buffer_desc text, sealed, message;
    OM_uint32 minor;
};

static struct gss_world
gss_set_up(struct world *w)
{
    struct gss_world g = {.text = kit_buffer("in the other style")};
    OM_uint32 minor;
    assert_int_equal(gss_inquire_context(&minor, w->with_bob.initiator, &g.alice, &g.bob, NULL, NULL, NULL, NULL, NULL),
                     GSS_S_COMPLETE);
    assert_int_equal(gage_gss_seal(&g.minor, w->alice, g.bob, GSS_C_NO_NAME, &g.text, &g.sealed, NULL), GSS_S_COMPLETE);
    return g;
}

static void
gss_tear_down(struct gss_world *g)
{
    OM_uint32 minor;
    kit_release(&g->sealed);
    kit_release(&g->message);
    gss_release_name(&minor, &g->alice);
    gss_release_name(&minor, &g->bob);
}

static void
a_carrier_who_must_be_checked_is_not_let_by_with_an_empty_proof(void **state)
{
    WORLD;
    struct gss_world g = gss_set_up(w);
    gss_buffer_desc empty = GSS_C_EMPTY_BUFFER;
    seal_for_bob(w, "carol");
    struct gage_unseal_options demand = {.carrier_required = true};
    assert_code(open_as(w, w->bob, demand), GAGE_E_CARRIER);
    demand.carrier_required = false;
    assert_ok(open_as(w, w->bob, demand));
    assert_int_equal(gage_gss_unseal(&g.minor, w->bob, 0, 600, GSS_C_NO_NAME, &empty, GSS_C_NO_CONTEXT, &g.sealed,
                                     &g.message, NULL, NULL, NULL, NULL),
                     GSS_S_UNAUTHORIZED);
    assert_int_equal(g.minor, GAGE_E_CARRIER);
    assert_int_equal(g.message.length, 0);
    gss_tear_down(&g);
}

static void
what_failed_says_nothing_of_what_it_proves(void **state)
{
    WORLD;
    gage_opener *opener = NULL;
    AUTO(gage_buf) big = GAGE_BUF(MIB);
    assert_non_null(put_space(&big, 200000));
    memset(big.p, 7, big.n);
    assert_ok(gage_seal(w->alice, &(struct gage_seal_options){.to = "bob"}, now_s(), gage_buf_slice(&big), &w->sealed,
                        NULL, NULL));
    assert_ok(gage_opener_new(w->bob, &(struct gage_unseal_options){.max_age = 60}, now_s(), &opener, NULL));
    assert_null(gage_opener_info(opener));
    assert_ok(gage_opener_put(opener, gage_slice_of(w->sealed.p, 150000), &w->message, NULL));
    assert_non_null(gage_opener_info(opener));
    assert_ok(gage_opener_now(opener, now_s(), NULL));
    assert_code(gage_opener_now(opener, now_s() + 100, NULL), GAGE_E_EXPIRED);
    assert_null(gage_opener_info(opener));
    assert_code(gage_opener_end(opener, &w->message, NULL), GAGE_E_STATE);
    gage_opener_free(&opener);
}

/* ---- pairing under attack ---- */

static void
a_pairing_token_of_another_context_or_ones_own_is_refused(void **state)
{
    WORLD;
    gage_pairing *i = NULL, *a = NULL;
    gage_slice from_i, from_a;
    struct gage_err err = {0};
    struct meeting m = meet("gage");
    assert_ok(gage_pair_start(m.initiator, 100, now_s(), NULL, &i, &from_i, NULL));
    assert_ok(gage_pair_start(w->with_carol.acceptor, 100, now_s(), NULL, &a, &from_a, NULL));
    assert_false(gage_ok(gage_pair_finish(i, m.initiator, from_a, now_s(), &err)));
    assert_false(gage_ok(gage_pair_finish(i, m.initiator, from_i, now_s(), &err)));
    assert_code(gage_pair_store(i, w->alice, "nobody", NULL), GAGE_E_STATE);
    gage_pair_free(&i);
    gage_pair_free(&a);
    part(&m);
}

static void
clocks_a_month_apart_do_not_pair(void **state)
{
    (void)state;
    gage_pairing *i = NULL, *a = NULL;
    gage_slice from_i, from_a;
    struct meeting m = meet("gage");
    assert_ok(gage_pair_start(m.initiator, 100, now_s(), NULL, &i, &from_i, NULL));
    assert_ok(gage_pair_start(m.acceptor, 100, now_s() + 30 * 86400, NULL, &a, &from_a, NULL));
    assert_code(gage_pair_finish(a, m.acceptor, from_i, now_s() + 30 * 86400, NULL), GAGE_E_MISMATCH);
    assert_code(gage_pair_finish(i, m.initiator, from_a, now_s(), NULL), GAGE_E_MISMATCH);
    gage_pair_free(&i);
    gage_pair_free(&a);
    part(&m);
}

/* ---- the GSS-API's style ---- */

static void
the_gss_style_takes_and_gives_names(void **state)
{
    WORLD;
    struct gss_world g = gss_set_up(w);
    gss_name_t from = GSS_C_NO_NAME;
    OM_uint32 minor, granted = 9;
    int64_t when = 0;
    int same = 0;
    assert_int_equal(gage_gss_unseal(&g.minor, w->bob, GAGE_GSS_ONCE, 600, GSS_C_NO_NAME, NULL, GSS_C_NO_CONTEXT,
                                     &g.sealed, &g.message, &from, NULL, &when, &granted),
                     GSS_S_COMPLETE);
    assert_int_equal(g.message.length, g.text.length);
    assert_memory_equal(g.message.value, g.text.value, g.text.length);
    assert_int_equal(gss_compare_name(&minor, from, g.alice, &same), GSS_S_COMPLETE);
    assert_true(same && when > 0 && granted == 0);
    gss_release_name(&minor, &from);
    gss_tear_down(&g);
}

static OM_uint32
gss_open(struct gss_world *g, gage_keyring *who, OM_uint32 request)
{
    kit_release(&g->message);
    return gage_gss_unseal(&g->minor, who, request, 600, GSS_C_NO_NAME, NULL, GSS_C_NO_CONTEXT, &g->sealed, &g->message,
                           NULL, NULL, NULL, NULL);
}

static void
the_gss_style_says_what_was_wrong_in_its_majors(void **state)
{
    WORLD;
    struct gss_world g = gss_set_up(w);
    assert_int_equal(gss_open(&g, w->carol, 0), GSS_S_NO_CRED);
    assert_int_equal(gss_open(&g, w->bob, GAGE_GSS_ONCE), GSS_S_COMPLETE);
    assert_int_equal(gss_open(&g, w->bob, GAGE_GSS_ONCE), GSS_S_DUPLICATE_TOKEN);
    assert_int_equal(g.minor, GAGE_E_USED);
    ((uint8_t *)g.sealed.value)[g.sealed.length - 1] ^= 1;
    assert_int_equal(gss_open(&g, w->bob, 0), GSS_S_BAD_SIG);
    assert_int_equal(g.message.length, 0);
    g.sealed.length = 20;
    assert_int_equal(gss_open(&g, w->bob, 0), GSS_S_DEFECTIVE_TOKEN);
    gss_buffer_desc none = GSS_C_EMPTY_BUFFER;
    assert_int_equal(gage_gss_seal(&g.minor, w->alice, g.alice, GSS_C_NO_NAME, &g.text, &none, NULL), GSS_S_BAD_NAME);
    gss_tear_down(&g);
}

static void
two_gss_calls_a_side_make_a_pairing(void **state)
{
    WORLD;
    OM_uint32 minor;
    struct meeting m = meet("gage");
    gage_pairing *i = NULL, *a = NULL;
    gss_buffer_desc from_i, from_a, none;
    assert_int_equal(gage_gss_pair(&minor, &i, m.initiator, w->alice, "bob2", 0, NULL, &from_i), GSS_S_COMPLETE);
    assert_int_equal(gage_gss_pair(&minor, &a, m.acceptor, w->bob, "alice2", 0, NULL, &from_a), GSS_S_COMPLETE);
    assert_int_equal(gage_gss_pair(&minor, &i, m.initiator, w->alice, "bob2", 0, &from_a, &none), GSS_S_COMPLETE);
    assert_int_equal(gage_gss_pair(&minor, &a, m.acceptor, w->bob, "alice2", 0, &from_i, &none), GSS_S_COMPLETE);
    assert_null(i);
    assert_ok(gage_seal(w->alice, &(struct gage_seal_options){.to = "bob2"}, now_s(), TEXT, &w->sealed, NULL, NULL));
    assert_ok(open_as(w, w->bob, (struct gage_unseal_options){.from = "alice2"}));
    kit_release(&from_i);
    kit_release(&from_a);
    part(&m);
}

/* ---- threads ---- */

#define THREADS 8
#define ROUNDS 25

struct job {
    struct world *w;
    int failures, repeated;
    gage_slice common;
};

static void *
work(void *context)
{
    struct job *job = context;
    const struct gage_unseal_options once = {.once = true, .max_age = 600};
    AUTO(gage_buf) out = GAGE_BUF(MIB);
    for (int i = 0; i < ROUNDS; i++) {
        AUTO(gage_buf) sealed = GAGE_BUF(MIB);
        buf_reset(&out);
        job->failures +=
            !gage_ok(gage_seal(job->w->alice, &(struct gage_seal_options){.to = "bob"}, now_s(), TEXT, &sealed, NULL,
                               NULL)) ||
            !gage_ok(gage_unseal(job->w->bob, &once, now_s(), gage_buf_slice(&sealed), &out, NULL, NULL)) ||
            !slice_equal(gage_buf_slice(&out), TEXT);
    }
    gage_rc rc = gage_unseal(job->w->bob, &once, now_s(), job->common, &out, NULL, NULL);
    job->repeated = rc.code == GAGE_E_USED;
    job->failures += !gage_ok(rc) && rc.code != GAGE_E_USED;
    return NULL;
}

static void
threads_share_keyrings_and_exactly_one_opens_a_seal_once(void **state)
{
    WORLD;
    pthread_t threads[THREADS];
    struct job jobs[THREADS];
    int failures = 0, repeated = 0;
    seal_for_bob(w, NULL);
    for (int i = 0; i < THREADS; i++) {
        jobs[i] = (struct job){.w = w, .common = gage_buf_slice(&w->sealed)};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &jobs[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        failures += jobs[i].failures;
        repeated += jobs[i].repeated;
    }
    assert_int_equal(failures, 0);
    assert_int_equal(repeated, THREADS - 1);
}

static void
a_carriers_name_that_goes_on_after_its_end_is_refused_in_the_gss_style(void **state)
{
    WORLD;
    struct gss_world g = gss_set_up(w);
    gss_name_t carrier = GSS_C_NO_NAME;
    AUTO(gage_buf) name = GAGE_BUF(GAGE_SEAL_NAME_MAX);
    assert_ok(gage_name_parse("krb5:carol@TEST.GAGE", &name, NULL));
    put_u8(&name, 'x');
    const struct gage_seal_options options = {.to = "bob", .via_name = gage_buf_slice(&name)};
    buf_reset(&w->sealed);
    assert_ok(gage_seal(w->alice, &options, now_s(), TEXT, &w->sealed, &w->grant, NULL));
    gss_buffer_desc sealed = {w->sealed.n, w->sealed.p};
    assert_int_equal(gage_gss_unseal(&g.minor, w->bob, 0, 600, GSS_C_NO_NAME, NULL, GSS_C_NO_CONTEXT, &sealed,
                                     &g.message, NULL, &carrier, NULL, NULL),
                     GSS_S_DEFECTIVE_TOKEN);
    assert_true(carrier == GSS_C_NO_NAME && g.message.length == 0);
    gss_tear_down(&g);
}

#define WITH_WORLD(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(bob_opens_what_alice_sealed_and_learns_who_for_whom_and_when),
        WITH_WORLD(names_read_as_the_mechanism_displays_them),
        WITH_WORLD(nobody_else_opens_it_not_even_its_maker),
        WITH_WORLD(a_keyring_opened_again_opens_older_seals),
        WITH_WORLD(another_originator_than_demanded_is_refused),
        WITH_WORLD(once_means_once_also_for_a_keyring_opened_again),
        WITH_WORLD(a_copied_keyring_sees_its_own_replays_only),
        WITH_WORLD(the_carrier_is_checked_by_name_or_by_proof),
        WITH_WORLD(a_proof_holds_for_its_occasion_and_its_seal_alone),
        WITH_WORLD(a_carrier_who_must_be_checked_is_not_let_by_with_an_empty_proof),
        WITH_WORLD(what_failed_says_nothing_of_what_it_proves),
        WITH_WORLD(a_pairing_token_of_another_context_or_ones_own_is_refused),
        WITH_WORLD(clocks_a_month_apart_do_not_pair),
        WITH_WORLD(the_gss_style_takes_and_gives_names),
        WITH_WORLD(the_gss_style_says_what_was_wrong_in_its_majors),
        WITH_WORLD(a_carriers_name_that_goes_on_after_its_end_is_refused_in_the_gss_style),
        WITH_WORLD(two_gss_calls_a_side_make_a_pairing),
        WITH_WORLD(threads_share_keyrings_and_exactly_one_opens_a_seal_once),
    };
    parties_start();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
