/* A keyring's two files with damage in them: `where` and `what` of bytes, 4 a change, over files that were good; or files that are the input
 * itself (first byte odd). Nothing may crash, and whatever is listed can be printed. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "seal/keyring.h"
#include "seal/once.h"

#define NOW INT64_C(1795000000)
#define FILE_MAX ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char folder[64], path[128], hints[160], journal[160];
static gage_buf good_file, good_hints;

static void
remove_all(void)
{
    unlink(path);
    unlink(hints);
    unlink(journal);
    rmdir(folder);
}

static void
make_good(void)
{
    struct keyring *k = NULL;
    strcpy(folder, access("/dev/shm", W_OK) == 0 ? "/dev/shm/gage-fuzz-XXXXXX" : "/tmp/gage-fuzz-XXXXXX");
    if (mkdtemp(folder) == NULL)
        abort();
    atexit(remove_all);
    snprintf(path, sizeof path, "%s/keyring", folder);
    snprintf(hints, sizeof hints, "%s.hints", path);
    snprintf(journal, sizeof journal, "%s-journal", path);
    if (!gage_ok(keyring_open(path, true, &k, NULL)))
        abort();
    for (uint8_t i = 1; i <= 3; i++) {
        AUTO(pairing_t) p = {.id = {i}, .made = NOW, .until = NOW + 1000000, .hint_receive = {i}};
        char alias[2] = {(char)('a' + i), '\0'};
        p.sending = p.receiving = (struct week_key){week_of(NOW), {.b = {i}, .n = SEAL_KEY_LEN}};
        p.self = p.peer = GAGE_BUF(16);
        put_bytes(&p.self, SLICE_LITERAL("me"));
        put_bytes(&p.peer, slice_str(alias));
        if (!gage_ok(keyring_add(k, &p, alias, NULL)))
            abort();
    }
    keyring_close(&k);
    good_file = good_hints = GAGE_BUF(FILE_MAX);
    if (!gage_ok(file_read(path, &good_file, NULL)) || !gage_ok(file_read(hints, &good_hints, NULL)))
        abort();
}

static void
write_changed(const char *to, const gage_buf *good, gage_slice changes, bool whole)
{
    AUTO(gage_buf) bytes = GAGE_BUF(FILE_MAX);
    put_bytes(&bytes, whole ? changes : gage_buf_slice(good));
    for (size_t i = 0; !whole && i + 4 <= changes.n; i += 4)
        bytes.p[((size_t)changes.p[i] << 16 | (size_t)changes.p[i + 1] << 8 | changes.p[i + 2]) % bytes.n] =
            changes.p[i + 3];
    if (!gage_ok(file_replace(to, gage_buf_slice(&bytes), 0600, NULL)))
        abort();
}

static bool
look(void *context, const struct keyring_row *row)
{
    size_t *sum = context;
    *sum += strlen(row->alias) + row->self.n + row->peer.n;
    return true;
}

static bool
leave(void *context, const char *temporary, const char *target)
{
    size_t *sum = context;
    *sum += strlen(temporary) + strlen(target);
    return false;
}

static void
use(struct keyring *k)
{
    static const uint8_t id[SEAL_ID_LEN] = {1};
    struct pairing found[KEYRING_MATCHES_MAX];
    char aliases[KEYRING_MATCHES_MAX][KEYRING_ALIAS_MAX + 1];
    struct seal_header header = {.nonce = {4}};
    AUTO(pairing_t) p = {.made = 0};
    size_t sum = 0, n = 0;
    unsigned keep;
    hint_of((const uint8_t[HINT_KEY_LEN]){2}, header.nonce, header.hint);
    (void)gage_ok(keyring_list(k, look, &sum, NULL));
    (void)gage_ok(keyring_keep(k, &keep, NULL));
    if (gage_ok(keyring_match(k, &header, NOW + WEEK_SECONDS, &keep, found, aliases, &n, NULL)))
        for (size_t i = 0; i < n; i++) {
            sum += strlen(aliases[i]);
            pairing_cleanup(&found[i]);
        }
    (void)gage_ok(keyring_get(k, "b", NOW, 4, true, &p, NULL));
    (void)gage_ok(once_begin(k, id, NOW, 600, NOW, NULL, NULL, NULL));
    (void)gage_ok(once_pending(k, leave, &sum, NULL));
    (void)gage_ok(keyring_remove(k, "c", NULL));
    (void)gage_ok(keyring_step_all(k, NOW + 2 * WEEK_SECONDS, 4, NULL));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct keyring *k = NULL;
    if (good_file.n == 0)
        make_good();
    if (n < 2)
        return 0;
    size_t half = 2 + (n - 2) * data[1] / 255;
    unlink(journal);
    write_changed(path, &good_file, gage_slice_of(data + 2, half - 2), (data[0] & 1) != 0);
    write_changed(hints, &good_hints, gage_slice_of(data + half, n - half), (data[0] & 2) != 0);
    if (gage_ok(keyring_open(path, false, &k, NULL)))
        use(k);
    keyring_close(&k);
    return 0;
}
