/* pairs.c - whole context establishments a second: CLIENTS processes, each initiating (with its own ticket) and accepting (through whatever
 * library its environment gives it) in turn, for SECONDS.
 *
 * usage: bench_proxy_pairs CLIENTS SECONDS default|acquired [THREADS]    prints: pairs/s, Jain's fairness, failures, slowest client's share
 *        bench_proxy_pairs burst N PATH        N processes connect to PATH at once and make a NULL call; prints how many were served */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>

#define CLIENTS_MAX 1024

struct shared {
    volatile int ready, go, stop;
    volatile uint64_t pairs[CLIENTS_MAX], failures[CLIENTS_MAX];
};
static struct shared *shared;
static gss_cred_id_t initiator_cred, acceptor_cred;
static gss_name_t target;

static double
now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void
complain(const char *what, OM_uint32 major, OM_uint32 minor)
{
    OM_uint32 m, more = 0;
    gss_buffer_desc a = GSS_C_EMPTY_BUFFER, b = GSS_C_EMPTY_BUFFER;
    gss_display_status(&m, major, GSS_C_GSS_CODE, GSS_C_NO_OID, &more, &a);
    more = 0;
    gss_display_status(&m, minor, GSS_C_MECH_CODE, (gss_OID)(uintptr_t)gss_mech_krb5, &more, &b);
    fprintf(stderr, "%s: %.*s; %.*s\n", what, (int)a.length, (char *)a.value, (int)b.length, (char *)b.value);
}

static int
one_pair(void)
{
    gss_ctx_id_t i = GSS_C_NO_CONTEXT, a = GSS_C_NO_CONTEXT;
    gss_buffer_desc request = GSS_C_EMPTY_BUFFER, answer = GSS_C_EMPTY_BUFFER, none = GSS_C_EMPTY_BUFFER;
    gss_OID mech = (gss_OID)(uintptr_t)gss_mech_krb5;
    OM_uint32 m,
        flags = GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG;
    int good = 0;
    OM_uint32 major = gss_init_sec_context(&m, initiator_cred, &i, target, mech, flags, 0, NULL, GSS_C_NO_BUFFER, NULL,
                                           &request, NULL, NULL);
    if (major != GSS_S_CONTINUE_NEEDED) {
        complain("initiate", major, m);
        goto done;
    }
    major = gss_accept_sec_context(&m, &a, acceptor_cred, &request, NULL, NULL, NULL, &answer, NULL, NULL, NULL);
    if (major != GSS_S_COMPLETE) {
        complain("accept", major, m);
        goto done;
    }
    major =
        gss_init_sec_context(&m, initiator_cred, &i, target, mech, flags, 0, NULL, &answer, NULL, &none, NULL, NULL);
    good = major == GSS_S_COMPLETE;
done:
    gss_release_buffer(&m, &request);
    gss_release_buffer(&m, &answer);
    gss_release_buffer(&m, &none);
    gss_delete_sec_context(&m, &i, NULL);
    gss_delete_sec_context(&m, &a, NULL);
    return good;
}

static void
prepare(int acquired)
{
    OM_uint32 m, major;
    gss_buffer_desc name = {14, (void *)(uintptr_t) "host@localhost"};
    gss_OID_set_desc mechs = {1, (gss_OID)(uintptr_t)gss_mech_krb5};
    gss_import_name(&m, &name, GSS_C_NT_HOSTBASED_SERVICE, &target);
    /* The plugin keeps its credential in the default cache and would overwrite the ticket there: this one is named. */
    gss_key_value_element_desc row = {"ccache", getenv("BENCH_TICKET")};
    gss_key_value_set_desc store = {1, &row};
    major = gss_acquire_cred_from(&m, GSS_C_NO_NAME, GSS_C_INDEFINITE, &mechs, GSS_C_INITIATE, &store, &initiator_cred,
                                  NULL, NULL);
    if (major != GSS_S_COMPLETE)
        complain("acquire initiator", major, m), exit(1);
    if (!acquired)
        return;
    major = gss_acquire_cred(&m, GSS_C_NO_NAME, GSS_C_INDEFINITE, &mechs, GSS_C_ACCEPT, &acceptor_cred, NULL, NULL);
    if (major != GSS_S_COMPLETE)
        complain("acquire acceptor", major, m), exit(1);
}

static void *
work(void *index)
{
    size_t me = (size_t)(uintptr_t)index;
    while (!shared->stop) {
        if (one_pair())
            __atomic_add_fetch(&shared->pairs[me], 1, __ATOMIC_RELAXED);
        else
            __atomic_add_fetch(&shared->failures[me], 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void
client(size_t me, int acquired, int threads)
{
    pthread_t thread[64];
    prepare(acquired);
    if (!one_pair())
        exit(1);
    __atomic_add_fetch(&shared->ready, 1, __ATOMIC_SEQ_CST);
    while (!shared->go)
        usleep(1000);
    for (int t = 1; t < threads; t++)
        pthread_create(&thread[t], NULL, work, (void *)(uintptr_t)(me + (size_t)t));
    work((void *)(uintptr_t)me);
    for (int t = 1; t < threads; t++)
        pthread_join(thread[t], NULL);
    exit(0);
}

static int
measure(int clients, double seconds, int acquired, int threads)
{
    for (int i = 0; i < clients; i++)
        if (fork() == 0)
            client((size_t)i * (size_t)threads, acquired, threads);
    while (shared->ready < clients) {
        usleep(1000);
        int status;
        if (waitpid(-1, &status, WNOHANG) > 0) {
            kill(0, SIGTERM);
            return 1;
        }
    }
    double began = now();
    shared->go = 1;
    usleep((useconds_t)(seconds * 1e6));
    shared->stop = 1;
    double took = now() - began, sum = 0, squares = 0, failed = 0, least = 1e300;
    int n = clients * threads;
    for (int i = 0; i < n; i++) {
        double x = (double)shared->pairs[i];
        sum += x;
        squares += x * x;
        failed += (double)shared->failures[i];
        least = x < least ? x : least;
    }
    while (wait(NULL) > 0)
        ;
    printf("%.1f %.4f %.0f %.3f\n", sum / took, squares > 0 ? sum * sum / (n * squares) : 0, failed,
           sum > 0 ? least * n / sum : 0);
    return 0;
}

/* ---- the burst ---- */

static int
null_call(const char *path)
{
    static const unsigned char call[] = {0x80, 0, 0, 40, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 2, 0, 6, 0x1a, 0xf0, 0, 0,
                                         0,    1, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0,    0, 0};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    unsigned char reply[64];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) /* as the packaged plugin: EAGAIN is a failure */
        return 0;
    struct pollfd p = {fd, POLLIN, 0};
    return write(fd, call, sizeof call) == (ssize_t)sizeof call && poll(&p, 1, 15000) == 1 &&
           read(fd, reply, sizeof reply) > 0;
}

static int
burst(int n, const char *path)
{
    for (int i = 0; i < n; i++) {
        if (fork() != 0)
            continue;
        __atomic_add_fetch(&shared->ready, 1, __ATOMIC_SEQ_CST);
        while (!shared->go)
            usleep(20000); /* a thousand of them: wake within 20 ms of each other */
        shared->pairs[i] = (uint64_t)null_call(path);
        __atomic_add_fetch(&shared->stop, 1, __ATOMIC_SEQ_CST);
        while (shared->stop < n) /* everybody stays connected */
            usleep(50000);
        _exit(0);
    }
    while (shared->ready < n)
        usleep(1000);
    shared->go = 1;
    while (wait(NULL) > 0)
        ;
    uint64_t served = 0;
    for (int i = 0; i < n; i++)
        served += shared->pairs[i];
    printf("%llu\n", (unsigned long long)served);
    return 0;
}

int
main(int argc, char **argv)
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (argc == 4 && strcmp(argv[1], "burst") == 0 && atoi(argv[2]) <= CLIENTS_MAX)
        return burst(atoi(argv[2]), argv[3]);
    int threads = argc > 4 ? atoi(argv[4]) : 1;
    if (argc < 4 || atoi(argv[1]) * threads > CLIENTS_MAX || threads > 64) {
        fprintf(stderr, "usage: see the source's first lines\n");
        return 2;
    }
    setpgid(0, 0);
    return measure(atoi(argv[1]), atof(argv[2]), strcmp(argv[3], "acquired") == 0, threads);
}
