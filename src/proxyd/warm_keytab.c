/* Keytabs in memory, and what tells one state of a file from another. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proxyd/warm_entry.h"

#define SETTLED_SECONDS 2
#define ENTRIES_MAX 512 /* a copy is searched one by one, as the file is */

struct kept_keytab {
    krb5_context context;
    krb5_keytab copy; /* it lives as long as somebody has it open */
    char name[64];
    char *path;
    gage_buf identity; /* before it was read */
};

/* The file behind a store value ("/path", "FILE:/path", "file2:/path"), or NULL. */
const char *
store_path(const char *value)
{
    if (value[0] == '/')
        return value;
    const char *colon = strchr(value, ':');
    return colon != NULL && colon[1] == '/' ? colon + 1 : NULL;
}

/* Which file this is, and which state of it. A ticket cache grows as it is used: only its birth counts. */
void
put_identity(gage_buf *key, const char *path, bool grows)
{
    struct statx st;
    memset(&st, 0, sizeof st);
    if (statx(AT_FDCWD, path, 0, STATX_INO | STATX_MTIME | STATX_SIZE | STATX_BTIME, &st) != 0) {
        put_u8(key, 0);
        return;
    }
    put_u8(key, 1);
    put_u64(key, st.stx_ino);
    put_u64(key, ((uint64_t)st.stx_dev_major << 32) | st.stx_dev_minor);
    const struct statx_timestamp *t = grows ? &st.stx_btime : &st.stx_mtime;
    put_u64(key, (uint64_t)t->tv_sec);
    put_u64(key, t->tv_nsec);
    put_u64(key, grows ? 0 : st.stx_size);
}

/* Whether its last change is long enough ago that one more would show in its times. */
static bool
settled(const char *path, int64_t now)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && now - st.st_mtim.tv_sec >= SETTLED_SECONDS &&
           now - st.st_ctim.tv_sec >= SETTLED_SECONDS;
}

static krb5_error_code
copy_entries(krb5_context context, krb5_keytab from, krb5_keytab to)
{
    krb5_kt_cursor cursor;
    krb5_keytab_entry entry;
    krb5_error_code code = krb5_kt_start_seq_get(context, from, &cursor);
    if (code != 0)
        return code;
    int count = 0;
    while (code == 0 && (code = krb5_kt_next_entry(context, from, &entry, &cursor)) == 0) {
        code = ++count <= ENTRIES_MAX ? krb5_kt_add_entry(context, to, &entry) : E2BIG;
        krb5_free_keytab_entry_contents(context, &entry);
    }
    krb5_kt_end_seq_get(context, from, &cursor);
    return code == KRB5_KT_END ? 0 : code;
}

static bool
read_copy(struct kept_keytab *k, const char *name)
{
    static uint64_t serial;
    krb5_keytab file = NULL;
    snprintf(k->name, sizeof k->name, "MEMORY:gage-%" PRIu64, __atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED));
    if (krb5_init_context(&k->context) != 0 || krb5_kt_resolve(k->context, name, &file) != 0)
        return false;
    bool good = krb5_kt_resolve(k->context, k->name, &k->copy) == 0 && copy_entries(k->context, file, k->copy) == 0;
    krb5_kt_close(k->context, file);
    return good;
}

struct kept_keytab *
keytab_keep(const char *name, int64_t now)
{
    const char *path = store_path(name);
    struct kept_keytab *k = path != NULL && settled(path, now) ? calloc(1, sizeof *k) : NULL;
    if (k == NULL)
        return NULL;
    k->identity = GAGE_BUF(64);
    k->path = strdup(path);
    if (k->path != NULL)
        put_identity(&k->identity, k->path, false);
    if (k->path == NULL || !read_copy(k, name) || !keytab_current(k))
        keytab_drop(&k);
    return k;
}

bool
keytab_current(const struct kept_keytab *k)
{
    AUTO(gage_buf) identity = GAGE_BUF(64);
    put_identity(&identity, k->path, false);
    return !identity.bad && slice_equal(gage_buf_slice(&identity), gage_buf_slice(&k->identity));
}

const char *
keytab_name(const struct kept_keytab *k)
{
    return k->name;
}

void
keytab_drop(struct kept_keytab **keytab)
{
    struct kept_keytab *k = *keytab;
    *keytab = NULL;
    if (k == NULL)
        return;
    if (k->copy != NULL)
        krb5_kt_close(k->context, k->copy);
    if (k->context != NULL)
        krb5_free_context(k->context);
    gage_buf_free(&k->identity);
    free(k->path);
    free(k);
}
