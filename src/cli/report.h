/* report.h - what a command tells of a transfer on standard output: lines for a person, or one JSON object a line. */
#ifndef GAGE_CLI_REPORT_H
#define GAGE_CLI_REPORT_H

#include <jansson.h>

#include <gage/transfer.h>

#include "cli/records.h"

/* How this process reports; set once by the command. */
void report_start(bool json);
bool report_is_json(void);

/* Writes bytes, that may be secret, to standard output past every buffer. */
gage_rc report_bytes(gage_slice bytes, struct gage_err *err);
/* Writes {"event": event, "transfer": id, ...fields} as one line, where JSON was asked for; takes the reference to `fields` (NULL:
 * out of memory). Nothing otherwise. */
gage_rc report_event(const char *event, const record *r, json_t *fields, struct gage_err *err);
/* What is said on every wait: on the live line, as a plain line, or as an event "waiting". */
gage_rc report_waiting(const record *r, const struct gage_transfer_status *status, struct gage_err *err);
/* How it ended, for a person on standard error, or as the event "outcome". */
gage_rc report_outcome(const record *r, const struct gage_result *result, struct gage_err *err);

#endif
