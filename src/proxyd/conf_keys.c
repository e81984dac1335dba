/* The table of keys, and what each kind of value means. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gssapi/gssapi_krb5.h>

#include "app/conf.h"
#include "base/clock.h"
#include "base/encode.h"
#include "gage/otc.h"
#include "proxyd/conf.h"
#include "proxyd/mech.h"

#define G(member) offsetof(struct proxyd_settings, member)
#define S(member) offsetof(struct service, member)

/* clang-format off */
const struct key_row conf_rows[] = {
    {true, "debug", KEY_BOOL, G(debug), "no", 0, 0, "Log at debug_level 1."},
    {true, "debug_level", KEY_NUMBER, G(debug_level), "0", 0, 100, "0: failures and notices; 1 and more: each request too; 3 and more: libkrb5's trace. Secrets are printed at no level."},
    {true, "syslog_status", KEY_BOOL, G(syslog_status), "no", 0, 0, "Log the GSS status of every failed call."},
    {true, "run_as_user", KEY_NAME, G(run_as_user), NULL, 0, 0, "Drop privileges to this user once the sockets are open. Not with kernel_nfsd: only root may tell the kernel."},
    {true, "worker threads", KEY_NUMBER, G(worker_threads), "0", 0, 1024, "Threads that serve at once where one is not enough; 0: one for each processor. A call that blocks counts as none of them: another thread takes its place."},
    {true, "max_connections", KEY_INT, G(max_connections), "4096", 1, 1000000, "Connections of all uids together."},
    {true, "max_connections_per_uid", KEY_INT, G(max_connections_per_uid), "1100", 1, 1000000, "Connections of one uid."},
    {true, "max_requests_per_uid", KEY_INT, G(max_requests_per_uid), "1024", 1, 1000000, "Requests of one uid being read, worked on or waiting; past it the uid's connections are not read."},
    {true, "max_bytes_per_uid", KEY_INT, G(max_bytes_per_uid), "67108864", 1048576, INT64_MAX, "Bytes of one uid's requests, begun ones whole, and unread replies; past it the uid's connections are not read."},
    {true, "idle_timeout", KEY_SECONDS, G(idle_timeout), "15m", 0, 31536000, "A connection that is silent for this long, or half a message for as long, at most a minute, is closed; 0: never (half a message: a minute). Root's connections (the kernel's) are kept."},
    {true, "state_dir", KEY_TEXT, G(state_dir), CONF_DEFAULT_STATE_DIR, 0, 0, "Folder of the daemon's own files: the keys that seal handles."},
    {true, "metrics_socket", KEY_TEXT, G(metrics_socket), NULL, 0, 0, "Unix socket that answers with Prometheus metrics."},
    {true, "audit", KEY_TEXT, G(audit), "stderr", 0, 0, "Where one line for each use of a credential goes: stderr, off, or the path of a file or of a pipe that somebody reads."},
    {true, "replay_cache", KEY_TEXT, G(replay_cache), NULL, 0, 0, "Kerberos replay cache of services that name none: file2:PATH, dfl, or none. Default: file2 in /run/gssproxy, or $KRB5RCACHENAME."},
    {true, "pid_file", KEY_TEXT, G(pid_file), "/run/gssproxy.pid", 0, 0, "Holds the daemon's process id when it runs in the background or as a unit of Type=notify. The NFS packages' units look at it."},
    {true, "kernel_registration", KEY_TEXT, G(kernel_registration), "/proc/net/rpc/use-gss-proxy", 0, 0, "The kernel's file that a service with kernel_nfsd is announced in."},
    {true, "sandbox", KEY_BOOL, G(sandbox), "yes", 0, 0, "Give up what serving does not need (capabilities, no_new_privs, seccomp)."},
    {true, "landlock", KEY_BOOL, G(landlock), "yes", 0, 0, "With sandbox, where the kernel has Landlock: close every path that the configuration and the libraries do not need. Paths that a reload adds elsewhere need a restart."},
    {true, "landlock_paths", KEY_TEXT, G(landlock_paths), NULL, 0, 0, "More folders that stay open, absolute, separated by blanks or commas: what a plugin or an NSS module reads or writes outside /etc, /usr, /run and /var/lib."},

    {false, "mechs", KEY_MECHS, S(mechs), NULL, 0, 0, "Mechanisms, separated by commas or spaces: krb5, spnego, otc, or dotted OIDs. Required."},
    {false, "euid", KEY_UID, S(euid), NULL, 0, 0, "The client's uid, number or name. Required."},
    {false, "allow_any_uid", KEY_BOOL, S(allow_any_uid), "no", 0, 0, "Serve every uid."},
    {false, "socket", KEY_TEXT, S(socket), NULL, 0, 0, "The service's socket; default: the daemon's default socket."},
    {false, "program", KEY_TEXT, S(program), NULL, 0, 0, "The client's executable, absolute and canonical."},
    {false, "selinux_context", KEY_TEXT, S(selinux_context), NULL, 0, 0, "The client's SELinux context (deprecated by gssproxy)."},
    {false, "trusted", KEY_BOOL, S(trusted), "no", 0, 0, "A client whose uid is euid may act for other uids."},
    {false, "impersonate", KEY_BOOL, S(impersonate), "no", 0, 0, "Get the user's credential by S4U2Self and S4U2Proxy from the keytab."},
    {false, "allow_protocol_transition", KEY_BOOL, S(allow_protocol_transition), "no", 0, 0, "Allow S4U2Self on a client's request."},
    {false, "allow_constrained_delegation", KEY_BOOL, S(allow_constrained_delegation), "no", 0, 0, "Allow S4U2Proxy to other services."},
    {false, "allow_client_ccache_sync", KEY_BOOL, S(allow_client_ccache_sync), "no", 0, 0, "Send a changed credential back to a client that asks for it."},
    {false, "kernel_nfsd", KEY_BOOL, S(kernel_nfsd), "no", 0, 0, "Serve the kernel's NFS server: register with it and answer in its formats."},
    {false, "linux_credentials", KEY_BOOL, S(linux_credentials), "no", 0, 0, "Answer linux_lucid_v1 and linux_creds_v1 (kernel_nfsd includes it)."},
    {false, "krb5_principal", KEY_NAME, S(krb5_principal), NULL, 0, 0, "The name used where the client asks for none."},
    {false, "cred_store", KEY_STORE, S(store), NULL, 0, 0, "KEY:VALUE for gss_acquire_cred_from; repeated. %U: uid, %u: user name, %%: a percent sign."},
    {false, "cred_usage", KEY_USAGE, S(cred_usage), "both", 0, 0, "initiate, accept or both."},
    {false, "filter_flags", KEY_FLAGS, S(filter_flags), "+DELEGATE", 0, 0, "Request flags taken out of every initiation."},
    {false, "enforce_flags", KEY_FLAGS, S(enforce_flags), NULL, 0, 0, "Request flags put into every initiation."},
    {false, "min_lifetime", KEY_NUMBER, S(min_lifetime), "15", 0, INT32_MAX, "Seconds a credential must still live to be used again."},
    {false, "keep_keys", KEY_BOOL, S(keep_keys), "no", 0, 0, "Keep established contexts in the daemon: clients get a reference and per-message calls go through it."},
    {false, "machine_uid", KEY_MAP, S(machine_uid), NULL, 0, 0, "PRINCIPAL:UID for linux_creds_v1; repeated. Exactly this principal gets this uid, e.g. a machine's root its no_root_squash."},
    {false, "max_connections", KEY_INT, S(max_connections), "2048", 1, 1000000, "Connections of the service."},
    {false, "max_requests", KEY_INT, S(max_requests), "16", 1, 1024, "Requests of one connection being worked on or waiting; past it the connection is not read."},
    {false, "max_queued", KEY_INT, S(max_queued), "4096", 1, 1000000, "Requests of the service waiting for their turn; past it they are answered UNAVAILABLE."},
    {false, "max_blocked", KEY_INT, S(max_blocked), "8", 1, 256, "Calls of the service inside GSS or NSS at once; others wait, and the uids that wait take turns. Where allow_any_uid is set, one uid has at most half of these and of max_queued."},
    {false, "max_contexts", KEY_INT, S(max_contexts), "1024", 1, 1000000, "Contexts kept in the daemon for one uid; the least recently used goes first."},
    {false, "call_deadline", KEY_SECONDS, S(call_deadline), "12s", 1, 3600, "A call that takes longer is answered with an error."},
};
/* clang-format on */
const size_t conf_row_count = sizeof conf_rows / sizeof conf_rows[0];

const struct key_row *
conf_row(bool global, const char *name)
{
    for (size_t i = 0; i < conf_row_count; i++)
        if (conf_rows[i].global == global && strcasecmp(conf_rows[i].name, name) == 0)
            return &conf_rows[i];
    return NULL;
}

static const struct {
    const char *name;
    OM_uint32 flag;
} flags[] = {
    {"DELEGATE", GSS_C_DELEG_FLAG},    {"MUTUAL_AUTH", GSS_C_MUTUAL_FLAG},   {"REPLAY_DETECT", GSS_C_REPLAY_FLAG},
    {"SEQUENCE", GSS_C_SEQUENCE_FLAG}, {"CONFIDENTIALITY", GSS_C_CONF_FLAG}, {"INTEGRITY", GSS_C_INTEG_FLAG},
    {"INTEGRITIY", GSS_C_INTEG_FLAG}, /* as gssproxy spells it */
    {"ANONYMOUS", GSS_C_ANON_FLAG},
};
#define FLAG_COUNT (sizeof flags / sizeof flags[0])

static const char *
nearest_flag(const char *word)
{
    const char *names[FLAG_COUNT];
    for (size_t i = 0; i < FLAG_COUNT; i++)
        names[i] = flags[i].name;
    return nearest_word(word, names, FLAG_COUNT);
}

/* gssproxy leaves out what is no flag: so do we, and say so. */
static void
parse_flag(struct conf *conf, const char *word, const char *key, OM_uint32 *set, const char *where)
{
    OM_uint32 flag = 0;
    if (word[0] != '+' && word[0] != '-') {
        conf_warn(conf, "%s: %s: %s lacks its + or -, and is ignored", where, key, word);
        return;
    }
    for (size_t i = 0; i < FLAG_COUNT; i++)
        if (strcasecmp(flags[i].name, word + 1) == 0)
            flag = flags[i].flag;
    if (flag == 0) {
        char *end;
        unsigned long n = strtoul(word + 1, &end, 0);
        const char *near = nearest_flag(word + 1);
        if (*end != '\0' || n == 0 || n > UINT32_MAX) {
            conf_warn(conf, "%s: %s: there is no flag %s, it is ignored%s%s", where, key, word + 1,
                      near != NULL ? "; did you mean " : "", near != NULL ? near : "");
            return;
        }
        flag = (OM_uint32)n;
    }
    *set = word[0] == '+' ? *set | flag : *set & ~flag;
}

/* Calls `take` for each word of a list separated by commas and blanks. */
static gage_rc
each_word(const char *text, gage_rc (*take)(void *, const char *, struct gage_err *), void *context,
          struct gage_err *err)
{
    for (const char *p = text;;) {
        p += strspn(p, ", \t");
        size_t n = strcspn(p, ", \t");
        char word[160];
        if (n == 0)
            return GAGE_DONE;
        REQUIRE(n < sizeof word, err, GAGE_E_CONFIG, "a word of %zu characters is too long", n);
        memcpy(word, p, n);
        word[n] = '\0';
        TRY(take(context, word, err));
        p += n;
    }
}

struct flag_list {
    struct conf *conf;
    const char *key, *where;
    OM_uint32 *set;
};

static gage_rc
take_flag(void *context, const char *word, struct gage_err *err)
{
    struct flag_list *list = context;
    parse_flag(list->conf, word, list->key, list->set, list->where);
    return GAGE_DONE;
}

struct mech_list {
    struct conf *conf;
    struct service *service;
    const char *where;
};

static gage_rc
take_mech(void *context, const char *word, struct gage_err *err)
{
    struct mech_list *list = context;
    struct service *s = list->service;
    gss_OID_desc oid;
    static const char *const names[] = {"krb5", "spnego", "otc"};
    enum mech_kind kind;
    if (!mech_parse(word, &s->oid_bytes, &oid, &kind)) {
        const char *near = nearest_word(word, names, sizeof names / sizeof names[0]);
        conf_warn(list->conf, "%s: mechs: %s is neither krb5, spnego, otc nor an OID, and is ignored%s%s", list->where,
                  word, near != NULL ? "; did you mean " : "", near != NULL ? near : "");
        return GAGE_DONE;
    }
    REQUIRE(s->mech_count < CONF_MECHS_MAX, err, GAGE_E_CONFIG, "%s: more than %d mechanisms", list->where,
            CONF_MECHS_MAX);
    if (!service_has_mech(s, &oid))
        s->mechs[s->mech_count++] = oid;
    s->mech_kinds |= kind;
    return GAGE_DONE;
}

static gage_rc
set_mechs(struct conf *conf, struct service *s, const char *value, const char *where, struct gage_err *err)
{
    struct mech_list list = {conf, s, where};
    s->mech_count = 0;
    /* The OIDs point into this buffer, so it must never move. */
    gage_buf_free(&s->oid_bytes);
    s->oid_bytes = GAGE_BUF(CONF_MECHS_MAX * 64);
    buf_reserve(&s->oid_bytes, CONF_MECHS_MAX * 64);
    return each_word(value, take_mech, &list, err);
}

static gage_rc
set_store(struct service *s, const char *value, const char *where, struct gage_err *err)
{
    const char *colon = strchr(value, ':');
    REQUIRE(colon != NULL && colon > value, err, GAGE_E_CONFIG,
            "%s: cred_store is KEY:VALUE, e.g. keytab:/etc/krb5.keytab", where);
    REQUIRE(s->store_count < CONF_STORE_MAX, err, GAGE_E_CONFIG, "%s: more than %d rows of cred_store", where,
            CONF_STORE_MAX);
    for (const char *p = value; (p = strchr(p, '%')) != NULL; p += 2)
        REQUIRE(p[1] == 'U' || p[1] == 'u' || p[1] == '%', err, GAGE_E_CONFIG,
                "%s: cred_store: %%%c is not a pattern (%%U, %%u, %%%%)", where, p[1] != '\0' ? p[1] : ' ');
    struct store_row *row = &s->store[s->store_count++];
    row->key = strndup(value, (size_t)(colon - value));
    row->value = strdup(colon + 1);
    REQUIRE(row->key != NULL && row->value != NULL, err, GAGE_E_NOMEM, "out of memory");
    return GAGE_DONE;
}

static gage_rc
parse_uid(const char *value, const char *key, uid_t *uid, const char *where, struct gage_err *err)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(value, &end, 10);
    if (end != value && *end == '\0' && errno == 0 && value[0] != '-') {
        REQUIRE(n < UINT32_MAX, err, GAGE_E_CONFIG, "%s: %s: %s is not a uid", where, key, value);
        *uid = (uid_t)n;
        return GAGE_DONE;
    }
    struct passwd entry, *found = NULL;
    char buffer[16384];
    (void)getpwnam_r(value, &entry, buffer, sizeof buffer, &found);
    REQUIRE(found != NULL, err, GAGE_E_CONFIG, "%s: %s: there is no user %s", where, key, value);
    *uid = found->pw_uid;
    return GAGE_DONE;
}

static gage_rc
set_map(struct service *s, const char *value, const char *where, struct gage_err *err)
{
    const char *colon = strrchr(value, ':');
    REQUIRE(colon != NULL && colon > value, err, GAGE_E_CONFIG,
            "%s: machine_uid is PRINCIPAL:UID, e.g. host/client.example.com@EXAMPLE.COM:0", where);
    REQUIRE(s->machine_uid_count < CONF_MAP_MAX, err, GAGE_E_CONFIG, "%s: more than %d rows of machine_uid", where,
            CONF_MAP_MAX);
    struct uid_row *row = &s->machine_uid[s->machine_uid_count];
    TRY(parse_uid(colon + 1, "machine_uid", &row->uid, where, err));
    row->principal = strndup(value, (size_t)(colon - value));
    REQUIRE(row->principal != NULL, err, GAGE_E_NOMEM, "out of memory");
    s->machine_uid_count++;
    return GAGE_DONE;
}

static gage_rc
set_number(const struct key_row *row, int64_t *to, const char *value, const char *where, struct gage_err *err)
{
    int64_t n = 0;
    bool good;
    if (row->kind == KEY_SECONDS) {
        good = gage_ok(duration_parse(value, &n));
    } else {
        char *end;
        errno = 0;
        n = strtoll(value, &end, 10);
        good = end != value && *end == '\0' && errno == 0;
    }
    REQUIRE(good && n >= row->min && n <= row->max, err, GAGE_E_CONFIG,
            "%s: %s = %s is not a number from %" PRId64 " to %" PRId64, where, row->name, value, row->min, row->max);
    *to = n;
    return GAGE_DONE;
}

/* What stands behind a number is left out, one too large becomes the largest, one too small the default. */
static gage_rc
set_old_number(struct conf *conf, const struct key_row *row, int64_t *to, const char *value, const char *where,
               struct gage_err *err)
{
    char *end;
    long long n = strtoll(value, &end, 10);
    REQUIRE(end != value, err, GAGE_E_CONFIG, "%s: %s = %s is not a number from %" PRId64 " to %" PRId64, where,
            row->name, value, row->min, row->max);
    if (n > row->max)
        *to = row->max;
    else if (n >= row->min)
        *to = n;
    if (*end != '\0' || n < row->min || n > row->max)
        conf_warn(conf, "%s: %s = %s is not a number from %" PRId64 " to %" PRId64 ", %" PRId64 " is taken", where,
                  row->name, value, row->min, row->max, *to);
    return GAGE_DONE;
}

static gage_rc
set_usage(gss_cred_usage_t *to, const char *value, const char *where, struct gage_err *err)
{
    static const char *const names[] = {"both", "initiate", "accept"}; /* GSS_C_BOTH, GSS_C_INITIATE, GSS_C_ACCEPT */
    for (int i = 0; i < 3; i++) {
        if (strcasecmp(value, names[i]) == 0) {
            *to = i;
            return GAGE_DONE;
        }
    }
    const char *near = nearest_word(value, names, 3);
    return gage_fail(err, GAGE_E_CONFIG, "%s: cred_usage = %s is not initiate, accept or both%s%s", where, value,
                     near != NULL ? "; did you mean " : "", near != NULL ? near : "");
}

static bool
is_true(const char *value)
{
    return strcasecmp(value, "1") == 0 || strcasecmp(value, "true") == 0 || strcasecmp(value, "yes") == 0 ||
           strcasecmp(value, "on") == 0;
}

/* What is neither word means no, as gssproxy has it; said, because a slip would silently switch something off. */
static void
warn_of_word(struct conf *conf, const char *key, const char *value, const char *where)
{
    static const char *const no[] = {"0", "false", "no", "off"};
    static const char *const words[] = {"yes", "no", "true", "false", "on", "off"};
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        if (strcasecmp(value, no[i]) == 0)
            return;
    const char *near = nearest_word(value, words, sizeof words / sizeof words[0]);
    conf_warn(conf, "%s: %s = %s is neither yes nor no, and means no%s%s", where, key, value,
              near != NULL ? "; did you mean " : "", near != NULL ? near : "");
}

gage_rc
conf_row_set(struct conf *conf, const struct key_row *row, void *target, const char *value, const char *where,
             struct gage_err *err)
{
    void *member = (char *)target + row->offset;
    struct flag_list list = {conf, row->name, where, member};
    switch (row->kind) {
    case KEY_NAME:
    case KEY_TEXT:
        free(*(char **)member);
        *(char **)member = NULL;
        if (row->kind == KEY_NAME && value[0] == '\0')
            return GAGE_DONE;
        *(char **)member = strdup(value);
        REQUIRE(*(char **)member != NULL, err, GAGE_E_NOMEM, "out of memory");
        return GAGE_DONE;
    case KEY_BOOL:
        *(bool *)member = is_true(value);
        if (!*(bool *)member)
            warn_of_word(conf, row->name, value, where);
        return GAGE_DONE;
    case KEY_NUMBER:
        return set_old_number(conf, row, member, value, where, err);
    case KEY_INT:
    case KEY_SECONDS:
        return set_number(row, member, value, where, err);
    case KEY_UID:
        return parse_uid(value, row->name, member, where, err);
    case KEY_USAGE:
        return set_usage(member, value, where, err);
    case KEY_FLAGS:
        return each_word(value, take_flag, &list, err);
    case KEY_MECHS:
        return set_mechs(conf, target, value, where, err);
    case KEY_STORE:
        return set_store(target, value, where, err);
    case KEY_MAP:
        return set_map(target, value, where, err);
    }
    return gage_rc_of(GAGE_E_INTERNAL);
}

static void
show_flags(OM_uint32 set, gage_buf *out)
{
    char word[40];
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        if ((set & flags[i].flag) == 0)
            continue;
        snprintf(word, sizeof word, "+%s ", flags[i].name);
        put_bytes(out, slice_str(word));
        set &= ~flags[i].flag;
    }
    if (set != 0) {
        snprintf(word, sizeof word, "+0x%x ", set);
        put_bytes(out, slice_str(word));
    }
}

void
conf_row_show(const struct key_row *row, const void *target, gage_buf *out)
{
    static const char *const usages[] = {"both", "initiate", "accept"};
    const void *member = (const char *)target + row->offset;
    char number[32];
    switch (row->kind) {
    case KEY_NAME:
    case KEY_TEXT:
        if (*(char *const *)member != NULL)
            put_printable(out, slice_str(*(char *const *)member));
        return;
    case KEY_BOOL:
        put_bytes(out, slice_str(*(const bool *)member ? "yes" : "no"));
        return;
    case KEY_INT:
    case KEY_NUMBER:
    case KEY_SECONDS:
        snprintf(number, sizeof number, "%" PRId64, *(const int64_t *)member);
        put_bytes(out, slice_str(number));
        return;
    case KEY_UID:
        snprintf(number, sizeof number, "%u", *(const uid_t *)member);
        put_bytes(out, slice_str(number));
        return;
    case KEY_USAGE:
        put_bytes(out, slice_str(usages[*(const gss_cred_usage_t *)member]));
        return;
    case KEY_FLAGS:
        show_flags(*(const OM_uint32 *)member, out);
        return;
    case KEY_MECHS:
    case KEY_STORE:
    case KEY_MAP:
        return; /* never a default: shown as they stood */
    }
}

static void
free_rows(const struct key_row *row, struct service *s)
{
    if (row->kind == KEY_STORE) {
        for (size_t i = 0; i < s->store_count; i++) {
            free(s->store[i].key);
            free(s->store[i].value);
        }
        s->store_count = 0;
    } else if (row->kind == KEY_MAP) {
        for (size_t i = 0; i < s->machine_uid_count; i++)
            free(s->machine_uid[i].principal);
        s->machine_uid_count = 0;
    } else if (row->kind == KEY_MECHS) {
        gage_buf_free(&s->oid_bytes);
    }
}

void
conf_row_free(const struct key_row *row, void *target)
{
    if (row->kind == KEY_TEXT || row->kind == KEY_NAME) {
        char **text = (char **)((char *)target + row->offset);
        free(*text);
        *text = NULL;
    } else if (!row->global) {
        free_rows(row, target);
    }
}
