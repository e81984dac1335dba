#include "proxyd/spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <gssapi/gssapi_krb5.h>

#include "proxyd/mech.h"
#include "proxyd/s4u.h"

#define VERSION 1
#define NO_MEMORY(call) status_fail(&(call)->status, GSS_S_FAILURE, ENOMEM, "out of memory")

void
spec_free(struct cred_spec *spec)
{
    gage_buf_free(&spec->name);
    gage_buf_free(&spec->name_type);
    gage_buf_free(&spec->mech_bytes);
    spec->mech_count = 0;
}

/* ---- the wish ---- */

static bool
add_mech(struct cred_spec *spec, gss_const_OID mech)
{
    for (size_t i = 0; i < spec->mech_count; i++)
        if (mech_equal(&spec->mechs[i], mech))
            return true;
    buf_reserve(&spec->mech_bytes, spec->mech_bytes.max - spec->mech_bytes.n); /* the OIDs point into it */
    if (spec->mech_count == CONF_MECHS_MAX)
        return false;
    size_t start = spec->mech_bytes.n;
    put_bytes(&spec->mech_bytes, oid_slice(mech));
    if (spec->mech_bytes.bad)
        return false;
    spec->mechs[spec->mech_count++] = (gss_OID_desc){mech->length, spec->mech_bytes.p + start};
    return true;
}

/* The client's mechanisms as far as the service allows them, in the service's order. */
static bool
choose_mechs(struct call *call, const gssx_OID_set *wanted, struct cred_spec *spec)
{
    const struct service *s = call->service;
    for (size_t i = 0; i < s->mech_count; i++) {
        bool take = wanted == NULL || wanted->gssx_OID_set_len == 0;
        for (u_int j = 0; !take && j < wanted->gssx_OID_set_len; j++)
            take = slice_equal(gssx_slice(&wanted->gssx_OID_set_val[j]), oid_slice(&s->mechs[i]));
        if (take && !add_mech(spec, &s->mechs[i]))
            return NO_MEMORY(call);
    }
    if (spec->mech_count == 0)
        return status_fail(&call->status, GSS_S_NO_CRED, EACCES,
                           "service %s allows none of the mechanisms asked for (its configuration's mechs)", s->name);
    return true;
}

static bool
choose_usage(struct call *call, gss_cred_usage_t usage, struct cred_spec *spec)
{
    gss_cred_usage_t allowed = call->service->cred_usage;
    spec->usage = allowed != GSS_C_BOTH && usage == GSS_C_BOTH ? allowed : usage;
    if (allowed != GSS_C_BOTH && spec->usage != allowed)
        return status_fail(&call->status, GSS_S_NO_CRED, EACCES, "service %s allows its credentials for %s only",
                           call->service->name, allowed == GSS_C_INITIATE ? "initiating" : "accepting");
    return true;
}

static bool
set_name(struct call *call, struct cred_spec *spec, gage_slice name, gage_slice type)
{
    buf_reset(&spec->name);
    buf_reset(&spec->name_type);
    put_bytes(&spec->name, name);
    put_bytes(&spec->name_type, type);
    if (spec->name.bad || spec->name_type.bad)
        return status_fail(&call->status, GSS_S_BAD_NAME, E2BIG, "the desired name is too long");
    return true;
}

/* A uid as the text or the machine's bytes of the two uid name types. */
static bool
parse_uid_name(const gssx_name *name, bool machine, uid_t *uid)
{
    gage_slice text = gssx_slice(&name->display_name);
    char digits[16];
    if (machine && text.n == sizeof *uid) {
        memcpy(uid, text.p, sizeof *uid);
        return true;
    }
    if (text.n == 0 || text.n >= sizeof digits)
        return false;
    memcpy(digits, text.p, text.n);
    digits[text.n] = '\0';
    char *end;
    unsigned long n = strtoul(digits, &end, 10);
    if (end == digits || *end != '\0' || digits[0] == '-' || n >= UINT32_MAX)
        return false;
    *uid = (uid_t)n;
    return true;
}

/* Who acts, and whether the service's own keytab is meant: gssproxy's rules. *user says that a user is asked for rather than the
 * service. */
static bool
choose_actor(struct call *call, const gssx_name *desired, struct cred_spec *spec, bool *user)
{
    const struct service *s = call->service;
    bool own = call->peer->uid == s->euid;
    gss_OID_desc type = desired != NULL ? gss_oid_of(&desired->name_type) : (gss_OID_desc){0, NULL};
    bool text_uid = mech_equal(&type, GSS_C_NT_STRING_UID_NAME);
    bool machine_uid = mech_equal(&type, GSS_C_NT_MACHINE_UID_NAME);
    *user = !own;
    if (desired == NULL) {
        spec->service_keytab = own && s->trusted;
        return true;
    }
    if (s->trusted && own && (text_uid || machine_uid)) {
        *user = true;
        return parse_uid_name(desired, machine_uid, &spec->uid) ||
               status_fail(&call->status, GSS_S_BAD_NAME, EINVAL, "the desired uid is not a number");
    }
    spec->service_keytab = own;
    if (desired->display_name.octet_string_len > 0)
        return set_name(call, spec, gssx_slice(&desired->display_name), gssx_slice(&desired->name_type));
    if (desired->exported_name.octet_string_len == 0)
        return status_fail(&call->status, GSS_S_BAD_NAME, EINVAL, "the desired name is empty");
    return set_name(call, spec, gssx_slice(&desired->exported_name), oid_slice(GSS_C_NT_EXPORT_NAME));
}

static bool
choose_impersonation(struct call *call, struct cred_spec *spec, bool user)
{
    char name[256];
    spec->impersonate = call->service->impersonate && spec->usage != GSS_C_ACCEPT;
    if (!spec->impersonate || !user)
        return true;
    spec->service_keytab = true;
    if (!store_user_name(spec->uid, name, sizeof name))
        return status_fail(&call->status, GSS_S_BAD_NAME, ENOENT, "uid %u has no user name to impersonate", spec->uid);
    return set_name(call, spec, slice_str(name), oid_slice(GSS_C_NT_USER_NAME));
}

bool
spec_from_wish(struct call *call, const gssx_name *desired, gss_cred_usage_t usage, const gssx_OID_set *mechs,
               struct cred_spec *spec)
{
    bool user;
    spec->uid = call->peer->uid;
    if (!choose_usage(call, usage, spec) || !choose_mechs(call, mechs, spec) ||
        !choose_actor(call, desired, spec, &user) || !choose_impersonation(call, spec, user))
        return false;
    const char *principal = call->service->krb5_principal;
    spec->default_name = spec->service_keytab && spec->name.n == 0 && principal != NULL;
    return !spec->default_name || set_name(call, spec, slice_str(principal), oid_slice(GSS_KRB5_NT_PRINCIPAL_NAME));
}

void
spec_for_accepting(struct cred_spec *spec)
{
    if (!spec->default_name || spec->usage == GSS_C_INITIATE)
        return;
    spec->usage = GSS_C_ACCEPT;
    spec->impersonate = spec->default_name = false;
    buf_reset(&spec->name);
    buf_reset(&spec->name_type);
}

void
spec_bound(struct call *call, uint64_t seconds, struct cred_spec *spec)
{
    bool heed = seconds > 0 && seconds < GSS_C_INDEFINITE;
    for (size_t i = 0; i < spec->mech_count; i++)
        heed = heed && !mech_is_krb5(&spec->mechs[i]) && !mech_equal(&spec->mechs[i], &mech_oid_spnego);
    spec->until = heed ? call->now + (int64_t)seconds : 0;
}

void
spec_for_storing(struct cred_spec *spec)
{
    size_t kept = 0;
    bool krb5 = false;
    for (size_t i = 0; i < spec->mech_count; i++) {
        bool takes = mech_is_krb5(&spec->mechs[i]) || mech_equal(&spec->mechs[i], &mech_oid_spnego);
        if (takes && krb5)
            continue;
        spec->mechs[kept++] = takes ? mech_oid_krb5 : spec->mechs[i];
        krb5 = krb5 || takes;
    }
    spec->mech_count = kept;
}

bool
spec_add(struct call *call, struct cred_spec *spec, const struct cred_spec *more)
{
    for (size_t i = 0; i < more->mech_count; i++) {
        if (!service_has_mech(call->service, &more->mechs[i]))
            continue;
        for (size_t j = 0; j < spec->mech_count; j++)
            if (mech_equal(&spec->mechs[j], &more->mechs[i]))
                return status_fail(&call->status, GSS_S_DUPLICATE_ELEMENT, EEXIST,
                                   "the credential has an element of this mechanism already");
        if (!add_mech(spec, &more->mechs[i]))
            return NO_MEMORY(call);
    }
    if (spec->usage != more->usage)
        spec->usage = GSS_C_BOTH;
    return true;
}

/* ---- bytes ---- */

void
spec_encode(const struct cred_spec *spec, gage_buf *out)
{
    put_u8(out, VERSION);
    put_u8(out, (uint8_t)spec->usage);
    put_u32(out, spec->uid);
    put_u8(out, (uint8_t)((spec->service_keytab ? 1 : 0) | (spec->impersonate ? 2 : 0) | (spec->default_name ? 4 : 0) |
                          (spec->until != 0 ? 8 : 0)));
    if (spec->until != 0)
        put_u64(out, (uint64_t)spec->until);
    put_vec16(out, gage_buf_slice(&spec->name));
    put_vec8(out, gage_buf_slice(&spec->name_type));
    put_u8(out, (uint8_t)spec->mech_count);
    for (size_t i = 0; i < spec->mech_count; i++)
        put_vec8(out, oid_slice(&spec->mechs[i]));
}

gage_rc
spec_decode(gage_slice bytes, struct cred_spec *spec)
{
    struct reader r = read_from(bytes);
    bool good = get_u8(&r) == VERSION;
    spec->usage = get_u8(&r);
    spec->uid = get_u32(&r);
    uint8_t bits = get_u8(&r);
    spec->service_keytab = (bits & 1) != 0;
    spec->impersonate = (bits & 2) != 0;
    spec->default_name = (bits & 4) != 0;
    spec->until = (bits & 8) != 0 ? (int64_t)get_u64(&r) : 0;
    put_bytes(&spec->name, get_vec16(&r));
    put_bytes(&spec->name_type, get_vec8(&r));
    size_t count = get_u8(&r);
    for (size_t i = 0; i < count && read_ok(&r) && good; i++) {
        gage_slice oid = get_vec8(&r);
        gss_OID_desc mech = {(OM_uint32)oid.n, (void *)(uintptr_t)oid.p};
        good = add_mech(spec, &mech);
    }
    if (!good || spec->usage > GSS_C_ACCEPT || spec->name.bad || spec->name_type.bad)
        return gage_rc_of(GAGE_E_FORMAT);
    return read_end(&r, NULL, "credential description");
}

/* ---- acquiring ---- */

bool
spec_acquire(struct call *call, const struct cred_spec *spec, struct cred_store *store, gss_cred_id_t *cred)
{
    AUTO(gss_name_t) name = GSS_C_NO_NAME;
    OM_uint32 minor, major, time = GSS_C_INDEFINITE;
    if (spec->name.n > 0 &&
        !name_import(gage_buf_slice(&spec->name), gage_buf_slice(&spec->name_type), &name, &call->status))
        return false;
    if (!store_settle(call, store))
        return false;
    if (spec->until != 0 && spec->until <= call->now)
        return status_fail(&call->status, GSS_S_CREDENTIALS_EXPIRED, ETIME,
                           "the credential was asked for no longer than that: acquire it anew");
    if (spec->until != 0)
        time = (OM_uint32)(spec->until - call->now);
    gss_OID_set_desc mechs = {spec->mech_count, (gss_OID)(uintptr_t)spec->mechs};
    gss_key_value_set_desc set = {(OM_uint32)store->count, store->rows};
    if (spec->impersonate)
        return s4u_acquire(call, name, spec->usage, &mechs, &set, cred);
    major = gss_acquire_cred_from(&minor, name, time, &mechs, spec->usage,
                                  store->count > 0 ? &set : GSS_C_NO_CRED_STORE, cred, NULL, NULL);
    if (status_set(&call->status, major, minor, spec->mech_count == 1 ? &spec->mechs[0] : GSS_C_NO_OID))
        return true;
    char closed[256];
    if (store_unreadable(store, closed, sizeof closed))
        status_append(&call->status, closed);
    return false;
}
