/* gage/random.h - randomness as an argument, so that what depends on it can be replayed. */
#ifndef GAGE_RANDOM_H
#define GAGE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#include <gage/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A source of random bytes. `fill` writes exactly n unpredictable bytes or fails (the call that needed them then
 * fails with its code). Only tests and vectors have a reason to give one: NULL where a call takes a
 * `const struct gage_rng *` means the system's, OpenSSL's RAND_priv_bytes, which is also right in a fork's child. */
struct gage_rng {
    gage_rc (*fill)(void *context, uint8_t *out, size_t n);
    void *context;
};

#ifdef __cplusplus
}
#endif
#endif
