#include "relayd/store_engine.h"

gage_rc
postgres_engine_open(const char *url, const uint8_t check[KEYED_LEN], const struct engine_hooks *hooks,
                     struct engine **out, struct gage_err *err)
{
    return gage_fail(err, GAGE_E_UNSUPPORTED, "this build has no PostgreSQL engine yet");
}
