/* Text that claims to be a seal, and a record that claims to make a pairing. First byte: which, and how many bytes are given at a time. */
#include <stdlib.h>

#include "cli/seal/armor.h"
#include "cli/seal/pair_note.h"

#define OUT_MAX ((size_t)1 << 22)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static gage_rc
read_text(gage_slice text, size_t piece, gage_buf *bytes)
{
    struct armor_reader r = {.begun = false};
    gage_rc rc = GAGE_DONE;
    while (gage_ok(rc) && text.n > 0) {
        size_t part = piece > 0 && piece < text.n ? piece : text.n;
        rc = armor_get(&r, gage_slice_of(text.p, part), bytes, NULL);
        text = gage_slice_of(text.p + part, text.n - part);
    }
    return gage_ok(rc) ? armor_finish(&r, bytes, NULL) : rc;
}

/* What was read is what its own text gives again. */
static void
there_and_back(gage_slice text, size_t piece)
{
    struct armor_writer w = {.begun = false};
    AUTO(gage_buf) bytes = GAGE_BUF(OUT_MAX);
    AUTO(gage_buf) again = GAGE_BUF(OUT_MAX);
    AUTO(gage_buf) written = GAGE_BUF(OUT_MAX);
    if (!gage_ok(read_text(text, piece, &bytes)))
        return;
    if (bytes.n > text.n)
        abort();
    armor_put(&w, gage_buf_slice(&bytes), &written);
    armor_end(&w, &written);
    if (!gage_ok(read_text(gage_buf_slice(&written), 0, &again)) ||
        !slice_equal(gage_buf_slice(&bytes), gage_buf_slice(&again)))
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    AUTO(pair_note_t) note = PAIR_NOTE_EMPTY;
    AUTO(gage_buf) back = GAGE_BUF(65536);
    if (n < 1)
        return 0;
    gage_slice rest = gage_slice_of(data + 1, n - 1);
    if (data[0] < 200) {
        there_and_back(rest, data[0]);
        return 0;
    }
    if (gage_ok(pair_note_get(rest, &note, NULL))) {
        pair_note_put(&back, &note);
        if (back.bad || !pair_note_is(gage_buf_slice(&back)))
            abort();
    }
    return 0;
}
