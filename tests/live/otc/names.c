/* Names: who the parties are, what a label is not, and what the mechanism says about itself. */
#include "live/otc/kit.h"

#include <stdlib.h>

#include <openssl/evp.h>

static gss_buffer_desc
shown(gss_name_t name)
{
    OM_uint32 minor;
    gss_buffer_desc text;
    assert_int_equal(gss_display_name(&minor, name, &text, NULL), GSS_S_COMPLETE);
    return text;
}

static bool
ends_with(const gss_buffer_desc *text, const char *end)
{
    size_t n = strlen(end);
    return text->length >= n && memcmp((char *)text->value + text->length - n, end, n) == 0;
}

TEST(parties_are_the_credentials_id_and_role)
{
    struct kit_pair p = kit_pair(0);
    OM_uint32 minor;
    gss_name_t source, target;
    int local = -1, open = -1, equal = 0;
    assert_int_equal(gss_inquire_context(&minor, p.a.ctx, &source, &target, NULL, NULL, NULL, &local, &open),
                     GSS_S_COMPLETE);
    assert_int_equal(local, 0);
    assert_int_equal(open, 1);
    gss_buffer_desc s = shown(source), t = shown(target), peer = shown(p.a.peer);
    assert_int_equal(s.length, 36 + 10);
    assert_true(ends_with(&s, "/initiator") && ends_with(&t, "/acceptor"));
    assert_memory_equal(s.value, t.value, 36);
    assert_memory_equal(s.value, peer.value, s.length);
    assert_int_equal(gss_compare_name(&minor, source, p.a.peer, &equal), GSS_S_COMPLETE);
    assert_int_equal(equal, 1);
    assert_int_equal(gss_compare_name(&minor, source, target, &equal), GSS_S_COMPLETE);
    assert_int_equal(equal, 0);
    kit_release(&s);
    kit_release(&t);
    kit_release(&peer);
    gss_release_name(&minor, &source);
    gss_release_name(&minor, &target);
    kit_pair_free(&p);
}

TEST(exported_names_have_the_documented_bytes_and_import_again)
{
    struct kit_pair p = kit_pair(0);
    OM_uint32 minor;
    gss_buffer_desc exported, text = shown(p.a.peer);
    assert_int_equal(gss_export_name(&minor, p.a.peer, &exported), GSS_S_COMPLETE);
    const uint8_t *b = exported.value, start[] = {4, 1, 0, 35, 6, 33};
    assert_int_equal(exported.length, 2 + 2 + 35 + 4 + 46);
    assert_memory_equal(b, start, sizeof start);
    assert_memory_equal(b + 6, kit_mech()->elements, 33);
    assert_memory_equal(b + 39, "\0\0\0\x2e", 4);
    assert_memory_equal(b + 43, text.value, 46);
    gss_name_t again, canonical;
    int equal = 0;
    assert_int_equal(gss_import_name(&minor, &exported, GSS_C_NT_EXPORT_NAME, &again), GSS_S_COMPLETE);
    assert_int_equal(gss_canonicalize_name(&minor, again, kit_mech(), &canonical), GSS_S_COMPLETE);
    assert_int_equal(gss_compare_name(&minor, canonical, p.a.peer, &equal), GSS_S_COMPLETE);
    assert_int_equal(equal, 1);
    int authenticated = -1, complete, more = -1;
    gss_buffer_desc attribute = kit_buffer("otc:id"), value;
    assert_int_equal(
        gss_get_name_attribute(&minor, canonical, &attribute, &authenticated, &complete, &value, NULL, &more),
        GSS_S_COMPLETE);
    assert_int_equal(authenticated, 0); /* an imported name is what somebody wrote down */
    kit_release(&value);
    gss_release_name(&minor, &again);
    gss_release_name(&minor, &canonical);
    for (size_t k = 0; k < exported.length; k++) { /* damaged: no principal, or another one */
        gss_buffer_desc bad = kit_copy(&exported);
        ((uint8_t *)bad.value)[k] ^= 1;
        gss_name_t name = GSS_C_NO_NAME, mn = GSS_C_NO_NAME;
        OM_uint32 major = gss_import_name(&minor, &bad, GSS_C_NT_EXPORT_NAME, &name);
        if (major == GSS_S_COMPLETE)
            major = gss_canonicalize_name(&minor, name, kit_mech(), &mn);
        equal = 0;
        if (major == GSS_S_COMPLETE)
            assert_int_equal(gss_compare_name(&minor, mn, p.a.peer, &equal), GSS_S_COMPLETE);
        assert_int_equal(equal, 0);
        gss_release_name(&minor, &name);
        gss_release_name(&minor, &mn);
        free(bad.value);
    }
    kit_release(&exported);
    kit_release(&text);
    kit_pair_free(&p);
}

TEST(user_and_host_names_are_wildcards_that_equal_no_principal)
{
    struct kit_pair p = kit_pair(0);
    OM_uint32 minor;
    gss_buffer_desc text = shown(p.a.peer), exported;
    char same[64] = "";
    memcpy(same, text.value, text.length);
    const gss_OID types[] = {GSS_C_NT_USER_NAME, GSS_C_NT_HOSTBASED_SERVICE};
    for (int k = 0; k < 2; k++) {
        gss_name_t name = kit_name(same, types[k]), mn;
        int equal = 1;
        assert_int_equal(gss_compare_name(&minor, name, p.a.peer, &equal), GSS_S_COMPLETE);
        assert_int_equal(equal, 0);
        assert_int_equal(gss_canonicalize_name(&minor, name, kit_mech(), &mn), GSS_S_COMPLETE);
        assert_int_equal(gss_compare_name(&minor, mn, p.a.peer, &equal), GSS_S_COMPLETE);
        assert_int_equal(equal, 0);
        OM_uint32 major = gss_export_name(&minor, mn, &exported);
        kit_assert_status(major, minor, GSS_S_NAME_NOT_MN, "this name names nobody");
        gss_release_name(&minor, &name);
        gss_release_name(&minor, &mn);
    }
    kit_release(&text);
    kit_pair_free(&p);
}

TEST(a_principal_as_target_must_be_this_credentials_acceptor)
{
    struct kit_pair p = kit_pair(0), q = kit_pair(0);
    OM_uint32 minor;
    gss_name_t own, other;
    assert_int_equal(gss_inquire_context(&minor, p.i.ctx, NULL, &own, NULL, NULL, NULL, NULL, NULL), GSS_S_COMPLETE);
    assert_int_equal(gss_inquire_context(&minor, q.i.ctx, NULL, &other, NULL, NULL, NULL, NULL, NULL), GSS_S_COMPLETE);
    gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
    gss_buffer_desc token;
    assert_int_equal(
        gss_init_sec_context(&minor, p.i.cred, &ctx, own, kit_mech(), 0, 0, NULL, NULL, NULL, &token, NULL, NULL),
        GSS_S_CONTINUE_NEEDED);
    kit_release(&token);
    gss_delete_sec_context(&minor, &ctx, NULL);
    OM_uint32 major =
        gss_init_sec_context(&minor, p.i.cred, &ctx, other, kit_mech(), 0, 0, NULL, NULL, NULL, &token, NULL, NULL);
    kit_assert_status(major, minor, GSS_S_BAD_NAME, "bad name");
    assert_int_equal(token.length, 0);
    assert_true(ctx == GSS_C_NO_CONTEXT);
    gss_release_name(&minor, &own);
    gss_release_name(&minor, &other);
    kit_pair_free(&p);
    kit_pair_free(&q);
}

/* ---- a label is not a user ---- */

TEST(the_label_root_makes_nobody_root)
{
    struct kit_text secret = kit_secret();
    struct kit_pair p = {0};
    OM_uint32 minor;
    p.i.cred = kit_acquire(GSS_C_INITIATE, "otc_secret", secret.c, "otc_label", "root", "otc_purpose", "root", NULL);
    p.a.cred = kit_acquire(GSS_C_ACCEPT, "otc_secret", secret.c, NULL);
    kit_establish(&p, 0);
    gss_buffer_desc local, text = shown(p.a.peer);
    gss_name_t root = kit_name("root", GSS_C_NT_USER_NAME), lookalike;
    assert_int_equal(gss_userok(p.a.peer, "root"), 0);
    assert_int_not_equal(gss_authorize_localname(&minor, p.a.peer, root), GSS_S_COMPLETE);
    assert_true(GSS_ERROR(gss_localname(&minor, p.a.peer, GSS_C_NO_OID, &local)));
    uid_t uid = 12345;
    assert_true(GSS_ERROR(gss_pname_to_uid(&minor, p.a.peer, GSS_C_NO_OID, &uid)));
    assert_int_equal(uid, 12345);
    /* Nor does the principal's own text, nor a wildcard of that name. */
    char user[64] = "";
    memcpy(user, text.value, text.length);
    assert_int_equal(gss_userok(p.a.peer, user), 0);
    assert_int_equal(gss_canonicalize_name(&minor, root, kit_mech(), &lookalike), GSS_S_COMPLETE);
    assert_int_equal(gss_userok(lookalike, "root"), 0);
    assert_true(GSS_ERROR(gss_localname(&minor, lookalike, kit_mech(), &local)));
    gss_release_name(&minor, &root);
    gss_release_name(&minor, &lookalike);
    kit_release(&text);
    kit_pair_free(&p);
}

/* ---- attributes ---- */

static void
assert_attribute(gss_name_t name, const char *attribute, const char *expected, int vouched)
{
    OM_uint32 minor;
    int authenticated = -1, complete = -1, more = -1;
    gss_buffer_desc key = kit_buffer(attribute), value, display;
    OM_uint32 major = gss_get_name_attribute(&minor, name, &key, &authenticated, &complete, &value, &display, &more);
    if (expected == NULL) {
        assert_int_equal(major, GSS_S_UNAVAILABLE);
        return;
    }
    assert_int_equal(major, GSS_S_COMPLETE);
    assert_int_equal(authenticated, vouched);
    assert_int_equal(complete, 1);
    assert_int_equal(more, 0);
    assert_int_equal(value.length, strlen(expected));
    assert_memory_equal(value.value, expected, value.length);
    assert_memory_equal(display.value, expected, value.length);
    kit_release(&value);
    kit_release(&display);
}

TEST(attributes_can_be_read_before_anything_is_released_and_labels_are_not_vouched_for)
{
    struct kit_text secret = kit_secret();
    struct kit_pair p = {0};
    OM_uint32 minor;
    gss_name_t source, target;
    p.i.cred = kit_acquire(GSS_C_INITIATE, "otc_secret", secret.c, "otc_label", "Anna's laptop", "otc_title",
                           "Hotel room 12 \xe2\x80\x93 key", "otc_format", "file", "otc_not_after",
                           "2100-01-31T12:00:00Z", NULL);
    p.a.cred = kit_acquire(GSS_C_ACCEPT, "otc_secret", secret.c, NULL);
    kit_init(&p.i, 0, 0, NULL);
    kit_accept(&p.a, &p.i.token);
    assert_int_equal(p.a.major, GSS_S_CONTINUE_NEEDED);
    int open = 1, is_mn = 0;
    assert_int_equal(gss_inquire_context(&minor, p.a.ctx, &source, &target, NULL, NULL, NULL, NULL, &open),
                     GSS_S_COMPLETE);
    assert_int_equal(open, 0);
    assert_attribute(source, "otc:label", "Anna's laptop", 0);
    assert_attribute(source, "otc:title", "Hotel room 12 \xe2\x80\x93 key", 0);
    assert_attribute(target, "otc:title", "Hotel room 12 \xe2\x80\x93 key", 0);
    assert_attribute(source, "otc:format", "file", 0);
    assert_attribute(source, "otc:not-after", "2100-01-31T12:00:00Z", 0);
    assert_attribute(source, "otc:role", "initiator", 1);
    assert_attribute(target, "otc:role", "acceptor", 1);
    assert_attribute(source, "otc:purpose", NULL, 0); /* empty: absent */
    assert_attribute(source, "otc:colour", NULL, 0);
    assert_attribute(source, "local-login-user", NULL, 0);
    gss_buffer_set_t attributes;
    gss_OID mech;
    assert_int_equal(gss_inquire_name(&minor, source, &is_mn, &mech, &attributes), GSS_S_COMPLETE);
    assert_int_equal(is_mn, 1);
    assert_int_equal(attributes->count, 6);
    gss_release_buffer_set(&minor, &attributes);
    gss_release_oid(&minor, &mech);
    gss_buffer_desc key = kit_buffer("otc:label"), value = kit_buffer("root");
    assert_true(GSS_ERROR(gss_set_name_attribute(&minor, source, 1, &key, &value)));
    assert_true(GSS_ERROR(gss_delete_name_attribute(&minor, source, &key)));
    gss_release_name(&minor, &source);
    gss_release_name(&minor, &target);
    kit_pair_free(&p);
}

TEST(credentials_say_what_they_are)
{
    struct kit_text secret = kit_secret();
    kit_secret_files("inquire-a", "inquire-b");
    struct kit_path a = kit_path("inquire-a");
    const struct {
        gss_cred_id_t cred;
        gss_cred_usage_t usage;
        const char *name_end;
        OM_uint32 lifetime;
    } rows[] = {
        {kit_acquire(GSS_C_INITIATE, "otc_secret", secret.c, NULL), GSS_C_INITIATE, "/initiator", 86400},
        {kit_acquire(GSS_C_ACCEPT, "otc_secret", secret.c, NULL), GSS_C_ACCEPT, "one-time-credential",
         GSS_C_INDEFINITE},
        {kit_acquire(GSS_C_BOTH, "otc_secret_file", a.c, NULL), GSS_C_BOTH, "one-time-credential", GSS_C_INDEFINITE},
    };
    for (size_t k = 0; k < 3; k++) {
        OM_uint32 minor, lifetime;
        gss_name_t name;
        gss_cred_usage_t usage;
        gss_OID_set mechs;
        gss_cred_id_t cred = rows[k].cred;
        assert_int_equal(gss_inquire_cred(&minor, cred, &name, &lifetime, &usage, &mechs), GSS_S_COMPLETE);
        assert_int_equal(usage, rows[k].usage);
        assert_in_range(lifetime, rows[k].lifetime - 5, rows[k].lifetime);
        assert_int_equal(mechs->count, 1);
        gss_buffer_desc text = shown(name);
        assert_true(ends_with(&text, rows[k].name_end));
        kit_release(&text);
        gss_release_name(&minor, &name);
        gss_release_oid_set(&minor, &mechs);
        assert_int_equal(gss_inquire_cred_by_mech(&minor, cred, kit_mech(), NULL, NULL, &lifetime, &usage),
                         GSS_S_COMPLETE);
        gss_release_cred(&minor, &cred);
    }
}

TEST(nobody_is_told_that_a_credential_was_stored)
{
    struct kit_text secret = kit_secret();
    gss_cred_id_t cred = kit_acquire(GSS_C_INITIATE, "otc_secret", secret.c, NULL);
    OM_uint32 minor;
    assert_true(GSS_ERROR(gss_store_cred(&minor, cred, GSS_C_INITIATE, kit_mech(), 0, 0, NULL, NULL)));
    assert_true(GSS_ERROR(gss_store_cred_into(&minor, cred, GSS_C_INITIATE, kit_mech(), 0, 0, NULL, NULL, NULL)));
    gss_release_cred(&minor, &cred);
}

/* ---- the mechanism about itself ---- */

static bool
has(gss_OID_set set, gss_const_OID oid)
{
    OM_uint32 minor;
    int present = 0;
    gss_test_oid_set_member(&minor, (gss_OID)(uintptr_t)oid, set, &present);
    return present != 0;
}

TEST(mechanism_attributes_are_as_documented)
{
    OM_uint32 minor;
    gss_OID_set own, known;
    assert_int_equal(gss_inquire_attrs_for_mech(&minor, kit_mech(), &own, &known), GSS_S_COMPLETE);
    const gss_const_OID yes[] = {
        GSS_C_MA_MECH_CONCRETE, GSS_C_MA_NOT_DFLT_MECH, GSS_C_MA_ITOK_FRAMED, GSS_C_MA_AUTH_INIT, GSS_C_MA_AUTH_TARG,
        GSS_C_MA_INTEG_PROT,    GSS_C_MA_CONF_PROT,     GSS_C_MA_MIC,         GSS_C_MA_WRAP,      GSS_C_MA_REPLAY_DET,
        GSS_C_MA_OOS_DET,       GSS_C_MA_CBINDINGS,     GSS_C_MA_PFS,         GSS_C_MA_CTX_TRANS};
    const gss_const_OID no[] = {GSS_C_MA_DELEG_CRED, GSS_C_MA_PROT_READY, GSS_C_MA_AUTH_INIT_ANON, GSS_C_MA_MECH_NEGO};
    for (size_t k = 0; k < sizeof yes / sizeof yes[0]; k++)
        assert_true(has(own, yes[k]) && has(known, yes[k]));
    for (size_t k = 0; k < sizeof no / sizeof no[0]; k++)
        assert_true(!has(own, no[k]) && has(known, no[k]));
    assert_int_equal(own->count, sizeof yes / sizeof yes[0]);
    gss_release_oid_set(&minor, &own);
    gss_release_oid_set(&minor, &known);
    assert_int_equal(gss_inquire_names_for_mech(&minor, kit_mech(), &own), GSS_S_COMPLETE);
    assert_true(has(own, GSS_C_NT_USER_NAME) && has(own, GSS_C_NT_HOSTBASED_SERVICE) && has(own, GSS_C_NT_EXPORT_NAME));
    gss_release_oid_set(&minor, &own);
}

/* RFC 5801 section 3.1, computed from the OID. */
TEST(the_sasl_name_is_the_one_that_the_oid_gives)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint8_t der[35] = {6, 33}, hash[20];
    char expected[16] = "GS2-";
    memcpy(der + 2, kit_mech()->elements, 33);
    assert_int_equal(EVP_Digest(der, sizeof der, hash, NULL, EVP_sha1(), NULL), 1);
    for (size_t k = 0; k < 11; k++) {
        size_t bit = 5 * k, v = 0;
        for (size_t i = bit; i < bit + 5; i++)
            v = v << 1 | (hash[i / 8] >> (7 - i % 8) & 1);
        expected[4 + k] = alphabet[v];
    }
    OM_uint32 minor;
    gss_buffer_desc sasl, mech, description;
    gss_OID back = GSS_C_NO_OID;
    assert_int_equal(gss_inquire_saslname_for_mech(&minor, kit_mech(), &sasl, &mech, &description), GSS_S_COMPLETE);
    assert_int_equal(sasl.length, 15);
    assert_memory_equal(sasl.value, expected, 15);
    assert_int_equal(gss_inquire_mech_for_saslname(&minor, &sasl, &back), GSS_S_COMPLETE);
    assert_true(gss_oid_equal(back, kit_mech()));
    kit_release(&sasl);
    kit_release(&mech);
    kit_release(&description);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(parties_are_the_credentials_id_and_role),
        CASE(exported_names_have_the_documented_bytes_and_import_again),
        CASE(user_and_host_names_are_wildcards_that_equal_no_principal),
        CASE(a_principal_as_target_must_be_this_credentials_acceptor),
        CASE(the_label_root_makes_nobody_root),
        CASE(attributes_can_be_read_before_anything_is_released_and_labels_are_not_vouched_for),
        CASE(credentials_say_what_they_are),
        CASE(nobody_is_told_that_a_credential_was_stored),
        CASE(mechanism_attributes_are_as_documented),
        CASE(the_sasl_name_is_the_one_that_the_oid_gives),
    };
    kit_start();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
