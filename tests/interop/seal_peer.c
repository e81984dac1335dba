/* seal_peer.c - gage's own sealer and opener on given keys, for the second implementation to meet:
 *   seal_peer seal|open WEEK-KEY HINT-KEY WEEK SELF PEER NOW [RANDOM-HEX]      keys, names and randomness in hexadecimal; stdin to stdout */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/file.h"
#include "seal/opener.h"
#include "seal/sealer.h"

#define ALL ((size_t)1 << 26)

static gage_buf
hex(const char *text)
{
    gage_buf out = GAGE_BUF(8192);
    if (!gage_ok(get_hex(slice_str(text), &out)))
        exit(2);
    return out;
}

static gage_rc
fixed(void *context, uint8_t *out, size_t n)
{
    gage_buf *from = context;
    if (from->n < n)
        return gage_rc_of(GAGE_E_LIMIT);
    memcpy(out, from->p, n);
    buf_drop(from, n);
    return GAGE_DONE;
}

typedef struct sealer sealer_t;
GAGE_AUTO_DEFINE(sealer_t, sealer_cleanup)
typedef struct opener opener_t;
GAGE_AUTO_DEFINE(opener_t, opener_cleanup)

static gage_rc
seal(const struct pairing *p, int64_t now, const struct gage_rng *rng, gage_slice in, gage_buf *out,
     struct gage_err *err)
{
    AUTO(sealer_t) sealer = {.id = {0}};
    const struct seal_carrier anybody = {.kind = CARRIER_ANY};
    TRY(sealer_begin(&sealer, p, &anybody, rng, now, out, err));
    TRY(sealer_put(&sealer, in, out));
    return sealer_end(&sealer, out);
}

static gage_rc
unseal(const struct pairing *p, int64_t now, gage_slice in, gage_buf *out, struct gage_err *err)
{
    AUTO(opener_t) opener = {.now = 0};
    const struct open_policy policy = {.keep = PAIRING_KEEP_DEFAULT};
    size_t which;
    REQUIRE(in.n > SEAL_HEADER_LEN, err, GAGE_E_FORMAT, "short");
    TRY(opener_begin(&opener, in.p, &p, 1, &policy, now, &which, err));
    TRY(opener_put(&opener, gage_slice_of(in.p + SEAL_HEADER_LEN, in.n - SEAL_HEADER_LEN), out, err));
    return opener_end(&opener, out, err);
}

int
main(int argc, char **argv)
{
    struct gage_err err = {0};
    if (argc < 8)
        return 2;
    bool sealing = strcmp(argv[1], "seal") == 0;
    AUTO(gage_buf) key = hex(argv[2]);
    AUTO(gage_buf) hint = hex(argv[3]);
    AUTO(gage_buf) random = hex(argc > 8 ? argv[8] : "");
    AUTO(gage_buf) in = GAGE_BUF(ALL);
    AUTO(gage_buf) out = GAGE_BUF(ALL);
    const struct gage_rng given = {fixed, &random};
    int64_t now = strtoll(argv[7], NULL, 10);
    AUTO(pairing_t) p = {.until = INT64_MAX, .self = hex(argv[5]), .peer = hex(argv[6])};
    struct week_key week = {(uint32_t)strtoul(argv[4], NULL, 10), {.n = SEAL_KEY_LEN}};
    memcpy(week.key.b, key.p, SEAL_KEY_LEN);
    p.sending = p.receiving = week;
    memcpy(p.hint_send, hint.p, HINT_KEY_LEN);
    memcpy(p.hint_receive, hint.p, HINT_KEY_LEN);
    gage_rc rc = file_read_fd(0, "input", &in, &err);
    if (gage_ok(rc))
        rc = sealing ? seal(&p, now, argc > 8 ? &given : &gage_system_rng, gage_buf_slice(&in), &out, &err)
                     : unseal(&p, now, gage_buf_slice(&in), &out, &err);
    if (gage_ok(rc))
        rc = file_write_fd(1, "output", gage_buf_slice(&out), &err);
    if (!gage_ok(rc))
        fprintf(stderr, "%s: %s\n", gage_code_name(rc.code), err.text);
    return gage_exit_status(rc.code);
}
