#include "unit/transfer/fake.h"

#include <stdlib.h>
#include <string.h>

#define STALE_SECONDS 240
#define SEEN_MAX 64

int64_t fake_now;
unsigned fake_step_failures;
static uint64_t state;
static uint64_t seen[SEEN_MAX];
static size_t seen_count;

struct fake {
    struct handshake common;
    uint64_t initiator, acceptor;
    uint64_t sent, received; /* messages */
    bool stepped;
};

static const struct handshake_ops ops;

uint64_t
fake_random(void)
{
    state += 0x9e3779b97f4a7c15u;
    uint64_t z = state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void
fake_reset(uint64_t seed)
{
    state = seed;
    seen_count = 0;
    fake_step_failures = 0;
    fake_now = 1800000000;
}

static struct fake *
self(struct handshake *h)
{
    return (struct fake *)h;
}

static gage_rc
fake_start(const struct handshake_spec *spec, struct handshake **out, struct gage_err *err)
{
    struct fake *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->common = (struct handshake){.ops = &ops, .mechanism = spec->mechanism, .initiate = spec->initiate};
    *out = &f->common;
    return GAGE_DONE;
}

static void
put_token(gage_buf *out, uint8_t kind, const struct fake *f)
{
    put_u8(out, kind);
    put_u64(out, f->initiator);
    put_u64(out, f->acceptor);
}

/* The time goes into a time-bound first token in place of the acceptor's nonce. */
static gage_rc
initiate(struct fake *f, gage_slice in, gage_buf *out, struct gage_err *err)
{
    struct reader r = read_from(in);
    bool timed = f->common.mechanism->first_token_life > 0;
    if (!f->stepped) {
        f->stepped = true;
        f->initiator = fake_random();
        put_u8(out, FAKE_FIRST);
        put_u64(out, f->initiator);
        put_u64(out, (uint64_t)fake_now);
        return GAGE_DONE;
    }
    uint8_t kind = get_u8(&r);
    uint64_t initiator = get_u64(&r), acceptor = get_u64(&r);
    REQUIRE(kind == FAKE_SECOND && gage_ok(read_end(&r, NULL, "")) && initiator == f->initiator, err, GAGE_E_AUTH,
            "the second token is not an answer to ours");
    f->acceptor = acceptor;
    f->common.complete = true;
    if (!timed)
        put_token(out, FAKE_THIRD, f);
    return GAGE_DONE;
}

static bool
seen_before(uint64_t initiator)
{
    for (size_t i = 0; i < seen_count; i++)
        if (seen[i] == initiator)
            return true;
    if (seen_count < SEEN_MAX)
        seen[seen_count++] = initiator;
    return false;
}

static gage_rc
accept_first(struct fake *f, uint64_t initiator, uint64_t when, gage_buf *out, struct gage_err *err)
{
    bool timed = f->common.mechanism->first_token_life > 0;
    REQUIRE(!timed || fake_now - (int64_t)when <= STALE_SECONDS, err, GAGE_E_GSS, "the first token is stale");
    REQUIRE(!timed || !seen_before(initiator), err, GAGE_E_USED, "the first token was seen before");
    f->stepped = true;
    f->initiator = initiator;
    f->acceptor = fake_random();
    f->common.complete = timed;
    put_token(out, FAKE_SECOND, f);
    return GAGE_DONE;
}

static gage_rc
accept(struct fake *f, gage_slice in, gage_buf *out, struct gage_err *err)
{
    struct reader r = read_from(in);
    uint8_t kind = get_u8(&r);
    uint64_t initiator = get_u64(&r), acceptor = get_u64(&r);
    REQUIRE(gage_ok(read_end(&r, NULL, "")) && kind == (f->stepped ? FAKE_THIRD : FAKE_FIRST), err, GAGE_E_AUTH,
            "not the token that is waited for");
    if (fake_step_failures > 0) {
        fake_step_failures--;
        return gage_fail(err, GAGE_E_AUTH, "made to fail");
    }
    if (!f->stepped)
        return accept_first(f, initiator, acceptor, out, err);
    REQUIRE(initiator == f->initiator && acceptor == f->acceptor, err, GAGE_E_AUTH, "the third token is another's");
    f->common.complete = true;
    return GAGE_DONE;
}

static gage_rc
fake_step(struct handshake *h, gage_slice in, gage_buf *out, struct gage_err *err)
{
    return h->initiate ? initiate(self(h), in, out, err) : accept(self(h), in, out, err);
}

static void
checksum(const struct fake *f, bool from_initiator, uint64_t seq, gage_slice text, uint8_t out[SHA256_LEN])
{
    AUTO(gage_buf) key = GAGE_BUF(64);
    put_u64(&key, f->initiator);
    put_u64(&key, f->acceptor);
    put_u8(&key, from_initiator);
    put_u64(&key, seq);
    gage_slice parts[] = {gage_buf_slice(&key), text};
    assert_ok(sha256_parts(parts, 2, out));
}

static gage_rc
fake_wrap(struct handshake *h, gage_slice text, gage_buf *out, struct gage_err *err)
{
    uint8_t sum[SHA256_LEN];
    checksum(self(h), h->initiate, self(h)->sent, text, sum);
    put_u8(out, FAKE_WRAP);
    put_u64(out, self(h)->sent++);
    put_bytes(out, SLICE_OF(sum));
    put_bytes(out, text);
    return GAGE_DONE;
}

static gage_rc
fake_unwrap(struct handshake *h, gage_slice token, gage_buf *out, struct gage_err *err)
{
    struct reader r = read_from(token);
    uint8_t sum[SHA256_LEN], expected[SHA256_LEN];
    uint8_t kind = get_u8(&r);
    uint64_t seq = get_u64(&r);
    get_copy(&r, sum, sizeof sum);
    gage_slice text = get_rest(&r);
    checksum(self(h), !h->initiate, seq, text, expected);
    REQUIRE(kind == FAKE_WRAP && memcmp(sum, expected, sizeof sum) == 0, err, GAGE_E_AUTH, "damaged");
    REQUIRE(seq == self(h)->received, err, GAGE_E_USED, "repeated, or one is missing");
    self(h)->received++;
    put_bytes(out, text);
    return GAGE_DONE;
}

static gage_rc
fake_prf(struct handshake *h, gage_slice input, uint8_t *out, size_t n, struct gage_err *err)
{
    uint8_t sum[SHA256_LEN];
    checksum(self(h), true, UINT64_MAX, input, sum);
    assert_true(n <= sizeof sum);
    memcpy(out, sum, n);
    return GAGE_DONE;
}

static gage_rc
fake_save(struct handshake *h, gage_buf *out, struct gage_err *err)
{
    const struct fake *f = self(h);
    put_u8(out, f->stepped);
    put_u64(out, f->initiator);
    put_u64(out, f->acceptor);
    put_u64(out, f->sent);
    put_u64(out, f->received);
    return GAGE_DONE;
}

static gage_rc
fake_load(const struct handshake_spec *spec, gage_slice saved, bool complete, struct handshake **out,
          struct gage_err *err)
{
    struct reader r = read_from(saved);
    TRY(fake_start(spec, out, err));
    struct fake *f = self(*out);
    f->stepped = get_u8(&r) == 1;
    f->initiator = get_u64(&r);
    f->acceptor = get_u64(&r);
    f->sent = get_u64(&r);
    f->received = get_u64(&r);
    f->common.complete = complete;
    gage_rc rc = read_end(&r, err, "the stored context");
    if (!gage_ok(rc))
        handshake_free(out);
    return rc;
}

static gage_rc
fake_end(struct handshake *h, gage_buf *out, struct gage_err *err)
{
    put_token(out, FAKE_DELETE, self(h));
    return GAGE_DONE;
}

static gage_rc
fake_ended(struct handshake *h, gage_slice token, struct gage_err *err)
{
    REQUIRE(token.n == FAKE_TOKEN_LEN && token.p[0] == FAKE_DELETE, err, GAGE_E_AUTH, "not a delete token");
    return GAGE_DONE;
}

static gage_rc
fake_peer(struct handshake *h, gage_buf *out, struct gage_err *err)
{
    put_bytes(out, h->initiate ? SLICE_LITERAL("fake:acceptor") : SLICE_LITERAL("fake:initiator"));
    return GAGE_DONE;
}

static void
fake_destroy(struct handshake *h)
{
    gage_wipe(h, sizeof(struct fake));
    free(h);
}

static const struct handshake_ops ops = {fake_step, fake_wrap,  fake_unwrap, fake_prf,    fake_save,
                                         fake_end,  fake_ended, fake_peer,   fake_destroy};

const struct transfer_security fake_security = {fake_start, fake_load};
