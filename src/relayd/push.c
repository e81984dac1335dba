#include "relayd/push.h"

#include <string.h>

/* One row a push service, ended by a row without a type. None is built in. */
static const struct push_hook hooks[] = {{NULL, NULL}};

static const struct push_hook *
find_hook(gage_slice token, gage_slice *data)
{
    struct reader r = read_from(token);
    gage_slice type = get_vec8(&r);
    *data = get_vec16(&r);
    if (!gage_ok(read_end(&r, NULL, "token")))
        return NULL;
    for (const struct push_hook *hook = hooks; hook->type != NULL; hook++)
        if (slice_equal(slice_str(hook->type), type))
            return hook;
    return NULL;
}

bool
push_supported(gage_slice token)
{
    gage_slice data;
    return find_hook(token, &data) != NULL;
}

void
push_notify(gage_slice token)
{
    gage_slice data;
    const struct push_hook *hook = find_hook(token, &data);
    if (hook != NULL)
        hook->notify(data);
}
