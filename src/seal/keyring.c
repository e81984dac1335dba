#include "seal/keyring_db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/file.h"

#define SCHEMA_VERSION 3

/* Inside a transaction: the tables of a new keyring, unless another process was faster. */
static gage_rc
make_tables(struct keyring *keyring, struct gage_err *err)
{
    int64_t version = 0, tables = 0;
    TRY(keyring_number(keyring, "PRAGMA user_version", &version, err));
    if (version == SCHEMA_VERSION)
        return GAGE_DONE;
    TRY(keyring_number(keyring, "SELECT count(*) FROM sqlite_master", &tables, err));
    REQUIRE(version == 0 && tables == 0, err, GAGE_E_FORMAT, "this is a database, but no keyring");
    /* slot is the key's place in the hints; a removed pairing leaves its slot, emptied, for the next one. party: what the peer's exported name
     * is looked up by (keyring_party) */
    return keyring_run(
        keyring,
        "CREATE TABLE pairing(slot INTEGER PRIMARY KEY, id BLOB UNIQUE, alias TEXT UNIQUE, record BLOB,"
        " last_use INTEGER NOT NULL DEFAULT 0, party INTEGER);"
        "CREATE INDEX pairing_party ON pairing(party);"
        "CREATE INDEX pairing_empty ON pairing(slot) WHERE record IS NULL;"
        "CREATE TABLE generation(value INTEGER NOT NULL); INSERT INTO generation VALUES (1);"
        /* seals opened with `once`: pending while a file is on its way into place */
        "CREATE TABLE once(id BLOB PRIMARY KEY, sealed_at INTEGER NOT NULL, until INTEGER NOT NULL,"
        " temporary TEXT, target TEXT) WITHOUT ROWID;"
        "CREATE INDEX once_until ON once(until);"
        /* highest: the latest use; forgotten: the latest sealing time among the entries of `once` that were dropped */
        "CREATE TABLE clock(highest INTEGER NOT NULL, forgotten INTEGER NOT NULL); INSERT INTO clock VALUES (0, -1);"
        "CREATE TABLE keep(weeks INTEGER NOT NULL); INSERT INTO keep VALUES (4);"
        "PRAGMA user_version=3",
        err);
}

static gage_rc
make_schema(struct keyring *keyring, struct gage_err *err)
{
    int64_t version = 0;
    /* EXTRA: with less a power failure can bring back the journal, and with it what was before the change: an erased key, a seal not yet opened */
    TRY(keyring_run(keyring, "PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA; PRAGMA secure_delete=ON", err));
    TRY(keyring_number(keyring, "PRAGMA user_version", &version, err));
    REQUIRE(version <= SCHEMA_VERSION, err, GAGE_E_FORMAT, "the keyring was made by a newer gage: use that one");
    REQUIRE(version == 0 || version == SCHEMA_VERSION, err, GAGE_E_FORMAT,
            "the keyring was made by a gage before 0.1.0: pair again, into another one");
    if (version == SCHEMA_VERSION)
        return GAGE_DONE;
    TRY(keyring_run(keyring, "BEGIN IMMEDIATE", err));
    return keyring_finish(keyring, make_tables(keyring, err), err);
}

/* Whether no other user can be in the folder's group, as far as numbers tell: it is ours and has our number, the way systems give each user one.
 * With an access list the group's bits are that list's mask, and say nothing of who may write. */
static bool
group_is_private(const char *folder, const struct stat *st)
{
    return st->st_gid == getegid() && st->st_gid == geteuid() &&
           getxattr(folder, "system.posix_acl_access", NULL, 0) <= 0;
}

/* Who may put files beside the keyring may put a journal there, which SQLite would play into it. */
static gage_rc
check_folder(const char *folder, struct gage_err *err)
{
    struct stat st;
    if (stat(folder, &st) != 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot use the folder %.150s", folder);
    bool ours = st.st_uid == geteuid() || st.st_uid == 0;
    bool closed = (st.st_mode & S_IWOTH) == 0 && ((st.st_mode & S_IWGRP) == 0 || group_is_private(folder, &st));
    REQUIRE(
        ours && closed, err, GAGE_E_REFUSED,
        "others may put files into %.150s, where the keyring is: keep it in a folder of your own, or chmod go-w that",
        folder);
    return GAGE_DONE;
}

/* The folder's real path, and the keyring's in it. */
static gage_rc
find_path(const char *given, char path[PATH_MAX], struct gage_err *err)
{
    char folder[PATH_MAX], real[PATH_MAX];
    const char *slash = strrchr(given, '/'), *name = slash == NULL ? given : slash + 1;
    int n = snprintf(folder, sizeof folder, "%.*s", slash == NULL ? 1 : (int)(slash - given) + 1,
                     slash == NULL ? "." : given);
    REQUIRE(n > 0 && (size_t)n < sizeof folder && name[0] != '\0', err, GAGE_E_USAGE, "%.150s names no file", given);
    if (realpath(folder, real) == NULL)
        return gage_fail_sys(err, errno == ENOENT ? GAGE_E_NOT_FOUND : GAGE_E_IO, errno, "cannot use the folder %.150s",
                             folder);
    TRY(check_folder(real, err));
    n = snprintf(path, PATH_MAX - 16, "%s/%s", strcmp(real, "/") == 0 ? "" : real, name);
    REQUIRE(n > 0 && n < PATH_MAX - 16, err, GAGE_E_LIMIT, "the keyring's path is too long");
    return GAGE_DONE;
}

static gage_rc
check_file(const char *path, bool create, struct gage_err *err)
{
    struct stat st;
    /* Made without being opened: closing a descriptor of it would drop the locks that SQLite holds for others in this process. */
    if (create && mknod(path, S_IFREG | 0600, 0) != 0 && errno != EEXIST)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot make the keyring %.150s", path);
    REQUIRE(lstat(path, &st) == 0, err, GAGE_E_NOT_FOUND, "there is no keyring at %.150s: pair with somebody first",
            path);
    REQUIRE(create || !S_ISREG(st.st_mode) || st.st_size > 0, err, GAGE_E_NOT_FOUND,
            "the keyring %.150s is empty: put a copy back, or pair anew", path);
    REQUIRE(S_ISREG(st.st_mode), err, GAGE_E_REFUSED,
            "%.150s is not a file of its own (a link, a device?): name the keyring itself", path);
    REQUIRE(st.st_uid == geteuid(), err, GAGE_E_REFUSED, "the keyring %.150s belongs to another user", path);
    REQUIRE((st.st_mode & 077) == 0, err, GAGE_E_REFUSED,
            "others may read or write the keyring %.150s: chmod 600 it, or pair anew", path);
    REQUIRE(st.st_nlink == 1, err, GAGE_E_REFUSED,
            "the keyring %.150s has a second name (a hard link), through which it could be damaged: copy it, or remove "
            "the link",
            path);
    return GAGE_DONE;
}

static gage_rc
open_parts(struct keyring *keyring, const char *path, struct gage_err *err)
{
    int n = snprintf(keyring->hints_path, sizeof keyring->hints_path, "%s.hints", path);
    REQUIRE(n > 0 && (size_t)n < sizeof keyring->hints_path, err, GAGE_E_LIMIT, "the keyring's path is too long");
    if (sqlite3_open_v2(path, &keyring->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL) !=
        SQLITE_OK)
        return keyring_sql_fail(keyring, err);
    sqlite3_db_config(keyring->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(keyring->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(keyring->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(keyring->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    sqlite3_busy_timeout(keyring->db, 10000);
    TRY(make_schema(keyring, err));
    return keyring_open_hints(keyring, err);
}

gage_rc
keyring_open(const char *given, bool create, struct keyring **out, struct gage_err *err)
{
    char path[PATH_MAX];
    TRY(find_path(given, path, err));
    TRY(check_file(path, create, err));
    struct keyring *keyring = calloc(1, sizeof *keyring);
    REQUIRE(keyring != NULL, err, GAGE_E_NOMEM, "out of memory");
    keyring->hints = HINTS_CLOSED;
    gage_rc rc = open_parts(keyring, path, err);
    if (!gage_ok(rc)) {
        keyring_close(&keyring);
        return rc;
    }
    *out = keyring;
    return GAGE_DONE;
}

void
keyring_close(struct keyring **keyring)
{
    if (*keyring == NULL)
        return;
    hints_close(&(*keyring)->hints);
    keyring_forget_statements(*keyring);
    sqlite3_close((*keyring)->db);
    free(*keyring);
    *keyring = NULL;
}
