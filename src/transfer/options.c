/* The two constructors: what the caller's options may be. */
#include <string.h>

#include "transfer/json.h"
#include "transfer/state.h"

#define DEFAULT_TITLE "A shared credential"
#define DEFAULT_DESCRIPTION                                                                                            \
    "Somebody shares a credential with you. Open it with gage, or another application that understands it."

static bool
description_valid(gage_slice text)
{
    return text.n <= GAGE_TRANSFER_DESCRIPTION_MAX && utf8_printable(text);
}

static bool
image_valid(gage_slice text)
{
    return text.n == 0 || (text.n <= GAGE_TRANSFER_URL_MAX && text.n > 8 && memcmp(text.p, "https://", 8) == 0 &&
                           utf8_printable(text));
}

static bool
name_valid(gage_slice text)
{
    return text.n == 0 || name_plain(text);
}

static bool
target_valid(gage_slice text)
{
    return text.n <= GAGE_TRANSFER_URL_MAX && utf8_printable(text);
}

static gage_rc
copy_option(char *to, size_t size, const char *value, const char *otherwise, bool (*valid)(gage_slice),
            const char *what, struct gage_err *err)
{
    const char *text = value != NULL ? value : otherwise;
    REQUIRE(valid(slice_str(text)), err, GAGE_E_USAGE, "the %s is not of the documented form, or too long", what);
    gage_rc rc = copy_text(to, size, slice_str(text));
    REQUIRE(gage_ok(rc), err, GAGE_E_LIMIT, "the %s is too long", what);
    return GAGE_DONE;
}

static gage_rc
copy_texts(gage_transfer *t, const struct gage_send_options *o, struct gage_err *err)
{
    TRY(copy_option(t->title, sizeof t->title, o->title, DEFAULT_TITLE, title_valid,
                    "title (one line, at most 200 bytes)", err));
    TRY(copy_option(t->description, sizeof t->description, o->description, DEFAULT_DESCRIPTION, description_valid,
                    "description (one line, at most 1000 bytes)", err));
    TRY(copy_option(t->image, sizeof t->image, o->image, "", image_valid, "picture's URL (https)", err));
    TRY(copy_option(t->format, sizeof t->format, o->format, "file", format_valid, "format (letters, digits and ._+/-)",
                    err));
    TRY(copy_option(t->name, sizeof t->name, o->name, "", name_valid, "name (a plain file name)", err));
    TRY(copy_option(t->target, sizeof t->target, o->target, "", target_valid, "target", err));
    if (o->relay_pin != NULL)
        TRY(copy_option(t->pin, sizeof t->pin, o->relay_pin, "", pin_valid, "pin (sha256//BASE64)", err));
    REQUIRE(o->vertical == 0 || (o->vertical >= 'a' && o->vertical <= 'z'), err, GAGE_E_USAGE,
            "the vertical is not one lower-case letter");
    t->vertical[0] = o->vertical;
    return GAGE_DONE;
}

/* Mechanisms are chosen by what they can do. */
static gage_rc
choose_mechanism(gage_transfer *t, const char *name, bool verify, struct gage_err *err)
{
    TRY(mechanism_find(name, &t->mechanism, err));
    REQUIRE(t->mechanism->half_open_export, err, GAGE_E_UNSUPPORTED,
            "the mechanism %s cannot store a half-open context, so a transfer over it could not be resumed",
            t->mechanism->name);
    REQUIRE(!verify || t->mechanism->prf, err, GAGE_E_UNSUPPORTED,
            "the mechanism %s has no pseudo-random function to make the six digits from", t->mechanism->name);
    return copy_text(t->mechanism_oid, sizeof t->mechanism_oid, slice_str(t->mechanism->oid_text));
}

static gage_rc
copy_note(gage_transfer *t, gage_slice note, struct gage_err *err)
{
    buf_reset(&t->note);
    put_bytes(&t->note, note);
    gage_rc rc = buf_check(&t->note, NULL);
    REQUIRE(gage_ok(rc), err, GAGE_E_LIMIT, "the note is longer than %d bytes", GAGE_TRANSFER_NOTE_MAX);
    return GAGE_DONE;
}

static gage_rc
copy_content(gage_transfer *t, const struct gage_send_options *o, struct gage_err *err)
{
    t->mode = o->mode & 0777;
    t->size = o->calls ? 0 : o->content.n;
    if (!o->calls) {
        put_bytes(&t->content, o->content);
        REQUIRE(gage_ok(buf_check(&t->content, NULL)), err, GAGE_E_LIMIT,
                "the content is longer than %u bytes, the most that a transfer carries", GAGE_TRANSFER_CONTENT_MAX);
        TRY(sha256_of(o->content, t->sha256));
    }
    t->padding = (uint32_t)packet_padded(t->size + strlen(t->name) + 2 * MESSAGE_OVERHEAD);
    return GAGE_DONE;
}

static gage_rc
copy_relay(gage_transfer *t, const struct gage_send_options *o, struct gage_err *err)
{
    struct url relay;
    REQUIRE(o->relay != NULL && o->relay[0] != '\0', err, GAGE_E_USAGE, "no relay was named");
    TRY(url_parse_relay(slice_str(o->relay), o->allow_loopback_http, &relay, err));
    t->allow_loopback_http = o->allow_loopback_http;
    TRY(copy_text(t->relay, sizeof t->relay - UUID_TEXT_LEN, slice_str(relay.text)));
    return copy_text(t->host, sizeof t->host, url_authority(&relay));
}

static gage_rc
draw_identity(gage_transfer *t, struct gage_err *err)
{
    gage_rc rc = uuid_make(&t->rng, t->claim);
    if (gage_ok(rc))
        rc = uuid_make(&t->rng, t->request_id);
    REQUIRE(gage_ok(rc), err, rc.code, "no random bytes");
    return GAGE_DONE;
}

gage_rc
transfer_send(const struct transfer_security *security, const struct gage_send_options *o, const struct gage_rng *rng,
              int64_t now, gage_transfer **out, struct gage_err *err)
{
    AUTO(gage_transfer_ptr) t = NULL;
    TRY(transfer_new(security, rng, now, &t, err));
    t->role = PACKET_SENDER;
    t->phase = PHASE_CREATE;
    t->verify = o->verify;
    t->calls = o->calls;
    t->expires = o->expires;
    REQUIRE(o->expires > now, err, GAGE_E_USAGE, "the time after which claiming ends is already over");
    TRY(copy_relay(t, o, err));
    TRY(copy_texts(t, o, err));
    TRY(copy_content(t, o, err));
    TRY(copy_note(t, o->note, err));
    TRY(choose_mechanism(t, o->mechanism, o->verify, err));
    REQUIRE(t->mechanism->link_secret || t->target[0] != '\0', err, GAGE_E_USAGE,
            "the mechanism %s needs the receiver's name (service@host)", t->mechanism->name);
    REQUIRE(gage_ok(rng_fill(&t->rng, t->secret.b, LINK_SECRET_LEN)), err, GAGE_E_INTERNAL, "no random bytes");
    t->secret.n = LINK_SECRET_LEN;
    TRY(draw_identity(t, err));
    TRY(sender_first_payload(t, err));
    *out = t;
    t = NULL;
    return GAGE_DONE;
}

gage_rc
transfer_receive(const struct transfer_security *security, const gage_invitation *invitation,
                 const struct gage_receive_options *o, const struct gage_rng *rng, int64_t now, gage_transfer **out,
                 struct gage_err *err)
{
    AUTO(gage_transfer_ptr) t = NULL;
    TRY(transfer_new(security, rng, now, &t, err));
    t->role = PACKET_RECEIVER;
    t->phase = o->no_preview ? PHASE_ASK_CLAIM : PHASE_PREVIEW;
    t->no_preview = o->no_preview;
    t->allow_loopback_http = invitation->allow_loopback_http;
    t->secret = invitation->secret;
    t->expires = invitation->expires;
    TRY(copy_text(t->url, sizeof t->url, slice_str(invitation->url.text)));
    TRY(copy_text(t->host, sizeof t->host, slice_str(invitation->host)));
    TRY(copy_text(t->announced_title, sizeof t->announced_title, slice_str(invitation->title)));
    TRY(copy_text(t->announced_format, sizeof t->announced_format, slice_str(invitation->format)));
    TRY(copy_note(t, o->note, err));
    TRY(choose_mechanism(t, o->mechanism, false, err));
    TRY(draw_identity(t, err));
    *out = t;
    t = NULL;
    return GAGE_DONE;
}

gage_rc
gage_transfer_send(const struct gage_send_options *options, const struct gage_rng *rng, int64_t now,
                   gage_transfer **out, struct gage_err *err)
{
    return transfer_send(&transfer_gss, options, rng, now, out, err);
}

gage_rc
gage_transfer_receive(const gage_invitation *invitation, const struct gage_receive_options *options,
                      const struct gage_rng *rng, int64_t now, gage_transfer **out, struct gage_err *err)
{
    return transfer_receive(&transfer_gss, invitation, options, rng, now, out, err);
}

gage_rc
gage_transfer_set_note(gage_transfer *transfer, gage_slice note, struct gage_err *err)
{
    TRY(copy_note(transfer, note, err));
    if (transfer->dirty)
        buf_reset(&transfer->record); /* a record not yet reported on must carry the new note */
    return GAGE_DONE;
}

gage_rc
gage_transfer_context(gage_transfer *t, gss_ctx_id_t *context, struct gage_err *err)
{
    REQUIRE(t->complete && t->handshake != NULL && t->security == &transfer_gss, err, GAGE_E_STATE,
            "the transfer has no established security context now");
    *context = *handshake_gss_context(t->handshake);
    return GAGE_DONE;
}

size_t
gage_transfer_payload_size(const gage_transfer *transfer)
{
    return ((size_t)transfer->padding + ENVELOPE_OVERHEAD + 2) / 3 * 4;
}
