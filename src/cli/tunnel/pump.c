#include "cli/tunnel/pump.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/secret.h"

/* One read of the application: this many records' worth, each with room for its frame around it. */
#define SLOTS 4
/* One read of the wire, after the beginning of a frame that was kept. */
#define WIRE_READ (4 * GAGE_STREAM_FRAME_MAX)
#define SLICES_MAX 64
/* More than one read can make. */
#define PENDING_MAX (1024 * 1024)

/* All tunnels run in one thread, and no turn leaves anything in here. */
static uint8_t out_slots[SLOTS][GAGE_STREAM_FRAME_MAX];
static uint8_t in_bytes[GAGE_STREAM_FRAME_MAX + WIRE_READ];

/* ---- writing ---- */

void
pump_drop(struct tunnel_side *side)
{
    if (side->pending != NULL)
        gage_wipe(side->pending, side->pending_at + side->pending_n);
    free(side->pending);
    side->pending = NULL;
    side->pending_at = side->pending_n = 0;
}

/* Keeps what `done` bytes into the pieces was not written. */
static gage_rc
keep_unwritten(struct tunnel_side *side, const struct iovec *pieces, int count, size_t done, struct gage_err *err)
{
    size_t left = 0, at = 0;
    for (int i = 0; i < count; i++)
        left += pieces[i].iov_len;
    REQUIRE(left > done && left <= PENDING_MAX, err, GAGE_E_INTERNAL, "%zu bytes wait to be written, %zu are", left,
            done);
    left -= done;
    side->pending = malloc(left);
    REQUIRE(side->pending != NULL, err, GAGE_E_NOMEM, "no memory for what waits to be written");
    for (int i = 0; i < count; i++) {
        size_t skip = done < pieces[i].iov_len ? done : pieces[i].iov_len;
        memcpy(side->pending + at, (uint8_t *)pieces[i].iov_base + skip, pieces[i].iov_len - skip);
        at += pieces[i].iov_len - skip;
        done -= skip;
    }
    side->pending_n = left;
    side->pending_at = 0;
    return GAGE_DONE;
}

static gage_rc
write_failed(const struct tunnel *t, const struct tunnel_side *side, struct gage_err *err)
{
    return gage_fail_sys(err, GAGE_E_CLOSED, errno,
                         side == &t->wire ? "the connection to the peer broke" : "the application went away");
}

static bool
would_block(void)
{
    return errno == EAGAIN || errno == EINTR;
}

/* Writes the pieces, after which nothing of them is needed: the rest is kept. Nothing must be pending. */
static gage_rc
write_pieces(struct tunnel *t, struct tunnel_side *side, struct iovec *pieces, int count, struct gage_err *err)
{
    size_t all = 0;
    for (int i = 0; i < count; i++)
        all += pieces[i].iov_len;
    if (all == 0)
        return GAGE_DONE;
    if (side->fd < 0 || side->connecting) /* a plain peer's first bytes come before there is an application for them */
        return keep_unwritten(side, pieces, count, 0, err);
    ssize_t n = count == 1 ? write(side->fd, pieces[0].iov_base, pieces[0].iov_len) : writev(side->fd, pieces, count);
    if (n < 0 && !would_block())
        return write_failed(t, side, err);
    size_t done = n < 0 ? 0 : (size_t)n;
    return done < all ? keep_unwritten(side, pieces, count, done, err) : GAGE_DONE;
}

static gage_rc
flush_side(struct tunnel *t, struct tunnel_side *side, struct gage_err *err)
{
    if (side->pending_n == 0 || side->fd < 0 || side->connecting)
        return GAGE_DONE;
    ssize_t n = write(side->fd, side->pending + side->pending_at, side->pending_n);
    if (n < 0)
        return would_block() ? GAGE_DONE : write_failed(t, side, err);
    side->pending_at += (size_t)n;
    side->pending_n -= (size_t)n;
    if (side->pending_n == 0)
        pump_drop(side);
    return GAGE_DONE;
}

/* The stream's own words come before any frame that was sealed after them. */
static gage_rc
flush_stream(struct tunnel *t, struct gage_err *err)
{
    gage_slice out = gage_stream_output(t->stream);
    if (out.n == 0 || t->wire.fd < 0 || t->wire.connecting)
        return GAGE_DONE;
    ssize_t n = write(t->wire.fd, out.p, out.n);
    if (n < 0)
        return would_block() ? GAGE_DONE : write_failed(t, &t->wire, err);
    gage_stream_sent(t->stream, (size_t)n);
    return GAGE_DONE;
}

gage_rc
pump_flush(struct tunnel *t, struct gage_err *err)
{
    TRY(flush_stream(t, err));
    if (gage_stream_output(t->stream).n == 0)
        TRY(flush_side(t, &t->wire, err));
    return flush_side(t, &t->application, err);
}

void
pump_last_words(struct tunnel *t)
{
    struct gage_err unheard;
    gage_rc rc = GAGE_DONE;
    if (t->stream != NULL)
        rc = flush_stream(t, &unheard);
    (void)rc;
}

/* ---- from the application ---- */

static gage_rc
seal_slots(struct tunnel *t, size_t n, struct iovec out[SLOTS], int *count, struct gage_err *err)
{
    *count = 0;
    for (size_t slot = 0; n > 0; slot++) {
        size_t piece = n < GAGE_STREAM_DATA_MAX ? n : GAGE_STREAM_DATA_MAX, made;
        uint8_t *frame = out_slots[slot];
        TRY(gage_stream_seal(t->stream, gage_slice_of(frame + GAGE_STREAM_HEADROOM, piece), frame, &made, err));
        out[(*count)++] = (struct iovec){.iov_base = frame, .iov_len = made};
        n -= piece;
    }
    return GAGE_DONE;
}

gage_rc
pump_from_application(struct tunnel *t, struct gage_err *err)
{
    struct iovec in[SLOTS], out[SLOTS];
    int count;
    for (size_t i = 0; i < SLOTS; i++)
        in[i] = (struct iovec){.iov_base = out_slots[i] + GAGE_STREAM_HEADROOM, .iov_len = GAGE_STREAM_DATA_MAX};
    ssize_t n = readv(t->application.fd, in, SLOTS);
    if (n < 0)
        return would_block() ? GAGE_DONE : gage_fail_sys(err, GAGE_E_CLOSED, errno, "the application broke off");
    if (n == 0) {
        t->application.read_ended = true;
        return GAGE_DONE;
    }
    t->bytes_out += (uint64_t)n;
    t->moved = clock_monotonic_ns();
    TRY(seal_slots(t, (size_t)n, out, &count, err));
    return write_pieces(t, &t->wire, out, count, err);
}

/* ---- from the wire ---- */

static gage_rc
keep_input(struct tunnel *t, const uint8_t *bytes, size_t n, struct gage_err *err)
{
    if (n == 0)
        return GAGE_DONE;
    t->kept = malloc(n);
    REQUIRE(t->kept != NULL, err, GAGE_E_NOMEM, "no memory for the beginning of a record");
    memcpy(t->kept, bytes, n);
    t->kept_n = n;
    return GAGE_DONE;
}

/* Moves what was kept to the start of the shared memory. */
static size_t
take_kept(struct tunnel *t)
{
    size_t n = t->kept_n;
    if (n > 0) {
        memcpy(in_bytes, t->kept, n);
        gage_wipe(t->kept, n);
        free(t->kept);
        t->kept = NULL;
        t->kept_n = 0;
    }
    return n;
}

/* Whether decrypted data has somewhere to go. */
static bool
can_deliver(const struct tunnel *t)
{
    enum gage_stream_phase phase = gage_stream_phase(t->stream);
    if (phase != GAGE_STREAM_PROTECTED && phase != GAGE_STREAM_CLEAR)
        return true;
    return t->application.fd >= 0 && !t->application.connecting && t->application.pending_n == 0;
}

static gage_rc
deliver(struct tunnel *t, struct iovec *pieces, int *count, struct gage_err *err)
{
    int n = *count;
    *count = 0;
    return n > 0 ? write_pieces(t, &t->application, pieces, n, err) : GAGE_DONE;
}

/* Gives the stream the bytes frame by frame; data goes out in as few writes as it can. */
static gage_rc
digest(struct tunnel *t, uint8_t *bytes, size_t n, struct gage_err *err)
{
    struct iovec pieces[SLICES_MAX];
    struct gage_stream_step step = {.used = 1};
    int count = 0;
    int64_t now = clock_monotonic_ns();
    while (step.used > 0 && can_deliver(t)) {
        TRY(gage_stream_receive(t->stream, bytes, n, now, &step, err));
        bool in_place = step.data.p >= bytes && step.data.p < bytes + n;
        if (step.data.n > 0)
            pieces[count++] = (struct iovec){.iov_base = (void *)(uintptr_t)step.data.p, .iov_len = step.data.n};
        if (count == SLICES_MAX || (count > 0 && !in_place))
            TRY(deliver(t, pieces, &count, err));
        t->bytes_in += step.data.n;
        t->wire.read_ended |= step.ended;
        t->frame_n = step.used > 0 ? step.used : t->frame_n;
        bytes += step.used;
        n -= step.used;
    }
    t->moved = now;
    t->starved = step.used == 0;
    TRY(deliver(t, pieces, &count, err));
    return keep_input(t, bytes, n, err);
}

bool
pump_may_consume(const struct tunnel *t)
{
    return t->kept_n > 0 && !t->starved && can_deliver(t);
}

gage_rc
pump_consume(struct tunnel *t, struct gage_err *err)
{
    return pump_may_consume(t) ? digest(t, in_bytes, take_kept(t), err) : GAGE_DONE;
}

gage_rc
pump_fin(struct tunnel *t, struct gage_err *err)
{
    if (!t->fin || t->wire.read_ended || t->working || !can_deliver(t))
        return GAGE_DONE;
    TRY(gage_stream_peer_closed(t->stream, t->kept_n, err));
    t->starved = false;
    TRY(pump_consume(t, err)); /* too little for a line, and so the application's, where the peer speaks plainly */
    t->wire.read_ended = true;
    return GAGE_DONE;
}

/* How much to read: up to where a frame of the last one's length would end, so that in a bulk transfer no half one has to be kept. */
static size_t
room_for_whole_frames(const struct tunnel *t, size_t before)
{
    size_t whole = t->frame_n > 0 ? WIRE_READ / t->frame_n * t->frame_n : 0;
    return whole > before ? whole - before : sizeof in_bytes - before;
}

gage_rc
pump_from_wire(struct tunnel *t, struct gage_err *err)
{
    size_t before = take_kept(t);
    ssize_t n = read(t->wire.fd, in_bytes + before, room_for_whole_frames(t, before));
    if (n > 0)
        return digest(t, in_bytes, before + (size_t)n, err);
    int sys = errno;
    TRY(keep_input(t, in_bytes, before, err));
    t->fin |= n == 0;
    if (n == 0)
        return GAGE_DONE;
    errno = sys;
    return would_block() ? GAGE_DONE : write_failed(t, &t->wire, err);
}

/* ---- ends ---- */

/* The application's end of file becomes the stream's authenticated end, after all data before it. */
static gage_rc
end_our_direction(struct tunnel *t, struct gage_err *err)
{
    size_t n;
    if (!t->application.read_ended || t->wire.write_ended || t->wire.pending_n > 0 ||
        gage_stream_output(t->stream).n > 0)
        return GAGE_DONE;
    if (!t->end_made) {
        t->end_made = true;
        TRY(gage_stream_seal_end(t->stream, out_slots[0], &n, err));
        struct iovec end = {.iov_base = out_slots[0], .iov_len = n};
        TRY(write_pieces(t, &t->wire, &end, 1, err));
    }
    if (t->wire.pending_n > 0)
        return GAGE_DONE;
    shutdown(t->wire.fd, SHUT_WR);
    t->wire.write_ended = true;
    return GAGE_DONE;
}

gage_rc
pump_ends(struct tunnel *t, struct gage_err *err)
{
    struct tunnel_side *a = &t->application;
    if (t->announced && a->fd >= 0 && !a->connecting)
        TRY(end_our_direction(t, err));
    if (t->wire.read_ended && t->kept_n == 0 && a->fd >= 0 && !a->connecting && a->pending_n == 0 && !a->write_ended) {
        shutdown(a->fd, SHUT_WR);
        a->write_ended = true;
    }
    return GAGE_DONE;
}
