/* Reading a configuration file with libini_config into a table's settings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ini_configobj.h>
#include <ini_valueobj.h>

#include "app/conf.h"
#include "base/file.h"

#define KEYS_MAX 256
#define FILE_MAX (4u << 20)

static void
close_file(struct ini_cfgfile **file)
{
    if (*file != NULL)
        ini_config_file_destroy(*file);
}

static void
free_object(struct ini_cfgobj **object)
{
    if (*object != NULL)
        ini_config_destroy(*object);
}

static void
free_sections(char ***list)
{
    if (*list != NULL)
        ini_free_section_list(*list);
}

static void
free_attributes(char ***list)
{
    if (*list != NULL)
        ini_free_attribute_list(*list);
}

#define SCOPED(destroy) __attribute__((cleanup(destroy)))

/* The library's first complaint, e.g. "Missing closing bracket.", and its line. */
static gage_rc
syntax_error(struct ini_cfgobj *object, const char *path, struct gage_err *err)
{
    char **texts = NULL;
    gage_rc rc;
    if (ini_config_error_count(object) > 0 && ini_config_get_errors(object, &texts) == 0 && texts[0] != NULL)
        rc = gage_fail(err, GAGE_E_CONFIG, "%s: %s", path, texts[0]);
    else
        rc = gage_fail(err, GAGE_E_CONFIG, "%s is not a configuration file ([section], key = value)", path);
    if (texts != NULL)
        ini_config_free_errors(texts);
    return rc;
}

/* Read whole first: the library's own reading never ends where somebody makes the file shorter meanwhile. */
static gage_rc
parse_file(const char *path, struct ini_cfgobj **object, struct gage_err *err)
{
    SCOPED(close_file) struct ini_cfgfile *file = NULL;
    AUTO(gage_buf) text = GAGE_BUF(FILE_MAX);
    gage_rc rc = file_read(path, &text, err);
    if (!gage_ok(rc))
        return rc.code == GAGE_E_NOT_FOUND ? rc : gage_rc_of(GAGE_E_CONFIG);
    put_u8(&text, '\n'); /* it takes no text of no bytes */
    TRY(buf_check(&text, err));
    int failed = ini_config_file_from_mem(text.p, (uint32_t)text.n, &file);
    if (failed != 0)
        return gage_fail_sys(err, GAGE_E_CONFIG, failed, "cannot read %s", path);
    REQUIRE(ini_config_create(object) == 0, err, GAGE_E_NOMEM, "%s: out of memory", path);
    if (ini_config_parse(file, INI_STOP_ON_ANY, INI_MV1S_ERROR | INI_MV2S_ERROR | INI_MS_ERROR,
                         INI_PARSE_NOWRAP | INI_PARSE_IGNORE_NON_KVP, *object) != 0)
        return syntax_error(*object, path, err);
    return GAGE_DONE;
}

/* A name that is not in the table, with the nearest one that is. */
static gage_rc
unknown_name(const struct conf_table *table, const char *section, const char *key, const char *where,
             struct gage_err *err)
{
    const char *names[KEYS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < table->count && count < KEYS_MAX; i++)
        if (strcasecmp(table->keys[i].section, section) == 0)
            names[count++] = table->keys[i].key;
    REQUIRE(count > 0, err, GAGE_E_CONFIG, "%s: there is no section [%s]", where, section);
    const char *near = nearest_word(key, names, count);
    REQUIRE(near == NULL, err, GAGE_E_CONFIG, "%s: there is no key %s in [%s]; did you mean %s?", where, key, section,
            near);
    return gage_fail(err, GAGE_E_CONFIG, "%s: there is no key %s in [%s]", where, key, section);
}

static gage_rc
apply_key(const struct conf_table *table, void *settings, struct ini_cfgobj *object, const char *path,
          const char *section, const char *key, struct gage_err *err)
{
    struct value_obj *value = NULL;
    uint32_t line = 0;
    int failed = 0;
    char where[512];
    if (ini_get_config_valueobj(section, key, object, INI_GET_FIRST_VALUE, &value) != 0 || value == NULL)
        return gage_fail(err, GAGE_E_CONFIG, "%s: cannot read %s", path, key);
    value_get_line(value, &line);
    snprintf(where, sizeof where, "%s:%u", path, line);
    const struct conf_key *row = conf_find(table, section, key);
    if (row == NULL)
        return unknown_name(table, section, key, where, err);
    char *text = ini_get_string_config_value(value, &failed);
    REQUIRE(failed == 0 && text != NULL, err, GAGE_E_CONFIG, "%s: %s has no value", where, key);
    gage_rc rc = conf_set(row, settings, text, where, err);
    free(text);
    return rc;
}

static gage_rc
apply_section(const struct conf_table *table, void *settings, struct ini_cfgobj *object, const char *path,
              const char *section, struct gage_err *err)
{
    int count = 0, failed = 0;
    SCOPED(free_attributes) char **keys = ini_get_attribute_list(object, section, &count, &failed);
    /* That is how the library shows keys in front of the first section: without their names. */
    REQUIRE(count > 0 || strcmp(section, INI_DEFAULT_SECTION) != 0, err, GAGE_E_CONFIG,
            "%s: a key stands before any section in brackets, such as [%s]", path, table->keys[0].section);
    for (int i = 0; keys != NULL && i < count; i++)
        TRY(apply_key(table, settings, object, path, section, keys[i], err));
    return GAGE_DONE;
}

static gage_rc
apply_all(const struct conf_table *table, void *settings, struct ini_cfgobj *object, const char *path,
          struct gage_err *err)
{
    int count = 0, failed = 0;
    SCOPED(free_sections) char **sections = ini_get_section_list(object, &count, &failed);
    for (int i = 0; sections != NULL && i < count; i++)
        TRY(apply_section(table, settings, object, path, sections[i], err));
    return GAGE_DONE;
}

/* The settings are those of a whole file or none of it: a first pass sets a scratch copy. */
gage_rc
conf_load(const struct conf_table *table, void *settings, const char *path, struct gage_err *err)
{
    SCOPED(free_object) struct ini_cfgobj *object = NULL;
    TRY(parse_file(path, &object, err));
    size_t size = 0;
    for (size_t i = 0; i < table->count; i++)
        size = table->keys[i].offset + sizeof(int64_t) > size ? table->keys[i].offset + sizeof(int64_t) : size;
    void *scratch = calloc(1, size + sizeof(int64_t));
    REQUIRE(scratch != NULL, err, GAGE_E_NOMEM, "%s: out of memory", path);
    gage_rc rc = apply_all(table, scratch, object, path, err);
    conf_free(table, scratch);
    free(scratch);
    TRY(rc);
    return apply_all(table, settings, object, path, err);
}
