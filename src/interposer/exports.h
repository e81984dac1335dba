/* exports.h - the calls that the GSS library looks up in an interposer: as gss_NAME in its headers, or as its mechanism interface has them. */
#ifndef GAGE_INTERPOSER_EXPORTS_H
#define GAGE_INTERPOSER_EXPORTS_H

#include "interposer/seam.h"

/* What the GSS library calls once: the mechanisms to stand in for, NULL for none. */
gss_OID_set gss_mech_interposer(gss_OID own);

/* gssi_attribute.c */
OM_uint32 gssi_inquire_name(OM_uint32 *minor, gss_name_t handle, int *is_mn, gss_OID *mech,
                            gss_buffer_set_t *attributes);
OM_uint32 gssi_get_name_attribute(OM_uint32 *minor, gss_name_t handle, gss_buffer_t attribute, int *authenticated,
                                  int *complete, gss_buffer_t value, gss_buffer_t shown, int *more);
OM_uint32 gssi_set_name_attribute(OM_uint32 *minor, gss_name_t handle, int complete, gss_buffer_t attribute,
                                  gss_buffer_t value);
OM_uint32 gssi_delete_name_attribute(OM_uint32 *minor, gss_name_t handle, gss_buffer_t attribute);
OM_uint32 gssi_map_name_to_any(OM_uint32 *minor, gss_name_t handle, int authenticated, gss_buffer_t type,
                               gss_any_t *out);
OM_uint32 gssi_release_any_name_mapping(OM_uint32 *minor, gss_name_t handle, gss_buffer_t type, gss_any_t *input);

/* gssi_context.c */
OM_uint32 gssi_delete_sec_context(OM_uint32 *minor, gss_ctx_id_t *handle, gss_buffer_t output);
OM_uint32 gssi_context_time(OM_uint32 *minor, gss_ctx_id_t handle, OM_uint32 *time_rec);
OM_uint32 gssi_inquire_context(OM_uint32 *minor, gss_ctx_id_t handle, gss_name_t *source, gss_name_t *target,
                               OM_uint32 *lifetime, gss_OID *mech, OM_uint32 *flags, int *locally_initiated, int *open);
OM_uint32 gssi_export_sec_context(OM_uint32 *minor, gss_ctx_id_t *handle, gss_buffer_t token);
OM_uint32 gssi_import_sec_context_by_mech(OM_uint32 *minor, gss_OID mech, gss_buffer_t token, gss_ctx_id_t *out);
OM_uint32 gssi_inquire_sec_context_by_oid(OM_uint32 *minor, const gss_ctx_id_t handle, const gss_OID object,
                                          gss_buffer_set_t *data);
OM_uint32 gssi_set_sec_context_option(OM_uint32 *minor, gss_ctx_id_t *handle, const gss_OID object,
                                      const gss_buffer_t value);
OM_uint32 gssi_process_context_token(OM_uint32 *minor, const gss_ctx_id_t handle, const gss_buffer_t token);
OM_uint32 gssi_complete_auth_token(OM_uint32 *minor, const gss_ctx_id_t handle, gss_buffer_t token);
OM_uint32 gssi_pseudo_random(OM_uint32 *minor, gss_ctx_id_t handle, int key, const gss_buffer_t input, ssize_t n,
                             gss_buffer_t output);

/* gssi_cred.c */
OM_uint32 gssi_acquire_cred_from(OM_uint32 *minor, gss_name_t name, OM_uint32 time, gss_OID_set mechs,
                                 gss_cred_usage_t usage, gss_const_key_value_set_t store, gss_cred_id_t *out,
                                 gss_OID_set *actual, OM_uint32 *time_rec);
OM_uint32 gssi_acquire_cred(OM_uint32 *minor, gss_name_t name, OM_uint32 time, gss_OID_set mechs,
                            gss_cred_usage_t usage, gss_cred_id_t *out, gss_OID_set *actual, OM_uint32 *time_rec);
OM_uint32 gssi_acquire_cred_with_password(OM_uint32 *minor, const gss_name_t name, const gss_buffer_t password,
                                          OM_uint32 time, const gss_OID_set mechs, gss_cred_usage_t usage,
                                          gss_cred_id_t *out, gss_OID_set *actual, OM_uint32 *time_rec);
OM_uint32 gssi_acquire_cred_impersonate_name(OM_uint32 *minor, const gss_cred_id_t impersonator, const gss_name_t name,
                                             OM_uint32 time, const gss_OID_set mechs, gss_cred_usage_t usage,
                                             gss_cred_id_t *out, gss_OID_set *actual, OM_uint32 *time_rec);
OM_uint32 gssi_release_cred(OM_uint32 *minor, gss_cred_id_t *handle);
OM_uint32 gssi_export_cred(OM_uint32 *minor, gss_cred_id_t handle, gss_buffer_t token);
OM_uint32 gssi_import_cred_by_mech(OM_uint32 *minor, gss_OID mech, gss_buffer_t token, gss_cred_id_t *out);
OM_uint32 gssi_import_cred(OM_uint32 *minor, gss_buffer_t token, gss_cred_id_t *out);
OM_uint32 gssi_store_cred_into(OM_uint32 *minor, gss_cred_id_t handle, gss_cred_usage_t usage, gss_OID mech,
                               OM_uint32 overwrite, OM_uint32 make_default, gss_const_key_value_set_t store,
                               gss_OID_set *stored, gss_cred_usage_t *usage_stored);
OM_uint32 gssi_store_cred(OM_uint32 *minor, const gss_cred_id_t handle, gss_cred_usage_t usage, const gss_OID mech,
                          OM_uint32 overwrite, OM_uint32 make_default, gss_OID_set *stored,
                          gss_cred_usage_t *usage_stored);

/* gssi_establish.c */
OM_uint32 gssi_init_sec_context(OM_uint32 *minor, gss_cred_id_t cred, gss_ctx_id_t *handle, gss_name_t target,
                                gss_OID mech, OM_uint32 flags, OM_uint32 time, gss_channel_bindings_t bindings,
                                gss_buffer_t input, gss_OID *actual, gss_buffer_t output, OM_uint32 *ret_flags,
                                OM_uint32 *time_rec);
OM_uint32 gssi_accept_sec_context(OM_uint32 *minor, gss_ctx_id_t *handle, gss_cred_id_t cred, gss_buffer_t input,
                                  gss_channel_bindings_t bindings, gss_name_t *source, gss_OID *actual,
                                  gss_buffer_t output, OM_uint32 *ret_flags, OM_uint32 *time_rec,
                                  gss_cred_id_t *delegated);

/* gssi_inquire.c */
OM_uint32 gssi_inquire_cred_by_mech(OM_uint32 *minor, gss_cred_id_t handle, gss_OID mech, gss_name_t *name,
                                    OM_uint32 *initiate, OM_uint32 *accept, gss_cred_usage_t *usage);
OM_uint32 gssi_inquire_cred(OM_uint32 *minor, gss_cred_id_t handle, gss_name_t *name, OM_uint32 *lifetime,
                            gss_cred_usage_t *usage, gss_OID_set *mechs);
OM_uint32 gssi_inquire_cred_by_oid(OM_uint32 *minor, const gss_cred_id_t handle, const gss_OID object,
                                   gss_buffer_set_t *data);
OM_uint32 gssi_set_cred_option(OM_uint32 *minor, gss_cred_id_t *handle, const gss_OID object, const gss_buffer_t value);

/* gssi_iov.c */
OM_uint32 gssi_wrap_iov(OM_uint32 *minor, gss_ctx_id_t handle, int conf, gss_qop_t qop, int *state,
                        gss_iov_buffer_desc *iov, int count);
OM_uint32 gssi_unwrap_iov(OM_uint32 *minor, gss_ctx_id_t handle, int *state, gss_qop_t *qop, gss_iov_buffer_desc *iov,
                          int count);
OM_uint32 gssi_wrap_iov_length(OM_uint32 *minor, gss_ctx_id_t handle, int conf, gss_qop_t qop, int *state,
                               gss_iov_buffer_desc *iov, int count);
OM_uint32 gssi_get_mic_iov(OM_uint32 *minor, gss_ctx_id_t handle, gss_qop_t qop, gss_iov_buffer_desc *iov, int count);
OM_uint32 gssi_get_mic_iov_length(OM_uint32 *minor, gss_ctx_id_t handle, gss_qop_t qop, gss_iov_buffer_desc *iov,
                                  int count);
OM_uint32 gssi_verify_mic_iov(OM_uint32 *minor, gss_ctx_id_t handle, gss_qop_t *qop, gss_iov_buffer_desc *iov,
                              int count);
OM_uint32 gssi_wrap_aead(OM_uint32 *minor, gss_ctx_id_t handle, int conf, gss_qop_t qop, gss_buffer_t associated,
                         gss_buffer_t payload, int *state, gss_buffer_t token);
OM_uint32 gssi_unwrap_aead(OM_uint32 *minor, gss_ctx_id_t handle, gss_buffer_t token, gss_buffer_t associated,
                           gss_buffer_t payload, int *state, gss_qop_t *qop);

/* gssi_mech.c */
OM_uint32 gssi_display_status(OM_uint32 *minor, OM_uint32 value, int type, gss_OID mech, OM_uint32 *message_context,
                              gss_buffer_t text);
OM_uint32 gssi_indicate_mechs(OM_uint32 *minor, gss_OID_set *out);
OM_uint32 gssi_inquire_names_for_mech(OM_uint32 *minor, gss_OID mech, gss_OID_set *types);
OM_uint32 gssi_inquire_attrs_for_mech(OM_uint32 *minor, gss_const_OID mech, gss_OID_set *attributes,
                                      gss_OID_set *known);
OM_uint32 gssi_inquire_saslname_for_mech(OM_uint32 *minor, const gss_OID mech, gss_buffer_t sasl_name,
                                         gss_buffer_t name, gss_buffer_t description);
OM_uint32 gssi_inquire_mech_for_saslname(OM_uint32 *minor, const gss_buffer_t wanted, gss_OID *out);
OM_uint32 gssi_internal_release_oid(OM_uint32 *minor, gss_OID *oid);
OM_uint32 gssi_mech_invoke(OM_uint32 *minor, const gss_OID mech, const gss_OID object, gss_buffer_t value);

/* gssi_message.c */
OM_uint32 gssi_get_mic(OM_uint32 *minor, gss_ctx_id_t handle, gss_qop_t qop, gss_buffer_t message, gss_buffer_t token);
OM_uint32 gssi_verify_mic(OM_uint32 *minor, gss_ctx_id_t handle, gss_buffer_t message, gss_buffer_t token,
                          gss_qop_t *qop);
OM_uint32 gssi_wrap(OM_uint32 *minor, gss_ctx_id_t handle, int conf, gss_qop_t qop, gss_buffer_t message, int *state,
                    gss_buffer_t token);
OM_uint32 gssi_unwrap(OM_uint32 *minor, gss_ctx_id_t handle, gss_buffer_t token, gss_buffer_t message, int *state,
                      gss_qop_t *qop);
OM_uint32 gssi_wrap_size_limit(OM_uint32 *minor, gss_ctx_id_t handle, int conf, gss_qop_t qop, OM_uint32 output,
                               OM_uint32 *input);

/* gssi_name.c */
OM_uint32 gssi_import_name_by_mech(OM_uint32 *minor, gss_OID mech, gss_buffer_t bytes, gss_OID type, gss_name_t *out);
OM_uint32 gssi_import_name(OM_uint32 *minor, gss_buffer_t bytes, gss_OID type, gss_name_t *out);
OM_uint32 gssi_duplicate_name(OM_uint32 *minor, const gss_name_t from, gss_name_t *out);
OM_uint32 gssi_release_name(OM_uint32 *minor, gss_name_t *handle);
OM_uint32 gssi_compare_name(OM_uint32 *minor, gss_name_t a, gss_name_t b, int *equal);
OM_uint32 gssi_display_name(OM_uint32 *minor, gss_name_t handle, gss_buffer_t out, gss_OID *type);
OM_uint32 gssi_display_name_ext(OM_uint32 *minor, gss_name_t handle, gss_OID as, gss_buffer_t out);
OM_uint32 gssi_export_name(OM_uint32 *minor, const gss_name_t handle, gss_buffer_t out);
OM_uint32 gssi_export_name_composite(OM_uint32 *minor, gss_name_t handle, gss_buffer_t out);
OM_uint32 gssi_localname(OM_uint32 *minor, const gss_name_t handle, gss_const_OID mech, gss_buffer_t out);
OM_uint32 gssi_authorize_localname(OM_uint32 *minor, const gss_name_t handle, gss_const_buffer_t user,
                                   gss_const_OID type);

#endif
