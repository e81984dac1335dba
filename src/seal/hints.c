#include "seal/hints.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/secret.h"

#define MAGIC "gage-hints 1\n\0\0"
#define HEADER_LEN (sizeof MAGIC + 16)

static void
put_header(uint8_t header[HEADER_LEN], uint64_t generation, uint64_t count)
{
    AUTO(gage_buf) buf = GAGE_BUF(HEADER_LEN);
    put_bytes(&buf, gage_slice_of(MAGIC, sizeof MAGIC));
    put_u64(&buf, generation);
    put_u64(&buf, count);
    memcpy(header, buf.p, HEADER_LEN);
}

bool
hints_fit(const struct hints *hints, uint64_t generation)
{
    if (hints->map == NULL)
        return false;
    struct reader r = read_from(gage_slice_of(hints->map, hints->size));
    gage_slice magic = get_bytes(&r, sizeof MAGIC);
    uint64_t found = get_u64(&r), count = get_u64(&r);
    return read_ok(&r) && memcmp(magic.p, MAGIC, sizeof MAGIC) == 0 && found == generation &&
           r.left % HINT_KEY_LEN == 0 && count == r.left / HINT_KEY_LEN;
}

static gage_rc
map_file(struct hints *hints, struct gage_err *err)
{
    struct stat st;
    bool own = fstat(hints->fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_nlink == 1 &&
               (st.st_mode & 077) == 0;
    REQUIRE(own && st.st_size >= (off_t)HEADER_LEN, err, GAGE_E_NOT_FOUND, "no hints, or not of our making");
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, hints->fd, 0);
    if (map == MAP_FAILED)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot map the keyring's hints");
    hints->map = map;
    hints->size = (size_t)st.st_size;
    return GAGE_DONE;
}

gage_rc
hints_open(struct hints *hints, const char *path, uint64_t generation, struct gage_err *err)
{
    *hints = HINTS_CLOSED;
    hints->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    REQUIRE(hints->fd >= 0, err, GAGE_E_NOT_FOUND, "no hints");
    gage_rc rc = map_file(hints, err);
    if (gage_ok(rc) && !hints_fit(hints, generation))
        rc = gage_fail(err, GAGE_E_NOT_FOUND, "stale hints");
    if (!gage_ok(rc))
        hints_close(hints);
    return rc;
}

gage_rc
hints_write(const char *path, uint64_t generation, gage_slice keys, struct gage_err *err)
{
    AUTO(gage_buf) file = GAGE_BUF(HEADER_LEN + keys.n);
    uint8_t header[HEADER_LEN];
    put_header(header, generation, keys.n / HINT_KEY_LEN);
    put_bytes(&file, SLICE_OF(header));
    put_bytes(&file, keys);
    TRY(buf_check(&file, err));
    return file_replace(path, gage_buf_slice(&file), 0600, err);
}

static gage_rc
write_at(int fd, const void *bytes, size_t n, size_t at, struct gage_err *err)
{
    ssize_t done = pwrite(fd, bytes, n, (off_t)at);
    if (done != (ssize_t)n)
        return gage_fail_sys(err, GAGE_E_IO, done < 0 ? errno : ENOSPC, "cannot write the keyring's hints");
    return GAGE_DONE;
}

/* The key first, then the header that makes it count: a crash in between leaves a file of the old generation, which does not open. */
gage_rc
hints_set(struct hints *hints, size_t index, const uint8_t key[HINT_KEY_LEN], uint64_t generation, struct gage_err *err)
{
    uint8_t header[HEADER_LEN];
    size_t count = (hints->size - HEADER_LEN) / HINT_KEY_LEN;
    REQUIRE(index <= count, err, GAGE_E_INTERNAL, "a hint beyond the end");
    TRY(write_at(hints->fd, key, HINT_KEY_LEN, HEADER_LEN + index * HINT_KEY_LEN, err));
    put_header(header, generation, index == count ? count + 1 : count);
    TRY(write_at(hints->fd, header, sizeof header, 0, err));
    if (index < count)
        return GAGE_DONE;
    munmap(hints->map, hints->size);
    hints->map = NULL;
    return map_file(hints, err);
}

gage_slice
hints_keys(const struct hints *hints)
{
    return hints->map == NULL ? SLICE_NONE : gage_slice_of(hints->map + HEADER_LEN, hints->size - HEADER_LEN);
}

void
hints_close(struct hints *hints)
{
    if (hints->map != NULL)
        munmap(hints->map, hints->size);
    gage_close_fd(&hints->fd);
    *hints = HINTS_CLOSED;
}
