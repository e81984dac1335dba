/* conf.h - configuration files as one table of rows: the program lists its keys, this reads, checks and prints them.
 *
 * Files are INI: [section], `key = value`, `#` comments (read by libini_config). A table row says where in the program's
 * settings structure the value goes, its default and its limits. The same row sets a value from a command line option, so that both
 * are checked alike. Manual pages list exactly the table's rows (tests/check keeps that). */
#ifndef GAGE_APP_CONF_H
#define GAGE_APP_CONF_H

#include "base/bytes.h"

enum conf_type {
    CONF_TEXT,    /* char *, owned by the structure, NULL when unset */
    CONF_INT,     /* int64_t */
    CONF_BOOL,    /* bool; yes/no, true/false, on/off, 1/0 */
    CONF_SECONDS, /* int64_t; "90", "10s", "5m", "24h", "2d", "1w" */
    CONF_BYTES    /* int64_t; "65536", "64K", "16M", "1G" (powers of 1024) */
};

struct conf_key {
    const char *section, *key;
    enum conf_type type;
    size_t offset;        /* of the member in the settings structure */
    const char *fallback; /* the default, as it would stand in a file; NULL: unset (text) or 0 */
    int64_t min, max;     /* for numbers, inclusive */
    const char *meaning;  /* a sentence for the manual */
};

struct conf_table {
    const struct conf_key *keys;
    size_t count;
};

/* Sets every member to its default. A default that does not pass its own row's check is GAGE_E_INTERNAL. */
gage_rc conf_defaults(const struct conf_table *table, void *settings, struct gage_err *err);
/* Reads the file over what is set. GAGE_E_NOT_FOUND where there is none; GAGE_E_CONFIG, with file, line and, for a name that is not in
 * the table, the nearest one, where something is wrong: then nothing is changed. */
gage_rc conf_load(const struct conf_table *table, void *settings, const char *path, struct gage_err *err);
/* Sets one value; `where` names its origin in the sentence ("--listen", "gage.conf:3"). */
gage_rc conf_set(const struct conf_key *key, void *settings, const char *value, const char *where,
                 struct gage_err *err);
/* The row, or NULL. Names compare without regard to case. */
const struct conf_key *conf_find(const struct conf_table *table, const char *section, const char *key);
/* Appends the settings in force, as a file that would give them. */
void conf_print(const struct conf_table *table, const void *settings, gage_buf *out);
/* Releases the text members. */
void conf_free(const struct conf_table *table, void *settings);

/* The candidate that `word` is most likely a slip of, or NULL where none is near. */
const char *nearest_word(const char *word, const char *const *candidates, size_t count);

#endif
