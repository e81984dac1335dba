/* gage forward: a sidecar for programs that know nothing of GSS: plain connections on one side, protected ones on the other. */
#include <string.h>

#include "cli/commands.h"
#include "cli/tunnel/service.h"

static gage_rc
run_forward(const void *given, const struct operands *operands, struct gage_err *err)
{
    const struct tunnel_options *options = given;
    const char *protect = options->protect != NULL ? options->protect : "remote";
    bool local = strcmp(protect, "local") == 0;
    REQUIRE(local || strcmp(protect, "remote") == 0, err, GAGE_E_USAGE, "--protect takes local or remote");
    const struct tunnel_plan plan = {.listen_at = operands->text[0],
                                     .accept_wire = local,
                                     .wire_to = local ? NULL : operands->text[1],
                                     .application = local ? operands->text[1] : NULL};
    return tunnel_service_run(options, &plan, err);
}

static const struct opt options[] = {
    TUNNEL_OPT("protect", "SIDE", "which side is protected: remote (default) or local", OPT_TEXT, protect),
    TUNNEL_OPTIONS,
    TUNNEL_SERVER_OPTIONS,
    OPT_END,
};

const struct command command_forward = {
    .name = "forward",
    .operands = "LOCAL REMOTE",
    .min_operands = 2,
    .max_operands = 2,
    .summary = "pass plain connections on as protected ones, or the other way round",
    .explanation = "Takes connections at LOCAL and makes one to REMOTE for each. The side named by --protect speaks "
                   "STARTGSS, the other is "
                   "plain: before a client, protect remote; before a server, protect local. Sockets that a service "
                   "manager passes take "
                   "the place of LOCAL. SIGTERM drains.",
    .options = options,
    .options_size = sizeof(struct tunnel_options),
    .run = run_forward,
};
