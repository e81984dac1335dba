#include "interposer/mech.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "interposer/acceptor.h"
#include "interposer/cache.h"
#include "interposer/exports.h"
#include "interposer/outcome.h"
#include "interposer/pool.h"

#define OID_MAX 64 /* bytes of a concatenated OID */

/* Kerberos, its two older OIDs, IAKERB. */
#define MECH_ROW(bytes)                                                                                                \
    {                                                                                                                  \
        .oid = { sizeof(bytes) - 1, (void *)(uintptr_t)(bytes) }                                                       \
    }
static struct mech mechs[] = {
    MECH_ROW("\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"),
    MECH_ROW("\x2b\x05\x01\x05\x02"),
    MECH_ROW("\x2a\x86\x48\x82\xf7\x12\x01\x02\x02"),
    MECH_ROW("\x2b\x06\x01\x05\x02\x05"),
};
#define MECHS (sizeof mechs / sizeof mechs[0])
static uint8_t specials[MECHS][OID_MAX];

/* The first row is Debian's default, for no value and for one that is none of these. */
static const struct sides behaviors[] = {
    {"REMOTE_FIRST", 2, {SIDE_REMOTE, SIDE_LOCAL}},
    {"LOCAL_FIRST", 2, {SIDE_LOCAL, SIDE_REMOTE}},
    {"REMOTE_ONLY", 1, {SIDE_REMOTE}},
    {"LOCAL_ONLY", 1, {SIDE_LOCAL}},
};
#define BEHAVIORS (sizeof behaviors / sizeof behaviors[0])
static const struct sides *asked = &behaviors[0];

const struct mech *
mech_find_bytes(gage_slice oid)
{
    for (size_t i = 0; i < MECHS; i++)
        if (slice_equal(oid, oid_slice(&mechs[i].oid)) || slice_equal(oid, oid_slice(&mechs[i].special)))
            return &mechs[i];
    return NULL;
}

const struct mech *
mech_find(gss_const_OID oid)
{
    return oid == GSS_C_NO_OID ? &mechs[0] : mech_find_bytes(oid_slice(oid));
}

const struct mech *
mech_find_in(gss_const_OID_set set)
{
    const struct mech *mech = set == GSS_C_NO_OID_SET ? &mechs[0] : NULL;
    for (size_t i = 0; set != GSS_C_NO_OID_SET && mech == NULL && i < set->count; i++)
        mech = mech_find(&set->elements[i]);
    return mech;
}

const struct mech *
mech_at(size_t n)
{
    return n < MECHS ? &mechs[n] : NULL;
}

gss_OID
mech_public(const struct mech *mech)
{
    return (gss_OID)(uintptr_t)&mech->oid;
}

gss_OID
mech_special(const struct mech *mech)
{
    return (gss_OID)(uintptr_t)&mech->special;
}

bool
mech_owns(gss_const_OID oid)
{
    for (size_t i = 0; i < MECHS; i++)
        if (oid == &mechs[i].oid || oid == &mechs[i].special)
            return true;
    return false;
}

const struct sides *
sides_asked(void)
{
    return asked;
}

const struct sides *
sides_local_first(void)
{
    return asked->count > 1 ? &behaviors[1] : asked;
}

/* ---- loading ---- */

/* The words that gssproxy's plugin takes for yes. */
static bool
is_true(const char *value)
{
    static const char *const words[] = {"1", "on", "true", "yes"};
    for (size_t i = 0; value != NULL && i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(value, words[i]) == 0)
            return true;
    return false;
}

/* A secure program cannot trust an environment that says so: the administrator has put a socket there for it. */
static bool
is_wanted(void)
{
    return pool_is_secure() ? faccessat(AT_FDCWD, pool_path(), R_OK | W_OK, AT_EACCESS) == 0
                            : is_true(secure_getenv("GSS_USE_PROXY"));
}

static const struct sides *
read_behavior(const char *value)
{
    for (size_t i = 0; value != NULL && i < BEHAVIORS; i++)
        if (strcmp(value, behaviors[i].behavior) == 0)
            return &behaviors[i];
    return &behaviors[0];
}

static void
before_fork(void)
{
    acceptor_before_fork();
    cache_before_fork();
    pool_before_fork();
    outcome_before_fork();
}

static void
after_fork_in_parent(void)
{
    outcome_after_fork();
    pool_after_fork(false);
    cache_after_fork();
    acceptor_after_fork();
}

static void
after_fork_in_child(void)
{
    outcome_after_fork();
    pool_after_fork(true);
    cache_after_fork();
    acceptor_after_fork();
}

static void
make_specials(gss_const_OID own)
{
    for (size_t i = 0; i < MECHS; i++) {
        memcpy(specials[i], own->elements, own->length);
        memcpy(specials[i] + own->length, mechs[i].oid.elements, mechs[i].oid.length);
        mechs[i].special = (gss_OID_desc){own->length + mechs[i].oid.length, specials[i]};
    }
}

/* LOCAL_ONLY is served best by not standing in for anything. */
INTERPOSER_EXPORT gss_OID_set
gss_mech_interposer(gss_OID own)
{
    OM_uint32 minor;
    gss_OID_set set = GSS_C_NO_OID_SET;
    asked = read_behavior(secure_getenv("GSSPROXY_BEHAVIOR"));
    if (!is_wanted() || asked == &behaviors[BEHAVIORS - 1] || own == GSS_C_NO_OID ||
        own->length + sizeof "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02" > OID_MAX)
        return GSS_C_NO_OID_SET;
    make_specials(own);
    if (pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0 ||
        GSS_ERROR(gss_create_empty_oid_set(&minor, &set)))
        return GSS_C_NO_OID_SET;
    for (size_t i = 0; i < MECHS; i++)
        if (GSS_ERROR(gss_add_oid_set_member(&minor, &mechs[i].oid, &set)))
            gss_release_oid_set(&minor, &set);
    return set;
}
