#include "otc/cred.h"

#include <stdlib.h>
#include <string.h>

#include "otc/status.h"

#define CRED_MAGIC 0x4f544372u
#define CRED_VERSION 1

struct otc_cred *
otc_cred_of(gss_cred_id_t handle)
{
    struct otc_cred *cred = (struct otc_cred *)(void *)handle;
    return cred != NULL && cred->magic == CRED_MAGIC ? cred : NULL;
}

void
otc_cred_free(struct otc_cred *cred)
{
    if (cred == NULL)
        return;
    for (size_t i = 0; i < cred->count; i++)
        otc_psk_wipe(&cred->psk[i]);
    free(cred->psk);
    free(cred->used);
    otc_credential_free(&cred->credential);
    gage_wipe(cred, sizeof *cred);
    free(cred);
}

struct otc_cred *
otc_cred_new(size_t secrets)
{
    struct otc_cred *cred = calloc(1, sizeof *cred);
    if (cred == NULL)
        return NULL;
    cred->magic = CRED_MAGIC;
    cred->psk = calloc(secrets, sizeof *cred->psk);
    cred->count = cred->psk != NULL ? secrets : 0;
    if (cred->psk == NULL) {
        otc_cred_free(cred);
        return NULL;
    }
    return cred;
}

uint64_t
otc_earlier(uint64_t a, uint64_t b)
{
    if (a == 0 || b == 0)
        return a + b;
    return a < b ? a : b;
}

uint32_t
otc_cred_left(const struct otc_cred *cred, int64_t now)
{
    uint64_t end = cred->credential.not_after;
    if (cred->count == 1)
        end = otc_earlier(end, cred->psk[0].not_after);
    if (end == 0)
        return OTC_INDEFINITE;
    if (now < 0 || end <= (uint64_t)now)
        return 0;
    uint64_t left = end - (uint64_t)now;
    return left < OTC_INDEFINITE ? (uint32_t)left : OTC_INDEFINITE - 1;
}

/* ---- exported ---- */

void
put_otc_cred(gage_buf *buf, const struct otc_cred *cred)
{
    put_u8(buf, CRED_VERSION);
    put_u8(buf, (uint8_t)cred->usage);
    put_u8(buf, (uint8_t)cred->count);
    for (size_t i = 0; i < cred->count; i++) {
        put_u8(buf, (uint8_t)cred->psk[i].side);
        put_bytes(buf, secret_slice(&cred->psk[i].key));
        put_u64(buf, cred->psk[i].not_after);
    }
    put_u8(buf, cred->fixed ? 1 : 0);
    put_u32(buf, cred->claim);
    put_u32(buf, cred->lifetime);
    put_otc_credential(buf, &cred->credential);
    put_vec16(buf, cred->used != NULL ? slice_str(cred->used) : SLICE_NONE);
}

static gage_rc
get_secrets(struct reader *r, struct otc_cred *cred)
{
    for (size_t i = 0; i < cred->count; i++) {
        uint8_t side = get_u8(r);
        TRY(secret_set(&cred->psk[i].key, get_bytes(r, SHA256_LEN)));
        cred->psk[i].not_after = get_u64(r);
        cred->psk[i].side = (enum otc_side)side;
        r->bad |= !otc_side_valid(side);
    }
    return GAGE_DONE;
}

static gage_rc
get_used(struct reader *r, struct otc_cred *cred)
{
    gage_slice path = get_vec16(r);
    r->bad |= path.n >= OTC_PATH_MAX || (path.n > 0 && memchr(path.p, 0, path.n) != NULL);
    if (r->bad || path.n == 0)
        return GAGE_DONE;
    cred->used = strndup((const char *)path.p, path.n);
    return gage_rc_of(cred->used != NULL ? GAGE_OK : GAGE_E_NOMEM);
}

static gage_rc
get_cred(struct reader *r, struct otc_cred *cred)
{
    TRY(get_secrets(r, cred));
    uint8_t fixed = get_u8(r);
    cred->fixed = fixed == 1;
    cred->claim = get_u32(r);
    cred->lifetime = get_u32(r);
    TRY(get_otc_credential(r, &cred->credential));
    TRY(get_used(r, cred));
    bool initiates = (cred->usage & OTC_USE_INITIATE) != 0;
    if (fixed > 1 || cred->lifetime == 0 || (initiates && cred->count != 1))
        return gage_rc_of(GAGE_E_FORMAT);
    return read_end(r, NULL, "the exported credential");
}

gage_rc
otc_cred_import(gage_slice token, struct otc_cred **out, struct gage_err *err)
{
    struct reader r = read_from(token);
    uint8_t version = get_u8(&r), usage = get_u8(&r), count = get_u8(&r);
    if (r.bad || version != CRED_VERSION || usage < 1 || usage > 3 || count < 1 || count > OTC_SECRETS_MAX)
        return otc_fail(err, OTC_S_BAD_IMPORT_CRED);
    struct otc_cred *cred = otc_cred_new(count);
    if (cred == NULL)
        return gage_rc_of(GAGE_E_NOMEM);
    cred->usage = usage;
    gage_rc rc = get_cred(&r, cred);
    if (gage_ok(rc)) {
        *out = cred;
        return rc;
    }
    otc_cred_free(cred);
    return rc.code == GAGE_E_FORMAT ? otc_fail(err, OTC_S_BAD_IMPORT_CRED) : rc;
}
