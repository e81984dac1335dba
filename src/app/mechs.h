/* mechs.h - a program finds gage's mechanism itself where the system has not registered it. */
#ifndef GAGE_APP_MECHS_H
#define GAGE_APP_MECHS_H

#include "base/bytes.h"

/* Call first in main, before any GSS call and any thread. Where neither $GSS_MECH_CONFIG nor the system's configuration
 * (/etc/gss/mech, /etc/gss/mech.d/ *.conf) names the OTC mechanism, makes a configuration in memory that holds all of the system's lines
 * and one for the plugin installed beside this program, and points $GSS_MECH_CONFIG at it for this process and its children
 * (which inherit the descriptor). GAGE_E_NOT_FOUND where the plugin is not there either: `gage doctor` says what to do. */
gage_rc mechs_find(struct gage_err *err);

/* The folder that holds this installation: bin/.. or sbin/.. of the running program. */
gage_rc install_prefix(char *out, size_t size, struct gage_err *err);

#endif
