/* settings.h - the configuration files, and what the command line says over them.
 *
 * Read in this order, later over earlier: /etc/gage/gage.conf, then $XDG_CONFIG_HOME/gage/gage.conf (else ~/.config/gage/gage.conf);
 * or only the file that --config names. A missing file is fine, unless it was named. */
#ifndef GAGE_CLI_SETTINGS_H
#define GAGE_CLI_SETTINGS_H

#include <limits.h>

#include "app/conf.h"

typedef struct settings {
    char *relay;     /* [relay] url */
    char *relay_pin; /* [relay] pin: of that relay only */
    char *relay_ca;  /* [relay] ca */
    char *allow;     /* [accept] relays: host names, separated by blanks; NULL: any */
    int64_t expires; /* [share] expires, seconds */
} settings;
void settings_free(settings *s);
GAGE_AUTO_DEFINE(settings, settings_free)

extern const struct conf_table settings_table;

#define SETTINGS_SYSTEM_FILE "/etc/gage/gage.conf"
/* The person's own file; GAGE_E_NOT_FOUND where neither XDG_CONFIG_HOME nor HOME is set. */
gage_rc settings_user_file(char path[PATH_MAX], struct gage_err *err);

/* `only` is --config's file, or NULL. */
gage_rc settings_load(const char *only, settings *s, struct gage_err *err);

/* ---- relays by URL ---- */

/* How a relay proves itself: what the command line says, else what the configuration says of this very relay. Members are borrowed. */
struct relay_trust {
    const char *pin, *ca_file;
};
struct relay_trust relay_trust_for(const settings *s, const char *url, const char *pin, const char *ca_file);

/* An https URL with a host and no user, query or fragment; *host (of `size`) receives host, or host:port where a port is named. */
gage_rc relay_url_check(const char *url, char *host, size_t size, struct gage_err *err);
/* Whether the configuration names this URL's relay, as [relay] url or in [accept] relays. */
bool relay_named(const settings *s, const char *url);
/* GAGE_E_REFUSED where the configuration lists the relays that may be used, and this one's host is not among them (C17, Q10). */
gage_rc relay_allowed(const settings *s, const char *host, struct gage_err *err);

#endif
