/* outcome.h - how a call went: the GSS statuses, and the text that belongs to them where a daemon or this plugin said it.
 *
 * The GSS library asks for a minor status's text later and by its number alone. So the texts of the last failures are remembered by thread
 * and number, and one that no thread remembers is the local mechanism's to explain. */
#ifndef GAGE_INTERPOSER_OUTCOME_H
#define GAGE_INTERPOSER_OUTCOME_H

#include <gssapi/gssapi.h>

#include "rpc/proc.h"

#define OUTCOME_TEXT_MAX 512 /* with its NUL; a longer one is cut */

struct outcome {
    OM_uint32 major, minor;
    bool told;        /* text belongs to it */
    bool unreachable; /* no daemon answered */
    bool verdict;     /* on what was asked, by somebody who could have done it: nobody else is asked */
    char text[OUTCOME_TEXT_MAX];
};

static inline bool
outcome_good(const struct outcome *o)
{
    return !GSS_ERROR(o->major);
}

/* Each sets *o and says whether it is good. */
bool outcome_ok(struct outcome *o);
/* What the GSS library said; its minor status is its own to explain. */
bool outcome_local(struct outcome *o, OM_uint32 major, OM_uint32 minor);
/* What the daemon said. A failure without minor status gets one, so that its text can be asked for. */
bool outcome_remote(struct outcome *o, const gssx_status *status);
/* A failure of ours: errno as minor status and a sentence. */
bool outcome_fail(struct outcome *o, OM_uint32 major, int error, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
bool outcome_no_memory(struct outcome *o);
/* Of two failures the one that says more: the daemon's, unless none answered. *first is what was asked first. */
void outcome_choose(struct outcome *first, const struct outcome *second);

/* How every exported call ends: sets *minor (if not NULL), remembers the text, returns the major status. */
OM_uint32 outcome_end(OM_uint32 *minor, const struct outcome *o);
/* The text remembered for the number, this thread's or else the latest of any; false where there is none. */
bool outcome_text(OM_uint32 minor, char text[OUTCOME_TEXT_MAX]);

/* Around a fork: nobody holds the lock across it. */
void outcome_before_fork(void);
void outcome_after_fork(void);

#endif
