#include "stream/state.h"

#include <string.h>

/* ---- wrap and bare records ---- */

static gage_rc
seal_wrap(gage_stream *s, gage_slice data, uint8_t *frame, size_t *n, struct gage_err *err)
{
    OM_uint32 minor;
    int encrypted = 0;
    gss_buffer_desc in = gss_buffer_of(data);
    AUTO(gss_buffer_desc) token = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_wrap(&minor, s->step.context, 1, GSS_C_QOP_DEFAULT, &in, &encrypted, &token);
    if (major != GSS_S_COMPLETE)
        return gss_fail(err, major, minor, s->peer.mech, "a record cannot be wrapped");
    REQUIRE(encrypted != 0, err, GAGE_E_UNSUPPORTED, "the mechanism did not encrypt a record");
    REQUIRE(token.length <= FRAME_WRAP_MAX, err, GAGE_E_LIMIT, "the mechanism made a record of %zu bytes",
            token.length);
    frame_put(frame, s->peer.records == GAGE_STREAM_BARE ? FRAME_HANDSHAKE : FRAME_WRAP, token.length);
    memcpy(frame + FRAME_HEADER_LEN, token.value, token.length);
    *n = FRAME_HEADER_LEN + token.length;
    return GAGE_DONE;
}

static gage_rc
open_wrap(gage_stream *s, gage_slice token, gage_slice *data, struct gage_err *err)
{
    OM_uint32 minor;
    int encrypted = 0;
    gss_qop_t qop = GSS_C_QOP_DEFAULT;
    gss_buffer_desc in = gss_buffer_of(token);
    OM_uint32 major = gss_unwrap(&minor, s->step.context, &in, &s->unwrapped, &encrypted, &qop);
    /* Replay, gap and order come as supplementary bits beside valid data: anything but COMPLETE is a failure. */
    if (major != GSS_S_COMPLETE)
        return gss_fail(err, major, minor, s->peer.mech,
                        "a record of the peer is damaged, forged, replayed or out of order");
    REQUIRE(encrypted != 0, err, GAGE_E_UNSUPPORTED, "a record of the peer was not encrypted");
    REQUIRE(s->unwrapped.length <= RECORD_DATA_MAX, err, GAGE_E_LIMIT,
            "a record of the peer holds %zu bytes, more than %d", s->unwrapped.length, RECORD_DATA_MAX);
    *data = gss_slice(&s->unwrapped);
    return GAGE_DONE;
}

/* ---- from the peer ---- */

static enum frame_type
agreed_type(const gage_stream *s)
{
    switch (s->peer.records) {
    case GAGE_STREAM_WRAP:
        return FRAME_WRAP;
    case GAGE_STREAM_BARE:
        return FRAME_HANDSHAKE;
    case GAGE_STREAM_AEAD:
    case GAGE_STREAM_ANY_RECORDS:
        break;
    }
    return FRAME_AEAD;
}

static gage_rc
check_header(const gage_stream *s, const uint8_t *header, struct frame *frame, struct gage_err *err)
{
    TRY(frame_get(header, frame, err));
    REQUIRE(frame->type == agreed_type(s), err, GAGE_E_STATE,
            "the peer sent a frame of type %d where type %d was agreed on", (int)frame->type, (int)agreed_type(s));
    REQUIRE(frame->type != FRAME_HANDSHAKE || frame->length <= FRAME_WRAP_MAX, err, GAGE_E_LIMIT,
            "the peer announced a bare record of %zu bytes, more than %d", frame->length, FRAME_WRAP_MAX);
    REQUIRE(!s->got_end, err, GAGE_E_STATE, "the peer sent a record after its authenticated end");
    return GAGE_DONE;
}

static gage_rc
receive_clear(gage_slice bytes, struct gage_stream_step *step)
{
    step->used = bytes.n;
    step->data = bytes;
    return GAGE_DONE;
}

gage_rc
flow_receive(gage_stream *s, uint8_t *bytes, size_t n, struct gage_stream_step *step, struct gage_err *err)
{
    struct frame frame;
    gss_buffer_wipe(&s->unwrapped);
    if (s->phase == PHASE_CLEAR)
        return receive_clear(gage_slice_of(bytes, n), step);
    if (n < FRAME_HEADER_LEN)
        return GAGE_DONE;
    TRY(check_header(s, bytes, &frame, err));
    size_t whole = FRAME_HEADER_LEN + frame.length;
    if (n < whole)
        return GAGE_DONE;
    if (frame.type == FRAME_AEAD)
        TRY(record_open(&s->receiving, bytes, whole, &step->data, err));
    else
        TRY(open_wrap(s, gage_slice_of(bytes + FRAME_HEADER_LEN, frame.length), &step->data, err));
    step->used = whole;
    if (step->data.n == 0 && s->peer.records != GAGE_STREAM_BARE)
        s->got_end = step->ended = true;
    return GAGE_DONE;
}

/* ---- to the peer ---- */

static gage_rc
seal_clear(gage_slice data, uint8_t *frame, size_t *n)
{
    if (data.n > 0)
        memmove(frame, data.p, data.n);
    *n = data.n;
    return GAGE_DONE;
}

gage_rc
flow_seal(gage_stream *s, gage_slice data, uint8_t *frame, size_t *n, struct gage_err *err)
{
    s->sent_data = true;
    if (s->phase != PHASE_OPEN)
        return seal_clear(data, frame, n);
    if (s->peer.records != GAGE_STREAM_AEAD)
        return data.n == 0 && s->peer.records == GAGE_STREAM_BARE ? seal_clear(data, frame, n)
                                                                  : seal_wrap(s, data, frame, n, err);
    TRY(record_seal(&s->sending, data, frame));
    *n = data.n + RECORD_OVERHEAD;
    return GAGE_DONE;
}
