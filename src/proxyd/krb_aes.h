/* krb_aes.h - the Kerberos encryption types aes128- and aes256-cts-hmac-sha1-96 (RFC 3962) by OpenSSL, in place of libk5crypto's, whose
 * AES is plain C and which derives both keys of a message anew each time. Accepting a context is mostly that.
 *
 * krb_aes.c defines krb5_k_encrypt, krb5_k_decrypt, krb5_c_decrypt and krb5_c_verify_checksum; a program exports them, and so libkrb5
 * and libgssapi_krb5 call these. They do the plain case - these two types, no cipher state, room enough, an intact message - and leave everything else to
 * libk5crypto's own: other types, every refusal and its error code. */
#ifndef GAGE_PROXYD_KRB_AES_H
#define GAGE_PROXYD_KRB_AES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Makes sure that this object is linked; true where the libraries' calls come here. */
bool krb_aes_begin(void);
/* Wipes the derived keys that were last used before this second (since 1970), but for those of calls under way. */
void krb_aes_forget(int64_t before);
/* How many sets of derived keys are kept, for tests. */
size_t krb_aes_kept(void);
/* How many messages and checksums were done here, for tests. */
uint64_t krb_aes_count(void);

#endif
