#include "cli/qr.h"

#include <stdlib.h>
#include <string.h>

#include <png.h>
#include <qrencode.h>

#include "base/file.h"
#include "base/secret.h"

#define QUIET_ZONE 4
#define PIXELS 8
#define TEXT_MAX 1200
#define PNG_MAX (1024u * 1024)

typedef QRcode *qrcode;
static void
qrcode_free(qrcode *code)
{
    if (*code != NULL)
        gage_wipe((*code)->data, (size_t)((*code)->width * (*code)->width));
    QRcode_free(*code);
}
GAGE_AUTO_DEFINE(qrcode, qrcode_free)

static gage_rc
encode(gage_slice text, qrcode *code, struct gage_err *err)
{
    REQUIRE(text.n <= TEXT_MAX, err, GAGE_E_LIMIT, "the invitation is too long for a QR code");
    *code = QRcode_encodeData((int)text.n, text.p, 0, QR_ECLEVEL_M);
    REQUIRE(*code != NULL, err, GAGE_E_INTERNAL, "libqrencode made no code");
    return GAGE_DONE;
}

/* Whether the module is dark; outside the code it is not. */
static bool
dark(const QRcode *code, int x, int y)
{
    return x >= 0 && y >= 0 && x < code->width && y < code->width && (code->data[y * code->width + x] & 1) != 0;
}

gage_rc
qr_terminal(gage_slice text, bool color, gage_buf *out, struct gage_err *err)
{
    static const char *const glyph[2][2] = {{"\u2588", "\u2580"}, {"\u2584", " "}}; /* [upper dark][lower dark] */
    AUTO(qrcode) code = NULL;
    TRY(encode(text, &code, err));
    for (int y = -QUIET_ZONE; y < code->width + QUIET_ZONE; y += 2) {
        put_bytes(out, slice_str(color ? "\033[40;97m" : ""));
        for (int x = -QUIET_ZONE; x < code->width + QUIET_ZONE; x++)
            put_bytes(out, slice_str(glyph[dark(code, x, y)][dark(code, x, y + 1)]));
        put_bytes(out, slice_str(color ? "\033[0m\n" : "\n"));
    }
    return buf_check(out, err);
}

/* ---- PNG ---- */

static void
png_to_buf(png_structp png, png_bytep bytes, size_t n)
{
    put_bytes(png_get_io_ptr(png), gage_slice_of(bytes, n));
}

static void
png_flush_nothing(png_structp png)
{
}

/* Draws row by row. libpng reports by longjmp: nothing in here needs releasing. */
static bool
png_draw(png_structp png, png_infop info, const QRcode *code, uint8_t *row, gage_buf *out)
{
    int modules = code->width + 2 * QUIET_ZONE;
    if (setjmp(png_jmpbuf(png)) != 0)
        return false;
    png_set_write_fn(png, out, png_to_buf, png_flush_nothing);
    png_set_IHDR(png, info, (png_uint_32)(modules * PIXELS), (png_uint_32)(modules * PIXELS), 8, PNG_COLOR_TYPE_GRAY,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int y = 0; y < modules * PIXELS; y++) {
        for (int x = 0; x < modules * PIXELS; x++)
            row[x] = dark(code, x / PIXELS - QUIET_ZONE, y / PIXELS - QUIET_ZONE) ? 0 : 255;
        png_write_row(png, row);
    }
    png_write_end(png, info);
    return true;
}

gage_rc
qr_png(gage_slice text, const char *path, struct gage_err *err)
{
    AUTO(qrcode) code = NULL;
    AUTO(gage_buf) image = GAGE_BUF(PNG_MAX);
    AUTO(gage_buf) row = GAGE_BUF(8192);
    TRY(encode(text, &code, err));
    uint8_t *space = put_space(&row, (size_t)((code->width + 2 * QUIET_ZONE) * PIXELS));
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png != NULL ? png_create_info_struct(png) : NULL;
    bool drawn = info != NULL && space != NULL && png_draw(png, info, code, space, &image);
    png_destroy_write_struct(&png, &info);
    REQUIRE(drawn && !image.bad, err, GAGE_E_INTERNAL, "libpng made no picture");
    return file_install(path, gage_buf_slice(&image), 0600, err);
}
