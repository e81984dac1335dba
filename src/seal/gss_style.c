/* The same in the GSS-API's style (RFC 2744): names, buffers, major and minor status. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "seal/names.h"
#include "seal/ring.h"

#define MESSAGE_MAX ((size_t)1 << 31)

static OM_uint32
status_of(OM_uint32 *minor, gage_rc rc)
{
    static const struct {
        enum gage_code code;
        OM_uint32 major;
    } rows[] = {{GAGE_OK, GSS_S_COMPLETE},
                {GAGE_E_NOT_FOUND, GSS_S_NO_CRED},
                {GAGE_E_NOT_OURS, GSS_S_NO_CRED},
                {GAGE_E_PAIRING_OVER, GSS_S_CREDENTIALS_EXPIRED},
                {GAGE_E_EXPIRED, GSS_S_OLD_TOKEN},
                {GAGE_E_FORGOTTEN, GSS_S_OLD_TOKEN},
                {GAGE_E_CLOCK, GSS_S_GAP_TOKEN},
                {GAGE_E_FUTURE, GSS_S_GAP_TOKEN},
                {GAGE_E_USED, GSS_S_DUPLICATE_TOKEN},
                {GAGE_E_AUTH, GSS_S_BAD_SIG},
                {GAGE_E_ORIGINATOR, GSS_S_UNAUTHORIZED},
                {GAGE_E_CARRIER, GSS_S_UNAUTHORIZED},
                {GAGE_E_CRAFTED, GSS_S_UNAUTHORIZED},
                {GAGE_E_FORMAT, GSS_S_DEFECTIVE_TOKEN},
                {GAGE_E_UNSUPPORTED, GSS_S_DEFECTIVE_TOKEN}};
    *minor = rc.code;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].code == rc.code)
            return rows[i].major;
    return GSS_S_FAILURE;
}

static void
give(gage_buf *from, gss_buffer_t to)
{
    if (to == NULL)
        return;
    to->value =
        from->n > 0 ? malloc(from->n) : NULL; /* RFC 2744 section 3.2: an empty buffer holds nothing to release */
    to->length = to->value != NULL ? from->n : 0;
    if (to->value != NULL)
        memcpy(to->value, from->p, from->n);
}

static bool
given(gss_buffer_t to, const gage_buf *from)
{
    return to == NULL || to->value != NULL || from->n == 0;
}

static void
empty(gss_buffer_t buffer)
{
    if (buffer != NULL)
        *buffer = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
}

/* ---- pairing ---- */

static gage_rc
pair(gage_pairing **state, gss_ctx_id_t context, gage_keyring *keyring, const char *alias, OM_uint32 validity,
     gss_buffer_t peer_token, gage_buf *token)
{
    gage_slice mine = SLICE_NONE;
    if (peer_token == NULL) {
        TRY(gage_pair_start(context, validity > 0 ? validity : GAGE_PAIR_VALIDITY_DEFAULT, clock_now(), NULL, state,
                            &mine, NULL));
        put_bytes(token, mine);
        return buf_check(token, NULL);
    }
    if (*state == NULL)
        return gage_rc_of(GAGE_E_USAGE);
    gage_rc rc = gage_pair_finish(*state, context, gss_slice(peer_token), clock_now(), NULL);
    if (gage_ok(rc))
        rc = gage_pair_store(*state, keyring, alias, NULL);
    gage_pair_free(state);
    return rc;
}

OM_uint32
gage_gss_pair(OM_uint32 *minor, gage_pairing **state, gss_ctx_id_t context, gage_keyring *keyring, const char *alias,
              OM_uint32 validity, gss_buffer_t peer_token, gss_buffer_t token)
{
    AUTO(gage_buf) made = GAGE_BUF(AGREEMENT_TOKEN_MAX);
    empty(token);
    gage_rc rc = pair(state, context, keyring, alias, validity, peer_token, &made);
    if (gage_ok(rc))
        give(&made, token);
    return status_of(minor, gage_ok(rc) && !given(token, &made) ? gage_rc_of(GAGE_E_NOMEM) : rc);
}

/* ---- names ---- */

/* The name as each mechanism has it: one in a general form may fit pairings of several. */
static gage_rc
find_peer(gage_keyring *keyring, gss_name_t name, char alias[KEYRING_ALIAS_MAX + 1])
{
    const struct mechanism *mechanism;
    gage_rc rc = gage_rc_of(GAGE_E_NOT_FOUND);
    for (size_t i = 0; rc.code == GAGE_E_NOT_FOUND && (mechanism = mechanism_at(i)) != NULL; i++) {
        AUTO(gage_buf) exported = GAGE_BUF(SEAL_NAME_MAX);
        if (gage_ok(name_export(name, mechanism_oid(mechanism), &exported, NULL)))
            rc = gage_keyring_find(keyring, gage_buf_slice(&exported), clock_now(), alias, NULL);
    }
    return rc;
}

static gage_rc
import(gage_slice exported, gss_name_t *name)
{
    OM_uint32 minor;
    gss_buffer_desc bytes = gss_buffer_of(exported);
    if (name == NULL)
        return GAGE_DONE;
    if (!name_is_whole(exported)) /* the other side may have written it */
        return gage_rc_of(GAGE_E_FORMAT);
    return gss_import_name(&minor, &bytes, GSS_C_NT_EXPORT_NAME, name) == GSS_S_COMPLETE ? GAGE_DONE
                                                                                         : gage_rc_of(GAGE_E_GSS);
}

/* ---- sealing ---- */

/* A carrier we are paired with, else one whose name says all. */
static gage_rc
choose_via(gage_keyring *keyring, gss_name_t carrier, char via[KEYRING_ALIAS_MAX + 1], gage_buf *name,
           struct gage_seal_options *options)
{
    if (carrier == GSS_C_NO_NAME)
        return GAGE_DONE;
    gage_rc rc = find_peer(keyring, carrier, via);
    if (gage_ok(rc)) {
        options->via = via;
        return rc;
    }
    if (rc.code != GAGE_E_NOT_FOUND || !gage_ok(name_export(carrier, GSS_C_NO_OID, name, NULL)))
        return rc;
    options->via_name = gage_buf_slice(name);
    return GAGE_DONE;
}

OM_uint32
gage_gss_seal(OM_uint32 *minor, gage_keyring *keyring, gss_name_t recipient, gss_name_t carrier, gss_buffer_t message,
              gss_buffer_t sealed, gss_buffer_t grant)
{
    char to[KEYRING_ALIAS_MAX + 1], via[KEYRING_ALIAS_MAX + 1];
    struct gage_seal_options options = {.to = to};
    AUTO(gage_buf) name = GAGE_BUF(SEAL_NAME_MAX);
    AUTO(gage_buf) seal = GAGE_BUF(MESSAGE_MAX);
    AUTO(gage_buf) for_carrier = GAGE_BUF(MESSAGE_MAX);
    empty(sealed);
    empty(grant);
    gage_rc rc = find_peer(keyring, recipient, to);
    if (gage_ok(rc))
        rc = choose_via(keyring, carrier, via, &name, &options);
    if (!gage_ok(rc)) {
        *minor = rc.code;
        return rc.code == GAGE_E_NOT_FOUND ? GSS_S_BAD_NAME : status_of(minor, rc);
    }
    rc =
        gage_seal(keyring, &options, clock_now(), gss_slice(message), &seal, grant != NULL ? &for_carrier : NULL, NULL);
    if (!gage_ok(rc))
        return status_of(minor, rc);
    give(&seal, sealed);
    give(&for_carrier, grant);
    return status_of(minor, given(sealed, &seal) && given(grant, &for_carrier) ? rc : gage_rc_of(GAGE_E_NOMEM));
}

/* ---- opening ---- */

/* What to demand of the carrier. A deliverer's name decides where the mechanism's names are global. */
static gage_rc
demand_carrier(gss_name_t deliverer, gss_buffer_t proof, gss_ctx_id_t context, gage_buf *name, gage_buf *occasion,
               struct gage_unseal_options *options)
{
    options->carrier_required = proof != NULL || deliverer != GSS_C_NO_NAME;
    if (proof != NULL) {
        options->proof = gss_slice(proof);
        if (context != GSS_C_NO_CONTEXT)
            TRY(gage_carrier_occasion(context, occasion, NULL));
        options->occasion = gage_buf_slice(occasion);
    } else if (deliverer != GSS_C_NO_NAME) {
        TRY(name_export(deliverer, GSS_C_NO_OID, name, NULL));
        if (!name_is_global(gage_buf_slice(name)))
            return gage_rc_of(GAGE_E_CARRIER);
        options->deliverer = gage_buf_slice(name);
    }
    return GAGE_DONE;
}

static gage_rc
report(const struct gage_seal_info *info, gss_name_t *originator, gss_name_t *carrier, int64_t *sealed_at,
       OM_uint32 *granted)
{
    TRY(import(info->originator, originator));
    if (info->carrier == GAGE_CARRIER_NAMED)
        TRY(import(info->carrier_name, carrier));
    if (sealed_at != NULL)
        *sealed_at = info->time;
    if (granted != NULL)
        *granted = info->carrier_checked ? GAGE_GSS_CARRIER_CHECKED : 0;
    return GAGE_DONE;
}

OM_uint32
gage_gss_unseal(OM_uint32 *minor, gage_keyring *keyring, OM_uint32 request, OM_uint32 max_age, gss_name_t deliverer,
                gss_buffer_t proof, gss_ctx_id_t context, gss_buffer_t sealed, gss_buffer_t message,
                gss_name_t *originator, gss_name_t *carrier, int64_t *sealed_at, OM_uint32 *granted)
{
    gage_opener *opener = NULL;
    AUTO(gage_buf) name = GAGE_BUF(SEAL_NAME_MAX);
    AUTO(gage_buf) occasion = GAGE_BUF(GAGE_SEAL_OCCASION_MAX);
    AUTO(gage_buf) text = GAGE_BUF(MESSAGE_MAX);
    struct gage_unseal_options options = {.max_age = max_age, .once = (request & GAGE_GSS_ONCE) != 0};
    empty(message);
    if (originator != NULL)
        *originator = GSS_C_NO_NAME;
    if (carrier != NULL)
        *carrier = GSS_C_NO_NAME;
    gage_rc rc = demand_carrier(deliverer, proof, context, &name, &occasion, &options);
    if (gage_ok(rc))
        rc = gage_unseal(keyring, &options, clock_now(), gss_slice(sealed), &text, &opener, NULL);
    if (gage_ok(rc))
        rc = report(gage_opener_info(opener), originator, carrier, sealed_at, granted);
    gage_opener_free(&opener);
    if (gage_ok(rc))
        give(&text, message);
    return status_of(minor, gage_ok(rc) && !given(message, &text) ? gage_rc_of(GAGE_E_NOMEM) : rc);
}
