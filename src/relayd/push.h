/* push.h - telling the other side that there is news: the hook table of push services (A19).
 *
 * The relay itself speaks to none: with no hook for a token's type the token is kept, the answer says that push is not supported, and the
 * client waits by long polling. A service is added as a row in push.c. */
#ifndef GAGE_RELAYD_PUSH_H
#define GAGE_RELAYD_PUSH_H

#include "base/bytes.h"

struct push_hook {
    const char *type; /* notificationToken.type */
    /* Says "there is an update" and nothing else to the token's service; must not block; failures are its own to log. */
    void (*notify)(gage_slice token_data);
};

/* Whether there is a hook for the kept token (as body_token writes it; empty: no). */
bool push_supported(gage_slice token);
/* Tells the holder of the kept token, if there is a hook. */
void push_notify(gage_slice token);

#endif
