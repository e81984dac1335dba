#include "rpc/value.h"

#include <stdlib.h>
#include <string.h>

#include "rpc/record.h"

bool
gssx_put(octet_string *to, gage_slice bytes)
{
    char *copy = bytes.n > 0 && bytes.n <= UINT32_MAX ? malloc(bytes.n) : NULL;
    if (bytes.n > 0 && copy == NULL)
        return false;
    if (bytes.n > 0)
        memcpy(copy, bytes.p, bytes.n);
    free(to->octet_string_val);
    to->octet_string_val = copy;
    to->octet_string_len = (u_int)bytes.n;
    return true;
}

octet_string *
gssx_new_bytes(gage_slice bytes)
{
    octet_string *s = calloc(1, sizeof *s);
    if (s != NULL && !gssx_put(s, bytes)) {
        free(s);
        s = NULL;
    }
    return s;
}

/* ---- options ---- */

static bool
is_text(gage_slice bytes, const char *text)
{
    size_t n = strlen(text);
    return slice_equal(bytes, gage_slice_of(text, n)) || slice_equal(bytes, gage_slice_of(text, n + 1));
}

const gssx_buffer *
option_find(const gssx_options *options, const char *name)
{
    for (u_int i = 0; i < options->gssx_options_len; i++)
        if (is_text(gssx_slice(&options->gssx_options_val[i].option), name))
            return &options->gssx_options_val[i].value;
    return NULL;
}

bool
option_is(const gssx_buffer *value, const char *text)
{
    return is_text(gssx_slice(value), text);
}

bool
option_add(gssx_options *options, const char *name, gage_slice value)
{
    u_int n = options->gssx_options_len;
    gssx_option *grown = n < GSSX_OPTIONS_MAX ? realloc(options->gssx_options_val, (n + 1) * sizeof *grown) : NULL;
    if (grown == NULL)
        return false;
    options->gssx_options_val = grown;
    memset(&grown[n], 0, sizeof grown[n]);
    options->gssx_options_len = n + 1;
    return gssx_put(&grown[n].option, gage_slice_of(name, strlen(name) + 1)) && gssx_put(&grown[n].value, value);
}

/* ---- names ---- */

enum { EXPORTED = 0x0401, COMPOSITE = 0x0402, OID_TAG = 0x06 };

bool
exported_name_is_whole(gage_slice name)
{
    static const uint8_t krb5[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02};
    struct reader r = read_from(name);
    uint16_t id = get_u16(&r);
    struct reader framed = read_from(get_vec16(&r));
    uint8_t tag = get_u8(&framed);
    gage_slice oid = get_vec8(&framed);
    get_vec32(&r);
    if (tag != OID_TAG || !gage_ok(read_end(&framed, NULL, "mechanism")))
        return false;
    if (id == COMPOSITE && !slice_equal(oid, SLICE_OF(krb5)))
        return read_ok(&r);
    if (id == COMPOSITE)
        get_vec32(&r);
    return (id == COMPOSITE || id == EXPORTED) && gage_ok(read_end(&r, NULL, "name"));
}

/* By the wire form: every field comes along, whatever fields there are. */
bool
gssx_name_copy(gssx_name *to, const gssx_name *from)
{
    AUTO(gage_buf) bytes = GAGE_BUF(RECORD_MAX);
    gssx_name copy = *from;
    memset(to, 0, sizeof *to);
    return gage_ok(gssx_encode(GSSX_XDR(gssx_name), &copy, &bytes)) &&
           gage_ok(gssx_decode(GSSX_XDR(gssx_name), gage_buf_slice(&bytes), to));
}

bool
gssx_name_copy_forms(gssx_name *to, const gssx_name *from)
{
    return gssx_put(&to->display_name, gssx_slice(&from->display_name)) &&
           gssx_put(&to->name_type, gssx_slice(&from->name_type)) &&
           gssx_put(&to->exported_name, gssx_slice(&from->exported_name)) &&
           gssx_put(&to->exported_composite_name, gssx_slice(&from->exported_composite_name));
}
