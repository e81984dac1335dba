#include "cli/json_wipe.h"

#include <malloc.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/secret.h"

static void
free_wiping(void *p)
{
    if (p != NULL)
        gage_wipe(p, malloc_usable_size(p));
    free(p);
}

void
json_wipes_always(void)
{
    json_set_alloc_funcs(malloc, free_wiping);
}
