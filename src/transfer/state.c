#include "transfer/state.h"

#include <stdlib.h>
#include <string.h>

#include "transfer/json.h"

#define RECORD_MAGIC "gage-transfer"
#define RECORD_VERSION 2
#define RECORD_MAX (3u * ENVELOPE_MAX)

const struct transfer_security transfer_gss = {handshake_start, handshake_load};

gage_rc
transfer_new(const struct transfer_security *security, const struct gage_rng *rng, int64_t now, gage_transfer **out,
             struct gage_err *err)
{
    gage_transfer *t = calloc(1, sizeof *t);
    REQUIRE(t != NULL, err, GAGE_E_NOMEM, "not enough memory for a transfer");
    t->security = security;
    t->rng = rng != NULL ? *rng : gage_system_rng;
    t->created = t->since = t->now = now;
    t->attempt = 1;
    t->payload = GAGE_BUF(ENVELOPE_MAX);
    t->content = GAGE_BUF(GAGE_TRANSFER_CONTENT_MAX);
    t->input = GAGE_BUF(GAGE_TRANSFER_CONTENT_MAX);
    t->note = GAGE_BUF(GAGE_TRANSFER_NOTE_MAX);
    t->own = t->peer_log = SLOT_LOG_EMPTY;
    t->record = GAGE_BUF(RECORD_MAX);
    t->request = RELAY_REQUEST_EMPTY;
    *out = t;
    return GAGE_DONE;
}

void
gage_transfer_free(gage_transfer **transfer)
{
    gage_transfer *t = transfer != NULL ? *transfer : NULL;
    if (t == NULL)
        return;
    handshake_free(&t->handshake);
    gage_buf_free(&t->payload);
    gage_buf_free(&t->content);
    gage_buf_free(&t->input);
    gage_buf_free(&t->note);
    gage_buf_free(&t->own.hashes);
    gage_buf_free(&t->peer_log.hashes);
    gage_buf_free(&t->record);
    relay_request_reset(&t->request);
    gage_wipe(t, sizeof *t);
    free(t);
    *transfer = NULL;
}

/* ---- the record: tables say what is stored and in which order (doc/transfer.md, "State record") ---- */

#define AT(field) offsetof(struct gage_transfer, field)

static const struct {
    size_t at, size;
} texts[] = {
#define TEXT_ROW(field)                                                                                                \
    {                                                                                                                  \
        AT(field), sizeof((struct gage_transfer *)0)->field                                                            \
    }
    TEXT_ROW(sentence),
    TEXT_ROW(mechanism_oid),
    TEXT_ROW(target),
    TEXT_ROW(relay),
    TEXT_ROW(url),
    TEXT_ROW(host),
    TEXT_ROW(pin),
    TEXT_ROW(vertical),
    TEXT_ROW(title),
    TEXT_ROW(format),
    TEXT_ROW(description),
    TEXT_ROW(image),
    TEXT_ROW(name),
    TEXT_ROW(peer),
    TEXT_ROW(announced_title),
    TEXT_ROW(announced_format),
    TEXT_ROW(digits),
#undef TEXT_ROW
};

static const struct {
    size_t at, size;
} blocks[] = {
#define BLOCK_ROW(field)                                                                                               \
    {                                                                                                                  \
        AT(field), sizeof((struct gage_transfer *)0)->field                                                            \
    }
    BLOCK_ROW(nonce),      BLOCK_ROW(commit), BLOCK_ROW(claim),
    BLOCK_ROW(request_id), BLOCK_ROW(sha256), BLOCK_ROW(transcript),
#undef BLOCK_ROW
};

static const size_t bits[] = {
    AT(verify),   AT(calls),      AT(released),  AT(invited), AT(no_preview),  AT(allow_loopback_http),
    AT(complete), AT(bound_sent), AT(bound_got), AT(ending),  AT(unconfirmed), AT(cancelling),
    AT(agreed)};

static const size_t buffers[] = {AT(payload), AT(content), AT(input), AT(note), AT(own.hashes), AT(peer_log.hashes)};

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define FIELD(t, type, offset) ((type *)(void *)((char *)(t) + (offset)))

static void
put_tables(gage_transfer *t, gage_buf *out)
{
    for (size_t i = 0; i < COUNT(bits); i++)
        put_u8(out, *FIELD(t, bool, bits[i]));
    for (size_t i = 0; i < COUNT(texts); i++)
        put_vec16(out, slice_str(FIELD(t, char, texts[i].at)));
    for (size_t i = 0; i < COUNT(blocks); i++)
        put_bytes(out, gage_slice_of(FIELD(t, uint8_t, blocks[i].at), blocks[i].size));
    for (size_t i = 0; i < COUNT(buffers); i++)
        put_vec32(out, gage_buf_slice(FIELD(t, gage_buf, buffers[i])));
}

static void
put_numbers(gage_transfer *t, gage_buf *out)
{
    put_u8(out, (uint8_t)t->role);
    put_u8(out, (uint8_t)t->phase);
    put_u8(out, t->refusing);
    put_u8(out, (uint8_t)t->outcome);
    put_u8(out, (uint8_t)t->reason);
    put_u8(out, (uint8_t)t->code);
    put_u32(out, t->expect);
    put_u32(out, t->attempt);
    put_u32(out, t->mode);
    put_u32(out, t->round);
    put_u32(out, t->padding);
    put_u64(out, t->size);
    put_u64(out, (uint64_t)t->created);
    put_u64(out, (uint64_t)t->expires);
    put_u64(out, (uint64_t)t->since);
}

gage_rc
state_put(gage_transfer *t, gage_buf *out, struct gage_err *err)
{
    AUTO(gage_buf) context = GAGE_BUF(HANDSHAKE_STATE_MAX);
    if (t->handshake != NULL)
        TRY(handshake_save(t->handshake, &context, err));
    put_bytes(out, SLICE_LITERAL(RECORD_MAGIC));
    put_u8(out, RECORD_VERSION);
    put_numbers(t, out);
    put_tables(t, out);
    put_vec8(out, secret_slice(&t->secret));
    put_vec32(out, gage_buf_slice(&context));
    return buf_check(out, err);
}

static void
get_text(struct reader *r, char *to, size_t size)
{
    gage_slice text = get_vec16(r);
    if ((text.n > 0 && memchr(text.p, 0, text.n) != NULL) || !gage_ok(copy_text(to, size, text)))
        r->bad = true;
}

static void
get_flag(struct reader *r, bool *to)
{
    uint8_t v = get_u8(r);
    *to = v == 1;
    r->bad = r->bad || v > 1;
}

static void
get_tables(struct reader *r, gage_transfer *t)
{
    for (size_t i = 0; i < COUNT(bits); i++)
        get_flag(r, FIELD(t, bool, bits[i]));
    for (size_t i = 0; i < COUNT(texts); i++)
        get_text(r, FIELD(t, char, texts[i].at), texts[i].size);
    for (size_t i = 0; i < COUNT(blocks); i++)
        get_copy(r, FIELD(t, uint8_t, blocks[i].at), blocks[i].size);
    for (size_t i = 0; i < COUNT(buffers); i++) {
        put_bytes(FIELD(t, gage_buf, buffers[i]), get_vec32(r));
        r->bad = r->bad || FIELD(t, gage_buf, buffers[i])->bad;
    }
}

static void
get_numbers(struct reader *r, gage_transfer *t)
{
    t->role = (enum packet_role)get_u8(r);
    t->phase = (enum phase)get_u8(r);
    t->refusing = get_u8(r);
    t->outcome = (enum gage_outcome)get_u8(r);
    t->reason = (enum gage_reason)get_u8(r);
    t->code = (enum gage_code)get_u8(r);
    t->expect = get_u32(r);
    t->attempt = get_u32(r);
    t->mode = get_u32(r);
    t->round = get_u32(r);
    t->padding = get_u32(r);
    t->size = get_u64(r);
    t->created = (int64_t)get_u64(r);
    t->expires = (int64_t)get_u64(r);
    t->since = (int64_t)get_u64(r);
}

static bool
phase_fits(const gage_transfer *t)
{
    switch (t->phase) {
    case PHASE_CREATE:
    case PHASE_SUPPLY:
        return t->role == PACKET_SENDER;
    case PHASE_PREVIEW:
    case PHASE_ASK_CLAIM:
    case PHASE_ASK_MISMATCH:
    case PHASE_REQUEST:
    case PHASE_INSTALL:
        return t->role == PACKET_RECEIVER;
    case PHASE_PUT:
        return t->payload.n > 0;
    default:
        return t->phase >= 1 && t->phase <= PHASE_MAX;
    }
}

/* What a record of ours always fulfils; a damaged one must not lead to a wild length or an impossible state. */
static bool
sound(const gage_transfer *t)
{
    bool needs_url = t->phase != PHASE_CREATE && t->phase != PHASE_DONE;
    bool needs_secret = t->phase != PHASE_DONE && t->phase != PHASE_DELETE;
    struct url url;
    return (t->role == PACKET_SENDER || t->role == PACKET_RECEIVER) && phase_fits(t) && t->attempt >= 1 &&
           t->attempt <= PACKET_ATTEMPT_MAX && t->mode <= 0777 && t->padding <= ENVELOPE_MAX &&
           t->own.hashes.n % SHA256_LEN == 0 && t->peer_log.hashes.n % SHA256_LEN == 0 &&
           (!needs_url || gage_ok(url_parse_mailbox(slice_str(t->url), t->allow_loopback_http, &url, NULL))) &&
           (!needs_secret || envelope_type(t->secret.n) != NULL) &&
           (t->relay[0] == '\0' || gage_ok(url_parse_relay(slice_str(t->relay), t->allow_loopback_http, &url, NULL))) &&
           (t->outcome < GAGE_OUTCOME_INSTALLED + 2) && t->reason <= GAGE_REASON_PROTOCOL;
}

static gage_rc
load_context(gage_transfer *t, gage_slice saved, struct gage_err *err)
{
    struct handshake_spec spec;
    if (t->phase == PHASE_DONE)
        return GAGE_DONE;
    TRY(mechanism_find(t->mechanism_oid, &t->mechanism, err));
    if (saved.n == 0)
        return GAGE_DONE;
    handshake_spec_of(t, &spec);
    return t->security->load(&spec, saved, t->complete, &t->handshake, err);
}

gage_rc
transfer_load(const struct transfer_security *security, gage_slice record, const struct gage_rng *rng, int64_t now,
              gage_transfer **out, struct gage_err *err)
{
    AUTO(gage_transfer_ptr) t = NULL;
    struct reader r = read_from(record);
    gage_slice magic = get_bytes(&r, sizeof RECORD_MAGIC - 1);
    uint8_t version = get_u8(&r);
    REQUIRE(slice_equal(magic, SLICE_LITERAL(RECORD_MAGIC)) && version == RECORD_VERSION, err, GAGE_E_FORMAT,
            "not the record of a transfer, or one of another version");
    TRY(transfer_new(security, rng, now, &t, err));
    get_numbers(&r, t);
    get_tables(&r, t);
    gage_slice secret = get_vec8(&r), context = get_vec32(&r);
    TRY(read_end(&r, err, "the record of the transfer"));
    t->own.seq = (uint32_t)(t->own.hashes.n / SHA256_LEN);
    t->peer_log.seq = (uint32_t)(t->peer_log.hashes.n / SHA256_LEN);
    REQUIRE(gage_ok(secret_set(&t->secret, secret)) && sound(t), err, GAGE_E_FORMAT,
            "the record of the transfer is damaged");
    TRY(load_context(t, context, err));
    t->stored = t->look = true;
    *out = t;
    t = NULL;
    return GAGE_DONE;
}

gage_rc
gage_transfer_load(gage_slice record, const struct gage_rng *rng, int64_t now, gage_transfer **out,
                   struct gage_err *err)
{
    return transfer_load(&transfer_gss, record, rng, now, out, err);
}
