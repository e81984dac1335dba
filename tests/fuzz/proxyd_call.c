/* Every procedure of the proxy daemon from arguments that a hostile client writes. First byte: the procedure. Nobody guesses a key: a handle
 * that begins like the description of a credential counts as sealed (--wrap), so that what comes after it is reached. There is a keytab, and
 * no KDC. A result that goes out decodes, and its audit line is one line. */
#include <krb5.h>

#include "fuzz/place.h"
#include "proxyd/audit.h"
#include "proxyd/contexts.h"
#include "proxyd/cred.h"
#include "proxyd/known.h"
#include "proxyd/procs.h"
#include "proxyd/warm.h"
#include "rpc/record.h"

#define NOW INT64_C(1795000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

gage_rc __real_vault_unseal(struct vault *vault, enum handle_kind kind, const struct handle_scope *scope,
                            gage_slice handle, int64_t now, gage_buf *payload);
gage_rc __wrap_vault_unseal(struct vault *vault, enum handle_kind kind, const struct handle_scope *scope,
                            gage_slice handle, int64_t now, gage_buf *payload);

/* libgssapi_krb5 1.20 does not release the name of a credential that accepts. */
const char *__lsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *
__lsan_default_suppressions(void)
{
    return "leak:krb5_copy_principal\nleak:krb5_build_principal_alloc_va\n";
}

static struct engine engine;
static struct conf *conf;

gage_rc
__wrap_vault_unseal(struct vault *vault, enum handle_kind kind, const struct handle_scope *scope, gage_slice handle,
                    int64_t now, gage_buf *payload)
{
    if ((kind != HANDLE_CRED && kind != HANDLE_EXPORT) || handle.n == 0 || handle.p[0] != 'S')
        return __real_vault_unseal(vault, kind, scope, handle, now, payload);
    put_bytes(payload, handle);
    return GAGE_DONE;
}

static void
make_keytab(const char *path)
{
    krb5_context context = NULL;
    krb5_keytab keytab = NULL;
    krb5_octet bytes[32] = {1, 2, 3};
    char name[160];
    krb5_keytab_entry entry = {.vno = 1,
                               .key = {.enctype = ENCTYPE_AES256_CTS_HMAC_SHA1_96, .length = 32, .contents = bytes}};
    snprintf(name, sizeof name, "FILE:%s", path);
    require(krb5_init_context(&context) == 0 && krb5_kt_resolve(context, name, &keytab) == 0 &&
            krb5_parse_name(context, "host/localhost@FUZZ.TEST", &entry.principal) == 0 &&
            krb5_kt_add_entry(context, keytab, &entry) == 0);
    krb5_free_principal(context, entry.principal);
    krb5_kt_close(context, keytab);
    krb5_free_context(context);
}

static void
make_engine(void)
{
    char text[1024];
    place_kerberos();
    const char *keytab = place_of("keytab"), *cache = place_of("cache"), *file = place_of("proxyd.conf");
    make_keytab(keytab);
    int n = snprintf(text, sizeof text,
                     "[service/kernel]\nmechs = krb5\neuid = %u\nkernel_nfsd = yes\ntrusted = yes\n"
                     "cred_store = keytab:%s\ncred_store = ccache:FILE:%s\n"
                     "[service/web]\nsocket = /run/web.sock\nmechs = krb5, spnego\neuid = %u\nimpersonate = "
                     "yes\nkrb5_principal = HTTP/localhost\n"
                     "cred_store = client_keytab:%s\ncred_store = ccache:MEMORY:%%U\n",
                     getuid(), keytab, cache, getuid(), keytab);
    place_write(file, gage_slice_of(text, (size_t)n));
    const struct conf_source source = {.file = file, .socket = "/run/fuzz.sock"};
    require(gage_ok(conf_read(&source, &conf, NULL)) && conf->service_count == 2);
    engine.warm = warm_new();
    engine.contexts = contexts_new();
    engine.known = known_new();
    require(engine.warm != NULL && engine.contexts != NULL && engine.known != NULL &&
            gage_ok(vault_open(NULL, 1, &engine.vault, NULL)));
}

static void
check_line(const struct call *call, uint32_t procedure)
{
    AUTO(gage_buf) line = GAGE_BUF(2048);
    audit_format(call, procedure, 1, &line);
    require(!line.bad && line.n > 0 && memchr(line.p, '\n', line.n) == line.p + line.n - 1);
}

static void
run(const struct service *service, uint32_t procedure, gage_slice args)
{
    const struct peer peer = {.pid = 1, .uid = getuid(), .program = "/usr/bin/fuzz"};
    struct call call = {.engine = &engine, .conf = conf, .service = service, .peer = &peer, .now = NOW};
    AUTO(gage_buf) results = GAGE_BUF(RECORD_MAX);
    union gssx_res res;
    if (execute(&call, procedure, args, &results) != ANSWER_SUCCESS) {
        require(results.n == 0);
        return;
    }
    require(!results.bad && gage_ok(proc_decode_res(procedure, gage_buf_slice(&results), &res)));
    require((OM_uint32)res.status.major_status == call.status.major);
    proc_free_res(procedure, &res);
    check_line(&call, procedure);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static unsigned runs;
    if (conf == NULL)
        make_engine();
    if (n == 0)
        return 0;
    uint32_t procedure = 1 + data[0] % GSSX_PROC_LAST;
    run(&conf->services[data[0] / 16 % 2], procedure, gage_slice_of(data + 1, n - 1));
    if (++runs % 64 == 0) {
        warm_sweep(engine.warm, NOW, UINT64_MAX);
        contexts_sweep(engine.contexts, 2 * NOW);
    }
    return 0;
}
