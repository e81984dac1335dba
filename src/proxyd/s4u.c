#include "proxyd/s4u.h"

#include <errno.h>
#include <string.h>

#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>

#include "proxyd/conv.h"
#include "proxyd/mech.h"

/* One context from the user's credential to the service itself: accepting it gives the credential that acts for the user. */
static bool
delegate_to_self(struct call *call, gss_cred_id_t service, gss_cred_id_t user, gss_name_t self, gss_cred_id_t *cred)
{
    AUTO(gss_ctx_id_t) initiator = GSS_C_NO_CONTEXT, acceptor = GSS_C_NO_CONTEXT;
    AUTO(gss_owned_buffer) request = GSS_C_EMPTY_BUFFER, answer = GSS_C_EMPTY_BUFFER;
    gss_OID_desc krb5 = mech_oid_krb5;
    OM_uint32 minor, major;
    major =
        gss_init_sec_context(&minor, user, &initiator, self, &krb5, GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG,
                             GSS_C_INDEFINITE, GSS_C_NO_CHANNEL_BINDINGS, GSS_C_NO_BUFFER, NULL, &request, NULL, NULL);
    if (GSS_ERROR(major))
        return status_set(&call->status, major, minor, &krb5);
    major = gss_accept_sec_context(&minor, &acceptor, service, &request, GSS_C_NO_CHANNEL_BINDINGS, NULL, NULL, &answer,
                                   NULL, NULL, cred);
    if (GSS_ERROR(major))
        return status_set(&call->status, major, minor, &krb5);
    return *cred != GSS_C_NO_CREDENTIAL ||
           status_fail(&call->status, GSS_S_NO_CRED, EACCES,
                       "the KDC gave no delegable ticket: allow delegation for the service on the KDC");
}

static bool
service_credential(struct call *call, gss_OID_set mechs, gss_key_value_set_desc *store, gss_cred_id_t *cred)
{
    AUTO(gss_name_t) name = GSS_C_NO_NAME;
    const char *principal = call->service->krb5_principal;
    OM_uint32 minor, major;
    if (principal != NULL) {
        gss_buffer_desc text = {strlen(principal), (void *)(uintptr_t)principal};
        major = gss_import_name(&minor, &text, (gss_OID)(uintptr_t)GSS_KRB5_NT_PRINCIPAL_NAME, &name);
        if (GSS_ERROR(major))
            return status_set(&call->status, major, minor, &mech_oid_krb5);
    }
    major = gss_acquire_cred_from(&minor, name, GSS_C_INDEFINITE, mechs, GSS_C_BOTH, store, cred, NULL, NULL);
    return status_set(&call->status, major, minor, &mech_oid_krb5);
}

static bool
impersonated(struct call *call, OM_uint32 major, OM_uint32 minor, gss_name_t user)
{
    AUTO(gage_buf) shown = GAGE_BUF(200);
    if (status_set(&call->status, major, minor, &mech_oid_krb5))
        return true;
    name_show(user, &shown);
    put_u8(&shown, 0);
    if (!shown.bad)
        status_about(&call->status, (const char *)shown.p);
    return false;
}

bool
s4u_acquire(struct call *call, gss_name_t user, gss_cred_usage_t usage, gss_OID_set mechs,
            gss_key_value_set_desc *store, gss_cred_id_t *cred)
{
    AUTO(gss_cred_id_t) service = GSS_C_NO_CREDENTIAL, as_user = GSS_C_NO_CREDENTIAL;
    AUTO(gss_name_t) self = GSS_C_NO_NAME;
    OM_uint32 minor, major;
    int equal = 1;
    if (!service_credential(call, mechs, store, &service))
        return false;
    major = gss_inquire_cred(&minor, service, &self, NULL, NULL, NULL);
    if (GSS_ERROR(major))
        return status_set(&call->status, major, minor, &mech_oid_krb5);
    if (user != GSS_C_NO_NAME && GSS_ERROR(major = gss_compare_name(&minor, self, user, &equal)))
        return status_set(&call->status, major, minor, &mech_oid_krb5);
    if (equal) { /* nobody impersonates oneself: MIT's KDC refuses it */
        major = gss_acquire_cred_from(&minor, user, GSS_C_INDEFINITE, mechs, usage, store, cred, NULL, NULL);
        return status_set(&call->status, major, minor, &mech_oid_krb5);
    }
    major = gss_acquire_cred_impersonate_name(&minor, service, user, GSS_C_INDEFINITE, mechs, GSS_C_INITIATE, &as_user,
                                              NULL, NULL);
    if (!impersonated(call, major, minor, user))
        return false;
    return delegate_to_self(call, service, as_user, self, cred);
}

/* Only the client whose uid is euid is trusted, whoever else the service lets in. */
static bool
trusted(const struct call *call)
{
    return call->service->trusted && call->peer->uid == call->service->euid;
}

bool
s4u_impersonate(struct call *call, gss_cred_id_t impersonator, gss_name_t user, gss_OID_set mechs, gss_cred_id_t *cred)
{
    const struct service *s = call->service;
    OM_uint32 minor, major;
    if (!s->allow_protocol_transition && !trusted(call))
        return status_fail(
            &call->status, GSS_S_UNAUTHORIZED, EPERM,
            "service %s may not impersonate: it has neither allow_protocol_transition nor trusted for this uid",
            s->name);
    major = gss_acquire_cred_impersonate_name(&minor, impersonator, user, GSS_C_INDEFINITE, mechs, GSS_C_INITIATE, cred,
                                              NULL, NULL);
    return impersonated(call, major, minor, user);
}

/* Whether the target's krb5 name is this text. */
static bool
target_is(gss_name_t target, const gss_buffer_desc *text)
{
    AUTO(gss_name_t) canonical = GSS_C_NO_NAME;
    AUTO(gss_owned_buffer) shown = GSS_C_EMPTY_BUFFER;
    gss_OID_desc krb5 = mech_oid_krb5;
    OM_uint32 minor;
    return !GSS_ERROR(gss_canonicalize_name(&minor, target, &krb5, &canonical)) &&
           !GSS_ERROR(gss_display_name(&minor, canonical, &shown, NULL)) &&
           slice_equal(gss_slice(&shown), gss_slice(text));
}

bool
s4u_allowed(struct call *call, gss_cred_id_t cred, gss_name_t target)
{
    const struct service *s = call->service;
    AUTO(gss_buffer_set_t) found = GSS_C_NO_BUFFER_SET;
    OM_uint32 minor;
    if (trusted(call) || s->impersonate || s->allow_constrained_delegation ||
        (s->mech_kinds & (MECH_KRB5 | MECH_SPNEGO)) == 0)
        return true;
    OM_uint32 major = gss_inquire_cred_by_oid(&minor, cred, (gss_OID)(uintptr_t)GSS_KRB5_GET_CRED_IMPERSONATOR, &found);
    if (GSS_ERROR(major) && GSS_ROUTINE_ERROR(major) != GSS_S_UNAVAILABLE) /* unknown is not allowed */
        return status_set(&call->status, major, minor, &mech_oid_krb5);
    if (GSS_ERROR(major) || found == GSS_C_NO_BUFFER_SET || found->count == 0)
        return true;
    return target_is(target, &found->elements[0]) ||
           status_fail(&call->status, GSS_S_UNAUTHORIZED, EPERM,
                       "service %s may not delegate: it has no allow_constrained_delegation", s->name);
}
