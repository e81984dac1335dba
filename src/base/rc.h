/* rc.h - making results: failing with a sentence, and the two macros that hide a return. */
#ifndef GAGE_BASE_RC_H
#define GAGE_BASE_RC_H

#include <gage/error.h>

#define GAGE_DONE ((gage_rc){GAGE_OK})

/* Fills *err (if not NULL) with code and sentence and returns the code. The sentence is one line: what
 * happened, what it means, what to do. Never give it secrets or raw foreign bytes. */
gage_rc gage_fail(struct gage_err *err, enum gage_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a failed system call: appends ": strerror(sys)" and stores sys. */
gage_rc gage_fail_sys(struct gage_err *err, enum gage_code code, int sys, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* For failures that have no err to fill. */
static inline gage_rc
gage_rc_of(enum gage_code code)
{
    return (gage_rc){code};
}

/* Returns the failure of `expr` to the caller. */
#define TRY(expr)                                                                                                      \
    do {                                                                                                               \
        gage_rc try_rc_ = (expr);                                                                                      \
        if (try_rc_.code != GAGE_OK)                                                                                   \
            return try_rc_;                                                                                            \
    } while (0)

/* Unless `cond`, fails with code and sentence. */
#define REQUIRE(cond, err, code, ...)                                                                                  \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            return gage_fail((err), (code), __VA_ARGS__);                                                              \
    } while (0)

/* A variable of type T whose destructor gage_auto_T runs at scope end. Declare the destructor with
 * GAGE_AUTO_DEFINE(T, function taking T *). */
#define AUTO(T) __attribute__((cleanup(gage_auto_##T))) T
#define GAGE_AUTO_DEFINE(T, destroy)                                                                                   \
    __attribute__((unused)) static inline void gage_auto_##T(T *value)                                                 \
    {                                                                                                                  \
        destroy(value);                                                                                                \
    }

#endif
