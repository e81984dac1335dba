/* frame.h - frame headers and the limit of each type (doc/startgss.md, "Frames"). */
#ifndef GAGE_STREAM_FRAME_H
#define GAGE_STREAM_FRAME_H

#include "base/bytes.h"

enum frame_type { FRAME_HANDSHAKE = 0, FRAME_WRAP = 1, FRAME_AEAD = 2, FRAME_ERROR = 3 };

#define FRAME_HEADER_LEN 4
#define FRAME_HANDSHAKE_MAX 131072
#define FRAME_WRAP_MAX 66560
#define FRAME_AEAD_MIN 16
#define FRAME_AEAD_MAX 65552
#define FRAME_ERROR_MAX 255

struct frame {
    enum frame_type type;
    size_t length; /* of the payload */
};

void frame_put(uint8_t header[FRAME_HEADER_LEN], enum frame_type type, size_t length);
/* Reads a header: GAGE_E_FORMAT for a type that does not exist, GAGE_E_LIMIT for a length outside the type's limits. */
gage_rc frame_get(const uint8_t header[FRAME_HEADER_LEN], struct frame *frame, struct gage_err *err);
/* The type's name for sentences. */
const char *frame_name(enum frame_type type);

#endif
