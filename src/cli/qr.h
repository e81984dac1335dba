/* qr.h - an invitation as a QR code, on the terminal or as a PNG file. */
#ifndef GAGE_CLI_QR_H
#define GAGE_CLI_QR_H

#include "base/bytes.h"

/* Appends the code for a terminal: two rows of modules a line by half blocks (U+2580, U+2584, U+2588), light modules drawn,
 * dark ones left out with the background, with the quiet zone of 4 modules. `color`: sets black on white by escape sequences, so that it
 * reads on light and dark terminals alike. GAGE_E_LIMIT where the text is too long for a code. */
gage_rc qr_terminal(gage_slice text, bool color, gage_buf *out, struct gage_err *err);

/* Writes a PNG (grey, 8 pixels a module) of mode 0600; GAGE_E_EXISTS where the file is there already. */
gage_rc qr_png(gage_slice text, const char *path, struct gage_err *err);

#endif
