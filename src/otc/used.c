#include "otc/used.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

#include "base/file.h"
#include "otc/status.h"

#define MAGIC "gage-otc-used 1\n"
#define MAGIC_LEN (sizeof MAGIC - 1)
#define ENTRY_LEN (8 + SHA256_LEN)
#define REWRITE_FROM 1024 /* expired entries, at least, before the file is rewritten */

/* flock(2) belongs to the open file, so it excludes threads of one process too. */
static int
lock(const char *path)
{
    char name[4200];
    int n = snprintf(name, sizeof name, "%s.lock", path);
    if (n < 0 || (size_t)n >= sizeof name)
        return -1;
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    while (fd >= 0 && flock(fd, LOCK_EX) != 0) {
        if (errno != EINTR) {
            close(fd);
            return -1;
        }
    }
    return fd;
}

/* The whole file without a partial last entry; an empty or new one gets its first line. */
static gage_rc
load(const char *path, gage_buf *bytes)
{
    gage_rc rc = file_read(path, bytes, NULL);
    if (rc.code == GAGE_E_NOT_FOUND || (gage_ok(rc) && bytes->n == 0)) {
        TRY(file_replace(path, SLICE_LITERAL(MAGIC), 0600, NULL));
        put_bytes(bytes, SLICE_LITERAL(MAGIC));
        return buf_check(bytes, NULL);
    }
    TRY(rc);
    if (bytes->n < MAGIC_LEN || !slice_equal(gage_slice_of(bytes->p, MAGIC_LEN), SLICE_LITERAL(MAGIC)))
        return gage_rc_of(GAGE_E_FORMAT);
    bytes->n -= (bytes->n - MAGIC_LEN) % ENTRY_LEN;
    return GAGE_DONE;
}

static bool
over(uint64_t expires, int64_t now)
{
    return expires != 0 && now > 0 && expires < (uint64_t)now;
}

/* Whether one of the entries is among the stored ones; counts the expired. */
static bool
holds(gage_slice stored, const struct otc_used_entry *entries, size_t count, int64_t now, size_t *expired)
{
    struct reader r = read_from(stored);
    *expired = 0;
    while (r.left > 0) {
        *expired += over(get_u64(&r), now) ? 1 : 0;
        gage_slice key = get_bytes(&r, SHA256_LEN);
        for (size_t i = 0; i < count; i++) {
            if (slice_equal(key, SLICE_OF(entries[i].key)))
                return true;
        }
    }
    return false;
}

static void
put_entries(gage_buf *buf, const struct otc_used_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        put_u64(buf, entries[i].expires);
        put_bytes(buf, SLICE_OF(entries[i].key));
    }
}

static gage_rc
rewrite(const char *path, gage_slice stored, gage_slice added, int64_t now)
{
    AUTO(gage_buf) kept = GAGE_BUF(OTC_USED_MAX);
    struct reader r = read_from(stored);
    put_bytes(&kept, SLICE_LITERAL(MAGIC));
    while (r.left > 0) {
        gage_slice entry = get_bytes(&r, ENTRY_LEN);
        struct reader expires = read_from(entry);
        if (!over(get_u64(&expires), now))
            put_bytes(&kept, entry);
    }
    put_bytes(&kept, added);
    TRY(buf_check(&kept, NULL));
    return file_replace(path, gage_buf_slice(&kept), 0600, NULL);
}

/* Over a partial entry that a crash left, if any. */
static gage_rc
append(const char *path, size_t at, gage_slice added)
{
    AUTO(gage_fd) fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || lseek(fd, (off_t)at, SEEK_SET) != (off_t)at)
        return gage_rc_of(GAGE_E_IO);
    TRY(file_write_fd(fd, "the used store", added, NULL));
    return gage_rc_of(fsync(fd) == 0 ? GAGE_OK : GAGE_E_IO);
}

static gage_rc
claim(const char *path, const struct otc_used_entry *entries, size_t count, int64_t now)
{
    AUTO(gage_buf) bytes = GAGE_BUF(OTC_USED_MAX);
    AUTO(gage_buf) added = GAGE_BUF(4 * ENTRY_LEN);
    size_t expired;
    TRY(load(path, &bytes));
    gage_slice stored = {bytes.p + MAGIC_LEN, bytes.n - MAGIC_LEN};
    if (holds(stored, entries, count, now, &expired))
        return gage_rc_of(GAGE_E_USED);
    put_entries(&added, entries, count);
    TRY(buf_check(&added, NULL));
    if (expired >= REWRITE_FROM && expired > stored.n / ENTRY_LEN / 2)
        return rewrite(path, stored, gage_buf_slice(&added), now);
    if (bytes.n + added.n > OTC_USED_MAX)
        return gage_rc_of(GAGE_E_LIMIT);
    return append(path, bytes.n, gage_buf_slice(&added));
}

gage_rc
otc_used_claim(const char *path, const struct otc_used_entry *entries, size_t count, int64_t now, struct gage_err *err)
{
    AUTO(gage_fd) held = lock(path);
    if (held < 0)
        return otc_fail(err, OTC_S_USED_STORE);
    gage_rc rc = claim(path, entries, count, now);
    if (rc.code == GAGE_E_USED)
        return otc_fail(err, OTC_S_USED);
    return gage_ok(rc) ? rc : otc_fail(err, OTC_S_USED_STORE);
}
