#include "cli/settings.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

static const struct conf_key keys[] = {
    {"relay", "url", CONF_TEXT, offsetof(settings, relay), NULL, 0, 0,
     "the relay that gage share uses where --relay names none: an https URL"},
    {"relay", "pin", CONF_TEXT, offsetof(settings, relay_pin), NULL, 0, 0,
     "the public key of that relay, as sha256//BASE64: it is then trusted by this key alone"},
    {"relay", "ca", CONF_TEXT, offsetof(settings, relay_ca), NULL, 0, 0,
     "a PEM file of the authorities that may vouch for that relay, instead of the system's"},
    {"share", "expires", CONF_SECONDS, offsetof(settings, expires), "24h", 60, 31536000,
     "how long an invitation can be accepted where --expires does not say"},
    {"accept", "relays", CONF_TEXT, offsetof(settings, allow), NULL, 0, 0,
     "the relays' host names (with :port where it is not 443), separated by blanks, that links may point to; without "
     "it, any"},
};
const struct conf_table settings_table = {keys, sizeof keys / sizeof keys[0]};

void
settings_free(settings *s)
{
    conf_free(&settings_table, s);
    *s = (settings){0};
}

gage_rc
settings_user_file(char path[PATH_MAX], struct gage_err *err)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int n = 0;
    if (config != NULL && config[0] == '/')
        n = snprintf(path, PATH_MAX, "%s/gage/gage.conf", config);
    else if (home != NULL && home[0] == '/')
        n = snprintf(path, PATH_MAX, "%s/.config/gage/gage.conf", home);
    REQUIRE(n > 0 && n < PATH_MAX, err, GAGE_E_NOT_FOUND, "neither XDG_CONFIG_HOME nor HOME is set");
    return GAGE_DONE;
}

static gage_rc
load_if_there(const char *path, settings *s, struct gage_err *err)
{
    gage_rc rc = conf_load(&settings_table, s, path, err);
    return rc.code == GAGE_E_NOT_FOUND ? GAGE_DONE : rc;
}

gage_rc
settings_load(const char *only, settings *s, struct gage_err *err)
{
    char path[PATH_MAX];
    TRY(conf_defaults(&settings_table, s, err));
    if (only != NULL)
        return conf_load(&settings_table, s, only, err);
    TRY(load_if_there(SETTINGS_SYSTEM_FILE, s, err));
    if (gage_ok(settings_user_file(path, NULL)))
        TRY(load_if_there(path, s, err));
    return GAGE_DONE;
}

/* ---- relays by URL ---- */

typedef CURLU *url_handle;
static void
url_free(url_handle *url)
{
    curl_url_cleanup(*url);
}
GAGE_AUTO_DEFINE(url_handle, url_free)

typedef char *url_part;
static void
url_part_free(url_part *part)
{
    curl_free(*part);
}
GAGE_AUTO_DEFINE(url_part, url_part_free)

static bool
has_part(url_handle url, CURLUPart which)
{
    AUTO(url_part) part = NULL;
    return curl_url_get(url, which, &part, 0) == CURLUE_OK;
}

gage_rc
relay_url_check(const char *text, char *host, size_t size, struct gage_err *err)
{
    AUTO(url_handle) url = curl_url();
    AUTO(url_part) scheme = NULL;
    AUTO(url_part) name = NULL;
    AUTO(url_part) port = NULL;
    REQUIRE(url != NULL && curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
                curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK && strcmp(scheme, "https") == 0 &&
                curl_url_get(url, CURLUPART_HOST, &name, 0) == CURLUE_OK && name[0] != '\0',
            err, GAGE_E_USAGE, "a relay's address is a URL like https://relay.example: nothing but https is used");
    REQUIRE(!has_part(url, CURLUPART_USER) && !has_part(url, CURLUPART_PASSWORD) && !has_part(url, CURLUPART_FRAGMENT),
            err, GAGE_E_USAGE, "a relay's address has no user, password or fragment in it");
    bool other_port = curl_url_get(url, CURLUPART_PORT, &port, 0) == CURLUE_OK && strcmp(port, "443") != 0;
    int n = snprintf(host, size, "%s%s%s", name, other_port ? ":" : "", other_port ? port : "");
    REQUIRE(n > 0 && (size_t)n < size, err, GAGE_E_LIMIT, "the relay's host name is too long");
    return GAGE_DONE;
}

static bool
same_relay(const char *a, const char *b)
{
    char host_a[300], host_b[300];
    return a != NULL && b != NULL && gage_ok(relay_url_check(a, host_a, sizeof host_a, NULL)) &&
           gage_ok(relay_url_check(b, host_b, sizeof host_b, NULL)) && strcasecmp(host_a, host_b) == 0;
}

struct relay_trust
relay_trust_for(const settings *s, const char *url, const char *pin, const char *ca_file)
{
    if (pin == NULL && ca_file == NULL && same_relay(url, s->relay))
        return (struct relay_trust){s->relay_pin, s->relay_ca};
    return (struct relay_trust){pin, ca_file};
}

static bool
listed(const settings *s, const char *host)
{
    size_t n = strlen(host);
    for (const char *at = s->allow != NULL ? s->allow : ""; *at != '\0'; at += strcspn(at, " \t,")) {
        at += strspn(at, " \t,");
        if (strcspn(at, " \t,") == n && strncasecmp(at, host, n) == 0)
            return true;
    }
    return false;
}

bool
relay_named(const settings *s, const char *url)
{
    char host[300];
    return same_relay(url, s->relay) || (gage_ok(relay_url_check(url, host, sizeof host, NULL)) && listed(s, host));
}

gage_rc
relay_allowed(const settings *s, const char *host, struct gage_err *err)
{
    REQUIRE(s->allow == NULL || listed(s, host), err, GAGE_E_REFUSED,
            "the link points to the relay %s, which your configuration ([accept] relays) does not list", host);
    return GAGE_DONE;
}
