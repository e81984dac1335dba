#include "base/log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/encode.h"

#define LINE_MAX_BYTES 1024
#define LINES_A_SECOND 20
#define METERED_EVENTS 64

static enum log_level threshold = LOG_LEVEL_INFO;
static bool prefixed;
static log_writer writer; /* NULL: standard error itself; atomic */

void
log_set_level(enum log_level level)
{
    __atomic_store_n(&threshold, level, __ATOMIC_RELAXED);
}

void
log_set_prefix(bool on)
{
    __atomic_store_n(&prefixed, on, __ATOMIC_RELAXED);
}

void
log_set_writer(log_writer function)
{
    __atomic_store_n(&writer, function, __ATOMIC_RELEASE);
}

static void
put_text(gage_buf *line, const char *text)
{
    put_bytes(line, slice_str(text));
}

/* Whether the text goes into quotes as it is. */
static bool
is_plain(gage_slice text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < 0x20 || text.p[i] >= 0x7f || text.p[i] == '"' || text.p[i] == '\\')
            return false;
    return true;
}

static void
put_quoted(gage_buf *line, const char *text)
{
    AUTO(gage_buf) clean = GAGE_BUF(512);
    gage_slice all = gage_slice_of(text, strnlen(text, 500));
    if (is_plain(all)) {
        uint8_t *to = put_space(line, all.n + 2);
        if (to == NULL)
            return;
        to[0] = to[all.n + 1] = '"';
        memcpy(to + 1, all.p, all.n);
        return;
    }
    put_printable(&clean, all);
    put_u8(line, '"');
    for (size_t i = 0, run; i < clean.n; i += run) {
        if (clean.p[i] == '"' || clean.p[i] == '\\')
            put_u8(line, '\\');
        for (run = 1; i + run < clean.n && clean.p[i + run] != '"' && clean.p[i + run] != '\\'; run++)
            continue;
        put_bytes(line, gage_slice_of(clean.p + i, run));
    }
    put_u8(line, '"');
}

static void
put_number(gage_buf *line, int64_t number)
{
    uint8_t digits[20];
    size_t first = sizeof digits;
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    do
        digits[--first] = (uint8_t)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (number < 0)
        put_u8(line, '-');
    put_bytes(line, gage_slice_of(digits + first, sizeof digits - first));
}

static void
put_field(gage_buf *line, const struct log_field *field)
{
    put_u8(line, ' ');
    put_text(line, field->key);
    put_u8(line, '=');
    switch (field->kind) {
    case LOG_FIELD_INT:
        put_number(line, field->number);
        return;
    case LOG_FIELD_TEXT:
        put_quoted(line, field->text != NULL ? field->text : "");
        return;
    case LOG_FIELD_ERR:
        put_text(line, gage_code_name(field->err->code));
        put_text(line, " reason=");
        put_quoted(line, field->err->text);
        return;
    }
}

void
log_format(const struct log_event *event, const struct log_field *fields, size_t count, gage_buf *line)
{
    put_text(line, "event=");
    put_text(line, event->name);
    for (size_t i = 0; i < count; i++)
        put_field(line, &fields[i]);
    if (line->bad)
        line->n = line->n < line->max ? line->n : line->max - 1;
    line->bad = false;
    put_u8(line, '\n');
}

void
log_line(const struct log_event *event, const struct log_field *fields, size_t count, unsigned dropped, gage_buf *line)
{
    char note[64];
    if (__atomic_load_n(&prefixed, __ATOMIC_RELAXED) || getenv("JOURNAL_STREAM") != NULL) {
        snprintf(note, sizeof note, "<%d>", (int)event->level);
        put_text(line, note);
    }
    if (dropped > 0) {
        snprintf(note, sizeof note, "dropped=%u ", dropped);
        put_text(line, note);
    }
    log_format(event, fields, count, line);
}

/* How many lines of an event went out in the current second. */
struct meter {
    const struct log_event *event;
    int64_t second;
    unsigned written, dropped;
};

static struct meter meters[METERED_EVENTS];
static pthread_mutex_t meters_lock = PTHREAD_MUTEX_INITIALIZER;

/* Whether the event may be written now; *dropped is how many were not since the last one that was. */
static bool
admit(const struct log_event *event, unsigned *dropped)
{
    int64_t second = clock_monotonic_ns() / 1000000000;
    bool yes = true;
    *dropped = 0;
    pthread_mutex_lock(&meters_lock);
    struct meter *m = meters;
    while (m < meters + METERED_EVENTS - 1 && m->event != NULL && m->event != event)
        m++;
    if (m->event != event || m->second != second) {
        *dropped = m->event == event ? m->dropped : 0;
        *m = (struct meter){.event = event, .second = second};
    }
    if (m->written < LINES_A_SECOND)
        m->written++;
    else {
        m->dropped++;
        yes = false;
    }
    pthread_mutex_unlock(&meters_lock);
    return yes;
}

void
log_fields(const struct log_event *event, const struct log_field *fields, size_t count)
{
    unsigned dropped;
    if (event->level > __atomic_load_n(&threshold, __ATOMIC_RELAXED) || !admit(event, &dropped))
        return;
    AUTO(gage_buf) line = GAGE_BUF(LINE_MAX_BYTES + 32);
    log_writer function = __atomic_load_n(&writer, __ATOMIC_ACQUIRE);
    log_line(event, fields, count, dropped, &line);
    if (function != NULL) {
        function(gage_buf_slice(&line));
        return;
    }
    ssize_t ignored = write(STDERR_FILENO, line.p, line.n);
    (void)ignored;
}
