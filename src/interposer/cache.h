/* cache.h - daemons' credentials in ticket caches, where gssproxy's plugin keeps them: the XDR gssx_cred as the ticket of
 * Encrypted/Credentials/v1@X-GSSPROXY: (doc/proxy.md, "The client plugin").
 *
 * Read wherever one is found; written only when the application stores a credential, and never into a cache that holds anything else. */
#ifndef GAGE_INTERPOSER_CACHE_H
#define GAGE_INTERPOSER_CACHE_H

#include "interposer/seam.h"

/* The cache that a credential store names, or NULL for the default one. Borrowed. */
const char *cache_of_store(gss_const_key_value_set_t store);

/* Reads the credential that the cache (NULL: the default one) keeps into zeroed *kept. False where there is none. */
bool cache_find(const char *name, gssx_cred *kept);
/* Whether the cache (NULL: the default one) keeps a credential of a daemon's and no ticket: the real mechanism takes the entry for one. */
bool cache_keeps_only(const char *name);
/* Keeps it there, under its own principal. Refuses a cache with tickets, whatever the caller wants overwritten, and one with a credential of a
 * daemon's unless that may be; of a collection it takes the cache of that principal or a new one, and does not make it the default. */
bool cache_keep(const char *name, gssx_cred *cred, const gssx_name *owner, bool overwrite, struct outcome *o);

/* Around a fork: nobody holds the lock across it. */
void cache_before_fork(void);
void cache_after_fork(void);

#endif
