/* gage pair: two people meet once, and can seal for each other from then on. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "app/mechs.h"
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/seal/meet.h"
#include "cli/seal/ring_file.h"
#include "cli/terminal.h"
#include "cli/tunnel/allow.h"

#define TIMEOUT_S 30
#define STORED SLICE_LITERAL("gage-pair-1 stored")

struct pair_options {
    const char *listen, *as, *mech, *secret_file, *target, *keyring;
    struct opt_list allow;
    int64_t validity, timeout;
};

static gage_rc
check(const struct pair_options *o, const struct operands *operands, struct gage_err *err)
{
    bool otc = o->secret_file != NULL;
    REQUIRE((o->listen != NULL) != (operands->n == 1), err, GAGE_E_USAGE,
            "where is the peer? gage pair HOST:PORT on one side, gage pair --listen ADDRESS on the other");
    REQUIRE(o->as != NULL, err, GAGE_E_USAGE, "how will you call the peer? --as ALIAS");
    REQUIRE(o->mech == NULL || strcmp(o->mech, otc ? "otc" : "krb5") == 0, err, GAGE_E_USAGE,
            otc ? "--secret-file is for --mech otc" : "--mech takes krb5, or otc with --secret-file");
    REQUIRE(otc || o->listen == NULL || o->allow.n > 0, err, GAGE_E_USAGE,
            "say whom you expect: --allow alice@REALM (everybody with a ticket could come)");
    REQUIRE(o->validity <= GAGE_PAIR_VALIDITY_MAX, err, GAGE_E_USAGE, "a pairing lasts ten years at most");
    return GAGE_DONE;
}

static gage_rc
begin(const struct pair_options *o, const char *host, handshake_ptr *out, struct gage_err *err)
{
    char target[300];
    struct handshake_spec spec = {.initiate = o->listen == NULL, .secret_file = o->secret_file};
    snprintf(target, sizeof target, "gage@%s", host[0] != '\0' ? host : "localhost");
    spec.target = o->target != NULL ? o->target : target;
    TRY(mechanism_find(o->secret_file != NULL ? "otc" : "krb5", &spec.mechanism, err));
    if (spec.mechanism->link_secret)
        spec.target = NULL;
    return handshake_start(&spec, out, err);
}

/* Who it is, before anything is stored. */
static gage_rc
authorise(const struct pair_options *o, gage_slice exported, const struct mechanism *mechanism, char *shown,
          struct gage_err *err)
{
    gage_name_text(exported, shown);
    const char *colon = strchr(shown, ':');
    const struct gage_stream_peer peer = {
        .name = colon != NULL ? colon + 1 : shown, .exported = exported, .mech = mechanism_oid(mechanism)};
    REQUIRE(allow_matches(&o->allow, &peer), err, GAGE_E_REFUSED,
            "%.150s is not among the names allowed here (--allow)", shown);
    return GAGE_DONE;
}

static bool
compare_alias(void *context, const struct gage_peer *peer)
{
    const char **alias = context;
    if (strcmp(*alias, peer->alias) != 0)
        return true;
    *alias = NULL;
    return false;
}

/* Before the peer is asked for anything: nothing is worse than half a pairing. */
static gage_rc
check_alias_free(gage_keyring *keyring, const char *alias, struct gage_err *err)
{
    const char *left = alias;
    TRY(gage_keyring_list(keyring, compare_alias, &left, err));
    REQUIRE(left != NULL, err, GAGE_E_EXISTS, "there is a peer %s already: choose another --as, or gage peers --remove",
            alias);
    return GAGE_DONE;
}

typedef gage_pairing *pairing_ptr;
GAGE_AUTO_DEFINE(pairing_ptr, gage_pair_free)

/* Each side says that it has stored, so that both know. */
static gage_rc
tell_stored(const struct meet *meet, struct handshake *handshake, gage_buf *frame, struct gage_err *err)
{
    AUTO(gage_buf) word = GAGE_BUF(256);
    buf_reset(frame);
    TRY(handshake_wrap(handshake, STORED, frame, err));
    TRY(meet_send(meet, gage_buf_slice(frame), err));
    gage_rc rc = meet_receive(meet, frame, err);
    if (gage_ok(rc))
        rc = handshake_unwrap(handshake, gage_buf_slice(frame), &word, err);
    REQUIRE(gage_ok(rc) && slice_equal(gage_buf_slice(&word), STORED), err, GAGE_E_UNKNOWN_OUTCOME,
            "stored here, but the peer did not say that it stored it too: ask; if it did not, gage peers --remove, and "
            "pair again");
    return GAGE_DONE;
}

static gage_rc
exchange(const struct pair_options *o, const struct meet *meet, struct handshake *handshake, gage_keyring *keyring,
         struct gage_err *err)
{
    char shown[GAGE_NAME_TEXT_MAX];
    gage_slice token;
    AUTO(pairing_ptr) pairing = NULL;
    AUTO(gage_buf) frame = GAGE_BUF(MEET_FRAME_MAX);
    gss_ctx_id_t context = *handshake_gss_context(handshake);
    TRY(gage_pair_start(context, o->validity > 0 ? o->validity : GAGE_PAIR_VALIDITY_DEFAULT, clock_now(), NULL,
                        &pairing, &token, err));
    if (!handshake->initiate) { /* the initiator's comes first: it may be refused before ours is out */
        TRY(meet_receive(meet, &frame, err));
        TRY(gage_pair_finish(pairing, context, gage_buf_slice(&frame), clock_now(), err));
        TRY(authorise(o, gage_pair_peer(pairing), handshake->mechanism, shown, err));
        TRY(meet_send(meet, token, err));
    } else {
        TRY(meet_send(meet, token, err));
        TRY(meet_receive(meet, &frame, err));
        TRY(gage_pair_finish(pairing, context, gage_buf_slice(&frame), clock_now(), err));
        TRY(authorise(o, gage_pair_peer(pairing), handshake->mechanism, shown, err));
    }
    TRY(gage_pair_store(pairing, keyring, o->as, err));
    TRY(tell_stored(meet, handshake, &frame, err));
    printf("paired with %s as %s\n", shown, o->as);
    return GAGE_DONE;
}

static gage_rc
run_pair(const void *given, const struct operands *operands, struct gage_err *err)
{
    const struct pair_options *o = given;
    char host[256] = "";
    AUTO(keyring_ptr) keyring = NULL;
    AUTO(handshake_ptr) handshake = NULL;
    AUTO(gage_fd) fd = -1;
    TRY(check(o, operands, err));
    gage_rc found = mechs_find(err);
    if (o->secret_file != NULL)
        TRY(found);
    TRY(ring_open(o->keyring, true, &keyring, err));
    TRY(check_alias_free(keyring, o->as, err));
    if (o->listen != NULL)
        TRY(meet_accept(o->listen, &fd, err));
    else
        TRY(meet_connect(operands->text[0], host, &fd, err));
    const struct meet meet = {fd,
                              clock_monotonic_ns() + (o->timeout > 0 ? o->timeout : TIMEOUT_S) * (int64_t)1000000000};
    TRY(begin(o, host, &handshake, err));
    TRY(meet_context(&meet, handshake, err));
    return exchange(o, &meet, handshake, keyring, err);
}

#define OPT(name, value, help, kind, member)                                                                           \
    {                                                                                                                  \
        name, value, help, kind, offsetof(struct pair_options, member)                                                 \
    }
static const struct opt options[] = {
    OPT("as", "ALIAS", "how you call the peer from now on", OPT_TEXT, as),
    OPT("listen", "ADDRESS", "wait for the peer there: PORT, HOST:PORT or unix:PATH", OPT_TEXT, listen),
    OPT("mech", "MECH", "krb5 (default), or otc with --secret-file", OPT_TEXT, mech),
    OPT("secret-file", "FILE", "one side of a pair made by gage secret", OPT_TEXT, secret_file),
    OPT("target", "NAME", "whom to address when connecting: service@host (default: gage@HOST)", OPT_TEXT, target),
    OPT("allow", "NAME", "a peer that is welcome, MECH:NAME or a pattern; may be repeated", OPT_LIST, allow),
    OPT("validity", "TIME", "how long the pairing lasts (default: 90d; the shorter of both sides')", OPT_DURATION,
        validity),
    OPT("timeout", "TIME", "for the exchange, once connected (default: 30s)", OPT_DURATION, timeout),
    OPT("keyring", "FILE", RING_HELP, OPT_TEXT, keyring),
    OPT_END,
};

const struct command command_pair = {
    .name = "pair",
    .operands = "[HOST:PORT|unix:PATH]",
    .min_operands = 0,
    .max_operands = 1,
    .summary = "meet a peer once, to seal for each other from then on",
    .explanation = "Meets the peer over a connection, authenticated by Kerberos or by a pair of secret files (gage "
                   "secret), and stores a pairing on both sides.",
    .options = options,
    .options_size = sizeof(struct pair_options),
    .run = run_pair,
};
