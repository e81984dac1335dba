/* pair.h - two streams joined by a wire that a test can look at, cut, edit and slow down. Runs inside tests/lib/realm.py. */
#ifndef GAGE_TEST_PAIR_H
#define GAGE_TEST_PAIR_H

#include <gage/stream.h>

#include "handshake/gss.h"

#define NOW ((int64_t)1000000000000)

/* One end. `wire` is what it has sent and the other has not been given yet. */
struct end {
    struct gage_stream_config config;
    gage_stream *stream;
    gage_buf wire, inbox, got;
    bool ended;          /* saw the peer's authenticated end */
    struct gage_err err; /* of its first failure; code GAGE_OK before */
    int64_t now;
};

struct pair {
    struct end a, b; /* a insists on being the initiator, b on being the acceptor, unless a test changes it */
    gss_name_t target;
    size_t chunk; /* bytes given at a time; 0: all there is */
    /* Changes what `from` has on its wire before it is delivered; NULL: nothing. */
    void (*tamper)(struct pair *pair, struct end *from);
    unsigned tampered; /* for the tamperer's own use */
};

void pair_init(struct pair *pair);
/* Makes the two streams; the test may change configurations between init and start. */
void pair_start(struct pair *pair);
/* Moves bytes and runs GSS steps until nothing moves any more. */
void pair_run(struct pair *pair);
/* Both start, run, and are protected. */
void pair_connect(struct pair *pair);
void pair_free(struct pair *pair);

/* Puts a record with the bytes, or the end, on the end's wire; fails the test where that fails. */
void end_send(struct end *end, gage_slice data);
void end_finish(struct end *end);
/* Gives the end bytes as if from the peer, runs its steps. */
void end_give(struct end *end, gage_slice bytes);
/* The peer's transport closed. */
gage_rc end_close(struct end *end);

#define assert_failed(end, expected)                                                                                   \
    do {                                                                                                               \
        if ((end)->err.code != (expected))                                                                             \
            fail_msg("%s (%s), not %s", gage_code_name((end)->err.code), (end)->err.text, gage_code_name(expected));   \
    } while (0)
#define assert_protected(end)                                                                                          \
    do {                                                                                                               \
        if (gage_stream_phase((end)->stream) != GAGE_STREAM_PROTECTED)                                                 \
            fail_msg("not protected: %s", (end)->err.text);                                                            \
    } while (0)

#endif
