#include "stream/state.h"

/* Queues our line. `theirs` is the number to differ from, where it is known already. */
static gage_rc
send_line(gage_stream *s, const uint32_t *theirs, struct gage_err *err)
{
    TRY(line_make(s->config.role, theirs, s->config.rng, &s->ours));
    put_bytes(&s->out, gage_slice_of(s->ours.text, s->ours.n));
    return buf_check(&s->out, err);
}

gage_rc
opening_start(gage_stream *s, struct gage_err *err)
{
    s->phase = s->config.passive || s->config.policy == GAGE_STREAM_PLAIN ? PHASE_LOOK : PHASE_LINE;
    return s->phase == PHASE_LINE ? send_line(s, NULL, err) : GAGE_DONE;
}

/* The peer does not take part. */
static gage_rc
go_clear(gage_stream *s, struct gage_err *err, const char *why)
{
    REQUIRE(s->config.policy != GAGE_STREAM_REQUIRE, err, GAGE_E_REFUSED,
            "%s, and protection is required: nothing was sent or delivered in the clear", why);
    s->phase = PHASE_CLEAR;
    return GAGE_DONE;
}

/* A line came although we want none: it is taken out of the stream, and answered with itself while that is still unambiguous. */
static gage_rc
refuse(gage_stream *s, struct gage_err *err)
{
    if (!s->sent_data)
        put_bytes(&s->out, gage_slice_of(s->theirs.text, s->theirs.n));
    s->phase = PHASE_CLEAR;
    return buf_check(&s->out, err);
}

static gage_rc
take_line(gage_stream *s, struct gage_err *err)
{
    if (s->config.policy == GAGE_STREAM_PLAIN)
        return refuse(s, err);
    if (s->phase == PHASE_LOOK)
        TRY(send_line(s, &s->theirs.number, err));
    gage_rc rc = line_roles(s->ours.number, s->theirs.number, &s->initiator, err);
    if (rc.code == GAGE_E_REFUSED && s->config.policy == GAGE_STREAM_PREFER) {
        s->phase = PHASE_CLEAR;
        return GAGE_DONE;
    }
    TRY(rc);
    return tokens_start(s, err);
}

gage_rc
opening_receive(gage_stream *s, gage_slice bytes, struct gage_stream_step *step, struct gage_err *err)
{
    enum line_found found;
    TRY(line_find(bytes, &found, &s->theirs, err));
    if (found == LINE_NOT)
        return go_clear(s, err, "the peer speaks without STARTGSS");
    if (found == LINE_UNDECIDED)
        return GAGE_DONE;
    step->used = s->theirs.n;
    return take_line(s, err);
}

gage_rc
opening_looked_enough(gage_stream *s, struct gage_err *err)
{
    REQUIRE(s->config.policy != GAGE_STREAM_REQUIRE, err, GAGE_E_TIMEOUT,
            "the peer sent no STARTGSS line: are both sides passive? Protection is required, so one side must not be");
    return go_clear(s, err, "the peer is silent");
}
