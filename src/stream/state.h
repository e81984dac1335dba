/* state.h - a stream's state, shared by the files of this folder: opening.c (lines), tokens.c (GSS handshake), confirm.c,
 * flow.c (records), peer.c (names), stream.c (the public calls). */
#ifndef GAGE_STREAM_STATE_H
#define GAGE_STREAM_STATE_H

#include <gage/stream.h>

#include "handshake/agreement.h"
#include "handshake/step.h"
#include "stream/line.h"
#include "stream/record.h"

enum phase {
    PHASE_LOOK,    /* passive: the peer's first bytes are awaited before a word of ours */
    PHASE_LINE,    /* our line is out, the peer's is awaited */
    PHASE_TOKENS,  /* until our context is complete */
    PHASE_CONFIRM, /* until the peer's confirmation is verified */
    PHASE_OPEN,
    PHASE_CLEAR,
    PHASE_FAILED
};

struct gage_stream {
    struct gage_stream_config config;
    enum phase phase;
    const char *failed_in; /* what was waited for when it failed */
    int64_t deadline, look_until, expires;

    struct line ours, theirs;
    bool initiator;
    gage_buf out; /* control output that was not written yet */

    struct gss_step step;
    bool step_due, step_running;
    bool peer_gave_up; /* it sent an error text: no answer to that */
    unsigned rounds;
    size_t token_bytes;
    gage_buf incoming; /* a handshake frame that is not whole yet */
    struct sha256 transcript;
    struct agreement agreement;

    bool peer_known;
    struct gage_stream_peer peer;
    gage_buf peer_name, peer_exported;

    struct record_keys sending, receiving;
    gss_buffer_desc unwrapped; /* the last wrap record's data */
    bool sent_data, sent_end, got_end, warned;
};

#define PEER_NAME_MAX (4 * 1024 + 1) /* of 1024 bytes as shown, and a NUL */

/* opening.c: takes a line off the start of the bytes. */
gage_rc opening_start(gage_stream *s, struct gage_err *err);
gage_rc opening_receive(gage_stream *s, gage_slice bytes, struct gage_stream_step *step, struct gage_err *err);
/* Nobody spoke for as long as a passive side looks. */
gage_rc opening_looked_enough(gage_stream *s, struct gage_err *err);

/* tokens.c: both lines are known. */
gage_rc tokens_start(gage_stream *s, struct gage_err *err);
gage_rc tokens_receive(gage_stream *s, gage_slice bytes, int64_t now, struct gage_stream_step *step,
                       struct gage_err *err);
gage_rc tokens_step_done(gage_stream *s, int64_t now, struct gage_err *err);
/* Queues the sentence of a failure for the peer, where it may still be said. */
void tokens_say_error(gage_stream *s, const struct gage_err *err);

/* confirm.c: our context is complete and its last token queued. */
gage_rc confirm_start(gage_stream *s, const struct gage_err *refusal, struct gage_err *err);
gage_rc confirm_finish(gage_stream *s, gage_slice token, struct gage_err *err);

/* peer.c: fills s->peer from the complete context and checks it: flags, not ourselves, authorised. */
gage_rc peer_check(gage_stream *s, int64_t now, struct gage_err *err);

/* flow.c */
gage_rc flow_receive(gage_stream *s, uint8_t *bytes, size_t n, struct gage_stream_step *step, struct gage_err *err);
gage_rc flow_seal(gage_stream *s, gage_slice data, uint8_t *frame, size_t *n, struct gage_err *err);

#endif
