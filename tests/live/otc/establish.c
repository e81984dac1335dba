/* Three tokens through the public calls: flags, times, bindings, half-open contexts, credentials. */
#include "live/otc/kit.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

#define ALWAYS (GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG | GSS_C_TRANS_FLAG)

TEST(the_oid_is_the_documented_one_byte_for_byte)
{
    AUTO(gage_buf) document = GAGE_BUF(1 << 20);
    AUTO(gage_buf) documented = GAGE_BUF(64);
    OM_uint32 minor;
    gss_OID_set mechs;
    int found = 0;
    assert_ok(file_read(GAGE_SOURCE_ROOT "/doc/otc.md", &document, NULL));
    put_u8(&document, 0);
    const char *line = strstr((const char *)document.p, "    value    ");
    assert_non_null(line);
    for (line += 13; *line != '\n'; line += *line == ' ' ? 1 : 0) {
        assert_ok(get_hex(gage_slice_of(line, 2), &documented));
        line += 2;
    }
    assert_int_equal(gss_indicate_mechs(&minor, &mechs), GSS_S_COMPLETE);
    for (size_t i = 0; i < mechs->count; i++)
        found += slice_equal(gage_slice_of(mechs->elements[i].elements, mechs->elements[i].length),
                             gage_buf_slice(&documented));
    assert_int_equal(found, 1);
    gss_release_oid_set(&minor, &mechs);
}

TEST(three_tokens_make_a_context_and_the_acceptor_is_ready_only_after_the_third)
{
    struct kit_text secret = kit_secret();
    struct kit_pair p = {0};
    p.i.cred = kit_acquire(GSS_C_INITIATE, "otc_secret", secret.c, NULL);
    p.a.cred = kit_acquire(GSS_C_ACCEPT, "otc_secret", secret.c, NULL);
    kit_init(&p.i, GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG, 0, NULL);
    assert_int_equal(p.i.major, GSS_S_CONTINUE_NEEDED);
    assert_int_equal(p.i.flags, ALWAYS | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG);
    kit_accept(&p.a, &p.i.token);
    assert_int_equal(p.a.major, GSS_S_CONTINUE_NEEDED);
    assert_int_equal(p.a.flags & GSS_C_PROT_READY_FLAG, 0);
    assert_int_equal(p.a.token.length, 91);
    gss_buffer_desc in = kit_buffer("x"), out;
    OM_uint32 minor;
    assert_int_equal(gss_wrap(&minor, p.a.ctx, 1, 0, &in, NULL, &out), GSS_S_NO_CONTEXT);
    assert_int_equal(gss_pseudo_random(&minor, p.a.ctx, GSS_C_PRF_KEY_FULL, &in, 32, &out), GSS_S_UNAVAILABLE);
    kit_init(&p.i, 0, 0, &p.a.token);
    assert_int_equal(p.i.major, GSS_S_COMPLETE);
    assert_int_equal(p.i.token.length, 33);
    kit_accept(&p.a, &p.i.token);
    assert_int_equal(p.a.major, GSS_S_COMPLETE);
    assert_int_equal(p.a.token.length, 0);
    assert_int_equal(p.a.flags, ALWAYS | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_PROT_READY_FLAG);
    assert_int_equal(p.i.flags, p.a.flags);
    kit_pair_free(&p);
}

TEST(flags_are_as_stated_whatever_is_asked)
{
    const OM_uint32 everything = 0xffffffffu;
    struct kit_pair p = kit_pair(everything);
    assert_int_equal(p.a.flags, ALWAYS | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_PROT_READY_FLAG);
    assert_int_equal(p.i.flags, p.a.flags);
    kit_pair_free(&p);
    p = kit_pair(0);
    assert_int_equal(p.a.flags, ALWAYS | GSS_C_PROT_READY_FLAG);
    kit_pair_free(&p);
    p = kit_pair(GSS_C_REPLAY_FLAG);
    assert_int_equal(p.i.flags, ALWAYS | GSS_C_PROT_READY_FLAG | GSS_C_REPLAY_FLAG);
    kit_pair_free(&p);
}

TEST(a_password_is_the_link_secret_and_the_usage_is_the_side)
{
    struct kit_text secret = kit_secret();
    gss_buffer_desc password = kit_buffer(secret.c);
    gss_OID_set_desc mechs = {1, kit_mech()};
    gss_name_t name = kit_name("whoever", GSS_C_NT_USER_NAME);
    struct kit_pair p = {0};
    OM_uint32 minor, time;
    gss_cred_id_t both = GSS_C_NO_CREDENTIAL;
    assert_int_equal(
        gss_acquire_cred_with_password(&minor, name, &password, 0, &mechs, GSS_C_INITIATE, &p.i.cred, NULL, &time),
        GSS_S_COMPLETE);
    assert_in_range(time, 24 * 3600 - 5, 24 * 3600);
    assert_int_equal(
        gss_acquire_cred_with_password(&minor, name, &password, 0, &mechs, GSS_C_ACCEPT, &p.a.cred, NULL, NULL),
        GSS_S_COMPLETE);
    kit_establish(&p, 0);
    OM_uint32 major = gss_acquire_cred_with_password(&minor, name, &password, 0, &mechs, GSS_C_BOTH, &both, NULL, NULL);
    kit_assert_status(major, minor, GSS_S_NO_CRED, "a link secret has one side");
    gss_release_name(&minor, &name);
    kit_pair_free(&p);
}

TEST(secret_files_serve_both_directions_many_times)
{
    kit_secret_files("a", "b");
    struct kit_path a = kit_path("a"), b = kit_path("b");
    for (int round = 0; round < 2; round++) {
        struct kit_pair p = {0};
        p.i.cred = kit_acquire(GSS_C_BOTH, "otc_secret_file", round == 0 ? a.c : b.c, NULL);
        p.a.cred = kit_acquire(GSS_C_BOTH, "otc_secret_file", round == 0 ? b.c : a.c, NULL);
        kit_establish(&p, 0);
        OM_uint32 minor;
        gss_delete_sec_context(&minor, &p.i.ctx, NULL);
        gss_delete_sec_context(&minor, &p.a.ctx, NULL);
        kit_establish(&p, 0);
        kit_pair_free(&p);
    }
}

/* ---- half-open, finished elsewhere ---- */

static gss_buffer_desc
read_all(int fd)
{
    AUTO(gage_buf) bytes = GAGE_BUF(65536);
    assert_ok(file_read_fd(fd, "pipe", &bytes, NULL));
    gss_buffer_desc borrowed = {bytes.n, bytes.p};
    return kit_copy(&borrowed);
}

/* In another process: imports what comes down the pipe, feeds the token, reports token and exported context. The GSS library wants a
 * credential in an acceptor's every call (the mechanism is none by default), so that process acquires one from the link. */
static void
finish_elsewhere(struct kit_side *side, const gss_buffer_desc *token, bool initiator, const char *secret)
{
    int to[2], from[2];
    OM_uint32 minor;
    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);
    pid_t child = fork();
    if (child == 0) {
        close(to[1]);
        close(from[0]);
        gss_buffer_desc saved = read_all(to[0]), out = GSS_C_EMPTY_BUFFER;
        struct kit_side there = {0};
        if (gss_import_sec_context(&minor, &saved, &there.ctx) != GSS_S_COMPLETE)
            _exit(1);
        there.cred = kit_acquire(initiator ? GSS_C_INITIATE : GSS_C_ACCEPT, "otc_secret", secret, NULL);
        if (initiator)
            kit_init(&there, 0, 0, token);
        else
            kit_accept(&there, token);
        if (there.major != GSS_S_COMPLETE || gss_export_sec_context(&minor, &there.ctx, &out) != GSS_S_COMPLETE)
            _exit(2);
        uint8_t n[2] = {(uint8_t)(there.token.length >> 8), (uint8_t)there.token.length};
        (void)file_write_fd(from[1], "pipe", SLICE_OF(n), NULL);
        (void)file_write_fd(from[1], "pipe", gage_slice_of(there.token.value, there.token.length), NULL);
        (void)file_write_fd(from[1], "pipe", gage_slice_of(out.value, out.length), NULL);
        _exit(0);
    }
    close(to[0]);
    close(from[1]);
    gss_buffer_desc saved;
    assert_int_equal(gss_export_sec_context(&minor, &side->ctx, &saved), GSS_S_COMPLETE);
    assert_true(side->ctx == GSS_C_NO_CONTEXT);
    assert_ok(file_write_fd(to[1], "pipe", gage_slice_of(saved.value, saved.length), NULL));
    close(to[1]);
    gss_buffer_desc answer = read_all(from[0]);
    close(from[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    const uint8_t *p = answer.value;
    size_t n = (size_t)(p[0] << 8 | p[1]);
    gss_buffer_desc made = {n, (void *)(uintptr_t)(p + 2)},
                    finished = {answer.length - 2 - n, (void *)(uintptr_t)(p + 2 + n)};
    kit_release(&side->token);
    side->token = kit_copy(&made);
    assert_int_equal(gss_import_sec_context(&minor, &finished, &side->ctx), GSS_S_COMPLETE);
    free(answer.value);
    kit_release(&saved);
}

TEST(either_side_exports_half_open_and_another_process_finishes)
{
    struct kit_text secret = kit_secret();
    struct kit_pair p = {0};
    p.i.cred = kit_acquire(GSS_C_INITIATE, "otc_secret", secret.c, NULL);
    p.a.cred = kit_acquire(GSS_C_ACCEPT, "otc_secret", secret.c, NULL);
    kit_init(&p.i, GSS_C_REPLAY_FLAG, 0, NULL);
    kit_accept(&p.a, &p.i.token);
    finish_elsewhere(&p.i, &p.a.token, true, secret.c);
    finish_elsewhere(&p.a, &p.i.token, false, secret.c);
    gss_buffer_desc token = kit_wrap(p.i.ctx, "across four processes");
    kit_unwrap(p.a.ctx, &token, "across four processes", 0);
    kit_release(&token);
    token = kit_wrap(p.a.ctx, "and back");
    kit_unwrap(p.i.ctx, &token, "and back", 0);
    kit_release(&token);
    kit_pair_free(&p);
}

/* ---- channel bindings ---- */

static struct gss_channel_bindings_struct
bindings(const char *application)
{
    return (struct gss_channel_bindings_struct){.application_data = kit_buffer(application)};
}

TEST(channel_bindings_in_all_combinations)
{
    struct gss_channel_bindings_struct one = bindings("tls-exporter:1"), same = bindings("tls-exporter:1"),
                                       other = bindings("tls-exporter:2"), empty = bindings("");
    const struct {
        gss_channel_bindings_t i, a;
        int bound; /* -1: refused */
    } rows[] = {{NULL, NULL, 0},    {&one, NULL, 0},   {NULL, &one, 0},     {&one, &same, 1},
                {&one, &other, -1}, {&empty, NULL, 0}, {&empty, &empty, 1}, {&one, &empty, -1}};
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        struct kit_text secret = kit_secret();
        struct kit_pair p = {.i.bindings = rows[k].i, .a.bindings = rows[k].a};
        p.i.cred = kit_acquire(GSS_C_INITIATE, "otc_secret", secret.c, NULL);
        p.a.cred = kit_acquire(GSS_C_ACCEPT, "otc_secret", secret.c, NULL);
        if (rows[k].bound >= 0) {
            kit_establish(&p, 0);
            assert_int_equal((p.i.flags & GSS_C_CHANNEL_BOUND_FLAG) != 0, rows[k].bound);
            assert_int_equal((p.a.flags & GSS_C_CHANNEL_BOUND_FLAG) != 0, rows[k].bound);
        } else {
            kit_init(&p.i, 0, 0, NULL);
            kit_accept(&p.a, &p.i.token);
            kit_assert_status(p.a.major, p.a.minor, GSS_S_BAD_BINDINGS, "channel bindings differ");
            assert_int_equal(p.a.token.length, 91); /* the refusal tells the initiator */
            kit_init(&p.i, 0, 0, &p.a.token);
            kit_assert_status(p.i.major, p.i.minor, GSS_S_BAD_BINDINGS, "channel bindings differ");
        }
        kit_pair_free(&p);
    }
}

TEST(every_field_of_the_bindings_counts)
{
    struct gss_channel_bindings_struct base = {1, kit_buffer("ab"), 2, kit_buffer("cd"), kit_buffer("ef")};
    struct gss_channel_bindings_struct changed[5] = {base, base, base, base, base};
    changed[0].initiator_addrtype = 7;
    changed[1].initiator_address = kit_buffer("a");
    changed[2].acceptor_addrtype = 7;
    changed[3].acceptor_address = kit_buffer("cde");
    changed[4].application_data = kit_buffer("f");
    struct kit_text secret = kit_secret();
    struct kit_pair p = {.i.bindings = &base};
    p.i.cred = kit_acquire(GSS_C_INITIATE, "otc_secret", secret.c, NULL);
    p.a.cred = kit_acquire(GSS_C_ACCEPT, "otc_secret", secret.c, NULL);
    kit_init(&p.i, 0, 0, NULL);
    for (int k = 0; k < 5; k++) {
        p.a.bindings = &changed[k];
        kit_accept(&p.a, &p.i.token);
        assert_int_equal(p.a.major, GSS_S_BAD_BINDINGS);
    }
    kit_pair_free(&p);
}

/* ---- times ---- */

TEST(lifetimes_are_the_lesser_of_both_and_by_default_a_week)
{
    struct kit_pair p = kit_pair(0);
    assert_in_range(p.i.time, 7 * 86400 - 5, 7 * 86400);
    assert_in_range(p.a.time, 7 * 86400 - 5, 7 * 86400);
    kit_pair_free(&p);
    struct kit_text secret = kit_secret();
    struct kit_pair q = {0};
    q.i.cred = kit_acquire(GSS_C_INITIATE, "otc_secret", secret.c, "otc_lifetime", "indefinite", NULL);
    q.a.cred = kit_acquire(GSS_C_ACCEPT, "otc_secret", secret.c, "otc_lifetime", "1h", NULL);
    kit_establish(&q, 0);
    assert_in_range(q.i.time, 3595, 3600);
    assert_in_range(q.a.time, 3595, 3600);
    OM_uint32 minor, left;
    assert_int_equal(gss_context_time(&minor, q.i.ctx, &left), GSS_S_COMPLETE);
    assert_in_range(left, 3595, 3600);
    kit_pair_free(&q);
    q = (struct kit_pair){0};
    q.i.cred = kit_acquire(GSS_C_INITIATE, "otc_secret", secret.c, "otc_lifetime", "indefinite", NULL);
    q.a.cred = kit_acquire(GSS_C_ACCEPT, "otc_secret", secret.c, NULL);
    kit_establish(&q, 0);
    assert_int_equal(q.i.time, GSS_C_INDEFINITE);
    assert_int_equal(q.a.time, GSS_C_INDEFINITE);
    kit_pair_free(&q);
}

TEST(a_context_of_one_second_expires_on_both_sides)
{
    struct kit_text secret = kit_secret();
    struct kit_pair p = {0};
    OM_uint32 minor, left = 9;
    p.i.cred = kit_acquire(GSS_C_INITIATE, "otc_secret", secret.c, NULL);
    p.a.cred = kit_acquire(GSS_C_ACCEPT, "otc_secret", secret.c, NULL);
    kit_init(&p.i, 0, 1, NULL);
    kit_accept(&p.a, &p.i.token);
    kit_init(&p.i, 0, 0, &p.a.token);
    kit_accept(&p.a, &p.i.token);
    assert_int_equal(p.a.major, GSS_S_COMPLETE);
    gss_buffer_desc in = kit_buffer("late"), out;
    while (gss_context_time(&minor, p.a.ctx, &left) == GSS_S_COMPLETE)
        usleep(50000);
    assert_int_equal(left, 0);
    OM_uint32 major = gss_wrap(&minor, p.i.ctx, 1, 0, &in, NULL, &out);
    kit_assert_status(major, minor, GSS_S_CONTEXT_EXPIRED, "the context's lifetime is over");
    assert_int_equal(gss_wrap(&minor, p.a.ctx, 1, 0, &in, NULL, &out), GSS_S_CONTEXT_EXPIRED);
    kit_pair_free(&p);
}

/* ---- credentials ---- */

TEST(there_is_no_default_credential)
{
    OM_uint32 minor;
    gss_OID_set_desc mechs = {1, kit_mech()};
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    setenv("OTC_SECRET", kit_secret().c, 1);
    OM_uint32 major = gss_acquire_cred(&minor, GSS_C_NO_NAME, 0, &mechs, GSS_C_INITIATE, &cred, NULL, NULL);
    kit_assert_status(major, minor, GSS_S_NO_CRED, "no secret");
    struct kit_side side = {0};
    kit_init(&side, 0, 0, NULL);
    kit_assert_status(side.major, side.minor, GSS_S_NO_CRED, "no secret");
    /* Not even a default acquisition over all mechanisms tries this one. */
    major = gss_acquire_cred(&minor, GSS_C_NO_NAME, 0, GSS_C_NO_OID_SET, GSS_C_INITIATE, &cred, NULL, NULL);
    assert_int_not_equal(major, GSS_S_COMPLETE);
    unsetenv("OTC_SECRET");
}

TEST(credentials_export_and_import)
{
    struct kit_text secret = kit_secret();
    struct kit_pair p = {0};
    OM_uint32 minor;
    gss_buffer_desc token;
    p.i.cred = kit_acquire(GSS_C_INITIATE, "otc_secret", secret.c, "otc_title", "A key", NULL);
    p.a.cred = kit_acquire(GSS_C_ACCEPT, "otc_secret", secret.c, "otc_used", kit_path("used-export").c, NULL);
    gss_cred_id_t *creds[] = {&p.i.cred, &p.a.cred};
    for (int k = 0; k < 2; k++) {
        assert_int_equal(gss_export_cred(&minor, *creds[k], &token), GSS_S_COMPLETE);
        gss_release_cred(&minor, creds[k]);
        assert_int_equal(gss_import_cred(&minor, &token, creds[k]), GSS_S_COMPLETE);
        kit_release(&token);
    }
    kit_establish(&p, 0);
    kit_pair_free(&p);
}

TEST(bad_store_keys_and_values_are_refused_with_a_sentence)
{
    struct kit_text secret = kit_secret();
    char long_label[300];
    memset(long_label, 'x', 299);
    long_label[299] = 0;
    const struct {
        const char *pairs[7];
        OM_uint32 major;
        const char *sentence;
    } rows[] = {
        {{"ccache", "FILE:/nowhere", NULL}, GSS_S_NO_CRED, "no secret"},
        {{"otc_secret", "too short", NULL}, GSS_S_DEFECTIVE_CREDENTIAL, "not a secret"},
        {{"otc_secret", secret.c, "otc_titel", "x", NULL}, GSS_S_FAILURE, "unknown or repeated"},
        {{"otc_secret", secret.c, "otc_secret_file", "/x", NULL}, GSS_S_FAILURE, "unknown or repeated"},
        {{"otc_secret", secret.c, "otc_label", long_label, NULL}, GSS_S_FAILURE, "a value in the credential store"},
        {{"otc_secret", secret.c, "otc_label", "bell\a", NULL}, GSS_S_FAILURE, "a value in the credential store"},
        {{"otc_secret", secret.c, "otc_not_after", "soon", NULL}, GSS_S_FAILURE, "a value in the credential store"},
        {{"otc_secret", secret.c, "otc_lifetime", "-1s", NULL}, GSS_S_FAILURE, "a value in the credential store"},
        {{"otc_secret", secret.c, "otc_not_after", "2001-01-01T00:00:00Z", NULL}, GSS_S_CREDENTIALS_EXPIRED, "expired"},
        {{"otc_secret_file", "/nonexistent/secret", NULL}, GSS_S_NO_CRED, "the secret file could not be read"},
    };
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
        OM_uint32 minor, major = kit_try_acquire(&minor, GSS_C_INITIATE, &cred, rows[k].pairs);
        kit_assert_status(major, minor, rows[k].major, rows[k].sentence);
        assert_true(cred == GSS_C_NO_CREDENTIAL);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_oid_is_the_documented_one_byte_for_byte),
        CASE(three_tokens_make_a_context_and_the_acceptor_is_ready_only_after_the_third),
        CASE(flags_are_as_stated_whatever_is_asked),
        CASE(a_password_is_the_link_secret_and_the_usage_is_the_side),
        CASE(secret_files_serve_both_directions_many_times),
        CASE(either_side_exports_half_open_and_another_process_finishes),
        CASE(channel_bindings_in_all_combinations),
        CASE(every_field_of_the_bindings_counts),
        CASE(lifetimes_are_the_lesser_of_both_and_by_default_a_week),
        CASE(a_context_of_one_second_expires_on_both_sides),
        CASE(there_is_no_default_credential),
        CASE(credentials_export_and_import),
        CASE(bad_store_keys_and_values_are_refused_with_a_sentence),
    };
    kit_start();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
