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
    struct peer *around; /* the prefix around it, NULL: none */
    size_t within;       /* how many peers it is around */
    uint8_t name[NAME_LEN];
    int64_t connections;           /* of its own and of those within */
    int64_t times;                 /* how many times the limit of one peer it may do */
    int64_t last_ns;               /* when it was last used */
    double tokens[PEER_RATES];     /* spent from a full bucket, 0 when full */
    int64_t filled_ns[PEER_RATES]; /* when `tokens` was right */
    bool listed;                   /* in the table: its name is of the key in force */
    bool unlimited;
};

/* The prefixes around an IPv6 peer, widest first, and the peer's own. `most`: entries within. */
static const struct width {
    size_t bytes;
    int64_t times;
    size_t most;
} widths[] = {{4, 16, 1024}, {6, 4, 64}, {7, 1, 0}};
#define WIDTHS (sizeof widths / sizeof widths[0])

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
    peers->crowd.times = 1;
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

/* The bytes of the address that count: 3, or 7 of IPv6; none for a local address. */
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

/* The prefix's entry, or NULL where it has none and none can be made: within `around`, or at all. Under the lock. */
static struct peer *
find_entry(struct peers *peers, gage_slice prefix, struct peer *around, size_t most)
{
    uint8_t digest[SHA256_LEN];
    if (!gage_ok(hmac_sha256_parts(SLICE_OF(peers->key), &prefix, 1, digest)))
        return NULL;
    struct peer **bucket = bucket_of(peers, digest);
    for (struct peer *p = *bucket; p != NULL; p = p->next)
        if (memcmp(p->name, digest, NAME_LEN) == 0)
            return p;
    bool room = peers->count < PEERS_MAX && (around == NULL || around->within < most);
    struct peer *fresh = room ? calloc(1, sizeof *fresh) : NULL;
    if (fresh == NULL)
        return NULL;
    memcpy(fresh->name, digest, NAME_LEN);
    fresh->listed = true;
    fresh->times = 1;
    fresh->around = around;
    fresh->next = *bucket;
    fresh->last_ns = clock_monotonic_ns();
    *bucket = fresh;
    if (around != NULL)
        around->within++;
    peers->count++;
    return fresh;
}

/* The /56's own entry, or the narrowest one around it that there is room for. */
static struct peer *
find_peer6(struct peers *peers, gage_slice prefix)
{
    struct peer *peer = NULL;
    for (size_t i = 0; i < WIDTHS; i++) {
        size_t most = i > 0 ? widths[i - 1].most : 0;
        struct peer *inner = find_entry(peers, gage_slice_of(prefix.p, widths[i].bytes), peer, most);
        if (inner == NULL)
            break;
        inner->times = widths[i].times;
        peer = inner;
    }
    return peer;
}

/* The peer of the address; the one all share where there are too many. */
static struct peer *
find_peer(struct peers *peers, gage_slice prefix)
{
    struct peer *peer =
        prefix.n == widths[WIDTHS - 1].bytes ? find_peer6(peers, prefix) : find_entry(peers, prefix, NULL, 0);
    return peer != NULL ? peer : &peers->crowd;
}

static bool
has_room(const struct peer *peer, int64_t limit)
{
    for (; peer != NULL; peer = peer->around)
        if (!peer->unlimited && peer->connections >= limit * peer->times)
            return false;
    return true;
}

/* One connection more (1) or less (-1), of the peer and of what is around it. */
static void
count_connection(struct peer *peer, int step)
{
    int64_t now = clock_monotonic_ns();
    for (; peer != NULL; peer = peer->around) {
        peer->connections += step;
        peer->last_ns = now;
    }
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
    if (has_room(peer, limit))
        count_connection(peer, 1);
    else
        peer = NULL;
    pthread_mutex_unlock(&peers->lock);
    return peer;
}

/* Releases a peer that is in no list and in no use, and then what was around it. */
static void
release(struct peers *peers, struct peer *peer)
{
    while (peer != NULL && !peer->listed && peer->connections == 0 && peer->within == 0 && peer != &peers->local &&
           peer != &peers->crowd) {
        struct peer *around = peer->around;
        free(peer);
        if (around != NULL)
            around->within--;
        peer = around;
    }
}

void
peers_leave(struct peers *peers, struct peer *peer)
{
    if (peer == NULL)
        return;
    pthread_mutex_lock(&peers->lock);
    count_connection(peer, -1);
    release(peers, peer);
    pthread_mutex_unlock(&peers->lock);
}

/* How much of the bucket is spent now. */
static double
spent_now(const struct peer *peer, enum peer_rate rate, double per_ns, int64_t now)
{
    double spent = peer->tokens[rate] - (double)(now - peer->filled_ns[rate]) * per_ns * (double)peer->times;
    return spent > 0 ? spent : 0;
}

/* Seconds until every bucket has one, 0: all have. */
static uint32_t
seconds_to_wait(const struct peer *peer, enum peer_rate rate, int64_t per_minute, double per_ns, int64_t now)
{
    uint32_t longest = 0;
    for (; peer != NULL; peer = peer->around) {
        double times = (double)peer->times, over = spent_now(peer, rate, per_ns, now) + 1 - (double)per_minute * times;
        uint32_t wait = over > 0 ? (uint32_t)(over / (per_ns * times * (double)SECOND_NS)) + 1 : 0;
        longest = wait > longest ? wait : longest;
    }
    return longest;
}

uint32_t
peers_spend(struct peers *peers, struct peer *peer, enum peer_rate rate, int64_t per_minute)
{
    if (peer == NULL || peer->unlimited || per_minute <= 0)
        return 0;
    double per_ns = (double)per_minute / (60.0 * (double)SECOND_NS);
    pthread_mutex_lock(&peers->lock);
    int64_t now = clock_monotonic_ns();
    uint32_t retry = seconds_to_wait(peer, rate, per_minute, per_ns, now);
    for (struct peer *p = peer; p != NULL && retry == 0; p = p->around) {
        p->tokens[rate] = spent_now(p, rate, per_ns, now) + 1;
        p->filled_ns[rate] = p->last_ns = now;
    }
    pthread_mutex_unlock(&peers->lock);
    return retry;
}

/* Takes the peers out of the bucket that are idle, or all of them: those with connections, and what is around them, live on unlisted until
 * they leave. */
static void
sweep_bucket(struct peers *peers, struct peer **bucket, int64_t now, bool all)
{
    while (*bucket != NULL) {
        struct peer *p = *bucket;
        if (!all && (p->connections > 0 || p->within > 0 || now - p->last_ns < IDLE_NS)) {
            bucket = &p->next;
            continue;
        }
        *bucket = p->next;
        p->listed = false;
        peers->count--;
        release(peers, p);
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
