/* The sender's answers to what the receiver writes. */
#include <string.h>

#include "transfer/state.h"

#define EXPECT(type) (1u << (type))

/* The first token, unless it would be stale before anybody reads it: then the receiver asks for it (doc/transfer.md,
 * "Time-bound mechanisms"). */
static gage_rc
first_token(gage_transfer *t, gage_buf *token, struct gage_err *err)
{
    TRY(begin_handshake(t, err));
    return handshake_step(t->handshake, SLICE_NONE, token, err);
}

gage_rc
sender_first_payload(gage_transfer *t, struct gage_err *err)
{
    AUTO(gage_buf) token = GAGE_BUF(HANDSHAKE_TOKEN_MAX);
    if (t->mechanism->first_token_life == 0)
        TRY(first_token(t, &token, err));
    else
        TRY(mechanism_present(t->mechanism, err));
    return compose(t, gage_buf_slice(&token), NULL, err);
}

static gage_rc
release_content(gage_transfer *t, gage_slice context_token, struct gage_err *err)
{
    struct message message = {
        .type = RECORD_CONTENT,
        .content = {.name = slice_str(t->name), .mode = (uint16_t)t->mode, .bytes = gage_buf_slice(&t->content)}};
    memcpy(message.content.sha256, t->sha256, sizeof t->sha256);
    TRY(compose(t, context_token, &message, err));
    t->released = true;
    t->expect = EXPECT(RECORD_RECEIPT) | EXPECT(RECORD_REFUSAL);
    buf_reset(&t->content);
    return GAGE_DONE;
}

static gage_rc
content_or_offer(gage_transfer *t, gage_slice context_token, struct gage_err *err)
{
    struct message offer = {.type = RECORD_OFFER};
    if (!t->calls)
        return release_content(t, context_token, err);
    t->expect = EXPECT(RECORD_REQUEST) | EXPECT(RECORD_REFUSAL);
    return compose(t, context_token, &offer, err);
}

/* The context stands: say what is to come. With digits to compare, that is a commitment to our nonce: neither side can choose
 * its own after seeing the other's, so nobody in the middle can make the digits of two contexts equal. */
static gage_rc
context_stands(gage_transfer *t, gage_slice context_token, struct gage_err *err)
{
    struct message commit = {.type = RECORD_COMMIT};
    if (!t->verify)
        return content_or_offer(t, context_token, err);
    TRY(rng_fill(&t->rng, t->nonce, sizeof t->nonce));
    TRY(sha256_of(SLICE_OF(t->nonce), commit.hash));
    t->expect = EXPECT(RECORD_NONCE) | EXPECT(RECORD_REFUSAL);
    return compose(t, context_token, &commit, err);
}

/* "Ready, attempt n": the receiver is there now, make a token for it. */
static gage_rc
take_ready(gage_transfer *t, struct incoming *in, struct gage_err *err)
{
    AUTO(gage_buf) token = GAGE_BUF(HANDSHAKE_TOKEN_MAX);
    struct gage_err why = {0};
    uint32_t attempt = t->handshake == NULL ? t->attempt : t->attempt + 1;
    bool fits = t->mechanism->first_token_life > 0 && in->packet->attempt == attempt && !in->packet->final;
    if (!fits) {
        stop(t, GAGE_REASON_PROTOCOL, NULL);
        return GAGE_DONE;
    }
    gage_rc rc = first_token(t, &token, &why);
    if (!gage_ok(rc))
        return stop_for(t, GAGE_REASON_HANDSHAKE, rc, &why);
    t->attempt = attempt;
    TRY(acknowledge(t, in));
    return compose(t, gage_buf_slice(&token), NULL, err);
}

static gage_rc
take_token(gage_transfer *t, struct incoming *in, struct gage_err *err)
{
    struct gage_err why = {0};
    if (t->handshake == NULL || in->packet->attempt != t->attempt || in->packet->token[PACKET_MESSAGE].p != NULL) {
        stop(t, GAGE_REASON_PROTOCOL, NULL);
        return GAGE_DONE;
    }
    gage_rc rc = take_context(t, in, &why);
    if (!gage_ok(rc))
        return stop_for(t, GAGE_REASON_HANDSHAKE, rc, &why);
    if (!t->complete && in->token.n == 0) {
        stop(t, GAGE_REASON_PROTOCOL, NULL);
        return GAGE_DONE;
    }
    TRY(acknowledge(t, in));
    return t->complete ? context_stands(t, gage_buf_slice(&in->token), err)
                       : compose(t, gage_buf_slice(&in->token), NULL, err);
}

/* ---- messages ---- */

static gage_rc
take_nonce(gage_transfer *t, const struct message *message, struct gage_err *err)
{
    struct message reveal = {.type = RECORD_REVEAL};
    TRY(make_digits(t, t->nonce, message->hash, err));
    memcpy(reveal.hash, t->nonce, sizeof reveal.hash);
    t->expect = EXPECT(RECORD_COMPARED) | EXPECT(RECORD_REFUSAL);
    return compose(t, SLICE_NONE, &reveal, err);
}

/* The receiver's person agrees; without ours nothing is released. */
static gage_rc
take_compared(gage_transfer *t, struct gage_err *err)
{
    t->expect = 0; /* it is our turn */
    if (t->agreed)
        return content_or_offer(t, SLICE_NONE, err);
    set_phase(t, PHASE_ASK_DIGITS);
    make_dirty(t);
    return GAGE_DONE;
}

static void
take_receipt(gage_transfer *t, struct incoming *in)
{
    if (memcmp(in->message.hash, t->sha256, sizeof t->sha256) != 0) {
        stop(t, GAGE_REASON_MISMATCH, "the receipt names other content than was sent");
        return;
    }
    /* The delete token only ends the context; the receipt counts without it. */
    gage_slice end = in->packet->token[PACKET_DELETE];
    if (end.p != NULL)
        (void)gage_ok(handshake_ended(t->handshake, end, NULL));
    finish_and_delete(t, GAGE_OUTCOME_DELIVERED, GAGE_REASON_COMPLETED, NULL);
}

static gage_rc
take_request(gage_transfer *t, const struct message *message)
{
    buf_reset(&t->input);
    put_bytes(&t->input, message->bytes);
    t->round++;
    set_phase(t, PHASE_SUPPLY);
    make_dirty(t);
    return buf_check(&t->input, NULL);
}

static gage_rc
react(gage_transfer *t, struct incoming *in, struct gage_err *err)
{
    const struct message *message = &in->message;
    switch (message->type) {
    case RECORD_REFUSAL:
        finish_and_delete(t, t->released ? GAGE_OUTCOME_DECLINED : GAGE_OUTCOME_NOT_RELEASED, GAGE_REASON_PEER_REFUSED,
                          refusal_text(message->refusal));
        return GAGE_DONE;
    case RECORD_NONCE:
        return take_nonce(t, message, err);
    case RECORD_COMPARED:
        return take_compared(t, err);
    case RECORD_REQUEST:
        return take_request(t, message);
    default:
        take_receipt(t, in);
        return GAGE_DONE;
    }
}

gage_rc
sender_take(gage_transfer *t, struct incoming *in, struct gage_err *err)
{
    const gage_slice *token = in->packet->token;
    if (!t->complete && t->now > t->expires) { /* by this clock, whatever the relay let through */
        stop(t, GAGE_REASON_EXPIRED, "the link was opened after its time ran out");
        return GAGE_DONE;
    }
    if (!t->complete && token[PACKET_CONTEXT].p == NULL && token[PACKET_MESSAGE].p == NULL)
        return take_ready(t, in, err);
    if (!t->complete)
        return take_token(t, in, err);
    TRY(take_message(t, in, err));
    if (is_done(t))
        return GAGE_DONE;
    if (!in->has_message || token[PACKET_CONTEXT].p != NULL || in->packet->attempt != t->attempt ||
        (t->expect & EXPECT(in->message.type)) == 0) {
        stop(t, GAGE_REASON_PROTOCOL, NULL);
        return GAGE_DONE;
    }
    TRY(acknowledge(t, in));
    return react(t, in, err);
}

/* ---- what persons and callers decide ---- */

bool
sender_asks_digits(const gage_transfer *t)
{
    return t->role == PACKET_SENDER && t->digits[0] != '\0' && !t->agreed && !t->released;
}

gage_rc
sender_digits_agree(gage_transfer *t, struct gage_err *err)
{
    t->agreed = true;
    if ((t->expect & EXPECT(RECORD_COMPARED)) == 0)
        return content_or_offer(t, SLICE_NONE, err);
    set_phase(t, PHASE_AWAIT);
    t->look = true;
    make_dirty(t);
    return GAGE_DONE;
}

/* It may not be our turn to write a refusal. That the mailbox goes is always possible. */
void
sender_digits_differ(gage_transfer *t)
{
    finish_and_delete(t, GAGE_OUTCOME_NOT_RELEASED, GAGE_REASON_REFUSED,
                      "refused here: the digits differ, so somebody else may have the link");
}

gage_rc
sender_supply(gage_transfer *t, gage_slice answer, bool last, struct gage_err *err)
{
    struct message message = {.type = RECORD_ANSWER, .bytes = answer};
    buf_reset(&t->input);
    if (!last) {
        t->expect = EXPECT(RECORD_REQUEST) | EXPECT(RECORD_REFUSAL);
        TRY(compose(t, SLICE_NONE, &message, err));
        t->released = true;
        return GAGE_DONE;
    }
    buf_reset(&t->content);
    put_bytes(&t->content, answer);
    TRY(buf_check(&t->content, err));
    t->size = answer.n;
    TRY(sha256_of(answer, t->sha256));
    return release_content(t, SLICE_NONE, err);
}
