/* selinux.h - SELinux contexts as text, USER:ROLE:TYPE[:RANGE]: compared as gssproxy compares them, without the library. */
#ifndef GAGE_PROXYD_SELINUX_H
#define GAGE_PROXYD_SELINUX_H

#include <stdbool.h>

/* Whether the text is a context: user, role and type, none empty. */
bool selinux_good(const char *text);
/* Whether both name the same: user, role, type, and the range where both have one. False where either is no context. */
bool selinux_equal(const char *a, const char *b);

#endif
