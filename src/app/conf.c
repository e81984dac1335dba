#include "app/conf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/encode.h"

static void *
member(void *settings, const struct conf_key *key)
{
    return (char *)settings + key->offset;
}

static const void *
member_const(const void *settings, const struct conf_key *key)
{
    return (const char *)settings + key->offset;
}

/* ---- values ---- */

static bool
parse_int(const char *text, int64_t *value)
{
    char *end;
    if (strlen(text) == 0 || strlen(text) > 19 || strspn(text, "0123456789-") != strlen(text))
        return false;
    *value = strtoll(text, &end, 10);
    return *end == '\0';
}

static bool
parse_bytes(const char *text, int64_t *value)
{
    static const char units[] = "KMG";
    char digits[20];
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > 15)
        return false;
    memcpy(digits, text, n);
    digits[n] = '\0';
    *value = strtoll(digits, NULL, 10);
    if (text[n] == '\0')
        return true;
    const char *unit = strchr(units, text[n]);
    if (unit == NULL || text[n + 1] != '\0')
        return false;
    return !__builtin_mul_overflow(*value, INT64_C(1) << (10 * (unit - units + 1)), value);
}

static bool
parse_bool(const char *text, bool *value)
{
    static const char *const words[2][4] = {{"no", "false", "off", "0"}, {"yes", "true", "on", "1"}};
    for (size_t v = 0; v < 2; v++)
        for (size_t i = 0; i < 4; i++)
            if (strcasecmp(text, words[v][i]) == 0) {
                *value = v == 1;
                return true;
            }
    return false;
}

static gage_rc
set_number(const struct conf_key *key, int64_t *to, const char *value, const char *where, struct gage_err *err)
{
    int64_t number = 0;
    bool good;
    if (key->type == CONF_SECONDS)
        good = gage_ok(duration_parse(value, &number));
    else
        good = key->type == CONF_BYTES ? parse_bytes(value, &number) : parse_int(value, &number);
    static const char *const examples[] = {"", "a whole number", "", "a time such as 90s, 5m, 24h, 2d",
                                           "a size such as 65536, 64K, 16M"};
    REQUIRE(good, err, GAGE_E_CONFIG, "%s: %s must be %s", where, key->key, examples[key->type]);
    REQUIRE(number >= key->min && number <= key->max, err, GAGE_E_CONFIG, "%s: %s must be from %" PRId64 " to %" PRId64,
            where, key->key, key->min, key->max);
    *to = number;
    return GAGE_DONE;
}

static gage_rc
set_text(const struct conf_key *key, char **to, const char *value, const char *where, struct gage_err *err)
{
    REQUIRE(utf8_printable(slice_str(value)), err, GAGE_E_CONFIG, "%s: %s holds control characters or is not UTF-8",
            where, key->key);
    char *copy = strdup(value);
    REQUIRE(copy != NULL, err, GAGE_E_NOMEM, "%s: out of memory", where);
    free(*to);
    *to = copy;
    return GAGE_DONE;
}

gage_rc
conf_set(const struct conf_key *key, void *settings, const char *value, const char *where, struct gage_err *err)
{
    bool flag;
    switch (key->type) {
    case CONF_TEXT:
        return set_text(key, member(settings, key), value, where, err);
    case CONF_BOOL:
        REQUIRE(parse_bool(value, &flag), err, GAGE_E_CONFIG, "%s: %s must be yes or no", where, key->key);
        *(bool *)member(settings, key) = flag;
        return GAGE_DONE;
    case CONF_INT:
    case CONF_SECONDS:
    case CONF_BYTES:
        break;
    }
    return set_number(key, member(settings, key), value, where, err);
}

static void
unset(const struct conf_key *key, void *settings)
{
    if (key->type == CONF_TEXT)
        *(char **)member(settings, key) = NULL;
    else if (key->type == CONF_BOOL)
        *(bool *)member(settings, key) = false;
    else
        *(int64_t *)member(settings, key) = 0;
}

gage_rc
conf_defaults(const struct conf_table *table, void *settings, struct gage_err *err)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct conf_key *key = &table->keys[i];
        unset(key, settings);
        if (key->fallback == NULL)
            continue;
        gage_rc rc = conf_set(key, settings, key->fallback, "default", err);
        if (!gage_ok(rc))
            return gage_rc_of(GAGE_E_INTERNAL);
    }
    return GAGE_DONE;
}

void
conf_free(const struct conf_table *table, void *settings)
{
    for (size_t i = 0; i < table->count; i++) {
        if (table->keys[i].type != CONF_TEXT)
            continue;
        char **text = member(settings, &table->keys[i]);
        free(*text);
        *text = NULL;
    }
}

const struct conf_key *
conf_find(const struct conf_table *table, const char *section, const char *key)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcasecmp(table->keys[i].section, section) == 0 && strcasecmp(table->keys[i].key, key) == 0)
            return &table->keys[i];
    return NULL;
}

/* ---- printing ---- */

static void
put_string(gage_buf *out, const char *text)
{
    put_bytes(out, slice_str(text));
}

static void
put_value(const struct conf_key *key, const void *settings, gage_buf *out)
{
    char number[24];
    if (key->type == CONF_TEXT)
        put_string(out, *(char *const *)member_const(settings, key));
    else if (key->type == CONF_BOOL)
        put_string(out, *(const bool *)member_const(settings, key) ? "yes" : "no");
    else {
        snprintf(number, sizeof number, "%" PRId64, *(const int64_t *)member_const(settings, key));
        put_string(out, number);
    }
}

void
conf_print(const struct conf_table *table, const void *settings, gage_buf *out)
{
    const char *section = "";
    for (size_t i = 0; i < table->count; i++) {
        const struct conf_key *key = &table->keys[i];
        if (key->type == CONF_TEXT && *(char *const *)member_const(settings, key) == NULL)
            continue;
        if (strcmp(section, key->section) != 0) {
            section = key->section;
            put_string(out, "[");
            put_string(out, section);
            put_string(out, "]\n");
        }
        put_string(out, key->key);
        put_string(out, " = ");
        put_value(key, settings, out);
        put_string(out, "\n");
    }
}

/* ---- slips of the pen ---- */

#define WORD_LONGEST 63

/* How many letters must be changed, added or left out to make one word of the other. */
static size_t
distance(const char *a, const char *b)
{
    size_t n = strlen(b), row[WORD_LONGEST + 1];
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t change = diagonal + (strncasecmp(&a[i - 1], &b[j - 1], 1) != 0);
            size_t shorter = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            diagonal = row[j];
            row[j] = change < shorter ? change : shorter;
        }
    }
    return row[n];
}

const char *
nearest_word(const char *word, const char *const *candidates, size_t count)
{
    const char *best = NULL;
    size_t least = strlen(word) / 3 + 2;
    if (strlen(word) > WORD_LONGEST)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t far = strlen(candidates[i]) > WORD_LONGEST ? least : distance(word, candidates[i]);
        if (far < least) {
            least = far;
            best = candidates[i];
        }
    }
    return best;
}
