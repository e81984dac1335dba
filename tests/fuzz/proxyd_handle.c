/* What clients of the proxy daemon bring back, and what it reads of a token by itself. First byte: 0 a handle (changes of 3 bytes each, place
 * and value, over a good one), 1 bytes in place of a handle, 2 the file of keys, 3 the description of a credential, else a first token. */
#include "fuzz/place.h"
#include "proxyd/known.h"
#include "proxyd/spec.h"

#define NOW INT64_C(1795000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct service service = {.name = (char *)(uintptr_t) "fuzz", .user_bound = true};
static const struct handle_scope scope = {&service, 7};
static struct vault *vault;

static gage_rc
opens(gage_slice handle, enum handle_kind kind)
{
    AUTO(gage_buf) payload = GAGE_BUF(VAULT_PAYLOAD_MAX);
    return vault_unseal(vault, kind, &scope, handle, NOW, &payload);
}

/* It opens exactly where nothing of it has changed. */
static void
changed_handle(gage_slice changes)
{
    static gage_buf good;
    if (good.n == 0) {
        good = GAGE_BUF(4096);
        require(gage_ok(
            vault_seal(vault, HANDLE_CRED, &scope, SLICE_LITERAL("mech"), NOW + 9, SLICE_LITERAL("payload"), &good)));
    }
    AUTO(gage_buf) handle = GAGE_BUF(4096);
    put_bytes(&handle, gage_buf_slice(&good));
    for (size_t i = 0; i + 3 <= changes.n; i += 3)
        handle.p[((size_t)changes.p[i] << 8 | changes.p[i + 1]) % handle.n] = changes.p[i + 2];
    bool same = slice_equal(gage_buf_slice(&handle), gage_buf_slice(&good));
    require(gage_ok(opens(gage_buf_slice(&handle), HANDLE_CRED)) == same);
    require(gage_ok(opens(gage_buf_slice(&good), HANDLE_CRED)) &&
            !gage_ok(opens(gage_buf_slice(&good), HANDLE_EXPORT)));
}

/* Keys that are taken seal; a file that is not is named. */
static void
keys_file(gage_slice bytes)
{
    static const char *file, *lock;
    struct vault *other = NULL;
    struct gage_err err = {.code = GAGE_OK};
    AUTO(gage_buf) handle = GAGE_BUF(4096), payload = GAGE_BUF(4096);
    if (file == NULL) {
        file = place_of("gage-handles.key");
        lock = place_of("gage-handles.key.lock");
    }
    place_write(file, bytes);
    if (!gage_ok(vault_open(place_folder, NOW, &other, &err))) {
        require(err.text[0] != '\0' && other == NULL && access(lock, F_OK) == 0);
        return;
    }
    require(gage_ok(vault_seal(other, HANDLE_CRED, &scope, SLICE_NONE, 0, SLICE_LITERAL("x"), &handle)));
    require(gage_ok(vault_unseal(other, HANDLE_CRED, &scope, gage_buf_slice(&handle), NOW, &payload)));
    vault_close(&other);
}

/* What is read is written back as it was, but for bits without a meaning and a mechanism that was there twice. */
static void
description(gage_slice bytes)
{
    AUTO(cred_spec) spec = SPEC_EMPTY, again = SPEC_EMPTY;
    AUTO(gage_buf) back = GAGE_BUF(SPEC_BYTES_MAX), last = GAGE_BUF(SPEC_BYTES_MAX);
    if (!gage_ok(spec_decode(bytes, &spec)))
        return;
    spec_encode(&spec, &back);
    require(!back.bad && back.n <= bytes.n && gage_ok(spec_decode(gage_buf_slice(&back), &again)));
    spec_encode(&again, &last);
    require(slice_equal(gage_buf_slice(&back), gage_buf_slice(&last)));
}

static void
first_token(gage_slice token)
{
    gage_slice ticket;
    if (known_ticket(token, &ticket))
        require(ticket.n > 0 && ticket.p > token.p && ticket.p + ticket.n <= token.p + token.n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (vault == NULL)
        require(gage_ok(vault_open(NULL, NOW, &vault, NULL)));
    if (n == 0)
        return 0;
    gage_slice rest = gage_slice_of(data + 1, n - 1);
    switch (data[0]) {
    case 0:
        changed_handle(rest);
        break;
    case 1:
        require(!gage_ok(opens(rest, HANDLE_CRED)) && !gage_ok(opens(rest, HANDLE_CONTEXT)));
        break;
    case 2:
        keys_file(rest);
        break;
    case 3:
        description(rest);
        break;
    default:
        first_token(rest);
    }
    return 0;
}
