/* contexts.h - both ends of an established Kerberos context in one process, for tests run inside tests/lib/realm.py. */
#ifndef GAGE_TEST_CONTEXTS_H
#define GAGE_TEST_CONTEXTS_H

#include "handshake/gss.h"

#define FULL_FLAGS (GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG)

struct contexts {
    gss_ctx_id_t initiator, acceptor;
};

/* alice to gage@localhost with these flags; fails the test where that does not work. */
struct contexts contexts_make(OM_uint32 flags);
void contexts_drop(struct contexts *pair);
/* What gss_wrap makes of the bytes; the caller releases it. */
gss_buffer_desc contexts_wrap(gss_ctx_id_t context, int conf, gage_slice bytes);

#endif
