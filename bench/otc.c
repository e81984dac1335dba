/* otc.c - the one-time-credential mechanism beside krb5 and beside raw AES-256-GCM, in one run. Started by bench/otc.py, inside a realm.
 *
 * usage: bench_otc SECRET-FILE-A SECRET-FILE-B KRB5-SERVICE
 *
 * Contexts: both halves of an establishment in one process. With credentials acquired for each is the figure that counts: a one-time
 * credential is used once, so every context has its own, and krb5 acquires its own as well (ticket cache and keytab are read). From
 * credentials acquired before, krb5 needs less than OpenSSL's four X25519 multiplications alone, which that line gives beside it. Both
 * ask for the same flags, mutual authentication among them; krb5 takes two tokens, otc three.
 *
 * Messages: gss_wrap (output allocated and released each time, as a caller must) against EVP_CipherUpdate into a buffer that stays. The
 * parties take turns in short slices, and the figure of each is the best of its slices, so that a neighbour's load hits all alike. */
#include <stdlib.h>
#include <string.h>

#include <gssapi/gssapi_ext.h>

#include <gage/otc.h>

#include "base/clock.h"
#include "base/crypto.h"

#define SLICES 15
#define SLICE_NS 60000000

static void
need(OM_uint32 major, const char *what)
{
    if (!GSS_ERROR(major))
        return;
    fprintf(stderr, "bench_otc: %s failed: major 0x%x\n", what, major);
    exit(1);
}

/* ---- parties ---- */

static const uint8_t otc_value[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x14, 0x01, 0xbe, 0x40, 0x93, 0x7a,
                                    0x81, 0xbe, 0x78, 0x82, 0xac, 0x2b, 0x87, 0x49, 0x81, 0x96, 0x47,
                                    0x82, 0xe2, 0x6f, 0x83, 0xce, 0xa2, 0x07, 0x82, 0xb5, 0x91, 0x37};
static const uint8_t krb5_value[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02};

struct party {
    gss_OID_desc mech;
    const char *file[2]; /* the secret files of the two sides; krb5: none, its ccache and keytab */
    gss_cred_id_t initiator, acceptor;
    gss_name_t target;
    gss_ctx_id_t from, to; /* one context that stays, for messages */
};

static gss_name_t
import(const char *text, gss_OID type)
{
    OM_uint32 minor;
    gss_buffer_desc buffer = {strlen(text), (void *)(uintptr_t)text};
    gss_name_t name = GSS_C_NO_NAME;
    need(gss_import_name(&minor, &buffer, type, &name), "gss_import_name");
    return name;
}

static gss_cred_id_t
acquire(struct party *party, gss_cred_usage_t usage)
{
    OM_uint32 minor;
    const char *secret_file = party->file[usage == GSS_C_ACCEPT];
    gss_key_value_element_desc element = {"otc_secret_file", secret_file};
    gss_key_value_set_desc store = {secret_file != NULL ? 1 : 0, &element};
    gss_OID_set_desc mechs = {1, &party->mech};
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    need(gss_acquire_cred_from(&minor, GSS_C_NO_NAME, 0, &mechs, usage, secret_file != NULL ? &store : NULL, &cred,
                               NULL, NULL),
         "gss_acquire_cred_from");
    return cred;
}

static void
acquire_both(struct party *party)
{
    party->initiator = acquire(party, GSS_C_INITIATE);
    party->acceptor = acquire(party, GSS_C_ACCEPT);
}

static void
release_both(struct party *party)
{
    OM_uint32 minor;
    gss_release_cred(&minor, &party->initiator);
    gss_release_cred(&minor, &party->acceptor);
}

static void
establish(struct party *party)
{
    OM_uint32 minor, major = GSS_S_CONTINUE_NEEDED, peer = GSS_S_CONTINUE_NEEDED;
    const OM_uint32 flags =
        GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG;
    gss_buffer_desc there = GSS_C_EMPTY_BUFFER, back = GSS_C_EMPTY_BUFFER;
    while (major == GSS_S_CONTINUE_NEEDED || peer == GSS_S_CONTINUE_NEEDED) {
        major = gss_init_sec_context(&minor, party->initiator, &party->from, party->target, &party->mech, flags, 0,
                                     NULL, &back, NULL, &there, NULL, NULL);
        need(major, "gss_init_sec_context");
        gss_release_buffer(&minor, &back);
        if (there.length > 0)
            peer = gss_accept_sec_context(&minor, &party->to, party->acceptor, &there, NULL, NULL, NULL, &back, NULL,
                                          NULL, NULL);
        need(peer, "gss_accept_sec_context");
        gss_release_buffer(&minor, &there);
    }
}

static void
forget(struct party *party)
{
    OM_uint32 minor;
    gss_delete_sec_context(&minor, &party->from, GSS_C_NO_BUFFER);
    gss_delete_sec_context(&minor, &party->to, GSS_C_NO_BUFFER);
}

/* ---- measuring ---- */

struct job {
    void (*once)(struct job *job);
    struct party *party;
    struct gcm *gcm;
    uint8_t *in, *out;
    size_t n;
    uint64_t count; /* raw: for the IV */
    double best;    /* per second */
};

static void
slice(struct job *job)
{
    int64_t start = clock_monotonic_ns(), now = start;
    uint64_t done = 0;
    while (now - start < SLICE_NS) {
        job->once(job);
        done++;
        now = clock_monotonic_ns();
    }
    double rate = (double)done * 1e9 / (double)(now - start);
    if (rate > job->best)
        job->best = rate;
}

static void
run(struct job *jobs, size_t count)
{
    for (int k = 0; k < SLICES; k++) {
        for (size_t i = 0; i < count; i++)
            slice(&jobs[i]);
    }
}

static void
once_context(struct job *job)
{
    establish(job->party);
    forget(job->party);
}

/* As a program does that makes one context: its credential acquired for it. */
static void
once_program(struct job *job)
{
    release_both(job->party);
    acquire_both(job->party);
    once_context(job);
}

static void
once_wrap(struct job *job)
{
    OM_uint32 minor;
    gss_buffer_desc in = {job->n, job->in}, out;
    need(gss_wrap(&minor, job->party->from, 1, GSS_C_QOP_DEFAULT, &in, NULL, &out), "gss_wrap");
    gss_release_buffer(&minor, &out);
}

static void
once_raw(struct job *job)
{
    uint8_t iv[GCM_IV_LEN] = {0}, tag[GCM_TAG_LEN];
    memcpy(iv, &job->count, sizeof job->count);
    job->count++;
    if (!gage_ok(gcm_seal(job->gcm, iv, SLICE_NONE, gage_slice_of(job->in, job->n), job->out, tag)))
        exit(1);
}

/* What the key exchange itself costs: two key pairs and two agreements, nothing else. */
static void
once_exchange(struct job *job)
{
    gage_secret key[2] = {{.n = 0}}, shared = {.n = 0};
    struct x25519 open[2];
    uint8_t public_key[2][X25519_LEN];
    (void)job;
    for (int k = 0; k < 2; k++) {
        if (!gage_ok(x25519_make(&gage_system_rng, &key[k], public_key[k], &open[k])))
            exit(1);
    }
    for (int k = 0; k < 2; k++) {
        if (!gage_ok(x25519_with(&open[k], public_key[1 - k], &shared)))
            exit(1);
        x25519_close(&open[k]);
    }
}

static void
contexts(struct party *otc, struct party *krb5)
{
    struct job jobs[] = {{.once = once_context, .party = otc},
                         {.once = once_context, .party = krb5},
                         {.once = once_exchange},
                         {.once = once_program, .party = otc},
                         {.once = once_program, .party = krb5}};
    run(jobs, 5);
    printf("contexts/s, both halves on one core, each with credentials acquired for it: otc %.0f, krb5 %.0f: otc/krb5 "
           "%.2f (bar 1.00)\n",
           jobs[3].best, jobs[4].best, jobs[3].best / jobs[4].best);
    printf(
        "contexts/s, all from credentials acquired before: otc %.0f, krb5 %.0f: otc/krb5 %.2f (no bar: the four X25519 "
        "multiplications alone reach %.0f/s, %.2f)\n",
        jobs[0].best, jobs[1].best, jobs[0].best / jobs[1].best, jobs[2].best, jobs[2].best / jobs[1].best);
}

static void
messages(struct party *otc, struct party *krb5)
{
    static const size_t sizes[] = {64, 1024, 16384, 65536, 1048576};
    static const uint8_t key[32] = {1};
    struct gcm gcm;
    uint8_t *in = calloc(1, 1048576), *out = calloc(1, 1048576);
    if (in == NULL || out == NULL || !gage_ok(gcm_init(&gcm, SLICE_OF(key), true)))
        exit(1);
    printf("%10s %12s %12s %12s %10s %10s\n", "bytes", "otc MB/s", "raw MB/s", "krb5 MB/s", "otc/raw", "otc/krb5");
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        size_t n = sizes[k];
        struct job jobs[] = {{.once = once_wrap, .party = otc, .in = in, .n = n},
                             {.once = once_raw, .gcm = &gcm, .in = in, .out = out, .n = n},
                             {.once = once_wrap, .party = krb5, .in = in, .n = n}};
        run(jobs, 3);
        double mb = (double)n / 1e6;
        printf("%10zu %12.1f %12.1f %12.1f %10.2f %10.1f%s\n", n, jobs[0].best * mb, jobs[1].best * mb,
               jobs[2].best * mb, jobs[0].best / jobs[1].best, jobs[0].best / jobs[2].best,
               n >= 16384 ? "  (bar 0.85 of raw)" : "");
    }
    gcm_cleanup(&gcm);
    free(in);
    free(out);
}

int
main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: bench_otc SECRET-FILE-A SECRET-FILE-B KRB5-SERVICE (started by bench/otc.py)\n");
        return 2;
    }
    struct party otc = {.mech = {sizeof otc_value, (void *)(uintptr_t)otc_value}, .file = {argv[1], argv[2]}};
    struct party krb5 = {.mech = {sizeof krb5_value, (void *)(uintptr_t)krb5_value}};
    acquire_both(&otc);
    otc.target = import("anybody", GSS_C_NT_USER_NAME);
    acquire_both(&krb5);
    krb5.target = import(argv[3], GSS_C_NT_HOSTBASED_SERVICE);
    contexts(&otc, &krb5);
    establish(&otc);
    establish(&krb5);
    messages(&otc, &krb5);
    forget(&otc);
    forget(&krb5);
    return 0;
}
