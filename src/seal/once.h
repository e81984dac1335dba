/* once.h - each seal once, across crashes: which seals have been opened, and where their files were going (doc/seal.md, section 5).
 *
 * The order that survives kill -9 at every point: (1) the verified message in a temporary file, synced; (2) once_begin; (3) rename; (4) once_end.
 * once_pending tells what a crash left between (2) and (4). All of it is in the keyring's database. */
#ifndef GAGE_SEAL_ONCE_H
#define GAGE_SEAL_ONCE_H

#include "seal/keyring.h"

#define ONCE_CLOCK_SLACK 3600 /* seconds a clock may go back before everything is refused */
#define ONCE_GRACE 300        /* seconds an entry lives longer than its seal can be opened */

/* Notes the time as the highest seen. GAGE_E_CLOCK: the clock stands more than ONCE_CLOCK_SLACK before that: entries that have been
 * dropped since would be missed, so all is refused until the clock is right. */
gage_rc once_check_clock(struct keyring *keyring, int64_t now, struct gage_err *err);

/* Durably: this seal is opened, its file on the way from `temporary` to `target` (absolute paths; both NULL: no file, done at once). Drops
 * entries that are over. GAGE_E_USED: it was opened before. GAGE_E_FORGOTTEN: it may have been, and the entry was dropped, since a shorter age was
 * demanded then. `max_age` as demanded of the seal: from 1 second. */
gage_rc once_begin(struct keyring *keyring, const uint8_t id[SEAL_ID_LEN], int64_t sealed_at, int64_t max_age,
                   int64_t now, const char *temporary, const char *target, struct gage_err *err);
/* Durably: the file is in place. */
gage_rc once_end(struct keyring *keyring, const uint8_t id[SEAL_ID_LEN], struct gage_err *err);

/* Walks the entries whose file may not be in place yet. The callback finishes the move (a temporary file that is gone has been moved), durably, and
 * returns true; then the entry is done. False leaves it. */
gage_rc once_pending(struct keyring *keyring, bool (*finish)(void *context, const char *temporary, const char *target),
                     void *context, struct gage_err *err);

#endif
