/* routes.h - which method on which path does what: the table. */
#ifndef GAGE_RELAYD_ROUTES_H
#define GAGE_RELAYD_ROUTES_H

#include "relayd/request.h"

enum path_kind { PATH_MAILBOXES, PATH_MAILBOX, PATH_HEALTH, PATH_UNKNOWN };
enum body_kind {
    BODY_NONE,     /* whatever comes is ignored */
    BODY_JSON,     /* application/json, needed */
    BODY_OPTIONAL, /* application/json or nothing */
};

struct route {
    const char *method;
    enum path_kind path;
    const char *name; /* in metrics */
    enum body_kind body;
    bool claim;      /* needs a Mailbox-Device-Claim */
    bool request_id; /* needs a Mailbox-Request-ID */
    /* Looks at the request, then answers or asks the store. */
    void (*start)(struct request *request);
    /* The store has answered, request->op->result. */
    void (*answer)(struct request *request);
};

#define ROUTES_MAX 16
extern const struct route routes[];
extern const size_t routes_count;

/* The path's kind, and the mailbox it names. */
enum path_kind path_parse(const char *path, uint8_t mailbox[UUID_LEN]);
/* The route, or NULL with the methods the path has in *allow (NULL: no such path). HEAD is GET. */
const struct route *route_find(const char *method, enum path_kind path, const char **allow);

void create_start(struct request *request);
void create_answer(struct request *request);
void read_start(struct request *request);
void read_answer(struct request *request);
void update_start(struct request *request);
void update_answer(struct request *request);
void relinquish_start(struct request *request);
void relinquish_answer(struct request *request);
void delete_start(struct request *request);
void delete_answer(struct request *request);
void preview_start(struct request *request);
void preview_answer(struct request *request);
void health_start(struct request *request);

#endif
