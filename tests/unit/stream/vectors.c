/* Makes doc/vectors/startgss.json from fixed randomness: `test_stream_vectors` prints it; with the file's path it compares, as a test.
 * The GSS calls of the key agreement are replaced at link time (--wrap) by a mechanism without secrets, whose tokens anybody can make:
 * a token is "NULL" and the body, the PRF is SHA-256 of "prf" and its input. */
#include "unit/test.h"

#include <stdlib.h>

#include "base/encode.h"
#include "base/file.h"
#include "handshake/agreement.h"
#include "stream/line.h"
#include "stream/record.h"

#define JSON_MAX 1000000

static gage_buf json = {.max = JSON_MAX};

/* ---- a mechanism without secrets ---- */

OM_uint32 __wrap_gss_wrap(OM_uint32 *minor, gss_ctx_id_t c, int conf, gss_qop_t qop, gss_buffer_t in, int *state,
                          gss_buffer_t out);
OM_uint32 __wrap_gss_unwrap(OM_uint32 *minor, gss_ctx_id_t c, gss_buffer_t in, gss_buffer_t out, int *state,
                            gss_qop_t *qop);
OM_uint32 __wrap_gss_pseudo_random(OM_uint32 *minor, gss_ctx_id_t c, int key, gss_buffer_t in, ssize_t n,
                                   gss_buffer_t out);
OM_uint32 __wrap_gss_inquire_context(OM_uint32 *minor, gss_ctx_id_t c, gss_name_t *s, gss_name_t *t, OM_uint32 *life,
                                     gss_OID *mech, OM_uint32 *flags, int *local, int *open);

OM_uint32
__wrap_gss_wrap(OM_uint32 *minor, gss_ctx_id_t c, int conf, gss_qop_t qop, gss_buffer_t in, int *state,
                gss_buffer_t out)
{
    *minor = 0;
    *state = conf;
    out->length = in->length + 4;
    out->value = malloc(out->length);
    memcpy(out->value, "NULL", 4);
    memcpy((char *)out->value + 4, in->value, in->length);
    return GSS_S_COMPLETE;
}

OM_uint32
__wrap_gss_unwrap(OM_uint32 *minor, gss_ctx_id_t c, gss_buffer_t in, gss_buffer_t out, int *state, gss_qop_t *qop)
{
    *minor = 0;
    *state = 1;
    out->length = in->length - 4;
    out->value = malloc(out->length);
    memcpy(out->value, (char *)in->value + 4, out->length);
    return GSS_S_COMPLETE;
}

OM_uint32
__wrap_gss_pseudo_random(OM_uint32 *minor, gss_ctx_id_t c, int key, gss_buffer_t in, ssize_t n, gss_buffer_t out)
{
    gage_slice parts[] = {SLICE_LITERAL("prf"), gss_slice(in)};
    *minor = 0;
    out->length = (size_t)n;
    out->value = malloc(SHA256_LEN);
    assert_ok(sha256_parts(parts, 2, out->value));
    return GSS_S_COMPLETE;
}

OM_uint32
__wrap_gss_inquire_context(OM_uint32 *minor, gss_ctx_id_t c, gss_name_t *s, gss_name_t *t, OM_uint32 *life,
                           gss_OID *mech, OM_uint32 *flags, int *local, int *open)
{
    *minor = 0;
    *flags = GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG;
    *open = 1;
    return GSS_S_COMPLETE;
}

/* ---- writing ---- */

static void
text(const char *s)
{
    put_bytes(&json, slice_str(s));
}

static void
hex_field(const char *name, gage_slice bytes, const char *after)
{
    text("\"");
    text(name);
    text("\": \"");
    put_hex(&json, bytes);
    text("\"");
    text(after);
}

static void
number_field(const char *name, unsigned long long value, const char *after)
{
    char s[64];
    snprintf(s, sizeof s, "\"%s\": %llu%s", name, value, after);
    text(s);
}

static gage_rc
counting(void *context, uint8_t *out, size_t n)
{
    uint8_t *next = context;
    for (size_t i = 0; i < n; i++)
        out[i] = (*next)++;
    return GAGE_DONE;
}

/* ---- the parts ---- */

static void
put_lines(void)
{
    const char *rows[] = {
        "STARTGSS 0\n",  "STARTGSS 1073741823\r\n", "STARTGSS 4294967295\n", "STARTGSS 01\n", "STARTGSS 4294967296\n",
        "STARTGSS +1\n", "STARTGSS  1\n",           "STARTGSS 1 \n",         "startgss 1\n",  "STARTGSS \n"};
    text("{\n\"lines\": [\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum line_found found;
        struct line line;
        gage_rc rc = line_find(slice_str(rows[i]), &found, &line, NULL);
        text("{");
        hex_field("line", slice_str(rows[i]), ", ");
        if (gage_ok(rc) && found == LINE_WHOLE)
            number_field("number", line.number, "}");
        else
            text("\"number\": null}");
        text(i + 1 < sizeof rows / sizeof *rows ? ",\n" : "\n");
    }
    text("],\n");
}

static void
put_roles(void)
{
    const uint32_t rows[][2] = {
        {1, 2}, {1073741823, 1073741824}, {1073741824, 3221225471}, {3221225472, 3221225471}, {3221225472, 4294967295},
        {7, 7}, {0, 4294967295}};
    text("\"roles\": [\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool initiator = false;
        gage_rc rc = line_roles(rows[i][0], rows[i][1], &initiator, NULL);
        text("{");
        number_field("one", rows[i][0], ", ");
        number_field("other", rows[i][1], ", \"initiator\": ");
        text(!gage_ok(rc) ? "null}" : initiator ? "\"one\"}" : "\"other\"}");
        text(i + 1 < sizeof rows / sizeof *rows ? ",\n" : "\n");
    }
    text("],\n");
}

static void
put_agreement(const char *label, const char *offer_i, const char *offer_a, const char *after)
{
    uint8_t next = 1, transcript[32], salt[32];
    struct gage_rng rng = {counting, &next};
    struct agreement i = {0}, a = {0};
    gage_slice token_i, token_a;
    gage_secret private_i, private_a;
    AUTO(gage_buf) salted = GAGE_BUF(8192);
    assert_ok(sha256_of(slice_str(label), transcript));
    struct agreement_input in_i = {slice_str(label), true, SLICE_OF(transcript), slice_str(offer_i), &rng};
    struct agreement_input in_a = {slice_str(label), false, SLICE_OF(transcript), slice_str(offer_a), &rng};
    assert_ok(agreement_start(&i, GSS_C_NO_CONTEXT, &in_i, &token_i, NULL));
    assert_ok(agreement_start(&a, GSS_C_NO_CONTEXT, &in_a, &token_a, NULL));
    private_i = i.private_key;
    private_a = a.private_key;
    assert_ok(agreement_finish(&i, GSS_C_NO_CONTEXT, token_a, NULL));
    assert_ok(agreement_finish(&a, GSS_C_NO_CONTEXT, token_i, NULL));
    assert_true(secret_equal(&i.prk, &a.prk));
    put_bytes(&salted, SLICE_OF(transcript));
    put_vec32(&salted, token_i);
    put_vec32(&salted, token_a);
    assert_ok(sha256_of(gage_buf_slice(&salted), salt));
    gage_slice prf_in[] = {SLICE_LITERAL("prf"), slice_str(label)};
    uint8_t p[32];
    assert_ok(sha256_parts(prf_in, 2, p));
    text("{");
    hex_field("label", slice_str(label), ",\n ");
    hex_field("transcript", SLICE_OF(transcript), ",\n ");
    hex_field("offer_i", slice_str(offer_i), ", ");
    hex_field("offer_a", slice_str(offer_a), ",\n ");
    hex_field("private_i", secret_slice(&private_i), ",\n ");
    hex_field("private_a", secret_slice(&private_a), ",\n ");
    hex_field("share_i", SLICE_OF(i.share), ",\n ");
    hex_field("share_a", SLICE_OF(a.share), ",\n ");
    hex_field("random_i", SLICE_OF(i.random), ",\n ");
    hex_field("random_a", SLICE_OF(a.random), ",\n ");
    hex_field("body_i", gage_slice_of(token_i.p + 4, token_i.n - 4), ",\n ");
    hex_field("token_i", token_i, ",\n ");
    hex_field("token_a", token_a, ",\n ");
    hex_field("p", SLICE_OF(p), ",\n ");
    hex_field("salt", SLICE_OF(salt), ",\n ");
    hex_field("prk", secret_slice(&i.prk), "}");
    text(after);
    agreement_cleanup(&i);
    agreement_cleanup(&a);
}

static void
put_records(const char *direction, uint64_t update_records, uint64_t update_bytes, const char *after)
{
    const char *data[] = {"", "a", "sixteen bytes ok", "a somewhat longer record, of more than two blocks", ""};
    const uint8_t prk[32] = {0x0b, 0x0b, 0x0b, 0x0b};
    uint8_t frame[256];
    struct record_keys keys;
    gage_secret secret;
    assert_ok(hkdf_expand_secret(SLICE_OF(prk), slice_str(direction), 32, &secret));
    assert_ok(record_keys_init(&keys, &secret, true));
    keys.update_records = update_records;
    keys.update_bytes = update_bytes;
    text("{");
    hex_field("prk", SLICE_OF(prk), ", \"direction\": \"");
    text(direction);
    text("\", ");
    number_field("update_records", update_records, ", ");
    number_field("update_bytes", update_bytes, ",\n \"frames\": [\n");
    for (size_t i = 0; i < sizeof data / sizeof *data; i++) {
        gage_slice d = slice_str(data[i]);
        assert_ok(record_seal(&keys, d, frame));
        text("  {");
        hex_field("data", d, ", ");
        hex_field("frame", gage_slice_of(frame, d.n + RECORD_OVERHEAD), "}");
        text(i + 1 < sizeof data / sizeof *data ? ",\n" : "]}");
    }
    text(after);
    record_keys_cleanup(&keys);
}

static void
make_all(void)
{
    put_lines();
    put_roles();
    text("\"agreements\": [\n");
    put_agreement("gage-startgss-1", "\x01\x02", "\x02", ",\n");
    put_agreement("x", "", "\x01", "\n");
    text("],\n\"records\": [\n");
    put_records("i2a", RECORD_UPDATE_RECORDS, RECORD_UPDATE_BYTES, ",\n");
    put_records("a2i", 2, RECORD_UPDATE_BYTES, ",\n");
    put_records("i2a", RECORD_UPDATE_RECORDS, 17, "\n");
    text("]\n}\n");
    assert_false(json.bad);
}

static const char *published;

TEST(published_vectors_are_what_the_code_makes)
{
    AUTO(gage_buf) file = GAGE_BUF(JSON_MAX);
    assert_ok(file_read(published, &file, NULL));
    make_all();
    assert_slice_equal(gage_buf_slice(&file), gage_buf_slice(&json));
    gage_buf_free(&json);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {CASE(published_vectors_are_what_the_code_makes)};
    if (argc < 2) {
        make_all();
        fwrite(json.p, 1, json.n, stdout);
        return 0;
    }
    published = argv[1];
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
