/* kit.h - what the stories of the mechanism share: it is used through mech.d and the public GSS calls only. */
#ifndef GAGE_TEST_OTC_KIT_H
#define GAGE_TEST_OTC_KIT_H

#include "unit/test.h"

#include <gssapi/gssapi_ext.h>

#include "base/encode.h"

/* Makes a temporary mech configuration with the plugin of the installed tree ($GAGE_PREFIX, else build/root); before any GSS call. */
void kit_start(void);
/* A temporary folder of this process, removed at its end. */
const char *kit_folder(void);
gss_OID kit_mech(void);

struct kit_text {
    char c[64];
};
/* A fresh link secret's text. */
struct kit_text kit_secret(void);
/* A fresh pair of secret files in the folder. */
void kit_secret_files(const char *a, const char *b);
/* A path in the folder. */
struct kit_path {
    char c[256];
};
struct kit_path kit_path(const char *name);

/* A credential from store pairs "key", "value", ..., NULL. */
gss_cred_id_t kit_acquire(gss_cred_usage_t usage, ...);
OM_uint32 kit_try_acquire(OM_uint32 *minor, gss_cred_usage_t usage, gss_cred_id_t *cred, const char *const *pairs);
gss_name_t kit_name(const char *text, gss_OID type);
gss_buffer_desc kit_buffer(const char *text);

/* The number of the row of doc/otc.md section 13 that a minor status stands for, found by its sentence: the GSS library may renumber
 * minors. */
void kit_assert_status(OM_uint32 major, OM_uint32 minor, OM_uint32 expected_major, const char *sentence_start);

struct kit_side {
    gss_ctx_id_t ctx;
    gss_cred_id_t cred;
    gss_channel_bindings_t bindings;
    OM_uint32 major, minor, flags, time;
    gss_buffer_desc token; /* the last one made */
    gss_name_t peer;       /* the acceptor's src_name */
};
struct kit_pair {
    struct kit_side i, a;
};

/* One call of init or accept; the former token is released. */
void kit_init(struct kit_side *side, OM_uint32 flags, OM_uint32 time_req, const gss_buffer_desc *input);
void kit_accept(struct kit_side *side, const gss_buffer_desc *input);
/* A complete pair over a fresh link, with these request flags. */
struct kit_pair kit_pair(OM_uint32 flags);
/* The three tokens over the pair's credentials; asserts that they complete. */
void kit_establish(struct kit_pair *pair, OM_uint32 flags);
void kit_side_free(struct kit_side *side);
void kit_pair_free(struct kit_pair *pair);

/* Wraps with confidentiality; asserts. The caller releases. */
gss_buffer_desc kit_wrap(gss_ctx_id_t ctx, const char *text);
/* Asserts that the token unwraps to the text, with this supplementary status. */
void kit_unwrap(gss_ctx_id_t ctx, const gss_buffer_desc *token, const char *text, OM_uint32 supplementary);
gss_buffer_desc kit_copy(const gss_buffer_desc *buffer);
void kit_release(gss_buffer_desc *buffer);

#endif
