#include "cli/records.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/encode.h"

#define FORGET_AFTER_S (30 * 86400)
#define CANCEL_SUFFIX ".cancel"

static char folder[PATH_MAX - 64];

const char *
records_folder(void)
{
    return folder;
}

void
record_free(record *r)
{
    gage_buf_free(&r->state);
    gage_close_fd(&r->lock);
    gage_wipe(r, offsetof(record, lock));
    r->state = GAGE_BUF(RECORD_STATE_MAX);
}

/* ---- the folder ---- */

static gage_rc
find_folder(struct gage_err *err)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n;
    if (state != NULL && state[0] == '/')
        n = snprintf(folder, sizeof folder, "%s/gage", state);
    else {
        REQUIRE(home != NULL && home[0] == '/', err, GAGE_E_CONFIG,
                "neither XDG_STATE_HOME nor HOME says where state is kept: set one");
        n = snprintf(folder, sizeof folder, "%s/.local/state/gage", home);
    }
    REQUIRE(n > 0 && (size_t)n < sizeof folder, err, GAGE_E_LIMIT, "the path of the state folder is too long");
    return GAGE_DONE;
}

static gage_rc
check_folder(struct gage_err *err)
{
    struct stat st;
    if (lstat(folder, &st) != 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot look at the state folder %s", folder);
    REQUIRE(S_ISDIR(st.st_mode) && st.st_uid == geteuid(), err, GAGE_E_CONFIG,
            "the state folder %s is not a folder of yours", folder);
    REQUIRE((st.st_mode & 077) == 0, err, GAGE_E_CONFIG,
            "the state folder %s is open to others: it will hold secrets; run chmod 700 on it", folder);
    return GAGE_DONE;
}

static void
path_of(const char *id, const char *suffix, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s%s", folder, id, suffix);
}

/* Drops records finished long ago. One that cannot be read is left for the person to see. */
static void
forget_old(void)
{
    AUTO(record_ids) ids = {0};
    if (!gage_ok(records_list(&ids, NULL)))
        return;
    for (size_t i = 0; i < ids.n && ids.at[i].changed.tv_sec <= clock_now() - FORGET_AFTER_S; i++) {
        AUTO(record) r = RECORD_EMPTY;
        if (gage_ok(record_load(ids.at[i].id, true, &r, NULL)) && !record_open(&r))
            (void)record_remove(&r, NULL);
    }
}

/* ---- one record ---- */

static bool
is_id(const char *text)
{
    return strspn(text, "0123456789abcdef") == RECORD_ID_LEN && text[RECORD_ID_LEN] == '\0';
}

/* What a process killed in the middle of a replacement left beside the record. Its secrets go, too. Lock held. */
static void
remove_leftovers(const char *id)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (strncmp(entry->d_name, id, RECORD_ID_LEN) != 0 || entry->d_name[RECORD_ID_LEN] != '.' ||
            strcmp(entry->d_name + RECORD_ID_LEN, ".lock") == 0 ||
            strcmp(entry->d_name + RECORD_ID_LEN, CANCEL_SUFFIX) == 0)
            continue;
        unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir != NULL)
        closedir(dir);
}

static gage_rc
take_lock(record *r, struct gage_err *err)
{
    char path[PATH_MAX];
    path_of(r->id, ".lock", path);
    gage_rc rc = file_lock(path, &r->lock, err);
    if (rc.code == GAGE_E_STATE)
        return gage_fail(err, GAGE_E_STATE, "another gage is working on transfer %s at this moment", r->id);
    TRY(rc);
    remove_leftovers(r->id);
    return GAGE_DONE;
}

gage_rc
record_create(record *r, struct gage_err *err)
{
    uint8_t random[RECORD_ID_LEN / 2];
    AUTO(gage_buf) hex = GAGE_BUF(RECORD_ID_LEN);
    TRY(rng_fill(&gage_system_rng, random, sizeof random));
    put_hex(&hex, SLICE_OF(random));
    TRY(buf_check(&hex, err));
    memcpy(r->id, hex.p, RECORD_ID_LEN);
    r->id[RECORD_ID_LEN] = '\0';
    r->created = clock_now();
    TRY(take_lock(r, err));
    return record_save(r, err);
}

gage_rc
record_save(record *r, struct gage_err *err)
{
    char path[PATH_MAX];
    AUTO(gage_buf) bytes = GAGE_BUF(RECORD_STATE_MAX + 65536);
    REQUIRE(r->lock >= 0, err, GAGE_E_INTERNAL, "a record was to be written without its lock");
    r->changed = clock_now();
    buf_reserve(&bytes, r->state.n + 4096);
    record_encode(r, &bytes);
    TRY(buf_check(&bytes, err));
    path_of(r->id, "", path);
    return file_replace(path, gage_buf_slice(&bytes), 0600, err);
}

static gage_rc
remove_beside(const record *r, const char *suffix, struct gage_err *err)
{
    char path[PATH_MAX];
    path_of(r->id, suffix, path);
    return access(path, F_OK) == 0 ? file_remove(path, err) : GAGE_DONE;
}

gage_rc
record_finish(record *r, enum gage_code code, const char *outcome, struct gage_err *err)
{
    r->code = code;
    snprintf(r->outcome, sizeof r->outcome, "%s", outcome);
    buf_reset(&r->state);
    TRY(record_save(r, err));
    return remove_beside(r, CANCEL_SUFFIX, err);
}

gage_rc
record_want_cancel(const record *r, struct gage_err *err)
{
    char path[PATH_MAX];
    path_of(r->id, CANCEL_SUFFIX, path);
    return file_replace(path, SLICE_NONE, 0600, err);
}

bool
record_cancel_wanted(const record *r)
{
    char path[PATH_MAX];
    path_of(r->id, CANCEL_SUFFIX, path);
    return r->id[0] != '\0' && access(path, F_OK) == 0;
}

gage_rc
record_remove(record *r, struct gage_err *err)
{
    TRY(remove_beside(r, "", err));
    TRY(remove_beside(r, CANCEL_SUFFIX, err));
    return remove_beside(r, ".lock", err);
}

/* The one id that begins like this. A whole id is taken as it is: other records need no look. */
static gage_rc
complete_id(const char *beginning, char id[RECORD_ID_LEN + 1], struct gage_err *err)
{
    AUTO(record_ids) ids = {0};
    size_t found = 0, n = strlen(beginning);
    char path[PATH_MAX];
    if (is_id(beginning)) {
        path_of(beginning, "", path);
        found = access(path, F_OK) == 0;
        memcpy(id, beginning, RECORD_ID_LEN + 1);
    } else
        TRY(records_list(&ids, err));
    for (size_t i = 0; i < ids.n; i++) {
        if (n > 0 && strncmp(ids.at[i].id, beginning, n) == 0) {
            memcpy(id, ids.at[i].id, RECORD_ID_LEN + 1);
            found++;
        }
    }
    REQUIRE(found > 0, err, GAGE_E_NOT_FOUND, "there is no such transfer here: gage list shows those there are");
    REQUIRE(found == 1, err, GAGE_E_USAGE, "more than one transfer begins like this: give more of the id");
    return GAGE_DONE;
}

gage_rc
record_load(const char *id, bool lock, record *r, struct gage_err *err)
{
    char path[PATH_MAX];
    AUTO(gage_buf) bytes = GAGE_BUF(RECORD_STATE_MAX + 65536);
    TRY(complete_id(id, r->id, err));
    if (lock)
        TRY(take_lock(r, err));
    path_of(r->id, "", path);
    TRY(file_read(path, &bytes, err));
    gage_rc rc = record_decode(gage_buf_slice(&bytes), r, err);
    if (rc.code == GAGE_E_FORMAT)
        return gage_fail(err, GAGE_E_FORMAT, "the record %s is damaged or of another version of gage", path);
    return rc;
}

/* ---- all records ---- */

void
record_ids_free(record_ids *ids)
{
    free(ids->at);
    *ids = (record_ids){0};
}

static int
older_first(const void *a, const void *b)
{
    const struct record_id *one = a, *two = b;
    if (one->changed.tv_sec != two->changed.tv_sec)
        return one->changed.tv_sec < two->changed.tv_sec ? -1 : 1;
    if (one->changed.tv_nsec != two->changed.tv_nsec)
        return one->changed.tv_nsec < two->changed.tv_nsec ? -1 : 1;
    return strcmp(one->id, two->id);
}

/* Room for one more: ids are no secrets. */
static bool
ids_grow(record_ids *ids)
{
    if (ids->n < ids->room)
        return true;
    size_t room = ids->room == 0 ? 64 : 2 * ids->room;
    void *more = reallocarray(ids->at, room, sizeof *ids->at);
    if (more == NULL)
        return false;
    ids->at = more;
    ids->room = room;
    return true;
}

gage_rc
records_list(record_ids *ids, struct gage_err *err)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    struct stat st;
    if (dir == NULL)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot list the state folder %s", folder);
    while ((entry = readdir(dir)) != NULL) {
        if (!is_id(entry->d_name) || fstatat(dirfd(dir), entry->d_name, &st, 0) != 0) /* gone since: not one of them */
            continue;
        if (!ids_grow(ids)) {
            closedir(dir);
            return gage_fail(err, GAGE_E_NOMEM, "out of memory");
        }
        ids->at[ids->n].changed = st.st_mtim;
        memcpy(ids->at[ids->n++].id, entry->d_name, RECORD_ID_LEN + 1);
    }
    closedir(dir);
    if (ids->n > 1)
        qsort(ids->at, ids->n, sizeof *ids->at, older_first);
    return GAGE_DONE;
}

gage_rc
record_find_mailbox(const char *mailbox, enum record_side side, record *r, struct gage_err *err)
{
    AUTO(record_ids) ids = {0};
    TRY(records_list(&ids, err));
    for (size_t i = 0; i < ids.n; i++) {
        record_free(r);
        if (gage_ok(record_load(ids.at[i].id, false, r, NULL)) && r->side == side && strcmp(r->mailbox, mailbox) == 0)
            return GAGE_DONE;
    }
    return gage_fail(err, GAGE_E_NOT_FOUND, "no transfer of this mailbox is known here");
}

/* ---- opening ---- */

/* What a process killed before its first record stood has left: temporary files with secrets in them. Whoever is at it holds the lock. */
static void
remove_orphan(const char *name)
{
    char path[PATH_MAX];
    AUTO(record) r = RECORD_EMPTY;
    memcpy(r.id, name, RECORD_ID_LEN);
    path_of(r.id, "", path);
    if (access(path, F_OK) == 0 || !gage_ok(take_lock(&r, NULL)) || access(path, F_OK) == 0)
        return;
    (void)remove_beside(&r, CANCEL_SUFFIX, NULL);
    (void)remove_beside(&r, ".lock", NULL);
}

static void
remove_orphans(void)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (strspn(entry->d_name, "0123456789abcdef") == RECORD_ID_LEN && entry->d_name[RECORD_ID_LEN] == '.')
            remove_orphan(entry->d_name);
    }
    if (dir != NULL)
        closedir(dir);
}

gage_rc
records_open(struct gage_err *err)
{
    TRY(find_folder(err));
    TRY(folder_make(folder, 0700, err));
    TRY(check_folder(err));
    forget_old();
    remove_orphans();
    return GAGE_DONE;
}
