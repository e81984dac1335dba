/* The mechanism's readers of foreign bytes. The first byte chooses: token 1, 2 and 3, messages, exported contexts, credentials and names,
 * secret files. What imports must export again to the same bytes; nothing accepted may be wrong. */
#include <stdlib.h>

#include "otc/context.h"
#include "otc/name.h"
#include "otc/secretfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECRET "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

static gage_rc
count_up(void *context, uint8_t *out, size_t n)
{
    uint8_t *next = context;
    for (size_t i = 0; i < n; i++)
        out[i] = (*next)++;
    return GAGE_DONE;
}

static uint8_t counter;
static const struct gage_rng rng = {count_up, &counter};
static const struct otc_env env = {&rng, 1800000000, 1};

static struct otc_cred *
cred(unsigned usage)
{
    const gss_key_value_element_desc store = {"otc_secret", SECRET};
    const struct otc_cred_request request = {
        .usage = usage == OTC_USE_INITIATE ? GSS_C_INITIATE : GSS_C_ACCEPT, .store = &store, .store_count = 1};
    struct otc_cred *made = NULL;
    if (!gage_ok(otc_cred_make(&request, &rng, env.now, &made, NULL)))
        abort();
    return made;
}

static void
token_1(gage_slice bytes)
{
    AUTO(gage_buf) reply = GAGE_BUF(4096);
    const struct otc_bindings none = {0};
    struct otc_context *context = NULL;
    struct gage_err err = {0};
    struct otc_cred *acceptor = cred(OTC_USE_ACCEPT);
    (void)gage_ok(otc_accept(acceptor, &none, bytes, NULL, &env, &reply, &context, &err));
    otc_context_free(context);
    otc_cred_free(acceptor);
}

static struct otc_context *
initiated(gage_buf *token)
{
    const struct otc_ask ask = {.flags = GSS_C_REPLAY_FLAG};
    struct otc_context *context = NULL;
    struct otc_cred *initiator = cred(OTC_USE_INITIATE);
    counter = 0;
    if (!gage_ok(otc_initiate(initiator, &ask, &env, token, &context, NULL)))
        abort();
    otc_cred_free(initiator);
    return context;
}

static void
token_2(gage_slice bytes)
{
    AUTO(gage_buf) token = GAGE_BUF(4096);
    AUTO(gage_buf) reply = GAGE_BUF(4096);
    struct gage_err err = {0};
    struct otc_context *context = initiated(&token);
    (void)gage_ok(otc_answer(context, bytes, &env, &reply, &err));
    otc_context_free(context);
}

static void
token_3(gage_slice bytes)
{
    AUTO(gage_buf) token = GAGE_BUF(4096);
    AUTO(gage_buf) reply = GAGE_BUF(4096);
    const struct otc_bindings none = {0};
    struct otc_context *initiator = initiated(&token), *context = NULL;
    struct gage_err err = {0};
    struct otc_cred *acceptor = cred(OTC_USE_ACCEPT);
    if (!gage_ok(otc_accept(acceptor, &none, gage_buf_slice(&token), NULL, &env, &reply, &context, &err)))
        abort();
    (void)gage_ok(otc_confirm(context, bytes, &env, &err));
    otc_context_free(initiator);
    otc_context_free(context);
    otc_cred_free(acceptor);
}

/* A complete context of a fixed PRK receives the message. */
static void
message(gage_slice bytes)
{
    static const enum otc_type types[] = {OTC_SEALED, OTC_CLEAR};
    struct otc_context *context = otc_context_new();
    struct otc_header header;
    struct gage_err err = {0};
    OM_uint32 supplementary;
    context->state = OTC_COMPLETE;
    context->lifetime = OTC_INDEFINITE;
    if (!gage_ok(secret_set(&context->prk, SLICE_LITERAL("0123456789abcdef0123456789abcdef"))))
        abort();
    otc_schedule(context);
    if (gage_ok(otc_read_header(&context->receive, bytes, types, 2, &header, &err))) {
        size_t n = bytes.n - OTC_TOKEN_LEN;
        uint8_t *out = malloc(n + 1);
        const struct otc_span span = {bytes.p + OTC_TOKEN_LEN, out, n};
        const struct otc_message body = {.span = &span, .span_count = 1};
        (void)gage_ok(otc_unprotect(context, &env, &header, &body, &supplementary, &err));
        free(out);
    }
    (void)gage_ok(otc_read_delete(context, bytes, &err));
    otc_context_free(context);
}

static void
same(const gage_buf *again, gage_slice bytes)
{
    if (again->bad || !slice_equal(gage_buf_slice(again), bytes))
        abort();
}

static void
exported_context(gage_slice bytes)
{
    AUTO(gage_buf) again = GAGE_BUF(1 << 16);
    struct otc_context *context = NULL;
    struct gage_err err = {0};
    if (!gage_ok(otc_context_import(bytes, &context, &err)))
        return;
    put_otc_context(&again, context);
    same(&again, bytes);
    otc_context_free(context);
}

static void
exported_cred(gage_slice bytes)
{
    AUTO(gage_buf) again = GAGE_BUF(1 << 16);
    struct otc_cred *made = NULL;
    struct gage_err err = {0};
    if (!gage_ok(otc_cred_import(bytes, &made, &err)))
        return;
    put_otc_cred(&again, made);
    same(&again, bytes);
    otc_cred_free(made);
}

static void
exported_name(gage_slice bytes)
{
    AUTO(gage_buf) again = GAGE_BUF(1 << 16);
    struct otc_name *name = NULL;
    struct gage_err err = {0};
    if (!gage_ok(otc_name_from_exported(bytes, &name, &err)))
        return;
    if (!gage_ok(put_otc_exported_name(&again, name, &err)))
        abort();
    otc_name_free(name);
}

static void
secret_file(gage_slice bytes)
{
    struct otc_secret_file file = {0};
    struct gage_err err = {0};
    (void)gage_ok(otc_secret_file_parse(bytes, &file, &err));
    otc_psk_wipe(&file.psk);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(gage_slice) = {token_1,          token_2,       token_3,       message,
                                                  exported_context, exported_cred, exported_name, secret_file};
    counter = 0;
    if (size > 0)
        readers[data[0] % 8](gage_slice_of(data + 1, size - 1));
    return 0;
}
