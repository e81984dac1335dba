/* doc/vectors/transfer.json, replayed: made by an independent implementation from doc/transfer.md, byte for byte. */
#include "unit/test.h"

#include "base/file.h"
#include "transfer/json.h"
#include "transfer/message.h"
#include "transfer/packet.h"
#include "transfer/state.h"

static gage_buf file = {.max = 1 << 20};

/* The next object of an array's text, from *at on; false at its end. */
static bool
next_object(gage_slice array, size_t *at, struct json_object *out)
{
    size_t start = *at, depth = 0;
    bool in_string = false;
    while (start < array.n && array.p[start] != '{')
        start++;
    for (size_t i = start; i < array.n; i++) {
        uint8_t c = array.p[i];
        in_string = c == '"' && array.p[i - 1] != '\\' ? !in_string : in_string;
        depth += !in_string && c == '{';
        depth -= !in_string && c == '}';
        if (depth == 0) {
            assert_ok(json_parse_object(gage_slice_of(array.p + start, i + 1 - start), out, NULL));
            *at = i + 1;
            return true;
        }
    }
    return false;
}

static gage_slice
list(const char *name)
{
    struct json_object o;
    if (file.n == 0)
        assert_ok(file_read(GAGE_SOURCE_ROOT "/doc/vectors/transfer.json", &file, NULL));
    assert_ok(json_parse_object(gage_buf_slice(&file), &o, NULL));
    assert_int_equal(json_get(&o, name).type, JSON_ARRAY);
    return json_get(&o, name).text;
}

static void
hex(const struct json_object *o, const char *name, gage_buf *out)
{
    buf_reset(out);
    assert_ok(get_hex(json_plain(json_get(o, name)), out));
}

static uint32_t
number(const struct json_object *o, const char *name)
{
    int64_t n = -1;
    assert_ok(json_read_integer(json_get(o, name), &n));
    return (uint32_t)n;
}

static gage_rc
fill_from(void *context, uint8_t *out, size_t n)
{
    const gage_buf *bytes = context;
    assert_int_equal(bytes->n, n);
    memcpy(out, bytes->p, n);
    return GAGE_DONE;
}

/* Over all envelopes of the file, in its order. */
static void
follow_transcript(gage_transfer *t, const struct json_object *o, gage_slice envelope)
{
    uint8_t hash[SHA256_LEN];
    AUTO(gage_buf) expected = GAGE_BUF(64);
    hex(o, "transcript", &expected);
    assert_ok(sha256_of(envelope, hash));
    assert_ok(transcript_add(t, (uint8_t)number(o, "role"), number(o, "seq"), hash));
    assert_slice_equal(SLICE_OF(t->transcript), gage_buf_slice(&expected));
}

static void
replay_envelope(gage_transfer *t, const struct json_object *o)
{
    static const char *const kinds[] = {"", "context", "message", "delete"};
    AUTO(gage_buf) key = GAGE_BUF(64), iv = GAGE_BUF(64), expected = GAGE_BUF(9000), made = GAGE_BUF(9000);
    AUTO(gage_buf) envelope = GAGE_BUF(9000), text = GAGE_BUF(20000);
    gage_buf token[PACKET_KINDS + 1];
    struct packet p = {.role = (uint8_t)number(o, "role"),
                       .attempt = (uint16_t)number(o, "attempt"),
                       .seq = number(o, "seq"),
                       .ack = number(o, "ack"),
                       .final = number(o, "final") == 1};
    gage_secret secret = {.n = 0};
    hex(o, "secret", &key);
    hex(o, "iv", &iv);
    hex(o, "packet", &expected);
    for (int kind = 1; kind <= PACKET_KINDS; kind++) {
        token[kind] = GAGE_BUF(2000);
        hex(o, kinds[kind], &token[kind]);
        if (token[kind].n > 0)
            p.token[kind] = gage_buf_slice(&token[kind]);
    }
    packet_put(&made, &p, 0);
    assert_slice_equal(gage_buf_slice(&made), gage_buf_slice(&expected));
    assert_ok(secret_set(&secret, gage_buf_slice(&key)));
    const struct gage_rng rng = {fill_from, &iv};
    assert_ok(envelope_seal(&secret, &rng, gage_buf_slice(&made), &envelope, NULL));
    put_base64(&text, gage_buf_slice(&envelope));
    assert_slice_equal(gage_buf_slice(&text), json_plain(json_get(o, "data")));
    assert_slice_equal(slice_str(envelope_type(secret.n)), json_plain(json_get(o, "type")));
    follow_transcript(t, o, gage_buf_slice(&envelope));
    for (int kind = 1; kind <= PACKET_KINDS; kind++)
        gage_buf_free(&token[kind]);
}

static gage_rc
none(void *context, uint8_t *out, size_t n)
{
    memset(out, 0, n);
    return GAGE_DONE;
}
static const struct gage_rng no_random = {none, NULL};

TEST(envelopes_are_made_to_the_byte)
{
    struct json_object o;
    size_t at = 0, count = 0;
    AUTO(gage_transfer_ptr) t = NULL;
    assert_ok(transfer_new(&transfer_gss, &no_random, 0, &t, NULL));
    for (gage_slice all = list("envelopes"); next_object(all, &at, &o); count++)
        replay_envelope(t, &o);
    assert_int_equal(count, 4);
}

TEST(messages_are_taken_and_made_to_the_byte)
{
    struct json_object o;
    size_t at = 0, count = 0;
    for (gage_slice all = list("messages"); next_object(all, &at, &o); count++) {
        AUTO(gage_buf) bytes = GAGE_BUF(4000), again = GAGE_BUF(4000);
        struct message m;
        hex(&o, "message", &bytes);
        assert_ok(message_get(gage_buf_slice(&bytes), &m, NULL));
        assert_int_equal(m.type, number(&o, "type"));
        message_put(&again, &m);
        assert_slice_equal(gage_buf_slice(&again), gage_buf_slice(&bytes));
    }
    assert_int_equal(count, 10);
}

/* A context that has nothing but a PRF: it demands the vector's input and gives its output. */
struct prf {
    struct handshake common;
    gage_slice input, output;
};

static gage_rc
prf(struct handshake *h, gage_slice input, uint8_t *out, size_t n, struct gage_err *err)
{
    const struct prf *p = (const struct prf *)h;
    assert_slice_equal(input, p->input);
    assert_int_equal(n, p->output.n);
    memcpy(out, p->output.p, n);
    return GAGE_DONE;
}

TEST(digits_follow_from_the_nonces_and_the_context)
{
    static const struct handshake_ops ops = {.prf = prf};
    struct json_object o;
    size_t at = 0, count = 0;
    for (gage_slice all = list("digits"); next_object(all, &at, &o); count++) {
        AUTO(gage_buf)
        ours = GAGE_BUF(64), theirs = GAGE_BUF(64), in = GAGE_BUF(200), out = GAGE_BUF(64), h = GAGE_BUF(64);
        AUTO(gage_transfer_ptr) t = NULL;
        uint8_t hash[SHA256_LEN];
        hex(&o, "sender_nonce", &ours);
        hex(&o, "receiver_nonce", &theirs);
        hex(&o, "commit", &h);
        hex(&o, "prf_input", &in);
        hex(&o, "prf_output", &out);
        struct prf context = {{.ops = &ops, .complete = true}, gage_buf_slice(&in), gage_buf_slice(&out)};
        assert_ok(sha256_of(gage_buf_slice(&ours), hash));
        assert_slice_equal(SLICE_OF(hash), gage_buf_slice(&h));
        assert_ok(transfer_new(&transfer_gss, &no_random, 0, &t, NULL));
        t->handshake = &context.common;
        assert_ok(make_digits(t, ours.p, theirs.p, NULL));
        t->handshake = NULL;
        assert_slice_equal(slice_str(t->digits), json_plain(json_get(&o, "digits")));
    }
    assert_int_equal(count, 4);
}

TEST(invitations_are_written_and_read_to_the_byte)
{
    static const char *const forms[] = {"link", "uri", "file"};
    struct json_object o;
    size_t at = 0;
    assert_true(next_object(list("invitations"), &at, &o));
    AUTO(gage_buf) secret = GAGE_BUF(64);
    gage_buf text[3] = {GAGE_BUF(4000), GAGE_BUF(4000), GAGE_BUF(4000)};
    gage_invitation *in = NULL;
    hex(&o, "secret", &secret);
    for (int form = 0; form < 3; form++) {
        assert_ok(json_read_string(json_get(&o, forms[form]), &text[form]));
        assert_ok(gage_invitation_parse(gage_buf_slice(&text[form]), false, &in, NULL));
        assert_slice_equal(slice_str(gage_invitation_url(in)), json_plain(json_get(&o, "mailbox")));
        assert_slice_equal(secret_slice(&in->secret), gage_buf_slice(&secret));
        if (form == 2)
            in->vertical = 'a'; /* which the file does not carry */
        if (form < 2) {
            gage_invitation_free(&in);
            continue;
        }
        for (int made = 0; made < 3; made++) {
            AUTO(gage_buf) again = GAGE_BUF(4000);
            assert_ok(gage_invitation_format(in, (enum gage_invitation_form)made, &again, NULL));
            assert_slice_equal(gage_buf_slice(&again), gage_buf_slice(&text[made]));
        }
        gage_invitation_free(&in);
    }
    for (int form = 0; form < 3; form++)
        gage_buf_free(&text[form]);
}

TEST_MAIN(CASE(envelopes_are_made_to_the_byte), CASE(messages_are_taken_and_made_to_the_byte),
          CASE(digits_follow_from_the_nonces_and_the_context), CASE(invitations_are_written_and_read_to_the_byte))
