/* give_cred.c - preloaded into MIT's gss-server, which can only ask gss_acquire_cred for a name's default credential: answers that call
 * with the one-time credential of the secret file whose path is in GIVE_CRED_FILE. All other calls are the program's and the library's. */
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <stdlib.h>
#include <string.h>

#include <gage/otc.h>

__attribute__((visibility("default"))) OM_uint32
gss_acquire_cred(OM_uint32 *minor, gss_name_t name, OM_uint32 time, gss_OID_set mechs, gss_cred_usage_t usage,
                 gss_cred_id_t *cred, gss_OID_set *actual, OM_uint32 *left)
{
    char text[] = "{ " GAGE_OTC_OID_TEXT " }";
    for (char *c = text; *c != '\0'; c++)
        if (*c == '.')
            *c = ' ';
    gss_buffer_desc buffer = {strlen(text), text};
    gss_OID oid;
    OM_uint32 major = gss_str_to_oid(minor, &buffer, &oid);
    if (GSS_ERROR(major))
        return major;
    gss_OID_set_desc only = {1, oid};
    gss_key_value_element_desc element = {"otc_secret_file", getenv("GIVE_CRED_FILE")};
    gss_key_value_set_desc store = {1, &element};
    OM_uint32 ignored;
    major = gss_acquire_cred_from(minor, GSS_C_NO_NAME, time, &only, usage, &store, cred, actual, left);
    gss_release_oid(&ignored, &oid);
    return major;
}
