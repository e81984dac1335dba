#include "unit/test.h"

#include "stream/pair.h"

static struct end
new_end(enum gage_stream_role role, gss_name_t target)
{
    struct end end = {.wire = GAGE_BUF(1 << 26), .inbox = GAGE_BUF(1 << 26), .got = GAGE_BUF(1 << 26), .now = NOW};
    gage_stream_config_init(&end.config);
    end.config.role = role;
    end.config.target = target;
    return end;
}

void
pair_init(struct pair *pair)
{
    OM_uint32 minor;
    gss_buffer_desc text = gss_buffer_of(SLICE_LITERAL("gage@localhost"));
    *pair = (struct pair){.target = GSS_C_NO_NAME};
    assert_int_equal(gss_import_name(&minor, &text, GSS_C_NT_HOSTBASED_SERVICE, &pair->target), GSS_S_COMPLETE);
    pair->a = new_end(GAGE_STREAM_INITIATOR, pair->target);
    pair->b = new_end(GAGE_STREAM_ACCEPTOR, pair->target);
}

void
pair_start(struct pair *pair)
{
    struct gage_err err;
    assert_ok(gage_stream_new(&pair->a.config, NOW, &pair->a.stream, &err));
    assert_ok(gage_stream_new(&pair->b.config, NOW, &pair->b.stream, &err));
}

static void
end_free(struct end *end)
{
    gage_stream_free(&end->stream);
    gage_buf_free(&end->wire);
    gage_buf_free(&end->inbox);
    gage_buf_free(&end->got);
}

void
pair_free(struct pair *pair)
{
    end_free(&pair->a);
    end_free(&pair->b);
    gss_name_drop(&pair->target);
}

static void
note(struct end *end, gage_rc rc, const struct gage_err *err)
{
    if (!gage_ok(rc) && end->err.code == GAGE_OK)
        end->err = *err;
}

/* Runs a due step and collects what the stream has to say. True if anything happened. */
static bool
serve(struct end *end)
{
    struct gage_err err;
    bool moved = false;
    gage_stream_work *work = gage_stream_work_due(end->stream);
    if (work != NULL) {
        gage_stream_work_run(work);
        note(end, gage_stream_work_done(end->stream, end->now, &err), &err);
        moved = true;
    }
    gage_slice out = gage_stream_output(end->stream);
    if (out.n > 0) {
        put_bytes(&end->wire, out);
        gage_stream_sent(end->stream, out.n);
        moved = true;
    }
    return moved;
}

/* Lets the stream take what it can from the inbox. */
static bool
take(struct end *end)
{
    struct gage_stream_step step;
    struct gage_err err;
    if (gage_stream_phase(end->stream) == GAGE_STREAM_FAILED)
        return false;
    gage_rc rc = gage_stream_receive(end->stream, end->inbox.p, end->inbox.n, end->now, &step, &err);
    note(end, rc, &err);
    if (!gage_ok(rc))
        return true;
    put_bytes(&end->got, step.data);
    end->ended |= step.ended;
    buf_drop(&end->inbox, step.used);
    return step.used > 0;
}

static void
settle(struct end *end)
{
    while (serve(end) || take(end))
        continue;
}

void
end_give(struct end *end, gage_slice bytes)
{
    put_bytes(&end->inbox, bytes);
    settle(end);
}

static bool
deliver(struct pair *pair, struct end *from, struct end *to)
{
    if (pair->tamper != NULL && from->wire.n > 0)
        pair->tamper(pair, from);
    size_t n = pair->chunk > 0 && pair->chunk < from->wire.n ? pair->chunk : from->wire.n;
    put_bytes(&to->inbox, gage_slice_of(from->wire.p, n));
    buf_drop(&from->wire, n);
    settle(to);
    return n > 0;
}

void
pair_run(struct pair *pair)
{
    settle(&pair->a);
    settle(&pair->b);
    bool moved = true;
    while (moved) {
        moved = deliver(pair, &pair->a, &pair->b);
        moved |= deliver(pair, &pair->b, &pair->a);
    }
}

void
pair_connect(struct pair *pair)
{
    pair_start(pair);
    pair_run(pair);
    assert_protected(&pair->a);
    assert_protected(&pair->b);
}

void
end_send(struct end *end, gage_slice data)
{
    static uint8_t frame[GAGE_STREAM_FRAME_MAX];
    size_t n;
    struct gage_err err;
    assert_ok(gage_stream_seal(end->stream, data, frame, &n, &err));
    serve(end);
    put_bytes(&end->wire, gage_slice_of(frame, n));
}

void
end_finish(struct end *end)
{
    static uint8_t frame[GAGE_STREAM_FRAME_MAX];
    size_t n;
    struct gage_err err;
    assert_ok(gage_stream_seal_end(end->stream, frame, &n, &err));
    put_bytes(&end->wire, gage_slice_of(frame, n));
}

gage_rc
end_close(struct end *end)
{
    struct gage_err err;
    gage_rc rc = gage_stream_peer_closed(end->stream, end->inbox.n, &err);
    note(end, rc, &err);
    if (gage_ok(rc))
        settle(end);
    return rc;
}
