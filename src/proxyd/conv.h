/* conv.h - between the protocol's structures and the GSS-API's. What is made for a result is allocated with malloc, as xdr_free
 * releases it. Functions that can fail in the GSS-API fill the status. */
#ifndef GAGE_PROXYD_CONV_H
#define GAGE_PROXYD_CONV_H

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>

#include "proxyd/status.h"
#include "rpc/value.h"

/* ---- scope-end releases ---- */

#define GAGE_GSS_AUTO(type, release)                                                                                   \
    static inline void gage_free_##type(type *v)                                                                       \
    {                                                                                                                  \
        OM_uint32 minor;                                                                                               \
        release;                                                                                                       \
    }                                                                                                                  \
    GAGE_AUTO_DEFINE(type, gage_free_##type)
typedef gss_buffer_desc gss_owned_buffer;
/* MIT's library keeps the memory of a buffer that it thinks empty, though it made it: an empty local name. */
GAGE_GSS_AUTO(gss_owned_buffer, v->length += v->length == 0 && v->value != NULL; gss_release_buffer(&minor, v))
GAGE_GSS_AUTO(gss_name_t, gss_release_name(&minor, v))
GAGE_GSS_AUTO(gss_cred_id_t, gss_release_cred(&minor, v))
GAGE_GSS_AUTO(gss_ctx_id_t, gss_delete_sec_context(&minor, v, GSS_C_NO_BUFFER))
GAGE_GSS_AUTO(gss_OID_set, gss_release_oid_set(&minor, v))
GAGE_GSS_AUTO(gss_buffer_set_t, gss_release_buffer_set(&minor, v))

/* ---- bytes ---- */

/* Borrows. */
gss_buffer_desc gss_buffer_of(const octet_string *from);
gss_OID_desc gss_oid_of(const gssx_OID *from);
static inline gage_slice
gss_slice(const gss_buffer_desc *b)
{
    return gage_slice_of(b->value, b->length);
}

bool gssx_put_oid_set(gssx_OID_set *to, gss_OID_set from);

/* ---- names ---- */

/* gss_import_name for bytes that a client wrote (type empty: none); what the library could be hurt with is refused (import_name.c). */
bool name_import(gage_slice bytes, gage_slice type, gss_name_t *name, struct gss_status *s);
/* Imports: the display name with its type where there is one, else the composite, else the exported form. name_set_attributes sets
 * attributes on it.
 * BAD_NAME where it is empty. */
bool name_set_attributes(const gssx_name_attrs *attributes, gss_name_t name, struct gss_status *s);
bool name_from_gssx(const gssx_name *from, gss_name_t *to, struct gss_status *s);
/* Fills a zeroed *to with every form the name has, and its attributes where `attributes` says so. */
bool name_to_gssx(gss_name_t from, bool attributes, gssx_name *to, struct gss_status *s);
/* Appends the display form for the log. */
void name_show(gss_name_t name, gage_buf *out);
void gssx_name_show(const gssx_name *name, gage_buf *out);
/* The same as text, cut to what fits. */
void gssx_name_text(const gssx_name *name, char *text, size_t size);

/* ---- usage and bindings ---- */

gssx_cred_usage usage_to_gssx(gss_cred_usage_t usage);
gss_cred_usage_t usage_from_gssx(gssx_cred_usage usage);
/* Borrows from *from. */
void bindings_from_gssx(const gssx_cb *from, struct gss_channel_bindings_struct *to);

/* ---- credentials ---- */

/* Describes a credential: names, elements, lifetimes; leaves the handle reference empty. */
bool cred_describe(gss_cred_id_t cred, gssx_cred *to, struct gss_status *s);
/* Copies what it made; false where memory is short. */
bool cred_copy_described(gssx_cred *to, const gssx_cred *from);
/* Applies the options that its elements carry (krb5_set_allowed_enctype_values, krb5_set_no_ci_flags). */
bool cred_apply_options(const gssx_cred *from, gss_cred_id_t *cred, struct gss_status *s);
bool cred_has_options(const gssx_cred *from);

#endif
