/* options.h - the options that connect, listen and forward share, and what the stream makes of them. */
#ifndef GAGE_CLI_TUNNEL_OPTIONS_H
#define GAGE_CLI_TUNNEL_OPTIONS_H

#include <stddef.h>

#include <gage/stream.h>

#include "cli/args.h"
#include "handshake/gss.h"

struct tunnel_options {
    const char *mech, *secret_file, *target, *policy, *role, *records, *exec, *to, *protect, *metrics;
    struct opt_list allow;
    bool passive, allow_self, outlive;
    int64_t handshake_timeout, connect_timeout, idle_timeout, look_timeout, drain_timeout, max_connections,
        max_handshakes;
};

/* Rows for a command's table over a struct tunnel_options. */
#define TUNNEL_OPT(name, value, help, kind, member)                                                                    \
    {                                                                                                                  \
        name, value, help, kind, offsetof(struct tunnel_options, member)                                               \
    }
#define TUNNEL_OPTIONS                                                                                                 \
    TUNNEL_OPT("mech", "MECH", "krb5, otc, or any (default: any; otc needs --secret-file)", OPT_TEXT, mech),           \
        TUNNEL_OPT("secret-file", "FILE", "one side of a pair made by gage secret", OPT_TEXT, secret_file),            \
        TUNNEL_OPT("target", "NAME", "whom to address as initiator: service@host (default: gage@HOST)", OPT_TEXT,      \
                   target),                                                                                            \
        TUNNEL_OPT("allow", "NAME", "a peer that is welcome, MECH:NAME or a pattern; may be repeated", OPT_LIST,       \
                   allow),                                                                                             \
        TUNNEL_OPT("allow-self", NULL, "a peer of our own name is welcome", OPT_FLAG, allow_self),                     \
        TUNNEL_OPT("policy", "POLICY", "require (default), prefer or plain: without protection", OPT_TEXT, policy),    \
        TUNNEL_OPT("role", "ROLE", "initiator, acceptor or any", OPT_TEXT, role),                                      \
        TUNNEL_OPT("records", "KIND", "aead, wrap, any (default) or bare", OPT_TEXT, records),                         \
        TUNNEL_OPT("passive", NULL, "look at the peer's first bytes before speaking", OPT_FLAG, passive),              \
        TUNNEL_OPT("look-timeout", "TIME", "how long to look (default: 3s)", OPT_DURATION, look_timeout),              \
        TUNNEL_OPT("outlive", NULL, "go on after the security context has expired", OPT_FLAG, outlive),                \
        TUNNEL_OPT("handshake-timeout", "TIME", "for line and handshake (default: 30s)", OPT_DURATION,                 \
                   handshake_timeout),                                                                                 \
        TUNNEL_OPT("connect-timeout", "TIME", "for each connection that we make (default: 30s)", OPT_DURATION,         \
                   connect_timeout),                                                                                   \
        TUNNEL_OPT("idle-timeout", "TIME", "end a connection on which nothing moves (default: never)", OPT_DURATION,   \
                   idle_timeout)
#define TUNNEL_SERVER_OPTIONS                                                                                          \
    TUNNEL_OPT("max-connections", "N", "at once (default: 1024)", OPT_NUMBER, max_connections),                        \
        TUNNEL_OPT("max-handshakes", "N",                                                                              \
                   "unauthenticated ones of one source address (IPv6: /64) at once (default: 256)", OPT_NUMBER,        \
                   max_handshakes),                                                                                    \
        TUNNEL_OPT("drain-timeout", "TIME", "for open connections after SIGTERM (default: 10s)", OPT_DURATION,         \
                   drain_timeout),                                                                                     \
        TUNNEL_OPT("metrics", "ADDRESS", "serve Prometheus metrics there", OPT_TEXT, metrics)

/* What the options mean to a stream. Holds the credentials and names that `config` borrows. */
struct tunnel_setup {
    struct gage_stream_config config;
    gss_cred_id_t initiate_with, accept_with;
    gss_name_t target;
    struct tickets *tickets;
};

/* `host` is whom we connect to ("" if we do not), for the default target. `fallback_role` holds unless --role says otherwise. Finds the
 * mechanism, reads secret files and keytabs: failures here are what a person must mend before any connection. */
gage_rc tunnel_setup_make(const struct tunnel_options *options, const char *host, enum gage_stream_role fallback_role,
                          struct tunnel_setup *setup, struct gage_err *err);
void tunnel_setup_cleanup(struct tunnel_setup *setup);

#endif
