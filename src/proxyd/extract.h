/* extract.h - `--extract-ccache`: the credential that gssproxy's plugin keeps, sealed, in a user's ticket cache. */
#ifndef GAGE_PROXYD_EXTRACT_H
#define GAGE_PROXYD_EXTRACT_H

#include "proxyd/conf.h"

/* Reads the sealed credential from the cache, opens it with the daemon's keys under whichever service it was made for, and stores it
 * into `into` (NULL: the default cache). GAGE_E_NOT_FOUND, GAGE_E_AUTH, GAGE_E_GSS. */
gage_rc extract_ccache(struct conf *conf, const char *state_dir, const char *from, const char *into,
                       struct gage_err *err);

#endif
