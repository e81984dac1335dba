/* names.h - exported names (RFC 2743 section 3.2) and what they mean. */
#ifndef GAGE_SEAL_NAMES_H
#define GAGE_SEAL_NAMES_H

#include "handshake/mechanism.h"

/* The mechanism inside an exported name; NULL where the name is not of that form or the mechanism not known. */
const struct mechanism *name_mechanism(gage_slice exported);
/* Whether it means the same party to everybody. */
bool name_is_global(gage_slice exported);
/* Whether it ends where it says: on a byte more MIT's library ends the process that imports it. */
bool name_is_whole(gage_slice exported);
/* Both parties of an established context as exported names, appended: the initiator's and the acceptor's. GAGE_E_UNSUPPORTED where the
 * mechanism gives no names. *initiator is our role. */
gage_rc names_of_context(gss_ctx_id_t context, bool *we_initiated, gage_buf *initiator, gage_buf *acceptor,
                         struct gage_err *err);
/* A name as an exported one: as it is, else canonicalized for `mech`. */
gage_rc name_export(gss_name_t name, gss_OID mech, gage_buf *exported, struct gage_err *err);

#endif
