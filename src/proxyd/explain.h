/* explain.h - why a client is served, or not: what `gage-proxyd --explain` prints and `gage doctor --proxy` shows. Changes nothing. */
#ifndef GAGE_PROXYD_EXPLAIN_H
#define GAGE_PROXYD_EXPLAIN_H

#include "proxyd/conf.h"

/* Whom it is about. */
struct explain_client {
    uid_t uid;
    const char *program; /* its executable, or NULL: not told */
    const char *socket;  /* the one it connects to */
};

enum explain_verdict { EXPLAIN_GOOD, EXPLAIN_NOTE, EXPLAIN_BAD };

/* Prints one line on standard output: verdict, topic, what was found, what to do; with tabs between, and none in them. */
void explain_say(enum explain_verdict verdict, const char *topic, const char *found, const char *fix);
/* Looks at environment, socket, service, mechanisms, keys and clock. True where nothing is bad. */
bool explain(const struct conf *conf, const struct explain_client *client);

/* ---- explain_clock.c ---- */
/* Compares the clock with the KDC's of the default realm, whose error replies carry the time (RFC 4120 5.9.1). `needed`: whether a KDC that
 * does not answer is a fault, or only cannot be asked. */
bool explain_clock(bool needed);

#endif
