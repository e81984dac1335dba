/* pump.h - moving bytes through a tunnel: reads into memory shared by all tunnels of the loop, encrypts and decrypts in place, writes at
 * once; only what cannot be written or is no whole frame yet is copied and kept with the tunnel. */
#ifndef GAGE_CLI_TUNNEL_PUMP_H
#define GAGE_CLI_TUNNEL_PUMP_H

#include "cli/tunnel/tunnel.h"

/* The application is readable, and nothing waits to be written to the wire. */
gage_rc pump_from_application(struct tunnel *t, struct gage_err *err);
/* The wire is readable. */
gage_rc pump_from_wire(struct tunnel *t, struct gage_err *err);
/* Whether the stream may take something of what was kept from the wire, as far as is known. */
bool pump_may_consume(const struct tunnel *t);
/* Lets it. */
gage_rc pump_consume(struct tunnel *t, struct gage_err *err);
/* The transport ended: judged once everything before its end is digested, GSS steps included. */
gage_rc pump_fin(struct tunnel *t, struct gage_err *err);
/* Writes what waits for either side. */
gage_rc pump_flush(struct tunnel *t, struct gage_err *err);
/* Turns ends of one side into ends of the other, once everything before them is written. */
gage_rc pump_ends(struct tunnel *t, struct gage_err *err);
/* The stream failed: what it has to say to the peer goes out as far as it goes. */
void pump_last_words(struct tunnel *t);
/* Wipes and frees what waits to be written. */
void pump_drop(struct tunnel_side *side);

#endif
