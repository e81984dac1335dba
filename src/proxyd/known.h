/* known.h - whom a Kerberos ticket names, remembered: clients use one ticket for many contexts, and asking the library for the names of each
 * costs as much as accepting it.
 *
 * What is remembered was told by the library of a context that this very ticket (its bytes, by SHA-256) established, under the same
 * configuration, service and credential; it is used only after the library has accepted the ticket again. Initiator, acceptor and
 * attributes are fixed by the ticket (RFC 4120 section 5.3). A fixed number of tickets; a newer one takes an older one's place.
 * Thread-safe. */
#ifndef GAGE_PROXYD_KNOWN_H
#define GAGE_PROXYD_KNOWN_H

#include "proxyd/call.h"
#include "proxyd/conv.h"

struct known_names *known_new(void);
void known_free(struct known_names **known);

/* The Ticket inside a krb5 mechanism's first token (RFC 4121 section 4.1; AP-REQ of RFC 4120 section 5.5.1), borrowed. False where
 * it is anything else: nothing is checked beyond the way there. */
bool known_ticket(gage_slice token, gage_slice *ticket);
/* What stands for the ticket in `token` under this call's service and the credential of this handle (may be empty). */
bool known_key(const struct call *call, gage_slice handle, gage_slice token, uint8_t key[SHA256_LEN]);
/* Copies both names to zeroed structures. False, with nothing copied, where the key is not known or memory is short. */
bool known_get(struct known_names *known, const uint8_t key[SHA256_LEN], gssx_name *source, gssx_name *target);
/* Remembers copies; names beyond a size are not. */
void known_put(struct known_names *known, const uint8_t key[SHA256_LEN], const gssx_name *source,
               const gssx_name *target);

#endif
