/* value.h - making and reading the small values of the protocol: bytes, options, names. What is made is allocated with malloc, as
 * xdr_free releases it. */
#ifndef GAGE_RPC_VALUE_H
#define GAGE_RPC_VALUE_H

#include "rpc/proc.h"

/* Replaces *to by a copy; false where memory is short, or the length is no 32-bit number. */
bool gssx_put(octet_string *to, gage_slice bytes);
/* A new octet_string for an optional field; NULL where memory is short. */
octet_string *gssx_new_bytes(gage_slice bytes);

/* The value of the option, whose name counts with or without its NUL; NULL where it is not there. */
const gssx_buffer *option_find(const gssx_options *options, const char *name);
/* Whether the value is this text, with or without its NUL. */
bool option_is(const gssx_buffer *value, const char *text);
/* Adds (name with NUL, value); false where memory is short or there are GSSX_OPTIONS_MAX. */
bool option_add(gssx_options *options, const char *name, gage_slice value);

/* A copy with every field; false where memory is short. *to is overwritten. */
bool gssx_name_copy(gssx_name *to, const gssx_name *from);
/* Of a name that has its four forms only, no attributes and extensions. What was copied is the caller's to free also where it failed. */
bool gssx_name_copy_forms(gssx_name *to, const gssx_name *from);

/* Whether an exported name (RFC 2743 section 3.2), or krb5's composite form with the attributes after it (RFC 6680 leaves them to the mechanism),
 * ends where it says. MIT's krb5 mechanism asserts that: a byte more, and the process ends. */
bool exported_name_is_whole(gage_slice name);

#endif
