/* log.h - one line a failure, said where it is handled: `event=NAME key=value ...` on standard error.
 *
 * A program lists its events in an X-macro table (name, level, what it means and what to do), from which its manual page is
 * made too. Values are typed; none can carry raw bytes: text is quoted, and what is not printable UTF-8 becomes '?'.
 * With $JOURNAL_STREAM set, lines carry the <N> prefix that systemd reads. */
#ifndef GAGE_BASE_LOG_H
#define GAGE_BASE_LOG_H

#include "base/bytes.h"

enum log_level {
    LOG_LEVEL_ERROR = 3,
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_NOTICE = 5,
    LOG_LEVEL_INFO = 6,
    LOG_LEVEL_DEBUG = 7
};

struct log_event {
    const char *name;
    enum log_level level;
    const char *meaning;
};

struct log_field {
    const char *key;
    enum { LOG_FIELD_INT, LOG_FIELD_TEXT, LOG_FIELD_ERR } kind;
    int64_t number;
    const char *text;
    const struct gage_err *err;
};
#define F_INT(key, value) ((struct log_field){(key), LOG_FIELD_INT, (int64_t)(value), NULL, NULL})
#define F_TEXT(key, value) ((struct log_field){(key), LOG_FIELD_TEXT, 0, (value), NULL})
#define F_ERR(value) ((struct log_field){"error", LOG_FIELD_ERR, 0, NULL, (value)})

/* Lines above this level are dropped; the default is LOG_LEVEL_INFO. A process-wide setting of programs. */
void log_set_level(enum log_level level);
/* Whether lines carry systemd's prefix from now on, $JOURNAL_STREAM or not. A process-wide setting of programs. */
void log_set_prefix(bool on);
/* Writes the line with one write(2), or gives it to log_set_writer's. At most 20 lines a second of each event (per address of `event`'s table
 * row) go out; the next line after a pause says how many were dropped. Thread-safe. */
void log_fields(const struct log_event *event, const struct log_field *fields, size_t count);

/* Takes whole lines instead of standard error; NULL: standard error again. A process-wide setting of programs. */
typedef void (*log_writer)(gage_slice line);
void log_set_writer(log_writer function);

#define LOG(event, ...)                                                                                                \
    log_fields((event), (const struct log_field[]){__VA_ARGS__},                                                       \
               sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))
#define LOG_BARE(event) log_fields((event), NULL, 0)

/* Formats one line, newline included, without writing it: what log_fields does and the tests look at. */
void log_format(const struct log_event *event, const struct log_field *fields, size_t count, gage_buf *line);
/* The same with what stands before it on standard error: systemd's prefix, and how many were dropped where that is not 0. */
void log_line(const struct log_event *event, const struct log_field *fields, size_t count, unsigned dropped,
              gage_buf *line);

#endif
