/* What a program does to itself between two calls, or during one: descriptors, children, cancelled threads, signals. */
#include "unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "interposer/outcome.h"
#include "interposer/pool.h"

#define REQUEST "\x80\0\0\10\1\2\3\4body"

/* Answers each request with its own bytes, once `open` says so; counts connections. */
static struct {
    char path[64];
    int listener, connections, calls, gate;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
} server = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void
set(int *what, int value)
{
    pthread_mutex_lock(&server.lock);
    *what = value;
    pthread_cond_broadcast(&server.changed);
    pthread_mutex_unlock(&server.lock);
}

static void
count(int *what)
{
    pthread_mutex_lock(&server.lock);
    ++*what;
    pthread_cond_broadcast(&server.changed);
    pthread_mutex_unlock(&server.lock);
}

static int
value_of(const int *what)
{
    pthread_mutex_lock(&server.lock);
    int value = *what;
    pthread_mutex_unlock(&server.lock);
    return value;
}

static void
wait_until(const int *what, int least)
{
    pthread_mutex_lock(&server.lock);
    while (*what < least)
        pthread_cond_wait(&server.changed, &server.lock);
    pthread_mutex_unlock(&server.lock);
}

static void *
serve(void *argument)
{
    int fd = (int)(intptr_t)argument;
    char bytes[sizeof REQUEST - 1];
    while (recv(fd, bytes, sizeof bytes, MSG_WAITALL) == (ssize_t)sizeof bytes) {
        count(&server.calls);
        wait_until(&server.gate, 1);
        if (send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) != (ssize_t)sizeof bytes)
            break;
    }
    close(fd);
    return NULL;
}

static void *
run(void *unused)
{
    (void)unused;
    for (int fd; (fd = accept(server.listener, NULL, NULL)) >= 0;) {
        pthread_t thread;
        count(&server.connections);
        pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd);
        pthread_detach(thread);
    }
    return NULL;
}

static int
start(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)state;
    snprintf(server.path, sizeof server.path, "/tmp/gage-process-%d", (int)getpid());
    memcpy(address.sun_path, server.path, sizeof server.path);
    server.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    server.gate = 1;
    setenv("GSSPROXY_SOCKET", server.path, 1);
    return bind(server.listener, (struct sockaddr *)&address, sizeof address) != 0 ||
           listen(server.listener, 16) != 0 || pthread_create(&server.thread, NULL, run, NULL) != 0;
}

static int
finish(void **state)
{
    (void)state;
    unlink(server.path);
    shutdown(server.listener, SHUT_RDWR);
    return pthread_join(server.thread, NULL);
}

static enum fate
ask(void)
{
    AUTO(gage_buf) reply = GAGE_BUF(1024);
    int error = 0;
    return pool_exchange(SLICE_LITERAL(REQUEST), false, &reply, &error);
}

static void *
ask_in_thread(void *fate)
{
    *(enum fate *)fate = ask();
    return NULL;
}

TEST(a_cancelled_thread_gives_its_connection_back)
{
    enum fate fates[POOL_MAX];
    pthread_t threads[POOL_MAX];
    int before = value_of(&server.calls);
    set(&server.gate, 0);
    for (int i = 0; i < POOL_MAX; i++)
        pthread_create(&threads[i], NULL, ask_in_thread, &fates[i]);
    wait_until(&server.calls, before + POOL_MAX);
    for (int i = 0; i < POOL_MAX; i++)
        pthread_cancel(threads[i]);
    set(&server.gate, 1);
    for (int i = 0; i < POOL_MAX; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(ask(), FATE_ANSWERED);
}

TEST(standard_streams_that_a_program_closed_do_not_become_the_connection)
{
    int saved[3];
    enum fate fate;
    bool taken = false;
    pool_before_fork();
    pool_after_fork(true);
    for (int i = 0; i < 3; i++)
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
    for (int i = 0; i < 3; i++)
        close(i);
    fate = ask();
    for (int i = 0; i < 3; i++)
        taken = taken || fcntl(i, F_GETFD) >= 0;
    for (int i = 0; i < 3; i++)
        dup2(saved[i], i);
    assert_int_equal(fate, FATE_ANSWERED);
    assert_false(taken);
    assert_int_equal(ask(), FATE_ANSWERED);
}

/* _Fork runs no handlers of ours. */
TEST(a_child_has_a_connection_of_its_own_however_it_was_made)
{
    int status = -1, before;
    assert_int_equal(ask(), FATE_ANSWERED);
    before = value_of(&server.connections);
    pid_t child = _Fork();
    if (child == 0)
        _exit(ask() == FATE_ANSWERED ? 0 : 1);
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    assert_int_equal(value_of(&server.connections), before + 1);
    assert_int_equal(ask(), FATE_ANSWERED);
    assert_int_equal(value_of(&server.connections), before + 1);
}

static void *
be_told(void *unused)
{
    struct outcome o;
    OM_uint32 minor;
    (void)unused;
    outcome_fail(&o, GSS_S_FAILURE, EINVAL, "about somebody else");
    outcome_end(&minor, &o);
    return NULL;
}

/* Both have the number 22; this thread's is the real mechanism's to explain. */
TEST(what_one_thread_was_told_does_not_explain_anothers_failure)
{
    char text[OUTCOME_TEXT_MAX];
    struct outcome o;
    pthread_t thread;
    OM_uint32 minor;
    pthread_create(&thread, NULL, be_told, NULL);
    pthread_join(thread, NULL);
    assert_true(outcome_text(EINVAL, text));
    outcome_local(&o, GSS_S_FAILURE, EINVAL);
    outcome_end(&minor, &o);
    assert_false(outcome_text(EINVAL, text));
    be_told(NULL);
    assert_true(outcome_text(EINVAL, text));
}

static void
on_alarm(int number)
{
    (void)number;
}

/* A timer of the program's interrupts the wait again and again; the limit of the call ends it all the same. */
TEST(a_programs_timer_does_not_keep_a_call_waiting_for_ever)
{
    struct sigaction action = {.sa_handler = on_alarm}, old;
    struct itimerval often = {{0, 50000}, {0, 50000}}, none = {{0, 0}, {0, 0}};
    set(&server.gate, 0);
    sigaction(SIGALRM, &action, &old);
    setitimer(ITIMER_REAL, &often, NULL);
    enum fate fate = ask();
    setitimer(ITIMER_REAL, &none, NULL);
    sigaction(SIGALRM, &old, NULL);
    set(&server.gate, 1);
    assert_int_equal(fate, FATE_LATE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cancelled_thread_gives_its_connection_back),
        cmocka_unit_test(standard_streams_that_a_program_closed_do_not_become_the_connection),
        cmocka_unit_test(a_child_has_a_connection_of_its_own_however_it_was_made),
        cmocka_unit_test(what_one_thread_was_told_does_not_explain_anothers_failure),
        cmocka_unit_test(a_programs_timer_does_not_keep_a_call_waiting_for_ever),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, start, finish);
}
