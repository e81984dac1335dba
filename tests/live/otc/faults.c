/* Memory that runs out: each allocation of a whole story fails once, in turn, the plugin's own and those that OpenSSL makes for it. The
 * exported calls are called as the GSS library calls them, in the plugin itself, so that every allocation counted is one of theirs. */
#include "live/otc/kit.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "otc/status.h"

/* ---- the allocator under test ---- */

/* glibc's own, under the names it keeps for those who replace them. */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t count, size_t n);
void *__libc_realloc(void *p, size_t n);
void __libc_free(void *p);

#define REPLACES __attribute__((visibility("default")))

static struct {
    bool armed;  /* count, and fail */
    bool onward; /* from the wanted one on, every one fails */
    bool hit;    /* one has failed */
    bool first_use;
    long wanted, seen;
    long live; /* allocations that nobody has freed, armed or not */
} memory;

static bool
refused(void)
{
    if (!memory.armed)
        return false;
    long now = memory.seen++;
    bool fails = memory.onward ? now >= memory.wanted : now == memory.wanted;
    memory.hit |= fails;
    if (fails)
        errno = ENOMEM;
    return fails;
}

static void *
counted(void *p)
{
    memory.live += p != NULL;
    return p;
}

REPLACES void *
malloc(size_t n)
{
    return refused() ? NULL : counted(__libc_malloc(n));
}

REPLACES void *
calloc(size_t count, size_t n)
{
    return refused() ? NULL : counted(__libc_calloc(count, n));
}

REPLACES void *
realloc(void *p, size_t n)
{
    if (refused())
        return NULL;
    void *q = __libc_realloc(p, n);
    memory.live += p == NULL && q != NULL ? 1 : 0;
    return q;
}

REPLACES void
free(void *p)
{
    memory.live -= p != NULL;
    __libc_free(p);
}

/* What the plugin gave out, freed as the GSS library frees it. */
static void
drop_set(gss_OID_set *set)
{
    for (size_t i = 0; *set != NULL && i < (*set)->count; i++)
        free((*set)->elements[i].elements);
    if (*set != NULL)
        free((*set)->elements);
    free(*set);
    *set = NULL;
}

static void
drop_attributes(gss_buffer_set_t *set)
{
    for (size_t i = 0; *set != NULL && i < (*set)->count; i++)
        free((*set)->elements[i].value);
    if (*set != NULL)
        free((*set)->elements);
    free(*set);
    *set = NULL;
}

/* ---- the plugin, called directly ---- */

/* clang-format off */
#define PLUGIN_CALLS(X) \
    X(gss_acquire_cred_from) X(gss_release_cred) X(gss_inquire_cred) X(gss_export_cred) X(gss_import_cred) \
    X(gss_import_name) X(gss_duplicate_name) X(gss_display_name) X(gss_export_name) X(gss_inquire_name) \
    X(gss_get_name_attribute) X(gss_release_name) X(gss_init_sec_context) X(gss_accept_sec_context) \
    X(gss_inquire_context) X(gss_export_sec_context) X(gss_import_sec_context) X(gss_delete_sec_context) \
    X(gss_process_context_token) X(gss_wrap) X(gss_unwrap) X(gss_wrap_iov) X(gss_unwrap_iov) X(gss_get_mic) \
    X(gss_verify_mic) X(gss_pseudo_random) X(gss_inquire_attrs_for_mech) X(gss_inquire_names_for_mech) \
    X(gss_display_status)
/* clang-format on */

static struct {
#define MEMBER(name) __typeof__(name) *name;
    PLUGIN_CALLS(MEMBER)
#undef MEMBER
} otc;

static void
load_plugin(void)
{
    char path[512];
    const char *prefix = getenv("GAGE_PREFIX");
    snprintf(path, sizeof path, "%s/lib/gage/gss/gage_otc.so", prefix != NULL ? prefix : GAGE_DEFAULT_PREFIX);
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    assert_non_null(plugin);
#define FIND(name)                                                                                                     \
    *(void **)&otc.name = dlsym(plugin, #name);                                                                        \
    assert_non_null(otc.name);
    PLUGIN_CALLS(FIND)
#undef FIND
}

/* ---- the story ---- */

struct story {
    struct kit_text secret;
    gss_cred_id_t cred[2], imported;
    gss_ctx_id_t context[2];
    gss_name_t target, peer, copy;
    gss_buffer_desc token, back, text, body;
    gss_buffer_set_t attributes;
    gss_OID_set set;
    gss_iov_buffer_desc iov[2];
    char sealed[64], room[64];
    OM_uint32 minor;
};

static const gss_buffer_desc nothing = GSS_C_EMPTY_BUFFER;

static void
drop(gss_buffer_desc *buffer)
{
    free(buffer->value);
    *buffer = nothing;
}

static bool
empty(const gss_buffer_desc *buffer)
{
    return buffer->length == 0 && buffer->value == NULL;
}

/* A failure for want of memory says so, or that OpenSSL failed; never that somebody's token or secret is bad. */
static void
assert_short_of_memory(const char *call, OM_uint32 major, OM_uint32 minor)
{
    bool says = minor == OTC_MINOR_BASE + OTC_S_NOMEM || minor == OTC_MINOR_BASE + OTC_S_INTERNAL;
    if (major != GSS_S_FAILURE || !says)
        fail_msg("allocation %ld: %s gave major %x, minor %d", memory.wanted, call, major,
                 (int)(minor - OTC_MINOR_BASE));
}

/* What the second attempt gave. In a process that looks OpenSSL's algorithms up for the first time it may fail again: OpenSSL 3.0 counts an
 * operation as looked up even if memory was short for one of its algorithms, and then has none of that name. That too must be said. */
static OM_uint32
again(OM_uint32 major, OM_uint32 minor)
{
    if (!memory.first_use || !GSS_ERROR(major))
        return major;
    assert_short_of_memory("the second attempt", major, minor);
    _exit(0);
}

/* Makes the call with memory running out; if it fails, nothing came out, and the same call works once there is memory. */
#define STEP(call, expected, nothing_out)                                                                              \
    do {                                                                                                               \
        memory.armed = !memory.hit;                                                                                    \
        OM_uint32 major_ = (call);                                                                                     \
        memory.armed = false;                                                                                          \
        if (GSS_ERROR(major_)) {                                                                                       \
            assert_short_of_memory(#call, major_, s->minor);                                                           \
            if (!(nothing_out))                                                                                        \
                fail_msg("allocation %ld: output after a failure of %s", memory.wanted, #call);                        \
            major_ = again((call), s->minor);                                                                          \
        }                                                                                                              \
        if (major_ != (expected))                                                                                      \
            fail_msg("allocation %ld: %s: %x, minor %d", memory.wanted, #call, major_,                                 \
                     (int)(s->minor - OTC_MINOR_BASE));                                                                \
    } while (0)

static OM_uint32
acquire(struct story *s, int role, bool from_file)
{
    gss_key_value_element_desc pair[] = {{"otc_secret", s->secret.c}, {"otc_title", "a title"}};
    struct kit_path path = kit_path(role == 0 ? "a" : "b");
    if (from_file)
        pair[0] = (gss_key_value_element_desc){"otc_secret_file", path.c};
    gss_key_value_set_desc store = {2, pair};
    drop_set(&s->set);
    return otc.gss_acquire_cred_from(&s->minor, GSS_C_NO_NAME, 0, NULL, role == 0 ? GSS_C_INITIATE : GSS_C_ACCEPT,
                                     &store, &s->cred[role], &s->set, NULL);
}

static OM_uint32
initiate(struct story *s)
{
    const OM_uint32 flags = GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG;
    return otc.gss_init_sec_context(&s->minor, s->cred[0], &s->context[0], s->target, kit_mech(), flags, 0, NULL,
                                    &s->back, NULL, &s->token, NULL, NULL);
}

static OM_uint32
accept_token(struct story *s)
{
    return otc.gss_accept_sec_context(&s->minor, &s->context[1], s->cred[1], &s->token, NULL, &s->peer, NULL, &s->back,
                                      NULL, NULL, NULL);
}

/* Out of the process and in again. */
static void
move_context(struct story *s, int side)
{
    gss_buffer_desc saved = nothing;
    STEP(otc.gss_export_sec_context(&s->minor, &s->context[side], &saved), GSS_S_COMPLETE,
         empty(&saved) && s->context[side] != NULL);
    STEP(otc.gss_import_sec_context(&s->minor, &saved, &s->context[side]), GSS_S_COMPLETE, s->context[side] == NULL);
    drop(&saved);
}

static void
credentials(struct story *s, bool from_file)
{
    gss_buffer_desc saved = nothing, anybody = kit_buffer("anybody");
    for (int role = 0; role < 2; role++)
        STEP(acquire(s, role, from_file), GSS_S_COMPLETE, s->cred[role] == NULL && s->set == NULL);
    STEP(otc.gss_inquire_cred(&s->minor, s->cred[0], &s->copy, NULL, NULL, NULL), GSS_S_COMPLETE, s->copy == NULL);
    otc.gss_release_name(&s->minor, &s->copy);
    STEP(otc.gss_export_cred(&s->minor, s->cred[0], &saved), GSS_S_COMPLETE, empty(&saved));
    STEP(otc.gss_import_cred(&s->minor, &saved, &s->imported), GSS_S_COMPLETE, s->imported == NULL);
    STEP(otc.gss_import_name(&s->minor, &anybody, GSS_C_NT_USER_NAME, &s->target), GSS_S_COMPLETE, s->target == NULL);
    drop(&saved);
}

static void
contexts(struct story *s)
{
    STEP(initiate(s), GSS_S_CONTINUE_NEEDED, empty(&s->token) && s->context[0] == NULL);
    STEP(accept_token(s), GSS_S_CONTINUE_NEEDED, empty(&s->back) && s->context[1] == NULL);
    drop(&s->token);
    for (int side = 0; side < 2; side++)
        move_context(s, side);
    STEP(initiate(s), GSS_S_COMPLETE, empty(&s->token));
    drop(&s->back);
    STEP(accept_token(s), GSS_S_COMPLETE, empty(&s->back) && s->peer == NULL);
    drop(&s->token);
}

static void
names(struct story *s)
{
    gss_buffer_desc label = kit_buffer("otc:title"), shown = nothing;
    gss_name_t source = NULL, target = NULL;
    STEP(otc.gss_inquire_context(&s->minor, s->context[1], &source, &target, NULL, NULL, NULL, NULL, NULL),
         GSS_S_COMPLETE, source == NULL && target == NULL);
    otc.gss_release_name(&s->minor, &source);
    otc.gss_release_name(&s->minor, &target);
    STEP(otc.gss_duplicate_name(&s->minor, s->peer, &s->copy), GSS_S_COMPLETE, s->copy == NULL);
    STEP(otc.gss_display_name(&s->minor, s->copy, &s->text, NULL), GSS_S_COMPLETE, empty(&s->text));
    drop(&s->text);
    STEP(otc.gss_export_name(&s->minor, s->copy, &s->text), GSS_S_COMPLETE, empty(&s->text));
    otc.gss_release_name(&s->minor, &s->copy);
    STEP(otc.gss_import_name(&s->minor, &s->text, GSS_C_NT_EXPORT_NAME, &s->copy), GSS_S_COMPLETE, s->copy == NULL);
    drop(&s->text);
    STEP(otc.gss_inquire_name(&s->minor, s->peer, NULL, NULL, &s->attributes), GSS_S_COMPLETE, s->attributes == NULL);
    STEP(otc.gss_get_name_attribute(&s->minor, s->peer, &label, NULL, NULL, &s->text, &shown, NULL), GSS_S_COMPLETE,
         empty(&s->text) && empty(&shown));
    assert_int_equal(s->text.length, 7);
    assert_memory_equal(shown.value, "a title", 7);
    drop(&s->text);
    drop(&shown);
}

static OM_uint32
wrap_in_place(struct story *s)
{
    memcpy(s->room, "in place", 8);
    if (s->iov[0].buffer.value != NULL)
        drop(&s->iov[0].buffer);
    s->iov[0] = (gss_iov_buffer_desc){GSS_IOV_BUFFER_TYPE_HEADER | GSS_IOV_BUFFER_FLAG_ALLOCATE, nothing};
    s->iov[1] = (gss_iov_buffer_desc){GSS_IOV_BUFFER_TYPE_DATA, {8, s->room}};
    return otc.gss_wrap_iov(&s->minor, s->context[0], 1, 0, NULL, s->iov, 2);
}

static OM_uint32
unwrap_in_place(struct story *s)
{
    memcpy(s->room, s->sealed, sizeof s->room);
    return otc.gss_unwrap_iov(&s->minor, s->context[1], NULL, NULL, s->iov, 2);
}

static void
messages(struct story *s)
{
    gss_buffer_desc text = kit_buffer("a message"), out = nothing;
    for (int conf = 0; conf < 2; conf++) {
        STEP(otc.gss_wrap(&s->minor, s->context[0], conf, 0, &text, NULL, &s->token), GSS_S_COMPLETE, empty(&s->token));
        STEP(otc.gss_unwrap(&s->minor, s->context[1], &s->token, &out, NULL, NULL), GSS_S_COMPLETE, empty(&out));
        assert_int_equal(out.length, text.length);
        assert_memory_equal(out.value, text.value, text.length);
        drop(&s->token);
        drop(&out);
    }
    STEP(otc.gss_get_mic(&s->minor, s->context[1], 0, &text, &s->token), GSS_S_COMPLETE, empty(&s->token));
    STEP(otc.gss_verify_mic(&s->minor, s->context[0], &text, &s->token, NULL), GSS_S_COMPLETE, true);
    drop(&s->token);
    STEP(wrap_in_place(s), GSS_S_COMPLETE, true);
    memcpy(s->sealed, s->room, sizeof s->room);
    STEP(unwrap_in_place(s), GSS_S_COMPLETE, memcmp(s->room, "\0\0\0\0\0\0\0\0", 8) == 0);
    assert_memory_equal(s->room, "in place", 8);
    drop(&s->iov[0].buffer);
    STEP(otc.gss_pseudo_random(&s->minor, s->context[0], GSS_C_PRF_KEY_FULL, &text, 100, &out), GSS_S_COMPLETE,
         empty(&out));
    drop(&out);
}

static void
farewell(struct story *s)
{
    STEP(otc.gss_delete_sec_context(&s->minor, &s->context[0], &s->token), GSS_S_COMPLETE, true);
    if (s->token.length > 0)
        STEP(otc.gss_process_context_token(&s->minor, s->context[1], &s->token), GSS_S_COMPLETE, true);
    drop(&s->token);
    drop_set(&s->set);
    STEP(otc.gss_inquire_attrs_for_mech(&s->minor, kit_mech(), &s->set, NULL), GSS_S_COMPLETE, s->set == NULL);
    drop_set(&s->set);
    STEP(otc.gss_inquire_names_for_mech(&s->minor, kit_mech(), &s->set), GSS_S_COMPLETE, s->set == NULL);
    drop_set(&s->set);
    OM_uint32 more = 0;
    STEP(otc.gss_display_status(&s->minor, OTC_MINOR_BASE + 1, GSS_C_MECH_CODE, kit_mech(), &more, &s->text),
         GSS_S_COMPLETE, empty(&s->text));
    drop(&s->text);
}

static void
forget(struct story *s)
{
    for (int side = 0; side < 2; side++) {
        otc.gss_delete_sec_context(&s->minor, &s->context[side], NULL);
        otc.gss_release_cred(&s->minor, &s->cred[side]);
    }
    otc.gss_release_cred(&s->minor, &s->imported);
    otc.gss_release_name(&s->minor, &s->target);
    otc.gss_release_name(&s->minor, &s->peer);
    otc.gss_release_name(&s->minor, &s->copy);
    drop_attributes(&s->attributes);
    drop_set(&s->set);
}

/* The whole of it, in which allocation number `wanted` fails (and with `onward` all later ones, until a call has failed). */
static bool
tell(long wanted, bool onward, bool from_file)
{
    struct story story = {.secret = kit_secret()}, *s = &story;
    memory.seen = 0;
    memory.wanted = wanted;
    memory.onward = onward;
    memory.hit = false;
    credentials(s, from_file);
    contexts(s);
    names(s);
    messages(s);
    for (int side = 0; side < 2; side++)
        move_context(s, side);
    messages(s);
    farewell(s);
    forget(s);
    return memory.seen > wanted;
}

/* Once through all allocations; gives their number. */
static long
tell_all(bool onward, bool from_file)
{
    long n = 0;
    while (tell(n, onward, from_file))
        n++;
    return n;
}

static void
each_in_turn(bool onward, bool from_file)
{
    kit_secret_files("a", "b");
    tell(-1, false, from_file);
    long count = tell_all(onward, from_file); /* OpenSSL's queue of errors fills, once */
    long before = memory.live;
    assert_true(count > 100);
    assert_int_equal(tell_all(onward, from_file), count);
    assert_int_equal(memory.live, before);
}

TEST(any_one_allocation_of_a_whole_story_may_fail)
{
    each_in_turn(false, false);
}

TEST(memory_may_run_out_for_good_at_any_allocation)
{
    each_in_turn(true, false);
}

TEST(and_so_with_secret_files)
{
    each_in_turn(false, true);
}

/* ---- the first use in a process, when algorithms are looked up ---- */

static const char *program;

/* As the program's own child: exit code 0 where the story came to its end. */
TEST(first_use)
{
    tell(memory.wanted, false, false);
}

static int
run_first_use(long wanted)
{
    char number[24];
    snprintf(number, sizeof number, "%ld", wanted);
    pid_t child = fork();
    if (child == 0) {
        (void)!freopen("/dev/null", "w", stdout);
        execl(program, program, number, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

TEST(the_first_use_in_a_process_may_lack_memory_too)
{
    for (long wanted = 1; wanted < 1500; wanted += 13) {
        if (run_first_use(wanted) != 0)
            fail_msg("allocation %ld of a first use", wanted);
    }
}

int
main(int argc, char **argv)
{
    program = argv[0];
    cmocka_set_message_output(CM_OUTPUT_TAP);
    load_plugin();
    if (argc > 1) {
        const struct CMUnitTest child[] = {CASE(first_use)};
        memory.wanted = strtol(argv[1], NULL, 10);
        memory.first_use = true;
        return cmocka_run_group_tests(child, NULL, NULL);
    }
    const struct CMUnitTest tests[] = {
        CASE(any_one_allocation_of_a_whole_story_may_fail), CASE(memory_may_run_out_for_good_at_any_allocation),
        CASE(and_so_with_secret_files), CASE(the_first_use_in_a_process_may_lack_memory_too)};
    kit_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
