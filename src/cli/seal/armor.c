#include "cli/seal/armor.h"

#include <string.h>

#define LINE_BYTES 48
#define LINE_TEXT 64

static void
put_line(struct armor_writer *w, gage_buf *text)
{
    put_base64(text, gage_slice_of(w->held, w->n));
    put_u8(text, '\n');
    w->n = 0;
}

void
armor_put(struct armor_writer *w, gage_slice bytes, gage_buf *text)
{
    if (!w->begun)
        put_bytes(text, SLICE_LITERAL(ARMOR_BEGIN "\n"));
    w->begun = true;
    while (bytes.n > 0) {
        size_t n = bytes.n < LINE_BYTES - w->n ? bytes.n : LINE_BYTES - w->n;
        memcpy(w->held + w->n, bytes.p, n);
        w->n += n;
        bytes = gage_slice_of(bytes.p + n, bytes.n - n);
        if (w->n == LINE_BYTES)
            put_line(w, text);
    }
}

void
armor_end(struct armor_writer *w, gage_buf *text)
{
    if (w->n > 0)
        put_line(w, text);
    put_bytes(text, SLICE_LITERAL(ARMOR_END "\n"));
}

/* get_base64 takes other forms, too; here there is one. */
static bool
is_plain(gage_slice line)
{
    size_t padding = line.n > 1 && line.p[line.n - 1] == '=' ? line.p[line.n - 2] == '=' ? 2 : 1 : 0;
    for (size_t i = 0; i < line.n - padding; i++) {
        uint8_t c = line.p[i], lower = c | 0x20;
        if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') && c != '+' && c != '/')
            return false;
    }
    return line.n > 0 && line.n % 4 == 0;
}

static gage_rc
take_line(struct armor_reader *r, gage_buf *bytes, struct gage_err *err)
{
    gage_slice line = gage_slice_of(r->line, r->n);
    r->n = 0;
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    if (!r->begun) {
        r->begun = true;
        REQUIRE(slice_equal(line, SLICE_LITERAL(ARMOR_BEGIN)), err, GAGE_E_FORMAT, "this is not a seal");
    } else if (slice_equal(line, SLICE_LITERAL(ARMOR_END)) && !r->ended) {
        r->ended = true;
    } else if (r->ended) {
        REQUIRE(line.n == 0, err, GAGE_E_FORMAT, "something follows the end of the armored seal");
    } else {
        REQUIRE(is_plain(line) && line.n <= LINE_TEXT && !r->short_line && gage_ok(get_base64(line, bytes)), err,
                GAGE_E_FORMAT, "the armored seal is damaged: a line is not base64 of the documented form");
        r->short_line = line.n < LINE_TEXT || line.p[line.n - 1] == '=';
    }
    return GAGE_DONE;
}

gage_rc
armor_get(struct armor_reader *r, gage_slice text, gage_buf *bytes, struct gage_err *err)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\n') {
            TRY(take_line(r, bytes, err));
            continue;
        }
        REQUIRE(r->n < sizeof r->line, err, GAGE_E_FORMAT, "the armored seal is damaged: a line is too long");
        r->line[r->n++] = (char)text.p[i];
    }
    return buf_check(bytes, err);
}

gage_rc
armor_finish(struct armor_reader *r, gage_buf *bytes, struct gage_err *err)
{
    if (r->n > 0)
        TRY(take_line(r, bytes, err));
    REQUIRE(r->ended, err, GAGE_E_FORMAT, "the armored seal is cut: its last line is missing");
    return GAGE_DONE;
}
