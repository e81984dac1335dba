/* procs.h - the sixteen procedures. Each takes decoded arguments and fills a zeroed result; failures are in the call's status, which
 * execute() writes into the result. */
#ifndef GAGE_PROXYD_PROCS_H
#define GAGE_PROXYD_PROCS_H

#include "proxyd/call.h"
#include "proxyd/contexts.h"
#include "rpc/proc.h"

/* Decodes, runs, encodes: appends the results of procedure 0..15 to `results` and says how the call is answered. Nothing is appended
 * where that is not ANSWER_SUCCESS. May block inside the GSS-API or NSS. */
enum rpc_answer execute(struct call *call, uint32_t procedure, gage_slice args, gage_buf *results);
/* Appends results that hold nothing but a failure: for a call that is refused or timed out before it ran. */
enum rpc_answer execute_refusal(uint32_t procedure, const struct gss_status *status, gage_buf *results);

bool proc_indicate_mechs(struct call *call, gssx_arg_indicate_mechs *arg, gssx_res_indicate_mechs *res);
bool proc_get_call_context(struct call *call, gssx_arg_get_call_context *arg, gssx_res_get_call_context *res);
bool proc_import_and_canon_name(struct call *call, gssx_arg_import_and_canon_name *arg,
                                gssx_res_import_and_canon_name *res);
bool proc_export_cred(struct call *call, gssx_arg_export_cred *arg, gssx_res_export_cred *res);
bool proc_import_cred(struct call *call, gssx_arg_import_cred *arg, gssx_res_import_cred *res);
bool proc_acquire_cred(struct call *call, gssx_arg_acquire_cred *arg, gssx_res_acquire_cred *res);
bool proc_store_cred(struct call *call, gssx_arg_store_cred *arg, gssx_res_store_cred *res);
bool proc_init_sec_context(struct call *call, gssx_arg_init_sec_context *arg, gssx_res_init_sec_context *res);
bool proc_accept_sec_context(struct call *call, gssx_arg_accept_sec_context *arg, gssx_res_accept_sec_context *res);
bool proc_release_handle(struct call *call, gssx_arg_release_handle *arg, gssx_res_release_handle *res);
bool proc_get_mic(struct call *call, gssx_arg_get_mic *arg, gssx_res_get_mic *res);
bool proc_verify_mic(struct call *call, gssx_arg_verify_mic *arg, gssx_res_verify_mic *res);
bool proc_wrap(struct call *call, gssx_arg_wrap *arg, gssx_res_wrap *res);
bool proc_unwrap(struct call *call, gssx_arg_unwrap *arg, gssx_res_unwrap *res);
bool proc_wrap_size_limit(struct call *call, gssx_arg_wrap_size_limit *arg, gssx_res_wrap_size_limit *res);

#define PROC_NO_MEMORY(call) status_fail(&(call)->status, GSS_S_FAILURE, ENOMEM, "out of memory")

#endif
