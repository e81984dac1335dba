/* records.h - the state folder: what this machine knows of each transfer, so that any kill can be resumed from.
 *
 * $XDG_STATE_HOME/gage (else ~/.local/state/gage), mode 0700, refused where others could write or read it. One record a
 * transfer, replaced whole and synced (base/file.h), under a lock that the process working on the transfer holds. A record of a transfer
 * under way holds its secrets; a finished one keeps none. */
#ifndef GAGE_CLI_RECORDS_H
#define GAGE_CLI_RECORDS_H

#include <limits.h>
#include <time.h>

#include "base/file.h"

#define RECORD_ID_LEN 8 /* hexadecimal digits */
/* The library's state holds the content (at most 16 MiB on the wire) and the last payload. */
#define RECORD_STATE_MAX (48u * 1024 * 1024)

enum record_side { RECORD_SHARE = 1, RECORD_ACCEPT = 2 };
enum record_flag {
    RECORD_FORCE = 1,        /* accept: may replace an existing file */
    RECORD_YES = 2,          /* accept: the person agreed beforehand */
    RECORD_OUTPUT = 4,       /* accept: `output` names the file itself, not the folder for it */
    RECORD_PLACED = 8,       /* accept: an install as `output` was begun, and may have been finished */
    RECORD_CERTIFICATE = 16, /* the relay's certificate must be good, too, where there is a pin */
    RECORD_UNSHOWN = 32      /* accept: the relay was not asked what it says, for nobody would have seen it */
};

typedef struct record {
    char id[RECORD_ID_LEN + 1];
    enum record_side side;
    uint32_t flags;
    int64_t created, changed; /* seconds since 1970 */
    int64_t expires;          /* when claiming ends; 0: not known */
    enum gage_code code;      /* how it ended, where `outcome` is not empty */
    char outcome[256];        /* empty while under way; else what became of it, a sentence */
    char mailbox[1024];       /* the mailbox's URL, without secret; empty before there is one */
    char title[256];
    char pin[256], ca_file[PATH_MAX];
    char output[PATH_MAX]; /* accept: folder or file to install as, absolute; once installed, the file */
    gage_buf state;        /* the transfer library's; empty once finished */
    gage_fd lock;          /* held while >= 0 */
} record;
#define RECORD_EMPTY ((record){.state = GAGE_BUF(RECORD_STATE_MAX), .lock = -1})
/* Wipes, and lets go of the lock. */
void record_free(record *r);
GAGE_AUTO_DEFINE(record, record_free)

/* Finds the folder, makes it where missing, checks its owner and mode; forgets records finished more than 30 days ago. */
gage_rc records_open(struct gage_err *err);
const char *records_folder(void); /* after records_open */

/* Gives a new record its id, times and lock, and stores it. */
gage_rc record_create(record *r, struct gage_err *err);
/* Replaces the stored record; durable once this returns. The lock must be held. */
gage_rc record_save(record *r, struct gage_err *err);
/* Notes the end: code and sentence; wipes the state; saves. */
gage_rc record_finish(record *r, enum gage_code code, const char *outcome, struct gage_err *err);
/* Removes it and its lock file. */
gage_rc record_remove(record *r, struct gage_err *err);
/* Asks whoever holds the lock, now or later, to cancel this transfer; and whether somebody asked. The wish ends with the
 * transfer. */
gage_rc record_want_cancel(const record *r, struct gage_err *err);
bool record_cancel_wanted(const record *r);
/* Reads by id, or by the beginning of one that is unique. `lock`: takes the lock before reading, GAGE_E_STATE where
 * another process works on it. */
gage_rc record_load(const char *id, bool lock, record *r, struct gage_err *err);

/* The ids of all records, oldest first; *ids is to be freed with record_ids_free. */
typedef struct {
    struct record_id {
        char id[RECORD_ID_LEN + 1];
        struct timespec changed;
    } * at;
    size_t n, room;
} record_ids;
gage_rc records_list(record_ids *ids, struct gage_err *err);
void record_ids_free(record_ids *ids);
GAGE_AUTO_DEFINE(record_ids, record_ids_free)

/* The record of this mailbox and side, if there is one: GAGE_E_NOT_FOUND otherwise. Not locked. */
gage_rc record_find_mailbox(const char *mailbox, enum record_side side, record *r, struct gage_err *err);

/* The stored form, and back (GAGE_E_FORMAT, GAGE_E_LIMIT). Id and lock are not in it. */
void record_encode(const record *r, gage_buf *out);
gage_rc record_decode(gage_slice bytes, record *r, struct gage_err *err);

static inline bool
record_open(const record *r)
{
    return r->outcome[0] == '\0';
}

#endif
