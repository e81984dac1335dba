/* What bench/seal.py needs of a large keyring, through the library:
 *   bench_seal_keyring fill KEYRING COUNT        adds pairings with parties that do not exist until there are COUNT
 *   bench_seal_keyring find KEYRING SEAL [TIMES] finds whose the seal is, as a program with the keyring open does; prints microseconds a time */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gage/seal.h>

#include "base/clock.h"
#include "base/file.h"
#include "seal/keyring_db.h"
#include "seal/names.h"

#define SEAL_HEADER 81

static int
failed(const struct gage_err *err)
{
    fprintf(stderr, "bench_seal_keyring: %s\n", err->text);
    return 1;
}

/* The exported name of a Kerberos principal that does not exist. */
static void
put_name(gage_buf *buf, const char *who, uint64_t number)
{
    static const uint8_t krb5[] = "\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";
    char text[64];
    int n = snprintf(text, sizeof text, "%s%" PRIu64 "@EXAMPLE.ORG", who, number);
    put_u16(buf, 0x0401);
    put_vec16(buf, gage_slice_of(krb5, sizeof krb5 - 1));
    put_vec32(buf, gage_slice_of(text, (size_t)n));
}

static gage_rc
make(uint64_t number, int64_t now, struct pairing *p)
{
    *p = (struct pairing){.made = now, .until = now + PAIRING_VALIDITY_DEFAULT};
    p->sending = p->receiving = (struct week_key){.week = week_of(now), .key = {.n = SEAL_KEY_LEN}};
    p->self = p->peer = GAGE_BUF(SEAL_NAME_MAX);
    put_name(&p->self, "me", 0);
    put_name(&p->peer, "peer", number);
    TRY(rng_fill(&gage_system_rng, p->id, sizeof p->id));
    TRY(rng_fill(&gage_system_rng, p->sending.key.b, SEAL_KEY_LEN));
    TRY(rng_fill(&gage_system_rng, p->receiving.key.b, SEAL_KEY_LEN));
    TRY(rng_fill(&gage_system_rng, p->hint_send, sizeof p->hint_send));
    return rng_fill(&gage_system_rng, p->hint_receive, sizeof p->hint_receive);
}

static gage_rc
add_all(struct keyring *keyring, uint64_t from, uint64_t to, struct gage_err *err)
{
    int64_t now = clock_now(), slot;
    for (uint64_t i = from; i < to; i++) {
        char alias[32];
        AUTO(pairing_t) p = {.made = 0};
        snprintf(alias, sizeof alias, "peer%" PRIu64, i);
        TRY(make(i, now, &p));
        TRY(keyring_insert(keyring, &p, alias, &slot, err));
    }
    return keyring_run(keyring, "UPDATE generation SET value = random()", err); /* the hints are stale now */
}

/* One transaction for all: the library's own calls sync each. */
static int
fill(const char *path, uint64_t count)
{
    struct gage_err err = {0};
    struct keyring *keyring;
    int64_t present = 0;
    if (!gage_ok(keyring_open(path, true, &keyring, &err)) || !gage_ok(keyring_run(keyring, "BEGIN IMMEDIATE", &err)) ||
        !gage_ok(keyring_number(keyring, "SELECT count(*) FROM pairing", &present, &err)))
        return failed(&err);
    gage_rc rc = keyring_finish(keyring, add_all(keyring, (uint64_t)present, count, &err), &err);
    keyring_close(&keyring);
    if (gage_ok(rc)) /* makes the hints anew */
        rc = keyring_open(path, false, &keyring, &err);
    keyring_close(&keyring);
    return gage_ok(rc) ? 0 : failed(&err);
}

/* The seal's header decides whose it is: hint, then commitment. */
static gage_rc
find(gage_keyring *keyring, gage_slice header, struct gage_err *err)
{
    gage_opener *opener = NULL;
    AUTO(gage_buf) none = GAGE_BUF(1);
    const struct gage_unseal_options options = {.from = NULL};
    TRY(gage_opener_new(keyring, &options, clock_now(), &opener, err));
    gage_rc rc = gage_opener_put(opener, header, &none, err);
    gage_opener_free(&opener);
    return rc;
}

static int
find_times(const char *path, const char *file, int times)
{
    struct gage_err err = {0};
    gage_keyring *keyring;
    AUTO(gage_buf) seal = GAGE_BUF((size_t)1 << 20);
    if (!gage_ok(gage_keyring_open(path, false, &keyring, &err)) || !gage_ok(file_read(file, &seal, &err)))
        return failed(&err);
    int64_t start = clock_monotonic_ns();
    for (int i = 0; i < times; i++)
        if (!gage_ok(find(keyring, gage_slice_of(seal.p, SEAL_HEADER), &err)))
            return failed(&err);
    printf("%.1f\n", (double)(clock_monotonic_ns() - start) / 1000 / times);
    gage_keyring_free(&keyring);
    return 0;
}

int
main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "fill") == 0)
        return fill(argv[2], strtoull(argv[3], NULL, 10));
    if (argc >= 4 && strcmp(argv[1], "find") == 0)
        return find_times(argv[2], argv[3], argc > 4 ? (int)strtol(argv[4], NULL, 10) : 1);
    fprintf(stderr, "usage: bench_seal_keyring fill KEYRING COUNT | find KEYRING SEAL [TIMES]\n");
    return 2;
}
