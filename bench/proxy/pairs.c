/* pairs.c - whole context establishments a second: CLIENTS processes, each initiating (with its own ticket) and accepting (through whatever
 * library its environment gives it) in turn, for SECONDS. They start one after the other and wait for each other before the measurement
 * begins. Everything has a time limit, and no process outlives this one.
 *
 * usage: bench_proxy_pairs CLIENTS SECONDS default|acquired [THREADS]
 *            prints: pairs, seconds, Jain's fairness, failures, slowest client's share of the mean, the clients' CPU microseconds a pair
 *        bench_proxy_pairs burst N PATH
 *            N connections from BURST_THREADS threads of this process that begin at the same moment: all connect, then each asks for the
 *            mechanisms (INDICATE_MECHS, as every plugin does first) and stays connected; prints how many were refused, how many were
 *            answered, and the seconds until the last answer */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>

#define CLIENTS_MAX 64
#define BURST_MAX 1024
#define BURST_THREADS 32
#define START_SECONDS 10 /* for one client to be ready */
#define END_SECONDS 10   /* for a last pair after the measurement */

struct shared {
    volatile int ready, go, stop;
    volatile uint64_t pairs[CLIENTS_MAX], failures[CLIENTS_MAX];
    volatile double cpu[CLIENTS_MAX]; /* seconds of each process while it was measured */
};
static struct shared *shared;
static gss_cred_id_t initiator_cred, acceptor_cred;
static gss_name_t target;
static int unchecked; /* BENCH_UNCHECKED: a pair counts whatever the initiator says of the answer (bare.c, "nothing") */

static double
now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double
cpu_of_process(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
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
    good = major == GSS_S_COMPLETE || unchecked;
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
client(size_t me, int acquired, int threads, unsigned limit)
{
    pthread_t thread[CLIENTS_MAX];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(limit); /* whatever hangs ends */
    prepare(acquired);
    if (!one_pair() && !one_pair())
        exit(1);
    __atomic_add_fetch(&shared->ready, 1, __ATOMIC_SEQ_CST);
    while (!shared->go)
        usleep(1000);
    double before = cpu_of_process();
    for (int t = 1; t < threads; t++)
        pthread_create(&thread[t], NULL, work, (void *)(uintptr_t)(me + (size_t)t));
    work((void *)(uintptr_t)me);
    for (int t = 1; t < threads; t++)
        pthread_join(thread[t], NULL);
    shared->cpu[me] = cpu_of_process() - before;
    exit(0);
}

/* Starts one and waits until it is ready; false where it failed or took too long. */
static int
start_client(int index, int acquired, int threads, unsigned limit)
{
    double until = now() + START_SECONDS;
    pid_t pid = fork();
    if (pid == 0)
        client((size_t)index * (size_t)threads, acquired, threads, limit);
    while (pid > 0 && shared->ready <= index && now() < until) {
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return 0;
        usleep(500);
    }
    return shared->ready > index;
}

static void
report(int n, double took)
{
    double sum = 0, squares = 0, failed = 0, cpu = 0, least = 1e300;
    for (int i = 0; i < n; i++) {
        double x = (double)shared->pairs[i];
        sum += x;
        squares += x * x;
        failed += (double)shared->failures[i];
        cpu += shared->cpu[i];
        least = x < least ? x : least;
    }
    printf("%.0f %.4f %.4f %.0f %.3f %.1f\n", sum, took, squares > 0 ? sum * sum / (n * squares) : 0, failed,
           sum > 0 ? least * n / sum : 0, sum > 0 ? cpu / sum * 1e6 : 0);
}

/* The clients end with this process (PR_SET_PDEATHSIG), whichever way it ends. */
static int
measure(int clients, double seconds, int acquired, int threads)
{
    unsigned limit = (unsigned)seconds + START_SECONDS + END_SECONDS + 10;
    alarm(limit + 5);
    for (int i = 0; i < clients; i++) {
        if (!start_client(i, acquired, threads, limit)) {
            fprintf(stderr, "client %d of %d did not get ready\n", i + 1, clients);
            return 1;
        }
    }
    double began = now();
    shared->go = 1;
    usleep((useconds_t)(seconds * 1e6));
    shared->stop = 1;
    double took = now() - began, until = now() + END_SECONDS;
    for (int left = clients; left > 0 && now() < until;) {
        if (waitpid(-1, NULL, WNOHANG) > 0)
            left--;
        else
            usleep(500);
    }
    report(clients * threads, took);
    return 0;
}

/* ---- the burst ---- */

struct burst {
    const char *path;
    int count;
    pthread_barrier_t *together;
    int refused, answered;
};

static int
connect_once(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd); /* as the packaged plugin: EAGAIN is a failure */
    return -1;
}

/* INDICATE_MECHS with an empty call context; the whole reply is read. */
static int
ask(int fd)
{
    static const unsigned char call[] = {0x80, 0, 0, 52, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 2, 0, 6, 0x1a,
                                         0xf0, 0, 0, 0,  1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                         0,    0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    return write(fd, call, sizeof call) == (ssize_t)sizeof call;
}

static int
answered(int fd, double until)
{
    unsigned char reply[65536];
    size_t have = 0, want = 4;
    while (have < want && now() < until) {
        struct pollfd p = {fd, POLLIN, 0};
        if (poll(&p, 1, 200) != 1)
            continue;
        ssize_t n = read(fd, reply + have % (sizeof reply / 2), sizeof reply / 2);
        if (n <= 0)
            return 0;
        if (have < 4 && have + (size_t)n >= 4)
            want = 4 + ((size_t)(reply[0] & 0x7f) << 24 | (size_t)reply[1] << 16 | (size_t)reply[2] << 8 | reply[3]);
        have += (size_t)n;
    }
    return have >= want && want > 4;
}

static void *
burst_thread(void *context)
{
    struct burst *b = context;
    int fds[BURST_MAX];
    pthread_barrier_wait(b->together);
    for (int i = 0; i < b->count; i++)
        fds[i] = connect_once(b->path);
    for (int i = 0; i < b->count; i++)
        if (fds[i] >= 0 && !ask(fds[i]))
            close(fds[i]), fds[i] = -1;
    double until = now() + 20;
    for (int i = 0; i < b->count; i++) {
        b->refused += fds[i] < 0;
        b->answered += fds[i] >= 0 && answered(fds[i], until);
    }
    pthread_barrier_wait(b->together); /* everybody stays connected until all are through */
    return NULL;
}

static int
burst(int n, const char *path)
{
    pthread_barrier_t together;
    pthread_t threads[BURST_THREADS];
    struct burst parts[BURST_THREADS];
    int refused = 0, served = 0;
    struct rlimit files = {BURST_MAX + 64, BURST_MAX + 64};
    alarm(60);
    if (setrlimit(RLIMIT_NOFILE, &files) != 0)
        perror("descriptors");
    pthread_barrier_init(&together, NULL, BURST_THREADS + 1);
    for (int i = 0; i < BURST_THREADS; i++) {
        parts[i] = (struct burst){path, n / BURST_THREADS + (i < n % BURST_THREADS), &together, 0, 0};
        if (pthread_create(&threads[i], NULL, burst_thread, &parts[i]) != 0)
            return 1;
    }
    pthread_barrier_wait(&together);
    double began = now();
    pthread_barrier_wait(&together);
    double took = now() - began;
    for (int i = 0; i < BURST_THREADS; i++) {
        pthread_join(threads[i], NULL);
        refused += parts[i].refused;
        served += parts[i].answered;
    }
    printf("%d %d %.2f\n", refused, served, took);
    return 0;
}

int
main(int argc, char **argv)
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (argc == 4 && strcmp(argv[1], "burst") == 0 && atoi(argv[2]) <= BURST_MAX)
        return burst(atoi(argv[2]), argv[3]);
    int threads = argc > 4 ? atoi(argv[4]) : 1;
    unchecked = getenv("BENCH_UNCHECKED") != NULL;
    if (argc < 4 || atoi(argv[1]) < 1 || threads < 1 || atoi(argv[1]) * threads > CLIENTS_MAX) {
        fprintf(stderr, "usage: see the source's first lines\n");
        return 2;
    }
    return measure(atoi(argv[1]), atof(argv[2]), strcmp(argv[3], "acquired") == 0, threads);
}
