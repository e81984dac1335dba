/* vault.h - sealing what clients keep for us: credential handles, context states, exported credentials (doc/proxy.md, "Handles").
 *
 * XAES-256-GCM (sealer.h) under a random key of the daemon's state file. A handle opens only for
 * the kind, service, security configuration and, where that lets several users in, acting uid that it was made for. Two keys are
 * valid at a time. Thread-safe. */
#ifndef GAGE_PROXYD_VAULT_H
#define GAGE_PROXYD_VAULT_H

#include "base/crypto.h"
#include "proxyd/conf.h"
#include "proxyd/sealer.h"

#define VAULT_SALT_LEN SEALER_SALT_LEN
#define VAULT_PAYLOAD_MAX 786432 /* bytes sealed: with the rest of a message it fits a record */
#define VAULT_KEY_DAYS 30        /* age at which a newer key is made; the one before it stays valid */

#define VAULT_PREFIX_LEN 6 /* format, kind and key: the same in handles that one key seals */

enum handle_kind { HANDLE_CRED = 1, HANDLE_EXPORT = 2, HANDLE_CONTEXT = 3, HANDLE_CALL = 4 };

/* Whom a handle is for. */
struct handle_scope {
    const struct service *service;
    uid_t uid; /* acting; counts where the service binds to it */
};

struct vault;

/* Reads or makes the keys in `folder` (file gage-handles.key, mode 0600), and makes a new one where the newest is too old. NULL
 * folder: keys of this process only. GAGE_E_IO, GAGE_E_FORMAT. */
gage_rc vault_open(const char *folder, int64_t now, struct vault **out, struct gage_err *err);
void vault_close(struct vault **vault);
/* Makes a new key where the newest is older than VAULT_KEY_DAYS; reloads what another process made. */
gage_rc vault_rotate(struct vault *vault, int64_t now, struct gage_err *err);

/* Appends a handle. `mech` is what it is for (may be empty); `expires` in seconds since 1970, 0 for never. */
gage_rc vault_seal(struct vault *vault, enum handle_kind kind, const struct handle_scope *scope, gage_slice mech,
                   int64_t expires, gage_slice payload, gage_buf *out);
/* Appends the payload. GAGE_E_AUTH where it was not sealed for this kind and scope by a key still valid (or is damaged), GAGE_E_EXPIRED
 * where its time is over. */
gage_rc vault_unseal(struct vault *vault, enum handle_kind kind, const struct handle_scope *scope, gage_slice handle,
                     int64_t now, gage_buf *payload);

#endif
