/* gage seal: makes seals of files or standard input. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/seal/armor.h"
#include "cli/seal/files.h"
#include "cli/seal/party.h"
#include "cli/seal/place.h"
#include "cli/seal/pump.h"
#include "cli/seal/ring_file.h"
#include "cli/terminal.h"

#define SEALED_MAX PUMP_OUT /* also of a grant */

struct seal_options {
    const char *to, *via, *grant, *output, *keyring;
    bool carrier_key, armor, force;
};

/* One run: what all its files share. Buffers are used again for each file. */
struct run {
    const struct seal_options *options;
    gage_keyring *keyring;
    struct gage_seal_options seal;
    gage_buf sealed; /* on its way to armor */
    bool into_folder;
    struct pump pump;
};

/* ---- bytes ---- */

struct sealing {
    struct run *run;
    gage_sealer *sealer;
    struct armor_writer armor;
};

static gage_rc
put_piece(void *context, gage_slice bytes, gage_buf *out, struct gage_err *err)
{
    struct sealing *s = context;
    if (!s->run->options->armor)
        return gage_sealer_put(s->sealer, bytes, out, err);
    s->run->sealed.n = 0;
    TRY(gage_sealer_put(s->sealer, bytes, &s->run->sealed, err));
    armor_put(&s->armor, gage_buf_slice(&s->run->sealed), out);
    return buf_check(out, err);
}

static gage_rc
put_end(void *context, gage_buf *out, bool *more, struct gage_err *err)
{
    struct sealing *s = context;
    if (!s->run->options->armor)
        return gage_sealer_end(s->sealer, out, more, err);
    s->run->sealed.n = 0;
    TRY(gage_sealer_end(s->sealer, &s->run->sealed, more, err));
    armor_put(&s->armor, gage_buf_slice(&s->run->sealed), out);
    if (!*more)
        armor_end(&s->armor, out);
    return buf_check(out, err);
}

/* The grant goes out first: a seal whose grant could not be written must not exist. */
static gage_rc
write_grant(struct run *run, gage_sealer *sealer, const char *path, struct gage_err *err)
{
    AUTO(place_t) place = PLACE_CLOSED;
    AUTO(gage_buf) text = GAGE_BUF(2 * SEALED_MAX);
    struct armor_writer armor = {.begun = false};
    run->sealed.n = 0;
    TRY(gage_sealer_grant(sealer, run->keyring, clock_now(), &run->sealed, err));
    TRY(place_open(&place, path, run->options->force, err));
    if (run->options->armor) {
        armor_put(&armor, gage_buf_slice(&run->sealed), &text);
        armor_end(&armor, &text);
        TRY(buf_check(&text, err));
    }
    TRY(place_write(&place, gage_buf_slice(run->options->armor ? &text : &run->sealed), err));
    TRY(place_sync(&place, err));
    return place_commit(&place, run->options->force, true, err);
}

/* Where a file's seal goes, and its grant; "" is standard output. */
struct outputs {
    char seal[PATH_MAX], grant[PATH_MAX];
};

static gage_rc
choose_outputs(const struct run *run, const char *file, struct outputs *out, struct gage_err *err)
{
    const struct seal_options *o = run->options;
    const char *slash = strrchr(file, '/'), *base = slash == NULL ? file : slash + 1;
    int n = 0;
    *out = (struct outputs){.seal = ""};
    if (run->into_folder)
        n = snprintf(out->seal, sizeof out->seal - 8, "%s/%s.seal", o->output, base);
    else if (o->output != NULL)
        n = snprintf(out->seal, sizeof out->seal - 8, "%s", o->output);
    else if (strcmp(file, "-") != 0)
        n = snprintf(out->seal, sizeof out->seal - 8, "%s.seal", file);
    REQUIRE(n >= 0 && (size_t)n < sizeof out->seal - 8, err, GAGE_E_LIMIT, "the path of a seal is too long");
    if (o->grant != NULL)
        n = snprintf(out->grant, sizeof out->grant, "%s", o->grant);
    else if (out->seal[0] != '\0')
        n = snprintf(out->grant, sizeof out->grant, "%s.grant", out->seal);
    REQUIRE(n >= 0 && (size_t)n < sizeof out->grant, err, GAGE_E_LIMIT, "the path of a grant is too long");
    return GAGE_DONE;
}

typedef gage_sealer *sealer_ptr;
GAGE_AUTO_DEFINE(sealer_ptr, gage_sealer_free)

static gage_rc
seal_one(void *context, int fd, const char *file, struct gage_err *err)
{
    struct run *run = context;
    struct outputs out;
    AUTO(sealer_ptr) sealer = NULL;
    AUTO(place_t) place = PLACE_CLOSED;
    TRY(choose_outputs(run, file, &out, err));
    TRY(gage_sealer_new(run->keyring, &run->seal, clock_now(), &sealer, err));
    bool granted = gage_sealer_has_grant(sealer), placed = out.seal[0] != '\0';
    REQUIRE(!granted || out.grant[0] != '\0', err, GAGE_E_USAGE,
            "the carrier proves herself with a grant here: say with --grant where it goes");
    if (placed)
        TRY(place_open(&place, out.seal, run->options->force, err));
    struct sealing sealing = {.run = run, .sealer = sealer};
    const struct pump_step step = {put_piece, put_end, &sealing, run->options->armor ? PUMP_OUT * 3 / 2 : PUMP_OUT};
    TRY(pump_run(&run->pump, fd, file, placed ? place.file.fd : STDOUT_FILENO,
                 placed ? place.target : "standard output", &step, err));
    if (granted)
        TRY(write_grant(run, sealer, out.grant, err));
    return placed ? place_commit(&place, run->options->force, false, err) : GAGE_DONE;
}

static gage_rc
check(struct run *run, const struct operands *operands, struct gage_err *err)
{
    const struct seal_options *o = run->options;
    run->into_folder = is_folder(o->output);
    REQUIRE(o->to != NULL, err, GAGE_E_USAGE, "for whom? --to PEER (gage peers lists them)");
    REQUIRE(operands->n <= 1 || o->output == NULL || run->into_folder, err, GAGE_E_USAGE,
            "several files go into a folder: --output must be one");
    REQUIRE(operands->n <= 1 || o->grant == NULL, err, GAGE_E_USAGE,
            "--grant is for one file; with several each grant stands beside its seal");
    return GAGE_DONE;
}

static gage_rc
run_files(struct run *run, const struct operands *operands, struct gage_err *err)
{
    const struct seal_options *o = run->options;
    AUTO(gage_buf) via_name = GAGE_BUF(GAGE_SEAL_NAME_MAX);
    run->seal = (struct gage_seal_options){.to = o->to, .via_key = o->carrier_key};
    TRY(party_of(o->via, &run->seal.via, &via_name, err));
    run->seal.via_name = gage_buf_slice(&via_name);
    if (operands->n == 0)
        return with_file("-", seal_one, run, err);
    for (size_t i = 0; i < operands->n; i++)
        TRY(with_file(operands->text[i], seal_one, run, err));
    return GAGE_DONE;
}

static gage_rc
run_seal(const void *given, const struct operands *operands, struct gage_err *err)
{
    static struct run run;
    AUTO(keyring_ptr) keyring = NULL;
    run.options = given;
    run.sealed = GAGE_BUF(SEALED_MAX);
    TRY(check(&run, operands, err));
    TRY(ring_open(run.options->keyring, false, &keyring, err));
    run.keyring = keyring;
    gage_rc rc = run_files(&run, operands, err);
    gage_buf_free(&run.sealed);
    pump_cleanup(&run.pump);
    return rc;
}

#define OPT(name, value, help, kind, member)                                                                           \
    {                                                                                                                  \
        name, value, help, kind, offsetof(struct seal_options, member)                                                 \
    }
static const struct opt options[] = {
    OPT("to", "PEER", "the recipient's alias (gage peers)", OPT_TEXT, to),
    OPT("via", "PEER", "who is to carry it: an alias, or MECHANISM:NAME", OPT_TEXT, via),
    OPT("carrier-key", NULL, "the carrier proves herself by a key, whatever her name is worth", OPT_FLAG, carrier_key),
    OPT("grant", "FILE", "where the carrier's grant goes (default: beside the seal, .grant)", OPT_TEXT, grant),
    OPT("output", "FILE", "where the seal goes: a file, or a folder (default: FILE.seal, or standard output)", OPT_TEXT,
        output),
    OPT("armor", NULL, "as text, for mail and clipboards", OPT_FLAG, armor),
    OPT("force", NULL, "replace what is there", OPT_FLAG, force),
    OPT("keyring", "FILE", RING_HELP, OPT_TEXT, keyring),
    OPT_END,
};

const struct command command_seal = {
    .name = "seal",
    .operands = "[FILE|-]...",
    .min_operands = 0,
    .max_operands = (size_t)-1,
    .summary = "seal files for a peer: anybody may carry them, the peer alone opens them",
    .explanation = "Seals each file, or standard input, for a peer you are paired with. Whoever gets hold of a seal "
                   "learns its approximate length and nothing else.",
    .options = options,
    .options_size = sizeof(struct seal_options),
    .run = run_seal,
};
