#include "interposer/cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <krb5.h>

#include "base/secret.h"
#include "rpc/record.h"
#include "rpc/value.h"

#define KEPT_AS "Encrypted/Credentials/v1@X-GSSPROXY:"
#define KEPT_REALM "X-GSSPROXY:"
#define CONFIG_REALM "X-CACHECONF:"
#define ASKED_MAX 256

/* One Kerberos context for the process: making one reads the configuration. Under the lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static krb5_context krb;

/* A file cache that was seen to keep nothing of ours, so that it is not read again while it stays as it is. */
static struct {
    char path[ASKED_MAX];
    struct stat seen;
} bare;

void
cache_before_fork(void)
{
    pthread_mutex_lock(&lock);
}

void
cache_after_fork(void)
{
    pthread_mutex_unlock(&lock);
}

const char *
cache_of_store(gss_const_key_value_set_t store)
{
    for (OM_uint32 i = 0; store != GSS_C_NO_CRED_STORE && i < store->count; i++)
        if (strcmp(store->elements[i].key, "ccache") == 0)
            return store->elements[i].value;
    return NULL;
}

/* ---- which cache ---- */

/* The name, by the environment of now where it is the default one. NULL where Kerberos has none. */
static const char *
name_of_cache(const char *name)
{
    if (krb == NULL && krb5_init_context(&krb) != 0) {
        krb = NULL;
        return NULL;
    }
    if (name == NULL && krb5_cc_set_default_name(krb, NULL) != 0)
        return NULL;
    return name != NULL ? name : krb5_cc_default_name(krb);
}

static const char *
path_of(const char *name)
{
    return strncmp(name, "FILE:", 5) == 0 ? name + 5 : name[0] == '/' ? name : NULL;
}

static bool
same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Whether the cache is known to keep nothing; *now is what it looks like. */
static bool
known_bare(const char *path, struct stat *now)
{
    if (stat(path, now) != 0)
        return true;
    return strcmp(bare.path, path) == 0 && same_file(&bare.seen, now);
}

static void
remember_bare(const char *path, const struct stat *now)
{
    if (path == NULL || strlen(path) >= sizeof bare.path)
        return;
    snprintf(bare.path, sizeof bare.path, "%s", path);
    bare.seen = *now;
}

/* ---- reading ---- */

/* By the principal that the cache is of: only that finds the entry. */
static bool
retrieve(krb5_ccache cache, krb5_creds *found)
{
    krb5_creds want = {0};
    bool good = krb5_cc_get_principal(krb, cache, &want.client) == 0 && want.client != NULL &&
                krb5_parse_name(krb, KEPT_AS, &want.server) == 0 &&
                krb5_cc_retrieve_cred(krb, cache, 0, &want, found) == 0;
    krb5_free_cred_contents(krb, &want);
    return good;
}

static bool
read_kept(const char *name, gssx_cred *kept)
{
    krb5_ccache cache;
    krb5_creds found = {0};
    if (krb5_cc_resolve(krb, name, &cache) != 0)
        return false;
    bool there = retrieve(cache, &found);
    krb5_cc_close(krb, cache);
    if (!there)
        return false;
    bool good = gage_ok(gssx_decode(GSSX_XDR(gssx_cred), gage_slice_of(found.ticket.data, found.ticket.length), kept));
    krb5_free_cred_contents(krb, &found);
    if (!good) {
        xdr_free(GSSX_XDR(gssx_cred), kept);
        memset(kept, 0, sizeof *kept);
    }
    return good;
}

bool
cache_find(const char *asked, gssx_cred *kept)
{
    struct stat now;
    bool found = false;
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before); /* reading files under the lock */
    pthread_mutex_lock(&lock);
    const char *name = name_of_cache(asked);
    const char *path = name != NULL ? path_of(name) : NULL;
    if (name != NULL && (path == NULL || !known_bare(path, &now))) {
        found = read_kept(name, kept);
        if (!found)
            remember_bare(path, &now);
    }
    pthread_mutex_unlock(&lock);
    pthread_setcancelstate(before, &before);
    return found;
}

/* ---- keeping ---- */

static bool
realm_is(krb5_const_principal principal, const char *realm)
{
    return slice_equal(gage_slice_of(principal->realm.data, principal->realm.length), slice_str(realm));
}

static bool
is_empty_file(krb5_ccache cache)
{
    struct stat now;
    return strcmp(krb5_cc_get_type(krb, cache), "FILE") == 0 && stat(krb5_cc_get_name(krb, cache), &now) == 0 &&
           S_ISREG(now.st_mode) && now.st_size == 0;
}

/* What is in the cache: the most precious. One that cannot be read counts as if it held tickets. */
enum holding { HOLDS_NOTHING, HOLDS_OURS, HOLDS_TICKETS };

static enum holding
holding_of_entry(const krb5_creds *entry)
{
    if (realm_is(entry->server, KEPT_REALM))
        return HOLDS_OURS;
    return realm_is(entry->server, CONFIG_REALM) ? HOLDS_NOTHING : HOLDS_TICKETS;
}

static enum holding
holding_of(krb5_ccache cache)
{
    krb5_cc_cursor cursor;
    krb5_creds entry;
    krb5_principal owner = NULL;
    if (is_empty_file(cache))
        return HOLDS_NOTHING;
    krb5_error_code failed = krb5_cc_get_principal(krb, cache, &owner);
    if (failed == KRB5_FCC_NOFILE || failed == KRB5_CC_NOTFOUND || failed == ENOENT)
        return HOLDS_NOTHING;
    if (failed != 0 || owner == NULL)
        return failed != 0 ? HOLDS_TICKETS : HOLDS_NOTHING;
    krb5_free_principal(krb, owner);
    if (krb5_cc_start_seq_get(krb, cache, &cursor) != 0)
        return HOLDS_TICKETS;
    enum holding most = HOLDS_NOTHING;
    while (most < HOLDS_TICKETS && (failed = krb5_cc_next_cred(krb, cache, &cursor, &entry)) == 0) {
        enum holding one = holding_of_entry(&entry);
        most = one > most ? one : most;
        krb5_free_cred_contents(krb, &entry);
    }
    krb5_cc_end_seq_get(krb, cache, &cursor);
    return failed != 0 && failed != KRB5_CC_END ? HOLDS_TICKETS : most;
}

bool
cache_keeps_only(const char *asked)
{
    struct stat now;
    krb5_ccache cache;
    bool only = false;
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    pthread_mutex_lock(&lock);
    const char *name = name_of_cache(asked);
    const char *path = name != NULL ? path_of(name) : NULL;
    if (name != NULL && (path == NULL || !known_bare(path, &now)) && krb5_cc_resolve(krb, name, &cache) == 0) {
        only = holding_of(cache) == HOLDS_OURS;
        krb5_cc_close(krb, cache);
    }
    pthread_mutex_unlock(&lock);
    pthread_setcancelstate(before, &before);
    return only;
}

static krb5_error_code
write_entry(krb5_ccache cache, krb5_principal owner, gage_slice bytes)
{
    krb5_creds entry = {.client = owner, .ticket = {.length = (unsigned)bytes.n, .data = (char *)(uintptr_t)bytes.p}};
    krb5_error_code failed = krb5_parse_name(krb, KEPT_AS, &entry.server);
    if (failed == 0)
        failed = krb5_cc_initialize(krb, cache, owner);
    if (failed == 0)
        failed = krb5_cc_store_cred(krb, cache, &entry);
    krb5_free_principal(krb, entry.server);
    return failed;
}

/* The cache of that name; of a collection whose default is another's, the one of this owner or a new one. */
static krb5_error_code
open_for(const char *name, bool named, krb5_principal owner, krb5_ccache *cache)
{
    krb5_error_code failed = krb5_cc_resolve(krb, name, cache);
    if (failed != 0 || named || !krb5_cc_support_switch(krb, krb5_cc_get_type(krb, *cache)) ||
        holding_of(*cache) != HOLDS_TICKETS)
        return failed;
    const char *type = krb5_cc_get_type(krb, *cache);
    krb5_cc_close(krb, *cache);
    failed = krb5_cc_cache_match(krb, owner, cache);
    return failed != 0 ? krb5_cc_new_unique(krb, type, NULL, cache) : 0;
}

static bool
kerberos_failure(struct outcome *o, krb5_error_code failed, const char *name)
{
    const char *text = krb5_get_error_message(krb, failed);
    outcome_fail(o, GSS_S_FAILURE, (int)failed, "the daemon's credential could not be kept in %.200s: %.200s", name,
                 text);
    krb5_free_error_message(krb, text);
    return false;
}

static bool
is_taken(enum holding holding, const char *name, struct outcome *o)
{
    if (holding == HOLDS_OURS)
        return outcome_fail(
            o, GSS_S_DUPLICATE_ELEMENT, EEXIST,
            "the ticket cache %.200s keeps a credential of the proxy daemon already: say that it may be "
            "overwritten, or name another cache",
            name);
    return outcome_fail(
        o, GSS_S_DUPLICATE_ELEMENT, EEXIST,
        "the ticket cache %.200s holds tickets, and a credential of the proxy daemon would replace them: name "
        "another cache, or empty this one with kdestroy",
        name);
}

static bool
keep(const char *name, bool named, bool overwrite, const gssx_name *owner, gage_slice bytes, struct outcome *o)
{
    krb5_ccache cache;
    krb5_principal principal;
    char text[512];
    snprintf(text, sizeof text, "%.*s", (int)owner->display_name.octet_string_len,
             owner->display_name.octet_string_val);
    krb5_error_code failed = krb5_parse_name(krb, text, &principal);
    if (failed != 0)
        return kerberos_failure(o, failed, name);
    failed = open_for(name, named, principal, &cache);
    if (failed != 0) {
        krb5_free_principal(krb, principal);
        return kerberos_failure(o, failed, name);
    }
    enum holding holding = holding_of(cache);
    bool taken = holding > (overwrite ? HOLDS_OURS : HOLDS_NOTHING);
    if (!taken)
        failed = write_entry(cache, principal, bytes);
    krb5_cc_close(krb, cache);
    krb5_free_principal(krb, principal);
    if (taken)
        return is_taken(holding, name, o);
    return failed == 0 ? outcome_ok(o) : kerberos_failure(o, failed, name);
}

bool
cache_keep(const char *asked, gssx_cred *cred, const gssx_name *owner, bool overwrite, struct outcome *o)
{
    AUTO(gage_buf) bytes = GAGE_BUF(RECORD_MAX);
    if (!gage_ok(gssx_encode(GSSX_XDR(gssx_cred), cred, &bytes)))
        return outcome_no_memory(o);
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    pthread_mutex_lock(&lock);
    const char *name = name_of_cache(asked);
    bool good = name != NULL ? keep(name, asked != NULL, overwrite, owner, gage_buf_slice(&bytes), o)
                             : outcome_fail(o, GSS_S_FAILURE, ENOENT,
                                            "there is no ticket cache to keep the daemon's credential in");
    pthread_mutex_unlock(&lock);
    pthread_setcancelstate(before, &before);
    return good;
}
