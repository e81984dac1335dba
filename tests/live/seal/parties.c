#include "live/seal/parties.h"

#include <stdlib.h>
#include <unistd.h>

#include <gssapi/gssapi_krb5.h>

#include "base/clock.h"
#include "base/file.h"

#define FLAGS (GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG)

static bool krb5;
static char krb5_conf[512];

void
parties_start(void)
{
    const char *mech = getenv("GAGE_TEST_MECH"), *conf = getenv("KRB5_CONFIG");
    krb5 = mech != NULL && strcmp(mech, "krb5") == 0;
    snprintf(krb5_conf, sizeof krb5_conf, "%s", conf != NULL ? conf : "");
    kit_start();
    if (krb5)
        setenv("KRB5_CONFIG", krb5_conf, 1);
}

bool
parties_krb5(void)
{
    return krb5;
}

int64_t
now_s(void)
{
    return clock_now();
}

static gss_cred_id_t
acceptor_of(const char *service)
{
    OM_uint32 minor;
    char text[64];
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    gss_OID_set_desc mechs = {1, (gss_OID)gss_mech_krb5};
    snprintf(text, sizeof text, "%s@localhost", service);
    gss_name_t name = kit_name(text, GSS_C_NT_HOSTBASED_SERVICE);
    assert_int_equal(gss_acquire_cred(&minor, name, 0, &mechs, GSS_C_ACCEPT, &cred, NULL, NULL), GSS_S_COMPLETE);
    gss_release_name(&minor, &name);
    return cred;
}

static struct meeting
meet_krb5(const char *service)
{
    OM_uint32 minor, major = GSS_S_CONTINUE_NEEDED;
    char text[64];
    struct meeting m = {GSS_C_NO_CONTEXT, GSS_C_NO_CONTEXT};
    gss_buffer_desc there = GSS_C_EMPTY_BUFFER, back = GSS_C_EMPTY_BUFFER;
    gss_cred_id_t cred = acceptor_of(service);
    snprintf(text, sizeof text, "%s@localhost", service);
    gss_name_t target = kit_name(text, GSS_C_NT_HOSTBASED_SERVICE);
    for (int round = 0; major != GSS_S_COMPLETE && round < 3; round++) {
        major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &m.initiator, target, (gss_OID)gss_mech_krb5, FLAGS,
                                     0, NULL, &back, NULL, &there, NULL, NULL);
        kit_release(&back);
        assert_false(GSS_ERROR(major));
        if (there.length > 0)
            assert_int_equal(
                gss_accept_sec_context(&minor, &m.acceptor, cred, &there, NULL, NULL, NULL, &back, NULL, NULL, NULL),
                GSS_S_COMPLETE);
        kit_release(&there);
    }
    assert_int_equal(major, GSS_S_COMPLETE);
    gss_release_name(&minor, &target);
    gss_release_cred(&minor, &cred);
    return m;
}

struct meeting
meet(const char *service)
{
    if (krb5)
        return meet_krb5(service);
    OM_uint32 minor;
    struct kit_pair pair = kit_pair(FLAGS);
    struct meeting m = {pair.i.ctx, pair.a.ctx};
    pair.i.ctx = pair.a.ctx = GSS_C_NO_CONTEXT;
    gss_release_cred(&minor, &pair.i.cred);
    gss_release_cred(&minor, &pair.a.cred);
    gss_release_name(&minor, &pair.a.peer);
    kit_release(&pair.i.token);
    kit_release(&pair.a.token);
    return m;
}

void
part(struct meeting *m)
{
    OM_uint32 minor;
    gss_delete_sec_context(&minor, &m->initiator, GSS_C_NO_BUFFER);
    gss_delete_sec_context(&minor, &m->acceptor, GSS_C_NO_BUFFER);
}

gage_keyring *
keyring_of(const char *name)
{
    gage_keyring *keyring = NULL;
    unlink(kit_path(name).c);
    assert_ok(gage_keyring_open(kit_path(name).c, true, &keyring, NULL));
    return keyring;
}

void
pair_up(struct meeting *m, gage_keyring *initiator, const char *calls_peer, gage_keyring *acceptor,
        const char *calls_back)
{
    gage_pairing *i = NULL, *a = NULL;
    gage_slice from_i, from_a;
    struct gage_err err = {0};
    assert_ok(gage_pair_start(m->initiator, GAGE_PAIR_VALIDITY_DEFAULT, now_s(), NULL, &i, &from_i, &err));
    assert_ok(gage_pair_start(m->acceptor, GAGE_PAIR_VALIDITY_DEFAULT, now_s(), NULL, &a, &from_a, &err));
    assert_code(gage_pair_store(a, acceptor, calls_back, &err), GAGE_E_STATE);
    assert_ok(gage_pair_finish(a, m->acceptor, from_i, now_s(), &err));
    assert_ok(gage_pair_finish(i, m->initiator, from_a, now_s(), &err));
    assert_slice_equal(gage_pair_self(i), gage_pair_peer(a));
    assert_slice_equal(gage_pair_self(a), gage_pair_peer(i));
    assert_ok(gage_pair_store(i, initiator, calls_peer, &err));
    assert_ok(gage_pair_store(a, acceptor, calls_back, &err));
    gage_pair_free(&i);
    gage_pair_free(&a);
}
