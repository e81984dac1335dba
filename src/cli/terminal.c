#include "cli/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/file.h"

#define LINE_MAX_BYTES 1024
#define TELL_AFTER_NS INT64_C(1000000000)

static struct {
    bool quiet, live, drawn;
    char mark[32];    /* in front of each line */
    char what[256];   /* waited for; empty: nothing */
    int64_t since;    /* seconds since 1970 */
    int64_t began_ns; /* when this process began to wait for it */
    bool told;        /* the plain line was printed */
    int64_t drawn_second;
} term;

void
terminal_start(bool quiet)
{
    const char *kind = getenv("TERM");
    term.quiet = quiet;
    term.live = !quiet && isatty(STDERR_FILENO) && kind != NULL && strcmp(kind, "dumb") != 0;
}

void
terminal_share(const char *name)
{
    term.live = false;
    snprintf(term.mark, sizeof term.mark, "[%s] ", name);
}

static void
write_stderr(const gage_buf *line)
{
    (void)file_write_fd(STDERR_FILENO, "standard error", gage_buf_slice(line), NULL);
}

static void
put_erase(gage_buf *line)
{
    if (term.drawn)
        put_bytes(line, SLICE_LITERAL("\r\033[K"));
    term.drawn = false;
}

/* One whole line, over the live one. */
static void
print_line(const char *prefix, const char *text)
{
    AUTO(gage_buf) line = GAGE_BUF(LINE_MAX_BYTES * 4);
    put_erase(&line);
    put_bytes(&line, slice_str(term.mark));
    put_bytes(&line, slice_str(prefix));
    put_printable(&line, slice_str(text));
    put_u8(&line, '\n');
    write_stderr(&line);
    term.drawn_second = -1;
}

void
say(const char *fmt, ...)
{
    char text[LINE_MAX_BYTES];
    va_list args;
    if (term.quiet)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    print_line("", text);
    waiting_tick();
}

void
say_failure(const struct gage_err *err)
{
    waiting_done();
    print_line("gage: ", err->text[0] != '\0' ? err->text : gage_code_text(err->code));
}

void
duration_text(int64_t seconds, char text[32])
{
    int64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
    if (seconds < 60)
        snprintf(text, 32, "%d s", (int)(seconds < 0 ? 0 : seconds));
    else if (minutes < 60)
        snprintf(text, 32, "%d min %d s", (int)minutes, (int)(seconds % 60));
    else if (hours < 48)
        snprintf(text, 32, "%d h %d min", (int)hours, (int)(minutes % 60));
    else
        snprintf(text, 32, "%lld days %d h", (long long)days, (int)(hours % 24));
}

void
waiting_for(const char *what, int64_t since, const char *trouble)
{
    char text[sizeof term.what];
    snprintf(text, sizeof text, "%s%s%s", what, trouble[0] != '\0' ? "; " : "", trouble);
    term.since = since;
    if (strcmp(text, term.what) == 0) {
        waiting_tick();
        return;
    }
    memcpy(term.what, text, sizeof text);
    term.drawn_second = -1;
    term.told = false;
    term.began_ns = clock_monotonic_ns();
    if (text[0] == '\0')
        waiting_done();
    waiting_tick();
}

static size_t
terminal_columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20)
        return 80;
    return size.ws_col;
}

/* Without a live line, a wait that a person would notice is told once. */
static void
tell_plainly(void)
{
    if (term.quiet || term.told || term.what[0] == '\0' || clock_monotonic_ns() - term.began_ns < TELL_AFTER_NS)
        return;
    term.told = true;
    print_line("waiting for ", term.what);
}

void
waiting_tick(void)
{
    if (!term.live) {
        tell_plainly();
        return;
    }
    int64_t second = clock_now() - term.since;
    if (term.what[0] == '\0' || second == term.drawn_second)
        return;
    char since[32], text[sizeof term.what + 64];
    duration_text(second, since);
    snprintf(text, sizeof text, "waiting (%s) for %s", since, term.what);
    AUTO(gage_buf) line = GAGE_BUF(LINE_MAX_BYTES * 4);
    put_erase(&line);
    /* Never wrap: a second row would not be erased. What is longer is cut; bytes are at least as many as columns. */
    put_printable(&line, gage_slice_of(text, strnlen(text, terminal_columns() - 1)));
    write_stderr(&line);
    term.drawn = true;
    term.drawn_second = second;
}

void
waiting_done(void)
{
    AUTO(gage_buf) line = GAGE_BUF(16);
    term.what[0] = '\0';
    put_erase(&line);
    if (line.n > 0)
        write_stderr(&line);
}

/* ---- interrupts ---- */

static volatile sig_atomic_t caught;

static void
on_signal(int number)
{
    caught = number;
}

void
interrupts_catch(void)
{
    /* Without SA_RESTART: reads on the terminal and waits return. The second signal kills at once. */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

int
interrupted(void)
{
    return caught;
}

void
sleep_ms(int64_t milliseconds)
{
    int64_t end = clock_monotonic_ns() + milliseconds * 1000000;
    while (!interrupted()) {
        int64_t left = (end - clock_monotonic_ns()) / 1000000;
        if (left <= 0)
            return;
        poll(NULL, 0, left > 250 ? 250 : (int)left);
        waiting_tick();
    }
}
