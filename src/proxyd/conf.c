#include "proxyd/conf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/conf.h"
#include "base/encode.h"
#include "proxyd/mech.h"
#include "proxyd/selinux.h"

#define ENTRIES_MAX 65536
#define SERVICE_PREFIX "service/"

void
conf_warn(struct conf *conf, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    char **grown = realloc(conf->warnings, (conf->warning_count + 1) * sizeof *grown);
    if (grown == NULL)
        return;
    conf->warnings = grown;
    grown[conf->warning_count] = strdup(text);
    if (grown[conf->warning_count] != NULL)
        conf->warning_count++;
}

gage_rc
conf_add_entry(struct conf *conf, const char *section, const char *key, const char *value, const char *where,
               struct gage_err *err)
{
    REQUIRE(conf->entry_count < ENTRIES_MAX, err, GAGE_E_LIMIT, "%s: more than %d settings", where, ENTRIES_MAX);
    struct conf_entry *grown = realloc(conf->entries, (conf->entry_count + 1) * sizeof *grown);
    REQUIRE(grown != NULL, err, GAGE_E_NOMEM, "out of memory");
    conf->entries = grown;
    struct conf_entry *e = &grown[conf->entry_count];
    *e = (struct conf_entry){strdup(section), strdup(key), strdup(value), strdup(where)};
    conf->entry_count++;
    REQUIRE(e->section != NULL && e->key != NULL && e->value != NULL && e->where != NULL, err, GAGE_E_NOMEM,
            "out of memory");
    return GAGE_DONE;
}

/* ---- values ---- */

static void *
target_of(const struct key_row *row, struct conf *conf, struct service *service)
{
    return row->global ? (void *)&conf->settings : (void *)service;
}

static gage_rc
set_defaults(struct conf *conf, struct service *service, struct gage_err *err)
{
    for (size_t i = 0; i < conf_row_count; i++) {
        const struct key_row *row = &conf_rows[i];
        if (row->global == (service == NULL) && row->fallback != NULL)
            TRY(conf_row_set(conf, row, target_of(row, conf, service), row->fallback, "default", err));
    }
    return GAGE_DONE;
}

static bool
repeats(const struct key_row *row)
{
    return row->kind == KEY_STORE || row->kind == KEY_MAP;
}

/* The key's first entry of the section; later ones count only for keys that repeat. */
static const struct conf_entry *
first_entry(const struct conf *conf, const char *section, const char *key)
{
    for (size_t i = 0; i < conf->entry_count; i++)
        if (strcasecmp(conf->entries[i].section, section) == 0 && strcasecmp(conf->entries[i].key, key) == 0)
            return &conf->entries[i];
    return NULL;
}

static gage_rc
unknown_key(struct conf *conf, const struct conf_entry *e, bool global, struct gage_err *err)
{
    static const char *const old[] = {"krb5_keytab", "krb5_ccache", "krb5_client_keytab"};
    for (size_t i = 0; !global && i < sizeof old / sizeof old[0]; i++)
        REQUIRE(strcasecmp(e->key, old[i]) != 0, err, GAGE_E_CONFIG,
                "%s: %s is no longer a key: write cred_store = %s:...", e->where, e->key, old[i] + strlen("krb5_"));
    const char *names[64];
    size_t count = 0;
    for (size_t i = 0; i < conf_row_count && count < 64; i++)
        if (conf_rows[i].global == global)
            names[count++] = conf_rows[i].name;
    const char *near = nearest_word(e->key, names, count);
    conf_warn(conf, "%s: there is no key %s in [%s], it is ignored%s%s", e->where, e->key, e->section,
              near != NULL ? "; did you mean " : "", near != NULL ? near : "");
    return GAGE_DONE;
}

static gage_rc
apply_section(struct conf *conf, const char *section, struct service *service, struct gage_err *err)
{
    bool global = service == NULL;
    TRY(set_defaults(conf, service, err));
    for (size_t i = 0; i < conf->entry_count; i++) {
        const struct conf_entry *e = &conf->entries[i];
        if (strcasecmp(e->section, section) != 0)
            continue;
        const struct key_row *row = conf_row(global, e->key);
        if (row == NULL)
            TRY(unknown_key(conf, e, global, err));
        else if (repeats(row) || first_entry(conf, section, e->key) == e)
            TRY(conf_row_set(conf, row, target_of(row, conf, service), e->value, e->where, err));
    }
    return GAGE_DONE;
}

/* ---- services ---- */

static const char *
where_of(const struct conf *conf, const char *section, const char *key)
{
    const struct conf_entry *e = key != NULL ? first_entry(conf, section, key) : NULL;
    for (size_t i = 0; e == NULL && i < conf->entry_count; i++)
        if (strcasecmp(conf->entries[i].section, section) == 0)
            e = &conf->entries[i];
    return e != NULL ? e->where : "?";
}

static void
put_text(gage_buf *buf, const char *text)
{
    put_vec32(buf, text != NULL ? slice_str(text) : SLICE_NONE);
}

/* What decides who may do what with which credential; a sealed handle dies when it changes. */
static gage_rc
hash_policy(struct service *s)
{
    AUTO(gage_buf) all = GAGE_BUF(65536);
    put_text(&all, s->name);
    put_u32(&all, s->euid);
    const bool switches[] = {s->allow_any_uid, s->trusted, s->impersonate, s->allow_protocol_transition,
                             s->allow_constrained_delegation};
    for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++)
        put_u8(&all, switches[i]);
    put_text(&all, s->program);
    put_text(&all, s->selinux_context);
    put_text(&all, s->krb5_principal);
    put_u32(&all, (uint32_t)s->cred_usage);
    for (size_t i = 0; i < s->mech_count; i++)
        put_vec32(&all, oid_slice(&s->mechs[i]));
    s->user_bound = s->allow_any_uid || s->trusted || s->impersonate;
    for (size_t i = 0; i < s->store_count; i++) {
        put_text(&all, s->store[i].key);
        put_text(&all, s->store[i].value);
        s->user_bound =
            s->user_bound || strstr(s->store[i].value, "%U") != NULL || strstr(s->store[i].value, "%u") != NULL;
    }
    TRY(buf_check(&all, NULL));
    return sha256_of(gage_buf_slice(&all), s->policy);
}

static gage_rc
check_service(const struct conf *conf, const char *section, const struct service *s, struct gage_err *err)
{
    const char *where = where_of(conf, section, NULL);
    REQUIRE(first_entry(conf, section, "euid") != NULL, err, GAGE_E_CONFIG, "%s: [%s] has no euid", where, section);
    REQUIRE(first_entry(conf, section, "mechs") != NULL, err, GAGE_E_CONFIG, "%s: [%s] has no mechs", where, section);
    if (s->program != NULL) {
        const char *at = where_of(conf, section, "program");
        REQUIRE(s->program[0] == '/', err, GAGE_E_CONFIG, "%s: program = %s is not an absolute path", at, s->program);
        REQUIRE(strchr(s->program, '|') == NULL, err, GAGE_E_CONFIG, "%s: program: the character | is reserved", at);
    }
    if (s->selinux_context != NULL)
        REQUIRE(selinux_good(s->selinux_context), err, GAGE_E_CONFIG,
                "%s: selinux_context = %s is not USER:ROLE:TYPE or USER:ROLE:TYPE:RANGE",
                where_of(conf, section, "selinux_context"), s->selinux_context);
    if (s->socket != NULL)
        REQUIRE(s->socket[0] == '/' && strlen(s->socket) < 108, err, GAGE_E_CONFIG,
                "%s: socket = %s is not an absolute path below 108 bytes", where_of(conf, section, "socket"),
                s->socket);
    return GAGE_DONE;
}

static gage_rc
add_service(struct conf *conf, const char *section, struct gage_err *err)
{
    struct service *grown = realloc(conf->services, (conf->service_count + 1) * sizeof *grown);
    REQUIRE(grown != NULL, err, GAGE_E_NOMEM, "out of memory");
    conf->services = grown;
    struct service *s = &grown[conf->service_count];
    memset(s, 0, sizeof *s);
    s->index = (unsigned)conf->service_count++;
    s->name = strdup(section + strlen(SERVICE_PREFIX));
    REQUIRE(s->name != NULL, err, GAGE_E_NOMEM, "out of memory");
    TRY(apply_section(conf, section, s, err));
    TRY(check_service(conf, section, s, err));
    s->linux_credentials = s->linux_credentials || s->kernel_nfsd;
    return hash_policy(s);
}

static void
free_service(struct service *s)
{
    for (size_t i = 0; i < conf_row_count; i++)
        if (!conf_rows[i].global)
            conf_row_free(&conf_rows[i], s);
    free(s->name);
}

/* A service none of whose mechanisms we know is left out, as gssproxy does. */
static void
drop_empty_services(struct conf *conf)
{
    size_t kept = 0;
    for (size_t i = 0; i < conf->service_count; i++) {
        struct service *s = &conf->services[i];
        if (s->mech_count == 0) {
            conf_warn(conf, "[%s%s] is ignored: it names no mechanism we know", SERVICE_PREFIX, s->name);
            free_service(s);
            continue;
        }
        s->index = (unsigned)kept;
        conf->services[kept++] = *s;
    }
    conf->service_count = kept;
}

static bool
same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
same_selinux(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : selinux_equal(a, b);
}

const char *
service_socket(const struct conf *conf, const struct service *service)
{
    return service->socket != NULL ? service->socket : conf->default_socket;
}

static const char *
service_place(const struct conf *conf, const struct service *service)
{
    char section[512];
    snprintf(section, sizeof section, "%s%s", SERVICE_PREFIX, service->name);
    return where_of(conf, section, NULL);
}

/* Two services that the same client would match: only the first could ever serve. */
static gage_rc
check_overlap(const struct conf *conf, struct gage_err *err)
{
    for (size_t i = 0; i < conf->service_count; i++) {
        for (size_t j = 0; j < i; j++) {
            const struct service *a = &conf->services[j], *b = &conf->services[i];
            if (!same_text(service_socket(conf, a), service_socket(conf, b)) || !same_text(a->program, b->program) ||
                !same_selinux(a->selinux_context, b->selinux_context))
                continue;
            REQUIRE(!a->allow_any_uid && a->euid != b->euid, err, GAGE_E_CONFIG,
                    "%s: [service/%s] hides [service/%s]: same socket, program and uid; give one of them a socket of "
                    "its own",
                    service_place(conf, b), a->name, b->name);
        }
    }
    return GAGE_DONE;
}

static gage_rc
apply_all(struct conf *conf, struct gage_err *err)
{
    TRY(apply_section(conf, "gssproxy", NULL, err));
    for (size_t i = 0; i < conf->entry_count; i++) {
        const char *section = conf->entries[i].section;
        bool first = first_entry(conf, section, conf->entries[i].key) == &conf->entries[i];
        for (size_t j = 0; first && j < i; j++)
            first = strcasecmp(conf->entries[j].section, section) != 0;
        if (!first)
            continue;
        if (strncasecmp(section, SERVICE_PREFIX, strlen(SERVICE_PREFIX)) == 0)
            TRY(add_service(conf, section, err));
        else if (strcasecmp(section, "gssproxy") != 0)
            conf_warn(conf, "%s: there is no section [%s], it is ignored; services are [service/NAME]",
                      conf->entries[i].where, section);
    }
    drop_empty_services(conf);
    REQUIRE(conf->service_count > 0, err, GAGE_E_CONFIG, "no service is configured: nothing to serve");
    return check_overlap(conf, err);
}

/* User mode: what gssproxy makes up for it. */
static gage_rc
user_mode_entries(struct conf *conf, struct gage_err *err)
{
    char uid[16];
    snprintf(uid, sizeof uid, "%u", geteuid());
    const char *rows[][2] = {{"mechs", "krb5"}, {"euid", uid}, {"filter_flags", "-DELEGATE"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        TRY(conf_add_entry(conf, "service/user-proxy", rows[i][0], rows[i][1], "user mode", err));
    return GAGE_DONE;
}

gage_rc
conf_read(const struct conf_source *source, struct conf **out, struct gage_err *err)
{
    struct conf *conf = calloc(1, sizeof *conf);
    REQUIRE(conf != NULL, err, GAGE_E_NOMEM, "out of memory");
    conf->refs = 1;
    conf->default_socket = strdup(source->socket != NULL ? source->socket : CONF_DEFAULT_SOCKET);
    gage_rc rc = conf->default_socket == NULL ? gage_fail(err, GAGE_E_NOMEM, "out of memory")
                 : source->user_mode          ? user_mode_entries(conf, err)
                                              : conf_read_files(source, conf, err);
    if (gage_ok(rc))
        rc = apply_all(conf, err);
    if (!gage_ok(rc)) {
        conf_unref(&conf);
        return rc;
    }
    *out = conf;
    return GAGE_DONE;
}

struct conf *
conf_ref(struct conf *conf)
{
    __atomic_add_fetch(&conf->refs, 1, __ATOMIC_RELAXED);
    return conf;
}

void
conf_unref(struct conf **pointer)
{
    struct conf *conf = *pointer;
    *pointer = NULL;
    if (conf == NULL || __atomic_sub_fetch(&conf->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (size_t i = 0; i < conf->service_count; i++)
        free_service(&conf->services[i]);
    for (size_t i = 0; i < conf_row_count; i++)
        if (conf_rows[i].global)
            conf_row_free(&conf_rows[i], &conf->settings);
    for (size_t i = 0; i < conf->entry_count; i++) {
        struct conf_entry *e = &conf->entries[i];
        free(e->section);
        free(e->key);
        free(e->value);
        free(e->where);
    }
    for (size_t i = 0; i < conf->warning_count; i++)
        free(conf->warnings[i]);
    free(conf->services);
    free(conf->entries);
    free(conf->warnings);
    free(conf->default_socket);
    free(conf);
}

bool
service_has_mech(const struct service *service, gss_const_OID mech)
{
    for (size_t i = 0; i < service->mech_count; i++)
        if (mech_equal(&service->mechs[i], mech))
            return true;
    return false;
}

gage_rc
conf_take_origin(struct conf *conf, const char *key, const char *where, struct gage_err *err)
{
    for (size_t i = 0; i < conf->entry_count; i++) {
        struct conf_entry *e = &conf->entries[i];
        if (strcasecmp(e->section, "gssproxy") != 0 || strcasecmp(e->key, key) != 0)
            continue;
        char *copy = strdup(where);
        REQUIRE(copy != NULL, err, GAGE_E_NOMEM, "out of memory");
        free(e->where);
        e->where = copy;
        return GAGE_DONE;
    }
    return conf_add_entry(conf, "gssproxy", key, "", where, err);
}

/* ---- showing ---- */

static void
put_line(gage_buf *out, const char *key, gage_slice value, const char *where)
{
    size_t start = out->n;
    put_bytes(out, SLICE_LITERAL("  "));
    put_bytes(out, slice_str(key));
    put_bytes(out, SLICE_LITERAL(" = "));
    put_printable(out, value);
    while (!out->bad && out->n - start < 56)
        put_u8(out, ' ');
    put_bytes(out, SLICE_LITERAL("  # "));
    put_bytes(out, slice_str(where));
    put_u8(out, '\n');
}

/* A value of a file: as it is in force where that is one thing (a number out of its range, a user's name), else as it stood. */
static void
put_entry(gage_buf *out, const struct key_row *row, const struct conf_entry *entry, const void *target)
{
    AUTO(gage_buf) value = GAGE_BUF(4096);
    if (!repeats(row))
        conf_row_show(row, target, &value);
    put_line(out, row->name, value.n > 0 ? gage_buf_slice(&value) : slice_str(entry->value), entry->where);
}

static void
show_section(const struct conf *conf, const char *section, const struct service *service, gage_buf *out)
{
    const void *target = service != NULL ? (const void *)service : (const void *)&conf->settings;
    put_u8(out, '[');
    put_printable(out, slice_str(section));
    put_bytes(out, SLICE_LITERAL("]\n"));
    for (size_t i = 0; i < conf_row_count; i++) {
        const struct key_row *row = &conf_rows[i];
        if (row->global != (service == NULL))
            continue;
        bool set = false;
        for (size_t j = 0; j < conf->entry_count; j++) {
            const struct conf_entry *e = &conf->entries[j];
            if (strcasecmp(e->section, section) != 0 || strcasecmp(e->key, row->name) != 0 || (set && !repeats(row)))
                continue;
            put_entry(out, row, e, target);
            set = true;
        }
        AUTO(gage_buf) value = GAGE_BUF(4096);
        if (!set)
            conf_row_show(row, target, &value);
        if (value.n > 0)
            put_line(out, row->name, gage_buf_slice(&value), "default");
    }
}

void
conf_show(const struct conf *conf, gage_buf *out)
{
    show_section(conf, "gssproxy", NULL, out);
    for (size_t i = 0; i < conf->service_count; i++) {
        char section[512];
        snprintf(section, sizeof section, "%s%s", SERVICE_PREFIX, conf->services[i].name);
        put_u8(out, '\n');
        show_section(conf, section, &conf->services[i], out);
        if (conf->services[i].socket == NULL)
            put_line(out, "# socket", slice_str(conf->default_socket), "the daemon's default socket");
    }
}
