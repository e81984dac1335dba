/* output.h - what a daemon says on standard error: nobody who says something waits for who reads it. */
#ifndef GAGE_APP_OUTPUT_H
#define GAGE_APP_OUTPUT_H

#include "base/log.h"
#include "base/rc.h"

/* From now on lines of the log are handed on by a thread, and dropped where nobody takes them (app/lines.h). Until then they are written at
 * once. `lost`: the event that says how many were dropped. */
gage_rc output_begin(const struct log_event *lost, struct gage_err *err);
/* A plain line. */
void output_say(const char *line);
/* An event's line without the log's limit of lines a second: for events that were asked for. */
void output_event(const struct log_event *event, const struct log_field *fields, size_t count);
/* Lines dropped so far. */
uint64_t output_lost(void);
/* Hands on what is left, as long as somebody takes it: before the process ends. */
void output_finish(void);

#endif
