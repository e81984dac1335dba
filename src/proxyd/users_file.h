/* users_file.h - files at paths that name a user (%U and %u of cred_store).
 *
 * The daemon opens them with its own rights, so what a user can exchange is opened once, looked at, and read from that descriptor; the GSS
 * library is given a path only where nobody but root and the daemon can change or lock what lies there. */
#ifndef GAGE_PROXYD_USERS_FILE_H
#define GAGE_PROXYD_USERS_FILE_H

#include <krb5.h>
#include <sys/types.h>

#include "base/bytes.h"

#define USERS_LOCK_MS 3000 /* how long locks that somebody else has on such a file are waited for, together */

enum users_place {
    PLACE_OURS,  /* the path may be used */
    PLACE_USERS, /* `fd` is to be used instead */
    PLACE_EMPTY  /* nothing lies there, and the path must not be used: its user could put something there meanwhile */
};

struct users_file {
    enum users_place place;
    int fd; /* owned; -1 where there is none */
};

#define USERS_FILE_NONE ((struct users_file){PLACE_OURS, -1})

void users_file_close(struct users_file *file);
/* Looks at an absolute path, of which the first `fixed` bytes, up to a slash, are the administrator's own words. No symbolic link is followed
 * after them. What lies there belongs to the uid; or to root or the daemon's user, in a folder where others cannot put it. It is a plain file,
 * or (`folder`: a DIR ticket cache) a folder, of which the primary cache is opened. False with *err set, a sentence about the path. */
gage_rc users_file_open(const char *path, size_t fixed, uid_t uid, bool folder, struct users_file *file,
                        struct gage_err *err);

/* Copies a ticket cache into one in memory of that name; `fd` -1: leaves it empty. At most 16 MiB and 4096 tickets, else
 * E2BIG: looked at while its bytes are copied, so that a file that grows meanwhile takes no more. */
krb5_error_code users_file_copy_ccache(int fd, const char *name);
/* Copies a keytab into one in memory of that name, which lives as long as *keytab is open; `fd` -1: leaves it empty. At most 1 MiB and 512 keys,
 * else E2BIG; no lock is waited for (users_keytab.c). Ends with users_keytab_close. */
struct users_keytab {
    krb5_context context;
    krb5_keytab keytab;
};
krb5_error_code users_file_copy_keytab(int fd, const char *name, struct users_keytab *copy);
void users_keytab_close(struct users_keytab *copy);

/* Copies the keys of one keytab into another that is empty and in memory; they come out in the same order. At most 512, else E2BIG. */
krb5_error_code keytab_copy(krb5_context context, krb5_keytab from, krb5_keytab to);

/* While it is not 0, this thread waits until then (clock_monotonic_ns) for locks on files, and no longer (fcntl F_SETLKW fails with ETIMEDOUT
 * then): the library waits without end, and users can lock their own files, for every ticket in them anew. See interpose.c. */
extern _Thread_local int64_t lock_until_ns;
/* USERS_LOCK_MS from now. */
int64_t users_lock_end(void);

#endif
