/* line.h - the STARTGSS line: its grammar, and what two numbers decide (doc/startgss.md, "The line"). */
#ifndef GAGE_STREAM_LINE_H
#define GAGE_STREAM_LINE_H

#include <gage/stream.h>

#include "base/crypto.h"

#define LINE_MAX_LEN 32 /* bytes ever looked at for a line */
#define LINE_PREFIX "STARTGSS "
#define LINE_PREFIX_LEN 9

struct line {
    char text[LINE_MAX_LEN + 1]; /* as it travelled, newline included */
    size_t n;
    uint32_t number;
};

enum line_found {
    LINE_UNDECIDED, /* a beginning of a line so far */
    LINE_WHOLE,
    LINE_NOT /* differs from LINE_PREFIX: a peer that speaks plainly */
};

/* Looks for a line at the start of `bytes`, which may go on after it; fills *line when it is whole (line->n bytes are to be
 * consumed). GAGE_E_FORMAT where the prefix is right and what follows breaks the grammar. */
gage_rc line_find(gage_slice bytes, enum line_found *found, struct line *line, struct gage_err *err);

/* A line for this role with a random number, never `other` (the peer's, if it is known already). */
gage_rc line_make(enum gage_stream_role role, const uint32_t *other, const struct gage_rng *rng, struct line *line);

/* Whether we are the initiator. GAGE_E_REFUSED where the numbers are equal, GAGE_E_STATE where both insist on one role. */
gage_rc line_roles(uint32_t ours, uint32_t theirs, bool *initiator, struct gage_err *err);

#endif
