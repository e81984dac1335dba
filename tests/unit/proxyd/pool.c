/* The threads of pool.c, with events of our own in place of connections: what blocks, what ends, what is lost. Each case is a process, because
 * threads never end of themselves. */
#include "unit/test.h"

#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "proxyd/server.h"

const struct log_event ev_thread_failed = {"thread_failed", LOG_LEVEL_ERROR, ""};

/* ---- events ---- */

#define SOURCES 64

enum deed { COUNTS, BLOCKS_IN_EVENT, BLOCKS_IN_CALL, PAUSES };

static struct source {
    int fd;
    enum deed deed;
} sources[SOURCES];
static struct server server;
static int64_t handled, inside; /* atomic: what the events brought, together; threads that block */
static int released;            /* those that block go on; atomic */

static void
check(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "# not so: %s\n", what);
    _exit(1);
}
#define CHECK(condition) check((condition), #condition)

/* Waits for a state; the limit only ends a test that would hang. */
#define WAIT_FOR(condition)                                                                                            \
    do {                                                                                                               \
        for (int waited_ = 0; !(condition); waited_++) {                                                               \
            check(waited_ < 20000, #condition);                                                                        \
            usleep(1000);                                                                                              \
        }                                                                                                              \
    } while (0)

#define GET(variable) __atomic_load_n(&(variable), __ATOMIC_SEQ_CST)
#define SET(variable, value) __atomic_store_n(&(variable), (value), __ATOMIC_SEQ_CST)
#define ADD(variable, n) __atomic_add_fetch(&(variable), (n), __ATOMIC_SEQ_CST)

static void
block(void)
{
    ADD(inside, 1);
    while (!GET(released))
        usleep(1000);
    ADD(inside, -1);
}

static void
arm(const struct source *source, int operation)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = (uint64_t)(source - sources)};
    CHECK(epoll_ctl(server.epoll, operation, source->fd, &event) == 0);
}

static void
add_source(size_t i, enum deed deed)
{
    sources[i] = (struct source){eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), deed};
    arm(&sources[i], EPOLL_CTL_ADD);
}

static void
post(size_t i)
{
    const uint64_t one = 1;
    CHECK(write(sources[i].fd, &one, sizeof one) == sizeof one);
}

/* In place of conn.c and request.c. */
struct request *
conn_event(struct server *s, uint64_t key, uint32_t events)
{
    struct source *source = &sources[key];
    uint64_t count = 0;
    CHECK(s == &server && events == EPOLLIN);
    CHECK(read(source->fd, &count, sizeof count) == sizeof count);
    if (source->deed == BLOCKS_IN_EVENT)
        block();
    if (source->deed == PAUSES && count % 4 == 0)
        usleep(3000);
    ADD(handled, (int64_t)count);
    if (source->deed == BLOCKS_IN_CALL)
        return (struct request *)(void *)source;
    arm(source, EPOLL_CTL_MOD);
    return NULL;
}

void
request_run(struct request *request)
{
    block();
    arm((struct source *)(void *)request, EPOLL_CTL_MOD);
}

/* ---- cases ---- */

static void
start(int64_t threads)
{
    static struct conf conf;
    static struct epoch epoch = {.conf = &conf};
    struct gage_err err;
    conf.settings.worker_threads = threads;
    server = (struct server){.epoch = &epoch, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    CHECK(gage_ok(pool_start(&server, &err)));
}

static void
run(void (*body)(void))
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        body();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void
serve_beside(enum deed deed)
{
    start(1);
    add_source(0, deed);
    add_source(1, COUNTS);
    for (int64_t round = 0; round < 3; round++) {
        usleep((useconds_t)round * 150000); /* the watcher sleeps by then, the last time */
        SET(released, 0);
        SET(handled, 0);
        post(0);
        WAIT_FOR(GET(inside) == 1);
        for (int64_t i = 1; i <= 100; i++) {
            int64_t before = GET(handled);
            post(1);
            WAIT_FOR(GET(handled) == before + 1);
        }
        SET(released, 1);
        WAIT_FOR(GET(inside) == 0);
    }
}

static void
beside_an_event(void)
{
    serve_beside(BLOCKS_IN_EVENT);
}

static void
beside_a_call(void)
{
    serve_beside(BLOCKS_IN_CALL);
}

TEST(events_are_handled_beside_one_that_blocks)
{
    run(beside_an_event);
}

TEST(events_are_handled_beside_a_call_that_blocks)
{
    run(beside_a_call);
}

static void
waves(void)
{
    int64_t most = 0;
    start(2);
    for (size_t i = 0; i < 30; i++)
        add_source(i, BLOCKS_IN_CALL);
    add_source(30, COUNTS);
    for (int wave = 0; wave < 5; wave++) {
        SET(released, 0);
        SET(handled, 0);
        for (size_t i = 0; i < 30; i++)
            post(i);
        WAIT_FOR(GET(inside) == 30);
        post(30);
        WAIT_FOR(GET(handled) == 31);
        CHECK(GET(server.threads) >= 31);
        most = wave == 0 ? GET(server.threads) : most;
        CHECK(GET(server.threads) <= 30 + 2 + 2); /* those that block, places, and one that was late for each */
        SET(released, 1);
        WAIT_FOR(GET(inside) == 0);
    }
    CHECK(GET(server.threads) <= most + 2); /* parked ones are taken before new ones */
}

TEST(as_many_threads_as_block_and_places_and_no_more_at_the_next_wave)
{
    run(waves);
}

#define POSTS 20000

static void *
post_many(void *context)
{
    unsigned seed = (unsigned)(uintptr_t)context;
    for (int i = 0; i < POSTS; i++) {
        post((size_t)rand_r(&seed) % SOURCES);
        if (i % 1000 == 0)
            usleep(3000); /* the others run dry */
    }
    return NULL;
}

static void
storm(void)
{
    pthread_t threads[4];
    start(4);
    for (size_t i = 0; i < SOURCES; i++)
        add_source(i, i % 8 == 0 ? PAUSES : COUNTS);
    for (uintptr_t i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, post_many, (void *)(i + 1)) == 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    WAIT_FOR(GET(handled) == 4 * POSTS);
    CHECK(GET(server.threads) <= SOURCES / 8 + 4 + 2);
}

TEST(nothing_is_lost_where_several_threads_take_and_give_places_up)
{
    run(storm);
}

static void
stop(void)
{
    start(1);
    add_source(0, BLOCKS_IN_CALL);
    add_source(1, COUNTS);
    post(0);
    WAIT_FOR(GET(inside) == 1);
    post(1);
    WAIT_FOR(GET(handled) == 2);
    SET(server.stopping, 1);
    post(1);
    usleep(20000);
    SET(released, 1);
    WAIT_FOR(GET(inside) == 0); /* what was begun ends */
    post(0);
    usleep(20000);
    CHECK(GET(handled) == 2);
    CHECK(GET(inside) == 0);
}

TEST(once_it_stops_no_event_is_begun_and_a_call_that_blocks_ends)
{
    run(stop);
}

/* How many of this process's threads run: 'R' in their stat. */
static int
running(void)
{
    DIR *folder = opendir("/proc/self/task");
    int count = 0;
    char path[300], line[512];
    CHECK(folder != NULL);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        snprintf(path, sizeof path, "/proc/self/task/%s/stat", entry->d_name);
        FILE *stat = entry->d_name[0] != '.' && atoi(entry->d_name) != getpid() ? fopen(path, "r") : NULL;
        if (stat == NULL)
            continue;
        count += fgets(line, sizeof line, stat) != NULL && strstr(line, ") R ") != NULL;
        fclose(stat);
    }
    closedir(folder);
    return count;
}

static void
wait_awake(void)
{
    int quiet = 0;
    start(2);
    add_source(0, COUNTS);
    for (int64_t i = 1; i <= 200; i++) { /* one that asks alone and at once */
        post(0);
        while (GET(handled) < i)
            continue;
    }
    WAIT_FOR((quiet = running() == 0 ? quiet + 1 : 0) == 50);
    post(0);
    WAIT_FOR(GET(handled) == 201);
}

TEST(who_waits_awake_for_a_client_that_went_away_falls_asleep)
{
    run(wait_awake);
}

TEST_MAIN(CASE(events_are_handled_beside_one_that_blocks), CASE(events_are_handled_beside_a_call_that_blocks),
          CASE(as_many_threads_as_block_and_places_and_no_more_at_the_next_wave),
          CASE(nothing_is_lost_where_several_threads_take_and_give_places_up),
          CASE(once_it_stops_no_event_is_begun_and_a_call_that_blocks_ends),
          CASE(who_waits_awake_for_a_client_that_went_away_falls_asleep))
