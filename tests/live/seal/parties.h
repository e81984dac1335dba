/* parties.h - contexts between three parties of one process, over the one-time credential or Kerberos: what the stories of seals begin with. */
#ifndef GAGE_TEST_SEAL_PARTIES_H
#define GAGE_TEST_SEAL_PARTIES_H

#include "live/otc/kit.h"

#include <gage/seal.h>

/* Chooses by $GAGE_TEST_MECH: "krb5" (run inside tests/lib/realm.py), else otc. Before any GSS call. */
void parties_start(void);
bool parties_krb5(void);

/* An established context from alice to the service of this name ("gage", "HTTP"). */
struct meeting {
    gss_ctx_id_t initiator, acceptor;
};
struct meeting meet(const char *service);
void part(struct meeting *meeting);

/* Keyrings in the test's folder; both tokens of a pairing exchanged and stored under the aliases. */
gage_keyring *keyring_of(const char *name);
void pair_up(struct meeting *meeting, gage_keyring *initiator, const char *calls_peer, gage_keyring *acceptor,
             const char *calls_back);

/* 1795000000 or the like is not for contexts: tickets are of now. */
int64_t now_s(void);

#endif
