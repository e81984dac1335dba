#include "cli/tunnel/tickets.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gssapi/gssapi_ext.h>
#include <krb5.h>

#include "base/clock.h"
#include "handshake/mechanism.h"

#define SECOND ((int64_t)1000000000)
#define SETTLED_S 2           /* a file system may count its times in whole seconds */
#define LIFE_NS (60 * SECOND) /* then krb5.conf may name another cache */
#define RETRY_NS SECOND       /* where no copy could be made */
#define SPARE_MAX 16

/* One state of the file. It lives while the table or a taker holds it. */
struct copy {
    unsigned holders;
    krb5_context context;
    krb5_ccache memory;
    char *path, *name; /* of the file; of the copy */
    struct stat state;
    int64_t until; /* monotonic */
    gss_cred_id_t spare[SPARE_MAX];
    size_t spares;
};

struct tickets {
    pthread_mutex_t lock;
    krb5_context parsed; /* while one context lives, the library does not read krb5.conf anew for the next */
    char *identities;    /* ~/.k5identity */
    struct copy *current;
    bool making;
    int64_t retry;
};

struct lease {
    struct copy *copy;
    gss_cred_id_t cred;
};

/* ---- one copy ---- */

static void
copy_free(struct copy *c)
{
    while (c->spares > 0)
        gss_cred_drop(&c->spare[--c->spares]);
    if (c->memory != NULL)
        krb5_cc_destroy(c->context, c->memory);
    if (c->name != NULL)
        krb5_free_string(c->context, c->name);
    if (c->context != NULL)
        krb5_free_context(c->context);
    free(c->path);
    free(c);
}

static bool
same_state(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_uid == b->st_uid &&
           a->st_mode == b->st_mode && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static bool
unchanged(const struct copy *c)
{
    struct stat now;
    return stat(c->path, &now) == 0 && same_state(&now, &c->state);
}

static bool
settled(const struct stat *st)
{
    int64_t now = clock_now();
    return S_ISREG(st->st_mode) && now - st->st_mtim.tv_sec > SETTLED_S && now - st->st_ctim.tv_sec > SETTLED_S;
}

/* With a client keytab the library renews the cache itself: it must see the cache itself. */
static bool
has_client_keytab(krb5_context context)
{
    krb5_keytab keytab;
    if (krb5_kt_client_default(context, &keytab) != 0)
        return false;
    bool has = krb5_kt_have_content(context, keytab) == 0;
    krb5_kt_close(context, keytab);
    return has;
}

static bool
copy_tickets(struct copy *c, krb5_ccache file)
{
    krb5_principal owner;
    if (krb5_cc_get_principal(c->context, file, &owner) != 0)
        return false;
    bool good = krb5_cc_new_unique(c->context, "MEMORY", NULL, &c->memory) == 0 &&
                krb5_cc_initialize(c->context, c->memory, owner) == 0 &&
                krb5_cc_copy_creds(c->context, file, c->memory) == 0 &&
                krb5_cc_get_full_name(c->context, c->memory, &c->name) == 0;
    krb5_free_principal(c->context, owner);
    return good;
}

static gss_cred_id_t
acquire(const struct copy *c, OM_uint32 *lifetime)
{
    OM_uint32 minor;
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    gss_key_value_element_desc element = {"ccache", c->name};
    gss_key_value_set_desc store = {1, &element};
    const struct mechanism *krb5;
    if (!gage_ok(mechanism_find("krb5", &krb5, NULL)))
        return GSS_C_NO_CREDENTIAL;
    gss_OID_set_desc only = {1, mechanism_oid(krb5)};
    OM_uint32 major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &only, GSS_C_INITIATE, &store,
                                            &cred, NULL, lifetime);
    return major == GSS_S_COMPLETE ? cred : GSS_C_NO_CREDENTIAL;
}

/* The first credential tells how long the tickets live. */
static bool
start_life(struct copy *c)
{
    OM_uint32 lifetime = 0;
    c->spare[0] = acquire(c, &lifetime);
    if (c->spare[0] == GSS_C_NO_CREDENTIAL)
        return false;
    c->spares = 1;
    int64_t left = (int64_t)lifetime * SECOND;
    c->until = clock_monotonic_ns() + (left < LIFE_NS ? left : LIFE_NS);
    return lifetime > 0;
}

static bool
fill(struct copy *c)
{
    krb5_ccache file;
    if (krb5_init_context(&c->context) != 0 || krb5_cc_default(c->context, &file) != 0)
        return false;
    bool fit = strcmp(krb5_cc_get_type(c->context, file), "FILE") == 0 && !has_client_keytab(c->context) &&
               (c->path = strdup(krb5_cc_get_name(c->context, file))) != NULL && stat(c->path, &c->state) == 0 &&
               settled(&c->state) && copy_tickets(c, file);
    krb5_cc_close(c->context, file);
    return fit && unchanged(c) && start_life(c);
}

static struct copy *
copy_make(void)
{
    struct copy *c = calloc(1, sizeof *c);
    if (c != NULL && !fill(c)) {
        copy_free(c);
        c = NULL;
    }
    return c;
}

/* ---- the table ---- */

struct tickets *
tickets_new(void)
{
    const char *home = getenv("HOME");
    struct tickets *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    pthread_mutex_init(&t->lock, NULL);
    bool named = home != NULL && asprintf(&t->identities, "%s/.k5identity", home) >= 0;
    if (!named || krb5_init_context(&t->parsed) != 0)
        tickets_free(&t);
    return t;
}

void
tickets_free(struct tickets **tickets)
{
    struct tickets *t = *tickets;
    *tickets = NULL;
    if (t == NULL)
        return;
    if (t->current != NULL)
        copy_free(t->current);
    if (t->parsed != NULL)
        krb5_free_context(t->parsed);
    pthread_mutex_destroy(&t->lock);
    free(t->identities);
    free(t);
}

static struct copy *
hold(struct tickets *t)
{
    pthread_mutex_lock(&t->lock);
    struct copy *c = t->current;
    if (c != NULL)
        c->holders++;
    pthread_mutex_unlock(&t->lock);
    return c;
}

static void
let_go(struct tickets *t, struct copy *c)
{
    pthread_mutex_lock(&t->lock);
    bool last = --c->holders == 0;
    pthread_mutex_unlock(&t->lock);
    if (last)
        copy_free(c);
}

/* Nobody takes from it any more. */
static void
retire(struct tickets *t, struct copy *c)
{
    pthread_mutex_lock(&t->lock);
    bool was = t->current == c;
    if (was)
        t->current = NULL;
    pthread_mutex_unlock(&t->lock);
    if (was)
        let_go(t, c);
}

/* A new copy, held, where one can be made; one thread makes it, and the others do without meanwhile. */
static struct copy *
renew(struct tickets *t)
{
    pthread_mutex_lock(&t->lock);
    bool ours = !t->making && t->current == NULL && clock_monotonic_ns() >= t->retry;
    t->making |= ours;
    pthread_mutex_unlock(&t->lock);
    if (!ours)
        return NULL;
    struct copy *c = copy_make();
    pthread_mutex_lock(&t->lock);
    t->making = false;
    t->retry = clock_monotonic_ns() + (c == NULL ? RETRY_NS : 0);
    t->current = c;
    if (c != NULL)
        c->holders = 2;
    pthread_mutex_unlock(&t->lock);
    return c;
}

static struct copy *
usable(struct tickets *t)
{
    if (access(t->identities, F_OK) == 0)
        return NULL;
    struct copy *c = hold(t);
    if (c == NULL)
        return renew(t);
    if (clock_monotonic_ns() < c->until && unchanged(c))
        return c;
    retire(t, c);
    let_go(t, c);
    return renew(t);
}

/* Each taker has a credential for itself: the library locks one while it is used, a wait for the KDC included. */
static gss_cred_id_t
spare(struct tickets *t, struct copy *c)
{
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    pthread_mutex_lock(&t->lock);
    if (c->spares > 0)
        cred = c->spare[--c->spares];
    pthread_mutex_unlock(&t->lock);
    return cred != GSS_C_NO_CREDENTIAL ? cred : acquire(c, NULL);
}

gss_cred_id_t
tickets_take(void *tickets, void **use)
{
    struct tickets *t = tickets;
    *use = NULL;
    struct copy *c = usable(t);
    if (c == NULL)
        return GSS_C_NO_CREDENTIAL;
    struct lease *lease = calloc(1, sizeof *lease);
    if (lease != NULL)
        *lease = (struct lease){c, spare(t, c)};
    if (lease == NULL || lease->cred == GSS_C_NO_CREDENTIAL) {
        free(lease);
        let_go(t, c);
        return GSS_C_NO_CREDENTIAL;
    }
    *use = lease;
    return lease->cred;
}

void
tickets_give(void *tickets, void *use)
{
    struct tickets *t = tickets;
    struct lease *lease = use;
    if (lease == NULL)
        return;
    pthread_mutex_lock(&t->lock);
    if (lease->copy->spares < SPARE_MAX) {
        lease->copy->spare[lease->copy->spares++] = lease->cred;
        lease->cred = GSS_C_NO_CREDENTIAL;
    }
    pthread_mutex_unlock(&t->lock);
    gss_cred_drop(&lease->cred);
    let_go(t, lease->copy);
    free(lease);
}
