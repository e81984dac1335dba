/* A daemon's replies from hostile bytes. The first byte is the procedure that was called; the rest is the reply. Whatever comes, the call has
 * results, or failed in one line of text that can be asked for. */
#include <string.h>

#include "interposer/pool.h"
#include "interposer/remote.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
enum fate __wrap_pool_exchange(gage_slice record, bool again, gage_buf *reply, int *error);

static gage_slice given;

enum fate
__wrap_pool_exchange(gage_slice record, bool again, gage_buf *reply, int *error)
{
    put_bytes(reply, given);
    *error = 0;
    return reply->bad ? FATE_BAD : FATE_ANSWERED;
}

static void
check_text(const struct outcome *o)
{
    char text[OUTCOME_TEXT_MAX];
    OM_uint32 minor;
    require(outcome_end(&minor, o) == o->major);
    if (!o->told)
        return;
    require(minor != 0 && outcome_text(minor, text) && strcmp(text, o->text) == 0);
    for (const char *c = text; *c != '\0'; c++)
        require((unsigned char)*c >= 0x20 && *c != 0x7f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || data[0] < 1 || data[0] > GSSX_PROC_LAST)
        return 0;
    union gssx_arg arg = {0};
    AUTO(answer) a = {0};
    struct outcome o;
    given = gage_slice_of(data + 1, size - 1);
    bool answered = remote_call(data[0], &arg, &a, &o);
    require(answered == (a.procedure == data[0]));
    require(answered || !outcome_good(&o));
    if (!outcome_good(&o))
        check_text(&o);
    return 0;
}
