#include "transfer/message.h"

#include <string.h>

#include "base/encode.h"
#include "transfer/invitation.h"

#define BINDING_VERIFY 1
#define BINDING_CALLS 2

/* ---- names ---- */

bool
name_plain(gage_slice name)
{
    return name.n > 0 && name.n <= GAGE_TRANSFER_NAME_MAX && utf8_printable(name) &&
           memchr(name.p, '/', name.n) == NULL && !slice_equal(name, SLICE_LITERAL(".")) &&
           !slice_equal(name, SLICE_LITERAL(".."));
}

void
name_safe(gage_slice name, char to[GAGE_TRANSFER_NAME_MAX + 1])
{
    size_t n = name.n < GAGE_TRANSFER_NAME_MAX ? name.n : GAGE_TRANSFER_NAME_MAX;
    for (size_t i = 0; i < n; i++)
        to[i] = name.p[i] == '\\' ? '_' : (char)name.p[i];
    to[n] = '\0';
    if (to[0] == '-' || to[0] == '.')
        to[0] = '_';
}

const char *
refusal_text(enum refusal refusal)
{
    static const char *const texts[] = {"",
                                        "the person there said no",
                                        "the six digits differ, so somebody stands between",
                                        "the announced title or format is not the authenticated one",
                                        "it could not be put in place there",
                                        "the call was refused there"};
    return texts[(size_t)refusal <= REFUSAL_MAX ? refusal : 0];
}

/* ---- writing ---- */

static void
put_binding(gage_buf *out, const struct binding *binding)
{
    AUTO(gage_buf) body = GAGE_BUF(4096);
    put_vec16(&body, binding->url);
    put_vec8(&body, binding->format);
    put_vec16(&body, binding->title);
    put_u8(&body, (uint8_t)((binding->verify ? BINDING_VERIFY : 0) | (binding->calls ? BINDING_CALLS : 0)));
    out->bad = out->bad || body.bad;
    put_u8(out, RECORD_BINDING);
    put_vec32(out, gage_buf_slice(&body));
}

static void
put_content(gage_buf *out, const struct content *content)
{
    put_u32(out, (uint32_t)(1 + content->name.n + 2 + SHA256_LEN + content->bytes.n));
    put_vec8(out, content->name);
    put_u16(out, content->mode);
    put_bytes(out, SLICE_OF(content->sha256));
    put_bytes(out, content->bytes);
}

static void
put_body(gage_buf *out, const struct message *message)
{
    uint8_t refusal = (uint8_t)message->refusal;
    switch (message->type) {
    case RECORD_CONTENT:
        put_content(out, &message->content);
        break;
    case RECORD_RECEIPT:
    case RECORD_COMMIT:
    case RECORD_NONCE:
    case RECORD_REVEAL:
        put_vec32(out, SLICE_OF(message->hash));
        break;
    case RECORD_REFUSAL:
        put_vec32(out, gage_slice_of(&refusal, 1));
        break;
    case RECORD_REQUEST:
    case RECORD_ANSWER:
        put_vec32(out, message->bytes);
        break;
    default:
        put_vec32(out, SLICE_NONE);
    }
}

void
message_put(gage_buf *out, const struct message *message)
{
    put_u8(out, MESSAGE_VERSION);
    put_bytes(out, SLICE_OF(message->transcript));
    if (message->has_binding)
        put_binding(out, &message->binding);
    put_u8(out, (uint8_t)message->type);
    put_body(out, message);
}

/* ---- reading ---- */

static bool
get_binding(gage_slice body, struct binding *binding)
{
    struct reader r = read_from(body);
    binding->url = get_vec16(&r);
    binding->format = get_vec8(&r);
    binding->title = get_vec16(&r);
    uint8_t flags = get_u8(&r);
    binding->verify = (flags & BINDING_VERIFY) != 0;
    binding->calls = (flags & BINDING_CALLS) != 0;
    return gage_ok(read_end(&r, NULL, "")) && flags <= (BINDING_VERIFY | BINDING_CALLS) &&
           format_valid(binding->format) && title_valid(binding->title) && binding->url.n <= GAGE_TRANSFER_URL_MAX;
}

static bool
get_content(gage_slice body, struct content *content)
{
    struct reader r = read_from(body);
    uint8_t hash[SHA256_LEN];
    content->name = get_vec8(&r);
    content->mode = get_u16(&r);
    get_copy(&r, content->sha256, sizeof content->sha256);
    content->bytes = get_rest(&r);
    return read_ok(&r) && (content->name.n == 0 || name_plain(content->name)) && content->mode <= 0777 &&
           content->bytes.n <= GAGE_TRANSFER_CONTENT_MAX && gage_ok(sha256_of(content->bytes, hash)) &&
           memcmp(hash, content->sha256, sizeof hash) == 0;
}

static bool
get_fixed(gage_slice body, uint8_t hash[SHA256_LEN])
{
    if (body.n != SHA256_LEN)
        return false;
    memcpy(hash, body.p, SHA256_LEN);
    return true;
}

static bool
get_body(gage_slice body, struct message *message)
{
    switch (message->type) {
    case RECORD_CONTENT:
        return get_content(body, &message->content);
    case RECORD_RECEIPT:
    case RECORD_COMMIT:
    case RECORD_NONCE:
    case RECORD_REVEAL:
        return get_fixed(body, message->hash);
    case RECORD_REFUSAL:
        message->refusal = body.n == 1 ? (enum refusal)body.p[0] : (enum refusal)0;
        return message->refusal >= 1 && message->refusal <= REFUSAL_MAX;
    case RECORD_REQUEST:
    case RECORD_ANSWER:
        message->bytes = body;
        return body.n <= GAGE_TRANSFER_CONTENT_MAX;
    case RECORD_OFFER:
    case RECORD_COMPARED:
        return body.n == 0;
    default:
        return false;
    }
}

gage_rc
message_get(gage_slice text, struct message *out, struct gage_err *err)
{
    struct reader r = read_from(text);
    struct message message = {0};
    bool good = get_u8(&r) == MESSAGE_VERSION;
    get_copy(&r, message.transcript, sizeof message.transcript);
    message.type = (enum record_type)get_u8(&r);
    gage_slice body = get_vec32(&r);
    if (message.type == RECORD_BINDING) {
        message.has_binding = true;
        good = good && read_ok(&r) && get_binding(body, &message.binding);
        message.type = (enum record_type)get_u8(&r);
        body = get_vec32(&r);
    }
    good = good && gage_ok(read_end(&r, NULL, "")) && get_body(body, &message);
    REQUIRE(good, err, GAGE_E_FORMAT, "the other side's message is malformed, or of a later version");
    *out = message;
    return GAGE_DONE;
}
