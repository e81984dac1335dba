/* The public calls that make a pairing. */
#include <stdlib.h>
#include <string.h>

#include "seal/names.h"
#include "seal/ring.h"

#define RECORD_VERSION 1

struct gage_pairing {
    struct agreement agreement;
    bool initiator, carried, finished;
    int64_t validity;
    gage_buf self, peer;
    struct pairing made;
};

static gage_rc
take_names(gage_pairing *p, gss_ctx_id_t context, uint8_t names[SHA256_LEN], struct gage_err *err)
{
    AUTO(gage_buf) initiator = GAGE_BUF(SEAL_NAME_MAX);
    AUTO(gage_buf) acceptor = GAGE_BUF(SEAL_NAME_MAX);
    TRY(names_of_context(context, &p->initiator, &initiator, &acceptor, err));
    TRY(pairing_names(gage_buf_slice(&initiator), gage_buf_slice(&acceptor), names));
    p->self = buf_move(p->initiator ? &initiator : &acceptor);
    p->peer = buf_move(p->initiator ? &acceptor : &initiator);
    return GAGE_DONE;
}

static gage_rc
start(gage_pairing *p, gss_ctx_id_t context, int64_t now, const struct gage_rng *rng, gage_slice *token,
      struct gage_err *err)
{
    static const uint8_t no_transcript[AGREEMENT_TRANSCRIPT_LEN];
    uint8_t names[SHA256_LEN], offer[PAIRING_OFFER_LEN];
    REQUIRE(p->validity > 0 && p->validity <= PAIRING_VALIDITY_MAX, err, GAGE_E_USAGE,
            "a pairing lasts from one second to ten years");
    TRY(take_names(p, context, names, err));
    pairing_offer(now, p->validity, names, offer);
    const struct agreement_input input = {.label = slice_str(p->carried ? PAIRING_LABEL_CARRIED : PAIRING_LABEL),
                                          .carried = p->carried,
                                          .initiator = p->initiator,
                                          .transcript = SLICE_OF(no_transcript),
                                          .offer = SLICE_OF(offer),
                                          .rng = rng != NULL ? rng : &gage_system_rng};
    return agreement_start(&p->agreement, context, &input, token, err);
}

static gage_rc
start_new(gss_ctx_id_t context, int64_t validity, bool carried, int64_t now, const struct gage_rng *rng,
          gage_pairing **out, gage_slice *token, struct gage_err *err)
{
    gage_pairing *p = calloc(1, sizeof *p);
    REQUIRE(p != NULL, err, GAGE_E_NOMEM, "out of memory");
    p->validity = validity;
    p->carried = carried;
    gage_rc rc = start(p, context, now, rng, token, err);
    if (!gage_ok(rc)) {
        gage_pair_free(&p);
        return rc;
    }
    *out = p;
    return GAGE_DONE;
}

gage_rc
gage_pair_start(gss_ctx_id_t context, int64_t validity, int64_t now, const struct gage_rng *rng, gage_pairing **out,
                gage_slice *token, struct gage_err *err)
{
    return start_new(context, validity, false, now, rng, out, token, err);
}

gage_rc
gage_pair_start_carried(gss_ctx_id_t context, int64_t validity, int64_t now, const struct gage_rng *rng,
                        gage_pairing **out, gage_slice *token, struct gage_err *err)
{
    return start_new(context, validity, true, now, rng, out, token, err);
}

/* ---- from one process to the next ---- */

gage_rc
gage_pair_save(const gage_pairing *p, gage_buf *record, struct gage_err *err)
{
    size_t before = record->n;
    put_u8(record, RECORD_VERSION);
    put_u8(record, p->finished);
    put_u64(record, (uint64_t)p->validity);
    gage_rc rc = GAGE_DONE;
    if (p->finished)
        pairing_put(record, &p->made);
    else
        rc = agreement_put(record, &p->agreement, err);
    rc = gage_ok(rc) ? buf_check(record, err) : rc;
    if (!gage_ok(rc))
        record->n = before;
    return rc;
}

static gage_rc
load(gage_pairing *p, gss_ctx_id_t context, gage_slice record, struct gage_err *err)
{
    struct reader r = read_from(record);
    uint8_t names[SHA256_LEN], version = get_u8(&r), finished = get_u8(&r);
    uint64_t validity = get_u64(&r);
    gage_slice rest = get_rest(&r);
    REQUIRE(read_ok(&r) && version == RECORD_VERSION && finished <= 1 && validity > 0 &&
                validity <= PAIRING_VALIDITY_MAX,
            err, GAGE_E_FORMAT, "the record of a pairing in the making is damaged or of a newer version");
    p->validity = (int64_t)validity;
    p->finished = finished == 1;
    p->carried = true;
    if (p->finished)
        return pairing_get(rest, &p->made, err);
    TRY(agreement_get(rest, &p->agreement, err));
    TRY(take_names(p, context, names, err));
    REQUIRE(p->initiator == p->agreement.initiator, err, GAGE_E_FORMAT,
            "the record of a pairing in the making belongs to another context");
    return GAGE_DONE;
}

gage_rc
gage_pair_load(gss_ctx_id_t context, gage_slice record, gage_pairing **out, struct gage_err *err)
{
    gage_pairing *p = calloc(1, sizeof *p);
    REQUIRE(p != NULL, err, GAGE_E_NOMEM, "out of memory");
    gage_rc rc = load(p, context, record, err);
    if (!gage_ok(rc)) {
        gage_pair_free(&p);
        return rc;
    }
    *out = p;
    return GAGE_DONE;
}

/* ---- the end ---- */

gage_rc
gage_pair_finish(gage_pairing *p, gss_ctx_id_t context, gage_slice peer_token, int64_t now, struct gage_err *err)
{
    REQUIRE(!p->finished, err, GAGE_E_STATE, "the pairing is made already");
    TRY(agreement_finish(&p->agreement, context, peer_token, err));
    TRY(pairing_make(&p->agreement, p->initiator, gage_buf_slice(&p->self), gage_buf_slice(&p->peer), now, p->validity,
                     &p->made, err));
    p->finished = true;
    return GAGE_DONE;
}

gage_slice
gage_pair_self(const gage_pairing *p)
{
    return p->finished ? gage_buf_slice(&p->made.self) : SLICE_NONE;
}

gage_slice
gage_pair_peer(const gage_pairing *p)
{
    return p->finished ? gage_buf_slice(&p->made.peer) : SLICE_NONE;
}

gage_rc
gage_pair_store(gage_pairing *p, gage_keyring *keyring, const char *alias, struct gage_err *err)
{
    RING_GUARD guard = {NULL};
    REQUIRE(p->finished, err, GAGE_E_STATE, "the peer has not confirmed the pairing: there is nothing to store");
    return keyring_add(ring_take(keyring, &guard), &p->made, alias, err);
}

gage_rc
gage_pair_replace(gage_pairing *p, gage_keyring *keyring, const char *alias, struct gage_err *err)
{
    RING_GUARD guard = {NULL};
    REQUIRE(p->finished, err, GAGE_E_STATE, "the peer has not confirmed the pairing: there is nothing to store");
    return keyring_replace(ring_take(keyring, &guard), &p->made, alias, err);
}

void
gage_pair_free(gage_pairing **pairing)
{
    gage_pairing *p = *pairing;
    if (p == NULL)
        return;
    agreement_cleanup(&p->agreement);
    gage_buf_free(&p->self);
    gage_buf_free(&p->peer);
    pairing_cleanup(&p->made);
    gage_wipe(p, sizeof *p);
    free(p);
    *pairing = NULL;
}
