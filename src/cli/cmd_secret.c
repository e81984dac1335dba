/* gage secret: makes a pair of secret files, one side for each end of connections to come. */
#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/file.h"
#include "cli/commands.h"
#include "cli/terminal.h"

#define SECRET_BYTES 32
#define FILE_MAX 8192
#define FIELD_MAX 255

struct secret_options {
    const char *label, *purpose;
    int64_t expires;
};

static void
put_line(gage_buf *out, const char *key, gage_slice value)
{
    put_bytes(out, slice_str(key));
    put_bytes(out, value);
    put_u8(out, '\n');
}

static gage_rc
check_field(const char *name, const char *text, struct gage_err *err)
{
    REQUIRE(text == NULL || (strlen(text) <= FIELD_MAX && utf8_printable(slice_str(text))), err, GAGE_E_USAGE,
            "--%s takes at most %d bytes of printable text", name, FIELD_MAX);
    return GAGE_DONE;
}

/* The file's form is doc/otc.md, section 12. */
static gage_rc
install_side(const char *path, const char *side, const gage_secret *secret, const struct secret_options *options,
             struct gage_err *err)
{
    char until[RFC3339_LEN + 1];
    AUTO(gage_buf) text = GAGE_BUF(FILE_MAX);
    AUTO(gage_buf) encoded = GAGE_BUF(64);
    put_base64url(&encoded, secret_slice(secret));
    put_bytes(&text, SLICE_LITERAL("gage-otc-secret 1\n"));
    put_line(&text, "side=", slice_str(side));
    put_line(&text, "secret=", gage_buf_slice(&encoded));
    if (options->expires > 0) {
        rfc3339_format(clock_now() + options->expires, until);
        put_line(&text, "not-after=", slice_str(until));
    }
    if (options->label != NULL)
        put_line(&text, "label=", slice_str(options->label));
    if (options->purpose != NULL)
        put_line(&text, "purpose=", slice_str(options->purpose));
    TRY(buf_check(&text, err));
    return file_install(path, gage_buf_slice(&text), 0600, err);
}

static gage_rc
run_secret(const void *given, const struct operands *operands, struct gage_err *err)
{
    const struct secret_options *options = given;
    AUTO(gage_secret) secret = {.n = SECRET_BYTES};
    TRY(check_field("label", options->label, err));
    TRY(check_field("purpose", options->purpose, err));
    TRY(rng_fill(&gage_system_rng, secret.b, SECRET_BYTES));
    TRY(install_side(operands->text[0], "a", &secret, options, err));
    gage_rc rc = install_side(operands->text[1], "b", &secret, options, err);
    if (!gage_ok(rc)) {
        struct gage_err unheard;
        gage_rc removed = file_remove(operands->text[0], &unheard); /* half a pair is of no use */
        (void)removed;
        return rc;
    }
    say("made %s and %s: keep one here, bring the other to the other end over a channel that nobody reads",
        operands->text[0], operands->text[1]);
    return GAGE_DONE;
}

static const struct opt options[] = {
    {"label", "TEXT", "who or what holds it; shown to the peer, never trusted", OPT_TEXT,
     offsetof(struct secret_options, label)},
    {"purpose", "TEXT", "what it is for", OPT_TEXT, offsetof(struct secret_options, purpose)},
    {"expires", "TIME", "after this it makes no more connections (default: never)", OPT_DURATION,
     offsetof(struct secret_options, expires)},
    OPT_END,
};

const struct command command_secret = {
    .name = "secret",
    .operands = "FILE-A FILE-B",
    .min_operands = 2,
    .max_operands = 2,
    .summary = "make a pair of secret files for protected connections without Kerberos",
    .explanation =
        "Makes a fresh secret of 256 bits and writes it to two files, one for each end (--secret-file of gage connect, "
        "listen and forward). "
        "The two sides differ: copies of one file do not connect to each other. Existing files are not touched.",
    .options = options,
    .options_size = sizeof(struct secret_options),
    .run = run_secret,
};
