/* gage pair: two people meet once, and can seal for each other from then on. */
#include <stddef.h>
#include <stdio.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/seal/meet.h"
#include "cli/seal/pair_link.h"
#include "cli/seal/ring_file.h"
#include "cli/terminal.h"
#include "cli/tunnel/options.h"

#define TIMEOUT_S 30
#define STORED SLICE_LITERAL("gage-pair-1 stored")

struct pair_options {
    const char *listen, *as, *mech, *secret_file, *target, *keyring;
    struct opt_list allow;
    int64_t validity, timeout;
    bool link, accept, replace;
    struct pair_link_options by_link;
};

/* ---- what was asked for ---- */

enum way { WAY_CONNECT, WAY_LISTEN, WAY_LINK, WAY_ACCEPT };

static gage_rc
choose_way(const struct pair_options *o, const struct operands *operands, enum way *way, struct gage_err *err)
{
    int said = (o->listen != NULL) + o->link + o->accept;
    *way = o->link ? WAY_LINK : o->accept ? WAY_ACCEPT : o->listen != NULL ? WAY_LISTEN : WAY_CONNECT;
    bool fits = *way == WAY_ACCEPT || (*way == WAY_CONNECT) == (operands->n == 1);
    REQUIRE(said <= 1 && fits, err, GAGE_E_USAGE,
            "where is the peer? gage pair --link on one side and --accept on the other; or HOST:PORT on one side and "
            "--listen ADDRESS on the other");
    return GAGE_DONE;
}

static gage_rc
check(const struct pair_options *o, enum way way, struct gage_err *err)
{
    bool linked = way == WAY_LINK || way == WAY_ACCEPT;
    const struct pair_link_options *l = &o->by_link;
    REQUIRE(o->as != NULL, err, GAGE_E_USAGE, "how will you call the peer? --as ALIAS");
    REQUIRE(o->validity <= GAGE_PAIR_VALIDITY_MAX, err, GAGE_E_USAGE, "a pairing lasts ten years at most");
    REQUIRE(!linked || (o->mech == NULL && o->secret_file == NULL && o->target == NULL && o->allow.n == 0), err,
            GAGE_E_USAGE,
            "a link is its own credential: --mech, --secret-file, --target and --allow are for connections");
    REQUIRE(way == WAY_LINK || (l->relay == NULL && l->invite == NULL && l->qr_png == NULL && l->expires == 0 &&
                                !l->qr && !l->uri && !l->detach && !l->verify),
            err, GAGE_E_USAGE,
            "--relay, --invite, --qr, --qr-png, --uri, --expires, --detach and --verify are for --link");
    return GAGE_DONE;
}

/* Before the peer is asked for anything: nothing is worse than half a pairing. */
static gage_rc
check_alias_free(const struct pair_options *o, gage_keyring *keyring, struct gage_err *err)
{
    bool taken;
    TRY(gage_keyring_has(keyring, o->as, &taken, err));
    REQUIRE(!taken || o->replace, err, GAGE_E_EXISTS,
            "there is a peer %s already: choose another --as, or --replace that pairing by the new one", o->as);
    return GAGE_DONE;
}

/* ---- over a connection ---- */

typedef gage_pairing *pairing_ptr;
GAGE_AUTO_DEFINE(pairing_ptr, gage_pair_free)

/* Each side says that it has stored, so that both know. */
static gage_rc
tell_stored(struct meet *meet, struct gage_err *err)
{
    AUTO(gage_buf) word = GAGE_BUF(MEET_FRAME_MAX);
    gage_rc rc = meet_send(meet, STORED, err);
    if (gage_ok(rc))
        rc = meet_receive(meet, &word, err);
    REQUIRE(gage_ok(rc) && slice_equal(gage_buf_slice(&word), STORED), err, GAGE_E_UNKNOWN_OUTCOME,
            "stored here, but the peer did not say that it stored it too: if it did not, pair again, here with "
            "--replace");
    return GAGE_DONE;
}

static gage_rc
exchange(const struct pair_options *o, struct meet *meet, gage_keyring *keyring, struct gage_err *err)
{
    char shown[GAGE_NAME_TEXT_MAX];
    gage_slice token;
    AUTO(pairing_ptr) pairing = NULL;
    AUTO(gage_buf) frame = GAGE_BUF(MEET_FRAME_MAX);
    gss_ctx_id_t context = gage_stream_context(meet->stream);
    bool first =
        gage_stream_peer(meet->stream)->initiator; /* the acceptor's comes second: by then it knows that all fits */
    TRY(gage_pair_start_carried(context, o->validity > 0 ? o->validity : GAGE_PAIR_VALIDITY_DEFAULT, clock_now(), NULL,
                                &pairing, &token, err));
    if (first)
        TRY(meet_send(meet, token, err));
    TRY(meet_receive(meet, &frame, err));
    TRY(gage_pair_finish(pairing, context, gage_buf_slice(&frame), clock_now(), err));
    if (!first)
        TRY(meet_send(meet, token, err));
    gage_name_text(gage_pair_peer(pairing), shown);
    TRY(o->replace ? gage_pair_replace(pairing, keyring, o->as, err) : gage_pair_store(pairing, keyring, o->as, err));
    TRY(tell_stored(meet, err));
    printf("paired with %s as %s\n", shown, o->as);
    return GAGE_DONE;
}

typedef struct tunnel_setup tunnel_setup_t;
GAGE_AUTO_DEFINE(tunnel_setup_t, tunnel_setup_cleanup)

static gage_rc
over_connection(const struct pair_options *o, const struct operands *operands, gage_keyring *keyring,
                struct gage_err *err)
{
    char host[256] = "";
    bool listening = o->listen != NULL;
    AUTO(tunnel_setup_t) setup = {.target = GSS_C_NO_NAME};
    AUTO(meet_t) meet = MEET_CLOSED;
    struct tunnel_options options = {
        .mech = o->mech, .secret_file = o->secret_file, .target = o->target, .allow = o->allow};
    int64_t limit = o->timeout > 0 ? o->timeout : TIMEOUT_S;
    options.mech = o->mech == NULL ? (o->secret_file != NULL ? "otc" : "krb5") : o->mech;
    options.handshake_timeout = limit;
    if (listening) { /* a keytab or file that is missing is said before anybody comes */
        TRY(tunnel_setup_make(&options, host, GAGE_STREAM_ACCEPTOR, &setup, err));
        TRY(meet_accept(o->listen, &meet.fd, err));
    } else {
        TRY(meet_connect(operands->text[0], host, &meet.fd, err));
        TRY(tunnel_setup_make(&options, host, GAGE_STREAM_INITIATOR, &setup, err));
    }
    setup.config.keep_context = true;
    meet.deadline_ns = clock_monotonic_ns() + limit * (int64_t)1000000000;
    TRY(meet_protect(&meet, &setup.config, err));
    return exchange(o, &meet, keyring, err);
}

static gage_rc
run_pair(const void *given, const struct operands *operands, struct gage_err *err)
{
    const struct pair_options *o = given;
    const struct pair_plan plan = {o->as, o->keyring, o->validity, o->replace};
    enum way way;
    AUTO(keyring_ptr) keyring = NULL;
    TRY(choose_way(o, operands, &way, err));
    TRY(check(o, way, err));
    TRY(ring_open(o->keyring, true, &keyring, err));
    TRY(check_alias_free(o, keyring, err));
    if (way == WAY_CONNECT || way == WAY_LISTEN)
        return over_connection(o, operands, keyring, err);
    gage_keyring_free(&keyring); /* not held while a peer is waited for, for days perhaps */
    return way == WAY_LINK ? pair_link_make(&o->by_link, &plan, err)
                           : pair_link_take(&o->by_link, &plan, operands, err);
}

#define OPT(name, value, help, kind, member)                                                                           \
    {                                                                                                                  \
        name, value, help, kind, offsetof(struct pair_options, member)                                                 \
    }
static const struct opt options[] = {
    OPT("as", "ALIAS", "how you call the peer from now on", OPT_TEXT, as),
    OPT("link", NULL, "make a link at a relay, for the peer to accept", OPT_FLAG, link),
    OPT("accept", NULL, "the peer made a link: ask for it, or read it from - or a file", OPT_FLAG, accept),
    OPT("listen", "ADDRESS", "wait for the peer there: PORT, HOST:PORT or unix:PATH", OPT_TEXT, listen),
    OPT("mech", "MECH", "over a connection: krb5 (default), or otc with --secret-file", OPT_TEXT, mech),
    OPT("secret-file", "FILE", "one side of a pair made by gage secret", OPT_TEXT, secret_file),
    OPT("target", "NAME", "whom to address when connecting: service@host (default: gage@HOST)", OPT_TEXT, target),
    OPT("allow", "NAME", "a peer that is welcome, MECH:NAME or a pattern; may be repeated", OPT_LIST, allow),
    OPT("validity", "TIME", "how long the pairing lasts (default: 90d; the shorter of both sides')", OPT_DURATION,
        validity),
    OPT("replace", NULL, "put the new pairing in the place of the peer who has this alias now", OPT_FLAG, replace),
    OPT("timeout", "TIME", "for the exchange, once connected (default: 30s)", OPT_DURATION, timeout),
    OPT("relay", "URL", "--link: the relay to use; default: the configured one", OPT_TEXT, by_link.relay),
    OPT("expires", "TIME", "--link: how long it can be accepted, such as 30m, 24h or 7d; default: 24h", OPT_DURATION,
        by_link.expires),
    OPT("invite", "FILE", "--link: write the invitation to this file instead of printing the link", OPT_TEXT,
        by_link.invite),
    OPT("uri", NULL, "--link: print a gage: URI, which no browser opens", OPT_FLAG, by_link.uri),
    OPT("qr", NULL, "--link: print the invitation as a QR code too", OPT_FLAG, by_link.qr),
    OPT("qr-png", "FILE", "--link: write the QR code to this file, as PNG", OPT_TEXT, by_link.qr_png),
    OPT("detach", NULL, "--link: end once the invitation is handed over; gage resume goes on", OPT_FLAG,
        by_link.detach),
    OPT("verify", NULL, "--link: no pairing before both people have compared six digits", OPT_FLAG, by_link.verify),
    OPT("yes", NULL, "--accept: without asking; digits and contradictions are asked about all the same", OPT_FLAG,
        by_link.yes),
    OPT("json", NULL, "--link, --accept: print JSON, one object a line, and ask nothing", OPT_FLAG, by_link.json),
    OPT("relay-pin", "PIN", "trust the relay by its public key, sha256//BASE64, whatever its certificate says",
        OPT_TEXT, by_link.relay_options.pin),
    OPT("relay-ca", "FILE", "PEM file of the authorities that may vouch for the relay, instead of the system's",
        OPT_TEXT, by_link.relay_options.ca_file),
    OPT("config", "FILE", "read this configuration file only", OPT_TEXT, by_link.relay_options.config),
    OPT("keyring", "FILE", RING_HELP, OPT_TEXT, keyring),
    OPT_END,
};

const struct command command_pair = {
    .name = "pair",
    .operands = "[HOST:PORT|unix:PATH|-|INVITATION-FILE]",
    .min_operands = 0,
    .max_operands = 1,
    .summary = "meet a peer once, to seal for each other from then on",
    .explanation = "Meets the peer once and stores a pairing on both sides: by a link at a relay (--link, --accept), "
                   "or over a connection (STARTGSS) authenticated by Kerberos or by a pair of secret files (gage "
                   "secret).",
    .options = options,
    .options_size = sizeof(struct pair_options),
    .run = run_pair,
};
