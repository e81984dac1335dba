#include "interposer/cred.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/secret.h"
#include "rpc/value.h"

/* ---- making and releasing ---- */

static bool
make(const struct mech *mech, struct cred **out, struct outcome *o)
{
    struct cred *cred = calloc(1, sizeof *cred);
    if (cred == NULL)
        return outcome_no_memory(o);
    pthread_rwlock_init(&cred->lock, NULL);
    cred->mech = mech;
    *out = cred;
    return outcome_ok(o);
}

bool
cred_from_local(const struct mech *mech, gss_cred_id_t *local, struct cred **out, struct outcome *o)
{
    bool good = make(mech, out, o);
    if (good)
        (*out)->local = *local;
    else
        seam_release_cred(local);
    *local = GSS_C_NO_CREDENTIAL;
    return good;
}

bool
cred_from_wire(const struct mech *mech, gssx_cred *wire, struct cred **out, struct outcome *o)
{
    bool good = make(mech, out, o);
    if (good) {
        (*out)->wire = *wire;
        (*out)->remote = true;
        (*out)->told = clock_monotonic_ns();
    } else {
        wire_cred_free(wire);
    }
    memset(wire, 0, sizeof *wire);
    return good;
}

void
wire_cred_free(gssx_cred *wire)
{
    if (wire->cred_handle_reference.octet_string_len > 0)
        gage_wipe(wire->cred_handle_reference.octet_string_val, wire->cred_handle_reference.octet_string_len);
    xdr_free(GSSX_XDR(gssx_cred), wire);
    memset(wire, 0, sizeof *wire);
}

static void
release_remote(gssx_cred *wire)
{
    union gssx_arg arg = {0};
    AUTO(answer) a = {0};
    struct outcome o;
    arg.release_handle.cred_handle.handle_type = GSSX_C_HANDLE_CRED;
    arg.release_handle.cred_handle.gssx_handle_u.cred_info = *wire;
    remote_call(PROC_RELEASE_HANDLE, &arg, &a, &o);
}

void
cred_free(struct cred *cred)
{
    if (cred == NULL)
        return;
    if (cred->remote && cred->wire.needs_release)
        release_remote(&cred->wire);
    seam_release_cred(&cred->local);
    wire_cred_free(&cred->wire);
    pthread_rwlock_destroy(&cred->lock);
    free(cred);
}

/* ---- lending ---- */

gssx_cred *
cred_lend(struct cred *cred)
{
    if (cred == NULL || !cred->remote)
        return NULL;
    pthread_rwlock_rdlock(&cred->lock);
    return &cred->wire;
}

gssx_cred *
cred_lend_alone(struct cred *cred)
{
    if (cred == NULL || !cred->remote)
        return NULL;
    pthread_rwlock_wrlock(&cred->lock);
    return &cred->wire;
}

void
cred_return(struct cred *cred)
{
    if (cred != NULL && cred->remote)
        pthread_rwlock_unlock(&cred->lock);
}

void
cred_sync(struct cred *cred, const gssx_options *options)
{
    const gssx_buffer *sent = option_find(options, "sync_creds");
    gssx_cred renewed = {0};
    if (sent == NULL || cred == NULL || !cred->remote)
        return;
    if (!gage_ok(gssx_decode(GSSX_XDR(gssx_cred), gssx_slice(sent), &renewed))) {
        wire_cred_free(&renewed);
        return;
    }
    gssx_cred *wire = cred_lend_alone(cred);
    wire_cred_free(wire);
    *wire = renewed;
    cred->told = clock_monotonic_ns();
    cred_return(cred);
}

/* ---- facts ---- */

OM_uint32
seconds_left(uint64_t seconds, int64_t told)
{
    if (seconds >= GSS_C_INDEFINITE)
        return GSS_C_INDEFINITE;
    int64_t passed = (clock_monotonic_ns() - told) / 1000000000;
    return (int64_t)seconds > passed ? (OM_uint32)((int64_t)seconds - passed) : 0;
}

gssx_cred_usage
usage_to_wire(gss_cred_usage_t usage)
{
    return usage == GSS_C_INITIATE ? GSSX_C_INITIATE : usage == GSS_C_ACCEPT ? GSSX_C_ACCEPT : GSSX_C_BOTH;
}

static const gssx_cred_element *
element_of(const struct cred *cred)
{
    for (u_int i = 0; i < cred->wire.elements.elements_len; i++) {
        const gssx_cred_element *e = &cred->wire.elements.elements_val[i];
        if (slice_equal(gssx_slice(&e->mech), oid_slice(&cred->mech->oid)))
            return e;
    }
    return cred->wire.elements.elements_len > 0 ? &cred->wire.elements.elements_val[0] : NULL;
}

void
cred_facts(const struct cred *cred, struct cred_facts *facts)
{
    const gssx_cred_element *e = element_of(cred);
    *facts = (struct cred_facts){.name = &cred->wire.desired_name, .usage = GSS_C_BOTH};
    if (e == NULL)
        return;
    if (e->MN.display_name.octet_string_len > 0)
        facts->name = &e->MN;
    facts->usage = e->cred_usage == GSSX_C_INITIATE ? GSS_C_INITIATE
                   : e->cred_usage == GSSX_C_ACCEPT ? GSS_C_ACCEPT
                                                    : GSS_C_BOTH;
    if (facts->usage != GSS_C_ACCEPT)
        facts->initiate = seconds_left(e->initiator_time_rec, cred->told);
    if (facts->usage != GSS_C_INITIATE)
        facts->accept = seconds_left(e->acceptor_time_rec, cred->told);
}
