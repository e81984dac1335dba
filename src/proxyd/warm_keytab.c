/* Keytabs in memory, and what tells one state of a file from another. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proxyd/warm_entry.h"

#define SETTLED_SECONDS 2

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

void
put_identity(gage_buf *key, int fd, const char *path, bool grows)
{
    struct statx st;
    memset(&st, 0, sizeof st);
    if (statx(fd >= 0 ? fd : AT_FDCWD, fd >= 0 ? "" : path, fd >= 0 ? AT_EMPTY_PATH : 0,
              STATX_INO | STATX_MTIME | STATX_SIZE | STATX_BTIME, &st) != 0) {
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

static bool
read_copy(struct kept_keytab *k, const char *name)
{
    krb5_keytab file = NULL;
    memory_keytab_name(k->name, sizeof k->name);
    if (krb5_init_context(&k->context) != 0 || krb5_kt_resolve(k->context, name, &file) != 0)
        return false;
    bool good = krb5_kt_resolve(k->context, k->name, &k->copy) == 0 && keytab_copy(k->context, file, k->copy) == 0;
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
        put_identity(&k->identity, -1, k->path, false);
    if (k->path == NULL || !read_copy(k, name) || !keytab_current(k))
        keytab_drop(&k);
    return k;
}

bool
keytab_current(const struct kept_keytab *k)
{
    AUTO(gage_buf) identity = GAGE_BUF(64);
    put_identity(&identity, -1, k->path, false);
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
