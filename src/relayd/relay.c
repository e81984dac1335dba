#include "relayd/relay.h"

#include "relayd/request.h"

#define SECOND_NS INT64_C(1000000000)

void
relay_take_limits(struct relay *relay, const struct settings *s)
{
    relay->limits.payload_max = s->payload_max;
    relay->limits.body_memory = s->body_memory;
    relay->limits.expiration = s->expiration;
    relay->limits.expiration_max = s->expiration_max;
    relay->limits.wait_max = s->wait_max;
    relay->limits.idle_timeout = s->idle_timeout;
    relay->limits.connections_per_prefix = s->connections_per_prefix;
    relay->limits.requests_per_minute = s->requests_per_minute;
    relay->limits.creates_per_minute = s->creates_per_minute;
    relay->limits.limit_loopback = s->limit_loopback;
    relay->wire_limits.head_ns = s->head_timeout * SECOND_NS;
    relay->wire_limits.body_ns = s->body_timeout * SECOND_NS;
    relay->wire_limits.idle_ns = s->idle_timeout * SECOND_NS;
    relay->wire_limits.payload_max = s->payload_max;
    relay->wire_limits.body_max = (uint64_t)(s->payload_max + BODY_SLACK + BODY_OVERLONG);
}
