#include "otc/message.h"

#include <string.h>

#include "otc/status.h"

/* ---- keys ---- */

static void
slot_cleanup(struct otc_slot *slot)
{
    gcm_cleanup(&slot->gcm);
    gage_wipe(slot, sizeof *slot);
}

void
otc_sender_cleanup(struct otc_sender *sender)
{
    for (int i = 0; i < OTC_SEND_SLOTS; i++)
        slot_cleanup(&sender->slot[i]);
    gage_wipe(sender, sizeof *sender);
}

void
otc_receiver_cleanup(struct otc_receiver *receiver)
{
    for (int i = 0; i < OTC_RECEIVE_SLOTS; i++)
        slot_cleanup(&receiver->slot[i]);
    gage_wipe(receiver, sizeof *receiver);
}

static void
big_endian(uint64_t v, uint8_t out[8])
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(v >> (56 - 8 * i));
}

/* The base for the type of token, derived if this is its first use. */
static gage_rc
base_of(struct otc_bases *bases, struct hkdf *work, uint8_t type, gage_slice *out)
{
    gage_secret *base = type == OTC_MIC ? &bases->mic : type == OTC_DELETE ? &bases->end : &bases->wrap;
    const char *use = type == OTC_MIC ? "mic " : type == OTC_DELETE ? "delete " : "wrap ";
    const gage_slice info[] = {slice_str(use), slice_str(bases->role == 0 ? "initiator" : "acceptor")};
    if (base->n == 0) {
        TRY(hkdf_expand_in(work, secret_slice(bases->prk), info, 2, base->b, 32));
        base->n = 32;
    }
    *out = secret_slice(base);
    return GAGE_DONE;
}

static gage_rc
derive(struct otc_bases *bases, uint8_t type, const uint8_t epoch[OTC_EPOCH_LEN], uint64_t block, uint8_t *okm,
       size_t n)
{
    uint8_t number[8];
    struct hkdf work;
    gage_slice base;
    big_endian(block, number);
    const gage_slice info[] = {gage_slice_of(&type, 1), gage_slice_of(epoch, OTC_EPOCH_LEN), SLICE_OF(number)};
    TRY(hkdf_init(&work));
    gage_rc rc = base_of(bases, &work, type, &base);
    if (gage_ok(rc))
        rc = hkdf_expand_in(&work, base, info, 3, okm, n);
    hkdf_cleanup(&work);
    return rc;
}

/* Fills an empty slot with the key for (type, epoch, block). */
static gage_rc
slot_fill(struct otc_slot *slot, struct otc_bases *bases, uint8_t type, const uint8_t epoch[OTC_EPOCH_LEN],
          uint64_t block, bool encrypt)
{
    uint8_t okm[32 + GCM_IV_LEN];
    TRY(derive(bases, type, epoch, block, okm, sizeof okm));
    gage_rc rc = gcm_init(&slot->gcm, gage_slice_of(okm, 32), encrypt);
    if (gage_ok(rc)) {
        slot->type = type;
        memcpy(slot->epoch, epoch, OTC_EPOCH_LEN);
        slot->block = block;
        memcpy(slot->iv, okm + 32, GCM_IV_LEN);
    }
    gage_wipe(okm, sizeof okm);
    return rc;
}

static bool
slot_is(const struct otc_slot *slot, uint8_t type, const uint8_t epoch[OTC_EPOCH_LEN], uint64_t block)
{
    return slot->type == type && slot->block == block && memcmp(slot->epoch, epoch, OTC_EPOCH_LEN) == 0;
}

/* ---- one message ---- */

static gage_rc
check_length(const struct otc_message *message, struct gage_err *err)
{
    uint64_t left = OTC_MESSAGE_MAX, associated = OTC_MESSAGE_MAX;
    for (size_t i = 0; i < message->span_count; i++) {
        if (message->span[i].n > left)
            return otc_fail(err, OTC_S_TOO_LONG);
        left -= message->span[i].n;
    }
    for (size_t i = 0; i < message->associated_count; i++) {
        if (message->associated[i].n > associated)
            return otc_fail(err, OTC_S_TOO_LONG);
        associated -= message->associated[i].n;
    }
    return GAGE_DONE;
}

/* Everything up to the tag: nonce, associated data, and the text where it is sealed. */
static gage_rc
run(struct otc_slot *slot, const uint8_t *header, const struct otc_message *message)
{
    uint8_t nonce[GCM_IV_LEN], start[OTC_HEADER_LEN + 8];
    uint64_t associated = 0;
    memcpy(nonce, slot->iv, sizeof nonce);
    for (size_t i = 0; i < 8; i++)
        nonce[4 + i] ^= header[10 + i];
    for (size_t i = 0; i < message->associated_count; i++)
        associated += message->associated[i].n;
    memcpy(start, header, OTC_HEADER_LEN);
    big_endian(associated, start + OTC_HEADER_LEN);
    TRY(gcm_begin(&slot->gcm, nonce));
    TRY(gcm_aad(&slot->gcm, SLICE_OF(start)));
    for (size_t i = 0; i < message->associated_count; i++)
        TRY(gcm_aad(&slot->gcm, message->associated[i]));
    for (size_t i = 0; i < message->span_count; i++) {
        const struct otc_span *span = &message->span[i];
        if (slot->type == OTC_SEALED)
            TRY(gcm_text(&slot->gcm, gage_slice_of(span->in, span->n), span->out));
        else
            TRY(gcm_aad(&slot->gcm, gage_slice_of(span->in, span->n)));
    }
    return GAGE_DONE;
}

/* What is not encrypted is put out as it is. */
static void
copy_out(const struct otc_message *message)
{
    for (size_t i = 0; i < message->span_count; i++) {
        const struct otc_span *span = &message->span[i];
        if (span->out != NULL && span->out != span->in && span->n > 0)
            memmove(span->out, span->in, span->n);
    }
}

static void
wipe_out(const struct otc_message *message)
{
    for (size_t i = 0; i < message->span_count; i++) {
        if (message->span[i].out != NULL)
            gage_wipe(message->span[i].out, message->span[i].n);
    }
}

/* ---- sending ---- */

/* Draws an epoch where none is this process's own. */
static gage_rc
fresh_epoch(struct otc_sender *sender, const struct otc_env *env)
{
    if (sender->generation == env->generation)
        return GAGE_DONE;
    for (int i = 0; i < OTC_SEND_SLOTS; i++)
        slot_cleanup(&sender->slot[i]);
    TRY(rng_fill(env->rng, sender->epoch, OTC_EPOCH_LEN));
    sender->generation = env->generation;
    return GAGE_DONE;
}

static gage_rc
send_slot(struct otc_sender *sender, enum otc_type type, struct otc_slot **out)
{
    struct otc_slot *slot = &sender->slot[type == OTC_SEALED ? 0 : type == OTC_CLEAR ? 1 : 2];
    uint64_t block = sender->seq >> 16;
    if (!slot_is(slot, (uint8_t)type, sender->epoch, block)) {
        slot_cleanup(slot);
        TRY(slot_fill(slot, &sender->bases, (uint8_t)type, sender->epoch, block, true));
    }
    *out = slot;
    return GAGE_DONE;
}

gage_rc
otc_seal(struct otc_sender *sender, const struct otc_env *env, enum otc_type type, const struct otc_message *message,
         uint8_t token[OTC_TOKEN_LEN], struct gage_err *err)
{
    struct otc_slot *slot;
    TRY(check_length(message, err));
    if (sender->seq == UINT64_MAX && type != OTC_DELETE)
        return otc_fail(err, OTC_S_USED_UP);
    TRY(fresh_epoch(sender, env));
    TRY(send_slot(sender, type, &slot));
    token[0] = (uint8_t)type;
    token[1] = sender->bases.role;
    memcpy(token + 2, sender->epoch, OTC_EPOCH_LEN);
    big_endian(sender->seq, token + 2 + OTC_EPOCH_LEN);
    if (type != OTC_DELETE)
        sender->seq++; /* before the cipher runs: a failure may cost a number, never repeat one */
    if (type != OTC_SEALED)
        copy_out(message);
    gage_rc rc = run(slot, token, message);
    if (gage_ok(rc))
        rc = gcm_end_seal(&slot->gcm, token + OTC_HEADER_LEN);
    if (!gage_ok(rc))
        wipe_out(message);
    return rc;
}

/* ---- receiving ---- */

static bool
known_type(uint8_t type)
{
    return type == 0x60 || (type >= 1 && type <= 3) || (type >= OTC_SEALED && type <= OTC_DELETE);
}

gage_rc
otc_read_header(const struct otc_receiver *receiver, gage_slice token, const enum otc_type *types, size_t count,
                struct otc_header *header, struct gage_err *err)
{
    struct reader r = read_from(token);
    uint8_t type = get_u8(&r), sender = get_u8(&r);
    bool wanted = false;
    get_copy(&r, header->epoch, OTC_EPOCH_LEN);
    header->seq = get_u64(&r);
    (void)get_bytes(&r, GCM_TAG_LEN);
    header->raw = token.p;
    header->type = (enum otc_type)type;
    if (token.n > 0 && !known_type(type))
        return otc_fail(err, OTC_S_FOREIGN);
    for (size_t i = 0; i < count; i++)
        wanted |= type == (uint8_t)types[i];
    if (token.n > 0 && !wanted)
        return otc_fail(err, OTC_S_WRONG_STATE);
    if (r.bad)
        return otc_fail(err, OTC_S_TRUNCATED);
    if (sender == (receiver->bases.role ^ 1))
        return otc_fail(err, OTC_S_REFLECTED);
    if (sender != receiver->bases.role || (header->seq == UINT64_MAX && type != OTC_DELETE))
        return otc_fail(err, OTC_S_DAMAGED);
    return GAGE_DONE;
}

static bool
verify(struct otc_slot *slot, const struct otc_header *header, const struct otc_message *message)
{
    if (gage_ok(run(slot, header->raw, message)) && gage_ok(gcm_end_open(&slot->gcm, header->raw + OTC_HEADER_LEN)))
        return true;
    wipe_out(message);
    return false;
}

static struct otc_slot *
find_slot(struct otc_receiver *receiver, const struct otc_header *header)
{
    for (int i = 0; i < OTC_RECEIVE_SLOTS; i++) {
        if (slot_is(&receiver->slot[i], (uint8_t)header->type, header->epoch, header->seq >> 16))
            return &receiver->slot[i];
    }
    return NULL;
}

/* In place of the slot that was used longest ago. */
static void
keep_slot(struct otc_receiver *receiver, const struct otc_slot *fresh)
{
    struct otc_slot *oldest = &receiver->slot[0];
    for (int i = 1; i < OTC_RECEIVE_SLOTS; i++) {
        if (receiver->slot[i].used < oldest->used)
            oldest = &receiver->slot[i];
    }
    slot_cleanup(oldest);
    *oldest = *fresh;
    oldest->used = ++receiver->ticks;
}

/* A key not at hand is derived for this message, and kept only if its tag verifies. */
static gage_rc
open_with_new_slot(struct otc_receiver *receiver, const struct otc_header *header, const struct otc_message *message,
                   struct gage_err *err)
{
    struct otc_slot fresh = {0};
    gage_rc rc = slot_fill(&fresh, &receiver->bases, (uint8_t)header->type, header->epoch, header->seq >> 16, false);
    if (!gage_ok(rc)) {
        wipe_out(message);
        return rc;
    }
    bool good = verify(&fresh, header, message);
    if (good)
        keep_slot(receiver, &fresh);
    else
        gcm_cleanup(&fresh.gcm);
    gage_wipe(&fresh, sizeof fresh);
    return good ? GAGE_DONE : otc_fail(err, OTC_S_DAMAGED);
}

gage_rc
otc_open(struct otc_receiver *receiver, const struct otc_header *header, const struct otc_message *message,
         struct gage_err *err)
{
    gage_rc rc = check_length(message, err);
    if (!gage_ok(rc)) {
        wipe_out(message);
        return rc;
    }
    struct otc_slot *slot = find_slot(receiver, header);
    if (slot == NULL)
        TRY(open_with_new_slot(receiver, header, message, err));
    else if (!verify(slot, header, message))
        return otc_fail(err, OTC_S_DAMAGED);
    else
        slot->used = ++receiver->ticks;
    if (header->type != OTC_SEALED)
        copy_out(message);
    return GAGE_DONE;
}
