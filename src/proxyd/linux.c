#include "proxyd/linux.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include <gssapi/gssapi_krb5.h>

#include "proxyd/audit.h"
#include "proxyd/mech.h"

#define GROUPS_ASKED_MAX (1 << 20)

enum { LUCID_INITIATOR = 1, LUCID_RFC4121 = 2, LUCID_ACCEPTOR_SUBKEY = 4 };

static void
put_host(gage_buf *buf, const void *value, size_t n)
{
    put_bytes(buf, gage_slice_of(value, n));
}

/* ---- the context ---- */

void
linux_put_lucid(gage_buf *buf, uint32_t flags, uint32_t end, uint64_t send_seq, uint32_t enctype, gage_slice key)
{
    put_host(buf, &flags, sizeof flags);
    put_host(buf, &end, sizeof end);
    put_host(buf, &send_seq, sizeof send_seq);
    put_host(buf, &enctype, sizeof enctype);
    put_bytes(buf, key);
}

static void
put_context(const gss_krb5_lucid_context_v1_t *c, gage_buf *buf)
{
    bool rfc4121 = c->protocol == 1;
    bool subkey = rfc4121 && c->cfx_kd.have_acceptor_subkey == 1;
    const gss_krb5_lucid_key_t *key = !rfc4121 ? &c->rfc1964_kd.ctx_key
                                      : subkey ? &c->cfx_kd.acceptor_subkey
                                               : &c->cfx_kd.ctx_key;
    uint32_t flags =
        (c->initiate ? LUCID_INITIATOR : 0u) | (rfc4121 ? LUCID_RFC4121 : 0u) | (subkey ? LUCID_ACCEPTOR_SUBKEY : 0u);
    linux_put_lucid(buf, flags, (uint32_t)c->endtime, c->send_seq, key->type, gage_slice_of(key->data, key->length));
}

bool
linux_lucid(struct call *call, gss_ctx_id_t *ctx, octet_string *to)
{
    AUTO(gage_buf) bytes = GAGE_BUF(256);
    void *exported = NULL;
    OM_uint32 minor, major = gss_krb5_export_lucid_sec_context(&minor, ctx, 1, &exported);
    if (GSS_ERROR(major))
        return status_set(&call->status, major, minor, &mech_oid_krb5);
    const gss_krb5_lucid_context_v1_t *c = exported;
    bool known = c->version == 1 && (c->protocol == 0 || c->protocol == 1);
    if (known)
        put_context(c, &bytes);
    (void)gss_krb5_free_lucid_sec_context(&minor, exported);
    if (!known || bytes.bad)
        return status_fail(&call->status, GSS_S_FAILURE, ENOTSUP, "the context has a form the kernel does not know");
    return gssx_put(to, gage_buf_slice(&bytes)) || status_fail(&call->status, GSS_S_FAILURE, ENOMEM, "out of memory");
}

/* ---- the user ---- */

void
linux_put_creds(gage_buf *buf, uid_t uid, gid_t gid, const gid_t *groups, size_t count)
{
    int32_t n = (int32_t)count;
    put_host(buf, &uid, sizeof uid);
    put_host(buf, &gid, sizeof gid);
    put_host(buf, &n, sizeof n);
    put_host(buf, groups, count * sizeof groups[0]);
}

/* All groups of the user, the primary first; NULL where memory is short or there are too many even to be cut: where getgrouplist(3) has no
 * room for all, what it leaves in the array is not said, and may be nobody's groups. */
static gid_t *
groups_of(const char *user, gid_t primary, int *count)
{
    gid_t *groups = NULL;
    *count = 256;
    for (int round = 0; round < 16; round++) {
        int room = *count;
        gid_t *grown = realloc(groups, (size_t)room * sizeof *groups);
        if (grown == NULL)
            break;
        groups = grown;
        if (getgrouplist(user, primary, groups, count) >= 0)
            return groups;
        *count = *count > room ? *count : room * 2;
        if (*count > GROUPS_ASKED_MAX)
            break;
    }
    free(groups);
    return NULL;
}

static bool
add_user(struct call *call, const struct passwd *user, gssx_options *options)
{
    AUTO(gage_buf) bytes = GAGE_BUF(12 + LINUX_GROUPS_MAX * sizeof(gid_t));
    int count = 0;
    gid_t *groups = groups_of(user->pw_name, user->pw_gid, &count);
    if (groups == NULL)
        return status_fail(&call->status, GSS_S_FAILURE, ENOMEM, "the groups of uid %u do not fit memory",
                           user->pw_uid);
    if (count > LINUX_GROUPS_MAX) /* more than the kernel takes: the first ones */
        count = LINUX_GROUPS_MAX;
    linux_put_creds(&bytes, user->pw_uid, user->pw_gid, groups, (size_t)count);
    free(groups);
    return option_add(options, "linux_creds_v1", gage_buf_slice(&bytes)) ||
           status_fail(&call->status, GSS_S_FAILURE, ENOMEM, "out of memory");
}

static bool
add_nobody(struct call *call, gssx_options *options)
{
    AUTO(gage_buf) bytes = GAGE_BUF(16);
    linux_put_creds(&bytes, (uid_t)-1, (gid_t)-1, NULL, 0);
    return option_add(options, "linux_creds_v1", gage_buf_slice(&bytes)) ||
           status_fail(&call->status, GSS_S_FAILURE, ENOMEM, "out of memory");
}

/* The row of machine_uid for exactly this krb5 principal. */
static const struct uid_row *
mapped(const struct service *s, gss_name_t name, gss_const_OID mech)
{
    AUTO(gss_owned_buffer) shown = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    if (s->machine_uid_count == 0 || !mech_is_krb5(mech) || GSS_ERROR(gss_display_name(&minor, name, &shown, NULL)))
        return NULL;
    for (size_t i = 0; i < s->machine_uid_count; i++)
        if (slice_equal(gss_slice(&shown), slice_str(s->machine_uid[i].principal)))
            return &s->machine_uid[i];
    return NULL;
}

static bool
add_mapped(struct call *call, const struct uid_row *row, gssx_options *options)
{
    struct passwd entry, *found = NULL;
    char buffer[16384];
    audit_machine(call, row->principal, row->uid);
    (void)getpwuid_r(row->uid, &entry, buffer, sizeof buffer, &found);
    return found != NULL ? add_user(call, found, options) : add_nobody(call, options);
}

bool
linux_creds(struct call *call, gss_name_t name, gss_const_OID mech, gssx_options *options)
{
    AUTO(gss_owned_buffer) local = GSS_C_EMPTY_BUFFER;
    const struct uid_row *row = mapped(call->service, name, mech);
    OM_uint32 minor;
    char user[256], buffer[16384];
    struct passwd entry, *found = NULL;
    if (row != NULL)
        return add_mapped(call, row, options);
    if (GSS_ERROR(gss_localname(&minor, name, mech, &local)) || local.length == 0 || local.length >= sizeof user)
        return add_nobody(call, options);
    memcpy(user, local.value, local.length);
    user[local.length] = '\0';
    (void)getpwnam_r(user, &entry, buffer, sizeof buffer, &found);
    return found != NULL ? add_user(call, found, options) : add_nobody(call, options);
}
