/* hints.h - the hint keys of a keyring in one flat file, mapped: a million are searched faster than SQLite would read them.
 *
 *   file = "gage-hints 1\n" (13) || 0x00 0x00 0x00 || generation u64 || count u64 || key (16) * count      big-endian
 *
 * The file is a cache of the keyring and says of which generation; it holds keys, and so is 0600 like the keyring. */
#ifndef GAGE_SEAL_HINTS_H
#define GAGE_SEAL_HINTS_H

#include "seal/hint.h"

struct hints {
    int fd;
    uint8_t *map; /* for reading; NULL when closed */
    size_t size;  /* bytes mapped */
};
#define HINTS_CLOSED ((struct hints){.fd = -1})

/* Whether what is mapped is whole and of this generation. */
bool hints_fit(const struct hints *hints, uint64_t generation);
/* Maps the file if it is whole and of this generation, else GAGE_E_NOT_FOUND: then rebuild it. */
gage_rc hints_open(struct hints *hints, const char *path, uint64_t generation, struct gage_err *err);
/* Replaces the file by these keys, durably enough: a crash leaves the old one or none that opens. */
gage_rc hints_write(const char *path, uint64_t generation, gage_slice keys, struct gage_err *err);
/* Sets one key (index at most the count: then it is appended) and the generation. */
gage_rc hints_set(struct hints *hints, size_t index, const uint8_t key[HINT_KEY_LEN], uint64_t generation,
                  struct gage_err *err);
/* The keys, end to end; borrowed until the next hints_set or hints_close. */
gage_slice hints_keys(const struct hints *hints);
void hints_close(struct hints *hints);

#endif
