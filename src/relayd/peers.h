/* peers.h - limits by address prefix: connections at once, requests and new mailboxes a minute.
 *
 * A peer is an IPv4 /24 or an IPv6 /56. What an IPv6 peer does counts for the /48 and the /32 around it too, which may do 4 and 16 times
 * as much: whoever owns many /56 gains little by it. A /48 has at most 64 entries and a /32 at most 1,024, beyond which its peers share
 * the entry of the prefix around them: so no owner of addresses fills the table, and takes nobody else's place in it.
 *
 * What is remembered of a prefix is a hash under a random key that is renewed every day and never leaves the process, in memory, joined
 * with no mailbox, and forgotten a minute after its last connection ended. */
#ifndef GAGE_RELAYD_PEERS_H
#define GAGE_RELAYD_PEERS_H

#include <sys/socket.h>

#include "base/bytes.h"

struct peers;
struct peer;

enum peer_rate { PEER_REQUESTS, PEER_CREATES, PEER_RATES };

gage_rc peers_new(struct peers **out, struct gage_err *err);
void peers_free(struct peers **peers);

/* A connection from the address began: its peer, counted, or NULL where `limit` connections of its prefix are there already, or its
 * multiple of the prefixes around it. Local addresses (loopback, unix) have no limits unless `limit_local`. */
struct peer *peers_enter(struct peers *peers, const struct sockaddr *address, int64_t limit, bool limit_local);
void peers_leave(struct peers *peers, struct peer *peer);
/* Takes one from the peer's bucket, which holds per_minute and fills at that rate (0: no limit), and from those of the prefixes around it.
 * Returns 0, or after how many seconds there will be one again in all of them; then nothing was taken. */
uint32_t peers_spend(struct peers *peers, struct peer *peer, enum peer_rate rate, int64_t per_minute);
/* Forgets who is idle and at no limit, and renews the key when it is a day old. Call it every few seconds. */
void peers_sweep(struct peers *peers);

#endif
