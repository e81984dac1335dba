#include "stream/state.h"

#include <string.h>

#include "base/encode.h"

#define WANTED_FLAGS (GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG)

gage_rc
tokens_start(gage_stream *s, struct gage_err *err)
{
    const struct line *first = s->initiator ? &s->ours : &s->theirs, *second = s->initiator ? &s->theirs : &s->ours;
    s->phase = PHASE_TOKENS;
    TRY(sha256_start(&s->transcript));
    TRY(sha256_add(&s->transcript, gage_slice_of(first->text, first->n)));
    TRY(sha256_add(&s->transcript, gage_slice_of(second->text, second->n)));
    gss_step_init(&s->step, s->initiator);
    s->step.mech = s->config.mech;
    s->step.target = s->config.target;
    s->step.cred = s->initiator ? s->config.initiate_with : s->config.accept_with;
    s->step.take = s->config.initiate_take;
    s->step.give = s->config.initiate_give;
    s->step.context_of_take = s->config.initiate_context;
    s->step.want = WANTED_FLAGS;
    s->step_due = s->initiator;
    return GAGE_DONE;
}

/* ---- to the peer ---- */

static gage_rc
send_token(gage_stream *s, struct gage_err *err)
{
    uint8_t header[FRAME_HEADER_LEN];
    gage_slice token = gss_slice(&s->step.out);
    if (token.n == 0)
        return GAGE_DONE;
    REQUIRE(token.n <= FRAME_HANDSHAKE_MAX, err, GAGE_E_LIMIT, "our handshake token has %zu bytes, more than %d",
            token.n, FRAME_HANDSHAKE_MAX);
    frame_put(header, FRAME_HANDSHAKE, token.n);
    TRY(sha256_add(&s->transcript, SLICE_OF(header)));
    TRY(sha256_add(&s->transcript, token));
    put_bytes(&s->out, SLICE_OF(header));
    put_bytes(&s->out, token);
    return buf_check(&s->out, err);
}

/* A path of this machine is nobody's business who has not authenticated. */
static void
put_without_paths(gage_buf *out, const char *text)
{
    static const char around[] = " '\"():;,=";
    for (const char *p = text; *p != '\0';) {
        size_t n = *p == '/' && (p == text || strchr(around, p[-1]) != NULL) ? strcspn(p, around) : 0;
        put_bytes(out, n > 1 ? SLICE_LITERAL("(a path)") : gage_slice_of((const uint8_t *)p, 1));
        p += n > 1 ? n : 1;
    }
}

void
tokens_say_error(gage_stream *s, const struct gage_err *err)
{
    uint8_t header[FRAME_HEADER_LEN];
    if (s->config.records == GAGE_STREAM_BARE)
        return;
    AUTO(gage_buf) told = GAGE_BUF(4 * sizeof err->text);
    AUTO(gage_buf) text = GAGE_BUF(4 * sizeof err->text);
    put_without_paths(&told, err->text);
    put_printable(&text, gage_buf_slice(&told));
    size_t n = text.n < FRAME_ERROR_MAX ? text.n : FRAME_ERROR_MAX;
    while (n > 0 && n < text.n && (text.p[n] & 0xc0) == 0x80)
        n--; /* not through the middle of a character */
    if (n == 0)
        return;
    frame_put(header, FRAME_ERROR, n);
    put_bytes(&s->out, SLICE_OF(header));
    put_bytes(&s->out, gage_slice_of(text.p, n));
}

/* ---- our own steps ---- */

/* The context is complete: checks come before the last token leaves, so that a refusal can still be said. */
static gage_rc
complete(gage_stream *s, int64_t now, struct gage_err *err)
{
    struct gage_err refusal = {.code = GAGE_OK};
    gage_rc rc = peer_check(s, now, &refusal);
    if (!gage_ok(rc) && s->step.out.length > 0) {
        gss_buffer_wipe(&s->step.out);
        return gage_fail(err, rc.code, "%s", refusal.text);
    }
    TRY(send_token(s, err));
    gss_buffer_wipe(&s->step.out);
    return confirm_start(s, gage_ok(rc) ? NULL : &refusal, err);
}

gage_rc
tokens_step_done(gage_stream *s, int64_t now, struct gage_err *err)
{
    bool done;
    gage_rc rc = gss_step_result(&s->step, &done, err);
    if (!gage_ok(rc)) {
        struct gage_err unheard; /* the error token is a courtesy: what failed stays the first failure */
        if (gage_ok(send_token(s, &unheard)))
            gss_buffer_wipe(&s->step.out);
        return rc;
    }
    if (done)
        return complete(s, now, err);
    REQUIRE(s->step.out.length > 0, err, GAGE_E_GSS,
            "the mechanism wants another token of the peer and gave none to send");
    TRY(send_token(s, err));
    gss_buffer_wipe(&s->step.out);
    return GAGE_DONE;
}

/* ---- from the peer ---- */

static gage_rc
take_token(gage_stream *s, gage_slice frame, struct gage_err *err)
{
    gage_slice token = gage_slice_of(frame.p + FRAME_HEADER_LEN, frame.n - FRAME_HEADER_LEN);
    s->rounds++;
    s->token_bytes += token.n;
    REQUIRE(s->rounds <= GAGE_STREAM_ROUNDS_MAX, err, GAGE_E_LIMIT,
            "the handshake takes more than %d tokens of the peer", GAGE_STREAM_ROUNDS_MAX);
    TRY(sha256_add(&s->transcript, frame));
    put_bytes(&s->step.in, token);
    TRY(buf_check(&s->step.in, err));
    s->step_due = true;
    return GAGE_DONE;
}

static gage_rc
take_error_text(gage_stream *s, gage_slice text, struct gage_err *err)
{
    AUTO(gage_buf) shown = GAGE_BUF(4 * FRAME_ERROR_MAX);
    put_printable(&shown, text);
    s->peer_gave_up = true;
    return gage_fail(err, GAGE_E_REFUSED, "the peer says: %.*s", (int)shown.n, (const char *)shown.p);
}

/* What may come now: a token while our context is not complete, the confirmation after it, the peer's regrets at any time. */
static gage_rc
check_header(const gage_stream *s, struct gage_err *err, struct frame *frame)
{
    TRY(frame_get(s->incoming.p, frame, err));
    enum frame_type expected = s->phase == PHASE_TOKENS ? FRAME_HANDSHAKE : FRAME_WRAP;
    REQUIRE(frame->type == expected || frame->type == FRAME_ERROR, err, GAGE_E_STATE,
            "the peer sent a%s %s while %s is due", frame->type == FRAME_AEAD ? "n" : "", frame_name(frame->type),
            expected == FRAME_HANDSHAKE ? "a handshake token" : "its confirmation");
    REQUIRE(frame->type != FRAME_HANDSHAKE || frame->length <= GAGE_STREAM_TOKENS_MAX - s->token_bytes, err,
            GAGE_E_LIMIT, "the peer's handshake tokens pass %d bytes", GAGE_STREAM_TOKENS_MAX);
    REQUIRE(frame->type != FRAME_WRAP || frame->length <= AGREEMENT_TOKEN_MAX, err, GAGE_E_LIMIT,
            "the peer's confirmation is announced with %zu bytes, more than %d", frame->length, AGREEMENT_TOKEN_MAX);
    return GAGE_DONE;
}

static gage_rc
take_frame(gage_stream *s, const struct frame *frame, struct gage_err *err)
{
    AUTO(gage_buf) whole = buf_move(&s->incoming);
    gage_slice bytes = gage_buf_slice(&whole);
    gage_slice payload = gage_slice_of(bytes.p + FRAME_HEADER_LEN, frame->length);
    if (frame->type == FRAME_ERROR)
        return take_error_text(s, payload, err);
    return frame->type == FRAME_HANDSHAKE ? take_token(s, bytes, err) : confirm_finish(s, payload, err);
}

/* Moves up to what is missing of `want` bytes from the input into s->incoming. */
static gage_rc
collect(gage_stream *s, gage_slice bytes, size_t want, struct gage_stream_step *step, struct gage_err *err)
{
    size_t missing = want - s->incoming.n, left = bytes.n - step->used;
    size_t n = left < missing ? left : missing;
    put_bytes(&s->incoming, gage_slice_of(bytes.p + step->used, n));
    step->used += n;
    return buf_check(&s->incoming, err);
}

gage_rc
tokens_receive(gage_stream *s, gage_slice bytes, int64_t now, struct gage_stream_step *step, struct gage_err *err)
{
    struct frame frame;
    if (s->step_due || s->step_running)
        return GAGE_DONE;
    if (s->incoming.n < FRAME_HEADER_LEN)
        TRY(collect(s, bytes, FRAME_HEADER_LEN, step, err));
    if (s->incoming.n < FRAME_HEADER_LEN)
        return GAGE_DONE;
    TRY(check_header(s, err, &frame));
    TRY(collect(s, bytes, FRAME_HEADER_LEN + frame.length, step, err));
    return s->incoming.n == FRAME_HEADER_LEN + frame.length ? take_frame(s, &frame, err) : GAGE_DONE;
}
