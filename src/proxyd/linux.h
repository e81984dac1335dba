/* linux.h - what the Linux kernel's NFS server asks for in ACCEPT_SEC_CONTEXT: the context as linux_lucid_v1 and the user as
 * linux_creds_v1, host-endian and packed (doc/proxy.md, "Kernel formats"). */
#ifndef GAGE_PROXYD_LINUX_H
#define GAGE_PROXYD_LINUX_H

#include "proxyd/call.h"
#include "proxyd/conv.h"

#define LINUX_GROUPS_MAX 65536

/* Consumes the context. krb5 only. */
bool linux_lucid(struct call *call, gss_ctx_id_t *ctx, octet_string *to);
/* Maps the name (machine_uid, then gss_localname and NSS) and adds the option linux_creds_v1; -1, -1, 0 where there is no account. */
bool linux_creds(struct call *call, gss_name_t name, gss_const_OID mech, gssx_options *options);

/* The two formats by themselves. */
void linux_put_lucid(gage_buf *buf, uint32_t flags, uint32_t end, uint64_t send_seq, uint32_t enctype, gage_slice key);
void linux_put_creds(gage_buf *buf, uid_t uid, gid_t gid, const gid_t *groups, size_t count);

#endif
