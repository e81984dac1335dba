/* pair_note.h - what a transfer's record keeps while it makes a pairing (doc/seal.md, section 8): for whom, where it goes, and the pairing so far. */
#ifndef GAGE_CLI_SEAL_PAIR_NOTE_H
#define GAGE_CLI_SEAL_PAIR_NOTE_H

#include <gage/seal.h>
#include <gage/transfer.h>

#include "base/bytes.h"

#define PAIR_FORMAT "gage-pairing" /* of the transfer */
#define PAIR_KEYRING_MAX 1024      /* bytes of the keyring's path */

struct pair_note {
    char alias[GAGE_PEER_ALIAS_MAX + 1];
    char keyring[PAIR_KEYRING_MAX + 1]; /* absolute; "": the default one */
    bool replace;
    int64_t validity;
    gage_buf pairing; /* gage_pair_save; secret; empty before and after */
};
#define PAIR_NOTE_EMPTY ((struct pair_note){.pairing = GAGE_BUF(GAGE_PAIR_RECORD_MAX)})
void pair_note_free(struct pair_note *note);
typedef struct pair_note pair_note_t;
GAGE_AUTO_DEFINE(pair_note_t, pair_note_free)

/* Of bytes: whether they are such a note. */
bool pair_note_is(gage_slice bytes);
void pair_note_put(gage_buf *buf, const struct pair_note *note);
gage_rc pair_note_get(gage_slice bytes, struct pair_note *note, struct gage_err *err);

#endif
