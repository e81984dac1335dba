/* gage peers: the parties this person is paired with. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/encode.h"
#include "cli/commands.h"
#include "cli/seal/ring_file.h"
#include "cli/terminal.h"

struct peers_options {
    const char *rename, *keyring;
    int64_t expire;
    const char *keep;
    bool remove, step, json;
};

static void
day(int64_t time, char text[RFC3339_LEN + 1])
{
    if (time == 0)
        snprintf(text, RFC3339_LEN + 1, "never");
    else
        rfc3339_format(time, text);
}

static bool
print_row(void *context, const struct gage_peer *peer)
{
    char name[GAGE_NAME_TEXT_MAX], until[RFC3339_LEN + 1], used[RFC3339_LEN + 1];
    (void)context;
    gage_name_text(peer->peer, name);
    day(peer->until, until);
    day(peer->last_use, used);
    printf("%-20s  %-44s  until %s  used %s%s\n", peer->alias, name, until, used,
           peer->until <= clock_now() ? "  OVER" : "");
    return true;
}

static bool
print_json(void *context, const struct gage_peer *peer)
{
    char name[GAGE_NAME_TEXT_MAX], self[GAGE_NAME_TEXT_MAX], made[RFC3339_LEN + 1], until[RFC3339_LEN + 1],
        used[RFC3339_LEN + 1];
    (void)context;
    gage_name_text(peer->peer, name);
    gage_name_text(peer->self, self);
    day(peer->made, made);
    day(peer->until, until);
    day(peer->last_use, used);
    json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "alias", peer->alias, "peer", name, "self", self, "made",
                            made, "until", until, "last_use", used);
    if (row == NULL)
        return false;
    json_dumpf(row, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(row);
    return true;
}

static gage_rc
set_keep(gage_keyring *keyring, const char *text, struct gage_err *err)
{
    unsigned weeks = 0;
    bool good = text[0] != '\0' && strlen(text) <= 2 && strspn(text, "0123456789") == strlen(text);
    for (const char *p = text; good && *p != '\0'; p++)
        weeks = weeks * 10 + (unsigned)(*p - '0');
    REQUIRE(good && weeks <= GAGE_KEEP_MAX, err, GAGE_E_USAGE, "--keep wants a number of weeks, 0 to %d",
            GAGE_KEEP_MAX);
    return gage_keyring_set_keep(keyring, weeks, err);
}

static gage_rc
check(const struct peers_options *o, const struct operands *operands, struct gage_err *err)
{
    int changes = (o->rename != NULL) + (o->expire > 0) + o->remove;
    REQUIRE(changes <= 1, err, GAGE_E_USAGE, "one of --rename, --expire and --remove at a time");
    REQUIRE((changes == 1) == (operands->n == 1), err, GAGE_E_USAGE,
            "--rename, --expire and --remove want the peer's alias, and an alias wants one of them");
    return GAGE_DONE;
}

static gage_rc
run_peers(const void *given, const struct operands *operands, struct gage_err *err)
{
    const struct peers_options *o = given;
    AUTO(keyring_ptr) keyring = NULL;
    TRY(check(o, operands, err));
    TRY(ring_open(o->keyring, false, &keyring, err));
    if (o->rename != NULL)
        return gage_keyring_rename(keyring, operands->text[0], o->rename, err);
    if (o->expire > 0)
        return gage_keyring_expire(keyring, operands->text[0], clock_now() + o->expire, err);
    if (o->remove)
        return gage_keyring_remove(keyring, operands->text[0], err);
    if (o->keep != NULL)
        TRY(set_keep(keyring, o->keep, err));
    if (o->step || o->keep != NULL)
        return gage_keyring_step(keyring, clock_now(), err);
    return gage_keyring_list(keyring, o->json ? print_json : print_row, NULL, err);
}

#define OPT(name, value, help, kind, member)                                                                           \
    {                                                                                                                  \
        name, value, help, kind, offsetof(struct peers_options, member)                                                \
    }
static const struct opt options[] = {
    OPT("rename", "NEW", "give the peer another alias", OPT_TEXT, rename),
    OPT("expire", "TIME", "end the pairing after this time from now", OPT_DURATION, expire),
    OPT("remove", NULL, "forget the peer; the keys are overwritten", OPT_FLAG, remove),
    OPT("keep", "WEEKS", "how many weeks back seals are opened (a new keyring: 4)", OPT_TEXT, keep),
    OPT("step", NULL, "erase keys that are due, of all peers: for a weekly timer", OPT_FLAG, step),
    OPT("json", NULL, "one JSON object a line", OPT_FLAG, json),
    OPT("keyring", "FILE", RING_HELP, OPT_TEXT, keyring),
    OPT_END,
};

const struct command command_peers = {
    .name = "peers",
    .operands = "[ALIAS]",
    .min_operands = 0,
    .max_operands = 1,
    .summary = "list, rename, expire and remove the parties you are paired with",
    .explanation =
        "Lists the peers of the keyring, or changes one. What is removed or expired here is not known to the "
        "peer, whose seals are then not opened.",
    .options = options,
    .options_size = sizeof(struct peers_options),
    .run = run_peers,
};
