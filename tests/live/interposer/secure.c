/* A program to be run with more privileges than its caller: accepts the token of its input (at most 64 KiB), with the default credential, and
 * prints who sent it. */
#include <stdio.h>

#include <gssapi/gssapi.h>

int
main(void)
{
    static char token[65536];
    OM_uint32 minor, major;
    gss_buffer_desc in = {fread(token, 1, sizeof token, stdin), token}, out = GSS_C_EMPTY_BUFFER,
                    name = GSS_C_EMPTY_BUFFER;
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    gss_name_t source = GSS_C_NO_NAME;
    major = gss_accept_sec_context(&minor, &context, GSS_C_NO_CREDENTIAL, &in, GSS_C_NO_CHANNEL_BINDINGS, &source, NULL,
                                   &out, NULL, NULL, NULL);
    if (GSS_ERROR(major) || GSS_ERROR(gss_display_name(&minor, source, &name, NULL))) {
        printf("refused\n");
        return 1;
    }
    printf("%.*s\n", (int)name.length, (char *)name.value);
    gss_release_buffer(&minor, &name);
    gss_release_buffer(&minor, &out);
    gss_release_name(&minor, &source);
    gss_delete_sec_context(&minor, &context, GSS_C_NO_BUFFER);
    return 0;
}
