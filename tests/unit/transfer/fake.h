/* fake.h - a cheap stand-in for GSS contexts: three tokens where the mechanism needs only the link secret, two (the first of them
 * going stale, and refused when repeated) where it is time-bound. Wrapping is in clear with a checksum, so that a test sees what left. */
#ifndef GAGE_TEST_FAKE_H
#define GAGE_TEST_FAKE_H

#include "unit/test.h"

#include "transfer/state.h"

#define FAKE_TOKEN_LEN 17 /* kind, initiator's nonce (8), acceptor's nonce (8) */
enum fake_kind { FAKE_FIRST = 'A', FAKE_SECOND = 'B', FAKE_THIRD = 'C', FAKE_WRAP = 'W', FAKE_DELETE = 'D' };

extern const struct transfer_security fake_security;
/* What the stand-ins read: time, randomness, and the first tokens that acceptors have seen. */
extern int64_t fake_now;
uint64_t fake_random(void);
void fake_reset(uint64_t seed);
/* The next this many steps of an acceptor fail, as with a wrong key. */
extern unsigned fake_step_failures;

#endif
