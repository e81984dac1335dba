/* relay.h - the parts of a running relay, as its requests see them. */
#ifndef GAGE_RELAYD_RELAY_H
#define GAGE_RELAYD_RELAY_H

#include "relayd/peers.h"
#include "relayd/settings.h"
#include "relayd/store.h"
#include "relayd/tls.h"
#include "relayd/waiters.h"
#include "relayd/wire.h"

/* The limits in force, which SIGHUP changes while requests run. Sizes in bytes, times in seconds. */
struct limits {
    _Atomic int64_t payload_max, body_memory, expiration, expiration_max, wait_max, idle_timeout;
    _Atomic int64_t connections_per_prefix, requests_per_minute, creates_per_minute;
    _Atomic bool limit_loopback;
};

struct relay {
    struct settings settings;
    struct limits limits;
    struct wire_limits wire_limits;
    struct tls tls;
    bool tls_on;
    struct store *store;
    struct peers *peers;
    struct waiters *waiters;
    char public_url[1024];       /* without a slash at its end */
    _Atomic int64_t body_memory; /* bytes that bodies and answers in progress take now */
    _Atomic int64_t connections; /* now */
    _Atomic int64_t requests;    /* begun and not yet answered, waiting ones included */
    _Atomic bool draining;
};

/* Takes the limits from the settings, at the start and on SIGHUP. */
void relay_take_limits(struct relay *relay, const struct settings *settings);

#endif
