#include "handshake/agreement.h"

#include <string.h>

#define ROLE_INITIATOR 'i'
#define ROLE_ACCEPTOR 'a'
#define REQUIRED_FLAGS (GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG)
#define BODY_MAX                                                                                                       \
    (2 + AGREEMENT_LABEL_MAX + AGREEMENT_OFFER_MAX + 1 + AGREEMENT_TRANSCRIPT_LEN + X25519_LEN + AGREEMENT_RANDOM_LEN)

/* What a confirmation says, borrowed from its bytes. */
struct confirmation {
    gage_slice label, transcript, offer, share, random;
    uint8_t role;
};

static uint8_t
role_octet(bool initiator)
{
    return initiator ? ROLE_INITIATOR : ROLE_ACCEPTOR;
}

static void
put_confirmation(gage_buf *buf, const struct confirmation *c)
{
    put_vec8(buf, c->label);
    put_u8(buf, c->role);
    put_bytes(buf, c->transcript);
    put_vec8(buf, c->offer);
    put_bytes(buf, c->share);
    put_bytes(buf, c->random);
}

static gage_rc
get_confirmation(gage_slice bytes, struct confirmation *c, struct gage_err *err)
{
    struct reader r = read_from(bytes);
    c->label = get_vec8(&r);
    c->role = get_u8(&r);
    c->transcript = get_bytes(&r, AGREEMENT_TRANSCRIPT_LEN);
    c->offer = get_vec8(&r);
    c->share = get_bytes(&r, X25519_LEN);
    c->random = get_bytes(&r, AGREEMENT_RANDOM_LEN);
    return read_end(&r, err, "the peer's confirmation");
}

/* ---- the two wrapped tokens ---- */

static gage_rc
check_context(gss_ctx_id_t context, struct gage_err *err)
{
    OM_uint32 minor, flags = 0;
    int open = 0;
    OM_uint32 major = gss_inquire_context(&minor, context, NULL, NULL, NULL, NULL, &flags, NULL, &open);
    if (major != GSS_S_COMPLETE)
        return gss_fail(err, major, minor, GSS_C_NO_OID, "the security context cannot be inquired");
    REQUIRE(open != 0, err, GAGE_E_STATE, "keys cannot be agreed on a context that is not established");
    REQUIRE((flags & REQUIRED_FLAGS) == REQUIRED_FLAGS, err, GAGE_E_UNSUPPORTED,
            "the context lacks mutual authentication, confidentiality or integrity (flags %#x): keys cannot be agreed "
            "on it",
            (unsigned)flags);
    return GAGE_DONE;
}

static gage_rc
wrap(gss_ctx_id_t context, gage_slice body, gage_buf *token, struct gage_err *err)
{
    OM_uint32 minor;
    int encrypted = 0;
    gss_buffer_desc in = gss_buffer_of(body);
    AUTO(gss_buffer_desc) out = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_wrap(&minor, context, 1, GSS_C_QOP_DEFAULT, &in, &encrypted, &out);
    if (major != GSS_S_COMPLETE)
        return gss_fail(err, major, minor, GSS_C_NO_OID, "the confirmation cannot be wrapped");
    REQUIRE(encrypted != 0, err, GAGE_E_UNSUPPORTED, "the mechanism did not encrypt the confirmation");
    put_bytes(token, gss_slice(&out));
    return buf_check(token, err);
}

static gage_rc
unwrap(gss_ctx_id_t context, gage_slice token, gss_buffer_desc *body, struct gage_err *err)
{
    OM_uint32 minor;
    int encrypted = 0;
    gss_qop_t qop = GSS_C_QOP_DEFAULT;
    REQUIRE(token.n > 0 && token.n <= AGREEMENT_TOKEN_MAX, err, GAGE_E_FORMAT,
            "the peer's confirmation has %zu bytes, not 1 to %d", token.n, AGREEMENT_TOKEN_MAX);
    gss_buffer_desc in = gss_buffer_of(token);
    OM_uint32 major = gss_unwrap(&minor, context, &in, body, &encrypted, &qop);
    /* Replay, gap and order come as supplementary bits beside valid data: anything but COMPLETE is a failure. */
    if (major != GSS_S_COMPLETE)
        return gss_fail(err, major, minor, GSS_C_NO_OID,
                        "the peer's confirmation is damaged, forged or out of sequence");
    REQUIRE(encrypted != 0, err, GAGE_E_UNSUPPORTED, "the peer's confirmation was not encrypted");
    return GAGE_DONE;
}

static void
begin(struct agreement *agreement, bool initiator, bool carried)
{
    *agreement = (struct agreement){
        .label = GAGE_BUF(AGREEMENT_LABEL_MAX),
        .offer = GAGE_BUF(AGREEMENT_OFFER_MAX),
        .token = GAGE_BUF(AGREEMENT_TOKEN_MAX),
        .peer_offer = GAGE_BUF(AGREEMENT_OFFER_MAX),
        .initiator = initiator,
        .carried = carried,
    };
}

gage_rc
agreement_start(struct agreement *agreement, gss_ctx_id_t context, const struct agreement_input *input,
                gage_slice *token, struct gage_err *err)
{
    begin(agreement, input->initiator, input->carried);
    REQUIRE(input->label.n > 0 && input->transcript.n == AGREEMENT_TRANSCRIPT_LEN, err, GAGE_E_USAGE,
            "a key agreement needs a label and a transcript of %d bytes", AGREEMENT_TRANSCRIPT_LEN);
    TRY(check_context(context, err));
    put_bytes(&agreement->label, input->label);
    put_bytes(&agreement->offer, input->offer);
    TRY(buf_check(&agreement->label, err));
    TRY(buf_check(&agreement->offer, err));
    memcpy(agreement->transcript, input->transcript.p, sizeof agreement->transcript);
    TRY(x25519_generate(input->rng, &agreement->private_key, agreement->share));
    TRY(rng_fill(input->rng, agreement->random, sizeof agreement->random));

    AUTO(gage_buf) body = GAGE_BUF(BODY_MAX);
    put_confirmation(&body, &(struct confirmation){.label = input->label,
                                                   .role = role_octet(input->initiator),
                                                   .transcript = input->transcript,
                                                   .offer = input->offer,
                                                   .share = SLICE_OF(agreement->share),
                                                   .random = SLICE_OF(agreement->random)});
    TRY(buf_check(&body, err));
    if (input->carried)
        agreement->token = buf_move(&body);
    else
        TRY(wrap(context, gage_buf_slice(&body), &agreement->token, err));
    *token = gage_buf_slice(&agreement->token);
    return GAGE_DONE;
}

/* ---- from two confirmations to one key ---- */

static gage_rc
check_peer(const struct agreement *agreement, const struct confirmation *peer, struct gage_err *err)
{
    REQUIRE(slice_equal(peer->label, gage_buf_slice(&agreement->label)), err, GAGE_E_FORMAT,
            "the peer confirms another use of the context: its program speaks another protocol or version");
    REQUIRE(peer->role != role_octet(agreement->initiator), err, GAGE_E_REFLECTED,
            "the peer's confirmation claims our own role: it is ours sent back");
    REQUIRE(peer->role == role_octet(!agreement->initiator), err, GAGE_E_FORMAT,
            "the peer's confirmation names no role");
    REQUIRE(slice_equal_ct(peer->transcript, SLICE_OF(agreement->transcript)), err, GAGE_E_MISMATCH,
            "the peer saw another opening of this conversation than we did: somebody between us changed it");
    return GAGE_DONE;
}

/* P: 32 bytes of the context's PRF, or both random values where the mechanism has none (both sides know which: it is one mechanism). */
static gage_rc
context_secret(const struct agreement *agreement, gss_ctx_id_t context, gage_slice peer_random, gage_buf *p,
               struct gage_err *err)
{
    OM_uint32 minor;
    gss_buffer_desc label = gss_buffer_of(gage_buf_slice(&agreement->label));
    AUTO(gss_buffer_desc) out = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_pseudo_random(&minor, context, GSS_C_PRF_KEY_FULL, &label, SHA256_LEN, &out);
    if (GSS_ROUTINE_ERROR(major) == GSS_S_UNAVAILABLE) {
        gage_slice mine = SLICE_OF(agreement->random);
        put_bytes(p, agreement->initiator ? mine : peer_random);
        put_bytes(p, agreement->initiator ? peer_random : mine);
        return buf_check(p, err);
    }
    if (major != GSS_S_COMPLETE)
        return gss_fail(err, major, minor, GSS_C_NO_OID, "the context's pseudo-random function failed");
    REQUIRE(out.length == SHA256_LEN, err, GAGE_E_GSS, "the context's pseudo-random function gave %zu bytes, not %d",
            out.length, SHA256_LEN);
    put_bytes(p, gss_slice(&out));
    return buf_check(p, err);
}

static gage_rc
salt_of(const struct agreement *agreement, gage_slice peer_token, uint8_t salt[SHA256_LEN], struct gage_err *err)
{
    gage_slice mine = gage_buf_slice(&agreement->token);
    AUTO(gage_buf) all = GAGE_BUF(AGREEMENT_TRANSCRIPT_LEN + 2 * (4 + AGREEMENT_TOKEN_MAX));
    put_bytes(&all, SLICE_OF(agreement->transcript));
    put_vec32(&all, agreement->initiator ? mine : peer_token);
    put_vec32(&all, agreement->initiator ? peer_token : mine);
    TRY(buf_check(&all, err));
    return sha256_of(gage_buf_slice(&all), salt);
}

static gage_rc
derive(struct agreement *agreement, gss_ctx_id_t context, gage_slice peer_token, const struct confirmation *peer,
       struct gage_err *err)
{
    uint8_t salt[SHA256_LEN];
    AUTO(gage_secret) shared = {.n = 0};
    AUTO(gage_buf) material = GAGE_BUF(2 * AGREEMENT_RANDOM_LEN + X25519_LEN);
    gage_rc rc = x25519_shared(&agreement->private_key, peer->share.p, &shared);
    REQUIRE(rc.code != GAGE_E_AUTH, err, GAGE_E_AUTH, "the peer's key share is of low order: not an honest peer");
    TRY(rc);
    TRY(context_secret(agreement, context, peer->random, &material, err));
    put_bytes(&material, secret_slice(&shared));
    TRY(buf_check(&material, err));
    TRY(salt_of(agreement, peer_token, salt, err));
    return hkdf_extract(SLICE_OF(salt), gage_buf_slice(&material), &agreement->prk);
}

gage_rc
agreement_finish(struct agreement *agreement, gss_ctx_id_t context, gage_slice peer_token, struct gage_err *err)
{
    REQUIRE(agreement->token.n > 0 && !agreement->agreed, err, GAGE_E_STATE,
            "this key agreement is not waiting for a peer");
    AUTO(gss_buffer_desc) body = GSS_C_EMPTY_BUFFER;
    struct confirmation peer;
    if (!agreement->carried)
        TRY(unwrap(context, peer_token, &body, err));
    TRY(get_confirmation(agreement->carried ? peer_token : gss_slice(&body), &peer, err));
    TRY(check_peer(agreement, &peer, err));
    TRY(derive(agreement, context, peer_token, &peer, err));
    put_bytes(&agreement->peer_offer, peer.offer);
    TRY(buf_check(&agreement->peer_offer, err));
    secret_wipe(&agreement->private_key); /* from here on the past is out of reach */
    agreement->agreed = true;
    return GAGE_DONE;
}

/* ---- the record ---- */

gage_rc
agreement_put(gage_buf *buf, const struct agreement *a, struct gage_err *err)
{
    REQUIRE(a->carried && !a->agreed && a->private_key.n == X25519_LEN, err, GAGE_E_STATE,
            "only a carried key agreement that waits for its peer can be kept");
    put_u8(buf, a->initiator);
    put_vec8(buf, gage_buf_slice(&a->label));
    put_bytes(buf, SLICE_OF(a->transcript));
    put_bytes(buf, secret_slice(&a->private_key));
    put_bytes(buf, SLICE_OF(a->random));
    put_vec16(buf, gage_buf_slice(&a->token));
    return buf_check(buf, err);
}

/* What the token repeats is read from it. */
static gage_rc
fill_from_token(struct agreement *a, struct gage_err *err)
{
    struct confirmation own;
    TRY(get_confirmation(gage_buf_slice(&a->token), &own, err));
    put_bytes(&a->offer, own.offer);
    memcpy(a->share, own.share.p, sizeof a->share);
    REQUIRE(slice_equal(own.label, gage_buf_slice(&a->label)) && own.role == role_octet(a->initiator), err,
            GAGE_E_FORMAT, "the record of a key agreement contradicts itself");
    return GAGE_DONE;
}

gage_rc
agreement_get(gage_slice record, struct agreement *agreement, struct gage_err *err)
{
    struct reader r = read_from(record);
    AUTO(agreement_t) a = {.agreed = false};
    begin(&a, get_u8(&r) == 1, true);
    put_bytes(&a.label, get_vec8(&r));
    get_copy(&r, a.transcript, sizeof a.transcript);
    get_copy(&r, a.private_key.b, X25519_LEN);
    a.private_key.n = X25519_LEN;
    get_copy(&r, a.random, sizeof a.random);
    put_bytes(&a.token, get_vec16(&r));
    TRY(read_end(&r, err, "the record of a key agreement"));
    TRY(buf_check(&a.label, err));
    TRY(buf_check(&a.token, err));
    TRY(fill_from_token(&a, err));
    *agreement = a;
    memset(&a, 0, sizeof a);
    return GAGE_DONE;
}

gage_slice
agreement_peer_offer(const struct agreement *agreement)
{
    return agreement->agreed ? gage_buf_slice(&agreement->peer_offer) : SLICE_NONE;
}

gage_rc
agreement_expand(const struct agreement *agreement, gage_slice info, size_t n, gage_secret *out)
{
    if (!agreement->agreed)
        return gage_rc_of(GAGE_E_STATE);
    return hkdf_expand_secret(secret_slice(&agreement->prk), info, n, out);
}

void
agreement_cleanup(struct agreement *agreement)
{
    gage_buf_free(&agreement->label);
    gage_buf_free(&agreement->offer);
    gage_buf_free(&agreement->token);
    gage_buf_free(&agreement->peer_offer);
    gage_wipe(agreement, sizeof *agreement);
}
