#include "relayd/store_kit.h"

#include "unit/test.h"

#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crypto.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t finished = PTHREAD_COND_INITIALIZER;
static char folder[64], url[128], key[96];
static pid_t owner;

static void
remove_folder(void)
{
    if (getpid() != owner)
        return;
    DIR *dir = opendir(folder);
    char path[512];
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        unlink(path);
    }
    if (dir != NULL)
        closedir(dir);
    rmdir(folder);
}

const char *
kit_folder(void)
{
    if (folder[0] == '\0') {
        snprintf(folder, sizeof folder, "/tmp/gage-store-XXXXXX");
        if (mkdtemp(folder) == NULL)
            abort();
        owner = getpid();
        atexit(remove_folder);
    }
    return folder;
}

bool
kit_is_sqlite(void)
{
    const char *given = getenv("GAGE_STORE_URL");
    return given == NULL || strncmp(given, "sqlite:", 7) == 0;
}

const char *
kit_url(void)
{
    if (getenv("GAGE_STORE_URL") != NULL)
        return getenv("GAGE_STORE_URL");
    snprintf(url, sizeof url, "sqlite://%s/relay.db", kit_folder());
    return url;
}

const char *
kit_key(void)
{
    if (getenv("GAGE_STORE_KEY") != NULL)
        return getenv("GAGE_STORE_KEY");
    snprintf(key, sizeof key, "%s/key", kit_folder());
    return key;
}

struct store_options
kit_options(void)
{
    return (struct store_options){.url = kit_url(), .key_file = kit_key()};
}

struct store *
kit_open(const struct store_options *options)
{
    struct store *store = NULL;
    struct gage_err err = {0};
    if (!gage_ok(store_open(options, &store, &err)))
        fail_msg("store_open: %s", err.text);
    return store;
}

void
kit_name(uint8_t name[16], uint64_t number)
{
    memset(name, 0, 16);
    memcpy(name, &number, sizeof number);
}

uint64_t
kit_fresh(void)
{
    uint64_t number = 0;
    assert_ok(rng_fill(&gage_system_rng, &number, sizeof number));
    return number;
}

static void
call_done(struct store_op *op)
{
    struct call *call = op->context;
    pthread_mutex_lock(&lock);
    call->finished = true;
    pthread_cond_broadcast(&finished);
    pthread_mutex_unlock(&lock);
}

void
call_init(struct call *call, enum store_verb verb, const uint8_t mailbox[UUID_LEN], uint64_t claim)
{
    memset(call, 0, sizeof *call);
    kit_name(call->claim, claim);
    kit_name(call->request_id, kit_fresh());
    call->op.request = (struct store_request){.verb = verb,
                                              .now = NOW,
                                              .claim = SLICE_OF(call->claim),
                                              .request_id = SLICE_OF(call->request_id),
                                              .rights = RWD,
                                              .expires = NOW + 3600,
                                              .payload_max = 4096};
    memcpy(call->op.request.mailbox, mailbox, UUID_LEN);
    call->op.done = call_done;
    call->op.context = call;
}

void
call_start(struct store *store, struct call *call)
{
    pthread_mutex_lock(&lock);
    call->finished = false;
    pthread_mutex_unlock(&lock);
    if (!store_submit(store, &call->op))
        call_done(&call->op);
}

void
call_wait(struct call *call)
{
    pthread_mutex_lock(&lock);
    while (!call->finished)
        pthread_cond_wait(&finished, &lock);
    pthread_mutex_unlock(&lock);
}

enum store_verdict
call_run(struct store *store, struct call *call)
{
    static _Atomic unsigned turn;
    if (store_try(store, &call->op) || (turn++ % 2 == 0 && store_now(store, &call->op)))
        return call->op.result.verdict;
    call_start(store, call);
    call_wait(call);
    return call->op.result.verdict;
}

/* Runs it and leaves the result in *out, or releases it. */
static enum store_verdict
finish(struct store *store, struct call *call, struct call *out)
{
    enum store_verdict verdict = call_run(store, call);
    if (out != NULL)
        *out = *call;
    else
        store_op_clear(&call->op);
    return verdict;
}

enum store_verdict
box_create(struct store *store, struct box *box, const char *payload)
{
    struct call call;
    assert_ok(uuid_make(&gage_system_rng, box->id));
    box->initiator = kit_fresh();
    box->recipient = kit_fresh();
    call_init(&call, STORE_CREATE, box->id, box->initiator);
    call.op.request.payload_type = slice_str("AEAD_AES_256_GCM");
    call.op.request.payload = slice_str(payload);
    call.op.request.display = slice_str("{\"title\":\"t\"}");
    return finish(store, &call, NULL);
}

enum store_verdict
box_read(struct store *store, const struct box *box, uint64_t claim, struct call *out)
{
    return box_plain(store, STORE_READ, box, claim, out);
}

enum store_verdict
box_update(struct store *store, const struct box *box, uint64_t claim, const char *payload, struct call *out)
{
    struct call call;
    call_init(&call, STORE_UPDATE, box->id, claim);
    call.op.request.payload_type = slice_str("AEAD_AES_256_GCM");
    call.op.request.payload = slice_str(payload);
    return finish(store, &call, out);
}

enum store_verdict
box_plain(struct store *store, enum store_verb verb, const struct box *box, uint64_t claim, struct call *out)
{
    struct call call;
    call_init(&call, verb, box->id, claim);
    return finish(store, &call, out);
}

bool
box_holds(struct store *store, const struct box *box, uint64_t claim, const char *payload)
{
    struct call call;
    bool same = box_read(store, box, claim, &call) == STORE_OK &&
                slice_equal(gage_buf_slice(&call.op.result.payload), slice_str(payload));
    store_op_clear(&call.op);
    return same;
}
