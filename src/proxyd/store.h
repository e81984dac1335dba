/* store.h - the service's cred_store as the GSS library takes it: patterns filled in for the acting uid, and copies in memory of what that
 * user can exchange or lock (users_file.h). */
#ifndef GAGE_PROXYD_STORE_H
#define GAGE_PROXYD_STORE_H

#include "proxyd/call.h"
#include "proxyd/users_file.h"

struct cred_spec;

struct cred_store {
    gss_key_value_element_desc rows[CONF_STORE_MAX + 2];
    size_t count;
    char *text[CONF_STORE_MAX + 2];             /* owned */
    struct users_file file[CONF_STORE_MAX + 2]; /* of the row */
    struct users_keytab keytab[CONF_STORE_MAX + 2];
    size_t keytab_count;
};
void store_free(struct cred_store *store);
typedef struct cred_store cred_store;
GAGE_AUTO_DEFINE(cred_store, store_free)

/* Fills a zeroed store. False with the call's status set. */
bool store_expand(struct call *call, const struct cred_spec *spec, struct cred_store *store);
/* The first row whose file is there and not for this process to read, as KEY:PATH; false where there is none. */
bool store_unreadable(const struct cred_store *store, char *text, size_t size);
const char *store_find(const struct cred_store *store, const char *key);
/* Adds a row; replaces one of the same key. */
bool store_set(struct call *call, struct cred_store *store, const char *key, const char *value);
/* Where tickets of the spec would go to a cache that the store does not name (the daemon's own default one), or to one that its user can
 * exchange, names one in memory that nothing else uses, with the user's tickets in it, and writes its name to `name` (64 bytes; else empty). End
 * it with memory_ccache_destroy. */
bool store_keep_apart(struct call *call, const struct cred_spec *spec, struct cred_store *store, char name[64]);
/* Replaces every other row whose path must not be used: keytabs by copies in memory, which the store keeps. */
bool store_settle(struct call *call, struct cred_store *store);

/* The uid's user name. */
bool store_user_name(uid_t uid, char *out, size_t size);
/* A name for a ticket cache or keytab in memory that nothing else uses; and the end of such a cache. */
void memory_ccache_name(char *name, size_t size);
void memory_keytab_name(char *name, size_t size);
void memory_ccache_destroy(const char *name);

#endif
