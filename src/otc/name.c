#include "otc/name.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "otc/oid.h"
#include "otc/status.h"

#define NAME_MAGIC 0x4f544e4du

struct otc_name *
otc_name_of(gss_name_t handle)
{
    struct otc_name *name = (struct otc_name *)(void *)handle;
    return name != NULL && name->magic == NAME_MAGIC ? name : NULL;
}

void
otc_name_free(struct otc_name *name)
{
    if (name == NULL)
        return;
    otc_credential_free(&name->credential);
    gage_buf_free(&name->text);
    name->magic = 0;
    free(name);
}

static struct otc_name *
new_name(void)
{
    struct otc_name *name = calloc(1, sizeof *name);
    if (name == NULL)
        return NULL;
    name->magic = NAME_MAGIC;
    name->text = GAGE_BUF(OTC_WILDCARD_MAX);
    return name;
}

gage_rc
otc_name_party(const struct otc_credential *credential, bool initiator, bool vouched, struct otc_name **out)
{
    struct otc_name *name = new_name();
    if (name == NULL)
        return gage_rc_of(GAGE_E_NOMEM);
    name->principal = true;
    name->initiator = initiator;
    name->vouched = vouched;
    gage_rc rc = otc_credential_copy(credential, &name->credential);
    if (gage_ok(rc))
        *out = name;
    else
        otc_name_free(name);
    return rc;
}

gage_rc
otc_name_wildcard(gage_slice type, gage_slice text, struct otc_name **out, struct gage_err *err)
{
    if (type.n == 0)
        type = otc_oid_slice(&otc_nt_user);
    if (type.n > OTC_TYPE_MAX || text.n > OTC_WILDCARD_MAX)
        return otc_fail(err, OTC_S_BAD_NAME);
    struct otc_name *name = new_name();
    if (name == NULL)
        return gage_rc_of(GAGE_E_NOMEM);
    memcpy(name->type, type.p, type.n);
    name->type_len = type.n;
    put_bytes(&name->text, text);
    gage_rc rc = buf_check(&name->text, NULL);
    if (gage_ok(rc))
        *out = name;
    else
        otc_name_free(name);
    return rc;
}

gage_rc
otc_name_from_text(gage_slice text, struct otc_name **out, struct gage_err *err)
{
    struct otc_credential credential = {.id = {0}};
    if (text.n <= UUID_TEXT_LEN || !gage_ok(uuid_parse(gage_slice_of(text.p, UUID_TEXT_LEN), credential.id)))
        return otc_fail(err, OTC_S_BAD_NAME);
    gage_slice role = {text.p + UUID_TEXT_LEN, text.n - UUID_TEXT_LEN};
    bool initiator = slice_equal(role, SLICE_LITERAL("/initiator"));
    if (!initiator && !slice_equal(role, SLICE_LITERAL("/acceptor")))
        return otc_fail(err, OTC_S_BAD_NAME);
    return otc_name_party(&credential, initiator, false, out);
}

gage_rc
otc_name_from_exported(gage_slice token, struct otc_name **out, struct gage_err *err)
{
    struct reader r = read_from(token);
    uint16_t id = get_u16(&r);
    gage_slice oid = get_vec16(&r), text = get_vec32(&r);
    if (!gage_ok(read_end(&r, NULL, "the exported name")) || id != 0x0401 || !slice_equal(oid, SLICE_OF(otc_der_oid)))
        return otc_fail(err, OTC_S_BAD_NAME);
    return otc_name_from_text(text, out, err);
}

gage_rc
otc_name_copy(const struct otc_name *from, struct otc_name **out)
{
    if (from->principal)
        return otc_name_party(&from->credential, from->initiator, from->vouched, out);
    return otc_name_wildcard(gage_slice_of(from->type, from->type_len), gage_buf_slice(&from->text), out, NULL);
}

bool
otc_name_equal(const struct otc_name *a, const struct otc_name *b)
{
    if (a->principal != b->principal)
        return false;
    if (a->principal)
        return a->initiator == b->initiator && memcmp(a->credential.id, b->credential.id, UUID_LEN) == 0;
    return slice_equal(gage_slice_of(a->type, a->type_len), gage_slice_of(b->type, b->type_len)) &&
           slice_equal(gage_buf_slice(&a->text), gage_buf_slice(&b->text));
}

static void
put_id(gage_buf *buf, const struct otc_name *name)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(name->credential.id, id);
    put_bytes(buf, gage_slice_of(id, UUID_TEXT_LEN));
}

void
put_otc_name(gage_buf *buf, const struct otc_name *name)
{
    if (!name->principal) {
        put_bytes(buf, gage_buf_slice(&name->text));
        return;
    }
    put_id(buf, name);
    put_bytes(buf, slice_str(name->initiator ? "/initiator" : "/acceptor"));
}

gage_rc
put_otc_exported_name(gage_buf *buf, const struct otc_name *name, struct gage_err *err)
{
    AUTO(gage_buf) text = GAGE_BUF(OTC_PRINCIPAL_MAX);
    if (!name->principal)
        return otc_fail(err, OTC_S_NAME_NOT_MN);
    put_otc_name(&text, name);
    put_u16(buf, 0x0401);
    put_vec16(buf, SLICE_OF(otc_der_oid));
    put_vec32(buf, gage_buf_slice(&text));
    TRY(buf_check(&text, err));
    return buf_check(buf, err);
}

/* ---- attributes ---- */

static const char *const attribute_names[OTC_ATTRIBUTES] = {
    "otc:id", "otc:role", "otc:not-after", "otc:label", "otc:purpose", "otc:title", "otc:format",
};
enum { A_ID, A_ROLE, A_NOT_AFTER, A_TEXTS };

const char *
otc_attribute_name(size_t i)
{
    return i < OTC_ATTRIBUTES ? attribute_names[i] : NULL;
}

static bool
put_not_after(gage_buf *value, uint64_t not_after)
{
    char text[RFC3339_LEN + 1];
    if (not_after == 0 || not_after > 253402300799u) /* the year 9999 ends */
        return false;
    rfc3339_format((int64_t)not_after, text);
    put_bytes(value, gage_slice_of(text, RFC3339_LEN));
    return true;
}

bool
otc_attribute(const struct otc_name *name, size_t i, gage_buf *value, bool *authenticated)
{
    *authenticated = name->vouched && i <= A_ROLE;
    if (!name->principal || i >= OTC_ATTRIBUTES)
        return false;
    if (i == A_ID) {
        put_id(value, name);
        return true;
    }
    if (i == A_ROLE) {
        put_bytes(value, slice_str(name->initiator ? "initiator" : "acceptor"));
        return true;
    }
    if (i == A_NOT_AFTER)
        return put_not_after(value, name->credential.not_after);
    gage_slice text = name->credential.text[i - A_TEXTS];
    put_bytes(value, text);
    return text.n > 0;
}
