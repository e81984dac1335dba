/* What is remembered of tickets: found inside first tokens only, told only for the same ticket, credential, service and configuration. */
#include "unit/test.h"

#include <stdlib.h>

#include "proxyd/known.h"
#include "proxyd/mech.h"

static struct conf conf = {.generation = 3};
static struct service service = {.name = (char *)(uintptr_t) "test"};
static struct peer peer = {.uid = 5};
static struct call call = {.conf = &conf, .service = &service, .peer = &peer};

/* An element of up to 255 bytes, its length in two octets. */
static void
wrap(gage_buf *out, uint8_t tag, gage_slice contents)
{
    put_u8(out, tag);
    put_u8(out, 0x81);
    put_vec8(out, contents);
}

/* A krb5 first token around these fields of an AP-REQ. */
static gage_buf
token_of(gage_slice ticket, uint16_t id)
{
    static const uint8_t number[] = {2, 1, 5};
    AUTO(gage_buf) fields = GAGE_BUF(512), sequence = GAGE_BUF(512), request = GAGE_BUF(512), body = GAGE_BUF(512);
    gage_buf token = GAGE_BUF(512);
    for (uint8_t tag = 0xa0; tag <= 0xa2; tag++)
        wrap(&fields, tag, SLICE_OF(number));
    wrap(&fields, 0xa3, ticket);
    wrap(&fields, 0xa4, SLICE_LITERAL("authenticator"));
    wrap(&sequence, 0x30, gage_buf_slice(&fields));
    wrap(&request, 0x6e, gage_buf_slice(&sequence));
    put_u8(&body, 0x06);
    put_vec8(&body, oid_slice(&mech_oid_krb5));
    put_u16(&body, id);
    put_bytes(&body, gage_buf_slice(&request));
    wrap(&token, 0x60, gage_buf_slice(&body));
    return token;
}

TEST(the_ticket_is_found_in_a_whole_first_token_only)
{
    gage_slice found;
    AUTO(gage_buf) token = token_of(SLICE_LITERAL("ticket"), 0x0100), reply = token_of(SLICE_LITERAL("ticket"), 0x0200);
    assert_true(known_ticket(gage_buf_slice(&token), &found));
    assert_slice_equal(found, SLICE_LITERAL("ticket"));
    for (size_t n = 0; n < token.n; n++)
        assert_false(known_ticket(gage_slice_of(token.p, n), &found));
    assert_false(known_ticket(gage_buf_slice(&reply), &found));
    static const uint8_t endless[] = {0x60, 0x80, 0x06, 0x00}, huge[] = {0x60, 0x84, 0xff, 0xff, 0xff, 0xff};
    assert_false(known_ticket(SLICE_OF(endless), &found));
    assert_false(known_ticket(SLICE_OF(huge), &found));
    for (size_t i = 0; i < token.n; i++) { /* whatever is damaged, nothing outside the token is borrowed */
        token.p[i] ^= 0x80;
        if (known_ticket(gage_buf_slice(&token), &found))
            assert_true(found.p >= token.p && found.p + found.n <= token.p + token.n);
        token.p[i] ^= 0x80;
    }
}

TEST(a_key_changes_with_ticket_credential_service_configuration_and_uid)
{
    uint8_t base[SHA256_LEN], other[SHA256_LEN];
    AUTO(gage_buf) a = token_of(SLICE_LITERAL("ticket"), 0x0100), b = token_of(SLICE_LITERAL("other!"), 0x0100);
    assert_true(known_key(&call, SLICE_LITERAL("handle"), gage_buf_slice(&a), base));
    assert_true(known_key(&call, SLICE_LITERAL("handle"), gage_buf_slice(&a), other));
    assert_memory_equal(base, other, SHA256_LEN);
    assert_true(known_key(&call, SLICE_LITERAL("handle"), gage_buf_slice(&b), other));
    assert_memory_not_equal(base, other, SHA256_LEN);
    assert_true(known_key(&call, SLICE_NONE, gage_buf_slice(&a), other));
    assert_memory_not_equal(base, other, SHA256_LEN);
    conf.generation++;
    assert_true(known_key(&call, SLICE_LITERAL("handle"), gage_buf_slice(&a), other));
    assert_memory_not_equal(base, other, SHA256_LEN);
    conf.generation--;
    peer.uid++;
    assert_true(known_key(&call, SLICE_LITERAL("handle"), gage_buf_slice(&a), other));
    assert_memory_not_equal(base, other, SHA256_LEN);
    peer.uid--;
    assert_false(known_key(&call, SLICE_LITERAL("handle"), SLICE_LITERAL("no token"), other));
}

static gssx_name
name_of(const char *text)
{
    gssx_name n = {0};
    assert_true(gssx_put(&n.display_name, slice_str(text)) && gssx_put(&n.name_type, SLICE_LITERAL("type")) &&
                gssx_put(&n.exported_name, SLICE_LITERAL("exported")) &&
                gssx_put(&n.exported_composite_name, SLICE_LITERAL("composite")));
    return n;
}

TEST(names_are_told_for_their_key_only_and_the_newer_take_the_olders_place)
{
    struct known_names *known = known_new();
    uint8_t key[SHA256_LEN] = {1, 2, 3}, same_place[SHA256_LEN] = {1, 2, 4};
    gssx_name alice = name_of("alice"), bob = name_of("bob"), host = name_of("host"), source = {0}, target = {0};
    assert_false(known_get(known, key, &source, &target));
    known_put(known, key, &alice, &host);
    assert_false(known_get(known, same_place, &source, &target));
    assert_int_equal(source.display_name.octet_string_len, 0);
    assert_true(known_get(known, key, &source, &target));
    assert_slice_equal(gssx_slice(&source.display_name), SLICE_LITERAL("alice"));
    assert_slice_equal(gssx_slice(&target.display_name), SLICE_LITERAL("host"));
    assert_slice_equal(gssx_slice(&source.exported_composite_name), SLICE_LITERAL("composite"));
    xdr_free(GSSX_XDR(gssx_name), &source);
    xdr_free(GSSX_XDR(gssx_name), &target);
    memset(&source, 0, sizeof source);
    memset(&target, 0, sizeof target);
    known_put(known, same_place, &bob, &host);
    assert_false(known_get(known, key, &source, &target));
    assert_true(known_get(known, same_place, &source, &target));
    assert_slice_equal(gssx_slice(&source.display_name), SLICE_LITERAL("bob"));
    gssx_name *all[] = {&alice, &bob, &host, &source, &target};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        xdr_free(GSSX_XDR(gssx_name), all[i]);
    known_free(&known);
}

TEST_MAIN(CASE(the_ticket_is_found_in_a_whole_first_token_only),
          CASE(a_key_changes_with_ticket_credential_service_configuration_and_uid),
          CASE(names_are_told_for_their_key_only_and_the_newer_take_the_olders_place))
