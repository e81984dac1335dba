/* Questions to the person at the controlling terminal. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>

#include "base/encode.h"
#include "base/file.h"
#include "cli/terminal.h"

/* The controlling terminal, whatever standard input and output are. */
static int
open_tty(void)
{
    return open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
}

bool
terminal_can_ask(void)
{
    AUTO(gage_fd) tty = open_tty();
    return tty >= 0;
}

/* A terminal whose echo is off until scope end. */
typedef struct {
    int tty;
    bool changed;
    struct termios before;
} hush_t;

static void
hush_end(hush_t *hush)
{
    if (hush->changed)
        tcsetattr(hush->tty, TCSAFLUSH, &hush->before);
}
GAGE_AUTO_DEFINE(hush_t, hush_end)

static void
hush_begin(hush_t *hush, int tty)
{
    struct termios quiet;
    hush->tty = tty;
    if (tcgetattr(tty, &hush->before) != 0)
        return;
    quiet = hush->before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    quiet.c_lflag |= ECHONL;
    hush->changed = tcsetattr(tty, TCSAFLUSH, &quiet) == 0;
}

/* Reads to the end of the line, one byte at a time: what follows belongs to the next question. */
static gage_rc
read_line(int tty, gage_buf *answer, struct gage_err *err)
{
    uint8_t byte = 0;
    for (;;) {
        ssize_t n = read(tty, &byte, 1);
        if (n < 0 && errno == EINTR && !interrupted())
            continue;
        REQUIRE(n == 1, err, GAGE_E_CANCELLED, "no answer was given: nothing was done");
        if (byte == '\n')
            break;
        put_u8(answer, byte);
        byte = 0;
    }
    REQUIRE(!answer->bad, err, GAGE_E_LIMIT, "the answer is longer than %zu bytes", answer->max);
    return GAGE_DONE;
}

gage_rc
terminal_ask(const char *question, bool hidden, gage_buf *answer, struct gage_err *err)
{
    AUTO(gage_fd) tty = open_tty();
    REQUIRE(tty >= 0, err, GAGE_E_USAGE, "there is no terminal to ask on: %s", question);
    waiting_done();
    AUTO(gage_buf) shown = GAGE_BUF(4096);
    put_printable(&shown, slice_str(question));
    put_u8(&shown, ' ');
    AUTO(hush_t) hush = {.tty = -1};
    if (hidden)
        hush_begin(&hush, tty);
    TRY(file_write_fd(tty, "the terminal", gage_buf_slice(&shown), err));
    return read_line(tty, answer, err);
}

gage_rc
terminal_ask_yes(const char *question, bool *yes, struct gage_err *err)
{
    static const char *const words[] = {"", "n", "no", "y", "yes"};
    char full[512];
    snprintf(full, sizeof full, "%s [y/N]", question);
    for (;;) {
        AUTO(gage_buf) answer = GAGE_BUF(256);
        TRY(terminal_ask(full, false, &answer, err));
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
            if (answer.n == strlen(words[i]) &&
                (answer.n == 0 || strncasecmp((const char *)answer.p, words[i], answer.n) == 0)) {
                *yes = i >= 3;
                return GAGE_DONE;
            }
        }
    }
}
