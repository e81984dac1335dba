#include "cli/relay_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"

/* One pin, or several with ";" between. */
static bool
pin_good(const char *text)
{
    while (*text != '\0') {
        AUTO(gage_buf) hash = GAGE_BUF(64);
        size_t n = strcspn(text, ";");
        if (n < 8 || memcmp(text, "sha256//", 8) != 0 || !gage_ok(get_base64(gage_slice_of(text + 8, n - 8), &hash)) ||
            hash.n != 32)
            return false;
        text += n + (text[n] == ';');
    }
    return true;
}

gage_rc
relay_trust_note(const struct relay_options *o, const settings *s, const char *url, const char *told, record *r,
                 struct gage_err *err)
{
    struct relay_trust trust = relay_trust_for(s, url, o->pin, o->ca_file);
    char ca_file[PATH_MAX] = "";
    bool by_told = trust.pin == NULL && told[0] != '\0';
    if (by_told)
        trust.pin = told;
    r->flags &= ~(uint32_t)RECORD_CERTIFICATE;
    if (by_told && relay_named(s, url))
        r->flags |= RECORD_CERTIFICATE;
    if (trust.ca_file != NULL && realpath(trust.ca_file, ca_file) == NULL)
        return gage_fail_sys(err, GAGE_E_NOT_FOUND, errno, "cannot find the file of authorities %.150s", trust.ca_file);
    REQUIRE(trust.pin == NULL || pin_good(trust.pin), err, GAGE_E_USAGE,
            "a relay's pin is sha256// and the base64 of 32 bytes: copy it whole, as the relay prints it");
    REQUIRE(trust.pin == NULL || strlen(trust.pin) < sizeof r->pin, err, GAGE_E_LIMIT, "the relay's pin is too long");
    snprintf(r->pin, sizeof r->pin, "%s", trust.pin != NULL ? trust.pin : "");
    memcpy(r->ca_file, ca_file, sizeof ca_file);
    return GAGE_DONE;
}
