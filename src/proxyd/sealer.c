#include "proxyd/sealer.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK 16u
#define HALF (SEALER_SALT_LEN / 2)

struct sealer {
    EVP_CIPHER_CTX *aes; /* the key's, for deriving */
    uint8_t mask[BLOCK]; /* CMAC's first subkey (SP 800-38B section 6.1) */
    struct gcm gcm;      /* the last message's key */
    bool set;
    uint32_t id;
};

struct sealer *
sealer_new(void)
{
    return calloc(1, sizeof(struct sealer));
}

void
sealer_free(struct sealer **sealer)
{
    struct sealer *s = *sealer;
    *sealer = NULL;
    if (s == NULL)
        return;
    EVP_CIPHER_CTX_free(s->aes);
    gcm_cleanup(&s->gcm);
    gage_wipe(s, sizeof *s);
    free(s);
}

static bool
encrypt_blocks(struct sealer *s, const uint8_t *in, size_t n, uint8_t *out)
{
    int done = 0;
    return EVP_EncryptUpdate(s->aes, out, &done, in, (int)n) == 1 && done == (int)n;
}

/* The encrypted block of zeros, doubled in GF(2^128). */
static bool
make_mask(struct sealer *s)
{
    static const uint8_t zero[BLOCK];
    uint8_t block[BLOCK];
    if (!encrypt_blocks(s, zero, BLOCK, block))
        return false;
    for (size_t i = 0; i < BLOCK; i++)
        s->mask[i] = (uint8_t)(block[i] << 1 | (i + 1 < BLOCK ? block[i + 1] >> 7 : 0));
    s->mask[BLOCK - 1] ^= (uint8_t)((block[0] >> 7) * 0x87);
    gage_wipe(block, sizeof block);
    return true;
}

gage_rc
sealer_set(struct sealer *s, uint32_t id, const uint8_t key[SEALER_KEY_LEN])
{
    s->set = false;
    if (s->aes == NULL)
        s->aes = EVP_CIPHER_CTX_new();
    if (s->aes == NULL || EVP_EncryptInit_ex2(s->aes, EVP_aes_256_ecb(), key, NULL, NULL) != 1 ||
        EVP_CIPHER_CTX_set_padding(s->aes, 0) != 1 || !make_mask(s))
        return gage_rc_of(GAGE_E_INTERNAL);
    s->set = true;
    s->id = id;
    return GAGE_DONE;
}

bool
sealer_has(const struct sealer *s, uint32_t id)
{
    return s->set && s->id == id;
}

/* Sets the message's key: CMAC of two blocks that have the block's number, 'X', zero and half of the salt. */
static gage_rc
set_message(struct sealer *s, const uint8_t *salt, bool encrypt)
{
    uint8_t blocks[2 * BLOCK] = {0, 1, 'X', 0}, key[SEALER_KEY_LEN];
    memcpy(blocks + BLOCK - HALF, salt, HALF);
    memcpy(blocks + BLOCK, blocks, BLOCK);
    blocks[BLOCK + 1] = 2;
    for (size_t i = 0; i < sizeof blocks; i++)
        blocks[i] ^= s->mask[i % BLOCK];
    gage_rc rc = gage_rc_of(GAGE_E_INTERNAL);
    if (s->set && encrypt_blocks(s, blocks, sizeof blocks, key))
        rc =
            s->gcm.ctx != NULL ? gcm_rekey(&s->gcm, SLICE_OF(key), encrypt) : gcm_init(&s->gcm, SLICE_OF(key), encrypt);
    gage_wipe(blocks, sizeof blocks);
    gage_wipe(key, sizeof key);
    return rc;
}

gage_rc
sealer_seal(struct sealer *s, const uint8_t salt[SEALER_SALT_LEN], gage_slice aad, gage_slice text, gage_buf *out)
{
    if (text.n > SIZE_MAX - GCM_TAG_LEN)
        return gage_rc_of(GAGE_E_LIMIT);
    TRY(set_message(s, salt, true));
    uint8_t *to = put_space(out, text.n + GCM_TAG_LEN);
    if (to == NULL)
        return buf_check(out, NULL);
    gage_rc rc = gcm_seal(&s->gcm, salt + HALF, aad, text, to, to + text.n);
    if (!gage_ok(rc))
        out->n -= text.n + GCM_TAG_LEN;
    return rc;
}

gage_rc
sealer_open(struct sealer *s, const uint8_t salt[SEALER_SALT_LEN], gage_slice aad, gage_slice sealed, gage_buf *out)
{
    if (sealed.n < GCM_TAG_LEN)
        return gage_rc_of(GAGE_E_AUTH);
    TRY(set_message(s, salt, false));
    const gage_slice text = {sealed.p, sealed.n - GCM_TAG_LEN};
    uint8_t empty, *to = text.n > 0 ? put_space(out, text.n) : &empty;
    if (to == NULL)
        return buf_check(out, NULL);
    gage_rc rc = gcm_open(&s->gcm, salt + HALF, aad, text, to, text.p + text.n);
    if (!gage_ok(rc))
        out->n -= text.n;
    return rc;
}
