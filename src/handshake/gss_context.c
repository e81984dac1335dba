/* The handshake over the system's GSS-API. */
#include <stdlib.h>
#include <string.h>

#include <gssapi/gssapi_ext.h>

#include "base/clock.h"
#include "base/encode.h"
#include "handshake/context.h"

#define FLAGS_ALWAYS (GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG)
#define FLAGS_DEMANDED (GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG)
#define STATE_VERSION 1

struct gss_handshake {
    struct handshake common;
    gss_ctx_id_t context;
    gss_cred_id_t credential;
    gss_name_t target;
    OM_uint32 wanted, granted;
    gage_buf bindings; /* application data */
};

static const struct handshake_ops gss_ops;

static struct gss_handshake *
self(struct handshake *handshake)
{
    return (struct gss_handshake *)handshake;
}

static gss_OID
oid_of(struct gss_handshake *h)
{
    return mechanism_oid(h->common.mechanism);
}

static gage_rc
failed(struct gss_handshake *h, struct gage_err *err, OM_uint32 major, OM_uint32 minor, const char *what)
{
    return gss_fail(err, major, minor, oid_of(h), what);
}

static void
gss_destroy(struct handshake *handshake)
{
    struct gss_handshake *h = self(handshake);
    gss_ctx_drop(&h->context);
    gss_cred_drop(&h->credential);
    gss_name_drop(&h->target);
    gage_buf_free(&h->bindings);
    free(h);
}

/* ---- beginning ---- */

static gage_rc
import_name(const char *text, gss_OID type, gss_name_t *out, struct gage_err *err)
{
    OM_uint32 minor;
    gss_buffer_desc buffer = gss_buffer_of(slice_str(text));
    OM_uint32 major = gss_import_name(&minor, &buffer, type, out);
    return major == GSS_S_COMPLETE ? GAGE_DONE : gss_fail(err, major, minor, GSS_C_NO_OID, "the name is not usable");
}

/* The acceptor's name as the initiator's calls want it: a mechanism without names of its own takes any. */
static gage_rc
set_target(struct gss_handshake *h, const struct handshake_spec *spec, struct gage_err *err)
{
    if (!spec->initiate)
        return GAGE_DONE;
    if (spec->target != NULL && spec->target[0] != '\0')
        return import_name(spec->target, GSS_C_NT_HOSTBASED_SERVICE, &h->target, err);
    REQUIRE(spec->mechanism->link_secret, err, GAGE_E_USAGE,
            "the mechanism %s needs the other side's name, as service@host", spec->mechanism->name);
    return import_name("gage", GSS_C_NT_USER_NAME, &h->target, err);
}

/* Text forms of what goes into the credential store; the secret's is wiped with the buffer. */
struct store {
    gss_key_value_element_desc elements[6];
    gss_key_value_set_desc set;
    gage_buf secret;
    char not_after[RFC3339_LEN + 1];
};

static void
store_add(struct store *store, const char *key, const char *value)
{
    if (key == NULL || value == NULL || value[0] == '\0')
        return;
    store->elements[store->set.count].key = key;
    store->elements[store->set.count].value = value;
    store->set.count++;
}

static gage_rc
store_fill(struct store *store, const struct handshake_spec *spec, struct gage_err *err)
{
    const struct mechanism *m = spec->mechanism;
    store->set.elements = store->elements;
    if (spec->secret.n > 0) {
        put_base64url(&store->secret, spec->secret);
        put_u8(&store->secret, 0);
        TRY(buf_check(&store->secret, err));
        store_add(store, m->key_secret, (const char *)store->secret.p);
    }
    store_add(store, m->key_secret_file, spec->secret_file);
    if (!spec->initiate)
        return GAGE_DONE;
    store_add(store, m->key_purpose, spec->purpose);
    store_add(store, m->key_title, spec->title);
    store_add(store, m->key_format, spec->format);
    if (spec->not_after != 0) {
        rfc3339_format(spec->not_after, store->not_after);
        store_add(store, m->key_not_after, store->not_after);
    }
    return GAGE_DONE;
}

static gage_rc
acquire_from_secret(struct gss_handshake *h, const struct handshake_spec *spec, struct gage_err *err)
{
    struct store store = {.secret = GAGE_BUF(256)};
    OM_uint32 major = GSS_S_FAILURE, minor = 0;
    gss_OID_set_desc mechs = {.count = 1, .elements = oid_of(h)};
    gage_rc rc = store_fill(&store, spec, err);
    if (gage_ok(rc)) {
        major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &mechs,
                                      spec->initiate ? GSS_C_INITIATE : GSS_C_ACCEPT, &store.set, &h->credential, NULL,
                                      NULL);
        if (major != GSS_S_COMPLETE)
            rc = failed(h, err, major, minor, "no credential from the link secret");
    }
    gage_buf_free(&store.secret);
    return rc;
}

/* What is installed on this machine: a ticket to initiate with, keys to accept with. */
static gage_rc
acquire_default(struct gss_handshake *h, const struct handshake_spec *spec, struct gage_err *err)
{
    OM_uint32 minor;
    AUTO(gss_name_t) name = GSS_C_NO_NAME;
    gss_OID_set_desc mechs = {.count = 1, .elements = oid_of(h)};
    if (!spec->initiate && spec->local != NULL && spec->local[0] != '\0')
        TRY(import_name(spec->local, GSS_C_NT_HOSTBASED_SERVICE, &name, err));
    OM_uint32 major = gss_acquire_cred(&minor, name, GSS_C_INDEFINITE, &mechs,
                                       spec->initiate ? GSS_C_INITIATE : GSS_C_ACCEPT, &h->credential, NULL, NULL);
    return major == GSS_S_COMPLETE
               ? GAGE_DONE
               : failed(h, err, major, minor,
                        spec->initiate ? "no credential to initiate with" : "no key to accept with");
}

static gage_rc
new_handshake(const struct handshake_spec *spec, struct gss_handshake **out, struct gage_err *err)
{
    struct gss_handshake *h = calloc(1, sizeof *h);
    REQUIRE(h != NULL, err, GAGE_E_NOMEM, "not enough memory for a security context");
    h->common = (struct handshake){.ops = &gss_ops, .mechanism = spec->mechanism, .initiate = spec->initiate};
    h->context = GSS_C_NO_CONTEXT;
    h->credential = GSS_C_NO_CREDENTIAL;
    h->target = GSS_C_NO_NAME;
    h->wanted = FLAGS_ALWAYS | spec->flags;
    h->bindings = GAGE_BUF(64u * 1024);
    put_bytes(&h->bindings, spec->bindings);
    gage_rc rc = buf_check(&h->bindings, err);
    if (gage_ok(rc))
        rc = set_target(h, spec, err);
    if (gage_ok(rc)) {
        *out = h;
        return rc;
    }
    gss_destroy(&h->common);
    return rc;
}

gage_rc
handshake_start(const struct handshake_spec *spec, struct handshake **out, struct gage_err *err)
{
    struct gss_handshake *h = NULL;
    TRY(mechanism_present(spec->mechanism, err));
    TRY(new_handshake(spec, &h, err));
    gage_rc rc = spec->mechanism->link_secret ? acquire_from_secret(h, spec, err) : acquire_default(h, spec, err);
    if (gage_ok(rc))
        *out = &h->common;
    else
        gss_destroy(&h->common);
    return rc;
}

/* ---- tokens ---- */

static OM_uint32
call_init(struct gss_handshake *h, gss_channel_bindings_t bindings, gss_buffer_t in, gss_buffer_t out, OM_uint32 *minor)
{
    return gss_init_sec_context(minor, h->credential, &h->context, h->target, oid_of(h), h->wanted, 0, bindings, in,
                                NULL, out, &h->granted, NULL);
}

static OM_uint32
call_accept(struct gss_handshake *h, gss_channel_bindings_t bindings, gss_buffer_t in, gss_buffer_t out,
            OM_uint32 *minor)
{
    return gss_accept_sec_context(minor, &h->context, h->credential, in, bindings, NULL, NULL, out, &h->granted, NULL,
                                  NULL);
}

/* A first token of another mechanism is told apart here: the library would only say "no credential". */
static gage_rc
demand_mechanism(struct gss_handshake *h, gage_slice token, struct gage_err *err)
{
    if (h->common.initiate || h->context != GSS_C_NO_CONTEXT)
        return GAGE_DONE;
    const struct mechanism *theirs = mechanism_of_token(token);
    REQUIRE(theirs == NULL || theirs == h->common.mechanism, err, GAGE_E_UNSUPPORTED,
            "the other side uses the mechanism %s, not %s: name it to accept it", theirs == NULL ? "" : theirs->name,
            h->common.mechanism->name);
    return GAGE_DONE;
}

static gage_rc
demand_flags(struct gss_handshake *h, struct gage_err *err)
{
    REQUIRE((h->granted & FLAGS_DEMANDED) == FLAGS_DEMANDED, err, GAGE_E_UNSUPPORTED,
            "the mechanism did not grant mutual authentication, confidentiality and integrity: nothing can be sent "
            "over it");
    return GAGE_DONE;
}

static gage_rc
gss_step(struct handshake *handshake, gage_slice in, gage_buf *out, struct gage_err *err)
{
    struct gss_handshake *h = self(handshake);
    OM_uint32 minor = 0;
    AUTO(gss_buffer_desc) token = GSS_C_EMPTY_BUFFER;
    gss_buffer_desc input = gss_buffer_of(in);
    struct gss_channel_bindings_struct bindings = {.application_data = gss_buffer_of(gage_buf_slice(&h->bindings))};
    gss_channel_bindings_t bound = h->bindings.n > 0 ? &bindings : GSS_C_NO_CHANNEL_BINDINGS;
    TRY(demand_mechanism(h, in, err));
    OM_uint32 major = h->common.initiate ? call_init(h, bound, &input, &token, &minor)
                                         : call_accept(h, bound, &input, &token, &minor);
    if (GSS_ERROR(major) || (major & ~(OM_uint32)GSS_S_CONTINUE_NEEDED) != 0)
        return failed(h, err, major, minor, "the security context could not be established");
    if (major == GSS_S_COMPLETE)
        TRY(demand_flags(h, err));
    put_bytes(out, gss_slice(&token));
    handshake->complete = major == GSS_S_COMPLETE;
    return GAGE_DONE;
}

static gage_rc
gss_wrap_message(struct handshake *handshake, gage_slice text, gage_buf *out, struct gage_err *err)
{
    struct gss_handshake *h = self(handshake);
    OM_uint32 minor;
    int encrypted = 0;
    gss_buffer_desc input = gss_buffer_of(text);
    AUTO(gss_buffer_desc) token = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_wrap(&minor, h->context, 1, GSS_C_QOP_DEFAULT, &input, &encrypted, &token);
    if (major != GSS_S_COMPLETE)
        return failed(h, err, major, minor, "the message could not be protected");
    REQUIRE(encrypted != 0, err, GAGE_E_UNSUPPORTED, "the mechanism did not encrypt the message, so it is not sent");
    put_bytes(out, gss_slice(&token));
    return GAGE_DONE;
}

static gage_rc
gss_unwrap_message(struct handshake *handshake, gage_slice token, gage_buf *out, struct gage_err *err)
{
    struct gss_handshake *h = self(handshake);
    OM_uint32 minor;
    int encrypted = 0;
    gss_qop_t qop;
    gss_buffer_desc input = gss_buffer_of(token);
    AUTO(gss_buffer_desc) text = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_unwrap(&minor, h->context, &input, &text, &encrypted, &qop);
    /* Supplementary bits (duplicate, old, out of order, gap) come with the message delivered: here they are refusals. */
    if (GSS_ERROR(major))
        return failed(h, err, major, minor, "the message is not one of the other side's");
    REQUIRE(major == GSS_S_COMPLETE, err, GAGE_E_USED, "the message was repeated, or one before it is missing");
    REQUIRE(encrypted != 0, err, GAGE_E_UNSUPPORTED, "the message was not encrypted, so it is not taken");
    put_bytes(out, gss_slice(&text));
    return GAGE_DONE;
}

static gage_rc
gss_prf_bytes(struct handshake *handshake, gage_slice input, uint8_t *out, size_t n, struct gage_err *err)
{
    struct gss_handshake *h = self(handshake);
    OM_uint32 minor;
    gss_buffer_desc in = gss_buffer_of(input);
    AUTO(gss_buffer_desc) bytes = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_pseudo_random(&minor, h->context, GSS_C_PRF_KEY_FULL, &in, (ssize_t)n, &bytes);
    if (major != GSS_S_COMPLETE)
        return failed(h, err, major, minor, "no pseudo-random bytes from the security context");
    REQUIRE(bytes.length == n, err, GAGE_E_GSS, "the mechanism gave %zu pseudo-random bytes, not %zu", bytes.length, n);
    memcpy(out, bytes.value, n);
    return GAGE_DONE;
}

/* ---- save and load ---- */

static gage_rc
import_context(struct gss_handshake *h, gage_slice exported, struct gage_err *err)
{
    OM_uint32 minor;
    gss_buffer_desc token = gss_buffer_of(exported);
    OM_uint32 major = gss_import_sec_context(&minor, &token, &h->context);
    return major == GSS_S_COMPLETE ? GAGE_DONE
                                   : failed(h, err, major, minor, "the stored context could not be read back");
}

/* state = version u8, complete u8, granted flags u32, vec32(exported context) */
static gage_rc
gss_save(struct handshake *handshake, gage_buf *out, struct gage_err *err)
{
    struct gss_handshake *h = self(handshake);
    OM_uint32 minor;
    AUTO(gss_buffer_desc) token = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_export_sec_context(&minor, &h->context, &token);
    if (major != GSS_S_COMPLETE)
        return failed(h, err, major, minor, "the security context could not be stored");
    TRY(import_context(h, gss_slice(&token), err));
    put_u8(out, STATE_VERSION);
    put_u8(out, handshake->complete);
    put_u32(out, h->granted);
    put_vec32(out, gss_slice(&token));
    return GAGE_DONE;
}

gage_rc
handshake_load(const struct handshake_spec *spec, gage_slice saved, bool complete, struct handshake **out,
               struct gage_err *err)
{
    struct reader r = read_from(saved);
    uint8_t version = get_u8(&r), was_complete = get_u8(&r);
    OM_uint32 granted = get_u32(&r);
    gage_slice exported = get_vec32(&r);
    TRY(read_end(&r, err, "the stored context"));
    REQUIRE(version == STATE_VERSION && was_complete == (complete ? 1 : 0), err, GAGE_E_FORMAT,
            "the stored context is of another version or state");
    struct gss_handshake *h = NULL;
    TRY(new_handshake(spec, &h, err));
    gage_rc rc = import_context(h, exported, err);
    /* The mechglue wants a credential for every accepting call on a mechanism that is nobody's default, the third token's too. */
    if (gage_ok(rc) && !complete && !spec->initiate && spec->mechanism->link_secret)
        rc = acquire_from_secret(h, spec, err);
    h->granted = granted;
    h->common.complete = complete;
    if (gage_ok(rc))
        *out = &h->common;
    else
        gss_destroy(&h->common);
    return rc;
}

/* ---- the end, the names ---- */

static gage_rc
gss_end(struct handshake *handshake, gage_buf *out, struct gage_err *err)
{
    struct gss_handshake *h = self(handshake);
    OM_uint32 minor;
    AUTO(gss_buffer_desc) token = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_delete_sec_context(&minor, &h->context, &token);
    if (major != GSS_S_COMPLETE)
        return failed(h, err, major, minor, "the security context could not be ended");
    handshake->complete = false;
    put_bytes(out, gss_slice(&token));
    return GAGE_DONE;
}

static gage_rc
gss_ended(struct handshake *handshake, gage_slice token, struct gage_err *err)
{
    struct gss_handshake *h = self(handshake);
    OM_uint32 minor;
    gss_buffer_desc input = gss_buffer_of(token);
    OM_uint32 major = gss_process_context_token(&minor, h->context, &input);
    return major == GSS_S_COMPLETE ? GAGE_DONE
                                   : failed(h, err, major, minor, "the delete token is not the other side's");
}

static gage_rc
gss_peer(struct handshake *handshake, gage_buf *out, struct gage_err *err)
{
    struct gss_handshake *h = self(handshake);
    OM_uint32 minor;
    AUTO(gss_name_t) source = GSS_C_NO_NAME, target = GSS_C_NO_NAME;
    AUTO(gss_buffer_desc) text = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_inquire_context(&minor, h->context, &source, &target, NULL, NULL, NULL, NULL, NULL);
    gss_name_t peer = handshake->initiate ? target : source;
    if (major == GSS_S_COMPLETE && peer != GSS_C_NO_NAME)
        major = gss_display_name(&minor, peer, &text, NULL);
    if (major != GSS_S_COMPLETE)
        return failed(h, err, major, minor, "the other side's name could not be read");
    gage_slice shown = gss_slice(&text);
    shown.n = shown.n < HANDSHAKE_NAME_MAX / 4 ? shown.n : HANDSHAKE_NAME_MAX / 4;
    put_bytes(out, slice_str(handshake->mechanism->name));
    put_u8(out, ':');
    put_printable(out, shown);
    return buf_check(out, err);
}

gss_ctx_id_t *
handshake_gss_context(struct handshake *handshake)
{
    return &self(handshake)->context;
}

uint32_t
handshake_flags(struct handshake *handshake)
{
    return self(handshake)->granted;
}

static const struct handshake_ops gss_ops = {.step = gss_step,
                                             .wrap = gss_wrap_message,
                                             .unwrap = gss_unwrap_message,
                                             .prf = gss_prf_bytes,
                                             .save = gss_save,
                                             .end = gss_end,
                                             .ended = gss_ended,
                                             .peer = gss_peer,
                                             .destroy = gss_destroy};
