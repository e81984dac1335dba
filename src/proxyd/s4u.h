/* s4u.h - impersonation: MS-SFU's S4U2Self and S4U2Proxy through the GSS-API's extensions, and who may use what comes of it. */
#ifndef GAGE_PROXYD_S4U_H
#define GAGE_PROXYD_S4U_H

#include "proxyd/call.h"

/* For a service with impersonate: acquires its own credential from the store, a ticket to itself in the name of `user` (S4U2Self),
 * and from it a credential that acts for the user (S4U2Proxy). With no name, or the service's own, the service's credential. */
bool s4u_acquire(struct call *call, gss_name_t user, gss_cred_usage_t usage, gss_OID_set mechs,
                 gss_key_value_set_desc *store, gss_cred_id_t *cred);
/* acquire_type = impersonate_name: the client's own credential `impersonator` acts for `user`. Needs
 * allow_protocol_transition, or trusted and the uid of euid. */
bool s4u_impersonate(struct call *call, gss_cred_id_t impersonator, gss_name_t user, gss_OID_set mechs,
                     gss_cred_id_t *cred);
/* Whether the credential may be used towards the target: one got by impersonation only with allow_constrained_delegation, impersonate, or
 * trusted and the uid of euid, except towards the impersonator itself. UNAUTHORIZED else. */
bool s4u_allowed(struct call *call, gss_cred_id_t cred, gss_name_t target);

#endif
