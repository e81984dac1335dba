#include "live/otc/kit.h"

#include <stdlib.h>
#include <unistd.h>

#include <gage/otc.h>

#include "base/file.h"

static char folder[128];
static pid_t owner;

static void
remove_folder(void)
{
    if (getpid() != owner)
        return;
    char command[200];
    snprintf(command, sizeof command, "%s", folder);
    pid_t child = vfork();
    if (child == 0) {
        execl("/bin/rm", "rm", "-rf", command, (char *)NULL);
        _exit(127);
    }
}

void
kit_start(void)
{
    const char *prefix = getenv("GAGE_PREFIX");
    char conf[256], line[600];
    snprintf(folder, sizeof folder, "/tmp/gage-otc-XXXXXX");
    if (mkdtemp(folder) == NULL)
        abort();
    owner = getpid();
    atexit(remove_folder);
    snprintf(conf, sizeof conf, "%s/mech.conf", folder);
    int n = snprintf(line, sizeof line, "gage_otc " GAGE_OTC_OID_TEXT " %s/lib/gage/gss/gage_otc.so\n",
                     prefix != NULL ? prefix : GAGE_DEFAULT_PREFIX);
    if (!gage_ok(file_replace(conf, gage_slice_of(line, (size_t)n), 0600, NULL)))
        abort();
    setenv("GSS_MECH_CONFIG", conf, 1);
    setenv("KRB5_CONFIG", "/dev/null", 1);
}

const char *
kit_folder(void)
{
    return folder;
}

gss_OID
kit_mech(void)
{
    static const uint8_t value[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x14, 0x01, 0xbe, 0x40, 0x93, 0x7a,
                                    0x81, 0xbe, 0x78, 0x82, 0xac, 0x2b, 0x87, 0x49, 0x81, 0x96, 0x47,
                                    0x82, 0xe2, 0x6f, 0x83, 0xce, 0xa2, 0x07, 0x82, 0xb5, 0x91, 0x37};
    static gss_OID_desc oid = {sizeof value, (void *)(uintptr_t)value};
    return &oid;
}

struct kit_text
kit_secret(void)
{
    uint8_t secret[32];
    struct kit_text text = {""};
    AUTO(gage_buf) buf = GAGE_BUF(64);
    assert_ok(rng_fill(&gage_system_rng, secret, sizeof secret));
    put_base64url(&buf, SLICE_OF(secret));
    memcpy(text.c, buf.p, buf.n);
    return text;
}

struct kit_path
kit_path(const char *name)
{
    struct kit_path path;
    snprintf(path.c, sizeof path.c, "%s/%s", folder, name);
    return path;
}

static void
write_secret_file(const char *name, char side, const struct kit_text *secret)
{
    char text[200];
    int n =
        snprintf(text, sizeof text, "gage-otc-secret 1\nside=%c\nsecret=%s\nlabel=laptop %c\n", side, secret->c, side);
    assert_ok(file_replace(kit_path(name).c, gage_slice_of(text, (size_t)n), 0600, NULL));
}

void
kit_secret_files(const char *a, const char *b)
{
    struct kit_text secret = kit_secret();
    write_secret_file(a, 'a', &secret);
    write_secret_file(b, 'b', &secret);
}

gss_buffer_desc
kit_buffer(const char *text)
{
    return (gss_buffer_desc){strlen(text), (void *)(uintptr_t)text};
}

gss_name_t
kit_name(const char *text, gss_OID type)
{
    OM_uint32 minor;
    gss_name_t name = GSS_C_NO_NAME;
    gss_buffer_desc buffer = kit_buffer(text);
    assert_int_equal(gss_import_name(&minor, &buffer, type, &name), GSS_S_COMPLETE);
    return name;
}

OM_uint32
kit_try_acquire(OM_uint32 *minor, gss_cred_usage_t usage, gss_cred_id_t *cred, const char *const *pairs)
{
    gss_key_value_element_desc elements[16];
    gss_key_value_set_desc store = {0, elements};
    gss_OID_set_desc mechs = {1, kit_mech()};
    for (; pairs[0] != NULL; pairs += 2)
        elements[store.count++] = (gss_key_value_element_desc){pairs[0], pairs[1]};
    return gss_acquire_cred_from(minor, GSS_C_NO_NAME, 0, &mechs, usage, &store, cred, NULL, NULL);
}

gss_cred_id_t
kit_acquire(gss_cred_usage_t usage, ...)
{
    const char *pairs[33] = {NULL};
    OM_uint32 minor;
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    va_list list;
    va_start(list, usage);
    for (int i = 0; i < 32 && (pairs[i] = va_arg(list, const char *)) != NULL; i++)
        ;
    va_end(list);
    assert_int_equal(kit_try_acquire(&minor, usage, &cred, pairs), GSS_S_COMPLETE);
    return cred;
}

void
kit_assert_status(OM_uint32 major, OM_uint32 minor, OM_uint32 expected_major, const char *sentence_start)
{
    OM_uint32 ignored, more = 0;
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    assert_int_equal(gss_display_status(&ignored, minor, GSS_C_MECH_CODE, kit_mech(), &more, &text), GSS_S_COMPLETE);
    bool same = major == expected_major && text.length >= strlen(sentence_start) &&
                memcmp(text.value, sentence_start, strlen(sentence_start)) == 0;
    if (!same)
        fail_msg("major %x (%.*s), not %x (%s)", major, (int)text.length, (char *)text.value, expected_major,
                 sentence_start);
    gss_release_buffer(&ignored, &text);
}

void
kit_release(gss_buffer_desc *buffer)
{
    OM_uint32 minor;
    gss_release_buffer(&minor, buffer);
}

gss_buffer_desc
kit_copy(const gss_buffer_desc *buffer)
{
    gss_buffer_desc copy = GSS_C_EMPTY_BUFFER;
    if (buffer->length == 0)
        return copy;
    copy = (gss_buffer_desc){buffer->length, malloc(buffer->length)};
    memcpy(copy.value, buffer->value, buffer->length);
    return copy;
}

void
kit_init(struct kit_side *side, OM_uint32 flags, OM_uint32 time_req, const gss_buffer_desc *input)
{
    OM_uint32 minor;
    gss_name_t target = kit_name("anybody", GSS_C_NT_USER_NAME);
    gss_buffer_desc in = input != NULL ? *input : (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
    kit_release(&side->token);
    side->major = gss_init_sec_context(&side->minor, side->cred, &side->ctx, target, kit_mech(), flags, time_req,
                                       side->bindings, &in, NULL, &side->token, &side->flags, &side->time);
    gss_release_name(&minor, &target);
}

void
kit_accept(struct kit_side *side, const gss_buffer_desc *input)
{
    OM_uint32 minor;
    gss_buffer_desc in = *input;
    kit_release(&side->token);
    if (side->peer != GSS_C_NO_NAME)
        gss_release_name(&minor, &side->peer);
    side->major = gss_accept_sec_context(&side->minor, &side->ctx, side->cred, &in, side->bindings, &side->peer, NULL,
                                         &side->token, &side->flags, &side->time, NULL);
}

void
kit_establish(struct kit_pair *pair, OM_uint32 flags)
{
    kit_init(&pair->i, flags, 0, NULL);
    assert_int_equal(pair->i.major, GSS_S_CONTINUE_NEEDED);
    kit_accept(&pair->a, &pair->i.token);
    assert_int_equal(pair->a.major, GSS_S_CONTINUE_NEEDED);
    kit_init(&pair->i, flags, 0, &pair->a.token);
    assert_int_equal(pair->i.major, GSS_S_COMPLETE);
    kit_accept(&pair->a, &pair->i.token);
    assert_int_equal(pair->a.major, GSS_S_COMPLETE);
}

struct kit_pair
kit_pair(OM_uint32 flags)
{
    struct kit_text secret = kit_secret();
    struct kit_pair pair = {0};
    pair.i.cred = kit_acquire(GSS_C_INITIATE, "otc_secret", secret.c, NULL);
    pair.a.cred = kit_acquire(GSS_C_ACCEPT, "otc_secret", secret.c, NULL);
    kit_establish(&pair, flags);
    return pair;
}

void
kit_side_free(struct kit_side *side)
{
    OM_uint32 minor;
    gss_delete_sec_context(&minor, &side->ctx, GSS_C_NO_BUFFER);
    gss_release_cred(&minor, &side->cred);
    gss_release_name(&minor, &side->peer);
    kit_release(&side->token);
}

void
kit_pair_free(struct kit_pair *pair)
{
    kit_side_free(&pair->i);
    kit_side_free(&pair->a);
}

gss_buffer_desc
kit_wrap(gss_ctx_id_t ctx, const char *text)
{
    OM_uint32 minor;
    gss_buffer_desc in = kit_buffer(text), out;
    int conf = 0;
    assert_int_equal(gss_wrap(&minor, ctx, 1, GSS_C_QOP_DEFAULT, &in, &conf, &out), GSS_S_COMPLETE);
    assert_int_equal(conf, 1);
    return out;
}

void
kit_unwrap(gss_ctx_id_t ctx, const gss_buffer_desc *token, const char *text, OM_uint32 supplementary)
{
    OM_uint32 minor;
    gss_buffer_desc in = *token, out;
    int conf = 0;
    gss_qop_t qop = 1;
    assert_int_equal(gss_unwrap(&minor, ctx, &in, &out, &conf, &qop), supplementary);
    assert_int_equal(qop, 0);
    assert_int_equal(out.length, strlen(text));
    if (out.length > 0)
        assert_memory_equal(out.value, text, out.length);
    kit_release(&out);
}
