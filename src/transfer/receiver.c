/* The receiver's answers to what the sender writes. */
#include <string.h>

#include "transfer/state.h"

#define EXPECT(type) (1u << (type))
#define ATTEMPTS 16 /* first tokens asked for before giving up */

/* ---- the context ---- */

/* "Ready, attempt n": a payload without tokens. */
static gage_rc
say_ready(gage_transfer *t, struct incoming *in, struct gage_err *err)
{
    TRY(acknowledge(t, in));
    return compose(t, SLICE_NONE, NULL, err);
}

/* A first token that came too late, or was seen before a crash, is asked for again; anything wrong with it for good ends after a
 * few attempts with the mechanism's own sentence. */
static gage_rc
try_again(gage_transfer *t, struct incoming *in, gage_rc rc, const struct gage_err *why, struct gage_err *err)
{
    if (t->mechanism->first_token_life == 0 || t->attempt >= ATTEMPTS || rc.code == GAGE_E_NOMEM)
        return stop_for(t, GAGE_REASON_HANDSHAKE, rc, why);
    handshake_free(&t->handshake);
    t->complete = false;
    t->attempt++;
    return say_ready(t, in, err);
}

/* The envelope was sealed by a holder of the link and answers our number, but not our token: the sender answers another
 * receiver, whom the relay let in beside us. */
static gage_rc
not_for_us(gage_transfer *t, gage_rc rc, const struct gage_err *why)
{
    if (rc.code == GAGE_E_NOMEM || rc.code == GAGE_E_INTERNAL || rc.code == GAGE_E_EXPIRED)
        return stop_for(t, GAGE_REASON_HANDSHAKE, rc, why);
    stop(t, GAGE_REASON_TAKEN, NULL);
    return GAGE_DONE;
}

static gage_rc
answer_token(gage_transfer *t, struct incoming *in, struct gage_err *err)
{
    if (in->token.n == 0) {
        stop(t, GAGE_REASON_PROTOCOL, NULL);
        return GAGE_DONE;
    }
    TRY(acknowledge(t, in));
    return compose(t, gage_buf_slice(&in->token), NULL, err);
}

/* Takes the sender's context token, or its invitation without one. Returns with the context complete and a message to
 * look at, or with an answer made, or stopped. */
static gage_rc
take_token(gage_transfer *t, struct incoming *in, struct gage_err *err)
{
    struct gage_err why = {0};
    const gage_slice *token = in->packet->token;
    bool invitation = token[PACKET_CONTEXT].p == NULL && token[PACKET_MESSAGE].p == NULL;
    if (invitation && in->packet->seq == 1 && t->mechanism->first_token_life > 0)
        return say_ready(t, in, err);
    if (token[PACKET_CONTEXT].p == NULL) {
        stop(t, GAGE_REASON_PROTOCOL,
             invitation ? "the sender uses a mechanism whose first token is made on demand: name it to accept it"
                        : NULL);
        return GAGE_DONE;
    }
    gage_rc rc = t->handshake == NULL ? begin_handshake(t, &why) : GAGE_DONE;
    if (!gage_ok(rc))
        return stop_for(t, GAGE_REASON_HANDSHAKE, rc, &why); /* no key of our own: asking again would not help */
    rc = take_context(t, in, &why);
    if (!gage_ok(rc))
        return t->own.seq > 0 && t->mechanism->link_secret ? not_for_us(t, rc, &why) : try_again(t, in, rc, &why, err);
    if (t->complete && token[PACKET_MESSAGE].p != NULL)
        return GAGE_DONE;
    return answer_token(t, in, err);
}

/* ---- messages ---- */

static gage_rc
take_commit(gage_transfer *t, const struct message *message, struct gage_err *err)
{
    struct message nonce = {.type = RECORD_NONCE};
    memcpy(t->commit, message->hash, sizeof t->commit);
    TRY(rng_fill(&t->rng, t->nonce, sizeof t->nonce));
    memcpy(nonce.hash, t->nonce, sizeof nonce.hash);
    t->expect = EXPECT(RECORD_REVEAL) | EXPECT(RECORD_REFUSAL);
    return compose(t, SLICE_NONE, &nonce, err);
}

static gage_rc
take_reveal(gage_transfer *t, const struct message *message, struct gage_err *err)
{
    uint8_t hash[SHA256_LEN];
    TRY(sha256_of(SLICE_OF(message->hash), hash));
    if (memcmp(hash, t->commit, sizeof hash) != 0) {
        stop(t, GAGE_REASON_MISMATCH, "the sender's number is not the one it committed to");
        return GAGE_DONE;
    }
    TRY(make_digits(t, message->hash, t->nonce, err));
    set_phase(t, PHASE_ASK_DIGITS);
    make_dirty(t);
    return GAGE_DONE;
}

/* Goes on to the phase, or asks first where what was announced is not what was authenticated. */
static void
go_on_if_as_announced(gage_transfer *t, enum phase phase)
{
    bool same = (t->announced_title[0] == '\0' || strcmp(t->announced_title, t->title) == 0) &&
                (t->announced_format[0] == '\0' || strcmp(t->announced_format, t->format) == 0);
    t->refusing = (uint8_t)phase;
    set_phase(t, same ? phase : PHASE_ASK_MISMATCH);
    make_dirty(t);
}

static gage_rc
take_content(gage_transfer *t, const struct content *content)
{
    name_safe(content->name, t->name);
    t->mode = content->mode;
    t->size = content->bytes.n;
    memcpy(t->sha256, content->sha256, sizeof t->sha256);
    buf_reset(&t->content);
    put_bytes(&t->content, content->bytes);
    go_on_if_as_announced(t, PHASE_INSTALL);
    return buf_check(&t->content, NULL);
}

/* An offer, or the answer to our last request: the caller makes the next request from it. */
static gage_rc
take_answer(gage_transfer *t, const struct message *message)
{
    buf_reset(&t->input);
    put_bytes(&t->input, message->bytes);
    t->round++;
    if (message->type == RECORD_OFFER) {
        go_on_if_as_announced(t, PHASE_REQUEST);
    } else {
        set_phase(t, PHASE_REQUEST);
        make_dirty(t);
    }
    return buf_check(&t->input, NULL);
}

static gage_rc
react(gage_transfer *t, const struct message *message, struct gage_err *err)
{
    switch (message->type) {
    case RECORD_REFUSAL:
        finish(t, GAGE_OUTCOME_NOT_INSTALLED, GAGE_REASON_PEER_REFUSED, refusal_text(message->refusal));
        return GAGE_DONE;
    case RECORD_COMMIT:
        return take_commit(t, message, err);
    case RECORD_REVEAL:
        return take_reveal(t, message, err);
    case RECORD_CONTENT:
        return take_content(t, &message->content);
    default:
        return take_answer(t, message);
    }
}

/* What the first message may be follows from its binding. */
static uint32_t
expected_first(const gage_transfer *t)
{
    if (t->verify)
        return EXPECT(RECORD_COMMIT);
    return t->calls ? EXPECT(RECORD_OFFER) : EXPECT(RECORD_CONTENT);
}

static gage_rc
take_said(gage_transfer *t, struct incoming *in, struct gage_err *err)
{
    TRY(take_message(t, in, err));
    if (is_done(t))
        return GAGE_DONE;
    if (in->has_message && in->message.has_binding)
        t->expect = expected_first(t) | EXPECT(RECORD_REFUSAL);
    if (!in->has_message || in->packet->attempt != t->attempt || (t->expect & EXPECT(in->message.type)) == 0) {
        stop(t, GAGE_REASON_PROTOCOL, NULL);
        return GAGE_DONE;
    }
    TRY(acknowledge(t, in));
    return react(t, &in->message, err);
}

gage_rc
receiver_take(gage_transfer *t, struct incoming *in, struct gage_err *err)
{
    bool ends = in->packet->token[PACKET_DELETE].p != NULL && !in->packet->final;
    if (in->packet->attempt != t->attempt || ends) {
        stop(t, GAGE_REASON_PROTOCOL, NULL);
        return GAGE_DONE;
    }
    if (t->complete)
        return take_said(t, in, err);
    TRY(take_token(t, in, err));
    bool more = t->complete && t->phase == PHASE_AWAIT && !t->dirty;
    return more ? take_said(t, in, err) : GAGE_DONE;
}

/* ---- what persons and callers decide ---- */

gage_rc
receiver_digits_agree(gage_transfer *t, struct gage_err *err)
{
    struct message compared = {.type = RECORD_COMPARED};
    t->expect = EXPECT(RECORD_REFUSAL) | (t->calls ? EXPECT(RECORD_OFFER) : EXPECT(RECORD_CONTENT));
    return compose(t, SLICE_NONE, &compared, err);
}

gage_rc
receiver_request(gage_transfer *t, gage_slice request, struct gage_err *err)
{
    struct message message = {.type = RECORD_REQUEST, .bytes = request};
    t->expect = EXPECT(RECORD_ANSWER) | EXPECT(RECORD_CONTENT) | EXPECT(RECORD_REFUSAL);
    buf_reset(&t->input);
    return compose(t, SLICE_NONE, &message, err);
}

gage_rc
receiver_installed(gage_transfer *t, struct gage_err *err)
{
    struct message receipt = {.type = RECORD_RECEIPT};
    memcpy(receipt.hash, t->sha256, sizeof receipt.hash);
    return compose_last(t, &receipt, GAGE_OUTCOME_INSTALLED, GAGE_REASON_COMPLETED, NULL, err);
}
