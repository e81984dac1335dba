#include "interposer/outcome.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REMEMBERED 64
#define NO_MINOR 0x67707879u /* a failure that the daemon gave no number */

/* ---- what was said ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct said {
    pid_t thread;
    OM_uint32 minor; /* 0: unused */
    uint64_t when;
    char text[OUTCOME_TEXT_MAX];
} table[REMEMBERED];
static uint64_t clock_of_table;

void
outcome_before_fork(void)
{
    pthread_mutex_lock(&lock);
}

void
outcome_after_fork(void)
{
    pthread_mutex_unlock(&lock);
}

/* This thread's entry for the number, else NULL. */
static struct said *
find(OM_uint32 minor)
{
    pid_t thread = gettid();
    for (size_t i = 0; i < REMEMBERED; i++)
        if (table[i].minor == minor && table[i].thread == thread)
            return &table[i];
    return NULL;
}

static void
put(OM_uint32 minor, const char *text)
{
    struct said *entry = find(minor);
    for (size_t i = 0; entry == NULL && i < REMEMBERED; i++)
        if (table[i].minor == 0)
            entry = &table[i];
    if (entry == NULL) {
        entry = &table[0];
        for (size_t i = 1; i < REMEMBERED; i++)
            if (table[i].when < entry->when)
                entry = &table[i];
    }
    *entry = (struct said){gettid(), minor, ++clock_of_table, {0}};
    snprintf(entry->text, sizeof entry->text, "%s", text);
}

static void
remember(OM_uint32 minor, const char *text)
{
    pthread_mutex_lock(&lock);
    put(minor, text);
    pthread_mutex_unlock(&lock);
}

static bool
is_used(OM_uint32 minor)
{
    for (size_t i = 0; i < REMEMBERED; i++)
        if (table[i].minor == minor)
            return true;
    return false;
}

/* The number now means to this thread what the local mechanism says, whoever used it before: no text. */
static void
forget(OM_uint32 minor)
{
    pthread_mutex_lock(&lock);
    if (is_used(minor))
        put(minor, "");
    pthread_mutex_unlock(&lock);
}

bool
outcome_text(OM_uint32 minor, char text[OUTCOME_TEXT_MAX])
{
    pthread_mutex_lock(&lock);
    const struct said *entry = find(minor);
    for (size_t i = 0; minor != 0 && i < REMEMBERED; i++)
        if (table[i].minor == minor && table[i].thread != gettid() && (entry == NULL || entry->thread != gettid()) &&
            (entry == NULL || table[i].when > entry->when))
            entry = &table[i];
    bool found = minor != 0 && entry != NULL && entry->text[0] != '\0';
    if (found)
        memcpy(text, entry->text, OUTCOME_TEXT_MAX);
    pthread_mutex_unlock(&lock);
    return found;
}

/* ---- outcomes ---- */

static bool
set(struct outcome *o, OM_uint32 major, OM_uint32 minor)
{
    o->major = major;
    o->minor = minor;
    o->told = o->unreachable = o->verdict = false;
    return !GSS_ERROR(major);
}

bool
outcome_ok(struct outcome *o)
{
    return set(o, GSS_S_COMPLETE, 0);
}

bool
outcome_local(struct outcome *o, OM_uint32 major, OM_uint32 minor)
{
    return set(o, major, minor);
}

/* The text up to its NUL, on one line: foreign bytes, which an application may show on a terminal. */
static void
put_line(char *to, size_t room, const utf8string *text)
{
    size_t n = 0;
    for (u_int i = 0; i < text->utf8string_len && text->utf8string_val[i] != '\0' && n + 1 < room; i++) {
        unsigned char c = (unsigned char)text->utf8string_val[i];
        to[n++] = c < 0x20 || c == 0x7f ? ' ' : text->utf8string_val[i];
    }
    to[n] = '\0';
}

bool
outcome_remote(struct outcome *o, const gssx_status *status)
{
    bool good = set(o, (OM_uint32)status->major_status, (OM_uint32)status->minor_status);
    if (good)
        return true;
    put_line(o->text, sizeof o->text, &status->minor_status_string);
    if (o->text[0] == '\0')
        put_line(o->text, sizeof o->text, &status->major_status_string);
    o->told = o->text[0] != '\0';
    if (o->minor == 0 && o->told)
        o->minor = NO_MINOR;
    return false;
}

bool
outcome_fail(struct outcome *o, OM_uint32 major, int error, const char *fmt, ...)
{
    va_list args;
    set(o, major, (OM_uint32)error);
    va_start(args, fmt);
    vsnprintf(o->text, sizeof o->text, fmt, args);
    va_end(args);
    o->told = true;
    return false;
}

bool
outcome_no_memory(struct outcome *o)
{
    return outcome_fail(o, GSS_S_FAILURE, ENOMEM, "out of memory");
}

void
outcome_choose(struct outcome *first, const struct outcome *second)
{
    bool first_remote = first->told && !first->unreachable;
    if (!outcome_good(first) && (outcome_good(second) || (!first_remote && !second->unreachable)))
        *first = *second;
}

OM_uint32
outcome_end(OM_uint32 *minor, const struct outcome *o)
{
    if (minor != NULL)
        *minor = o->minor;
    if (GSS_ERROR(o->major) && o->minor != 0) {
        if (o->told)
            remember(o->minor, o->text);
        else
            forget(o->minor);
    }
    return o->major;
}
