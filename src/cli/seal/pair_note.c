#include "cli/seal/pair_note.h"

#include <string.h>

#define MAGIC SLICE_LITERAL("gage-pair-note-1")

void
pair_note_free(struct pair_note *note)
{
    gage_buf_free(&note->pairing);
}

bool
pair_note_is(gage_slice bytes)
{
    return bytes.n >= MAGIC.n && memcmp(bytes.p, MAGIC.p, MAGIC.n) == 0;
}

void
pair_note_put(gage_buf *buf, const struct pair_note *note)
{
    put_bytes(buf, MAGIC);
    put_u8(buf, note->replace);
    put_u64(buf, (uint64_t)note->validity);
    put_vec16(buf, slice_str(note->alias));
    put_vec16(buf, slice_str(note->keyring));
    put_vec16(buf, gage_buf_slice(&note->pairing));
}

static void
get_text(struct reader *r, char *to, size_t size)
{
    gage_slice text = get_vec16(r);
    if (text.n >= size || (text.n > 0 && memchr(text.p, '\0', text.n) != NULL)) {
        r->bad = true;
        return;
    }
    if (text.n > 0)
        memcpy(to, text.p, text.n);
    to[text.n] = '\0';
}

gage_rc
pair_note_get(gage_slice bytes, struct pair_note *note, struct gage_err *err)
{
    struct reader r = read_from(bytes);
    bool ours = slice_equal(get_bytes(&r, MAGIC.n), MAGIC);
    REQUIRE(ours, err, GAGE_E_FORMAT, "the transfer's record makes no pairing");
    note->replace = get_u8(&r) == 1;
    note->validity = (int64_t)get_u64(&r);
    get_text(&r, note->alias, sizeof note->alias);
    get_text(&r, note->keyring, sizeof note->keyring);
    buf_reset(&note->pairing);
    put_bytes(&note->pairing, get_vec16(&r));
    TRY(read_end(&r, err, "the record of a pairing in the making"));
    return buf_check(&note->pairing, err);
}
