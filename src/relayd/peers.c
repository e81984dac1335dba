#include "relayd/peers.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"

#define NAME_LEN 16
#define BUCKETS 4096
#define PEERS_MAX 65536 /* prefixes at once; who comes beyond shares one peer */
#define SECOND_NS INT64_C(1000000000)
#define IDLE_NS (60 * SECOND_NS)
#define KEY_LIFE_NS (86400 * SECOND_NS)

struct peer {
    struct peer *next;
    uint8_t name[NAME_LEN];
    int64_t connections;
    int64_t last_ns;               /* when it was last used */
    double tokens[PEER_RATES];     /* spent from a full bucket, 0 when full */
    int64_t filled_ns[PEER_RATES]; /* when `tokens` was right */
    bool listed;                   /* in the table: its name is of the key in force */
    bool unlimited;
};

struct peers {
    pthread_mutex_t lock;
    uint8_t key[32];
    int64_t key_ns;
    size_t count;
    struct peer local, crowd;
    struct peer *buckets[BUCKETS];
};

static gage_rc
renew_key(struct peers *peers, int64_t now)
{
    peers->key_ns = now;
    return rng_fill(&gage_system_rng, peers->key, sizeof peers->key);
}

gage_rc
peers_new(struct peers **out, struct gage_err *err)
{
    struct peers *peers = calloc(1, sizeof *peers);
    REQUIRE(peers != NULL, err, GAGE_E_NOMEM, "out of memory");
    pthread_mutex_init(&peers->lock, NULL);
    peers->local.unlimited = true;
    if (!gage_ok(renew_key(peers, clock_monotonic_ns()))) {
        free(peers);
        return gage_fail(err, GAGE_E_INTERNAL, "no random bytes");
    }
    *out = peers;
    return GAGE_DONE;
}

void
peers_free(struct peers **peers)
{
    if (*peers == NULL)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct peer *p = (*peers)->buckets[i], *next; p != NULL; p = next) {
            next = p->next;
            free(p);
        }
    gage_wipe((*peers)->key, sizeof(*peers)->key);
    free(*peers);
    *peers = NULL;
}

static bool
is_loopback6(const struct in6_addr *a)
{
    return IN6_IS_ADDR_LOOPBACK(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
}

/* The bytes of the prefix; none for a local address. */
static gage_slice
prefix_of(const struct sockaddr *address)
{
    if (address != NULL && address->sa_family == AF_INET) {
        const uint8_t *a = (const uint8_t *)&((const struct sockaddr_in *)(const void *)address)->sin_addr;
        return a[0] == 127 ? SLICE_NONE : gage_slice_of(a, 3);
    }
    if (address != NULL && address->sa_family == AF_INET6) {
        const struct in6_addr *a = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        if (is_loopback6(a))
            return SLICE_NONE;
        return IN6_IS_ADDR_V4MAPPED(a) ? gage_slice_of(a->s6_addr + 12, 3) : gage_slice_of(a->s6_addr, 7);
    }
    return SLICE_NONE;
}

static struct peer **
bucket_of(struct peers *peers, const uint8_t name[NAME_LEN])
{
    return &peers->buckets[(name[0] | (size_t)name[1] << 8) % BUCKETS];
}

/* The peer of the prefix, made if needed; the one all share where there are too many. Under the lock. */
static struct peer *
find_peer(struct peers *peers, gage_slice prefix)
{
    uint8_t digest[SHA256_LEN];
    if (!gage_ok(hmac_sha256_parts(SLICE_OF(peers->key), &prefix, 1, digest)))
        return &peers->crowd;
    struct peer **bucket = bucket_of(peers, digest);
    for (struct peer *p = *bucket; p != NULL; p = p->next)
        if (memcmp(p->name, digest, NAME_LEN) == 0)
            return p;
    struct peer *fresh = peers->count < PEERS_MAX ? calloc(1, sizeof *fresh) : NULL;
    if (fresh == NULL)
        return &peers->crowd;
    memcpy(fresh->name, digest, NAME_LEN);
    fresh->listed = true;
    fresh->next = *bucket;
    *bucket = fresh;
    peers->count++;
    return fresh;
}

struct peer *
peers_enter(struct peers *peers, const struct sockaddr *address, int64_t limit, bool limit_local)
{
    static const uint8_t local_name[1] = {0};
    gage_slice prefix = prefix_of(address);
    pthread_mutex_lock(&peers->lock);
    struct peer *peer = &peers->local;
    if (prefix.n > 0)
        peer = find_peer(peers, prefix);
    else if (limit_local)
        peer = find_peer(peers, SLICE_OF(local_name));
    if (!peer->unlimited && peer->connections >= limit)
        peer = NULL;
    else {
        peer->connections++;
        peer->last_ns = clock_monotonic_ns();
    }
    pthread_mutex_unlock(&peers->lock);
    return peer;
}

void
peers_leave(struct peers *peers, struct peer *peer)
{
    if (peer == NULL)
        return;
    pthread_mutex_lock(&peers->lock);
    peer->connections--;
    peer->last_ns = clock_monotonic_ns();
    if (peer->connections == 0 && !peer->listed && peer != &peers->local && peer != &peers->crowd)
        free(peer);
    pthread_mutex_unlock(&peers->lock);
}

uint32_t
peers_spend(struct peers *peers, struct peer *peer, enum peer_rate rate, int64_t per_minute)
{
    uint32_t retry = 0;
    if (peer == NULL || peer->unlimited || per_minute <= 0)
        return 0;
    double per_ns = (double)per_minute / (60.0 * (double)SECOND_NS);
    pthread_mutex_lock(&peers->lock);
    int64_t now = clock_monotonic_ns();
    double spent = peer->tokens[rate] - (double)(now - peer->filled_ns[rate]) * per_ns;
    spent = spent > 0 ? spent : 0;
    if (spent + 1 > (double)per_minute)
        retry = (uint32_t)((spent + 1 - (double)per_minute) / (per_ns * (double)SECOND_NS)) + 1;
    else
        spent += 1;
    peer->tokens[rate] = spent;
    peer->filled_ns[rate] = now;
    peer->last_ns = now;
    pthread_mutex_unlock(&peers->lock);
    return retry;
}

/* Takes the peers out of the bucket that are idle, or all of them: those with connections live on unlisted until they leave. */
static void
sweep_bucket(struct peers *peers, struct peer **bucket, int64_t now, bool all)
{
    while (*bucket != NULL) {
        struct peer *p = *bucket;
        bool idle = p->connections == 0;
        if (!all && (!idle || now - p->last_ns < IDLE_NS)) {
            bucket = &p->next;
            continue;
        }
        *bucket = p->next;
        p->listed = false;
        peers->count--;
        if (idle)
            free(p);
    }
}

void
peers_sweep(struct peers *peers)
{
    pthread_mutex_lock(&peers->lock);
    int64_t now = clock_monotonic_ns();
    bool renew = now - peers->key_ns >= KEY_LIFE_NS && gage_ok(renew_key(peers, now));
    for (size_t i = 0; i < BUCKETS; i++)
        sweep_bucket(peers, &peers->buckets[i], now, renew);
    pthread_mutex_unlock(&peers->lock);
}
