/* The bodies of requests to the relay: what a body says in the end is within the limits, and the relay's own JSON is JSON again. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/require.h"
#include "relayd/body.h"
#include "relayd/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
read_display(json_t *document)
{
    AUTO(gage_buf) display = GAGE_BUF(65536), again = GAGE_BUF(65536);
    json_t *back = NULL, *whole;
    if (!gage_ok(body_display(document, &display, NULL)))
        return;
    require(gage_ok(body_parse(gage_buf_slice(&display), &back, NULL)) && json_object_size(back) == 3);
    whole = json_pack("{s:o}", "displayInformation", back);
    require(whole != NULL && gage_ok(body_display(whole, &again, NULL)));
    require(slice_equal(gage_buf_slice(&display), gage_buf_slice(&again)));
    json_decref(whole);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct gage_err err = {.code = GAGE_OK};
    struct payload payload;
    json_t *document = NULL;
    uint32_t rights = 0;
    int64_t expires = 0;
    AUTO(gage_buf) token = GAGE_BUF(65536), quoted = GAGE_BUF(6 * n + 2);
    put_json_string(&quoted, gage_slice_of(data, n));
    require(!quoted.bad && memchr(quoted.p, '\n', quoted.n) == NULL);
    if (!gage_ok(body_parse(gage_slice_of(data, n), &document, &err))) {
        require(document == NULL && err.text[0] != '\0');
        return 0;
    }
    if (gage_ok(body_payload(document, &payload, NULL)))
        require(payload.type.n > 0 && payload.type.n <= STORE_TYPE_MAX && payload.data.n <= n);
    if (gage_ok(body_token(document, &token, NULL)))
        require(token.n <= 3 + TOKEN_TYPE_MAX + TOKEN_DATA_MAX);
    if (gage_ok(body_configuration(document, &rights, &expires, NULL)))
        require((rights & STORE_RIGHT_READ) != 0);
    read_display(document);
    json_decref(document);
    return 0;
}
