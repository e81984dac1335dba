#include "stream/state.h"

#include <stdlib.h>

#define SECOND ((int64_t)1000000000)
#define OUT_MAX (2 * (FRAME_HEADER_LEN + FRAME_HANDSHAKE_MAX) + 4096)

void
gage_stream_config_init(struct gage_stream_config *config)
{
    *config = (struct gage_stream_config){.handshake_ns = 30 * SECOND, .look_ns = 3 * SECOND, .warn_ns = 300 * SECOND};
}

/* A failure is final: the phase says so, and the peer hears why while that is possible. The caller's err is written last. */
static gage_rc
settle(gage_stream *s, gage_rc rc, struct gage_err *found, struct gage_err *err)
{
    if (gage_ok(rc))
        return rc;
    if (found->code == GAGE_OK)
        gage_fail(found, rc.code, "%s", gage_code_text(rc.code));
    s->failed_in = gage_stream_waiting_for(s);
    if (s->phase == PHASE_TOKENS && !s->peer_gave_up)
        tokens_say_error(s, found);
    s->phase = PHASE_FAILED;
    if (err != NULL)
        *err = *found;
    return rc;
}

static gage_rc
check_config(const struct gage_stream_config *config, struct gage_err *err)
{
    REQUIRE(config->target != GSS_C_NO_NAME || config->role == GAGE_STREAM_ACCEPTOR ||
                config->policy == GAGE_STREAM_PLAIN,
            err, GAGE_E_USAGE, "a side that may become the initiator needs the name of its target");
    return GAGE_DONE;
}

gage_rc
gage_stream_new(const struct gage_stream_config *config, int64_t now, gage_stream **out, struct gage_err *err)
{
    TRY(check_config(config, err));
    gage_stream *s = calloc(1, sizeof *s);
    REQUIRE(s != NULL, err, GAGE_E_NOMEM, "no memory for a stream");
    s->config = *config;
    if (s->config.rng == NULL)
        s->config.rng = &gage_system_rng;
    s->deadline = now + config->handshake_ns;
    s->look_until = now + config->look_ns;
    s->expires = INT64_MAX;
    s->out = GAGE_BUF(OUT_MAX);
    s->incoming = GAGE_BUF(FRAME_HEADER_LEN + FRAME_HANDSHAKE_MAX);
    s->peer_name = GAGE_BUF(PEER_NAME_MAX);
    s->peer_exported = GAGE_BUF(65536);
    gss_step_init(&s->step, false);
    gage_rc rc = opening_start(s, err);
    if (!gage_ok(rc)) {
        gage_stream_free(&s);
        return rc;
    }
    *out = s;
    return GAGE_DONE;
}

void
gage_stream_free(gage_stream **stream)
{
    gage_stream *s = *stream;
    if (s == NULL)
        return;
    gage_buf_free(&s->out);
    gage_buf_free(&s->incoming);
    gage_buf_free(&s->peer_name);
    gage_buf_free(&s->peer_exported);
    gss_step_cleanup(&s->step);
    sha256_cleanup(&s->transcript);
    agreement_cleanup(&s->agreement);
    record_keys_cleanup(&s->sending);
    record_keys_cleanup(&s->receiving);
    gss_buffer_wipe(&s->unwrapped);
    free(s);
    *stream = NULL;
}

/* ---- what can be asked ---- */

enum gage_stream_phase
gage_stream_phase(const gage_stream *s)
{
    static const enum gage_stream_phase shown[] = {
        [PHASE_LOOK] = GAGE_STREAM_OPENING,     [PHASE_LINE] = GAGE_STREAM_OPENING,
        [PHASE_TOKENS] = GAGE_STREAM_HANDSHAKE, [PHASE_CONFIRM] = GAGE_STREAM_HANDSHAKE,
        [PHASE_OPEN] = GAGE_STREAM_PROTECTED,   [PHASE_CLEAR] = GAGE_STREAM_CLEAR,
        [PHASE_FAILED] = GAGE_STREAM_FAILED,
    };
    return shown[s->phase];
}

const struct gage_stream_peer *
gage_stream_peer(const gage_stream *s)
{
    return s->peer_known ? &s->peer : NULL;
}

gss_ctx_id_t
gage_stream_context(const gage_stream *s)
{
    return s->phase == PHASE_OPEN && s->config.keep_context ? s->step.context : GSS_C_NO_CONTEXT;
}

const char *
gage_stream_waiting_for(const gage_stream *s)
{
    switch (s->phase) {
    case PHASE_LOOK:
    case PHASE_LINE:
        return "the peer's STARTGSS line";
    case PHASE_TOKENS:
        return s->step_due || s->step_running ? "our own GSS step (a KDC that does not answer?)"
                                              : "the peer's handshake token";
    case PHASE_CONFIRM:
        return "the peer's confirmation";
    case PHASE_OPEN:
    case PHASE_CLEAR:
        return "data";
    case PHASE_FAILED:
        break;
    }
    return s->failed_in;
}

gage_slice
gage_stream_output(const gage_stream *s)
{
    return gage_buf_slice(&s->out);
}

void
gage_stream_sent(gage_stream *s, size_t n)
{
    buf_drop(&s->out, n);
    if (s->out.n == 0)
        gage_buf_free(&s->out);
}

/* ---- GSS steps ---- */

gage_stream_work *
gage_stream_work_due(gage_stream *s)
{
    if (!s->step_due || s->phase != PHASE_TOKENS)
        return NULL;
    s->step_due = false;
    s->step_running = true;
    return (gage_stream_work *)&s->step;
}

void
gage_stream_work_run(gage_stream_work *work)
{
    gss_step_run((struct gss_step *)work);
}

gage_rc
gage_stream_work_done(gage_stream *s, int64_t now, struct gage_err *err)
{
    struct gage_err found = {.code = GAGE_OK};
    REQUIRE(s->step_running, err, GAGE_E_STATE, "no GSS step was running");
    s->step_running = false;
    REQUIRE(s->phase == PHASE_TOKENS, err, GAGE_E_STATE, "the stream failed while its GSS step ran");
    return settle(s, tokens_step_done(s, now, &found), &found, err);
}

/* ---- from the peer ---- */

static gage_rc
receive(gage_stream *s, uint8_t *bytes, size_t n, int64_t now, struct gage_stream_step *step, struct gage_err *err)
{
    switch (s->phase) {
    case PHASE_LOOK:
    case PHASE_LINE:
        TRY(opening_receive(s, gage_slice_of(bytes, n), step, err));
        /* What was looked at and is no line is the application's already. */
        return s->phase == PHASE_CLEAR && step->used == 0 ? flow_receive(s, bytes, n, step, err) : GAGE_DONE;
    case PHASE_TOKENS:
    case PHASE_CONFIRM:
        return tokens_receive(s, gage_slice_of(bytes, n), now, step, err);
    case PHASE_OPEN:
    case PHASE_CLEAR:
        return flow_receive(s, bytes, n, step, err);
    case PHASE_FAILED:
        break;
    }
    return gage_fail(err, GAGE_E_STATE, "the stream has failed already");
}

gage_rc
gage_stream_receive(gage_stream *s, uint8_t *bytes, size_t n, int64_t now, struct gage_stream_step *step,
                    struct gage_err *err)
{
    struct gage_err found = {.code = GAGE_OK};
    *step = (struct gage_stream_step){.used = 0};
    return settle(s, receive(s, bytes, n, now, step, &found), &found, err);
}

static gage_rc
peer_closed(gage_stream *s, size_t left, struct gage_err *err)
{
    if (s->phase == PHASE_LOOK && s->config.policy != GAGE_STREAM_REQUIRE)
        s->phase = PHASE_CLEAR; /* fewer bytes than a line has: they are the application's */
    if (s->phase == PHASE_CLEAR)
        return GAGE_DONE;
    bool bare = s->phase == PHASE_OPEN && s->peer.records == GAGE_STREAM_BARE;
    REQUIRE(left == 0 && (s->got_end || bare), err, GAGE_E_CLOSED,
            "the connection ended while waiting for %s, without an authenticated end: cut off, or the peer failed",
            s->phase == PHASE_OPEN ? "more data" : gage_stream_waiting_for(s));
    return GAGE_DONE;
}

gage_rc
gage_stream_peer_closed(gage_stream *s, size_t left, struct gage_err *err)
{
    struct gage_err found = {.code = GAGE_OK};
    return settle(s, peer_closed(s, left, &found), &found, err);
}

/* ---- to the peer ---- */

bool
gage_stream_may_send(const gage_stream *s)
{
    bool ready = s->phase == PHASE_OPEN || s->phase == PHASE_CLEAR ||
                 (s->phase == PHASE_LOOK && s->config.policy == GAGE_STREAM_PLAIN);
    return ready && !s->sent_end;
}

gage_rc
gage_stream_seal(gage_stream *s, gage_slice data, uint8_t *frame, size_t *n, struct gage_err *err)
{
    struct gage_err found = {.code = GAGE_OK};
    REQUIRE(gage_stream_may_send(s), err, GAGE_E_STATE, "the stream is not ready for data, or its direction has ended");
    REQUIRE(data.n > 0 && data.n <= RECORD_DATA_MAX, err, GAGE_E_USAGE, "a record carries 1 to %d bytes, not %zu",
            RECORD_DATA_MAX, data.n);
    return settle(s, flow_seal(s, data, frame, n, &found), &found, err);
}

gage_rc
gage_stream_seal_end(gage_stream *s, uint8_t *frame, size_t *n, struct gage_err *err)
{
    struct gage_err found = {.code = GAGE_OK};
    REQUIRE(gage_stream_may_send(s), err, GAGE_E_STATE, "the stream is not ready for its end, or has ended already");
    TRY(settle(s, flow_seal(s, SLICE_NONE, frame, n, &found), &found, err));
    s->sent_end = true;
    return GAGE_DONE;
}

/* ---- time ---- */

int64_t
gage_stream_next_time(const gage_stream *s)
{
    switch (s->phase) {
    case PHASE_LOOK:
        return s->look_until < s->deadline ? s->look_until : s->deadline;
    case PHASE_LINE:
    case PHASE_TOKENS:
    case PHASE_CONFIRM:
        return s->deadline;
    case PHASE_OPEN:
        if (s->expires == INT64_MAX || (s->warned && s->config.outlive))
            return INT64_MAX;
        return s->warned ? s->expires : s->expires - s->config.warn_ns;
    case PHASE_CLEAR:
    case PHASE_FAILED:
        break;
    }
    return INT64_MAX;
}

static gage_rc
tick_open(gage_stream *s, int64_t now, enum gage_stream_event *event, struct gage_err *err)
{
    REQUIRE(
        now < s->expires || s->config.outlive, err, GAGE_E_EXPIRED,
        "the security context has expired: connect again with a fresh ticket or link, or let connections outlive it "
        "(--outlive)");
    if (s->expires != INT64_MAX && !s->warned && now >= s->expires - s->config.warn_ns) {
        s->warned = true;
        *event = GAGE_STREAM_EXPIRING;
    }
    return GAGE_DONE;
}

static gage_rc
tick(gage_stream *s, int64_t now, enum gage_stream_event *event, struct gage_err *err)
{
    if (s->phase == PHASE_OPEN)
        return tick_open(s, now, event, err);
    if (s->phase == PHASE_CLEAR || s->phase == PHASE_FAILED)
        return GAGE_DONE;
    if (s->phase == PHASE_LOOK && now >= s->look_until)
        return opening_looked_enough(s, err);
    REQUIRE(now < s->deadline, err, GAGE_E_TIMEOUT, "the handshake was not done in time; it was waiting for %s",
            gage_stream_waiting_for(s));
    return GAGE_DONE;
}

gage_rc
gage_stream_tick(gage_stream *s, int64_t now, enum gage_stream_event *event, struct gage_err *err)
{
    struct gage_err found = {.code = GAGE_OK};
    *event = GAGE_STREAM_NOTHING;
    return settle(s, tick(s, now, event, &found), &found, err);
}
