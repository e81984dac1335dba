/* gage doctor: looks at everything a transfer needs, and says what to fix. Changes nothing. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <jansson.h>

#include <gage/otc.h>

#include "app/mechs.h"
#include "base/clock.h"
#include "base/encode.h"
#include "cli/commands.h"
#include "cli/doctor.h"
#include "cli/http.h"
#include "cli/records.h"
#include "cli/settings.h"
#include "cli/terminal.h"

#define SKEW_WARN_S 30
#define SKEW_BAD_S 300

struct doctor_options {
    bool json, proxy;
    const char *relay, *pin, *ca_file, *config;
    const char *proxy_config, *uid, *program;
};

struct doctor {
    const struct doctor_options *options;
    settings settings;
    bool settings_good;
    json_t *json; /* array of findings, or NULL */
    enum gage_code first_bad;
    char date[160]; /* the relay's Date field, or empty */
};

static void
tell_json(struct doctor *doctor, const struct finding *f)
{
    static const char *const words[] = {"good", "note", "bad"};
    json_t *row = json_pack("{s:s, s:s, s:s}", "topic", f->topic, "verdict", words[f->verdict], "found", f->text);
    if (row != NULL && f->fix[0] != '\0')
        json_object_set_new(row, "fix", json_pack("s", f->fix));
    json_array_append_new(doctor->json, row);
}

static void
tell(struct doctor *doctor, const struct finding *f)
{
    static const char *const words[] = {"good", "note", "BAD "};
    AUTO(gage_buf) line = GAGE_BUF(4096);
    if (f->verdict == BAD && doctor->first_bad == GAGE_OK)
        doctor->first_bad = f->code;
    if (doctor->json != NULL) {
        tell_json(doctor, f);
        return;
    }
    put_printable(&line, slice_str(f->text));
    if (f->fix[0] != '\0') {
        put_bytes(&line, SLICE_LITERAL("\n                    to do: "));
        put_printable(&line, slice_str(f->fix));
    }
    printf("%s  %-13s %.*s\n", words[f->verdict], f->topic, (int)line.n, (const char *)line.p);
}

static void set_text(char *to, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void
set_text(char *to, size_t size, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(to, size, fmt, args);
    va_end(args);
}
#define FOUND(f, ...) set_text((f).text, sizeof(f).text, __VA_ARGS__)
#define FIX(f, ...) set_text((f).fix, sizeof(f).fix, __VA_ARGS__)

/* ---- the mechanism ---- */

/* Whether the GSS library lists the mechanism, which makes it load the plugin. */
static bool
mechanism_listed(void)
{
    OM_uint32 minor;
    gss_OID oid = GSS_C_NO_OID;
    gss_OID_set all = GSS_C_NO_OID_SET;
    int present = 0;
    char text[] = "{ " GAGE_OTC_OID_TEXT " }";
    for (char *p = text; *p != '\0'; p++)
        *p = *p == '.' ? ' ' : *p;
    gss_buffer_desc name = {strlen(text), text};
    if (gss_str_to_oid(&minor, &name, &oid) == GSS_S_COMPLETE && gss_indicate_mechs(&minor, &all) == GSS_S_COMPLETE)
        gss_test_oid_set_member(&minor, oid, all, &present);
    gss_release_oid(&minor, &oid);
    gss_release_oid_set(&minor, &all);
    return present != 0;
}

static void
look_at_mechanism(struct doctor *doctor)
{
    struct finding f = {.topic = "mechanism", .code = GAGE_E_CONFIG};
    struct gage_err err = {0};
    const char *before = getenv("GSS_MECH_CONFIG");
    bool own = before == NULL;
    gage_rc rc = mechs_find(&err);
    if (!gage_ok(rc)) {
        f.verdict = BAD;
        FOUND(f, "%s", err.text);
        FIX(f, "install gage whole (script/build PREFIX), so that PREFIX/lib/gage/gss/gage_otc.so lies beside "
               "PREFIX/bin/gage");
    } else if (!mechanism_listed()) {
        f.verdict = BAD;
        FOUND(f, "the GSS library does not load the one-time-credential mechanism");
        FIX(f, "%s",
            own ? "check that gage_otc.so can be read and is of this build (ldd shows a missing library)"
                : "GSS_MECH_CONFIG is set: unset it, or add to that file: gage_otc " GAGE_OTC_OID_TEXT
                  " PREFIX/lib/gage/gss/gage_otc.so");
    } else
        FOUND(f, "loaded, %s",
              own && getenv("GSS_MECH_CONFIG") != NULL ? "from beside this program"
                                                       : "as the system has registered it");
    tell(doctor, &f);
}

/* ---- configuration and state ---- */

static void
look_at_configuration(struct doctor *doctor)
{
    struct finding f = {.topic = "configuration", .code = GAGE_E_CONFIG};
    struct gage_err err = {0};
    char path[PATH_MAX] = "";
    doctor->settings_good = gage_ok(settings_load(doctor->options->config, &doctor->settings, &err));
    (void)settings_user_file(path, NULL);
    if (!doctor->settings_good) {
        f.verdict = BAD;
        FOUND(f, "%s", err.text);
        FIX(f, "correct that line; gage.conf(5) lists the keys");
    } else if (doctor->settings.relay == NULL && doctor->options->relay == NULL) {
        f.verdict = NOTE;
        FOUND(f, "well-formed; no relay is set, so gage share needs --relay each time");
        FIX(f, "put `[relay]` and `url = https://...` into %.300s", path);
    } else
        FOUND(f, "well-formed");
    tell(doctor, &f);
}

static void
look_at_state(struct doctor *doctor)
{
    struct finding f = {.topic = "state", .code = GAGE_E_CONFIG};
    struct gage_err err = {0};
    AUTO(record_ids) ids = {0};
    size_t open = 0;
    gage_rc rc = records_open(&err);
    rc = gage_ok(rc) ? records_list(&ids, &err) : rc;
    for (size_t i = 0; gage_ok(rc) && i < ids.n; i++) {
        AUTO(record) r = RECORD_EMPTY;
        rc = record_load(ids.at[i].id, false, &r, &err);
        open += gage_ok(rc) && record_open(&r);
    }
    if (!gage_ok(rc)) {
        f.verdict = BAD;
        f.code = rc.code;
        FOUND(f, "%s", err.text);
        FIX(f, "the state folder is %s: make it yours, mode 0700, on a disk with room", records_folder());
    } else {
        FOUND(f, "%zu transfer%s under way, %zu in all, in %.300s", open, open == 1 ? "" : "s", ids.n,
              records_folder());
        f.verdict = open > 0 ? NOTE : GOOD;
        if (open > 0)
            FIX(f, "gage list shows them, gage resume goes on with them");
    }
    tell(doctor, &f);
}

/* ---- relay and clock ---- */

/* Asks for a mailbox that cannot exist: a relay answers 404 (R31), whoever made it. */
static gage_rc
ask_relay(struct doctor *doctor, const char *relay, int *status, struct gage_err *err)
{
    const struct doctor_options *o = doctor->options;
    struct relay_trust trust = relay_trust_for(&doctor->settings, relay, o->pin, o->ca_file);
    struct http *http = NULL;
    AUTO(http_response) response = {0};
    uint8_t uuid[UUID_LEN];
    char id[UUID_TEXT_LEN + 1], url[1200], host[300];
    TRY(relay_url_check(relay, host, sizeof host, err));
    TRY(uuid_make(&gage_system_rng, uuid));
    uuid_format(uuid, id);
    size_t n = strlen(relay);
    while (n > 0 && relay[n - 1] == '/')
        n--;
    REQUIRE(n < 1000, err, GAGE_E_LIMIT, "the relay's address is too long");
    snprintf(url, sizeof url, "%.*s/v1/m/%s", (int)n, relay, id);
    TRY(http_start(err));
    TRY(http_open(&(struct http_trust){.pin = trust.pin, .ca_file = trust.ca_file}, NULL, NULL, &http, err));
    gage_rc rc = http_call(http, &(struct http_request){.method = "GET", .url = url}, &response, err);
    http_close(&http);
    TRY(rc);
    *status = response.status;
    const char *date = http_header_of(&response, "date");
    set_text(doctor->date, sizeof doctor->date, "%s", date != NULL ? date : "");
    return GAGE_DONE;
}

static void
explain_relay_failure(struct finding *f, gage_rc rc)
{
    if (rc.code == GAGE_E_AUTH)
        FIX(*f, "ask the relay's operator for its pin (sha256//...) and set it as [relay] pin or --relay-pin");
    else if (rc.code == GAGE_E_UNAVAILABLE)
        FIX(*f, "check the address, the network and that the relay runs (curl -v shows the connection)");
    else
        FIX(*f, "correct the relay's address or its ca file");
}

static void
look_at_relay(struct doctor *doctor)
{
    struct finding f = {.topic = "relay"};
    struct gage_err err = {0};
    const char *relay = doctor->options->relay != NULL ? doctor->options->relay : doctor->settings.relay;
    int status = 0;
    if (relay == NULL) {
        f.verdict = NOTE;
        FOUND(f, "none is set: not looked at");
        tell(doctor, &f);
        return;
    }
    gage_rc rc = ask_relay(doctor, relay, &status, &err);
    f.code = gage_ok(rc) ? GAGE_E_UNAVAILABLE : rc.code;
    f.verdict = gage_ok(rc) && status == 404 ? GOOD : BAD;
    if (!gage_ok(rc)) {
        FOUND(f, "%.200s: %s", relay, err.text);
        explain_relay_failure(&f, rc);
    } else if (status != 404) {
        FOUND(f, "%.200s answers %d where a mailbox relay answers 404", relay, status);
        FIX(f, "%s",
            status >= 500 || status == 429 ? "the relay is overloaded or out of order: tell its operator"
                                           : "check the address: something else listens there");
    } else
        FOUND(f, "%.200s answers", relay);
    tell(doctor, &f);
}

static void
look_at_clock(struct doctor *doctor)
{
    struct finding f = {.topic = "clock", .code = GAGE_E_CONFIG};
    time_t relay = doctor->date[0] != '\0' ? curl_getdate(doctor->date, NULL) : -1;
    int64_t skew = relay < 0 ? 0 : clock_now() - (int64_t)relay;
    char amount[32];
    duration_text(skew < 0 ? -skew : skew, amount);
    if (relay < 0) {
        f.verdict = NOTE;
        FOUND(f, "no relay's clock to compare with");
    } else if (skew > SKEW_WARN_S || skew < -SKEW_WARN_S) {
        f.verdict = skew > SKEW_BAD_S || skew < -SKEW_BAD_S ? BAD : NOTE;
        FOUND(f, "this machine's clock is %s %s the relay's", amount, skew < 0 ? "behind" : "ahead of");
        FIX(f,
            "set the clock (timedatectl set-ntp true): invitations expire by it, and certificates and Kerberos fail");
    } else
        FOUND(f, "agrees with the relay's to %s", amount);
    tell(doctor, &f);
}

/* ---- the proxy ---- */

static void
tell_proxy(void *context, const struct finding *f)
{
    tell(context, f);
}

static void
look_at_proxy(struct doctor *doctor)
{
    const struct doctor_options *o = doctor->options;
    const char *use = getenv("GSS_USE_PROXY");
    const struct doctor_proxy proxy = {o->proxy_config, o->uid, o->program};
    if (o->proxy || o->proxy_config != NULL || o->uid != NULL || o->program != NULL ||
        (use != NULL && strcmp(use, "yes") == 0))
        doctor_proxy(&proxy, tell_proxy, doctor);
}

static gage_rc
run_doctor(const void *options, const struct operands *operands, struct gage_err *err)
{
    struct doctor doctor = {.options = options};
    if (doctor.options->json)
        doctor.json = json_array();
    look_at_mechanism(&doctor);
    look_at_configuration(&doctor);
    look_at_state(&doctor);
    look_at_relay(&doctor);
    look_at_clock(&doctor);
    look_at_proxy(&doctor);
    if (doctor.json != NULL) {
        json_dumpf(doctor.json, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(doctor.json);
    }
    settings_free(&doctor.settings);
    REQUIRE(doctor.first_bad == GAGE_OK, err, doctor.first_bad, "something needs fixing: see what is marked bad");
    return GAGE_DONE;
}

static const struct opt options[] = {
    {"relay", "URL", "look at this relay instead of the configured one", OPT_TEXT,
     offsetof(struct doctor_options, relay)},
    {"relay-pin", "PIN", "the relay's public key, sha256//BASE64", OPT_TEXT, offsetof(struct doctor_options, pin)},
    {"relay-ca", "FILE", "PEM file of the authorities that may vouch for the relay", OPT_TEXT,
     offsetof(struct doctor_options, ca_file)},
    {"config", "FILE", "read this configuration file only", OPT_TEXT, offsetof(struct doctor_options, config)},
    {"proxy", NULL, "look at the proxy too (unasked where GSS_USE_PROXY=yes)", OPT_FLAG,
     offsetof(struct doctor_options, proxy)},
    {"proxy-config", "FILE", "the proxy daemon's configuration file", OPT_TEXT,
     offsetof(struct doctor_options, proxy_config)},
    {"for-uid", "UID", "the proxy's client it is about", OPT_TEXT, offsetof(struct doctor_options, uid)},
    {"for-program", "PATH", "that client's executable", OPT_TEXT, offsetof(struct doctor_options, program)},
    {"json", NULL, "print the findings as JSON", OPT_FLAG, offsetof(struct doctor_options, json)},
    OPT_END,
};

const struct command command_doctor = {
    .name = "doctor",
    .operands = "",
    .summary = "look at mechanism, configuration, state, relay, clock and proxy; say what to fix",
    .explanation = "Looks at everything that a transfer needs, and with --proxy at what a client of gage-proxyd needs, "
                   "and says, of "
                   "what is wrong, what to do. Changes nothing. "
                   "The exit status is that of "
                   "the first thing found bad, 0 where nothing is.",
    .options = options,
    .options_size = sizeof(struct doctor_options),
    .run = run_doctor,
};
