/* tickets.h - the default Kerberos ticket cache for initiators, copied into memory while its file stays as it is.
 *
 * The GSS library reads the file some seven times a context, each under a lock, and krb5.conf anew where no other context lives. A copy is
 * used only of a cache of type FILE whose last change is seconds old, so that one more would show in its times, and only while the file is
 * the same, the tickets live, and neither ~/.k5identity nor a client keytab has a say. At all other times, and for every other type (KCM, KEYRING,
 * DIR), the library's own default credential is used: it puts a new service ticket into the file, from where the next copy has it, so the
 * KDC is asked no more often than without copies. Thread-safe. */
#ifndef GAGE_CLI_TUNNEL_TICKETS_H
#define GAGE_CLI_TUNNEL_TICKETS_H

#include <gage/stream.h>

/* What is kept between connections; NULL where there is no memory or no Kerberos configuration, which is fine everywhere below. */
struct tickets *tickets_new(void);
/* Not while anything taken is in use. */
void tickets_free(struct tickets **tickets);

/* A credential to initiate with, the taker's alone until tickets_give; GSS_C_NO_CREDENTIAL (and *use NULL): the library's default. May block as
 * reading a file does. In the form of struct gage_stream_config's initiate_take. */
gss_cred_id_t tickets_take(void *tickets, void **use);
void tickets_give(void *tickets, void *use);

#endif
