/* GET /healthz: whether the relay can do its work. */
#include "relayd/body.h"
#include "relayd/routes.h"

void
health_start(struct request *request)
{
    struct gage_err err;
    if (request->relay->draining || !gage_ok(store_health(request->relay->store, &err))) {
        answer_problem(request, 503, request->relay->draining ? "the relay is stopping" : "the store does not work");
        return;
    }
    AUTO(gage_buf) body = GAGE_BUF(32);
    put_text(&body, "{\"status\":\"ok\"}");
    answer_body(request, 200, "application/json", &body);
}
