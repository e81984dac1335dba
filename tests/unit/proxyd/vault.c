#include "unit/test.h"

#include <stdlib.h>

#include "base/file.h"
#include "proxyd/vault.h"

static struct service nfs = {.name = (char *)(uintptr_t) "nfs"},
                      any = {.name = (char *)(uintptr_t) "any", .user_bound = true};

static gage_buf
sealed(struct vault *v, const struct handle_scope *scope, int64_t expires)
{
    gage_buf out = GAGE_BUF(4096);
    assert_ok(vault_seal(v, HANDLE_CRED, scope, SLICE_LITERAL("mech"), expires, SLICE_LITERAL("payload"), &out));
    return out;
}

static gage_rc
opened(struct vault *v, enum handle_kind kind, const struct handle_scope *scope, const gage_buf *handle, int64_t now)
{
    AUTO(gage_buf) payload = GAGE_BUF(4096);
    gage_rc rc = vault_unseal(v, kind, scope, gage_buf_slice(handle), now, &payload);
    if (gage_ok(rc))
        assert_slice_equal(gage_buf_slice(&payload), SLICE_LITERAL("payload"));
    return rc;
}

TEST(opens_only_for_its_kind_service_policy_and_where_bound_its_uid)
{
    struct vault *v = NULL;
    assert_ok(vault_open(NULL, 1000, &v, NULL));
    struct handle_scope alice = {&any, 1001}, bob = {&any, 1002}, root = {&nfs, 0}, other = {&nfs, 7};
    AUTO(gage_buf) bound = sealed(v, &alice, 0);
    assert_ok(opened(v, HANDLE_CRED, &alice, &bound, 1));
    assert_code(opened(v, HANDLE_CRED, &bob, &bound, 1), GAGE_E_AUTH);
    assert_code(opened(v, HANDLE_EXPORT, &alice, &bound, 1), GAGE_E_AUTH);
    assert_code(opened(v, HANDLE_CRED, &root, &bound, 1), GAGE_E_AUTH);
    AUTO(gage_buf) unbound = sealed(v, &root, 0);
    assert_ok(opened(v, HANDLE_CRED, &other, &unbound, 1));
    nfs.policy[3] ^= 1;
    assert_code(opened(v, HANDLE_CRED, &root, &unbound, 1), GAGE_E_AUTH);
    nfs.policy[3] ^= 1;
    vault_close(&v);
}

TEST(every_changed_byte_and_every_cut_is_refused)
{
    struct vault *v = NULL;
    assert_ok(vault_open(NULL, 1000, &v, NULL));
    struct handle_scope root = {&nfs, 0};
    AUTO(gage_buf) h = sealed(v, &root, 5000);
    for (size_t i = 0; i < h.n; i++) {
        h.p[i] ^= 0x10;
        assert_code(opened(v, HANDLE_CRED, &root, &h, 1), GAGE_E_AUTH);
        h.p[i] ^= 0x10;
    }
    size_t whole = h.n;
    for (h.n = 0; h.n < whole; h.n++)
        assert_code(opened(v, HANDLE_CRED, &root, &h, 1), GAGE_E_AUTH);
    assert_ok(opened(v, HANDLE_CRED, &root, &h, 4999));
    assert_code(opened(v, HANDLE_CRED, &root, &h, 5000), GAGE_E_EXPIRED);
    vault_close(&v);
}

TEST(two_keys_are_valid_and_the_third_ends_the_first)
{
    char folder[] = "/tmp/gage-vault-XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct vault *v = NULL;
    struct handle_scope root = {&nfs, 0};
    int64_t day = 86400, t = 1000;
    assert_ok(vault_open(folder, t, &v, NULL));
    AUTO(gage_buf) h = sealed(v, &root, 0);
    vault_close(&v);
    assert_ok(vault_open(folder, t + 31 * day, &v, NULL)); /* another process, a second key */
    assert_ok(opened(v, HANDLE_CRED, &root, &h, 1));
    assert_ok(vault_rotate(v, t + 32 * day, NULL)); /* too early for a third */
    assert_ok(opened(v, HANDLE_CRED, &root, &h, 1));
    assert_ok(vault_rotate(v, t + 62 * day, NULL));
    assert_code(opened(v, HANDLE_CRED, &root, &h, 1), GAGE_E_AUTH);
    vault_close(&v);
    char path[128];
    struct gage_err err;
    snprintf(path, sizeof path, "%s/gage-handles.key", folder);
    assert_ok(file_replace(path, SLICE_LITERAL("not keys"), 0600, NULL));
    assert_code(vault_open(folder, t, &v, &err), GAGE_E_FORMAT);
    assert_non_null(strstr(err.text, "gage-handles.key"));
    unlink(path);
    strcat(path, ".lock");
    unlink(path);
    rmdir(folder);
}

TEST_MAIN(CASE(opens_only_for_its_kind_service_policy_and_where_bound_its_uid),
          CASE(every_changed_byte_and_every_cut_is_refused), CASE(two_keys_are_valid_and_the_third_ends_the_first))
