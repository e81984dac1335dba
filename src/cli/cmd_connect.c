/* gage connect: one protected connection to a peer, for standard input and output or a program. */
#include "cli/commands.h"
#include "cli/tunnel/service.h"

static gage_rc
run_connect(const void *options, const struct operands *operands, struct gage_err *err)
{
    const struct tunnel_plan plan = {.wire_to = operands->text[0]};
    return tunnel_service_run(options, &plan, err);
}

static const struct opt options[] = {
    TUNNEL_OPT("exec", "COMMAND", "give the connection to this shell command", OPT_TEXT, exec),
    TUNNEL_OPTIONS,
    OPT_END,
};

const struct command command_connect = {
    .name = "connect",
    .operands = "HOST:PORT|unix:PATH",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "make a connection protected by any GSS mechanism (STARTGSS)",
    .explanation = "Connects, authenticates both sides, and passes standard input and output through, encrypted. Ends "
                   "with status 0 only after "
                   "both directions ended authentically: a connection that was cut is an error.",
    .options = options,
    .options_size = sizeof(struct tunnel_options),
    .run = run_connect,
};
