/* Many threads: contexts of their own, and one pair shared by all. Made to be run under the thread sanitizer too. */
#include "live/otc/kit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define THREADS 8
#define ROUNDS 60

static gss_cred_id_t initiator, acceptor;
static struct kit_pair shared;
static _Atomic int delivered, failed;

/* What a thread may not assert with cmocka it counts. */
static bool
exchange(gss_ctx_id_t from, gss_ctx_id_t to)
{
    OM_uint32 minor;
    gss_buffer_desc in = kit_buffer("between threads"), token = GSS_C_EMPTY_BUFFER, out = GSS_C_EMPTY_BUFFER;
    bool good = gss_wrap(&minor, from, 1, 0, &in, NULL, &token) == GSS_S_COMPLETE;
    OM_uint32 major = good ? gss_unwrap(&minor, to, &token, &out, NULL, NULL) : GSS_S_FAILURE;
    good = !GSS_ERROR(major) && out.length == in.length && memcmp(out.value, in.value, in.length) == 0;
    gss_release_buffer(&minor, &token);
    gss_release_buffer(&minor, &out);
    return good;
}

static bool
own_context(void)
{
    struct kit_side i = {.cred = initiator}, a = {.cred = acceptor};
    OM_uint32 minor;
    kit_init(&i, GSS_C_REPLAY_FLAG, 0, NULL);
    kit_accept(&a, &i.token);
    kit_init(&i, 0, 0, &a.token);
    kit_accept(&a, &i.token);
    bool good = a.major == GSS_S_COMPLETE && exchange(i.ctx, a.ctx) && exchange(a.ctx, i.ctx);
    i.cred = a.cred = GSS_C_NO_CREDENTIAL;
    gss_buffer_desc saved = GSS_C_EMPTY_BUFFER;
    good = good && gss_export_sec_context(&minor, &i.ctx, &saved) == GSS_S_COMPLETE &&
           gss_import_sec_context(&minor, &saved, &i.ctx) == GSS_S_COMPLETE && exchange(i.ctx, a.ctx);
    gss_release_buffer(&minor, &saved);
    kit_side_free(&i);
    kit_side_free(&a);
    return good;
}

static void *
work(void *arg)
{
    (void)arg;
    for (int k = 0; k < ROUNDS; k++) {
        bool good = k % 6 == 0 ? own_context() : exchange(shared.i.ctx, shared.a.ctx);
        good ? atomic_fetch_add(&delivered, 1) : atomic_fetch_add(&failed, 1);
    }
    return NULL;
}

TEST(threads_share_credentials_and_contexts)
{
    pthread_t thread[THREADS];
    kit_secret_files("a", "b");
    struct kit_path a = kit_path("a"), b = kit_path("b");
    OM_uint32 minor;
    initiator = kit_acquire(GSS_C_INITIATE, "otc_secret_file", a.c, NULL);
    acceptor = kit_acquire(GSS_C_ACCEPT, "otc_secret_file", b.c, NULL);
    shared = kit_pair(GSS_C_REPLAY_FLAG);
    for (int k = 0; k < THREADS; k++)
        assert_int_equal(pthread_create(&thread[k], NULL, work, NULL), 0);
    for (int k = 0; k < THREADS; k++)
        pthread_join(thread[k], NULL);
    assert_int_equal(failed, 0);
    assert_int_equal(delivered, THREADS * ROUNDS);
    /* No number was used twice: the next one is as many as were sent. */
    gss_buffer_desc token = kit_wrap(shared.i.ctx, "last");
    const uint8_t *seq = (uint8_t *)token.value + 10;
    int sent = THREADS * (ROUNDS - ROUNDS / 6);
    assert_int_equal(seq[6] << 8 | seq[7], sent);
    kit_release(&token);
    gss_release_cred(&minor, &initiator);
    gss_release_cred(&minor, &acceptor);
    kit_pair_free(&shared);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {CASE(threads_share_credentials_and_contexts)};
    kit_start();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
