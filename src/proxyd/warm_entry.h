/* warm_entry.h - between warm.c (the table, who waits for whom) and warm_make.c (acquiring, identity). */
#ifndef GAGE_PROXYD_WARM_ENTRY_H
#define GAGE_PROXYD_WARM_ENTRY_H

#include <krb5.h>
#include <pthread.h>

#include "proxyd/warm.h"

#define BUCKETS 256
#define IDLE_MAX 16

enum warm_state { MAKING, READY, FAILED };

struct warm_entry {
    struct warm_entry *next;
    uint8_t digest[SHA256_LEN];
    int refs; /* the table's and each use's; under the pool's lock */
    enum warm_state state;
    bool linked, renewing;
    uint64_t generation;
    int64_t made, expires, renew_at, last_used; /* expires 0: no end */
    gss_cred_id_t idle[IDLE_MAX];
    size_t idle_count;
    char ccache[64];            /* its cache in memory, empty where it has none */
    struct kept_keytab *keytab; /* the keytab's copy in memory, NULL where it has none */
    gssx_cred described;
    gage_buf handle;
    gage_buf copy; /* exported form, where cloning needs it */
    struct gss_status failure;
};

struct warm_pool {
    pthread_mutex_t lock;
    pthread_cond_t made;
    struct warm_entry *buckets[BUCKETS];
    char default_keytab[512];
    krb5_context
        context; /* unused but held: libkrb5 parses krb5.conf anew whenever no context is left that shares it */
};

/* A keytab file read into memory, so that accepting does not open, lock and read it each time. The daemon could read it anyway. Only of
 * a file that has not changed for two seconds, so that its identity tells every later change. NULL where that or anything else is in
 * the way: then the file itself serves. */
struct kept_keytab *keytab_keep(const char *name, int64_t now);
void keytab_drop(struct kept_keytab **keytab);
const char *keytab_name(const struct kept_keytab *keytab); /* as a credential store takes it */
/* Whether the file is still the one that was read. */
bool keytab_current(const struct kept_keytab *keytab);
/* Appends which file this is, the descriptor's or (-1) the path's, and which state of it. A ticket cache that the library adds to `grows`: only
 * its birth counts. */
void put_identity(gage_buf *key, int fd, const char *path, bool grows);
/* The file behind a store value ("/path", "FILE:/path", "file2:/path"), or NULL. */
const char *store_path(const char *value);

/* What two calls share where they mean the same. False where something behind the credential cannot be watched: then it is not kept. */
bool warm_digest(struct warm_pool *pool, struct call *call, const struct cred_spec *spec,
                 const struct cred_store *store, uint8_t digest[SHA256_LEN]);
/* A zeroed entry with one reference; NULL where memory is short. `digest` may be NULL. */
struct warm_entry *warm_entry_new(const uint8_t digest[SHA256_LEN]);
void warm_entry_free(struct warm_entry *e);
/* Acquires and describes; the first credential becomes idle. May block. */
bool warm_make(struct call *call, const struct cred_spec *spec, struct cred_store *store, struct warm_entry *e);
/* Another credential like the entry's. */
bool warm_clone(struct call *call, const struct cred_spec *spec, struct cred_store *store, const struct warm_entry *e,
                gss_cred_id_t *cred);

#endif
