/* What a relay may answer to each request. */
#include "transfer/relay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct url relay, mailbox;
    int64_t expires = 0;
    char title[GAGE_TRANSFER_TITLE_MAX + 1], description[GAGE_TRANSFER_DESCRIPTION_MAX + 1], text[RELAY_TEXT_MAX + 1];
    struct relay_content content = {.envelope = GAGE_BUF(1 << 22)};
    gage_slice body = gage_slice_of(data, n);
    if (!gage_ok(url_parse_relay(SLICE_LITERAL("https://relay.example"), false, &relay, NULL)))
        return 0;
    (void)gage_ok(relay_read_create(body, &relay, false, &mailbox, &expires, NULL));
    (void)gage_ok(relay_read_content(body, &content, NULL));
    relay_read_preview(body, title, description);
    relay_read_problem(body, text);
    gage_buf_free(&content.envelope);
    return 0;
}
