#include "proxyd/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <krb5.h>

#include "proxyd/spec.h"

#define NO_MEMORY(call) status_fail(&(call)->status, GSS_S_FAILURE, ENOMEM, "out of memory")

/* ---- rows ---- */

void
store_free(struct cred_store *store)
{
    for (size_t i = 0; i < store->count; i++) {
        free(store->text[i]);
        free((void *)(uintptr_t)store->rows[i].key);
        users_file_close(&store->file[i]);
    }
    for (size_t i = 0; i < store->keytab_count; i++)
        users_keytab_close(&store->keytab[i]);
    store->count = store->keytab_count = 0;
}

/* The row's number; count where there is none. */
static size_t
find_row(const struct cred_store *store, const char *key)
{
    size_t i = 0;
    while (i < store->count && strcmp(store->rows[i].key, key) != 0)
        i++;
    return i;
}

const char *
store_find(const struct cred_store *store, const char *key)
{
    size_t i = find_row(store, key);
    return i < store->count ? store->text[i] : NULL;
}

bool
store_unreadable(const struct cred_store *store, char *text, size_t size)
{
    for (size_t i = 0; i < store->count; i++) {
        const char *path = strchr(store->text[i], '/');
        if (path != NULL && faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) != 0 && errno == EACCES) {
            snprintf(text, size, "%s:%s", store->rows[i].key, path);
            return true;
        }
    }
    return false;
}

static bool
store_add(struct call *call, struct cred_store *store, const char *key, gage_slice value)
{
    char *k = strdup(key), *v = strndup((const char *)value.p, value.n);
    if (k == NULL || v == NULL || store->count == CONF_STORE_MAX + 2) {
        free(k);
        free(v);
        return NO_MEMORY(call);
    }
    store->text[store->count] = v;
    store->file[store->count] = USERS_FILE_NONE;
    store->rows[store->count++] = (gss_key_value_element_desc){k, v};
    return true;
}

bool
store_set(struct call *call, struct cred_store *store, const char *key, const char *value)
{
    size_t i = find_row(store, key);
    if (i == store->count)
        return store_add(call, store, key, slice_str(value));
    char *v = strdup(value);
    if (v == NULL)
        return NO_MEMORY(call);
    free(store->text[i]);
    users_file_close(&store->file[i]);
    store->text[i] = v;
    store->rows[i].value = v;
    return true;
}

/* ---- patterns ---- */

bool
store_user_name(uid_t uid, char *out, size_t size)
{
    struct passwd entry, *found = NULL;
    char buffer[16384];
    (void)getpwuid_r(uid, &entry, buffer, sizeof buffer, &found);
    if (found == NULL || strlen(found->pw_name) >= size)
        return false;
    memcpy(out, found->pw_name, strlen(found->pw_name) + 1);
    return true;
}

static bool
put_pattern(struct call *call, char pattern, uid_t uid, gage_buf *out)
{
    char text[256];
    if (pattern == '%') {
        put_u8(out, '%');
    } else if (pattern == 'U') {
        snprintf(text, sizeof text, "%u", uid);
        put_bytes(out, slice_str(text));
    } else {
        if (!store_user_name(uid, text, sizeof text))
            return status_fail(&call->status, GSS_S_NO_CRED, ENOENT, "uid %u has no user name for cred_store's %%u",
                               uid);
        if (strchr(text, '/') != NULL)
            return status_fail(&call->status, GSS_S_NO_CRED, EINVAL, "the name of uid %u has a slash", uid);
        put_bytes(out, slice_str(text));
    }
    return true;
}

static bool
expand(struct call *call, const char *value, uid_t uid, gage_buf *out)
{
    for (const char *p = value; *p != '\0'; p++) {
        if (*p != '%')
            put_u8(out, (uint8_t)*p);
        else if (!put_pattern(call, *++p, uid, out))
            return false;
    }
    return !out->bad || NO_MEMORY(call);
}

/* Looks at what lies at the path of a row with a pattern, whose folder its user may be able to write. */
static bool
look_at(struct call *call, const struct store_row *row, const char *expanded, uid_t uid, struct users_file *file)
{
    struct gage_err err;
    const char *pattern = strchr(row->value, '%'), *slash = strchr(expanded, '/');
    *file = USERS_FILE_NONE;
    if (pattern == NULL || slash == NULL)
        return true;
    size_t fixed =
        1; /* up to the last slash that the administrator wrote before the pattern; both texts are the same so far */
    for (const char *p = row->value; p < pattern; p++)
        if (*p == '/')
            fixed = (size_t)(p - row->value) - (size_t)(slash - expanded) + 1;
    bool ccache = strcmp(row->key, "ccache") == 0;
    if (!gage_ok(users_file_open(slash, fixed, uid, ccache, file, &err)))
        return status_fail(&call->status, GSS_S_NO_CRED, EPERM, "%s:%s", row->key, err.text);
    if (file->place == PLACE_OURS || ccache || strcmp(row->key, "keytab") == 0 ||
        strcmp(row->key, "client_keytab") == 0)
        return true;
    users_file_close(file);
    return status_fail(&call->status, GSS_S_NO_CRED, EPERM, "%s:%s lies where users can change it", row->key, slash);
}

/* The service's own keytab serves as client keytab, too. */
static bool
add_client_keytab(struct call *call, struct cred_store *store)
{
    size_t from = find_row(store, "keytab");
    if (from == store->count)
        return true;
    if (!store_set(call, store, "client_keytab", store->text[from]))
        return false;
    struct users_file *to = &store->file[find_row(store, "client_keytab")];
    *to = store->file[from];
    if (to->fd >= 0)
        to->fd = fcntl(to->fd, F_DUPFD_CLOEXEC, 0);
    return to->fd >= 0 || to->place != PLACE_USERS || NO_MEMORY(call);
}

bool
store_expand(struct call *call, const struct cred_spec *spec, struct cred_store *store)
{
    const struct service *s = call->service;
    for (size_t i = 0; i < s->store_count; i++) {
        AUTO(gage_buf) value = GAGE_BUF(4096);
        struct users_file file;
        if (!expand(call, s->store[i].value, spec->uid, &value))
            return false;
        put_u8(&value, 0);
        if (value.bad)
            return NO_MEMORY(call);
        if (!look_at(call, &s->store[i], (const char *)value.p, spec->uid, &file))
            return false;
        if (!store_add(call, store, s->store[i].key, slice_str((const char *)value.p))) {
            users_file_close(&file);
            return false;
        }
        store->file[store->count - 1] = file;
    }
    return !spec->service_keytab || add_client_keytab(call, store);
}

/* ---- in memory ---- */

static bool
copy_failed(struct call *call, const char *key, const char *text, krb5_error_code code)
{
    if (code == E2BIG)
        return status_fail(&call->status, GSS_S_NO_CRED, E2BIG,
                           "%s:%s is larger than is taken from a user (a ticket cache: 16 MiB, 4096 tickets; a keytab: "
                           "1 MiB, 512 keys): make it anew",
                           key, text);
    return code == ETIMEDOUT
               ? status_fail(&call->status, GSS_S_NO_CRED, ETIMEDOUT, "%s:%s is locked by another program", key, text)
               : status_fail(&call->status, GSS_S_NO_CRED, code, "%s:%s cannot be read: it is damaged or empty", key,
                             text);
}

bool
store_keep_apart(struct call *call, const struct cred_spec *spec, struct cred_store *store, char name[64])
{
    size_t row = find_row(store, "ccache");
    bool there = row < store->count;
    name[0] = '\0';
    if (store->count == 0 || spec->usage == GSS_C_ACCEPT || (there && store->file[row].place == PLACE_OURS) ||
        (call->service->mech_kinds & (MECH_KRB5 | MECH_SPNEGO)) == 0)
        return true;
    memory_ccache_name(name, 64);
    krb5_error_code code = there ? users_file_copy_ccache(store->file[row].fd, name) : 0;
    return code == 0 ? store_set(call, store, "ccache", name) : copy_failed(call, "ccache", store->text[row], code);
}

bool
store_settle(struct call *call, struct cred_store *store)
{
    char name[64];
    for (size_t i = 0; i < store->count; i++) {
        if (store->file[i].place == PLACE_OURS)
            continue;
        const char *key = store->rows[i].key;
        if (strcmp(key, "ccache") == 0) /* store_keep_apart was for that; an acceptor has no use for it */
            memory_ccache_name(name, sizeof name);
        else
            memory_keytab_name(name, sizeof name);
        krb5_error_code code = 0;
        if (strcmp(key, "ccache") != 0)
            code = users_file_copy_keytab(store->file[i].fd, name, &store->keytab[store->keytab_count++]);
        if (code != 0)
            return copy_failed(call, key, store->text[i], code);
        if (!store_set(call, store, key, name))
            return false;
    }
    return true;
}

void
memory_ccache_name(char *name, size_t size)
{
    static uint64_t serial;
    snprintf(name, size, "MEMORY:gage-%" PRIu64, __atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED));
}

void
memory_keytab_name(char *name, size_t size)
{
    static uint64_t serial;
    snprintf(name, size, "MEMORY:gage-keys-%" PRIu64, __atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED));
}

void
memory_ccache_destroy(const char *name)
{
    krb5_context context = NULL;
    krb5_ccache ccache = NULL;
    if (krb5_init_context(&context) != 0)
        return;
    if (krb5_cc_resolve(context, name, &ccache) == 0)
        krb5_cc_destroy(context, ccache);
    krb5_free_context(context);
}
