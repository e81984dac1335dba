/* name.h - a name: as the daemon takes and gives it, and as the real mechanism's, each made when it is needed. */
#ifndef GAGE_INTERPOSER_NAME_H
#define GAGE_INTERPOSER_NAME_H

#include <pthread.h>

#include "interposer/seam.h"

struct name {
    pthread_mutex_t lock; /* names are shared between threads: guards `local` and `canonical` */
    const struct mech *mech;
    gssx_name wire;      /* as imported, or as the daemon gave it; empty for one that came from the local library */
    bool by_daemon;      /* wire is the daemon's, with every form the name has */
    gss_name_t local;    /* the real mechanism's, or none yet */
    gssx_name canonical; /* the daemon's forms of an imported name that only the daemon can make canonical */
};

static inline struct name *
name_of(gss_name_t handle)
{
    return (struct name *)(void *)handle;
}

static inline gss_name_t
name_handle(struct name *name)
{
    return (gss_name_t)(void *)name;
}

/* As imported by an application. */
bool name_import(const struct mech *mech, gss_const_buffer_t bytes, gss_const_OID type, struct name **out,
                 struct outcome *o);
/* From the daemon: a copy. */
bool name_from_wire(const struct mech *mech, const gssx_name *wire, struct name **out, struct outcome *o);
/* From the local library: takes *local, also where it fails. */
bool name_from_local(const struct mech *mech, gss_name_t *local, struct name **out, struct outcome *o);
bool name_copy(struct name *from, struct name **out, struct outcome *o);
void name_free(struct name *name);

/* The real mechanism's name. Borrowed. */
bool name_local(struct name *name, gss_name_t *out, struct outcome *o);
/* What the daemon is to be told. Borrowed: a shallow copy of what *name holds, or, for a local name, of *room, which the caller frees
 * with xdr_free. */
bool name_wire(struct name *name, gssx_name *room, gssx_name **out, struct outcome *o);
/* The canonical forms that the daemon gives, with attributes where they are wanted; asked for once. Borrowed. */
bool name_canonical(struct name *name, bool attributes, const gssx_name **out, struct outcome *o);

/* The library's object for a name type, as gss_display_name gives it out; Kerberos' principal for one that is not known. */
gss_OID name_type_known(gage_slice type);

#endif
