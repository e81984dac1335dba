/* used.h - the store of used credentials that an accepting authority keeps (doc/otc.md section 10). */
#ifndef GAGE_OTC_USED_H
#define GAGE_OTC_USED_H

#include "base/crypto.h"

#define OTC_USED_MAX (64u << 20) /* bytes a store may have */

struct otc_used_entry {
    uint64_t expires; /* seconds since 1970; 0: never */
    uint8_t key[SHA256_LEN];
};

/* Records the entries durably, all or none; USED where one of them is there already, USED_STORE where the store cannot be read or
 * written. Processes and threads exclude each other by a lock on PATH.lock, for which it waits. */
gage_rc otc_used_claim(const char *path, const struct otc_used_entry *entries, size_t count, int64_t now,
                       struct gage_err *err);

#endif
