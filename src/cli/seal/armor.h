/* armor.h - a seal as text: base64 in lines of 64 between two marks (doc/seal.md, section 7), in constant memory. */
#ifndef GAGE_CLI_SEAL_ARMOR_H
#define GAGE_CLI_SEAL_ARMOR_H

#include "base/encode.h"

#define ARMOR_BEGIN "-----BEGIN GAGE SEAL-----"
#define ARMOR_END "-----END GAGE SEAL-----"

struct armor_writer {
    bool begun;
    uint8_t held[48];
    size_t n;
};
void armor_put(struct armor_writer *w, gage_slice bytes, gage_buf *text);
void armor_end(struct armor_writer *w, gage_buf *text);

struct armor_reader {
    char line[128];
    size_t n;
    bool begun, short_line, ended;
};
/* Appends the bytes of whole lines. GAGE_E_FORMAT for anything else than the documented form. */
gage_rc armor_get(struct armor_reader *r, gage_slice text, gage_buf *bytes, struct gage_err *err);
gage_rc armor_finish(struct armor_reader *r, gage_buf *bytes, struct gage_err *err);

#endif
