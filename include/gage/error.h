/* gage/error.h - the result type of every gage function, and what an error says.
 *
 * A gage_rc is a type of its own: it cannot be compared with 0, returned as an int or
 * silently dropped. Codes are the same for the library, the programs' messages and (through
 * gage_exit_status) their exit status. */
#ifndef GAGE_ERROR_H
#define GAGE_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GAGE_API __attribute__((visibility("default")))

/* One row a code: name, exit status of a program that ends with it, what it means in general. The
 * particular sentence is in gage_err.text. Exit statuses are part of the interface (man pages). */
#define GAGE_CODES(X)                                                                                                  \
    X(OK, 0, "done")                                                                                                   \
    X(E_INTERNAL, 1, "an internal failure: please report it")                                                          \
    X(E_USAGE, 2, "the command or call was not of the documented form")                                                \
    X(E_NOMEM, 3, "not enough memory")                                                                                 \
    X(E_IO, 4, "a file or device could not be read or written")                                                        \
    X(E_CONFIG, 5, "the configuration is wrong")                                                                       \
    X(E_FORMAT, 6, "the input is not of the expected format, or is damaged")                                           \
    X(E_LIMIT, 7, "a documented limit was exceeded")                                                                   \
    X(E_EXISTS, 8, "the target exists already")                                                                        \
    X(E_NOT_FOUND, 9, "there is no such thing")                                                                        \
    X(E_STATE, 10, "the call or message came in the wrong state")                                                      \
    X(E_SECRET, 11, "wrong secret")                                                                                    \
    X(E_AUTH, 12, "authentication failed: damaged or forged")                                                          \
    X(E_EXPIRED, 13, "expired")                                                                                        \
    X(E_USED, 14, "used already")                                                                                      \
    X(E_REFUSED, 15, "the peer or the policy refused")                                                                 \
    X(E_UNAVAILABLE, 16, "the other side cannot be reached now: try again later")                                      \
    X(E_TIMEOUT, 17, "a deadline passed")                                                                              \
    X(E_CANCELLED, 18, "cancelled")                                                                                    \
    X(E_FORKED, 19, "forked: two different messages with one sequence number")                                         \
    X(E_LOST, 20, "lost: a message is missing")                                                                        \
    X(E_REFLECTED, 21, "reflected: a message in our own name that we did not write")                                   \
    X(E_UNKNOWN_OUTCOME, 22, "released, and no receipt: the outcome is unknown")                                       \
    X(E_MISMATCH, 23, "what was authenticated differs from what was announced")                                        \
    X(E_GSS, 24, "the GSS-API reported a failure")                                                                     \
    X(E_UNSUPPORTED, 25, "not supported by this mechanism, peer or build")                                             \
    X(E_CLOSED, 26, "the connection ended without an authenticated end")                                               \
    X(E_CLOCK, 27, "our own clock is wrong: it was set back")                                                          \
    X(E_CARRIER, 28, "it came by another carrier than it names, or without her proof")                                 \
    X(E_ORIGINATOR, 29, "it comes from somebody else than demanded")                                                   \
    X(E_CRAFTED, 30, "it was made to mean two things at once")                                                         \
    X(E_PAIRING_OVER, 31, "the pairing's time is over")                                                                \
    X(E_NOT_OURS, 32, "it is for somebody else, or its key has been erased")                                           \
    X(E_FUTURE, 33, "it is dated in the future")                                                                       \
    X(E_FORGOTTEN, 34, "whether it was seen before cannot be told any more")

enum gage_code {
#define GAGE_CODE_ENUM_(name, exit_status, text) GAGE_##name,
    GAGE_CODES(GAGE_CODE_ENUM_)
#undef GAGE_CODE_ENUM_
};

/* Where the compiler can (clang), a dropped result is a warning, for every function that returns one. */
#if defined(__clang__)
#define GAGE_MUST_USE __attribute__((warn_unused_result))
#else
#define GAGE_MUST_USE
#endif

/* The result of a call. Test it with gage_ok(). */
typedef struct GAGE_MUST_USE gage_rc {
    enum gage_code code;
} gage_rc;

/* What happened, in detail. Always the last argument of a call, and optional (NULL). Caller owns it;
 * it holds no pointers. `text` is one line of UTF-8 without secrets: what happened, what it means, what to
 * do. gss_major/gss_minor are set where the GSS-API failed (0 otherwise), `sys` to errno where the system
 * did (0 otherwise). It is written only on failure. */
struct gage_err {
    enum gage_code code;
    uint32_t gss_major, gss_minor;
    int sys;
    char text[256];
};

static inline bool
gage_ok(gage_rc rc)
{
    return rc.code == GAGE_OK;
}

/* The code's name ("GAGE_E_FORMAT") and its general meaning. Static strings, never NULL; an
 * unknown number gives "GAGE_E_INTERNAL"'s. */
GAGE_API const char *gage_code_name(enum gage_code code);
GAGE_API const char *gage_code_text(enum gage_code code);

/* The exit status with which gage's programs report the code: 0 for GAGE_OK, else 1..63. */
GAGE_API int gage_exit_status(enum gage_code code);

#ifdef __cplusplus
}
#endif
#endif
