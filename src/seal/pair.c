/* The public calls that make a pairing. */
#include <stdlib.h>
#include <string.h>

#include "seal/names.h"
#include "seal/ring.h"

struct gage_pairing {
    struct agreement agreement;
    bool initiator, finished;
    int64_t validity;
    gage_buf self, peer;
    struct pairing made;
};

static gage_rc
start(gage_pairing *p, gss_ctx_id_t context, int64_t now, const struct gage_rng *rng, gage_slice *token,
      struct gage_err *err)
{
    static const uint8_t no_transcript[AGREEMENT_TRANSCRIPT_LEN];
    uint8_t names[SHA256_LEN], offer[PAIRING_OFFER_LEN];
    AUTO(gage_buf) initiator = GAGE_BUF(SEAL_NAME_MAX);
    AUTO(gage_buf) acceptor = GAGE_BUF(SEAL_NAME_MAX);
    REQUIRE(p->validity > 0 && p->validity <= PAIRING_VALIDITY_MAX, err, GAGE_E_USAGE,
            "a pairing lasts from one second to ten years");
    TRY(names_of_context(context, &p->initiator, &initiator, &acceptor, err));
    TRY(pairing_names(gage_buf_slice(&initiator), gage_buf_slice(&acceptor), names));
    p->self = buf_move(p->initiator ? &initiator : &acceptor);
    p->peer = buf_move(p->initiator ? &acceptor : &initiator);
    pairing_offer(now, p->validity, names, offer);
    const struct agreement_input input = {.label = SLICE_LITERAL(PAIRING_LABEL),
                                          .initiator = p->initiator,
                                          .transcript = SLICE_OF(no_transcript),
                                          .offer = SLICE_OF(offer),
                                          .rng = rng != NULL ? rng : &gage_system_rng};
    return agreement_start(&p->agreement, context, &input, token, err);
}

gage_rc
gage_pair_start(gss_ctx_id_t context, int64_t validity, int64_t now, const struct gage_rng *rng, gage_pairing **out,
                gage_slice *token, struct gage_err *err)
{
    gage_pairing *p = calloc(1, sizeof *p);
    REQUIRE(p != NULL, err, GAGE_E_NOMEM, "out of memory");
    p->validity = validity;
    gage_rc rc = start(p, context, now, rng, token, err);
    if (!gage_ok(rc)) {
        gage_pair_free(&p);
        return rc;
    }
    *out = p;
    return GAGE_DONE;
}

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
