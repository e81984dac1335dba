/* store_key.h - the relay key, and the keyed names under which the store keeps mailboxes, claims and request ids.
 *
 * Each name is the first 16 bytes of HMAC-SHA-256(relay key, label || fields); the key lies outside the database, so that a copy of
 * the database alone opens no mailbox, tells no id, and relates no two mailboxes (R10, R12). doc/relay-store.md lists them. */
#ifndef GAGE_RELAYD_STORE_KEY_H
#define GAGE_RELAYD_STORE_KEY_H

#include "base/crypto.h"
#include "relayd/store.h"

#define RELAY_KEY_LEN 32
#define KEYED_LEN 16

/* Reads the key file (*key is then to be cleaned up), or, where it is missing and `may_make`, makes it (mode 0600, durably). GAGE_E_NOT_FOUND when missing and not
 * to be made; GAGE_E_FORMAT when it is not 32 bytes; GAGE_E_CONFIG when others may read it. */
gage_rc relay_key_load(const char *path, bool may_make, struct hmac_key *key, struct gage_err *err);

/* What the database remembers of its key, to recognise it. */
gage_rc relay_key_check(const struct hmac_key *key, uint8_t check[KEYED_LEN]);

gage_rc keyed_tag(const struct hmac_key *key, const uint8_t mailbox[UUID_LEN], uint8_t tag[KEYED_LEN]);

/* Fills op->inner and op->result.tag with the keyed names that the verb needs. */
gage_rc keyed_names(const struct hmac_key *key, struct store_op *op);

#endif
