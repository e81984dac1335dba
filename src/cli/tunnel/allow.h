/* allow.h - who is welcome: --allow patterns, matched by (mechanism, exported name). */
#ifndef GAGE_CLI_TUNNEL_ALLOW_H
#define GAGE_CLI_TUNNEL_ALLOW_H

#include <gage/stream.h>

#include "cli/args.h"

#define PEER_TEXT_MAX 4200

/* "krb5:alice@EXAMPLE.ORG": the mechanism's name (or OID) and the display name. */
void peer_text(const struct gage_stream_peer *peer, char text[PEER_TEXT_MAX]);

/* Whether the peer matches one of the patterns. "krb5:alice@EXAMPLE.ORG"; "otc:ID", one credential; without a mechanism krb5
 * is meant; "krb5:*@EXAMPLE.ORG", a shell pattern over the display name; "*": everybody who authenticates. Without * ? [, where the mechanism's names
 * are global, exported names are compared (RFC 2743 section 3.2), so that no two spellings differ. An empty list: everybody. */
bool allow_matches(const struct opt_list *patterns, const struct gage_stream_peer *peer);

/* gage_stream_authorise over a struct opt_list. */
gage_rc allow_authorise(void *patterns, const struct gage_stream_peer *peer, struct gage_err *err);

#endif
