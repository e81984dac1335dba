#include "proxyd/extract.h"

#include <sys/stat.h>
#include <string.h>
#include <unistd.h>

#include <krb5.h>

#include "base/clock.h"
#include "proxyd/cred.h"
#include "rpc/proc.h"

#define KEPT_AS "Encrypted/Credentials/v1@X-GSSPROXY:"

struct krb {
    krb5_context context;
    krb5_ccache ccache;
    krb5_creds want, found;
};

static void
krb_free(struct krb *k)
{
    if (k->context == NULL)
        return;
    krb5_free_cred_contents(k->context, &k->found);
    krb5_free_cred_contents(k->context, &k->want);
    if (k->ccache != NULL)
        krb5_cc_close(k->context, k->ccache);
    krb5_free_context(k->context);
}

/* The ticket that is none. */
static gage_rc
read_kept(struct krb *k, const char *from, struct gage_err *err)
{
    REQUIRE(krb5_init_context(&k->context) == 0, err, GAGE_E_INTERNAL, "Kerberos could not be initialised");
    krb5_error_code failed = krb5_cc_resolve(k->context, from, &k->ccache);
    if (failed == 0)
        failed = krb5_cc_get_principal(k->context, k->ccache, &k->want.client);
    if (failed == 0)
        failed = krb5_parse_name(k->context, KEPT_AS, &k->want.server);
    if (failed == 0)
        failed = krb5_cc_retrieve_cred(k->context, k->ccache, 0, &k->want, &k->found);
    if (failed == 0)
        return GAGE_DONE;
    const char *text = krb5_get_error_message(k->context, failed);
    gage_rc rc = gage_fail(err, GAGE_E_NOT_FOUND, "%.80s holds no credential of gssproxy's: %.120s", from, text);
    krb5_free_error_message(k->context, text);
    return rc;
}

static gage_rc
gss_failure(const struct call *call, const char *what, struct gage_err *err)
{
    return gage_fail(err, GAGE_E_GSS, "%s: %.80s: %.120s", what, call->status.major_text, call->status.minor_text);
}

static gage_rc
store(struct call *call, const struct cred_use *use, const char *into, struct gage_err *err)
{
    gss_key_value_element_desc row = {"ccache", into};
    gss_key_value_set_desc set = {1, &row};
    OM_uint32 minor, major;
    major = gss_store_cred_into(&minor, use->cred, GSS_C_INITIATE, GSS_C_NO_OID, 1, 1,
                                into != NULL ? &set : GSS_C_NO_CRED_STORE, NULL, NULL);
    if (status_set(&call->status, major, minor, GSS_C_NO_OID))
        return GAGE_DONE;
    return gss_failure(call, "the credential could not be stored", err);
}

/* The acting uid is not in the handle: it is the cache's owner's, else anybody's the service allows. */
static bool
open_under(struct call *call, gage_slice handle, struct peer *peer, struct cred_ref *ref)
{
    uid_t tries[] = {peer->uid, call->service->euid, getuid()};
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        peer->uid = tries[i];
        if (cred_open(call, HANDLE_CRED, handle, ref))
            return true;
    }
    return false;
}

static gage_rc
extract(struct engine *engine, struct conf *conf, const gssx_cred *kept, uid_t owner, const char *into,
        struct gage_err *err)
{
    for (size_t i = 0; i < conf->service_count; i++) {
        struct peer peer = {.uid = owner};
        struct call call = {
            .engine = engine, .conf = conf, .service = &conf->services[i], .peer = &peer, .now = clock_now()};
        AUTO(cred_ref) ref = CRED_REF_EMPTY;
        AUTO(cred_use) use = {0};
        status_clear(&call.status);
        if (!open_under(&call, gssx_slice(&kept->cred_handle_reference), &peer, &ref))
            continue;
        if (!cred_begin(&call, &ref, NULL, &use))
            return gss_failure(&call, "the credential could not be acquired", err);
        return store(&call, &use, into, err);
    }
    return gage_fail(err, GAGE_E_AUTH,
                     "the credential was not sealed by this daemon for any configured service and this user");
}

/* Whose cache it is: the owner of its file, or whoever runs this. */
static uid_t
owner_of(const char *ccache)
{
    struct stat st;
    const char *path = strncmp(ccache, "FILE:", 5) == 0 ? ccache + 5 : ccache;
    return path[0] == '/' && stat(path, &st) == 0 ? st.st_uid : getuid();
}

gage_rc
extract_ccache(struct conf *conf, const char *state_dir, const char *from, const char *into, struct gage_err *err)
{
    __attribute__((cleanup(krb_free))) struct krb k = {0};
    struct engine engine = {0};
    gssx_cred kept = {0};
    TRY(read_kept(&k, from, err));
    TRY(vault_open(state_dir, clock_now(), &engine.vault, err));
    engine.warm = warm_new();
    gage_rc rc = engine.warm == NULL ? gage_fail(err, GAGE_E_NOMEM, "out of memory")
                                     : gssx_decode(GSSX_XDR(gssx_cred),
                                                   gage_slice_of(k.found.ticket.data, k.found.ticket.length), &kept);
    if (gage_ok(rc))
        rc = extract(&engine, conf, &kept, owner_of(from), into, err);
    else if (rc.code == GAGE_E_FORMAT)
        rc = gage_fail(err, GAGE_E_FORMAT, "what %.80s keeps is not a credential of gssproxy's", from);
    xdr_free(GSSX_XDR(gssx_cred), &kept);
    warm_free(&engine.warm);
    vault_close(&engine.vault);
    return rc;
}
