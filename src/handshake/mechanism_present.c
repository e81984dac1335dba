/* Apart from the table: who only reads properties need not load the GSS library. */
#include "handshake/mechanism.h"

gage_rc
mechanism_present(const struct mechanism *mechanism, struct gage_err *err)
{
    OM_uint32 minor;
    gss_OID_set offered = GSS_C_NO_OID_SET;
    int present = 0;
    if (gss_indicate_mechs(&minor, &offered) == GSS_S_COMPLETE) {
        gss_test_oid_set_member(&minor, mechanism_oid(mechanism), offered, &present);
        gss_release_oid_set(&minor, &offered);
    }
    REQUIRE(
        present != 0, err, GAGE_E_UNSUPPORTED,
        "the GSS library does not offer the mechanism %s: it is not installed or not registered (gage doctor says why)",
        mechanism->name);
    return GAGE_DONE;
}
