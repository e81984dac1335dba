#include "proxyd/cred.h"

#include <errno.h>
#include <string.h>

#include <gssapi/gssapi_krb5.h>
#include <krb5.h>

#include "proxyd/mech.h"

enum { PAYLOAD_SPEC = 'S', PAYLOAD_TOKEN = 'T' };

void
cred_ref_free(struct cred_ref *ref)
{
    spec_free(&ref->spec);
    gage_buf_free(&ref->token);
}

void
cred_use_end(struct cred_use *use)
{
    OM_uint32 minor;
    if (use->pool != NULL)
        warm_give(use->pool, &use->warm, true);
    if (use->own != GSS_C_NO_CREDENTIAL)
        gss_release_cred(&minor, &use->own);
    if (use->ccache[0] != '\0')
        memory_ccache_destroy(use->ccache);
    *use = (struct cred_use){0};
}

/* ---- handles ---- */

static bool
take_payload(gage_slice payload, struct cred_ref *ref)
{
    if (payload.n < 1)
        return false;
    gage_slice rest = gage_slice_of(payload.p + 1, payload.n - 1);
    ref->by_spec = payload.p[0] == PAYLOAD_SPEC;
    if (ref->by_spec)
        return gage_ok(spec_decode(rest, &ref->spec));
    put_bytes(&ref->token, rest);
    return payload.p[0] == PAYLOAD_TOKEN && !ref->token.bad;
}

bool
cred_open(struct call *call, enum handle_kind kind, gage_slice handle, struct cred_ref *ref)
{
    AUTO(gage_buf) payload = GAGE_BUF(VAULT_PAYLOAD_MAX);
    struct handle_scope scope = call_scope(call);
    gage_rc rc = vault_unseal(call->engine->vault, kind, &scope, handle, call->now, &payload);
    if (rc.code == GAGE_E_EXPIRED)
        return status_fail(&call->status, GSS_S_CREDENTIALS_EXPIRED, ETIME,
                           "the credential handle has expired: acquire the credential anew");
    if (!gage_ok(rc) || !take_payload(gage_buf_slice(&payload), ref))
        return status_fail(
            &call->status, GSS_S_DEFECTIVE_CREDENTIAL, EINVAL,
            "the credential handle is not one of this daemon's for this client: acquire the credential anew");
    return true;
}

static bool
seal_payload(struct call *call, enum handle_kind kind, uint8_t type, gage_slice bytes, gage_slice mech, int64_t expires,
             gage_buf *out)
{
    AUTO(gage_buf) payload = GAGE_BUF(VAULT_PAYLOAD_MAX);
    struct handle_scope scope = call_scope(call);
    put_u8(&payload, type);
    put_bytes(&payload, bytes);
    if (!payload.bad &&
        gage_ok(vault_seal(call->engine->vault, kind, &scope, mech, expires, gage_buf_slice(&payload), out)))
        return true;
    return status_fail(&call->status, GSS_S_FAILURE, E2BIG, "the credential is too large for a handle");
}

bool
cred_seal_ref(struct call *call, enum handle_kind kind, const struct cred_ref *ref, gage_buf *out)
{
    AUTO(gage_buf) bytes = GAGE_BUF(SPEC_BYTES_MAX);
    if (!ref->by_spec)
        return seal_payload(call, kind, PAYLOAD_TOKEN, gage_buf_slice(&ref->token), SLICE_NONE, 0, out);
    spec_encode(&ref->spec, &bytes);
    return seal_payload(call, kind, PAYLOAD_SPEC, gage_buf_slice(&bytes), oid_slice(&ref->spec.mechs[0]), 0, out);
}

/* ---- use ---- */

static bool
import_token(struct call *call, const gage_buf *token, gss_cred_id_t *cred)
{
    gss_buffer_desc bytes = {token->n, token->p};
    OM_uint32 minor, major = gss_import_cred(&minor, &bytes, cred);
    return status_set(&call->status, major, minor, GSS_C_NO_OID);
}

/* Options change a credential for good: one that carries them is not the shared one. */
static bool
acquire_apart(struct call *call, const struct cred_ref *ref, struct cred_use *use)
{
    AUTO(cred_store) store = {0};
    return store_expand(call, &ref->spec, &store) && store_keep_apart(call, &ref->spec, &store, use->ccache) &&
           spec_acquire(call, &ref->spec, &store, &use->own);
}

bool
cred_begin(struct call *call, const struct cred_ref *ref, const gssx_cred *in, struct cred_use *use)
{
    bool options = in != NULL && cred_has_options(in);
    *use = (struct cred_use){0};
    use->from_token = !ref->by_spec;
    call->used_credential = true;
    call->acting_uid = ref->by_spec ? ref->spec.uid : call->peer->uid;
    if (ref->by_spec && !options) {
        if (!warm_take(call->engine->warm, call, &ref->spec, &use->warm))
            return false;
        use->pool = call->engine->warm;
        use->cred = use->warm.cred;
        return true;
    }
    bool good = ref->by_spec ? acquire_apart(call, ref, use) : import_token(call, &ref->token, &use->own);
    if (good && options)
        good = cred_apply_options(in, &use->own, &call->status);
    use->cred = use->own;
    return good;
}

bool
cred_begin_call(struct call *call, const gssx_cred *in, gss_cred_usage_t usage, gss_const_OID mech,
                struct cred_use *use)
{
    AUTO(cred_ref) ref = CRED_REF_EMPTY;
    if (in != NULL && in->cred_handle_reference.octet_string_len > 0) {
        if (!cred_open(call, HANDLE_CRED, gssx_slice(&in->cred_handle_reference), &ref))
            return false;
        if (usage == GSS_C_ACCEPT && ref.by_spec)
            spec_for_accepting(&ref.spec);
        return cred_begin(call, &ref, in, use);
    }
    gssx_OID one = {mech != GSS_C_NO_OID ? mech->length : 0, mech != GSS_C_NO_OID ? mech->elements : NULL};
    gssx_OID_set set = {one.octet_string_len > 0 ? 1 : 0, &one};
    ref.by_spec = true;
    return spec_from_wish(call, NULL, usage, &set, &ref.spec) && cred_begin(call, &ref, NULL, use);
}

/* ---- to the client ---- */

bool
cred_export_to_gssx(struct call *call, gss_cred_id_t cred, gssx_cred *to)
{
    AUTO(gss_owned_buffer) token = GSS_C_EMPTY_BUFFER;
    AUTO(gage_buf) handle = GAGE_BUF(1 << 20);
    OM_uint32 minor, major, lifetime = GSS_C_INDEFINITE;
    if (!cred_describe(cred, to, &call->status))
        return false;
    (void)gss_inquire_cred(&minor, cred, NULL, &lifetime, NULL, NULL);
    major = gss_export_cred(&minor, cred, &token);
    if (GSS_ERROR(major))
        return status_set(&call->status, major, minor, GSS_C_NO_OID);
    int64_t expires = lifetime == GSS_C_INDEFINITE ? 0 : call->now + (int64_t)lifetime;
    bool good = seal_payload(call, HANDLE_CRED, PAYLOAD_TOKEN, gss_slice(&token), SLICE_NONE, expires, &handle);
    gage_wipe(token.value, token.length);
    if (!good)
        return false;
    return gssx_put(&to->cred_handle_reference, gage_buf_slice(&handle)) ||
           status_fail(&call->status, GSS_S_FAILURE, ENOMEM, "out of memory");
}

bool
cred_to_gssx(struct call *call, const struct cred_ref *ref, struct cred_use *use, gssx_cred *to)
{
    if (use->pool != NULL)
        return warm_describe(call, &use->warm, &ref->spec, to);
    if (!ref->by_spec)
        return cred_export_to_gssx(call, use->cred, to);
    AUTO(gage_buf) handle = GAGE_BUF(SPEC_BYTES_MAX + 512);
    return cred_describe(use->cred, to, &call->status) && cred_seal_ref(call, HANDLE_CRED, ref, &handle) &&
           (gssx_put(&to->cred_handle_reference, gage_buf_slice(&handle)) ||
            status_fail(&call->status, GSS_S_FAILURE, ENOMEM, "out of memory"));
}

/* ---- tickets ---- */

static size_t
count_in(krb5_context context, krb5_ccache ccache)
{
    krb5_cc_cursor cursor;
    krb5_creds creds;
    size_t n = 0;
    if (krb5_cc_start_seq_get(context, ccache, &cursor) != 0)
        return 0;
    while (krb5_cc_next_cred(context, ccache, &cursor, &creds) == 0) {
        krb5_free_cred_contents(context, &creds);
        n++;
    }
    krb5_cc_end_seq_get(context, ccache, &cursor);
    return n;
}

size_t
cred_ticket_count(gss_cred_id_t cred)
{
    char name[64];
    memory_ccache_name(name, sizeof name);
    gss_key_value_element_desc row = {"ccache", name};
    gss_key_value_set_desc store = {1, &row};
    gss_OID_desc krb5 = mech_oid_krb5;
    OM_uint32 minor;
    krb5_context context = NULL;
    krb5_ccache ccache = NULL;
    size_t n = 0;
    if (GSS_ERROR(gss_store_cred_into(&minor, cred, GSS_C_INITIATE, &krb5, 1, 0, &store, NULL, NULL)) ||
        krb5_init_context(&context) != 0)
        return 0;
    if (krb5_cc_resolve(context, name, &ccache) == 0) {
        n = count_in(context, ccache);
        krb5_cc_destroy(context, ccache);
    }
    krb5_free_context(context);
    return n;
}
