/* krb_context.h - libkrb5's contexts, used again. For each accepted context libgssapi_krb5 makes one and frees it with the context: a
 * tenth of what accepting costs goes into looking the same settings up and into folders of plugins.
 *
 * krb_context.c defines krb5_init_context and krb5_free_context; a program exports them, and so libgssapi_krb5 calls these. They do what
 * libkrb5's own do, but for a thread that accepts: what it makes then and frees after success is kept for the next one, without the
 * messages of errors. krb_context_forget ends what is kept, so that a change of krb5.conf is noticed. */
#ifndef GAGE_PROXYD_KRB_CONTEXT_H
#define GAGE_PROXYD_KRB_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

/* What the thread does: nothing of the kind; accepting (what it makes may be a kept one); or ending what it accepted (what it frees may be
 * kept). */
enum krb_context_phase { KRB_CONTEXT_USUAL, KRB_CONTEXT_ACCEPTING, KRB_CONTEXT_ENDING };
void krb_context_phase(enum krb_context_phase phase);

/* Frees the kept ones that were made before this second (since 1970). */
void krb_context_forget(int64_t before);
/* How many were used again, for tests. */
uint64_t krb_context_count(void);

#endif
