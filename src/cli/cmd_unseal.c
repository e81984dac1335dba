/* gage unseal: opens seals, says what they prove, and puts the message in place whole or not at all. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/encode.h"
#include "cli/commands.h"
#include "cli/seal/armor.h"
#include "cli/seal/files.h"
#include "cli/seal/party.h"
#include "cli/seal/place.h"
#include "cli/seal/pump.h"
#include "cli/seal/ring_file.h"
#include "cli/terminal.h"

#define GRANT_MAX ((size_t)1 << 20) /* of the message that a proof is made of: more is no grant */
#define SUFFIX ".seal"

struct unseal_options {
    const char *from, *via, *carrier_proof, *occasion, *prove, *output, *keyring;
    int64_t max_age;
    bool once, stream, force;
};

struct run {
    const struct unseal_options *options;
    gage_keyring *keyring;
    struct gage_unseal_options unseal;
    gage_buf from, via, proof, occasion, sealed, message;
    bool into_folder;
    struct pump pump;
};

/* One seal on its way. */
struct opening {
    gage_opener *opener;
    struct place place;
    struct armor_reader armor;
    char target[PATH_MAX]; /* "": standard output */
    bool looked, armored, told;
};

static void
opening_cleanup(struct opening *o)
{
    gage_opener_free(&o->opener);
    place_drop(&o->place);
}
typedef struct opening opening_t;
GAGE_AUTO_DEFINE(opening_t, opening_cleanup)

/* ---- what it proves ---- */

static void
tell(struct opening *o, const char *file)
{
    char from[GAGE_NAME_TEXT_MAX], carrier[GAGE_NAME_TEXT_MAX] = "", when[RFC3339_LEN + 1];
    const struct gage_seal_info *info = gage_opener_info(o->opener);
    FILE *to = o->target[0] == '\0' ? stderr : stdout;
    AUTO(gage_buf) shown = GAGE_BUF(4 * PATH_MAX);
    put_printable(&shown, slice_str(file)); /* a name that others chose must not move the cursor */
    gage_name_text(info->originator, from);
    rfc3339_format(info->time, when);
    if (info->carrier == GAGE_CARRIER_NAMED)
        gage_name_text(info->carrier_name, carrier);
    fprintf(to, "%.*s: from %s (%s), sealed %s, carrier %s%s\n", (int)shown.n, (const char *)shown.p, from, info->alias,
            when,
            info->carrier == GAGE_CARRIER_ANYBODY ? "anybody"
            : info->carrier == GAGE_CARRIER_NAMED ? carrier
                                                  : "who holds the key",
            info->carrier == GAGE_CARRIER_ANYBODY                        ? ""
            : !info->carrier_checked                                     ? ", not checked"
            : info->carrier == GAGE_CARRIER_KEY && !info->occasion_bound ? ", checked (the proof can be repeated)"
                                                                         : ", checked");
}

/* ---- bytes ---- */

struct feeding {
    struct run *run;
    struct opening *opening;
};

/* Where what was opened goes: on, or for a proof into memory. */
static gage_buf *
goes_to(const struct feeding *f, gage_buf *out)
{
    return f->run->options->prove != NULL ? &f->run->message : out;
}

static gage_rc
feed(void *context, gage_slice piece, gage_buf *out, struct gage_err *err)
{
    struct feeding *f = context;
    struct opening *o = f->opening;
    if (!o->looked && piece.n > 0) {
        o->armored = piece.p[0] == '-';
        o->looked = true;
    }
    TRY(gage_opener_now(o->opener, clock_now(), err));
    if (o->armored) {
        f->run->sealed.n = 0;
        TRY(armor_get(&o->armor, piece, &f->run->sealed, err));
        piece = gage_buf_slice(&f->run->sealed);
    }
    return gage_opener_put(o->opener, piece, goes_to(f, out), err);
}

static gage_rc
feed_end(void *context, gage_buf *out, bool *more, struct gage_err *err)
{
    struct feeding *f = context;
    struct opening *o = f->opening;
    *more = false;
    TRY(gage_opener_now(o->opener, clock_now(), err));
    if (o->armored) {
        f->run->sealed.n = 0;
        TRY(armor_finish(&o->armor, &f->run->sealed, err));
        TRY(gage_opener_put(o->opener, gage_buf_slice(&f->run->sealed), goes_to(f, out), err));
    }
    return gage_opener_end(o->opener, goes_to(f, out), err);
}

static gage_rc
open_through(struct run *run, int fd, const char *file, struct opening *o, struct gage_err *err)
{
    struct feeding feeding = {run, o};
    const struct pump_step step = {feed, feed_end, &feeding, PUMP_OUT};
    bool placed = o->place.file.fd >= 0;
    const char *where = !placed || o->target[0] == '\0' ? "standard output" : o->target;
    return pump_run(&run->pump, fd, file, placed ? o->place.file.fd : STDOUT_FILENO, where, &step, err);
}

/* ---- into place ---- */

static gage_rc
choose_target(const struct run *run, const char *file, char target[PATH_MAX], struct gage_err *err)
{
    const struct unseal_options *o = run->options;
    size_t length = strlen(file), suffix = strlen(SUFFIX);
    bool plain = length > suffix && strcmp(file + length - suffix, SUFFIX) == 0;
    const char *slash = strrchr(file, '/'), *base = slash == NULL || !run->into_folder ? file : slash + 1;
    int n = 0;
    target[0] = '\0';
    if (o->prove != NULL || (strcmp(file, "-") == 0 && o->output == NULL))
        return GAGE_DONE;
    if (o->output != NULL && !run->into_folder) {
        if (strcmp(o->output, "-") != 0)
            n = snprintf(target, PATH_MAX, "%s", o->output);
    } else {
        REQUIRE(plain, err, GAGE_E_USAGE, "%.150s does not end in " SUFFIX ": say with --output where the message goes",
                file);
        n = snprintf(target, PATH_MAX, "%s%s%.*s", run->into_folder ? o->output : "", run->into_folder ? "/" : "",
                     (int)(strlen(base) - suffix), base);
    }
    REQUIRE(n >= 0 && n < PATH_MAX, err, GAGE_E_LIMIT, "the path of the message is too long");
    return GAGE_DONE;
}

static gage_rc
write_proof(struct run *run, struct gage_err *err)
{
    AUTO(gage_buf) proof = GAGE_BUF(GAGE_SEAL_PROOF_LEN);
    TRY(gage_carrier_prove(gage_buf_slice(&run->message), gage_buf_slice(&run->occasion), &proof, err));
    buf_reset(&run->message);
    AUTO(place_t) place = PLACE_CLOSED;
    TRY(place_open(&place, run->options->prove, run->options->force, err));
    TRY(place_write(&place, gage_buf_slice(&proof), err));
    TRY(place_sync(&place, err));
    return place_commit(&place, run->options->force, true, err);
}

/* The order that survives a crash at every point: the file synced, noted as opened, moved, done. */
static gage_rc
place_once(struct run *run, struct opening *o, struct gage_err *err)
{
    const struct gage_seal_info *info = gage_opener_info(o->opener);
    TRY(place_keep(&o->place, err));
    TRY(gage_once_begin(run->keyring, info, run->options->max_age, clock_now(), o->place.temporary, o->place.target,
                        err));
    gage_rc rc = place_commit(&o->place, run->options->force, true, err);
    if (!gage_ok(rc) && o->place.file.name[0] != '\0') {
        say("the message is kept in %s", o->place.temporary);
        place_leave(&o->place); /* noted as opened: it must not be lost; the next run tries again */
    }
    TRY(rc);
    return gage_once_end(run->keyring, info, err);
}

static gage_rc
finish(struct run *run, struct opening *o, struct gage_err *err)
{
    const struct unseal_options *options = run->options;
    if (options->prove != NULL)
        return write_proof(run, err);
    if (o->target[0] == '\0')
        return o->place.file.fd >= 0 ? place_copy_out(&o->place, err) : GAGE_DONE;
    return options->once ? place_once(run, o, err) : place_commit(&o->place, options->force, false, err);
}

static gage_rc
unseal_one(void *context, int fd, const char *file, struct gage_err *err)
{
    struct run *run = context;
    const struct unseal_options *options = run->options;
    AUTO(opening_t) o = {.place = PLACE_CLOSED};
    struct gage_unseal_options demand = run->unseal;
    TRY(choose_target(run, file, o.target, err));
    demand.once = options->once && o.target[0] == '\0'; /* into a file: noted when that is safe on the disk */
    buf_reset(&run->message);
    TRY(gage_opener_new(run->keyring, &demand, clock_now(), &o.opener, err));
    if (options->prove == NULL && !options->stream)
        TRY(place_open(&o.place, o.target[0] != '\0' ? o.target : NULL, options->force, err));
    TRY(open_through(run, fd, file, &o, err));
    TRY(finish(run, &o, err));
    tell(&o, file);
    return GAGE_DONE;
}

/* A seal that fails does not keep the others from opening; the first failure is the run's. */
static gage_rc
unseal_all(struct run *run, const struct operands *operands, struct gage_err *err)
{
    gage_rc first = GAGE_DONE;
    if (operands->n == 0)
        return with_file("-", unseal_one, run, err);
    for (size_t i = 0; i < operands->n; i++) {
        struct gage_err mine = {0};
        gage_rc rc = with_file(operands->text[i], unseal_one, run, &mine);
        if (gage_ok(rc))
            continue;
        if (operands->n > 1)
            say("%s: %s", operands->text[i], mine.text);
        if (gage_ok(first)) {
            first = rc;
            if (err != NULL)
                *err = mine;
        }
    }
    return first;
}

/* ---- the run ---- */

static gage_rc
check(struct run *run, const struct operands *operands, struct gage_err *err)
{
    const struct unseal_options *o = run->options;
    run->into_folder = is_folder(o->output);
    REQUIRE(operands->n <= 1 || o->output == NULL || run->into_folder, err, GAGE_E_USAGE,
            "several messages go into a folder: --output must be one");
    REQUIRE(o->prove == NULL || (operands->n <= 1 && o->output == NULL && !o->stream), err, GAGE_E_USAGE,
            "--prove takes one grant and writes the proof, not the message");
    REQUIRE(!o->once || o->max_age > 0, err, GAGE_E_USAGE,
            "--once needs --max-age: how long would a seal have to be remembered?");
    REQUIRE(o->carrier_proof == NULL || o->via == NULL, err, GAGE_E_USAGE,
            "a carrier is checked by name or by proof: --via or --carrier-proof");
    REQUIRE(!o->stream || (!o->once && (o->output == NULL ? operands->n == 0 || strcmp(operands->text[0], "-") == 0
                                                          : strcmp(o->output, "-") == 0)),
            err, GAGE_E_USAGE, "--stream is for standard output, and not with --once");
    return GAGE_DONE;
}

static gage_rc
read_demands(struct run *run, struct gage_err *err)
{
    const struct unseal_options *o = run->options;
    const char *via_alias = NULL;
    run->unseal.max_age = o->max_age;
    TRY(party_of(o->from, &run->unseal.from, &run->from, err));
    TRY(party_of(o->via, &via_alias, &run->via, err));
    REQUIRE(via_alias == NULL, err, GAGE_E_USAGE,
            "--via takes the name of who brought it, MECHANISM:NAME as gage listen gives it in $GAGE_PEER");
    if (o->carrier_proof != NULL)
        TRY(file_read(o->carrier_proof, &run->proof, err));
    REQUIRE(o->carrier_proof == NULL || run->proof.n > 0, err, GAGE_E_FORMAT, "the carrier's proof is empty");
    if (o->occasion != NULL)
        TRY(file_read(o->occasion, &run->occasion, err));
    REQUIRE(
        o->occasion == NULL || (run->occasion.n > 0 && (o->carrier_proof != NULL || o->prove != NULL)), err,
        GAGE_E_USAGE,
        "--occasion names a file with what a proof is for: it is not empty, and goes with --carrier-proof or --prove");
    run->unseal.carrier_required = o->via != NULL || o->carrier_proof != NULL;
    run->unseal.from_name = gage_buf_slice(&run->from);
    run->unseal.deliverer = gage_buf_slice(&run->via);
    run->unseal.proof = gage_buf_slice(&run->proof);
    run->unseal.occasion = gage_buf_slice(&run->occasion);
    return GAGE_DONE;
}

static void
run_cleanup(struct run *run)
{
    gage_buf *all[] = {&run->from, &run->via, &run->proof, &run->occasion, &run->sealed, &run->message};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        gage_buf_free(all[i]);
    pump_cleanup(&run->pump);
}

static gage_rc
run_unseal(const void *given, const struct operands *operands, struct gage_err *err)
{
    static struct run run;
    AUTO(keyring_ptr) keyring = NULL;
    run.options = given;
    run.from = run.via = GAGE_BUF(GAGE_SEAL_NAME_MAX);
    run.proof = GAGE_BUF(4096);
    run.occasion = GAGE_BUF(GAGE_SEAL_OCCASION_MAX);
    run.sealed = GAGE_BUF(PUMP_OUT);
    run.message = GAGE_BUF(GRANT_MAX);
    TRY(check(&run, operands, err));
    TRY(ring_open(run.options->keyring, false, &keyring, err));
    run.keyring = keyring;
    gage_rc rc = read_demands(&run, err);
    if (gage_ok(rc))
        rc = gage_once_pending(keyring, place_finish, NULL, err);
    if (gage_ok(rc))
        rc = unseal_all(&run, operands, err);
    run_cleanup(&run);
    return rc;
}

#define OPT(name, value, help, kind, member)                                                                           \
    {                                                                                                                  \
        name, value, help, kind, offsetof(struct unseal_options, member)                                               \
    }
static const struct opt options[] = {
    OPT("from", "PEER", "demand this originator: an alias, or MECHANISM:NAME", OPT_TEXT, from),
    OPT("via", "NAME", "it was brought by MECHANISM:NAME: demand that it was to come by this party", OPT_TEXT, via),
    OPT("carrier-proof", "FILE", "demand that this proof fits", OPT_TEXT, carrier_proof),
    OPT("occasion", "FILE", "what the proof must be made for (with --prove: is made for)", OPT_TEXT, occasion),
    OPT("max-age", "TIME", "refuse what was sealed longer ago", OPT_DURATION, max_age),
    OPT("once", NULL, "refuse what was opened before (needs --max-age)", OPT_FLAG, once),
    OPT("output", "FILE", "where the message goes: a file, a folder, or - (default: without .seal, or standard output)",
        OPT_TEXT, output),
    OPT("stream", NULL, "write to standard output before all is verified", OPT_FLAG, stream),
    OPT("prove", "FILE", "the seal is a carrier's grant: write the proof to this file", OPT_TEXT, prove),
    OPT("force", NULL, "replace what is there", OPT_FLAG, force),
    OPT("keyring", "FILE", RING_HELP, OPT_TEXT, keyring),
    OPT_END,
};

const struct command command_unseal = {
    .name = "unseal",
    .operands = "[FILE|-]...",
    .min_operands = 0,
    .max_operands = (size_t)-1,
    .summary = "open seals, and say who sealed them, when, and who was to carry them",
    .explanation = "Opens each seal, or one from standard input. Nothing reaches the output before the whole seal has "
                   "verified, unless --stream asks for it: then a cut seal is noticed only at its end, by the exit "
                   "status. A message is forced to the disk with --once "
                   "only.",
    .options = options,
    .options_size = sizeof(struct unseal_options),
    .run = run_unseal,
};
