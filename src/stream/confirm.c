#include "stream/state.h"

#include <string.h>

#define LABEL "gage-startgss-1"

/* The record kinds we take, as bytes of the offer. */
static gage_slice
our_offer(const gage_stream *s)
{
    static const uint8_t both[] = {FRAME_WRAP, FRAME_AEAD};
    switch (s->config.records) {
    case GAGE_STREAM_WRAP:
        return gage_slice_of(both, 1);
    case GAGE_STREAM_AEAD:
        return gage_slice_of(both + 1, 1);
    case GAGE_STREAM_ANY_RECORDS:
    case GAGE_STREAM_BARE:
        break;
    }
    return SLICE_OF(both);
}

/* Bare: nothing is confirmed, records follow at once. */
static gage_rc
open_bare(gage_stream *s, const struct gage_err *refusal, struct gage_err *err)
{
    if (refusal != NULL)
        return gage_fail(err, refusal->code, "%s", refusal->text);
    s->peer.records = GAGE_STREAM_BARE;
    s->phase = PHASE_OPEN;
    return GAGE_DONE;
}

gage_rc
confirm_start(gage_stream *s, const struct gage_err *refusal, struct gage_err *err)
{
    uint8_t transcript[SHA256_LEN], header[FRAME_HEADER_LEN];
    gage_slice token;
    s->phase = PHASE_CONFIRM;
    if (s->config.records == GAGE_STREAM_BARE)
        return open_bare(s, refusal, err);
    TRY(sha256_finish(&s->transcript, transcript));
    const struct agreement_input input = {.label = SLICE_LITERAL(LABEL),
                                          .initiator = s->initiator,
                                          .transcript = SLICE_OF(transcript),
                                          .offer = refusal == NULL ? our_offer(s) : SLICE_NONE,
                                          .rng = s->config.rng};
    gage_rc rc = agreement_start(&s->agreement, s->step.context, &input, &token, err);
    if (gage_ok(rc)) {
        frame_put(header, FRAME_WRAP, token.n);
        put_bytes(&s->out, SLICE_OF(header));
        put_bytes(&s->out, token);
        rc = buf_check(&s->out, err);
    }
    /* The peer may learn of a refusal; that it was one does not depend on it. */
    if (refusal != NULL)
        return gage_fail(err, refusal->code, "%s", refusal->text);
    return rc;
}

static bool
offers(gage_slice offer, enum frame_type kind)
{
    return offer.n > 0 && memchr(offer.p, (int)kind, offer.n) != NULL;
}

static gage_rc
choose_records(gage_stream *s, struct gage_err *err)
{
    gage_slice ours = our_offer(s), theirs = agreement_peer_offer(&s->agreement);
    REQUIRE(
        theirs.n > 0, err, GAGE_E_REFUSED,
        "the peer knows who we are and refuses us: it must allow our name (--allow there), or lacks what it demands");
    if (offers(ours, FRAME_AEAD) && offers(theirs, FRAME_AEAD))
        s->peer.records = GAGE_STREAM_AEAD;
    else if (offers(ours, FRAME_WRAP) && offers(theirs, FRAME_WRAP))
        s->peer.records = GAGE_STREAM_WRAP;
    REQUIRE(s->peer.records != GAGE_STREAM_ANY_RECORDS, err, GAGE_E_UNSUPPORTED,
            "the two sides take no kind of record in common: see --records of both");
    return GAGE_DONE;
}

static gage_rc
make_keys(gage_stream *s)
{
    AUTO(gage_secret) i2a = {.n = 0};
    AUTO(gage_secret) a2i = {.n = 0};
    TRY(agreement_expand(&s->agreement, SLICE_LITERAL("i2a"), SHA256_LEN, &i2a));
    TRY(agreement_expand(&s->agreement, SLICE_LITERAL("a2i"), SHA256_LEN, &a2i));
    TRY(record_keys_init(&s->sending, s->initiator ? &i2a : &a2i, true));
    TRY(record_keys_init(&s->receiving, s->initiator ? &a2i : &i2a, false));
    if (!s->config.keep_context)
        gss_ctx_drop(&s->step.context); /* AEAD needs the context no more */
    return GAGE_DONE;
}

gage_rc
confirm_finish(gage_stream *s, gage_slice token, struct gage_err *err)
{
    TRY(agreement_finish(&s->agreement, s->step.context, token, err));
    TRY(choose_records(s, err));
    if (s->peer.records == GAGE_STREAM_AEAD)
        TRY(make_keys(s));
    agreement_cleanup(&s->agreement);
    s->phase = PHASE_OPEN;
    return GAGE_DONE;
}
