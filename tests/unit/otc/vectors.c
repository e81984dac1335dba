/* doc/vectors/otc.json, made by the second implementation, run through this one with the same randomness: every token, export and key. */
#include "unit/test.h"

#include <jansson.h>

#include "base/file.h"
#include "otc/context.h"
#include "otc/name.h"

/* ---- the file ---- */

static json_t *
member(const json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    if (value == NULL)
        fail_msg("the vectors have no \"%s\"", name);
    return value;
}

static const char *
string_of(const json_t *object, const char *name)
{
    return json_string_value(member(object, name));
}

static gage_slice
hex_into(gage_buf *buf, const char *text)
{
    size_t before = buf->n;
    buf_reserve(buf, 8192);
    assert_ok(get_hex(slice_str(text), buf));
    return gage_slice_of(buf->p + before, buf->n - before);
}

static void
assert_hex(const json_t *object, const char *name, gage_slice actual)
{
    AUTO(gage_buf) expected = GAGE_BUF(1 << 16);
    gage_slice bytes = hex_into(&expected, string_of(object, name));
    if (!slice_equal(bytes, actual))
        fail_msg("%s differs", name);
}

/* ---- randomness from the file ---- */

struct draws {
    const json_t *list;
    size_t next;
};

static gage_rc
draw(void *context, uint8_t *out, size_t n)
{
    struct draws *draws = context;
    AUTO(gage_buf) bytes = GAGE_BUF(8192);
    const json_t *item = json_array_get(draws->list, draws->next++);
    if (item == NULL) /* an epoch after the last documented draw */
        return gage_system_rng.fill(NULL, out, n);
    gage_slice drawn = hex_into(&bytes, json_string_value(item));
    assert_int_equal(drawn.n, n);
    memcpy(out, drawn.p, n);
    return GAGE_DONE;
}

/* ---- one exchange ---- */

struct exchange {
    const json_t *given, *expected;
    struct draws draws[2];
    struct gage_rng rng[2];
    struct otc_env env[2];
    struct otc_cred *cred[2];
    struct otc_bindings bindings[2];
    struct otc_context *context[2];
};
static const char *const roles[2] = {"initiator", "acceptor"};

static struct otc_bindings
bindings_of(const json_t *given)
{
    AUTO(gage_buf) memory = GAGE_BUF(1 << 16);
    struct otc_bindings bindings;
    if (json_is_null(given)) {
        assert_ok(otc_bindings_of(GSS_C_NO_CHANNEL_BINDINGS, &bindings, NULL));
        return bindings;
    }
    buf_reserve(&memory, 1 << 15);
    gage_slice i = hex_into(&memory, string_of(given, "initiator_address")),
               a = hex_into(&memory, string_of(given, "acceptor_address")),
               d = hex_into(&memory, string_of(given, "application_data"));
    struct gss_channel_bindings_struct made = {
        .initiator_addrtype = (OM_uint32)json_integer_value(member(given, "initiator_addrtype")),
        .initiator_address = {i.n, (void *)(uintptr_t)i.p},
        .acceptor_addrtype = (OM_uint32)json_integer_value(member(given, "acceptor_addrtype")),
        .acceptor_address = {a.n, (void *)(uintptr_t)a.p},
        .application_data = {d.n, (void *)(uintptr_t)d.p},
    };
    assert_ok(otc_bindings_of(&made, &bindings, NULL));
    return bindings;
}

static struct otc_cred *
cred_of(struct exchange *x, int role)
{
    const char *side = string_of(x->given, "side");
    enum otc_side initiates = strcmp(side, "link") == 0 ? OTC_SIDE_LINK : side[0] == 'a' ? OTC_SIDE_A : OTC_SIDE_B;
    struct otc_cred *cred = otc_cred_new(1);
    const json_t *party = member(x->given, roles[role]);
    gage_slice texts[OTC_TEXTS] = {SLICE_NONE};
    assert_non_null(cred);
    assert_ok(otc_psk_from_text(slice_str(string_of(x->expected, "secret text")),
                                role == 0 ? initiates : otc_side_of_peer(initiates), &cred->psk[0], NULL));
    if (role == 0) {
        texts[OTC_LABEL] = slice_str(string_of(x->given, "label"));
        texts[OTC_PURPOSE] = slice_str(string_of(x->given, "purpose"));
        texts[OTC_TITLE] = slice_str(string_of(x->given, "title"));
        texts[OTC_FORMAT] = slice_str(string_of(x->given, "format"));
        cred->credential.not_after = (uint64_t)json_integer_value(member(x->given, "not_after"));
    }
    assert_ok(otc_credential_set_texts(&cred->credential, texts));
    cred->usage = role == 0 ? OTC_USE_INITIATE : OTC_USE_ACCEPT;
    cred->lifetime = (uint32_t)json_integer_value(member(party, "lifetime"));
    cred->fixed = role == 0 && initiates == OTC_SIDE_LINK;
    if (cred->fixed)
        assert_ok(uuid_make(&x->rng[0], cred->credential.id));
    return cred;
}

static void
start(struct exchange *x, int64_t now)
{
    for (int role = 0; role < 2; role++) {
        const json_t *party = member(x->given, roles[role]);
        x->draws[role].list = member(party, "random");
        x->rng[role] = (struct gage_rng){draw, &x->draws[role]};
        x->env[role] = (struct otc_env){&x->rng[role], now, 1};
        x->cred[role] = cred_of(x, role);
        x->bindings[role] = bindings_of(member(party, "bindings"));
    }
    assert_hex(x->expected, "psk", secret_slice(&x->cred[0]->psk[0].key));
}

/* Exports, compares, and goes on with what is imported from the bytes. */
static void
through_export(struct exchange *x, int role, const char *name)
{
    AUTO(gage_buf) saved = GAGE_BUF(OTC_CONTEXT_MAX);
    put_otc_context(&saved, x->context[role]);
    assert_hex(x->expected, name, gage_buf_slice(&saved));
    otc_context_free(x->context[role]);
    x->context[role] = NULL;
    assert_ok(otc_context_import(gage_buf_slice(&saved), &x->context[role], NULL));
}

static void
check_names(struct exchange *x)
{
    for (int role = 0; role < 2; role++) {
        AUTO(gage_buf) text = GAGE_BUF(128);
        struct otc_name *name = NULL;
        assert_ok(otc_name_party(&x->context[0]->credential, role == 0, true, &name));
        put_otc_name(&text, name);
        const char *expected = json_string_value(json_array_get(member(x->expected, "principals"), (size_t)role));
        assert_slice_equal(gage_buf_slice(&text), slice_str(expected));
        otc_name_free(name);
    }
}

/* True where the acceptor refused, as the file says. */
static bool
establish(struct exchange *x)
{
    AUTO(gage_buf) one = GAGE_BUF(4096);
    AUTO(gage_buf) two = GAGE_BUF(4096);
    AUTO(gage_buf) three = GAGE_BUF(4096);
    struct gage_err err = {0};
    const struct otc_ask ask = {.flags = (OM_uint32)json_integer_value(member(x->given, "flags")),
                                .bindings = x->bindings[0]};
    assert_ok(otc_initiate(x->cred[0], &ask, &x->env[0], &one, &x->context[0], &err));
    assert_hex(x->expected, "token 1", gage_buf_slice(&one));
    assert_hex(x->expected, "h after token 1", SLICE_OF(x->context[0]->noise.h));
    assert_hex(x->expected, "ck after token 1", secret_slice(&x->context[0]->noise.ck));
    through_export(x, 0, "exported initiator half open");
    check_names(x);
    gage_rc rc =
        otc_accept(x->cred[1], &x->bindings[1], gage_buf_slice(&one), NULL, &x->env[1], &two, &x->context[1], &err);
    assert_hex(x->expected, "token 2", gage_buf_slice(&two));
    if (json_object_get(x->expected, "refused") != NULL) {
        assert_code(rc, GAGE_E_GSS);
        assert_code(otc_answer(x->context[0], gage_buf_slice(&two), &x->env[0], &three, &err), GAGE_E_GSS);
        assert_int_equal(err.gss_major, GSS_S_BAD_BINDINGS);
        return true;
    }
    assert_ok(rc);
    assert_hex(x->expected, "h after token 2", SLICE_OF(x->context[1]->noise.h));
    assert_hex(x->expected, "PRK", secret_slice(&x->context[1]->prk));
    through_export(x, 1, "exported acceptor half open");
    assert_ok(otc_answer(x->context[0], gage_buf_slice(&two), &x->env[0], &three, &err));
    assert_hex(x->expected, "token 3", gage_buf_slice(&three));
    assert_ok(otc_confirm(x->context[1], gage_buf_slice(&three), &x->env[1], &err));
    return false;
}

static void
check_prf(struct exchange *x)
{
    const json_t *inputs = member(x->given, "prf"), *outputs = member(x->expected, "prf");
    for (size_t k = 0; k < json_array_size(inputs); k++) {
        AUTO(gage_buf) in = GAGE_BUF(8192);
        AUTO(gage_buf) expected = GAGE_BUF(1 << 15);
        const json_t *input = json_array_get(inputs, k);
        gage_slice bytes = hex_into(&in, string_of(input, "in"));
        gage_slice wanted = hex_into(&expected, json_string_value(json_array_get(outputs, k)));
        for (int role = 0; role < 2; role++) {
            AUTO(gage_buf) out = GAGE_BUF(OTC_PRF_MAX);
            assert_ok(
                otc_prf(x->context[role], bytes, (size_t)json_integer_value(member(input, "length")), &out, NULL));
            assert_slice_equal(gage_buf_slice(&out), wanted);
        }
    }
}

static const char *
status_name(OM_uint32 supplementary)
{
    return supplementary == GSS_S_DUPLICATE_TOKEN ? "DUPLICATE"
           : supplementary == GSS_S_OLD_TOKEN     ? "OLD"
           : supplementary == GSS_S_UNSEQ_TOKEN   ? "UNSEQ"
           : supplementary == GSS_S_GAP_TOKEN     ? "GAP"
                                                  : "COMPLETE";
}

static enum otc_type
type_of(const char *kind)
{
    if (strcmp(kind, "wrap") == 0)
        return OTC_SEALED;
    if (strcmp(kind, "mic") == 0)
        return OTC_MIC;
    return strcmp(kind, "delete") == 0 ? OTC_DELETE : OTC_CLEAR;
}

static void
check_delete(struct exchange *x, int from, const json_t *expected)
{
    uint8_t token[OTC_TOKEN_LEN];
    assert_ok(otc_make_delete(x->context[from], &x->env[from], token, NULL));
    assert_hex(expected, "token", SLICE_OF(token));
    assert_ok(otc_read_delete(x->context[1 - from], SLICE_OF(token), NULL));
    assert_true(x->context[1 - from]->ended);
}

static void
check_message(struct exchange *x, const json_t *given, const json_t *expected)
{
    AUTO(gage_buf) memory = GAGE_BUF(1 << 16);
    uint8_t token[OTC_TOKEN_LEN + 4096], back[4096];
    int from = strcmp(string_of(given, "from"), "initiator") == 0 ? 0 : 1;
    enum otc_type type = type_of(string_of(given, "kind"));
    const json_t *seq = json_object_get(given, "seq");
    if (type == OTC_DELETE) {
        check_delete(x, from, expected);
        return;
    }
    buf_reserve(&memory, 1 << 15);
    gage_slice message = hex_into(&memory, string_of(given, "message")),
               associated = hex_into(&memory, string_of(given, "associated"));
    if (seq != NULL)
        x->context[from]->send.seq = json_is_string(seq) ? UINT64_MAX - 1 : (uint64_t)json_integer_value(seq);
    bool mic = type == OTC_MIC;
    const struct otc_span out = {message.p, mic ? NULL : token + OTC_TOKEN_LEN, message.n};
    const struct otc_message sent = {&associated, 1, &out, 1};
    struct gage_err err = {0};
    assert_ok(otc_protect(x->context[from], &x->env[from], type, &sent, token, &err));
    assert_hex(expected, "token", gage_slice_of(token, OTC_TOKEN_LEN + (mic ? 0 : message.n)));
    struct otc_header header;
    OM_uint32 supplementary = 0;
    const struct otc_span in = {mic ? message.p : token + OTC_TOKEN_LEN, mic ? NULL : back, message.n};
    const struct otc_message received = {&associated, 1, &in, 1};
    struct otc_context *to = x->context[1 - from];
    assert_ok(otc_read_header(&to->receive, gage_slice_of(token, OTC_TOKEN_LEN), &type, 1, &header, &err));
    assert_ok(otc_unprotect(to, &x->env[1 - from], &header, &received, &supplementary, &err));
    assert_string_equal(status_name(supplementary), string_of(expected, "status"));
    if (!mic && message.n > 0)
        assert_memory_equal(back, message.p, message.n);
}

static void
check_messages(struct exchange *x)
{
    const json_t *given = member(x->given, "messages"), *expected = member(x->expected, "messages");
    assert_int_equal(json_array_size(given), json_array_size(expected));
    for (size_t k = 0; k < json_array_size(given); k++)
        check_message(x, json_array_get(given, k), json_array_get(expected, k));
    through_export(x, 0, "exported initiator");
    through_export(x, 1, "exported acceptor");
}

/* The last sequence number is beyond what the JSON reader counts in: it is read as a string. */
static json_t *
load(void)
{
    static const char last[] = " 18446744073709551614";
    AUTO(gage_buf) text = GAGE_BUF(1 << 22);
    AUTO(gage_buf) quoted = GAGE_BUF(1 << 22);
    json_error_t error;
    assert_ok(file_read(GAGE_SOURCE_ROOT "/doc/vectors/otc.json", &text, NULL));
    for (size_t k = 0; k < text.n; k++) {
        size_t n = sizeof last - 1;
        if (text.n - k > n && memcmp(text.p + k, last, n) == 0) {
            put_bytes(&quoted, SLICE_LITERAL("\"last\""));
            k += n - 1;
        } else
            put_u8(&quoted, text.p[k]);
    }
    return json_loadb((const char *)quoted.p, quoted.n, 0, &error);
}

TEST(every_exchange_of_the_document_gives_the_documented_bytes)
{
    json_t *file = load();
    assert_non_null(file);
    const json_t *exchanges = member(file, "exchanges");
    assert_true(json_array_size(exchanges) >= 6);
    for (size_t k = 0; k < json_array_size(exchanges); k++) {
        const json_t *item = json_array_get(exchanges, k);
        struct exchange x = {.given = member(item, "given"), .expected = member(item, "expected")};
        start(&x, (int64_t)json_integer_value(member(file, "now")));
        if (!establish(&x)) {
            check_prf(&x);
            check_messages(&x);
        }
        for (int role = 0; role < 2; role++) {
            otc_context_free(x.context[role]);
            otc_cred_free(x.cred[role]);
        }
    }
    json_decref(file);
}

TEST_MAIN(CASE(every_exchange_of_the_document_gives_the_documented_bytes))
