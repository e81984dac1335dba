/* What both sides do alike: ending, composing a payload, taking one. */
#include <stdio.h>
#include <string.h>

#include "transfer/state.h"

#define DIGITS_LABEL "gage-transfer-1 digits"
#define PURPOSE "gage-transfer-1"
#define KEY_LABEL "gage-transfer-1 key"

/* ---- ending ---- */

void
set_phase(gage_transfer *t, enum phase phase)
{
    t->phase = phase;
    t->since = t->now;
    t->live = false;
    t->heal_at = t->retry_at = 0;
    t->failures = t->polls = 0;
    t->trouble[0] = '\0';
}

void
make_dirty(gage_transfer *t)
{
    t->dirty = true;
    t->live = false;
    buf_reset(&t->record);
}

/* Only what a list of past transfers shows stays; the claim too while the mailbox is to be deleted. */
void
wipe_claim(gage_transfer *t)
{
    gage_wipe(t->claim, sizeof t->claim);
}

void
wipe_secrets(gage_transfer *t)
{
    handshake_free(&t->handshake);
    t->complete = false;
    secret_wipe(&t->secret);
    buf_reset(&t->payload);
    buf_reset(&t->content);
    buf_reset(&t->input);
    gage_wipe(t->nonce, sizeof t->nonce);
    gage_wipe(t->commit, sizeof t->commit);
    gage_wipe(t->digits, sizeof t->digits);
    if (t->phase == PHASE_DONE)
        wipe_claim(t);
}

static void
set_outcome(gage_transfer *t, enum gage_outcome outcome, enum gage_reason reason, const char *detail)
{
    const char *why = detail != NULL && detail[0] != '\0' ? detail : gage_reason_text(reason);
    t->outcome = outcome;
    t->reason = reason;
    t->code = outcome == GAGE_OUTCOME_UNKNOWN   ? GAGE_E_UNKNOWN_OUTCOME
              : reason == GAGE_REASON_COMPLETED ? GAGE_OK
                                                : reason_code(reason);
    if (reason == GAGE_REASON_COMPLETED)
        snprintf(t->sentence, sizeof t->sentence, "%s: %s", gage_outcome_word(outcome), gage_outcome_text(outcome));
    else
        snprintf(t->sentence, sizeof t->sentence, "%s: %s", gage_outcome_word(outcome), why);
}

void
finish(gage_transfer *t, enum gage_outcome outcome, enum gage_reason reason, const char *detail)
{
    set_outcome(t, outcome, reason, detail);
    set_phase(t, PHASE_DONE);
    wipe_secrets(t);
    if (t->stored)
        make_dirty(t);
}

void
finish_and_delete(gage_transfer *t, enum gage_outcome outcome, enum gage_reason reason, const char *detail)
{
    set_outcome(t, outcome, reason, detail);
    set_phase(t, PHASE_DELETE);
    wipe_secrets(t);
    if (t->stored)
        make_dirty(t);
    if (!gage_ok(uuid_make(&t->rng, t->request_id)))
        finish(t, outcome, reason, detail);
}

void
stop(gage_transfer *t, enum gage_reason reason, const char *detail)
{
    if (is_done(t))
        return;
    if (t->ending) {
        /* Our last word is written but the relay does not take it: what it says is true all the same. */
        t->unconfirmed = t->outcome == GAGE_OUTCOME_INSTALLED;
        set_phase(t, PHASE_DONE);
        wipe_secrets(t);
        make_dirty(t);
        return;
    }
    enum gage_outcome outcome = t->role == PACKET_RECEIVER ? GAGE_OUTCOME_NOT_INSTALLED
                                : t->released              ? GAGE_OUTCOME_UNKNOWN
                                                           : GAGE_OUTCOME_NOT_RELEASED;
    bool tell = t->role == PACKET_SENDER && t->url[0] != '\0' &&
                (reason == GAGE_REASON_HANDSHAKE || reason == GAGE_REASON_PROTOCOL || reason == GAGE_REASON_MISMATCH);
    if (tell && !t->released)
        finish_and_delete(t, outcome, reason, detail); /* nothing more can come of this mailbox */
    else
        finish(t, outcome, reason, detail);
}

gage_rc
stop_for(gage_transfer *t, enum gage_reason reason, gage_rc rc, const struct gage_err *err)
{
    if (rc.code == GAGE_E_NOMEM || rc.code == GAGE_E_INTERNAL) {
        t->poisoned = true;
        return rc;
    }
    if (reason == GAGE_REASON_HANDSHAKE && rc.code == GAGE_E_EXPIRED)
        reason = GAGE_REASON_EXPIRED;
    bool ending = t->ending;
    stop(t, reason, err->text);
    if (!ending && reason == GAGE_REASON_HANDSHAKE && t->code == reason_code(reason))
        t->code = rc.code;
    return GAGE_DONE;
}

void
relay_said_no(gage_transfer *t, const struct gage_http_response *response)
{
    char detail[RELAY_TEXT_MAX + 1], sentence[SENTENCE_MAX];
    relay_read_problem(response->body, detail);
    snprintf(sentence, sizeof sentence, "the relay answered %d%s%s%s", response->status, detail[0] != '\0' ? ": " : "",
             detail, response->status == 404 ? " (is this the address of a relay?)" : "");
    stop(t, GAGE_REASON_RELAY, sentence);
}

void
too_large(gage_transfer *t, const struct gage_http_response *response)
{
    char sentence[SENTENCE_MAX];
    uint64_t limit = relay_payload_limit(response);
    size_t needed = gage_transfer_payload_size(t);
    if (limit > 0)
        snprintf(sentence, sizeof sentence,
                 "too large for this relay: the sealed content takes %zu bytes, the relay takes %llu (gage connect has "
                 "no such limit)",
                 needed, (unsigned long long)limit);
    else
        snprintf(
            sentence, sizeof sentence,
            "too large for this relay: it refused the %zu bytes of the sealed content (gage connect has no such limit)",
            needed);
    stop(t, GAGE_REASON_TOO_LARGE, sentence);
}

/* ---- contexts ---- */

void
handshake_spec_of(const gage_transfer *t, struct handshake_spec *spec)
{
    bool sender = t->role == PACKET_SENDER;
    *spec = (struct handshake_spec){
        .initiate = sender,
        .mechanism = t->mechanism,
        .target = sender && t->target[0] != '\0' ? t->target : NULL,
        .secret = t->mechanism->link_secret ? secret_slice(&t->secret) : SLICE_NONE,
        .purpose = PURPOSE,
        .title = sender ? t->title : NULL,
        .format = sender ? t->format : NULL,
        .not_after = sender ? t->expires : 0,
    };
}

gage_rc
begin_handshake(gage_transfer *t, struct gage_err *err)
{
    struct handshake_spec spec;
    handshake_free(&t->handshake);
    t->complete = false;
    handshake_spec_of(t, &spec);
    return t->security->start(&spec, &t->handshake, err);
}

/* ---- composing ---- */

gage_rc
transcript_add(gage_transfer *t, uint8_t role, uint32_t seq, const uint8_t hash[SHA256_LEN])
{
    AUTO(gage_buf) text = GAGE_BUF(2 * SHA256_LEN + 8);
    put_bytes(&text, SLICE_OF(t->transcript));
    put_u8(&text, role);
    put_u32(&text, seq);
    put_bytes(&text, gage_slice_of(hash, SHA256_LEN));
    TRY(buf_check(&text, NULL));
    return sha256_of(gage_buf_slice(&text), t->transcript);
}

static gage_rc
wrap_message(gage_transfer *t, struct message *message, gage_buf *out, struct gage_err *err)
{
    AUTO(gage_buf) text = GAGE_BUF(ENVELOPE_MAX);
    memcpy(message->transcript, t->transcript, sizeof message->transcript);
    message->has_binding = !t->bound_sent;
    message->binding = (struct binding){.url = slice_str(t->url),
                                        .format = slice_str(t->format),
                                        .title = slice_str(t->title),
                                        .verify = t->verify,
                                        .calls = t->calls};
    buf_reserve(&text, message->content.bytes.n + message->bytes.n + 2 * MESSAGE_OVERHEAD);
    message_put(&text, message);
    TRY(buf_check(&text, err));
    TRY(handshake_wrap(t->handshake, gage_buf_slice(&text), out, err));
    t->bound_sent = true;
    return GAGE_DONE;
}

/* Seals the packet as our next payload and turns to writing it. */
static gage_rc
seal_packet(gage_transfer *t, struct packet *packet, bool padded, struct gage_err *err)
{
    uint8_t hash[SHA256_LEN];
    AUTO(gage_buf) text = GAGE_BUF(ENVELOPE_MAX - ENVELOPE_OVERHEAD);
    REQUIRE(t->own.seq < PACKET_SEQ_MAX, err, GAGE_E_LIMIT, "more than %d messages in one transfer", PACKET_SEQ_MAX);
    packet->role = (uint8_t)t->role;
    packet->attempt = (uint16_t)t->attempt;
    packet->seq = t->own.seq + 1;
    packet->ack = t->peer_log.seq;
    packet_put(&text, packet, padded ? t->padding : 0);
    TRY(buf_check(&text, err));
    buf_reset(&t->payload);
    TRY(envelope_seal(&t->secret, &t->rng, gage_buf_slice(&text), &t->payload, err));
    TRY(sha256_of(gage_buf_slice(&t->payload), hash));
    TRY(uuid_make(&t->rng, t->request_id));
    slot_log_add(&t->own, hash);
    TRY(buf_check(&t->own.hashes, err));
    TRY(transcript_add(t, packet->role, packet->seq, hash));
    t->heal_at = 0;
    t->look = false;
    make_dirty(t);
    return GAGE_DONE;
}

gage_rc
compose(gage_transfer *t, gage_slice context_token, struct message *message, struct gage_err *err)
{
    AUTO(gage_buf) wrapped = GAGE_BUF(ENVELOPE_MAX);
    struct packet packet = {0};
    if (context_token.n > 0)
        packet.token[PACKET_CONTEXT] = context_token;
    if (message != NULL) {
        TRY(wrap_message(t, message, &wrapped, err));
        packet.token[PACKET_MESSAGE] = gage_buf_slice(&wrapped);
    }
    bool first = t->own.seq == 0;
    bool padded = t->role == PACKET_SENDER && (first || (message != NULL && message->type == RECORD_CONTENT));
    TRY(seal_packet(t, &packet, padded, err));
    set_phase(t, t->role == PACKET_SENDER && first ? PHASE_CREATE : PHASE_PUT);
    return GAGE_DONE;
}

gage_rc
compose_last(gage_transfer *t, struct message *message, enum gage_outcome outcome, enum gage_reason reason,
             const char *detail, struct gage_err *err)
{
    AUTO(gage_buf) wrapped = GAGE_BUF(ENVELOPE_MAX), end = GAGE_BUF(HANDSHAKE_TOKEN_MAX);
    struct packet packet = {.final = true};
    TRY(wrap_message(t, message, &wrapped, err));
    packet.token[PACKET_MESSAGE] = gage_buf_slice(&wrapped);
    TRY(handshake_end(t->handshake, &end, err));
    handshake_free(&t->handshake);
    if (end.n > 0)
        packet.token[PACKET_DELETE] = gage_buf_slice(&end);
    TRY(seal_packet(t, &packet, false, err));
    buf_reset(&t->content);
    buf_reset(&t->input);
    t->ending = true;
    set_outcome(t, outcome, reason, detail);
    set_phase(t, PHASE_PUT);
    return GAGE_DONE;
}

gage_rc
compose_refusal(gage_transfer *t, enum refusal refusal, struct gage_err *err)
{
    struct message message = {.type = RECORD_REFUSAL, .refusal = refusal};
    enum gage_outcome outcome = t->role == PACKET_RECEIVER ? GAGE_OUTCOME_NOT_INSTALLED
                                : t->released              ? GAGE_OUTCOME_UNKNOWN
                                                           : GAGE_OUTCOME_NOT_RELEASED;
    enum gage_reason reason = refusal == REFUSAL_INSTALL ? GAGE_REASON_INSTALL : GAGE_REASON_REFUSED;
    return compose_last(t, &message, outcome, reason, NULL, err);
}

/* ---- taking ---- */

gage_rc
take_context(gage_transfer *t, struct incoming *in, struct gage_err *err)
{
    struct gage_err why = {0};
    gage_slice token = in->packet->token[PACKET_CONTEXT];
    if (token.p == NULL)
        return GAGE_DONE;
    gage_rc rc = t->complete ? gage_fail(&why, GAGE_E_STATE, "a context token came after the context was established")
                             : handshake_step(t->handshake, token, &in->token, &why);
    if (!gage_ok(rc)) {
        if (err != NULL)
            *err = why;
        return rc;
    }
    t->complete = t->handshake->complete;
    if (!t->complete)
        return GAGE_DONE;
    AUTO(gage_buf) peer = GAGE_BUF(4 * HANDSHAKE_NAME_MAX);
    rc = handshake_peer(t->handshake, &peer, &why);
    if (gage_ok(rc))
        copy_printable(t->peer, sizeof t->peer, gage_buf_slice(&peer));
    return GAGE_DONE;
}

static bool
same_text(const char *ours, gage_slice theirs)
{
    return slice_equal(slice_str(ours), theirs);
}

/* The receiver learns what the transfer is; the sender hears it repeated. The URL both know already. */
static bool
take_binding(gage_transfer *t, const struct binding *binding)
{
    if (!same_text(t->url, binding->url))
        return false;
    if (t->role == PACKET_SENDER)
        return same_text(t->format, binding->format) && same_text(t->title, binding->title) &&
               binding->verify == t->verify && binding->calls == t->calls;
    t->verify = binding->verify;
    t->calls = binding->calls;
    return gage_ok(copy_text(t->format, sizeof t->format, binding->format)) &&
           gage_ok(copy_text(t->title, sizeof t->title, binding->title));
}

gage_rc
take_message(gage_transfer *t, struct incoming *in, struct gage_err *err)
{
    struct gage_err why = {0};
    gage_slice token = in->packet->token[PACKET_MESSAGE];
    if (token.p == NULL)
        return GAGE_DONE;
    gage_rc rc = t->complete ? handshake_unwrap(t->handshake, token, &in->text, &why)
                             : gage_fail(&why, GAGE_E_STATE, "a message came before the context was established");
    if (!gage_ok(rc))
        return stop_for(t, t->complete ? GAGE_REASON_DAMAGED : GAGE_REASON_PROTOCOL, rc, &why);
    rc = message_get(gage_buf_slice(&in->text), &in->message, &why);
    if (!gage_ok(rc))
        return stop_for(t, GAGE_REASON_PROTOCOL, rc, &why);
    bool bound = memcmp(in->message.transcript, t->transcript, SHA256_LEN) == 0 &&
                 in->message.has_binding == !t->bound_got &&
                 (!in->message.has_binding || take_binding(t, &in->message.binding));
    if (!bound) {
        stop(t, GAGE_REASON_MISMATCH, NULL);
        return GAGE_DONE;
    }
    bool last = in->message.type == RECORD_RECEIPT || in->message.type == RECORD_REFUSAL;
    if (in->packet->final != last) {
        stop(t, GAGE_REASON_PROTOCOL, NULL);
        return GAGE_DONE;
    }
    t->bound_got = true;
    in->has_message = true;
    return GAGE_DONE;
}

gage_rc
acknowledge(gage_transfer *t, const struct incoming *in)
{
    slot_log_add(&t->peer_log, in->hash);
    TRY(buf_check(&t->peer_log.hashes, NULL));
    return transcript_add(t, in->packet->role, in->packet->seq, in->hash);
}

/* ---- digits, keys ---- */

gage_rc
make_digits(gage_transfer *t, const uint8_t sender[NONCE_LEN], const uint8_t receiver[NONCE_LEN], struct gage_err *err)
{
    uint8_t out[8];
    uint64_t number = 0;
    AUTO(gage_buf) input = GAGE_BUF(128);
    put_bytes(&input, SLICE_LITERAL(DIGITS_LABEL));
    put_bytes(&input, gage_slice_of(sender, NONCE_LEN));
    put_bytes(&input, gage_slice_of(receiver, NONCE_LEN));
    TRY(handshake_prf(t->handshake, gage_buf_slice(&input), out, sizeof out, err));
    for (size_t i = 0; i < sizeof out; i++)
        number = number << 8 | out[i];
    snprintf(t->digits, sizeof t->digits, "%06u", (unsigned)(number % 1000000));
    gage_wipe(out, sizeof out);
    return GAGE_DONE;
}

void
make_key(gage_transfer *t)
{
    uint8_t hash[SHA256_LEN] = {0};
    uint8_t step[2] = {(uint8_t)t->role, (uint8_t)t->phase};
    const gage_slice parts[] = {SLICE_LITERAL(KEY_LABEL), SLICE_OF(t->transcript), SLICE_OF(step)};
    AUTO(gage_buf) text = GAGE_BUF(64);
    if (!gage_ok(sha256_parts(parts, 3, hash)))
        return;
    put_hex(&text, gage_slice_of(hash, 16));
    put_u8(&text, 0);
    if (!text.bad)
        memcpy(t->key, text.p, text.n);
}
