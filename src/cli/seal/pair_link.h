/* pair_link.h - gage pair by a relay's link: the side that makes the link, and the side that is given it. */
#ifndef GAGE_CLI_SEAL_PAIR_LINK_H
#define GAGE_CLI_SEAL_PAIR_LINK_H

#include <gage/seal.h>

#include "cli/args.h"
#include "cli/relay_options.h"

struct pair_link_options {
    const char *relay, *invite, *qr_png;
    int64_t expires;
    bool qr, uri, detach, verify, yes, json;
    struct relay_options relay_options;
};

/* What the pairing is to become here. */
struct pair_plan {
    const char *alias, *keyring; /* keyring NULL: the default one */
    int64_t validity;            /* seconds; 0: the default */
    bool replace;
};

/* Runs until the pairing is stored, or as far as it goes for now: `gage resume` goes on. */
gage_rc pair_link_make(const struct pair_link_options *options, const struct pair_plan *plan, struct gage_err *err);
gage_rc pair_link_take(const struct pair_link_options *options, const struct pair_plan *plan,
                       const struct operands *operands, struct gage_err *err);

#endif
