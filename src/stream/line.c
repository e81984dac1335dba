#include "stream/line.h"

#include <stdio.h>
#include <string.h>

#define INITIATOR_END 0x40000000u  /* below: insists on being the initiator */
#define ACCEPTOR_START 0xc0000000u /* from here: insists on being the acceptor */
#define DIGITS_MAX 10

static bool
is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* The digits at `p`: how many there are, up to one more than a number can have, and their value. */
static size_t
count_digits(const uint8_t *p, size_t n, uint64_t *value)
{
    size_t i;
    *value = 0;
    for (i = 0; i < n && i <= DIGITS_MAX && is_digit(p[i]); i++)
        *value = *value * 10 + (uint64_t)(p[i] - '0');
    return i;
}

/* 1: a newline that ends at *after; 0: more bytes are needed; -1: something else. */
static int
find_newline(const uint8_t *p, size_t n, size_t *after)
{
    if (n == 0 || (n == 1 && p[0] == '\r'))
        return 0;
    *after = p[0] == '\r' ? 2 : 1;
    return p[*after - 1] == '\n' ? 1 : -1;
}

gage_rc
line_find(gage_slice bytes, enum line_found *found, struct line *line, struct gage_err *err)
{
    size_t seen = bytes.n < LINE_PREFIX_LEN ? bytes.n : LINE_PREFIX_LEN, after = 0;
    *found = LINE_UNDECIDED;
    if (seen > 0 && memcmp(bytes.p, LINE_PREFIX, seen) != 0)
        *found = LINE_NOT;
    if (*found == LINE_NOT || bytes.n <= LINE_PREFIX_LEN)
        return GAGE_DONE;
    const uint8_t *p = bytes.p + LINE_PREFIX_LEN;
    size_t n = bytes.n - LINE_PREFIX_LEN;
    uint64_t value;
    size_t digits = count_digits(p, n, &value);
    REQUIRE(digits > 0 && digits <= DIGITS_MAX && value <= UINT32_MAX && (digits == 1 || p[0] != '0'), err,
            GAGE_E_FORMAT, "the peer's STARTGSS line has no number of the documented form");
    int newline = find_newline(p + digits, n - digits, &after);
    REQUIRE(newline >= 0, err, GAGE_E_FORMAT, "the peer's STARTGSS line does not end after its number");
    if (newline == 0)
        return GAGE_DONE;
    *line = (struct line){.n = LINE_PREFIX_LEN + digits + after, .number = (uint32_t)value};
    memcpy(line->text, bytes.p, line->n);
    *found = LINE_WHOLE;
    return GAGE_DONE;
}

static uint32_t
into_range(uint32_t random, enum gage_stream_role role)
{
    uint32_t low = random % INITIATOR_END;
    switch (role) {
    case GAGE_STREAM_INITIATOR:
        return low;
    case GAGE_STREAM_ACCEPTOR:
        return ACCEPTOR_START + low;
    case GAGE_STREAM_ANY_ROLE:
        break;
    }
    return INITIATOR_END + (random & 0x7fffffffu);
}

gage_rc
line_make(enum gage_stream_role role, const uint32_t *other, const struct gage_rng *rng, struct line *line)
{
    uint32_t random;
    do {
        TRY(rng_fill(rng, &random, sizeof random));
        line->number = into_range(random, role);
    } while (other != NULL && *other == line->number);
    line->n = (size_t)snprintf(line->text, sizeof line->text, LINE_PREFIX "%lu\n", (unsigned long)line->number);
    return GAGE_DONE;
}

gage_rc
line_roles(uint32_t ours, uint32_t theirs, bool *initiator, struct gage_err *err)
{
    REQUIRE(ours != theirs, err, GAGE_E_REFUSED,
            "the peer refused protection (our own number came back), or somebody on the path did so in its name");
    REQUIRE(ours >= INITIATOR_END || theirs >= INITIATOR_END, err, GAGE_E_STATE,
            "both sides insist on being the initiator: give one of them another --role");
    REQUIRE(ours < ACCEPTOR_START || theirs < ACCEPTOR_START, err, GAGE_E_STATE,
            "both sides insist on being the acceptor: give one of them another --role");
    *initiator = ours < theirs;
    return GAGE_DONE;
}
