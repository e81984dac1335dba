/* remote.h - one call of the GSS-PROXY protocol to the daemon. */
#ifndef GAGE_INTERPOSER_REMOTE_H
#define GAGE_INTERPOSER_REMOTE_H

#include "interposer/outcome.h"

/* A procedure's results. Starts zeroed; what is moved out of it is to be zeroed in it. */
struct answer {
    uint32_t procedure; /* 0: none was decoded */
    union gssx_res res;
};
typedef struct answer answer;
void answer_free(struct answer *a);
GAGE_AUTO_DEFINE(answer, answer_free)

/* Calls the daemon; `arg` is only read. True where it answered with results, whatever their status is; *o is that status, or why there is
 * none. */
bool remote_call(uint32_t procedure, union gssx_arg *arg, struct answer *a, struct outcome *o);

#endif
