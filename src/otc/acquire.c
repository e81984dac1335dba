/* acquire.c - from the credential store's keys, or a password, to a credential handle. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "otc/cred.h"
#include "otc/secretfile.h"
#include "otc/status.h"

enum key { K_SECRET, K_FILE, K_LABEL, K_PURPOSE, K_TITLE, K_FORMAT, K_NOT_AFTER, K_LIFETIME, K_USED, K_COUNT };
static const char *const key_names[K_COUNT] = {
    "otc_secret", "otc_secret_file", "otc_label",    "otc_purpose", "otc_title",
    "otc_format", "otc_not_after",   "otc_lifetime", "otc_used",
};

/* The store's values sorted by key. */
struct asked {
    gss_cred_usage_t usage;
    gage_slice value[K_COUNT]; /* p NULL: not given */
    const char *path[OTC_SECRETS_MAX], *used;
    size_t paths;
    gage_slice label, purpose; /* of the first secret file; borrowed from file_bytes */
    gage_buf file_bytes;
};

static int
key_of(const char *name)
{
    for (int i = 0; i < K_COUNT; i++) {
        if (strcmp(name, key_names[i]) == 0)
            return i;
    }
    return -1;
}

static gage_rc
sort_one(const gss_key_value_element_desc *element, struct asked *asked, struct gage_err *err)
{
    if (element->key == NULL || strncmp(element->key, "otc_", 4) != 0)
        return GAGE_DONE; /* another mechanism's */
    int key = key_of(element->key);
    if (key < 0 || element->value == NULL)
        return otc_fail(err, key < 0 ? OTC_S_BAD_KEY : OTC_S_BAD_VALUE);
    if (key == K_FILE) {
        if (asked->paths == OTC_SECRETS_MAX)
            return otc_fail(err, OTC_S_BAD_VALUE);
        asked->path[asked->paths++] = element->value;
        return GAGE_DONE;
    }
    if (asked->value[key].p != NULL)
        return otc_fail(err, OTC_S_BAD_KEY);
    asked->value[key] = slice_str(element->value);
    if (key == K_USED)
        asked->used = element->value;
    return GAGE_DONE;
}

static gage_rc
sort_store(const struct otc_cred_request *request, struct asked *asked, struct gage_err *err)
{
    asked->usage = request->usage;
    for (size_t i = 0; i < request->store_count; i++)
        TRY(sort_one(&request->store[i], asked, err));
    if (request->password.p != NULL && asked->value[K_SECRET].p == NULL)
        asked->value[K_SECRET] = request->password;
    bool one = asked->value[K_SECRET].p != NULL;
    if (one == (asked->paths > 0) || (asked->paths > 1 && asked->usage != GSS_C_ACCEPT))
        return otc_fail(err, one || asked->paths > 1 ? OTC_S_BAD_KEY : OTC_S_NO_SECRET);
    if (asked->used != NULL &&
        (asked->usage == GSS_C_INITIATE || asked->used[0] == 0 || strlen(asked->used) >= OTC_PATH_MAX))
        return otc_fail(err, OTC_S_BAD_VALUE);
    return GAGE_DONE;
}

/* Reads the i-th secret file into cred->psk[i]; the first one's texts are the defaults. */
static gage_rc
read_secret_file(struct asked *asked, size_t i, struct otc_cred *cred, int64_t now, struct gage_err *err)
{
    AUTO(gage_buf) bytes = GAGE_BUF(OTC_SECRET_FILE_MAX);
    struct otc_secret_file file = {0};
    TRY(otc_secret_file_read(asked->path[i], &bytes, err));
    TRY(otc_secret_file_parse(gage_buf_slice(&bytes), &file, err));
    cred->psk[i] = file.psk;
    otc_psk_wipe(&file.psk);
    if (cred->psk[i].not_after != 0 && now > (int64_t)cred->psk[i].not_after)
        return otc_fail(err, OTC_S_EXPIRED);
    if (i == 0) {
        asked->label = file.label;
        asked->purpose = file.purpose;
        asked->file_bytes = buf_move(&bytes);
    }
    return GAGE_DONE;
}

static gage_rc
read_secrets(struct asked *asked, struct otc_cred *cred, int64_t now, struct gage_err *err)
{
    if (asked->paths == 0)
        TRY(otc_psk_from_text(asked->value[K_SECRET], OTC_SIDE_LINK, &cred->psk[0], err));
    for (size_t i = 0; i < asked->paths; i++)
        TRY(read_secret_file(asked, i, cred, now, err));
    bool link = cred->psk[0].side == OTC_SIDE_LINK;
    if (link && asked->usage == GSS_C_BOTH)
        return otc_fail(err, OTC_S_BOTH_ROLES);
    cred->fixed = link && asked->usage == GSS_C_INITIATE;
    cred->usage = asked->usage == GSS_C_BOTH       ? OTC_USE_INITIATE | OTC_USE_ACCEPT
                  : asked->usage == GSS_C_INITIATE ? OTC_USE_INITIATE
                                                   : OTC_USE_ACCEPT;
    return GAGE_DONE;
}

/* "never", RFC 3339, or a duration: into claim (minting credentials) or the absolute not_after. */
static gage_rc
set_not_after(gage_slice text, struct otc_cred *cred, int64_t now, struct gage_err *err)
{
    char copy[32] = "";
    int64_t seconds = 0;
    cred->claim = 0;
    if (slice_equal(text, SLICE_LITERAL("never")))
        return GAGE_DONE;
    if (gage_ok(rfc3339_parse((const char *)text.p, text.n, &seconds)) && seconds > 0) {
        cred->credential.not_after = (uint64_t)seconds;
        return GAGE_DONE;
    }
    if (text.n >= sizeof copy)
        return otc_fail(err, OTC_S_BAD_VALUE);
    memcpy(copy, text.p, text.n);
    if (!gage_ok(duration_parse(copy, &seconds)) || seconds <= 0 || seconds >= OTC_INDEFINITE)
        return otc_fail(err, OTC_S_BAD_VALUE);
    cred->claim = (uint32_t)seconds;
    (void)now;
    return GAGE_DONE;
}

static gage_rc
set_times(const struct asked *asked, uint32_t time_req, struct otc_cred *cred, int64_t now, struct gage_err *err)
{
    bool link = cred->psk[0].side == OTC_SIDE_LINK;
    cred->claim = link ? OTC_LINK_CLAIM : OTC_FILE_CLAIM;
    if (asked->value[K_NOT_AFTER].p != NULL)
        TRY(set_not_after(asked->value[K_NOT_AFTER], cred, now, err));
    if ((cred->usage & OTC_USE_INITIATE) == 0) { /* the initiator's to say */
        cred->claim = 0;
        cred->credential.not_after = 0;
    }
    if (time_req != 0 && time_req != OTC_INDEFINITE)
        cred->credential.not_after = otc_earlier(cred->credential.not_after, (uint64_t)now + time_req);
    if (cred->fixed && cred->claim != 0) { /* one credential, one end */
        cred->credential.not_after = otc_earlier(cred->credential.not_after, (uint64_t)now + cred->claim);
        cred->claim = 0;
    }
    if (cred->credential.not_after != 0 && now > (int64_t)cred->credential.not_after)
        return otc_fail(err, OTC_S_EXPIRED);
    return GAGE_DONE;
}

static gage_rc
set_lifetime(gage_slice text, struct otc_cred *cred, struct gage_err *err)
{
    int64_t seconds = (cred->usage & OTC_USE_INITIATE) != 0 ? (int64_t)OTC_LIFETIME : (int64_t)OTC_INDEFINITE;
    char copy[32] = "";
    if (text.p != NULL && slice_equal(text, SLICE_LITERAL("indefinite")))
        seconds = OTC_INDEFINITE;
    else if (text.p != NULL) {
        if (text.n >= sizeof copy)
            return otc_fail(err, OTC_S_BAD_VALUE);
        memcpy(copy, text.p, text.n);
        if (!gage_ok(duration_parse(copy, &seconds)) || seconds <= 0 || seconds >= OTC_INDEFINITE)
            return otc_fail(err, OTC_S_BAD_VALUE);
    }
    cred->lifetime = (uint32_t)seconds;
    return GAGE_DONE;
}

static gage_rc
set_texts(const struct asked *asked, struct otc_cred *cred, struct gage_err *err)
{
    const gage_slice *value = asked->value;
    gage_slice text[OTC_TEXTS] = {
        [OTC_LABEL] = value[K_LABEL].p != NULL ? value[K_LABEL] : asked->label,
        [OTC_PURPOSE] = value[K_PURPOSE].p != NULL ? value[K_PURPOSE] : asked->purpose,
        [OTC_TITLE] = value[K_TITLE],
        [OTC_FORMAT] = value[K_FORMAT],
    };
    gage_rc rc = otc_credential_set_texts(&cred->credential, text);
    return rc.code == GAGE_E_LIMIT ? otc_fail(err, OTC_S_BAD_VALUE) : rc;
}

static gage_rc
fill(const struct otc_cred_request *request, struct asked *asked, const struct gage_rng *rng, int64_t now,
     struct otc_cred *cred, struct gage_err *err)
{
    TRY(read_secrets(asked, cred, now, err));
    TRY(set_texts(asked, cred, err));
    TRY(set_times(asked, request->time_req, cred, now, err));
    TRY(set_lifetime(asked->value[K_LIFETIME], cred, err));
    if (asked->used != NULL) {
        cred->used = strdup(asked->used);
        if (cred->used == NULL)
            return gage_rc_of(GAGE_E_NOMEM);
    }
    return cred->fixed ? uuid_make(rng, cred->credential.id) : GAGE_DONE;
}

gage_rc
otc_cred_make(const struct otc_cred_request *request, const struct gage_rng *rng, int64_t now, struct otc_cred **out,
              struct gage_err *err)
{
    struct asked asked = {.file_bytes = GAGE_BUF(OTC_SECRET_FILE_MAX)};
    TRY(sort_store(request, &asked, err));
    struct otc_cred *cred = otc_cred_new(asked.paths > 0 ? asked.paths : 1);
    gage_rc rc = cred == NULL ? gage_rc_of(GAGE_E_NOMEM) : fill(request, &asked, rng, now, cred, err);
    gage_buf_free(&asked.file_bytes);
    if (gage_ok(rc))
        *out = cred;
    else
        otc_cred_free(cred);
    return rc;
}
