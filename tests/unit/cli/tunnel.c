/* What the stream commands decide about strangers: whose name a pattern means, who counts as one source, whose step is still begun. */
#include "unit/test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <sys/un.h>

#include <event2/event.h>

#include "cli/tunnel/address.h"
#include "cli/tunnel/allow.h"
#include "cli/tunnel/workers.h"
#include "handshake/mechanism.h"

/* ---- names ---- */

static bool
welcome(const char *pattern, const char *name)
{
    const struct mechanism *krb5;
    assert_ok(mechanism_find("krb5", &krb5, NULL));
    const struct gage_stream_peer peer = {.name = name, .mech = mechanism_oid(krb5)};
    struct opt_list patterns = {.n = 1};
    patterns.text[0] = pattern;
    return allow_matches(&patterns, &peer);
}

TEST(a_wildcard_takes_no_escaped_punctuation_for_the_real_one)
{
    assert_true(welcome("*@HOME", "alice@HOME"));
    assert_true(welcome("svc/*@HOME", "svc/web@HOME"));
    assert_false(welcome("*@HOME", "alice@AWAY"));
    assert_false(welcome("*@HOME", "alice@AWAY\\@HOME")); /* a realm with an at sign in its name */
    assert_false(welcome("alice?*", "alice\\@HOME@AWAY"));
    assert_false(welcome("svc/*@HOME", "svc\\/x/y@HOME"));
    assert_true(welcome("svc\\/*@HOME", "svc\\/x@HOME")); /* meant, as the backslash shows */
    assert_true(welcome("*", "alice\\@HOME@AWAY"));       /* everybody is everybody */
}

TEST(a_wildcard_knows_upper_case_and_the_mechanism)
{
    assert_false(welcome("*@home", "alice@HOME"));
    assert_false(welcome("otc:*", "alice@HOME"));
    assert_false(welcome("kr*:alice@HOME", "alice@HOME"));
    assert_false(welcome("alice@HOME*x", "alice@HOME"));
}

/* ---- sources ---- */

static const char *
source_of(int family, const char *text)
{
    static char found[ADDRESS_TEXT_MAX];
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(4000)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(4000)};
    assert_int_equal(inet_pton(family, text, family == AF_INET ? (void *)&four.sin_addr : (void *)&six.sin6_addr), 1);
    if (family == AF_INET)
        address_source((struct sockaddr *)&four, sizeof four, found);
    else
        address_source((struct sockaddr *)&six, sizeof six, found);
    return found;
}

TEST(one_source_is_an_ipv4_address_or_an_ipv6_network)
{
    assert_string_equal(source_of(AF_INET, "192.0.2.7"), "192.0.2.7");
    assert_string_equal(source_of(AF_INET6, "::ffff:192.0.2.7"), "[::ffff:192.0.2.7]");
    assert_string_equal(source_of(AF_INET6, "2001:db8:1:2:3:4:5:6"), "[2001:db8:1:2::]");
    assert_string_equal(source_of(AF_INET6, "2001:db8:1:2:ffff::1"), "[2001:db8:1:2::]");
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    char found[ADDRESS_TEXT_MAX];
    address_source((struct sockaddr *)&un, sizeof un.sun_family, found);
    assert_string_equal(found, "unix");
}

/* ---- steps ---- */

static sem_t begun, go_on;
static int run, done;

/* In place of the stream's own: a step that takes its time. */
void
gage_stream_work_run(gage_stream_work *work)
{
    (void)work;
    run++;
    sem_post(&begun);
    sem_wait(&go_on);
}

static void
count(void *owner)
{
    (void)owner;
    done++;
}

TEST(a_step_is_taken_back_only_while_it_waits)
{
    struct event_base *base = event_base_new();
    struct workers *workers = NULL;
    int first, second;
    assert_non_null(base);
    assert_int_equal(sem_init(&begun, 0, 0), 0);
    assert_int_equal(sem_init(&go_on, 0, 0), 0);
    assert_ok(workers_new(base, 1, &workers, NULL));
    assert_ok(workers_run(workers, NULL, count, &first, NULL));
    sem_wait(&begun);
    assert_ok(workers_run(workers, NULL, count, &second, NULL));
    assert_false(workers_cancel(workers, &first));
    assert_true(workers_cancel(workers, &second));
    assert_false(workers_cancel(workers, &second));
    sem_post(&go_on);
    while (done == 0)
        assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
    assert_true(workers_free(&workers));
    assert_int_equal(run, 1);
    assert_int_equal(done, 1);
    event_base_free(base);
}

TEST_MAIN(CASE(a_wildcard_takes_no_escaped_punctuation_for_the_real_one),
          CASE(a_wildcard_knows_upper_case_and_the_mechanism), CASE(one_source_is_an_ipv4_address_or_an_ipv6_network),
          CASE(a_step_is_taken_back_only_while_it_waits))
