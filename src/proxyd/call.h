/* call.h - one request being executed: who asks, under which service, with what; what the audit line will say. The procedures
 * (proc_*.c) take it and know nothing of sockets or threads. */
#ifndef GAGE_PROXYD_CALL_H
#define GAGE_PROXYD_CALL_H

#include <sys/types.h>

#include "proxyd/conf.h"
#include "proxyd/status.h"
#include "proxyd/vault.h"

/* The client, as the kernel told when it connected. */
struct peer {
    pid_t pid;
    uid_t uid;
    gid_t gid;
    char program[512]; /* canonical executable; empty where it could not be read (a kernel thread) */
    bool
        same_program; /* it is the file that we see at that path (asked only where a service named it when the client came) */
    char selinux[256]; /* context; empty where there is none */
};

struct warm_pool;
struct context_table;
struct known_names;

/* What all calls share. */
struct engine {
    struct vault *vault;
    struct warm_pool *warm;
    struct context_table *contexts;
    struct known_names *known;
};

struct call {
    struct engine *engine;
    const struct conf *conf;
    const struct service *service;
    const struct peer *peer;
    int64_t now;              /* seconds since 1970 */
    struct gss_status status; /* the outcome; COMPLETE at the beginning */
    /* for the audit line */
    bool used_credential;
    uid_t acting_uid;
    char target[256]; /* whom the credential was used towards, printable */
};

static inline struct handle_scope
call_scope(const struct call *call)
{
    return (struct handle_scope){call->service, call->peer->uid};
}

#endif
