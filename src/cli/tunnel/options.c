#include "cli/tunnel/options.h"

#include <stdio.h>
#include <string.h>

#include <gssapi/gssapi_ext.h>

#include "app/mechs.h"
#include "cli/tunnel/allow.h"
#include "cli/tunnel/tickets.h"
#include "handshake/mechanism.h"

#define SECOND ((int64_t)1000000000)

/* ---- words ---- */

struct word {
    const char *text;
    int value;
};

static const struct word policies[] = {
    {"require", GAGE_STREAM_REQUIRE}, {"prefer", GAGE_STREAM_PREFER}, {"plain", GAGE_STREAM_PLAIN}, {NULL, 0}};
static const struct word roles[] = {
    {"any", GAGE_STREAM_ANY_ROLE}, {"initiator", GAGE_STREAM_INITIATOR}, {"acceptor", GAGE_STREAM_ACCEPTOR}, {NULL, 0}};
static const struct word kinds[] = {{"any", GAGE_STREAM_ANY_RECORDS},
                                    {"aead", GAGE_STREAM_AEAD},
                                    {"wrap", GAGE_STREAM_WRAP},
                                    {"bare", GAGE_STREAM_BARE},
                                    {NULL, 0}};

static gage_rc
look_up(const struct word *words, const char *option, const char *text, int *value, struct gage_err *err)
{
    for (; text != NULL && words->text != NULL; words++)
        if (strcmp(words->text, text) == 0) {
            *value = words->value;
            return GAGE_DONE;
        }
    REQUIRE(text == NULL, err, GAGE_E_USAGE, "%s does not take this word: see --help", option);
    return GAGE_DONE;
}

/* ---- credentials ---- */

enum usage { USAGE_KRB5 = 1, USAGE_OTC = 2 };

static gage_rc
choose_mechanisms(const struct tunnel_options *o, int *usage, struct gage_err *err)
{
    const char *mech = o->mech != NULL ? o->mech : "any";
    *usage = strcmp(mech, "krb5") == 0  ? USAGE_KRB5
             : strcmp(mech, "otc") == 0 ? USAGE_OTC
             : strcmp(mech, "any") == 0 ? USAGE_KRB5 | (o->secret_file != NULL ? USAGE_OTC : 0)
                                        : 0;
    REQUIRE(*usage != 0, err, GAGE_E_USAGE, "--mech takes krb5, otc or any");
    REQUIRE((*usage & USAGE_OTC) == 0 || o->secret_file != NULL, err, GAGE_E_USAGE,
            "--mech otc needs --secret-file: make a pair with gage secret, one side for each end");
    REQUIRE((*usage & USAGE_OTC) != 0 || o->secret_file == NULL, err, GAGE_E_USAGE,
            "--secret-file is for --mech otc, not krb5");
    return GAGE_DONE;
}

/* A credential of one mechanism from a secret file, or the default one where there is none. */
static gage_rc
acquire(const char *name, const char *secret_file, gss_cred_usage_t usage, gss_cred_id_t *cred, struct gage_err *err)
{
    OM_uint32 minor;
    const struct mechanism *mechanism;
    TRY(mechanism_find(name, &mechanism, err));
    TRY(mechanism_present(mechanism, err));
    gss_key_value_element_desc element = {mechanism->key_secret_file, secret_file};
    gss_key_value_set_desc store = {secret_file != NULL ? 1 : 0, &element};
    gss_OID_set_desc set = {1, mechanism_oid(mechanism)};
    OM_uint32 major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &set, usage,
                                            secret_file != NULL ? &store : GSS_C_NO_CRED_STORE, cred, NULL, NULL);
    if (major == GSS_S_COMPLETE)
        return GAGE_DONE;
    return gss_fail(err, major, minor, mechanism_oid(mechanism),
                    usage == GSS_C_ACCEPT
                        ? "no credential to accept with (a keytab with the service's key? a secret file?)"
                        : "no credential to initiate with (a ticket? a secret file?)");
}

/* Both mechanisms in one credential: the peer's first token says which it is. */
static gage_rc
add_krb5(gss_cred_id_t *cred, struct gage_err *err)
{
    OM_uint32 minor;
    const struct mechanism *krb5;
    gss_cred_id_t both = GSS_C_NO_CREDENTIAL;
    TRY(mechanism_find("krb5", &krb5, err));
    OM_uint32 major = gss_add_cred(&minor, *cred, GSS_C_NO_NAME, mechanism_oid(krb5), GSS_C_ACCEPT, 0, GSS_C_INDEFINITE,
                                   &both, NULL, NULL, NULL);
    if (major != GSS_S_COMPLETE)
        return GAGE_DONE; /* no keytab: then the secret file alone is what we have */
    gss_cred_drop(cred);
    *cred = both;
    return GAGE_DONE;
}

static gage_rc
make_acceptor(const struct tunnel_options *o, int usage, struct tunnel_setup *setup, struct gage_err *err)
{
    if (usage == USAGE_KRB5)
        return acquire("krb5", NULL, GSS_C_ACCEPT, &setup->accept_with, err);
    TRY(acquire("otc", o->secret_file, GSS_C_ACCEPT, &setup->accept_with, err));
    return usage == USAGE_OTC ? GAGE_DONE : add_krb5(&setup->accept_with, err);
}

/* The Kerberos default credential is looked up at each step, so that a renewed ticket is used (of a cache that is as it was there is a copy in
 * memory: tickets.h); a secret file is read once. */
static gage_rc
make_initiator(const struct tunnel_options *o, int usage, const char *host, struct tunnel_setup *setup,
               struct gage_err *err)
{
    OM_uint32 minor;
    char name[300];
    const struct mechanism *mechanism;
    TRY(mechanism_find((usage & USAGE_OTC) != 0 ? "otc" : "krb5", &mechanism, err));
    setup->config.mech = mechanism_oid(mechanism);
    if ((usage & USAGE_OTC) != 0)
        TRY(acquire("otc", o->secret_file, GSS_C_INITIATE, &setup->initiate_with, err));
    else if (setup->tickets != NULL) {
        setup->config.initiate_take = tickets_take;
        setup->config.initiate_give = tickets_give;
        setup->config.initiate_context = setup->tickets;
    }
    snprintf(name, sizeof name, "gage@%s", host[0] != '\0' ? host : "localhost");
    gss_buffer_desc text = gss_buffer_of(slice_str(o->target != NULL ? o->target : name));
    gss_OID type = memchr(text.value, '/', text.length) != NULL ? GSS_C_NT_USER_NAME : GSS_C_NT_HOSTBASED_SERVICE;
    OM_uint32 major = gss_import_name(&minor, &text, type, &setup->target);
    if (major != GSS_S_COMPLETE)
        return gss_fail(err, major, minor, setup->config.mech, "the name of --target is not understood");
    return GAGE_DONE;
}

/* ---- all of it ---- */

static int64_t
nanoseconds(int64_t seconds, int64_t fallback)
{
    return (seconds > 0 ? seconds : fallback) * SECOND;
}

static gage_rc
set_words(const struct tunnel_options *o, enum gage_stream_role fallback_role, struct gage_stream_config *c,
          struct gage_err *err)
{
    int policy = GAGE_STREAM_REQUIRE, role = (int)fallback_role, records = GAGE_STREAM_ANY_RECORDS;
    TRY(look_up(policies, "--policy", o->policy, &policy, err));
    TRY(look_up(roles, "--role", o->role, &role, err));
    TRY(look_up(kinds, "--records", o->records, &records, err));
    c->policy = (enum gage_stream_policy)policy;
    c->role = (enum gage_stream_role)role;
    c->records = (enum gage_stream_records)records;
    return GAGE_DONE;
}

/* A stranger with any ticket of the realm is authenticated too: who is welcome must be said. An initiator has said it: its target. */
static gage_rc
check_allow(const struct tunnel_options *o, int usage, const struct gage_stream_config *c, struct gage_err *err)
{
    bool said =
        o->allow.n > 0 || c->role == GAGE_STREAM_INITIATOR || usage == USAGE_OTC || c->policy == GAGE_STREAM_PLAIN;
    REQUIRE(
        said, err, GAGE_E_USAGE,
        "say who is welcome: --allow alice@REALM (may be repeated, patterns are fine), or --allow '*' for everybody "
        "who authenticates");
    return GAGE_DONE;
}

gage_rc
tunnel_setup_make(const struct tunnel_options *o, const char *host, enum gage_stream_role fallback_role,
                  struct tunnel_setup *setup, struct gage_err *err)
{
    int usage;
    struct gage_stream_config *c = &setup->config;
    *setup = (struct tunnel_setup){.initiate_with = GSS_C_NO_CREDENTIAL, .accept_with = GSS_C_NO_CREDENTIAL};
    gage_stream_config_init(c);
    TRY(set_words(o, fallback_role, c, err));
    TRY(choose_mechanisms(o, &usage, err));
    TRY(check_allow(o, usage, c, err));
    c->passive = o->passive;
    c->allow_self = o->allow_self;
    c->outlive = o->outlive;
    c->handshake_ns = nanoseconds(o->handshake_timeout, 30);
    c->look_ns = nanoseconds(o->look_timeout, 3);
    c->authorise = o->allow.n > 0 ? allow_authorise : NULL;
    c->authorise_context = (void *)(uintptr_t)&o->allow;
    if (c->policy == GAGE_STREAM_PLAIN)
        return GAGE_DONE;
    gage_rc found = mechs_find(err);
    if ((usage & USAGE_OTC) != 0)
        TRY(found);
    if ((usage & USAGE_KRB5) != 0)
        setup->tickets = tickets_new();
    if (c->role != GAGE_STREAM_ACCEPTOR)
        TRY(make_initiator(o, usage, host, setup, err));
    if (c->role != GAGE_STREAM_INITIATOR)
        TRY(make_acceptor(o, usage, setup, err));
    c->target = setup->target;
    c->initiate_with = setup->initiate_with;
    c->accept_with = setup->accept_with;
    return GAGE_DONE;
}

void
tunnel_setup_cleanup(struct tunnel_setup *setup)
{
    gss_cred_drop(&setup->initiate_with);
    gss_cred_drop(&setup->accept_with);
    gss_name_drop(&setup->target);
    tickets_free(&setup->tickets);
}
