/* doctor.h - between cmd_doctor.c (what a transfer needs) and doctor_proxy.c (what a client of the proxy needs). */
#ifndef GAGE_CLI_DOCTOR_H
#define GAGE_CLI_DOCTOR_H

#include "base/rc.h"

enum verdict { GOOD, NOTE, BAD };

/* What is told about one thing looked at. */
struct finding {
    const char *topic;
    enum verdict verdict;
    enum gage_code code; /* where BAD */
    char text[400];      /* what was found */
    char fix[400];       /* what to do, or empty */
};

struct doctor_proxy {
    const char *config, *uid, *program; /* NULL: the daemon's, who runs this, not told */
};

/* Runs `gage-proxyd --explain` of this installation and calls `tell` for each of its findings; for one that says why not, where it cannot
 * be run or cannot read its configuration. */
void doctor_proxy(const struct doctor_proxy *proxy, void (*tell)(void *context, const struct finding *f),
                  void *context);

#endif
