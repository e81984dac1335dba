/* The words of the public tables of outcomes and reasons. */
#include <gage/transfer.h>

#include "transfer/state.h"

static const struct {
    const char *word, *sentence;
} outcomes[] = {
#define OUTCOME_ROW_(name, word, sentence) {word, sentence},
    GAGE_OUTCOMES(OUTCOME_ROW_)
#undef OUTCOME_ROW_
};

static const struct {
    enum gage_code code;
    const char *sentence;
} reasons[] = {
#define REASON_ROW_(name, code, sentence) {GAGE_##code, sentence},
    GAGE_REASONS(REASON_ROW_)
#undef REASON_ROW_
};

static size_t
outcome_index(enum gage_outcome outcome)
{
    size_t i = (size_t)outcome;
    return i < sizeof outcomes / sizeof *outcomes ? i : GAGE_OUTCOME_UNKNOWN;
}

const char *
gage_outcome_word(enum gage_outcome outcome)
{
    return outcomes[outcome_index(outcome)].word;
}

const char *
gage_outcome_text(enum gage_outcome outcome)
{
    return outcomes[outcome_index(outcome)].sentence;
}

const char *
gage_reason_text(enum gage_reason reason)
{
    size_t i = (size_t)reason;
    return i < sizeof reasons / sizeof *reasons ? reasons[i].sentence : "unknown";
}

enum gage_code
reason_code(enum gage_reason reason)
{
    size_t i = (size_t)reason;
    return i < sizeof reasons / sizeof *reasons ? reasons[i].code : GAGE_E_INTERNAL;
}
