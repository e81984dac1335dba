/* gage/seal.h - messages that anybody may carry and one party opens, without I/O of its own beyond the keyring's file.
 *
 * Alice and Bob meet once, in any GSS-API context, and make a pairing (gage_pair_*). From then on Alice seals messages for Bob without
 * reaching him; whoever carries one learns an approximate length. Bob, opening it, knows that Alice made it, that it was meant for
 * him, when, by whom it was to come, and, if he asks, that he has not opened it before. doc/seal.md is the format to the byte.
 *
 *     pairing, on both sides:  gage_pair_start -> send token; receive -> gage_pair_finish -> gage_pair_store
 *     Alice:                   gage_sealer_new, _put ..., _end     or gage_seal       or gage_gss_seal
 *     Bob:                     gage_opener_new, _put ..., _end     or gage_unseal     or gage_gss_unseal
 *
 * Threads: one keyring may be used by any number of threads at once, and its file by any number of processes. A sealer, opener or pairing in
 * the making belongs to one thread at a time. Times are seconds since 1970-01-01T00:00:00Z. `err` is optional everywhere. The keyring
 * must outlive the openers made with it; a sealer needs it in gage_sealer_new alone. Among many thousand pairings a seal's is looked for by up to
 * four threads, three of them the library's own: they take no signals and have ended when the call returns.
 *
 * Output buffers (gage_buf): bytes are appended; the caller takes them and sets n to 0, or lets them add up. Room for
 * GAGE_SEAL_PIECE_MAX plus the input's length is always enough for one call. */
#ifndef GAGE_SEAL_H
#define GAGE_SEAL_H

#include <gssapi/gssapi.h>

#include <gage/bytes.h>
#include <gage/random.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GAGE_SEAL_HEADER_LEN 81     /* bytes of a seal before its first chunk */
#define GAGE_SEAL_PIECE_MAX 200000  /* bytes that one call appends at most beyond its input's length */
#define GAGE_SEAL_NAME_MAX 2048     /* bytes of an exported name (RFC 2743 section 3.2) */
#define GAGE_SEAL_ID_LEN 16         /* bytes that name a seal, or a pairing */
#define GAGE_SEAL_PROOF_LEN 76      /* bytes of a carrier's proof */
#define GAGE_SEAL_OCCASION_MAX 1024 /* bytes of what ties a proof to its occasion */
#define GAGE_PEER_ALIAS_MAX 64      /* bytes of an alias */
#define GAGE_NAME_TEXT_MAX 1100     /* bytes of a name's text with its NUL */
#define GAGE_PAIR_VALIDITY_DEFAULT (90 * INT64_C(86400)) /* seconds */
#define GAGE_PAIR_VALIDITY_MAX (3650 * INT64_C(86400))
#define GAGE_KEEP_MAX 52 /* weeks */

/* ---- the keyring ---- */

typedef struct gage_keyring gage_keyring;

/* Opens the keyring's file (and FILE.hints beside it), making it where `create` and there is none. GAGE_E_NOT_FOUND, also where the
 * file was emptied and not `create`: a new one would not know what was opened before; GAGE_E_REFUSED where
 * others may read or write it or put files beside it (SQLite would take a planted journal for the keyring's own), where it belongs to another
 * user, is a link, or has a second name; GAGE_E_FORMAT; GAGE_E_IO. *out is the caller's.
 * An attacker who reads the file opens the seals of the last weeks and all to come, and can make seals from every peer to its owner; one who
 * puts an older copy back makes `once` forget what came since. */
GAGE_API gage_rc gage_keyring_open(const char *path, bool create, gage_keyring **out, struct gage_err *err);
/* Lets go of the file and wipes what was read of it; openers made with it must be freed before, else an attacker's bytes work on freed memory.
 * NULL inside is fine. */
GAGE_API void gage_keyring_free(gage_keyring **keyring);

/* For how many weeks (0 to GAGE_KEEP_MAX; a new keyring: 4) seals made in the past are still opened. Stored in the keyring; applies
 * from now on: an erased key does not come back. The more weeks, the more an attacker who takes the keyring can read. */
GAGE_API gage_rc gage_keyring_set_keep(gage_keyring *keyring, unsigned weeks, struct gage_err *err);
GAGE_API gage_rc gage_keyring_keep(gage_keyring *keyring, unsigned *weeks, struct gage_err *err);

/* A pairing without its keys. What it points to is borrowed for the callback. */
struct gage_peer {
    const char *alias;
    const uint8_t *id;     /* GAGE_SEAL_ID_LEN bytes; the same on both sides, secret from others */
    gage_slice self, peer; /* exported names */
    int64_t made, until;   /* usable before `until` */
    int64_t last_use;      /* 0: never */
};
/* Walks the pairings by alias; a callback that returns false ends the walk. The callback must not use this gage_keyring; what others
 * change in the file meanwhile may be seen or not. An attacker who sees the rows knows whom the owner deals with and when, which his seals do not tell. */
GAGE_API gage_rc gage_keyring_list(gage_keyring *keyring, bool (*row)(void *context, const struct gage_peer *peer),
                                   void *context, struct gage_err *err);
/* Whether a pairing has this alias. GAGE_E_USAGE: it is not of the form that an alias has; ask before the peer is asked for anything. An attacker who can ask learns who is a peer. */
GAGE_API gage_rc gage_keyring_has(gage_keyring *keyring, const char *alias, bool *has, struct gage_err *err);
/* GAGE_E_NOT_FOUND; GAGE_E_EXISTS. An alias is 1 to GAGE_PEER_ALIAS_MAX bytes of printable UTF-8 without ':', not beginning with '-'. Removing and
 * expiring work on this side alone: the peer may go on sealing, and is not heard. Removing overwrites the keys in the file. An attacker who can rename
 * makes the owner seal to, and believe, the wrong peer: an alias is what people go by. */
GAGE_API gage_rc gage_keyring_rename(gage_keyring *keyring, const char *alias, const char *to, struct gage_err *err);
GAGE_API gage_rc gage_keyring_expire(gage_keyring *keyring, const char *alias, int64_t until, struct gage_err *err);
GAGE_API gage_rc gage_keyring_remove(gage_keyring *keyring, const char *alias, struct gage_err *err);
/* Steps every pairing's keys to now, erasing older ones: for a timer, since a pairing that is not used keeps old keys otherwise, and an
 * attacker who takes the keyring then reads further back. */
GAGE_API gage_rc gage_keyring_step(gage_keyring *keyring, int64_t now, struct gage_err *err);
/* The alias of the pairing with the party of this exported name that was made last and is not over; `alias` has room for
 * GAGE_PEER_ALIAS_MAX + 1. GAGE_E_NOT_FOUND. The bytes are compared whole: an attacker whose name merely looks alike is not found. */
GAGE_API gage_rc gage_keyring_find(gage_keyring *keyring, gage_slice exported, int64_t now, char *alias,
                                   struct gage_err *err);

/* ---- names ---- */

/* "krb5:alice@EXAMPLE.ORG" for an exported name, cut to fit; printable; for people, not for comparing. Of a mechanism that gage does not
 * know, "other:" and hexadecimal. An attacker who chooses his name makes two texts look alike, or be cut to the same; control characters
 * do not come through. */
GAGE_API void gage_name_text(gage_slice exported, char text[GAGE_NAME_TEXT_MAX]);
/* The exported name that "MECHANISM:NAME" stands for, appended. GAGE_E_USAGE: no mechanism named; GAGE_E_UNSUPPORTED: unknown, or one
 * whose names mean nothing by themselves; GAGE_E_GSS. Under krb5 a name without a realm gets the default one: who writes the machine's krb5.conf chooses
 * it. */
GAGE_API gage_rc gage_name_parse(const char *text, gage_buf *exported, struct gage_err *err);

/* ---- pairing ---- */

typedef struct gage_pairing gage_pairing;

/* Begins on an established context of any mechanism with mutual authentication, confidentiality and integrity (else GAGE_E_UNSUPPORTED;
 * GAGE_E_STATE where it is not established). `token` (borrowed until gage_pair_free) is to be sent to the peer, once. Both sides may send at
 * once. `validity`: seconds, at most GAGE_PAIR_VALIDITY_MAX; the lesser of both sides' counts. The context is not kept.
 * An attacker between the two can prevent the pairing and nothing else: what it changes, repeats or reflects is refused, as
 * far as the context's mechanism authenticates. The keys have forward secrecy from the context's. */
GAGE_API gage_rc gage_pair_start(gss_ctx_id_t context, int64_t validity, int64_t now, const struct gage_rng *rng,
                                 gage_pairing **out, gage_slice *token, struct gage_err *err);
/* The same where the tokens travel inside messages of this very context that are confidential and checked for sequence: a stream's data
 * (gage_stream_context), a transfer's calls (gage_transfer_context). They are not wrapped once more. Both sides begin in this way, or neither.
 * An attacker who can read or alter such messages has the context's keys; one to whom they are sent outside of it learns the offer and no key. */
GAGE_API gage_rc gage_pair_start_carried(gss_ctx_id_t context, int64_t validity, int64_t now,
                                         const struct gage_rng *rng, gage_pairing **out, gage_slice *token,
                                         struct gage_err *err);
/* A carried pairing in the making, or a finished one, as bytes from which another process goes on: at most GAGE_PAIR_RECORD_MAX, appended.
 * They hold its keys: who reads them has the pairing. GAGE_E_STATE for one that is neither. */
#define GAGE_PAIR_RECORD_MAX 6144
GAGE_API gage_rc gage_pair_save(const gage_pairing *pairing, gage_buf *record, struct gage_err *err);
/* `context`: the one it was begun on (imported again); GSS_C_NO_CONTEXT will do for a finished one. GAGE_E_FORMAT: not such bytes, or not of this
 * context. An attacker who writes the record, which has no authenticator of its own, chooses the keys and names: keep it where only its owner writes. */
GAGE_API gage_rc gage_pair_load(gss_ctx_id_t context, gage_slice record, gage_pairing **out, struct gage_err *err);
/* Takes the peer's token; only after that there is something to store. GAGE_E_AUTH, GAGE_E_USED, GAGE_E_FORMAT, GAGE_E_REFLECTED: see
 * doc/startgss.md; GAGE_E_MISMATCH: the two clocks differ by more than a week, or the two sides see different names. Each is final. An
 * attacker's token can make it fail, not make keys that he knows. */
GAGE_API gage_rc gage_pair_finish(gage_pairing *pairing, gss_ctx_id_t context, gage_slice peer_token, int64_t now,
                                  struct gage_err *err);
/* The parties' exported names; borrowed. Empty before gage_pair_finish succeeded. Look at the peer's before storing: whom the context
 * authenticated is whom you will believe for the life of the pairing. */
GAGE_API gage_slice gage_pair_self(const gage_pairing *pairing);
GAGE_API gage_slice gage_pair_peer(const gage_pairing *pairing);
/* Stores it, durably. GAGE_E_STATE before gage_pair_finish succeeded; GAGE_E_EXISTS where the alias is taken. Storing the same pairing under
 * the same alias again changes nothing, so that a process that was killed may repeat it. `_replace` takes a taken alias from the pairing that has it,
 * which is removed, its keys overwritten, in the same transaction: whoever can make a user replace a pairing puts himself in the peer's place, so it
 * is for a person who asked for it. */
GAGE_API gage_rc gage_pair_store(gage_pairing *pairing, gage_keyring *keyring, const char *alias, struct gage_err *err);
GAGE_API gage_rc gage_pair_replace(gage_pairing *pairing, gage_keyring *keyring, const char *alias,
                                   struct gage_err *err);
/* Wipes; NULL inside is fine. */
GAGE_API void gage_pair_free(gage_pairing **pairing);

/* ---- sealing ---- */

/* How a seal is made. Zeroed besides `to`: anybody may carry it. Borrowed for gage_sealer_new. */
struct gage_seal_options {
    const char *to; /* the recipient's alias */
    const char
        *via; /* the carrier's alias, or NULL. Named in the seal where its mechanism's names are global, else a key */
    bool via_key; /* a carrier key in any case: the carrier proves it by gage_carrier_prove */
    gage_slice
        via_name; /* or the carrier's exported name, where there is no pairing (mechanisms with global names only) */
    /* NULL: the system's. Two seals made with the same bytes of one pairing have the same key and tell both messages: for tests alone. */
    const struct gage_rng *rng;
};

typedef struct gage_sealer gage_sealer;
/* GAGE_E_NOT_FOUND: no such peer; GAGE_E_PAIRING_OVER; GAGE_E_CLOCK: the clock stands before the pairing's week; GAGE_E_UNSUPPORTED: a
 * carrier's name that means nothing by itself.
 * What an attacker learns of the seal: its length to within 12 %; not the parties, nor whether two seals have the same ones. */
GAGE_API gage_rc gage_sealer_new(gage_keyring *keyring, const struct gage_seal_options *options, int64_t now,
                                 gage_sealer **out, struct gage_err *err);
/* Takes the message in any pieces; an attacker sees when and how much is put out, chunk by chunk. GAGE_E_LIMIT where `sealed` is full, or beyond 2^32 chunks of 64 KiB: then the seal is broken. */
GAGE_API gage_rc gage_sealer_put(gage_sealer *sealer, gage_slice message, gage_buf *sealed, struct gage_err *err);
/* Ends it, one chunk a call: call it until *more is false (a long message's padding is long). A seal that lacks its end opens nowhere. */
GAGE_API gage_rc gage_sealer_end(gage_sealer *sealer, gage_buf *sealed, bool *more, struct gage_err *err);
/* Appends the grant for the carrier, itself a seal to her, where the seal holds a carrier key (else GAGE_E_STATE). Who opens the grant can
 * prove to be the carrier; it does not open the seal. */
GAGE_API gage_rc gage_sealer_grant(gage_sealer *sealer, gage_keyring *keyring, int64_t now, gage_buf *grant,
                                   struct gage_err *err);
/* Whether the seal holds a carrier key; and its id, GAGE_SEAL_ID_LEN bytes: nobody but the recipient sees
 * it in the seal; an attacker who is told it can tell which seal an opened message came in. */
GAGE_API bool gage_sealer_has_grant(const gage_sealer *sealer);
GAGE_API const uint8_t *gage_sealer_id(const gage_sealer *sealer);
GAGE_API void gage_sealer_free(gage_sealer **sealer);

/* All at once: appends the seal, and the grant where there is one (`grant` may be NULL: then GAGE_E_USAGE where there would be). On failure
 * nothing is appended. An attacker learns what he learns of gage_sealer_new's. */
GAGE_API gage_rc gage_seal(gage_keyring *keyring, const struct gage_seal_options *options, int64_t now,
                           gage_slice message, gage_buf *sealed, gage_buf *grant, struct gage_err *err);

/* ---- opening ---- */

/* What the recipient demands. Zeroed: nothing besides what every seal proves. Must outlive the opener. */
struct gage_unseal_options {
    const char *from;     /* the originator's alias */
    gage_slice from_name; /* or exported name */
    int64_t max_age;      /* seconds; 0: any */
    gage_slice deliverer; /* exported name of who brought it: must be the carrier the seal names (global names only) */
    gage_slice proof;     /* the carrier's proof, made for `occasion` */
    bool
        carrier_required; /* one of the two must be given and fit: an empty name or proof is refused (GAGE_E_CARRIER), not passed over */
    gage_slice occasion; /* see gage_carrier_occasion; empty: a proof that can be repeated by whoever gets hold of it */
    bool
        once; /* remember it and refuse it from now on; needs max_age. Noted at gage_opener_end, before the message's last
                            * bytes come out: a crash then loses it. Who puts it into a file uses gage_once_begin instead. */
};

enum gage_carrier { GAGE_CARRIER_ANYBODY, GAGE_CARRIER_NAMED, GAGE_CARRIER_KEY };

/* What the seal proves. Borrowed from the opener. */
struct gage_seal_info {
    const char *alias;                /* the pairing's, in our keyring */
    gage_slice originator, recipient; /* exported names */
    int64_t time;                     /* when it was sealed, by the originator's clock */
    uint8_t id[GAGE_SEAL_ID_LEN];
    enum gage_carrier carrier;
    gage_slice carrier_name; /* GAGE_CARRIER_NAMED */
    bool carrier_checked;    /* a deliverer or proof was given and fits */
    bool occasion_bound;     /* and the proof is for a given occasion */
};

typedef struct gage_opener gage_opener;
/* Looks at no seal yet. GAGE_E_USAGE: demands that contradict each other (`once` without max_age, a carrier by name and by proof). What is not demanded
 * here an attacker may choose: the age, the carrier, which of the peers sealed it, and how often it comes. */
GAGE_API gage_rc gage_opener_new(gage_keyring *keyring, const struct gage_unseal_options *options, int64_t now,
                                 gage_opener **out, struct gage_err *err);
/* Takes the seal in any pieces; appends what has verified. NOTHING of that may be relied on before gage_opener_end succeeded, unless the
 * use can bear a message whose end is missing: until then an attacker may still cut it. Everything demanded is checked before the first byte
 * comes out. Failures, each final:
 *   GAGE_E_FORMAT, GAGE_E_UNSUPPORTED  not a seal, or of a newer version
 *   GAGE_E_NOT_OURS   not for us, or its key is erased, or a bit of its header was changed
 *   GAGE_E_AUTH       damaged, cut, put together from several, or made by a faulty program
 *   GAGE_E_EXPIRED    older than max_age
 *   GAGE_E_PAIRING_OVER
 *   GAGE_E_FUTURE     dated more than 300 s ahead of our clock
 *   GAGE_E_CLOCK      our clock was set back (once)
 *   GAGE_E_ORIGINATOR, GAGE_E_CARRIER  another than demanded, or a bad proof
 *   GAGE_E_CRAFTED    made to fit two pairings
 *   GAGE_E_USED, GAGE_E_FORGOTTEN  opened before, or that cannot be told any more (once) */
GAGE_API gage_rc gage_opener_put(gage_opener *opener, gage_slice sealed, gage_buf *message, struct gage_err *err);
/* Tells the time again, before pieces that may have come late and before the end: whoever delivers a seal slowly could otherwise make an old one
 * pass as young as it was when its beginning came. GAGE_E_EXPIRED, GAGE_E_FUTURE: final. */
GAGE_API gage_rc gage_opener_now(gage_opener *opener, int64_t now, struct gage_err *err);
/* The end has come: only this success says that the message is whole. GAGE_E_AUTH: an attacker cut it; else as gage_opener_put. */
GAGE_API gage_rc gage_opener_end(gage_opener *opener, gage_buf *message, struct gage_err *err);
/* NULL until the first chunk has verified, and after a failure. Before gage_opener_end an attacker may still cut what these names sealed. */
GAGE_API const struct gage_seal_info *gage_opener_info(const gage_opener *opener);
GAGE_API void gage_opener_free(gage_opener **opener);

/* All at once; on failure nothing is appended. *opener (may be NULL) receives the opener, whose info remains to be read.
 * An attacker who delivers it chooses its length: up to that many bytes of memory are taken. */
GAGE_API gage_rc gage_unseal(gage_keyring *keyring, const struct gage_unseal_options *options, int64_t now,
                             gage_slice sealed, gage_buf *message, gage_opener **opener, struct gage_err *err);

/* ---- each seal once, into files ---- */

/* The order that survives a crash at every point: the verified message in a temporary file, synced; gage_once_begin; rename; sync of the folder;
 * gage_once_end. At the next start gage_once_pending finishes what a crash left between them. */

/* Durably notes that the seal is opened and its file on the way (absolute paths, else GAGE_E_USAGE). GAGE_E_USED: opened before; GAGE_E_FORGOTTEN: it may have been, under a
 * shorter max_age, and that has been forgotten; GAGE_E_CLOCK: our clock stands more than an hour before the latest seal opened so. Two copies of a keyring do not see each other's notes.
 * An attacker who can put back an older keyring opens it again; one who can only kill, at any moment, cannot. */
GAGE_API gage_rc gage_once_begin(gage_keyring *keyring, const struct gage_seal_info *info, int64_t max_age, int64_t now,
                                 const char *temporary, const char *target, struct gage_err *err);
/* Durably: the file is in place. Called before the move is on the disk, a power cut that an attacker can cause loses the message. */
GAGE_API gage_rc gage_once_end(gage_keyring *keyring, const struct gage_seal_info *info, struct gage_err *err);
/* Walks what is on the way. The callback finishes the move (a temporary file that is gone has been moved), syncs the folder in either case, and
 * returns true; false leaves it.
 * The callback must not use the keyring. It holds the keyring's write lock: one that waits for an attacker holds up every other process. */
GAGE_API gage_rc gage_once_pending(gage_keyring *keyring,
                                   bool (*finish)(void *context, const char *temporary, const char *target),
                                   void *context, struct gage_err *err);

/* ---- the carrier ---- */

/* From an opened grant (the message of the seal that gage_sealer_grant made), the proof for one occasion, GAGE_SEAL_PROOF_LEN bytes appended.
 * GAGE_E_FORMAT: not a grant. Whoever holds the grant can make proofs: it is as secret as a key. */
GAGE_API gage_rc gage_carrier_prove(gage_slice grant, gage_slice occasion, gage_buf *proof, struct gage_err *err);
/* What a context says of the occasion: the same 32 bytes on both sides, appended (gss_pseudo_random). With it, a proof overheard is of no use to an attacker
 * or anybody else. GAGE_E_UNSUPPORTED where the mechanism has no PRF: then the recipient chooses random bytes. */
GAGE_API gage_rc gage_carrier_occasion(gss_ctx_id_t context, gage_buf *occasion, struct gage_err *err);

/* ---- in the GSS-API's style (RFC 2744) ---- */

/* Major status as the GSS-API has them; *minor is the enum gage_code (text: gage_code_text). Buffers returned are released by gss_release_buffer,
 * names by gss_release_name; outputs may be NULL where marked. Names are given in any form that gss_canonicalize_name takes for a mechanism of a
 * pairing, best as a mechanism name of the context that made it. Failures:
 *   GSS_S_BAD_NAME          no pairing with that party, or a name without meaning
 *   GSS_S_NO_CRED           no pairing fits this seal
 *   GSS_S_CREDENTIALS_EXPIRED  the pairing is over
 *   GSS_S_OLD_TOKEN         older than max_age
 *   GSS_S_GAP_TOKEN         dated ahead of our clock, or our clock set back
 *   GSS_S_DUPLICATE_TOKEN   opened before
 *   GSS_S_BAD_SIG           damaged or forged
 *   GSS_S_UNAUTHORIZED      wrong originator or carrier, or crafted
 *   GSS_S_DEFECTIVE_TOKEN   not a seal
 *   GSS_S_FAILURE           anything else
 * Messages are whole, in memory, as everywhere in the GSS-API. A program that streams takes gage_sealer_* and gage_opener_* with the same names: exported
 * (gss_export_name) they are what gage_keyring_find, via_name, from_name and deliverer take, and what gage_seal_info gives. */

/* Both tokens of a pairing in two calls: first with `peer_token` NULL (gives `token`), then with the peer's (stores under the alias, and
 * releases the state). *state begins as NULL; a failed second call releases it too. An attacker
 * between the two can make it fail, no more (gage_pair_start). It believes whoever the context authenticated: look at the name before. */
GAGE_API OM_uint32 gage_gss_pair(OM_uint32 *minor, gage_pairing **state, gss_ctx_id_t context, gage_keyring *keyring,
                                 const char *alias, OM_uint32 validity, gss_buffer_t peer_token, gss_buffer_t token);
/* `carrier` GSS_C_NO_NAME: anybody. `grant` receives the carrier's grant where her mechanism's names are not global (she must be paired). An
 * attacker who makes the program take his name for the recipient's reads the message: compare names, not their texts. */
GAGE_API OM_uint32 gage_gss_seal(OM_uint32 *minor, gage_keyring *keyring, gss_name_t recipient, gss_name_t carrier,
                                 gss_buffer_t message, gss_buffer_t sealed, gss_buffer_t grant);
#define GAGE_GSS_ONCE 1            /* request: refuse what was opened before */
#define GAGE_GSS_CARRIER_CHECKED 2 /* granted: the deliverer or the proof fits */
/* `deliverer` GSS_C_NO_NAME and `proof` NULL: the carrier is not checked; an empty proof is refused. `context`: the deliverer's context, to which the proof is bound;
 * GSS_C_NO_CONTEXT: bound to nothing, and an attacker who overheard the proof repeats it. max_age 0: any, and without GAGE_GSS_ONCE
 * an attacker delivers it as often as he likes. ONCE is noted before the message is handed out: a crash between loses it. Everything after `sealed` may be NULL. */
GAGE_API OM_uint32 gage_gss_unseal(OM_uint32 *minor, gage_keyring *keyring, OM_uint32 request, OM_uint32 max_age,
                                   gss_name_t deliverer, gss_buffer_t proof, gss_ctx_id_t context, gss_buffer_t sealed,
                                   gss_buffer_t message, gss_name_t *originator, gss_name_t *carrier,
                                   int64_t *sealed_at, OM_uint32 *granted);

#ifdef __cplusplus
}
#endif
#endif
