#include "proxyd/contexts.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024
#define SPENT_MAX 65536       /* sealed contexts remembered as used */
#define HALF_OPEN_SECONDS 600 /* a handshake that takes longer begins again */
#define STATE_SECONDS 604800  /* a sealed established state that nobody used for a week */
#define BOOT_LEN 8

enum { STATE_SEALED = 1, STATE_RESIDENT = 2 };

/* One context the table knows: resident with its GSS context, or sealed and used at least once. */
struct entry {
    struct entry *next;          /* of its bucket */
    struct entry *older, *newer; /* by last use */
    uint8_t id[CONTEXT_ID_LEN];
    uid_t uid;
    bool resident, busy, doomed;
    gss_ctx_id_t ctx;
    uint32_t serial; /* sealed: the next one that is good */
    uint64_t born;
};

struct context_table {
    pthread_mutex_t lock;
    pthread_cond_t idle;
    struct entry *buckets[BUCKETS];
    struct entry *oldest, *newest;
    size_t resident, spent;
    uint64_t births, floor; /* a sealed context born at or before `floor` and not in the table is refused */
    uint8_t boot[BOOT_LEN];
    bool keeps_half_open;
};

struct context_table *
contexts_new(void)
{
    struct context_table *t = calloc(1, sizeof *t);
    if (t == NULL || !gage_ok(rng_fill(&gage_system_rng, t->boot, sizeof t->boot))) {
        free(t);
        return NULL;
    }
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->idle, NULL);
    return t;
}

void
contexts_keep_half_open(struct context_table *table)
{
    table->keeps_half_open = true;
}

/* ---- the table; all with the lock held ---- */

static struct entry **
bucket_of(struct context_table *t, const uint8_t *id)
{
    return &t->buckets[(id[0] | (unsigned)id[1] << 8) % BUCKETS];
}

static struct entry *
find(struct context_table *t, const uint8_t *id)
{
    struct entry *e = *bucket_of(t, id);
    while (e != NULL && memcmp(e->id, id, CONTEXT_ID_LEN) != 0)
        e = e->next;
    return e;
}

static void
unchain(struct context_table *t, struct entry *e)
{
    *(e->older != NULL ? &e->older->newer : &t->oldest) = e->newer;
    *(e->newer != NULL ? &e->newer->older : &t->newest) = e->older;
    e->older = e->newer = NULL;
}

static void
chain(struct context_table *t, struct entry *e)
{
    e->older = t->newest;
    *(t->newest != NULL ? &t->newest->newer : &t->oldest) = e;
    t->newest = e;
}

static void
touch(struct context_table *t, struct entry *e)
{
    unchain(t, e);
    chain(t, e);
}

static void
discard(struct context_table *t, struct entry *e)
{
    OM_uint32 minor;
    struct entry **p = bucket_of(t, e->id);
    while (*p != e)
        p = &(*p)->next;
    *p = e->next;
    unchain(t, e);
    if (e->resident)
        t->resident--;
    else
        t->spent--;
    if (!e->resident && e->born > t->floor)
        t->floor = e->born;
    if (e->ctx != GSS_C_NO_CONTEXT)
        gss_delete_sec_context(&minor, &e->ctx, GSS_C_NO_BUFFER);
    free(e);
}

static struct entry *
add(struct context_table *t, const struct live_context *live)
{
    struct entry *e = calloc(1, sizeof *e);
    if (e == NULL)
        return NULL;
    memcpy(e->id, live->id, CONTEXT_ID_LEN);
    e->uid = live->uid;
    e->born = live->born;
    e->resident = live->resident;
    struct entry **bucket = bucket_of(t, e->id);
    e->next = *bucket;
    *bucket = e;
    chain(t, e);
    if (e->resident)
        t->resident++;
    else
        t->spent++;
    return e;
}

/* The least recently used of its kind (and uid, for residents) goes when there are too many. */
static void
make_room(struct context_table *t, const struct live_context *live, size_t most)
{
    size_t count = 0;
    struct entry *victim = NULL;
    if (!live->resident && t->spent < SPENT_MAX)
        return;
    for (struct entry *e = t->oldest; e != NULL; e = e->newer) {
        if (e->resident != live->resident || (live->resident && e->uid != live->uid))
            continue;
        victim = victim == NULL && !e->busy ? e : victim;
        count++;
    }
    if (victim != NULL && count >= (live->resident ? most : SPENT_MAX))
        discard(t, victim);
}

static bool keep(struct call *call, struct live_context *live);

/* ---- opening ---- */

void
context_begin(struct call *call, struct live_context *live)
{
    struct context_table *t = call->engine->contexts;
    *live = (struct live_context){.fresh = true, .uid = call->peer->uid};
    (void)rng_fill(&gage_system_rng, live->id, sizeof live->id);
    live->born = __atomic_add_fetch(&t->births, 1, __ATOMIC_RELAXED);
}

static bool
no_context(struct call *call, const char *why)
{
    return status_fail(&call->status, GSS_S_NO_CONTEXT, ENOENT, "the context is refused: %s; begin a new one", why);
}

/* Takes the resident context for this call; another call that has it is waited for. */
static bool
open_resident(struct call *call, struct live_context *live)
{
    struct context_table *t = call->engine->contexts;
    pthread_mutex_lock(&t->lock);
    struct entry *e = find(t, live->id);
    while (e != NULL && e->busy) {
        pthread_cond_wait(&t->idle, &t->lock);
        e = find(t, live->id);
    }
    bool good = e != NULL && e->resident && e->uid == call->peer->uid;
    if (good) {
        e->busy = true;
        live->ctx = e->ctx;
        touch(t, e);
    }
    pthread_mutex_unlock(&t->lock);
    return good || no_context(call, "it is no longer kept (too many newer ones, or a restart)");
}

/* Marks the serial as used, unless this is only a look; only the one that follows the last is good. */
static bool
spend(struct call *call, const struct live_context *live, bool look)
{
    struct context_table *t = call->engine->contexts;
    bool good = false;
    pthread_mutex_lock(&t->lock);
    struct entry *e = find(t, live->id);
    if (e != NULL) {
        good = !e->resident && live->serial == e->serial;
        touch(t, e);
    } else if (live->serial == 0 && live->born > t->floor && look) {
        good = true;
    } else if (live->serial == 0 && live->born > t->floor) {
        make_room(t, live, 0);
        e = add(t, live);
        good = e != NULL;
    }
    if (good && !look)
        e->serial = live->serial + 1;
    pthread_mutex_unlock(&t->lock);
    return good || no_context(call, "its state was used before");
}

static bool
import(struct call *call, gage_slice token, struct live_context *live)
{
    gss_buffer_desc bytes = {token.n, (void *)(uintptr_t)token.p};
    OM_uint32 minor, major = gss_import_sec_context(&minor, &bytes, &live->ctx);
    return status_set(&call->status, major, minor, GSS_C_NO_OID);
}

static bool
open_state(struct call *call, gage_slice state, bool look, struct live_context *live)
{
    AUTO(gage_buf) payload = GAGE_BUF(VAULT_PAYLOAD_MAX);
    struct handle_scope scope = call_scope(call);
    *live = (struct live_context){.uid = call->peer->uid};
    if (state.n == 0)
        return no_context(call, "it has no state of this daemon's");
    gage_rc rc = vault_unseal(call->engine->vault, HANDLE_CONTEXT, &scope, state, call->now, &payload);
    if (!gage_ok(rc))
        return no_context(call, rc.code == GAGE_E_EXPIRED ? "its state has expired"
                                                          : "its state is not this daemon's for this client");
    struct reader r = read_from(gage_buf_slice(&payload));
    uint8_t kind = get_u8(&r);
    gage_slice boot = get_bytes(&r, BOOT_LEN);
    get_copy(&r, live->id, sizeof live->id);
    live->uid = get_u32(&r);
    live->born = get_u64(&r);
    live->serial = get_u32(&r);
    gage_slice token = get_vec32(&r);
    if (!gage_ok(read_end(&r, NULL, "state")) || live->uid != call->peer->uid)
        return no_context(call, "its state is not this client's");
    if (!slice_equal(boot, SLICE_OF(call->engine->contexts->boot)))
        return no_context(call, "the daemon was restarted since");
    live->resident = kind == STATE_RESIDENT;
    if (live->resident)
        return open_resident(call, live);
    return spend(call, live, look) && import(call, token, live);
}

bool
context_open(struct call *call, gage_slice state, struct live_context *live)
{
    return open_state(call, state, false, live);
}

bool
context_look(struct call *call, gage_slice state, struct live_context *live)
{
    return open_state(call, state, true, live);
}

void
context_look_end(struct call *call, struct live_context *live)
{
    if (live->resident) {
        (void)keep(call, live);
        return;
    }
    context_drop(call, live);
}

/* ---- closing ---- */

static bool
write_state(struct call *call, const struct live_context *live, gage_slice token, int64_t expires, gssx_ctx *to)
{
    AUTO(gage_buf) payload = GAGE_BUF(VAULT_PAYLOAD_MAX), state = GAGE_BUF(1 << 20);
    struct handle_scope scope = call_scope(call);
    put_u8(&payload, live->resident ? STATE_RESIDENT : STATE_SEALED);
    put_bytes(&payload, SLICE_OF(call->engine->contexts->boot));
    put_bytes(&payload, SLICE_OF(live->id));
    put_u32(&payload, live->uid);
    put_u64(&payload, live->born);
    put_u32(&payload, live->fresh ? 0 : live->serial + 1);
    put_vec32(&payload, token);
    if (payload.bad || !gage_ok(vault_seal(call->engine->vault, HANDLE_CONTEXT, &scope, gssx_slice(&to->mech), expires,
                                           gage_buf_slice(&payload), &state)))
        return status_fail(&call->status, GSS_S_FAILURE, E2BIG, "the context is too large for a state");
    to->needs_release = live->resident;
    return gssx_put(&to->state, gage_buf_slice(&state)) ||
           status_fail(&call->status, GSS_S_FAILURE, ENOMEM, "out of memory");
}

/* Puts the context into the table, or back into it. */
static bool
keep(struct call *call, struct live_context *live)
{
    struct context_table *t = call->engine->contexts;
    bool was_resident = live->resident;
    live->resident = true;
    pthread_mutex_lock(&t->lock);
    struct entry *e = find(t, live->id);
    if (!was_resident) {
        if (e != NULL) /* sealed so far */
            discard(t, e);
        make_room(t, live, (size_t)call->service->max_contexts);
        e = add(t, live);
    }
    if (e != NULL) {
        e->ctx = live->ctx;
        e->busy = false;
        live->ctx = GSS_C_NO_CONTEXT;
    }
    pthread_cond_broadcast(&t->idle);
    pthread_mutex_unlock(&t->lock);
    return e != NULL || status_fail(&call->status, GSS_S_FAILURE, ENOMEM, "out of memory");
}

static void
forget(struct context_table *t, const struct live_context *live)
{
    pthread_mutex_lock(&t->lock);
    struct entry *e = find(t, live->id);
    if (e != NULL && e->resident) {
        e->ctx = GSS_C_NO_CONTEXT;
        discard(t, e);
    }
    pthread_cond_broadcast(&t->idle);
    pthread_mutex_unlock(&t->lock);
}

static bool
seal_out(struct call *call, struct live_context *live, bool half_open, gage_slice token, gssx_ctx *to)
{
    if (!half_open && !gssx_put(&to->exported_context_token, token))
        return status_fail(&call->status, GSS_S_FAILURE, ENOMEM, "out of memory");
    return write_state(call, live, token, call->now + (half_open ? HALF_OPEN_SECONDS : STATE_SECONDS), to);
}

bool
context_close(struct call *call, struct live_context *live, bool half_open, gssx_ctx *to)
{
    AUTO(gss_owned_buffer) token = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor, major = GSS_S_UNAVAILABLE;
    if (!call->service->keep_keys && !(half_open && (live->resident || call->engine->contexts->keeps_half_open)))
        major = gss_export_sec_context(&minor, &live->ctx, &token);
    if (!GSS_ERROR(major)) {
        bool was_resident = live->resident;
        if (was_resident)
            forget(call->engine->contexts, live);
        live->resident = false;
        if (was_resident) { /* the sealed one begins a history of its own */
            live->fresh = true;
            live->born = __atomic_add_fetch(&call->engine->contexts->births, 1, __ATOMIC_RELAXED);
        }
        bool good = seal_out(call, live, half_open, gss_slice(&token), to);
        gage_wipe(token.value, token.length);
        context_drop(call, live);
        return good;
    }
    if (live->ctx == GSS_C_NO_CONTEXT || (!half_open && !call->service->keep_keys)) {
        status_set(&call->status, major, minor, GSS_C_NO_OID);
        context_drop(call, live);
        return false;
    }
    if (!keep(call, live)) {
        context_drop(call, live);
        return false;
    }
    return write_state(call, live, SLICE_NONE, 0, to);
}

void
context_drop(struct call *call, struct live_context *live)
{
    OM_uint32 minor;
    if (live->resident)
        forget(call->engine->contexts, live);
    if (live->ctx != GSS_C_NO_CONTEXT)
        gss_delete_sec_context(&minor, &live->ctx, GSS_C_NO_BUFFER);
}

size_t
contexts_count(struct context_table *table)
{
    pthread_mutex_lock(&table->lock);
    size_t n = table->resident;
    pthread_mutex_unlock(&table->lock);
    return n;
}

void
contexts_free(struct context_table **table)
{
    struct context_table *t = *table;
    *table = NULL;
    if (t == NULL)
        return;
    while (t->oldest != NULL)
        discard(t, t->oldest);
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->idle);
    free(t);
}
