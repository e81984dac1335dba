#include "base/rc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct code_row {
    const char *name;
    int exit_status;
    const char *text;
};

static const struct code_row code_rows[] = {
#define CODE_ROW_(name, exit_status, text) {"GAGE_" #name, exit_status, text},
    GAGE_CODES(CODE_ROW_)
#undef CODE_ROW_
};

static const struct code_row *
row_of(enum gage_code code)
{
    size_t i = (size_t)code;
    size_t count = sizeof code_rows / sizeof code_rows[0];
    return &code_rows[i < count ? i : GAGE_E_INTERNAL];
}

const char *
gage_code_name(enum gage_code code)
{
    return row_of(code)->name;
}

const char *
gage_code_text(enum gage_code code)
{
    return row_of(code)->text;
}

int
gage_exit_status(enum gage_code code)
{
    return row_of(code)->exit_status;
}

/* A sentence stays one line whatever was formatted into it. */
static void
one_line(char *text)
{
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
}

static void __attribute__((format(printf, 4, 0)))
fill(struct gage_err *err, enum gage_code code, int sys, const char *fmt, va_list ap)
{
    memset(err, 0, sizeof *err);
    err->code = code;
    err->sys = sys;
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    if (sys != 0) {
        size_t used = strlen(err->text);
        char buffer[96];
        snprintf(err->text + used, sizeof err->text - used, ": %s", strerror_r(sys, buffer, sizeof buffer));
    }
    one_line(err->text);
}

gage_rc
gage_fail(struct gage_err *err, enum gage_code code, const char *fmt, ...)
{
    if (err != NULL) {
        va_list ap;
        va_start(ap, fmt);
        fill(err, code, 0, fmt, ap);
        va_end(ap);
    }
    return (gage_rc){code};
}

gage_rc
gage_fail_sys(struct gage_err *err, enum gage_code code, int sys, const char *fmt, ...)
{
    if (err != NULL) {
        va_list ap;
        va_start(ap, fmt);
        fill(err, code, sys, fmt, ap);
        va_end(ap);
    }
    return (gage_rc){code};
}
