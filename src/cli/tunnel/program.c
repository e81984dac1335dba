#include "cli/tunnel/program.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/encode.h"
#include "cli/tunnel/allow.h"
#include "handshake/mechanism.h"

#define ENVIRONMENT_MAX 4096
#define EXPORTED_HEX_MAX 8192

extern char **environ;

/* Our environment without GAGE_*, then our variables. */
struct environment {
    char *all[ENVIRONMENT_MAX + 1];
    size_t n;
    size_t owned_from;
    bool bad; /* one of our variables is missing: the program must not run without it */
};

static void
set(struct environment *e, const char *name, const char *value)
{
    char *text;
    if (e->n < ENVIRONMENT_MAX && asprintf(&text, "GAGE_%s=%s", name, value) >= 0)
        e->all[e->n++] = text;
    else
        e->bad = true;
}

static void
inherit(struct environment *e)
{
    for (char **v = environ; *v != NULL && e->n < ENVIRONMENT_MAX - 16; v++)
        if (strncmp(*v, "GAGE_", 5) != 0)
            e->all[e->n++] = *v;
    e->owned_from = e->n;
}

static void
release(struct environment *e)
{
    for (size_t i = e->owned_from; i < e->n; i++)
        free(e->all[i]);
}

const char *
records_name(enum gage_stream_records records)
{
    static const char *const names[] = {[GAGE_STREAM_ANY_RECORDS] = "none",
                                        [GAGE_STREAM_AEAD] = "aead",
                                        [GAGE_STREAM_WRAP] = "wrap",
                                        [GAGE_STREAM_BARE] = "bare"};
    return names[records];
}

static void
set_expiry(struct environment *e, const struct gage_stream_peer *peer)
{
    char text[24] = "";
    if (peer->expires != INT64_MAX)
        snprintf(text, sizeof text, "%" PRId64, clock_now() + (peer->expires - clock_monotonic_ns()) / 1000000000);
    set(e, "EXPIRES", text);
}

static void
describe_peer(struct environment *e, const struct gage_stream_peer *peer)
{
    char text[PEER_TEXT_MAX];
    AUTO(gage_buf) hex = GAGE_BUF(EXPORTED_HEX_MAX);
    const struct mechanism *mechanism = mechanism_of_oid(peer->mech);
    peer_text(peer, text);
    put_hex(&hex, peer->exported);
    put_u8(&hex, 0);
    set(e, "PEER", text);
    set(e, "PEER_NAME", peer->name);
    set(e, "PEER_MECH", mechanism != NULL ? mechanism->name : "other");
    set(e, "PEER_EXPORTED", hex.bad ? "" : (const char *)hex.p);
    set(e, "ROLE", peer->initiator ? "initiator" : "acceptor");
    set(e, "RECORDS", records_name(peer->records));
    set_expiry(e, peer);
}

static void
describe(struct environment *e, const struct tunnel *t)
{
    bool protected = gage_stream_phase(t->stream) == GAGE_STREAM_PROTECTED;
    set(e, "PROTECTED", protected ? "1" : "0");
    set(e, "PEER_ADDRESS", t->peer_at);
    if (protected) {
        describe_peer(e, gage_stream_peer(t->stream));
        return;
    }
    static const char *const empty[] = {"PEER", "PEER_NAME", "PEER_MECH", "PEER_EXPORTED", "ROLE", "EXPIRES"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
        set(e, empty[i], "");
    set(e, "RECORDS", "none");
}

static int
spawn(const char *command, int fd, char **environment, pid_t *pid)
{
    char shell[] = "/bin/sh", flag[] = "-c";
    char *copy = strdup(command);
    char *argv[] = {shell, flag, copy, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE); /* ignored by us, and that would be inherited */
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, fd, STDOUT_FILENO);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    int failed = posix_spawn(pid, shell, &actions, &attributes, argv, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    free(copy);
    return failed;
}

gage_rc
program_start(const char *command, const struct tunnel *t, int fd, long *child, struct gage_err *err)
{
    struct environment *e = calloc(1, sizeof *e);
    pid_t pid = 0;
    REQUIRE(e != NULL, err, GAGE_E_NOMEM, "no memory for a program's environment");
    inherit(e);
    describe(e, t);
    int failed = e->bad ? ENOMEM : spawn(command, fd, e->all, &pid);
    release(e);
    free(e);
    if (failed != 0)
        return gage_fail_sys(err, GAGE_E_IO, failed, "the program of --exec cannot be started");
    *child = pid;
    return GAGE_DONE;
}
