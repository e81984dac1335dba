#include "unit/test.h"

#include "handshake/contexts.h"

static void
pass(struct contexts *pair, gss_name_t target, OM_uint32 flags)
{
    OM_uint32 minor, major_i = GSS_S_CONTINUE_NEEDED, major_a = GSS_S_CONTINUE_NEEDED;
    gss_buffer_desc to_a = GSS_C_EMPTY_BUFFER, to_i = GSS_C_EMPTY_BUFFER;
    for (int round = 0; round < 8 && (major_i | major_a) != GSS_S_COMPLETE; round++) {
        major_i = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &pair->initiator, target, GSS_C_NO_OID, flags, 0,
                                       GSS_C_NO_CHANNEL_BINDINGS, &to_i, NULL, &to_a, NULL, NULL);
        gss_buffer_wipe(&to_i);
        assert_int_equal(GSS_ERROR(major_i), 0);
        if (to_a.length > 0)
            major_a = gss_accept_sec_context(&minor, &pair->acceptor, GSS_C_NO_CREDENTIAL, &to_a,
                                             GSS_C_NO_CHANNEL_BINDINGS, NULL, NULL, &to_i, NULL, NULL, NULL);
        gss_buffer_wipe(&to_a);
        assert_int_equal(GSS_ERROR(major_a), 0);
    }
    gss_buffer_wipe(&to_i);
    assert_int_equal(major_i | major_a, GSS_S_COMPLETE);
}

struct contexts
contexts_make(OM_uint32 flags)
{
    struct contexts pair = {GSS_C_NO_CONTEXT, GSS_C_NO_CONTEXT};
    OM_uint32 minor;
    gss_buffer_desc text = gss_buffer_of(SLICE_LITERAL("gage@localhost"));
    AUTO(gss_name_t) target = GSS_C_NO_NAME;
    assert_int_equal(gss_import_name(&minor, &text, GSS_C_NT_HOSTBASED_SERVICE, &target), GSS_S_COMPLETE);
    pass(&pair, target, flags);
    return pair;
}

void
contexts_drop(struct contexts *pair)
{
    gss_ctx_drop(&pair->initiator);
    gss_ctx_drop(&pair->acceptor);
}

gss_buffer_desc
contexts_wrap(gss_ctx_id_t context, int conf, gage_slice bytes)
{
    OM_uint32 minor;
    gss_buffer_desc in = gss_buffer_of(bytes), out = GSS_C_EMPTY_BUFFER;
    assert_int_equal(gss_wrap(&minor, context, conf, GSS_C_QOP_DEFAULT, &in, NULL, &out), GSS_S_COMPLETE);
    return out;
}
