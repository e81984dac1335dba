/* terminal.h - what the person sees: a live line that says what is waited for and since when, plain lines, questions.
 *
 * Messages go to standard error; standard output carries results (the link, the table, JSON). On a terminal the live line is
 * redrawn in place; elsewhere each thing waited for longer than a second is one plain line. Every text shown passes put_printable, so
 * that nothing foreign moves the cursor. One process, one terminal: the state is the module's own. */
#ifndef GAGE_CLI_TERMINAL_H
#define GAGE_CLI_TERMINAL_H

#include "base/bytes.h"

/* Looks at standard error and $TERM. `quiet` drops plain lines and the live line (--json). */
void terminal_start(bool quiet);

/* Several transfers share the terminal: plain lines only, each marked with the name. */
void terminal_share(const char *name);

/* One plain line. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The program's last word on a failure: "gage: sentence", even where quiet. */
void say_failure(const struct gage_err *err);

/* This is being waited for, since then (seconds since 1970); empty: nothing. `trouble`, where not empty, is why it takes long. */
void waiting_for(const char *what, int64_t since, const char *trouble);
/* Redraws the live line where its clock moved on. Cheap: call it often. */
void waiting_tick(void);
/* Nothing is waited for any more: the live line disappears. */
void waiting_done(void);
/* "5 s", "2 min 5 s", "3 h 20 min", "2 days 4 h". */
void duration_text(int64_t seconds, char text[32]);

/* Whether a person can be asked: there is a controlling terminal. */
bool terminal_can_ask(void);
/* Asks on the controlling terminal. The answer, without its newline, is appended to *answer. `hidden` turns
 * the echo off. GAGE_E_USAGE where there is no terminal, GAGE_E_CANCELLED where the person ends the input. */
gage_rc terminal_ask(const char *question, bool hidden, gage_buf *answer, struct gage_err *err);
/* Asks until the answer is yes or no ("y", "yes", "n", "no", any case; empty is no). */
gage_rc terminal_ask_yes(const char *question, bool *yes, struct gage_err *err);

/* Set by SIGINT and SIGTERM once interrupts_catch was called; long waits look at it. */
void interrupts_catch(void);
int interrupted(void); /* the signal's number, or 0 */
/* Sleeps, in steps, ticking the live line; returns early where interrupted. */
void sleep_ms(int64_t milliseconds);

#endif
