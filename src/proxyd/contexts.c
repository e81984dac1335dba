#include "proxyd/contexts.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "proxyd/nonce.h"

#define SPENT_MAX 65536       /* sealed contexts remembered as used */
#define HALF_OPEN_SECONDS 600 /* a handshake that takes longer begins again */
#define STATE_SECONDS 604800  /* a sealed established state that nobody used for a week */
#define BOOT_LEN 8
#define STATE_HEAD_LEN (1 + BOOT_LEN + CONTEXT_ID_LEN + 4 + 8 + 4 + 4) /* before the exported context */

enum { STATE_SEALED = 1, STATE_RESIDENT = 2 };

struct context_table {
    pthread_mutex_t lock;
    pthread_cond_t idle;
    struct context_book book;
    uint64_t births; /* atomic */
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
    t->book.sealed_max = SPENT_MAX;
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

static struct context_entry *
find(struct context_table *t, const struct live_context *live)
{
    return book_find(&t->book, live->id);
}

static void
discard(struct context_table *t, struct context_entry *e)
{
    OM_uint32 minor;
    if (e->ctx != GSS_C_NO_CONTEXT)
        gss_delete_sec_context(&minor, &e->ctx, GSS_C_NO_BUFFER);
    book_remove(&t->book, e);
}

static bool keep(struct call *call, struct live_context *live);

/* ---- opening ---- */

void
context_begin(struct call *call, struct live_context *live)
{
    struct context_table *t = call->engine->contexts;
    *live = (struct live_context){.fresh = true, .uid = call->peer->uid};
    (void)nonce_fill(live->id, sizeof live->id);
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
    struct context_entry *e = find(t, live);
    while (e != NULL && e->busy) {
        pthread_cond_wait(&t->idle, &t->lock);
        e = find(t, live);
    }
    bool good = e != NULL && e->resident && book_uid(e) == call->peer->uid;
    if (good) {
        e->busy = true;
        live->ctx = e->ctx;
        book_touch(e, call->now);
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
    struct context_entry *e = find(t, live);
    if (e != NULL) {
        good = !e->resident && live->serial == e->serial;
        book_touch(e, call->now);
    } else if (live->serial == 0 && !book_forgot(&t->book, live->uid, live->born)) {
        if (!look)
            e = book_add(&t->book, live->uid, live->id, false, live->born, call->now);
        good = look || e != NULL;
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
    buf_reserve(&payload, STATE_HEAD_LEN + token.n);
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
    if (!was_resident &&
        !live->fresh) /* sealed so far: that its states were used stays known under the old identifier */
        (void)nonce_fill(live->id, sizeof live->id);
    pthread_mutex_lock(&t->lock);
    struct context_entry *e = was_resident ? find(t, live) : NULL;
    if (!was_resident) {
        struct context_entry *victim = book_victim(&t->book, live->uid, (size_t)call->service->max_contexts);
        if (victim != NULL)
            discard(t, victim);
        e = book_add(&t->book, live->uid, live->id, true, live->born, call->now);
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
    struct context_entry *e = find(t, live);
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
    size_t n = table->book.resident;
    pthread_mutex_unlock(&table->lock);
    return n;
}

void
contexts_sweep(struct context_table *table, int64_t now)
{
    pthread_mutex_lock(&table->lock);
    book_sweep(&table->book, now - STATE_SECONDS - 60);
    pthread_mutex_unlock(&table->lock);
}

void
contexts_free(struct context_table **table)
{
    struct context_table *t = *table;
    *table = NULL;
    if (t == NULL)
        return;
    for (size_t i = 0; i < CONTEXT_BUCKETS; i++)
        while (t->book.buckets[i] != NULL)
            discard(t, t->book.buckets[i]);
    book_sweep(&t->book, INT64_MAX);
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->idle);
    free(t);
}
