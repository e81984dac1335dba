#include "proxyd/users_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/secret.h"

#define OPEN_FLAGS (O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
#define KEYS_MAX 512 /* a keytab in memory is searched one by one, as a file is */
#define TICKETS_MAX 4096
#define CACHE_MAX (16u << 20) /* bytes of a ticket cache */
#define PRIMARY_MAX 64        /* characters of a primary cache's name */

_Thread_local int64_t lock_until_ns;

int64_t
users_lock_end(void)
{
    return clock_monotonic_ns() + (int64_t)USERS_LOCK_MS * 1000000;
}

void
users_file_close(struct users_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    *file = USERS_FILE_NONE;
}

/* ---- places ---- */

static bool
is_ours(const struct stat *st)
{
    return st->st_uid == 0 || st->st_uid == geteuid();
}

/* Only root and the daemon's user can change what is in this folder. */
static bool
is_closed(const struct stat *st)
{
    return S_ISDIR(st->st_mode) && is_ours(st) && (st->st_mode & 022) == 0;
}

/* Others may put something there, but not exchange what is root's or the daemon's (as /tmp). */
static bool
is_sticky(const struct stat *st)
{
    return S_ISDIR(st->st_mode) && is_ours(st) && (st->st_mode & S_ISVTX) != 0;
}

/* Nobody else can exchange a folder on the way, nor what is in the last. */
static bool
way_is_closed(const char *path)
{
    char part[PATH_MAX];
    struct stat st, link;
    bool sticky = false;
    for (size_t i = 1; i < sizeof part; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (lstat(part, &link) != 0 || (sticky && !is_ours(&link)) || stat(part, &st) != 0)
            return false;
        bool last = path[i] == '\0' || path[i + 1] == '\0';
        sticky = is_sticky(&st);
        if (!is_closed(&st) && (last || !sticky))
            return false;
        if (last)
            return true;
    }
    return false;
}

/* Both as it is written and where it leads: an open folder on the first way could exchange a link, on the second the target. */
static bool
folder_is_closed(const char *folder)
{
    char real[PATH_MAX];
    struct stat root;
    if (stat("/", &root) != 0 || !is_closed(&root))
        return false;
    return strcmp(folder, "/") == 0 || (way_is_closed(folder) && realpath(folder, real) != NULL && way_is_closed(real));
}

/* ---- opening ---- */

/* Where the walk is. */
struct walk {
    const char *path; /* for sentences */
    uid_t uid;
    int folder;  /* owned */
    bool closed; /* every folder so far */
};

static gage_rc
not_theirs(const struct walk *w, struct gage_err *err)
{
    return gage_fail(err, GAGE_E_REFUSED,
                     "%s is not a file of uid %u's: make it a plain file that belongs to that uid, and no link",
                     w->path, w->uid);
}

static gage_rc
enter(struct walk *w, const char *name, struct gage_err *err)
{
    struct stat st;
    int fd = openat(w->folder, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? gage_fail(err, GAGE_E_NOT_FOUND, "%s is not there", w->path) : not_theirs(w, err);
    close(w->folder);
    w->folder = fd;
    if (fstat(fd, &st) != 0)
        return not_theirs(w, err);
    w->closed = w->closed && is_closed(&st);
    return GAGE_DONE;
}

/* Whether the file may be what is at the end of the walk: nobody else can have put it there. */
static bool
belongs(const struct walk *w, const struct stat *st)
{
    struct stat folder;
    if (st->st_uid == w->uid || (w->closed && is_ours(st)))
        return true;
    return is_ours(st) && st->st_nlink == 1 && fstat(w->folder, &folder) == 0 && is_sticky(&folder);
}

static gage_rc
open_last(const struct walk *w, const char *name, bool folder, int *fd, struct stat *st, struct gage_err *err)
{
    if (fstatat(w->folder, name, st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? gage_fail(err, GAGE_E_NOT_FOUND, "%s is not there", w->path)
                               : gage_fail_sys(err, GAGE_E_REFUSED, errno, "cannot look at %s", w->path);
    if (!S_ISREG(st->st_mode) && !(folder && S_ISDIR(st->st_mode))) /* opening others may wait, or do something */
        return not_theirs(w, err);
    *fd = openat(w->folder, name, O_RDONLY | OPEN_FLAGS);
    if (*fd < 0)
        return errno == ELOOP || errno == ENOENT ? not_theirs(w, err)
                                                 : gage_fail_sys(err, GAGE_E_REFUSED, errno, "cannot open %s", w->path);
    if (fstat(*fd, st) == 0 && (S_ISREG(st->st_mode) || (folder && S_ISDIR(st->st_mode))) && belongs(w, st))
        return GAGE_DONE;
    close(*fd);
    *fd = -1;
    return not_theirs(w, err);
}

/* The name in the file `primary` of a DIR cache, as libkrb5 has it; "tkt" where there is none. */
static gage_rc
read_primary(const struct walk *w, char name[PRIMARY_MAX], struct gage_err *err)
{
    AUTO(gage_fd) fd = -1;
    struct stat st;
    gage_rc rc = open_last(w, "primary", false, &fd, &st, err);
    memcpy(name, "tkt", sizeof "tkt");
    if (rc.code == GAGE_E_NOT_FOUND)
        return GAGE_DONE;
    TRY(rc);
    ssize_t n = read(fd, name, PRIMARY_MAX);
    char *end = n > 0 ? memchr(name, '\n', (size_t)n) : NULL;
    if (end != NULL)
        *end = '\0';
    if (end == NULL || strncmp(name, "tkt", 3) != 0 || strchr(name, '/') != NULL)
        return gage_fail(err, GAGE_E_REFUSED, "%s/primary does not name a ticket cache", w->path);
    return GAGE_DONE;
}

/* Of a folder that is a DIR cache, its primary cache. */
static gage_rc
open_primary(struct walk *w, int *fd, struct stat *st, struct gage_err *err)
{
    char name[PRIMARY_MAX];
    close(w->folder);
    w->folder = *fd;
    *fd = -1;
    w->closed = false;
    TRY(read_primary(w, name, err));
    return open_last(w, name, false, fd, st, err);
}

static gage_rc
walk_on(struct walk *w, char *rest, bool folder, struct users_file *file, struct gage_err *err)
{
    struct stat st;
    char *name = rest, *slash;
    for (; (slash = strchr(name, '/')) != NULL; name = slash + 1) {
        *slash = '\0';
        if (name[0] != '\0')
            TRY(enter(w, name, err));
    }
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return not_theirs(w, err);
    TRY(open_last(w, name, folder, &file->fd, &st, err));
    if (w->closed && is_ours(&st) && (st.st_mode & 077) == 0) { /* nobody else can exchange, lock or read it */
        users_file_close(file);
        return GAGE_DONE;
    }
    file->place = PLACE_USERS;
    return S_ISDIR(st.st_mode) ? open_primary(w, &file->fd, &st, err) : GAGE_DONE;
}

/* Where the administrator's folder is not there: whether only we could make it. */
static bool
could_be_ours(char *folder)
{
    for (;;) {
        size_t n = strlen(folder);
        while (n > 1 && folder[n - 1] == '/')
            n--;
        while (n > 1 && folder[n - 1] != '/')
            n--;
        folder[n] = '\0';
        if (n == 1 || access(folder, F_OK) == 0)
            return folder_is_closed(folder);
    }
}

gage_rc
users_file_open(const char *path, size_t fixed, uid_t uid, bool folder, struct users_file *file, struct gage_err *err)
{
    char text[PATH_MAX], start[PATH_MAX];
    *file = USERS_FILE_NONE;
    REQUIRE(path[0] == '/' && fixed > 0 && path[fixed - 1] == '/' && strlen(path) < sizeof text, err, GAGE_E_REFUSED,
            "%s is not an absolute path", path);
    REQUIRE(strstr(path + fixed - 1, "/../") == NULL, err, GAGE_E_REFUSED, "%s goes upwards", path);
    memcpy(start, path, fixed);
    start[fixed] = '\0';
    memcpy(text, path + fixed, strlen(path + fixed) + 1);
    struct walk w = {.path = path, .uid = uid, .closed = folder_is_closed(start)};
    w.folder = open(start, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (w.folder < 0) {
        file->place = could_be_ours(start) ? PLACE_OURS : PLACE_EMPTY;
        return GAGE_DONE;
    }
    gage_rc rc = walk_on(&w, text, folder, file, err);
    close(w.folder);
    if (rc.code == GAGE_E_NOT_FOUND) {
        file->place = w.closed ? PLACE_OURS : PLACE_EMPTY;
        return GAGE_DONE;
    }
    if (!gage_ok(rc))
        users_file_close(file);
    return rc;
}

/* ---- copies ---- */

/* As libkrb5 takes it: opens the same file again, whatever its path leads to by now. */
static void
name_of(int fd, char name[64])
{
    snprintf(name, 64, "FILE:/proc/self/fd/%d", fd);
}

/* The bytes as they are now, in a file that its user cannot change while the library believes what is written in it. */
static krb5_error_code
copy_bytes(int from, int to)
{
    uint8_t piece[16384];
    krb5_error_code code = 0;
    ssize_t n = 1;
    for (size_t all = 0; code == 0 && n > 0; all += (size_t)(n > 0 ? n : 0)) {
        n = pread(from, piece, sizeof piece, (off_t)all);
        if (n < 0)
            code = errno;
        else if (all + (size_t)n > CACHE_MAX)
            code = E2BIG;
        else if (write(to, piece, (size_t)n) != n)
            code = ENOMEM;
    }
    gage_wipe(piece, sizeof piece);
    return code;
}

/* A descriptor of such a file in *copy; while nobody who locks the cache writes to it. */
static krb5_error_code
take_copy(int fd, int *copy)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLKW, &lock) != 0)
        return errno;
    *copy = memfd_create("ticket cache", MFD_CLOEXEC);
    krb5_error_code code = *copy >= 0 ? copy_bytes(fd, *copy) : errno;
    lock.l_type = F_UNLCK;
    (void)fcntl(fd, F_OFD_SETLK, &lock);
    return code;
}

static krb5_error_code
copy_each(krb5_context context, krb5_ccache from, krb5_ccache to)
{
    krb5_cc_cursor cursor;
    krb5_creds ticket;
    krb5_error_code code = krb5_cc_start_seq_get(context, from, &cursor);
    if (code != 0)
        return code;
    for (int count = 0; code == 0 && (code = krb5_cc_next_cred(context, from, &cursor, &ticket)) == 0; count++) {
        code = count < TICKETS_MAX ? krb5_cc_store_cred(context, to, &ticket) : E2BIG;
        krb5_free_cred_contents(context, &ticket);
    }
    krb5_cc_end_seq_get(context, from, &cursor);
    return code == KRB5_CC_END ? 0 : code;
}

static krb5_error_code
copy_tickets(krb5_context context, krb5_ccache from, krb5_ccache to)
{
    krb5_principal principal = NULL;
    krb5_error_code code = krb5_cc_get_principal(context, from, &principal);
    if (code == 0)
        code = krb5_cc_initialize(context, to, principal);
    krb5_free_principal(context, principal);
    return code != 0 ? code : copy_each(context, from, to);
}

krb5_error_code
users_file_copy_ccache(int fd, const char *name)
{
    char source[64];
    krb5_context context = NULL;
    krb5_ccache from = NULL, to = NULL;
    AUTO(gage_fd) copy = -1;
    if (fd < 0)
        return 0;
    lock_until_ns = users_lock_end();
    krb5_error_code code = take_copy(fd, &copy);
    lock_until_ns = 0;
    if (code == 0)
        code = krb5_init_context(&context);
    if (code != 0)
        return code;
    name_of(copy, source);
    code = krb5_cc_resolve(context, source, &from);
    if (code == 0)
        code = krb5_cc_resolve(context, name, &to);
    if (code == 0)
        code = copy_tickets(context, from, to);
    if (from != NULL)
        krb5_cc_close(context, from);
    if (to != NULL)
        krb5_cc_close(context, to);
    krb5_free_context(context);
    return code;
}

static krb5_error_code
read_keys(krb5_context context, krb5_keytab from, krb5_keytab_entry entries[KEYS_MAX], int *count)
{
    krb5_kt_cursor cursor;
    krb5_keytab_entry entry;
    krb5_error_code code = krb5_kt_start_seq_get(context, from, &cursor);
    if (code != 0)
        return code;
    while ((code = krb5_kt_next_entry(context, from, &entry, &cursor)) == 0 && *count < KEYS_MAX)
        entries[(*count)++] = entry;
    if (code == 0)
        krb5_free_keytab_entry_contents(context, &entry);
    krb5_kt_end_seq_get(context, from, &cursor);
    return code == 0 ? E2BIG : code == KRB5_KT_END ? 0 : code;
}

krb5_error_code
keytab_copy(krb5_context context, krb5_keytab from, krb5_keytab to)
{
    krb5_keytab_entry *entries = calloc(KEYS_MAX, sizeof *entries);
    int count = 0;
    krb5_error_code code = entries != NULL ? read_keys(context, from, entries, &count) : ENOMEM;
    for (int i = count;
         i-- > 0;) { /* a keytab in memory has the newest first, and the first names who acts by default */
        code = code == 0 ? krb5_kt_add_entry(context, to, &entries[i]) : code;
        krb5_free_keytab_entry_contents(context, &entries[i]);
    }
    free(entries);
    return code;
}
