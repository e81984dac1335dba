/* ticket.c - Alice issues tickets, the way a Kerberos ticket-granting service does, over any GSS-API mechanism.
 *
 * Alice has met Bob (a service) and Carol (a client). She seals a message that Carol is to carry: the ticket. Bob alone opens it, and checks that
 * Alice made it, recently, for him, and that who delivers it is Carol: by her name where the mechanism's names mean something to
 * everybody, else by a proof made with the key that Alice gave her in the grant. Run: ticket ALICE-RING BOB-RING CAROL-RING, three keyrings in which
 * alice knows "bob" and "carol", and both know "alice". */
#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

#include <gage/seal.h>

#define OPENED_MAX 65536

static struct gage_err err;
static gage_buf empty = {.max = 1 << 20};

static int
failed(const char *who)
{
    fprintf(stderr, "%s: %s\n", who, err.text);
    return (int)err.code == 0 ? 1 : gage_exit_status(err.code);
}

/* The ticket-granting service: one call. The ticket is for Bob, the grant for Carol; nobody else can use either. */
static gage_rc
issue(gage_keyring *alice, const char *rights, gage_buf *ticket, gage_buf *grant)
{
    const struct gage_seal_options options = {.to = "bob", .via = "carol", .via_key = true};
    gage_slice text = gage_slice_of(rights, 0);
    while (rights[text.n] != '\0')
        text.n++;
    return gage_seal(alice, &options, time(NULL), text, ticket, grant, &err);
}

/* The client: opens her grant and proves, for this occasion, that she is the carrier. */
static gage_rc
prove(gage_keyring *carol, const gage_buf *grant, gage_slice challenge, gage_buf *proof)
{
    gage_buf opened = {.max = OPENED_MAX};
    const struct gage_unseal_options from_alice = {.from = "alice", .max_age = 300};
    gage_rc rc = gage_unseal(carol, &from_alice, time(NULL), gage_buf_slice(grant), &opened, NULL, &err);
    if (gage_ok(rc))
        rc = gage_carrier_prove(gage_buf_slice(&opened), challenge, proof, &err);
    gage_buf_free(&opened);
    return rc;
}

/* The service: who, for whom, when, by whom, and never twice. */
static gage_rc
admit(gage_keyring *bob, const gage_buf *ticket, const gage_buf *proof, gage_slice challenge, gage_buf *rights)
{
    const struct gage_unseal_options policy = {.from = "alice",
                                               .max_age = 300,
                                               .once = true,
                                               .carrier_required = true,
                                               .proof = gage_buf_slice(proof),
                                               .occasion = challenge};
    return gage_unseal(bob, &policy, time(NULL), gage_buf_slice(ticket), rights, NULL, &err);
}

int
main(int argc, char **argv)
{
    uint8_t random[32]; /* Bob's for this delivery; over a GSS connection gage_carrier_occasion gives it */
    gage_slice challenge = gage_slice_of(random, sizeof random);
    gage_keyring *rings[3] = {NULL, NULL, NULL};
    gage_buf ticket = empty, grant = empty, proof = empty, rights = empty;
    if (argc != 4 || getrandom(random, sizeof random, 0) != sizeof random)
        return 2;
    for (int i = 0; i < 3; i++)
        if (!gage_ok(gage_keyring_open(argv[i + 1], false, &rings[i], &err)))
            return failed("keyring");
    if (!gage_ok(issue(rings[0], "may read the archive", &ticket, &grant)))
        return failed("alice");
    if (!gage_ok(prove(rings[2], &grant, challenge, &proof)))
        return failed("carol");
    if (!gage_ok(admit(rings[1], &ticket, &proof, challenge, &rights)))
        return failed("bob");
    printf("bob admits the carrier: %.*s\n", (int)rights.n, (const char *)rights.p);
    gage_rc again = admit(rings[1], &ticket, &proof, challenge, &rights);
    printf("the same ticket again: %s\n", gage_code_name(again.code));
    for (int i = 0; i < 3; i++)
        gage_keyring_free(&rings[i]);
    gage_buf_free(&ticket);
    gage_buf_free(&grant);
    gage_buf_free(&proof);
    gage_buf_free(&rights);
    return again.code == GAGE_E_USED ? 0 : 1;
}
