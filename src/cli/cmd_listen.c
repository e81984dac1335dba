/* gage listen: takes protected connections, for standard input and output (one), a program each, or another address. */
#include "cli/commands.h"
#include "cli/tunnel/service.h"

static gage_rc
run_listen(const void *given, const struct operands *operands, struct gage_err *err)
{
    const struct tunnel_options *options = given;
    REQUIRE(options->exec == NULL || options->to == NULL, err, GAGE_E_USAGE, "--exec and --to exclude each other");
    const struct tunnel_plan plan = {.listen_at = operands->text[0], .accept_wire = true, .application = options->to};
    return tunnel_service_run(options, &plan, err);
}

static const struct opt options[] = {
    TUNNEL_OPT("exec", "COMMAND", "run this shell command for each connection", OPT_TEXT, exec),
    TUNNEL_OPT("to", "ADDRESS", "pass each connection on to this address", OPT_TEXT, to),
    TUNNEL_OPTIONS,
    TUNNEL_SERVER_OPTIONS,
    OPT_END,
};

const struct command command_listen = {
    .name = "listen",
    .operands = "[ADDR:]PORT|unix:PATH",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "take connections protected by any GSS mechanism (STARTGSS)",
    .explanation = "Takes connections and authenticates both sides. Without --exec and --to: one connection, for "
                   "standard input and output. "
                   "Sockets that a service manager passes take the place of the address. SIGTERM drains.",
    .options = options,
    .options_size = sizeof(struct tunnel_options),
    .run = run_listen,
};
