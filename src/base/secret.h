/* secret.h - a short secret: cannot be printed, is compared in constant time, wiped by its one destructor.
 * Long secret contents live in a gage_buf, which wipes itself too. */
#ifndef GAGE_BASE_SECRET_H
#define GAGE_BASE_SECRET_H

#include "base/bytes.h"

#define GAGE_SECRET_MAX 64

typedef struct gage_secret {
    uint8_t b[GAGE_SECRET_MAX];
    size_t n; /* bytes in use, 0 when unset */
} gage_secret;

void secret_wipe(gage_secret *secret);
GAGE_AUTO_DEFINE(gage_secret, secret_wipe)

/* Copies in; GAGE_E_LIMIT if longer than GAGE_SECRET_MAX. */
gage_rc secret_set(gage_secret *secret, gage_slice bytes);
gage_slice secret_slice(const gage_secret *secret);
bool secret_equal(const gage_secret *a, const gage_secret *b);

/* Wipes any memory, where a type's own destructor is not at hand. */
void gage_wipe(void *p, size_t n);

#endif
