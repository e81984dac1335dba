/* krb_text.h - which error texts libkrb5 made for the call at hand. libgssapi_krb5 keeps the long text of an error by thread and code for
 * ever, and not every call of it sets one: gss_display_status may tell the text of an earlier failure of the thread, which names somebody
 * else's principal, cache or keytab.
 *
 * Every text that it keeps comes from krb5_get_error_message. krb_text.c defines that function; a program exports it, and so
 * libgssapi_krb5 calls this one, which does what libkrb5's own does and remembers the text's hash for the thread. */
#ifndef GAGE_PROXYD_KRB_TEXT_H
#define GAGE_PROXYD_KRB_TEXT_H

#include <stdbool.h>

#include "base/bytes.h"

/* What this thread was told so far belongs to something else. */
void krb_text_begin(void);
/* Whether it was made in this thread since then. */
bool krb_text_is_new(gage_slice text);

#endif
