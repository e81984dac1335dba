#include "relayd/store_key.h"

#include <string.h>
#include <sys/stat.h>

#include "base/crypto.h"
#include "base/file.h"

static gage_rc
make_key(const char *path, struct gage_err *err)
{
    AUTO(gage_secret) fresh = {.n = RELAY_KEY_LEN};
    TRY(rng_fill(&gage_system_rng, fresh.b, fresh.n));
    gage_rc rc = file_install(path, secret_slice(&fresh), 0600, err);
    return rc.code == GAGE_E_EXISTS ? GAGE_DONE : rc; /* another relay was faster: its key is read */
}

gage_rc
relay_key_load(const char *path, bool may_make, struct hmac_key *key, struct gage_err *err)
{
    struct stat st;
    AUTO(gage_buf) bytes = GAGE_BUF(RELAY_KEY_LEN + 1);
    gage_rc rc = file_read(path, &bytes, err);
    if (rc.code == GAGE_E_NOT_FOUND && may_make) {
        TRY(make_key(path, err));
        rc = file_read(path, &bytes, err);
    }
    REQUIRE(
        rc.code != GAGE_E_NOT_FOUND, err, GAGE_E_NOT_FOUND,
        "the relay key %s is missing, and without it the mailboxes in the database cannot be opened: restore it, or "
        "remove the database",
        path);
    if (!gage_ok(rc) && rc.code != GAGE_E_LIMIT)
        return rc;
    REQUIRE(bytes.n == RELAY_KEY_LEN, err, GAGE_E_FORMAT, "the relay key %s is not %d bytes long: restore it", path,
            RELAY_KEY_LEN);
    REQUIRE(stat(path, &st) == 0 && (st.st_mode & 077) == 0, err, GAGE_E_CONFIG,
            "the relay key %s may be read by others: chmod 600 it, and think about who has read it", path);
    return hmac_key_init(key, gage_buf_slice(&bytes));
}

/* The first KEYED_LEN bytes of HMAC(key, parts). */
static gage_rc
keyed(const struct hmac_key *key, const gage_slice *parts, size_t count, uint8_t out[KEYED_LEN])
{
    uint8_t mac[SHA256_LEN];
    TRY(hmac_key_parts(key, parts, count, mac));
    memcpy(out, mac, KEYED_LEN);
    gage_wipe(mac, sizeof mac);
    return GAGE_DONE;
}

gage_rc
relay_key_check(const struct hmac_key *key, uint8_t check[KEYED_LEN])
{
    gage_slice parts[] = {SLICE_LITERAL("check")};
    return keyed(key, parts, 1, check);
}

gage_rc
keyed_tag(const struct hmac_key *key, const uint8_t mailbox[UUID_LEN], uint8_t tag[KEYED_LEN])
{
    gage_slice parts[] = {SLICE_LITERAL("tag"), gage_slice_of(mailbox, UUID_LEN)};
    return keyed(key, parts, 2, tag);
}

static gage_rc
keyed_claim(const struct hmac_key *key, const struct store_request *q, uint8_t role, uint8_t out[KEYED_LEN])
{
    gage_slice parts[] = {SLICE_LITERAL("claim"), SLICE_OF(q->mailbox), gage_slice_of(&role, 1), q->claim};
    return keyed(key, parts, 4, out);
}

/* `label` || length of the claim in one byte || claim || request id. */
static gage_rc
keyed_create(const struct hmac_key *key, const char *label, const struct store_request *q, uint8_t out[KEYED_LEN])
{
    uint8_t n = (uint8_t)q->claim.n;
    gage_slice parts[] = {slice_str(label), gage_slice_of(&n, 1), q->claim, q->request_id};
    return keyed(key, parts, 4, out);
}

/* The verbs that have a request id, as they stand in its name. */
static const uint8_t letters[] = {
    [STORE_CREATE] = 'C', [STORE_UPDATE] = 'U', [STORE_RELINQUISH] = 'R', [STORE_DELETE] = 'D'};

/* One id with two verbs is two requests. */
static gage_rc
keyed_request(const struct hmac_key *key, const struct store_request *q, uint8_t out[KEYED_LEN])
{
    uint8_t n = (uint8_t)q->claim.n;
    gage_slice parts[] = {SLICE_LITERAL("request"),
                          gage_slice_of(&letters[q->verb], 1),
                          SLICE_OF(q->mailbox),
                          gage_slice_of(&n, 1),
                          q->claim,
                          q->request_id};
    return keyed(key, parts, 6, out);
}

gage_rc
keyed_names(const struct hmac_key *key, struct store_op *op)
{
    const struct store_request *q = &op->request;
    TRY(keyed_tag(key, q->mailbox, op->result.tag));
    if (q->verb == STORE_DISPLAY)
        return GAGE_DONE;
    TRY(keyed_claim(key, q, STORE_INITIATOR, op->inner.claim_hash[STORE_INITIATOR]));
    TRY(keyed_claim(key, q, STORE_RECIPIENT, op->inner.claim_hash[STORE_RECIPIENT]));
    if (q->verb == STORE_READ)
        return GAGE_DONE;
    TRY(keyed_request(key, q, op->inner.request_hash));
    if (q->verb != STORE_CREATE)
        return GAGE_DONE;
    TRY(keyed_create(key, "create", q, op->inner.create_key));
    return keyed_create(key, "mailbox", q, op->inner.id_pad);
}
