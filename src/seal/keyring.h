/* keyring.h - the pairings of one person: a SQLite file (0600) and beside it a flat file of hint keys.
 *
 * Every change is one transaction, synced before the call returns. Erased keys are overwritten in the file (secure_delete); what a disk or a
 * backup keeps of older blocks is beyond it. Several processes may use one keyring; one object belongs to one thread at a time. */
#ifndef GAGE_SEAL_KEYRING_H
#define GAGE_SEAL_KEYRING_H

#include "seal/pairing.h"

#define KEYRING_ALIAS_MAX 64
/* Pairings of which one hint is looked at further; more can only be a craft or a mistake. */
#define KEYRING_MATCHES_MAX HINT_MATCHES_MAX

struct keyring;

/* One row, without keys. Strings are borrowed for the callback. */
struct keyring_row {
    const char *alias;
    uint8_t id[PAIRING_ID_LEN];
    gage_slice self, peer;         /* exported names */
    int64_t made, until, last_use; /* last_use: 0 never */
};

/* Opens the keyring, making it where `create` and there is none. GAGE_E_NOT_FOUND; GAGE_E_REFUSED where others may read or write the
 * file or put files beside it, where it is not ours, or has a second name; GAGE_E_FORMAT (damaged or of a newer version); GAGE_E_IO. */
gage_rc keyring_open(const char *path, bool create, struct keyring **out, struct gage_err *err);
void keyring_close(struct keyring **keyring);

/* Adds a pairing under an alias (1 to KEYRING_ALIAS_MAX bytes of printable UTF-8 without ':', not beginning with '-'). GAGE_E_EXISTS where the
 * alias or the pairing is there already; the same pairing under the same alias is no change and no error. _replace removes the pairing that has the alias. */
gage_rc keyring_add(struct keyring *keyring, const struct pairing *pairing, const char *alias, struct gage_err *err);
gage_rc keyring_replace(struct keyring *keyring, const struct pairing *pairing, const char *alias,
                        struct gage_err *err);
/* Whether a pairing has this alias. GAGE_E_USAGE: none can have it. */
gage_rc keyring_has(struct keyring *keyring, const char *alias, bool *has, struct gage_err *err);
/* A new alias, an earlier or later end, and removal (keys overwritten). GAGE_E_NOT_FOUND, GAGE_E_EXISTS. */
gage_rc keyring_rename(struct keyring *keyring, const char *alias, const char *to, struct gage_err *err);
gage_rc keyring_expire(struct keyring *keyring, const char *alias, int64_t until, struct gage_err *err);
gage_rc keyring_remove(struct keyring *keyring, const char *alias, struct gage_err *err);

/* The pairing of an alias, its keys stepped to now (and the step stored, so that older keys are gone); `use` records the time as its last use.
 * GAGE_E_NOT_FOUND. *out needs pairing_cleanup. */
gage_rc keyring_get(struct keyring *keyring, const char *alias, int64_t now, unsigned keep, bool use,
                    struct pairing *out, struct gage_err *err);
/* The pairings whose hint key gives this hint, stepped as the keyring says: usually one, none for a stranger's seal. out has room for
 * KEYRING_MATCHES_MAX; *count of them need pairing_cleanup. aliases (may be NULL): their aliases. *keep: for how many weeks keys are kept, as stored. */
gage_rc keyring_match(struct keyring *keyring, const struct seal_header *header, int64_t now, unsigned *keep,
                      struct pairing out[KEYRING_MATCHES_MAX], char aliases[][KEYRING_ALIAS_MAX + 1], size_t *count,
                      struct gage_err *err);
/* The alias (of KEYRING_ALIAS_MAX + 1) of the pairing with the party of this exported name that was made last and is not over at `now`.
 * GAGE_E_NOT_FOUND. */
gage_rc keyring_alias_of(struct keyring *keyring, gage_slice exported, int64_t now, char *alias, struct gage_err *err);
/* Walks the rows by alias; a callback that returns false ends the walk. The keyring is not locked meanwhile: what others change in front of the
 * walk is seen. */
gage_rc keyring_list(struct keyring *keyring, bool (*row)(void *context, const struct keyring_row *row), void *context,
                     struct gage_err *err);
/* How many weeks back seals are opened (0 to PAIRING_KEEP_MAX), as stored for whoever uses this keyring. GAGE_E_USAGE out of range. */
gage_rc keyring_keep(struct keyring *keyring, unsigned *weeks, struct gage_err *err);
gage_rc keyring_set_keep(struct keyring *keyring, unsigned weeks, struct gage_err *err);
/* Steps the keys of every pairing to now: for a timer, since a pairing that is not used keeps old keys otherwise. */
gage_rc keyring_step_all(struct keyring *keyring, int64_t now, unsigned keep, struct gage_err *err);

#endif
