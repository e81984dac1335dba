/* ring.h - the keyring as the public calls hold it: the file and a lock. */
#ifndef GAGE_SEAL_RING_H
#define GAGE_SEAL_RING_H

#include <pthread.h>

#include <gage/seal.h>

#include "seal/keyring.h"
#include "seal/once.h"

struct gage_keyring {
    pthread_mutex_t lock;
    struct keyring *ring;
};

/* The keyring's file, locked until the scope that holds the guard ends. */
struct ring_guard {
    gage_keyring *keyring;
};
struct keyring *ring_take(gage_keyring *keyring, struct ring_guard *guard);
void ring_give(struct ring_guard *guard);
#define RING_GUARD __attribute__((cleanup(ring_give))) struct ring_guard

/* keyring_get with the stored keep. */
gage_rc ring_get(gage_keyring *keyring, const char *alias, int64_t now, bool use, struct pairing *out,
                 struct gage_err *err);

#endif
