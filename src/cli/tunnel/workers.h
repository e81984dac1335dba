/* workers.h - threads for GSS steps, which may block: started as needed, first come first served, results handed back to the loop. */
#ifndef GAGE_CLI_TUNNEL_WORKERS_H
#define GAGE_CLI_TUNNEL_WORKERS_H

#include <gage/stream.h>

struct event_base;
struct workers;

/* Called in the loop's thread when the job has run. */
typedef void workers_done(void *owner);

/* At most `most` threads. */
gage_rc workers_new(struct event_base *base, unsigned most, struct workers **out, struct gage_err *err);
/* Ends the threads. False where one is inside a step: everything is left as it is for the process to end with, what steps use (credentials,
 * names) included. */
bool workers_free(struct workers **workers);

/* Queues the step; `owner` must live until `done` was called. GAGE_E_NOMEM where not even one thread can be had. */
gage_rc workers_run(struct workers *workers, gage_stream_work *work, workers_done *done, void *owner,
                    struct gage_err *err);
/* Takes the owner's step back, if no thread has begun it: then `done` will not be called. */
bool workers_cancel(struct workers *workers, const void *owner);

#endif
