#include "relayd/routes.h"

#include <string.h>

/* clang-format off */
const struct route routes[] = {
    {"POST",   PATH_MAILBOXES, "create",     BODY_JSON,     true,  true,  create_start,     create_answer},
    {"GET",    PATH_MAILBOX,   "preview",    BODY_NONE,     false, false, preview_start,    preview_answer},
    {"POST",   PATH_MAILBOX,   "read",       BODY_OPTIONAL, true,  false, read_start,       read_answer},
    {"PUT",    PATH_MAILBOX,   "update",     BODY_JSON,     true,  true,  update_start,     update_answer},
    {"PATCH",  PATH_MAILBOX,   "relinquish", BODY_NONE,     true,  true,  relinquish_start, relinquish_answer},
    {"DELETE", PATH_MAILBOX,   "delete",     BODY_NONE,     true,  true,  delete_start,     delete_answer},
    {"GET",    PATH_HEALTH,    "health",     BODY_NONE,     false, false, health_start,     NULL},
};
/* clang-format on */
const size_t routes_count = sizeof routes / sizeof routes[0];

static const char *const allowed[] = {
    [PATH_MAILBOXES] = "POST",
    [PATH_MAILBOX] = "GET, HEAD, POST, PUT, PATCH, DELETE",
    [PATH_HEALTH] = "GET, HEAD",
};

enum path_kind
path_parse(const char *path, uint8_t mailbox[UUID_LEN])
{
    static const char prefix[] = "/v1/m";
    if (strcmp(path, "/healthz") == 0)
        return PATH_HEALTH;
    if (strncmp(path, prefix, sizeof prefix - 1) != 0)
        return PATH_UNKNOWN;
    path += sizeof prefix - 1;
    if (*path == '\0')
        return PATH_MAILBOXES;
    if (*path != '/' || !gage_ok(uuid_parse(slice_str(path + 1), mailbox)))
        return PATH_UNKNOWN;
    return PATH_MAILBOX;
}

const struct route *
route_find(const char *method, enum path_kind path, const char **allow)
{
    *allow = NULL;
    if (path == PATH_UNKNOWN)
        return NULL;
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    for (size_t i = 0; i < routes_count; i++)
        if (routes[i].path == path && strcmp(routes[i].method, method) == 0)
            return &routes[i];
    *allow = allowed[path];
    return NULL;
}
