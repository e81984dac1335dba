#include "otc/secretfile.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "otc/status.h"

enum field { F_SECRET, F_SIDE, F_NOT_AFTER, F_LABEL, F_PURPOSE, F_COUNT };
static const char *const field_names[F_COUNT] = {"secret", "side", "not-after", "label", "purpose"};

/* Takes the next line off *rest, without its newline. */
static gage_slice
take_line(gage_slice *rest)
{
    const uint8_t *newline = memchr(rest->p, '\n', rest->n);
    size_t n = newline != NULL ? (size_t)(newline - rest->p) : rest->n;
    gage_slice line = {rest->p, n};
    size_t used = newline != NULL ? n + 1 : n;
    *rest = gage_slice_of(rest->p + used, rest->n - used);
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

/* The field that the line sets, its value in *value; -1 for a line of no known key. */
static int
split(gage_slice line, gage_slice *value)
{
    const uint8_t *equals = memchr(line.p, '=', line.n);
    if (equals == NULL)
        return -1;
    gage_slice key = {line.p, (size_t)(equals - line.p)};
    *value = gage_slice_of(equals + 1, line.n - key.n - 1);
    for (int i = 0; i < F_COUNT; i++) {
        if (slice_equal(key, slice_str(field_names[i])))
            return i;
    }
    return -1;
}

static bool
read_fields(gage_slice bytes, gage_slice value[F_COUNT])
{
    if (bytes.n == 0 || !slice_equal(take_line(&bytes), SLICE_LITERAL("gage-otc-secret 1")))
        return false;
    while (bytes.n > 0) {
        gage_slice line = take_line(&bytes), v;
        if (line.n == 0 || line.p[0] == '#')
            continue;
        int field = split(line, &v);
        if (field < 0 || value[field].p != NULL)
            return false;
        value[field] = v;
    }
    return value[F_SECRET].p != NULL;
}

static bool
read_side(gage_slice text, enum otc_side *side)
{
    *side = OTC_SIDE_LINK;
    if (text.p == NULL)
        return true;
    *side = text.n == 1 ? (enum otc_side)text.p[0] : OTC_SIDE_LINK;
    return *side == OTC_SIDE_A || *side == OTC_SIDE_B;
}

static bool
read_not_after(gage_slice text, uint64_t *not_after)
{
    int64_t seconds = 0;
    *not_after = 0;
    if (text.p == NULL)
        return true;
    if (!gage_ok(rfc3339_parse((const char *)text.p, text.n, &seconds)) || seconds <= 0)
        return false;
    *not_after = (uint64_t)seconds;
    return true;
}

gage_rc
otc_secret_file_parse(gage_slice bytes, struct otc_secret_file *out, struct gage_err *err)
{
    gage_slice value[F_COUNT] = {{0}};
    enum otc_side side;
    uint64_t not_after;
    if (!read_fields(bytes, value) || !read_side(value[F_SIDE], &side) ||
        !read_not_after(value[F_NOT_AFTER], &not_after) || !otc_text_fits(OTC_LABEL, value[F_LABEL]) ||
        !otc_text_fits(OTC_PURPOSE, value[F_PURPOSE]))
        return otc_fail(err, OTC_S_SECRET_FILE_FORMAT);
    TRY(otc_psk_from_text(value[F_SECRET], side, &out->psk, err));
    out->psk.not_after = not_after;
    out->label = value[F_LABEL];
    out->purpose = value[F_PURPOSE];
    return GAGE_DONE;
}

gage_rc
otc_secret_file_read(const char *path, gage_buf *bytes, struct gage_err *err)
{
    AUTO(gage_fd) fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return otc_fail(err, OTC_S_SECRET_FILE);
    if ((st.st_mode & (S_IWGRP | S_IRWXO)) != 0)
        return otc_fail(err, OTC_S_SECRET_FILE_OPEN);
    gage_rc rc = file_read_fd(fd, "the secret file", bytes, NULL);
    if (rc.code == GAGE_E_LIMIT)
        return otc_fail(err, OTC_S_SECRET_FILE_FORMAT);
    return gage_ok(rc) || rc.code == GAGE_E_NOMEM ? rc : otc_fail(err, OTC_S_SECRET_FILE);
}
