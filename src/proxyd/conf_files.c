/* Reading gssproxy's files with the parser gssproxy uses (libini_config), with its rules: within a file sections merge and keys may
 * repeat; across files the first section of a name counts whole. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ini_configobj.h>
#include <ini_valueobj.h>

#include "base/file.h"
#include "proxyd/conf.h"

#define FILE_MAX (4u << 20)
#define WITHIN_A_FILE (INI_MS_MERGE | INI_MV1S_ALLOW | INI_MV2S_ALLOW)

struct parsed {
    struct ini_cfgfile *file;
    struct ini_cfgobj *object;
};

static void
parsed_free(struct parsed *p)
{
    if (p->file != NULL)
        ini_config_file_destroy(p->file);
    if (p->object != NULL)
        ini_config_destroy(p->object);
}

/* The parser's "Error (5) on line 3: Equal sign is missing." as FILE:LINE: sentence. */
static gage_rc
fail_at(const char *path, const char *text, struct gage_err *err)
{
    static const char mark[] = " on line ";
    const char *line = strstr(text, mark), *said = line != NULL ? strstr(line, ": ") : NULL;
    if (said == NULL)
        return gage_fail(err, GAGE_E_CONFIG, "%s: %s", path, text);
    line += sizeof mark - 1;
    return gage_fail(err, GAGE_E_CONFIG, "%s:%.*s: %s (a line is [section] or key = value)", path, (int)(said - line),
                     line, said + 2);
}

/* Read whole first: the parser's own reading never ends where somebody makes the file shorter meanwhile. */
static gage_rc
parse(const char *path, struct parsed *p, struct gage_err *err)
{
    AUTO(gage_buf) text = GAGE_BUF(FILE_MAX);
    gage_rc rc = file_read(path, &text, err);
    if (!gage_ok(rc))
        return rc.code == GAGE_E_NOT_FOUND ? rc : gage_rc_of(GAGE_E_CONFIG);
    put_u8(&text, '\n'); /* it takes no text of no bytes */
    TRY(buf_check(&text, err));
    int failed = ini_config_file_from_mem(text.p, (uint32_t)text.n, &p->file);
    if (failed != 0)
        return gage_fail_sys(err, GAGE_E_CONFIG, failed, "cannot read %s", path);
    REQUIRE(ini_config_create(&p->object) == 0, err, GAGE_E_NOMEM, "%s: out of memory", path);
    if (ini_config_parse(p->file, INI_STOP_ON_ANY, WITHIN_A_FILE, INI_PARSE_NOWRAP, p->object) == 0)
        return GAGE_DONE;
    char **texts = NULL;
    rc = ini_config_get_errors(p->object, &texts) == 0 && texts != NULL && texts[0] != NULL
             ? fail_at(path, texts[0], err)
             : gage_fail(err, GAGE_E_CONFIG, "%s is not a configuration file ([section], key = value)", path);
    if (texts != NULL)
        ini_config_free_errors(texts);
    return rc;
}

/* gssproxy.conf(5): what stands behind a # is a comment; behind a value where a blank stands before it. */
static void
cut_comment(char *text)
{
    for (char *p = text; *p != '\0'; p++) {
        if (*p != '#' || (p > text && p[-1] != ' ' && p[-1] != '\t'))
            continue;
        while (p > text && (p[-1] == ' ' || p[-1] == '\t'))
            p--;
        *p = '\0';
        return;
    }
}

/* All values of a key, in the file's order. */
static gage_rc
take_values(struct conf *conf, struct parsed *p, const char *path, const char *section, const char *key,
            struct gage_err *err)
{
    for (int mode = INI_GET_FIRST_VALUE;; mode = INI_GET_NEXT_VALUE) {
        struct value_obj *value = NULL;
        if (ini_get_config_valueobj(section, key, p->object, mode, &value) != 0 || value == NULL)
            return GAGE_DONE;
        uint32_t line = 0;
        int failed = 0;
        char where[600];
        value_get_line(value, &line);
        snprintf(where, sizeof where, "%s:%u", path, line);
        char *text = ini_get_string_config_value(value, &failed);
        if (text != NULL)
            cut_comment(text);
        gage_rc rc = conf_add_entry(conf, section, key, text != NULL ? text : "", where, err);
        free(text);
        TRY(rc);
    }
}

/* The place of a section an earlier file defined, or NULL. */
static const char *
defined_at(const struct conf *conf, size_t before, const char *section)
{
    for (size_t i = 0; i < before; i++)
        if (strcasecmp(conf->entries[i].section, section) == 0)
            return conf->entries[i].where;
    return NULL;
}

static gage_rc
take_section(struct conf *conf, struct parsed *p, const char *path, const char *section, size_t before,
             struct gage_err *err)
{
    const char *earlier = defined_at(conf, before, section);
    if (earlier != NULL) {
        conf_warn(conf, "%s: [%s] is ignored: the one at %s comes first", path, section, earlier);
        return GAGE_DONE;
    }
    int count = 0, failed = 0;
    gage_rc rc = GAGE_DONE;
    char **keys = ini_get_attribute_list(p->object, section, &count, &failed);
    for (int i = 0; keys != NULL && i < count && gage_ok(rc); i++) {
        bool repeated = false;
        for (int j = 0; j < i; j++)
            repeated = repeated || strcmp(keys[j], keys[i]) == 0;
        if (!repeated)
            rc = take_values(conf, p, path, section, keys[i], err);
    }
    if (keys != NULL)
        ini_free_attribute_list(keys);
    return rc;
}

static gage_rc
take_file(struct conf *conf, const char *path, struct gage_err *err)
{
    __attribute__((cleanup(parsed_free))) struct parsed p = {0};
    size_t before = conf->entry_count;
    TRY(parse(path, &p, err));
    int count = 0, failed = 0;
    gage_rc rc = GAGE_DONE;
    char **sections = ini_get_section_list(p.object, &count, &failed);
    for (int i = 0; sections != NULL && i < count && gage_ok(rc); i++)
        rc = take_section(conf, &p, path, sections[i], before, err);
    if (sections != NULL)
        ini_free_section_list(sections);
    return rc;
}

/* NN-NAME.conf, NAME one character at least */
static int
is_fragment(const struct dirent *entry)
{
    const char *name = entry->d_name;
    size_t n = strlen(name);
    return n > sizeof "NN-.conf" - 1 && strspn(name, "0123456789") >= 2 && name[2] == '-' &&
           strcmp(name + n - 5, ".conf") == 0;
}

static gage_rc
take_folder(struct conf *conf, const char *folder, bool named, struct gage_err *err)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, is_fragment, alphasort);
    if (count < 0) {
        if (errno == ENOENT && !named)
            return GAGE_DONE;
        return gage_fail_sys(err, GAGE_E_CONFIG, errno, "cannot read the folder %s", folder);
    }
    gage_rc rc = GAGE_DONE;
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (gage_ok(rc))
            rc = take_file(conf, path, err);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

gage_rc
conf_read_files(const struct conf_source *source, struct conf *conf, struct gage_err *err)
{
    const char *file = source->file != NULL ? source->file : CONF_DEFAULT_FILE;
    const char *folder = source->folder != NULL ? source->folder : source->file == NULL ? CONF_DEFAULT_FOLDER : NULL;
    gage_rc rc = take_file(conf, file, err);
    if (rc.code == GAGE_E_NOT_FOUND && source->file == NULL)
        rc = GAGE_DONE;
    TRY(rc);
    return folder != NULL ? take_folder(conf, folder, source->folder != NULL, err) : GAGE_DONE;
}
