#include "stream/frame.h"

static const struct {
    const char *name;
    size_t min, max;
} types[] = {
    [FRAME_HANDSHAKE] = {"handshake token", 1, FRAME_HANDSHAKE_MAX},
    [FRAME_WRAP] = {"wrap record", 1, FRAME_WRAP_MAX},
    [FRAME_AEAD] = {"AEAD record", FRAME_AEAD_MIN, FRAME_AEAD_MAX},
    [FRAME_ERROR] = {"error text", 1, FRAME_ERROR_MAX},
};

void
frame_put(uint8_t header[FRAME_HEADER_LEN], enum frame_type type, size_t length)
{
    header[0] = (uint8_t)type;
    header[1] = (uint8_t)(length >> 16);
    header[2] = (uint8_t)(length >> 8);
    header[3] = (uint8_t)length;
}

gage_rc
frame_get(const uint8_t header[FRAME_HEADER_LEN], struct frame *frame, struct gage_err *err)
{
    size_t type = header[0], length = (size_t)header[1] << 16 | (size_t)header[2] << 8 | header[3];
    REQUIRE(type < sizeof types / sizeof *types, err, GAGE_E_FORMAT,
            "the peer sent a frame of type %zu, which does not exist: not STARTGSS, or damaged", type);
    REQUIRE(length >= types[type].min && length <= types[type].max, err, GAGE_E_LIMIT,
            "the peer announced a %s of %zu bytes, outside %zu to %zu", types[type].name, length, types[type].min,
            types[type].max);
    *frame = (struct frame){(enum frame_type)type, length};
    return GAGE_DONE;
}

const char *
frame_name(enum frame_type type)
{
    return types[type].name;
}
