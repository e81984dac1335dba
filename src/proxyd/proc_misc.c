/* GET_CALL_CONTEXT, RELEASE_HANDLE and STORE_CRED. */
#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gssapi/gssapi_krb5.h>

#include "proxyd/cred.h"
#include "proxyd/mech.h"
#include "proxyd/procs.h"

/* ---- GET_CALL_CONTEXT ---- */

/* The server's half of a call context: it names the service that answers and when it began, sealed for this client. A client may send it
 * along with later calls; it grants nothing. */
bool
proc_get_call_context(struct call *call, gssx_arg_get_call_context *arg, gssx_res_get_call_context *res)
{
    AUTO(gage_buf) payload = GAGE_BUF(512), sealed = GAGE_BUF(1024);
    struct handle_scope scope = call_scope(call);
    put_u64(&payload, (uint64_t)call->now);
    put_u32(&payload, call->peer->uid);
    if (payload.bad || !gage_ok(vault_seal(call->engine->vault, HANDLE_CALL, &scope, SLICE_NONE, 0,
                                           gage_buf_slice(&payload), &sealed)))
        return status_fail(&call->status, GSS_S_FAILURE, EIO, "the call context could not be sealed");
    return (gssx_put(&res->server_call_ctx, gage_buf_slice(&sealed)) &&
            gssx_put(&res->status.server_ctx, gage_buf_slice(&sealed)) &&
            option_add(&res->options, "service", slice_str(call->service->name))) ||
           PROC_NO_MEMORY(call);
}

/* ---- RELEASE_HANDLE ---- */

static bool
release_cred(struct call *call, const gssx_cred *cred)
{
    AUTO(cred_ref) ref = CRED_REF_EMPTY;
    return cred_open(call, HANDLE_CRED, gssx_slice(&cred->cred_handle_reference), &ref);
}

static bool
release_context(struct call *call, const gssx_ctx *ctx)
{
    struct live_context live = {0};
    if (ctx->state.octet_string_len == 0) /* exported only: nothing of it is here */
        return true;
    if (!context_open(call, gssx_slice(&ctx->state), &live))
        return false;
    context_drop(call, &live);
    return true;
}

bool
proc_release_handle(struct call *call, gssx_arg_release_handle *arg, gssx_res_release_handle *res)
{
    switch (arg->cred_handle.handle_type) {
    case GSSX_C_HANDLE_CRED:
        return release_cred(call, &arg->cred_handle.gssx_handle_u.cred_info);
    case GSSX_C_HANDLE_SEC_CTX:
        return release_context(call, &arg->cred_handle.gssx_handle_u.sec_ctx_info);
    }
    return status_fail(&call->status, GSS_S_FAILURE, EINVAL, "there is no handle of type %d",
                       (int)arg->cred_handle.handle_type);
}

/* ---- STORE_CRED ---- */

struct store_job {
    struct call *call;
    const gssx_arg_store_cred *arg;
    gss_cred_id_t cred;
    const struct cred_store *store;
    gss_OID_set stored;
    gss_cred_usage_t usage;
    bool good;
};

/* SPNEGO's credential is krb5's underneath, and MIT's SPNEGO answers that it stored where it did not: krb5's is what is stored. */
static bool
stored_well(struct store_job *job, bool spnego)
{
    OM_uint32 minor;
    if (job->stored == GSS_C_NO_OID_SET || job->stored->count == 0)
        return status_fail(&job->call->status, GSS_S_UNAVAILABLE, ENOTSUP, "the mechanism stores no credentials");
    return !spnego || !GSS_ERROR(gss_add_oid_set_member(&minor, (gss_OID)(uintptr_t)&mech_oid_spnego, &job->stored)) ||
           PROC_NO_MEMORY(job->call);
}

static void
store_now(struct store_job *job)
{
    gss_OID_desc asked = gss_oid_of(&job->arg->desired_mech);
    bool spnego = mech_equal(&asked, &mech_oid_spnego);
    gss_OID_desc mech = spnego ? mech_oid_krb5 : asked;
    gss_key_value_set_desc set = {(OM_uint32)job->store->count,
                                  (gss_key_value_element_desc *)(uintptr_t)job->store->rows};
    OM_uint32 minor, major;
    lock_until_ns = users_lock_end();
    major = gss_store_cred_into(&minor, job->cred, usage_from_gssx(job->arg->cred_usage),
                                mech.length > 0 ? &mech : GSS_C_NO_OID, (OM_uint32)job->arg->overwrite_cred,
                                (OM_uint32)job->arg->default_cred, &set, &job->stored, &job->usage);
    lock_until_ns = 0;
    job->good = status_set(&job->call->status, major, minor, mech.length > 0 ? &mech : &mech_oid_krb5) &&
                stored_well(job, spnego);
}

/* Only this thread's ids change: the raw system calls do that, the library's wrappers would change the whole process. The thread ends
 * afterwards and nothing else runs in it. The effective ids decide about files and peers; real and saved ones stay, because whoever
 * shares those with a thread may end the process that it is part of (kill(2)). */
static void *
store_as_user(void *context)
{
    struct store_job *job = context;
    uid_t uid = job->call->peer->uid;
    struct passwd entry, *found = NULL;
    char buffer[16384];
    (void)getpwuid_r(uid, &entry, buffer, sizeof buffer, &found);
    gid_t gid = found != NULL ? found->pw_gid : job->call->peer->gid;
    if (syscall(SYS_setgroups, 0, NULL) != 0 || syscall(SYS_setresgid, -1, gid, -1) != 0 ||
        syscall(SYS_setresuid, -1, uid, -1) != 0) {
        job->good = status_fail(&job->call->status, GSS_S_UNAUTHORIZED, errno,
                                "the daemon cannot write as uid %u: it runs without that privilege", uid);
        return NULL;
    }
    store_now(job);
    return NULL;
}

static bool
run_store(struct call *call, struct store_job *job)
{
    pthread_t thread;
    if (call->peer->uid == geteuid()) {
        store_now(job);
        return job->good;
    }
    if (pthread_create(&thread, NULL, store_as_user, job) != 0)
        return status_fail(&call->status, GSS_S_FAILURE, EAGAIN, "no thread could be started");
    pthread_join(thread, NULL);
    return job->good;
}

/* The cache: the service's own for this uid, else the uid's default one. Never a keytab or another's file. */
static bool
store_target(struct call *call, struct cred_store *target)
{
    AUTO(cred_ref) ref = CRED_REF_EMPTY;
    AUTO(cred_store) all = {0};
    char fallback[64];
    ref.spec.uid = call->peer->uid;
    if (!store_expand(call, &ref.spec, &all))
        return false;
    snprintf(fallback, sizeof fallback, "FILE:/tmp/krb5cc_%u", call->peer->uid);
    const char *ccache = store_find(&all, "ccache");
    return store_set(call, target, "ccache", ccache != NULL ? ccache : fallback);
}

bool
proc_store_cred(struct call *call, gssx_arg_store_cred *arg, gssx_res_store_cred *res)
{
    AUTO(cred_ref) ref = CRED_REF_EMPTY;
    AUTO(cred_use) use = {0};
    AUTO(cred_store) target = {0};
    AUTO(gss_OID_set) stored = GSS_C_NO_OID_SET;
    if (!cred_open(call, HANDLE_CRED, gssx_slice(&arg->input_cred_handle.cred_handle_reference), &ref))
        return false;
    spec_for_storing(&ref.spec);
    if (!cred_begin(call, &ref, NULL, &use) || !store_target(call, &target))
        return false;
    snprintf(call->target, sizeof call->target, "%s", store_find(&target, "ccache"));
    struct store_job job = {.call = call, .arg = arg, .cred = use.cred, .store = &target};
    bool good = run_store(call, &job);
    stored = job.stored;
    if (!good)
        return false;
    res->cred_usage_stored = usage_to_gssx(job.usage);
    return gssx_put_oid_set(&res->elements_stored, stored) || PROC_NO_MEMORY(call);
}
