/* A user's keytab, read here rather than by libkrb5, whose reader loses the memory of an entry that ends too early: up to 128 KiB, as often as
 * its user likes. The format: MIT's "Kerberos file formats", keytab version 2. As there, what cannot be an entry ends the file. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "proxyd/users_file.h"

#define FILE_MAX (1 << 20)
#define KEYS_MAX 512 /* a keytab in memory is searched one by one */
#define PARTS_MAX 16 /* of a principal */
#define VERSION_2 0x0502

/* Borrowed from the record. */
struct entry {
    krb5_keytab_entry entry;
    krb5_principal_data principal;
    krb5_data parts[PARTS_MAX];
};

static bool
get_data(struct reader *r, krb5_data *to)
{
    gage_slice bytes = get_vec16(r);
    *to = (krb5_data){.magic = KV5M_DATA, .length = (unsigned)bytes.n, .data = (char *)(uintptr_t)bytes.p};
    return bytes.n > 0;
}

static bool
read_entry(gage_slice record, struct entry *e)
{
    struct reader r = read_from(record);
    size_t count = get_u16(&r);
    *e = (struct entry){.principal = {.magic = KV5M_PRINCIPAL, .length = (krb5_int32)count}};
    bool good = count > 0 && count <= PARTS_MAX && get_data(&r, &e->principal.realm);
    for (size_t i = 0; i < count && good; i++)
        good = get_data(&r, &e->parts[i]);
    e->principal.type = (krb5_int32)get_u32(&r);
    e->entry.timestamp = (krb5_timestamp)get_u32(&r);
    e->entry.vno = get_u8(&r);
    e->entry.key.magic = KV5M_KEYBLOCK;
    e->entry.key.enctype = (int16_t)get_u16(&r);
    gage_slice key = get_vec16(&r);
    e->entry.key.length = (unsigned)key.n;
    e->entry.key.contents = (krb5_octet *)(uintptr_t)key.p;
    good = good && read_ok(&r);
    struct reader more = read_from(get_rest(&r));
    uint32_t vno = get_u32(&more); /* of a later writer; 0 says nothing */
    if (read_ok(&more) && vno != 0)
        e->entry.vno = vno;
    return good;
}

/* The records of the file, holes left out. */
static krb5_error_code
find_records(gage_slice file, gage_slice records[KEYS_MAX], size_t *count)
{
    struct reader r = read_from(file);
    struct entry e;
    *count = 0;
    if (get_u16(&r) != VERSION_2)
        return KRB5_KEYTAB_BADVNO;
    for (;;) {
        int32_t size = (int32_t)get_u32(&r);
        gage_slice record = get_bytes(&r, (size_t)(size < 0 ? -(int64_t)size : size));
        if (!read_ok(&r) || size == 0 || (size > 0 && !read_entry(record, &e)))
            return 0;
        if (size > 0 && *count == KEYS_MAX)
            return E2BIG;
        if (size > 0)
            records[(*count)++] = record;
    }
}

/* In memory the newest comes first, and the first names who acts by default. */
static krb5_error_code
add_backwards(const struct users_keytab *copy, const gage_slice *records, size_t count)
{
    krb5_error_code code = 0;
    while (count-- > 0 && code == 0) {
        struct entry e;
        (void)read_entry(records[count], &e);
        e.principal.data = e.parts;
        e.entry.principal = &e.principal;
        code = krb5_kt_add_entry(copy->context, copy->keytab, &e.entry);
    }
    return code;
}

static krb5_error_code
copy_keys(int fd, const struct users_keytab *copy)
{
    AUTO(gage_buf) file = GAGE_BUF(FILE_MAX);
    gage_slice records[KEYS_MAX];
    size_t count;
    if (lseek(fd, 0, SEEK_SET) != 0)
        return errno;
    gage_rc rc = file_read_fd(fd, "keytab", &file, NULL);
    if (!gage_ok(rc))
        return rc.code == GAGE_E_LIMIT ? E2BIG : EIO;
    krb5_error_code code = find_records(gage_buf_slice(&file), records, &count);
    return code != 0 ? code : add_backwards(copy, records, count);
}

krb5_error_code
users_file_copy_keytab(int fd, const char *name, struct users_keytab *copy)
{
    *copy = (struct users_keytab){0};
    krb5_error_code code = krb5_init_context(&copy->context);
    if (code == 0)
        code = krb5_kt_resolve(copy->context, name, &copy->keytab);
    return code != 0 || fd < 0 ? code : copy_keys(fd, copy);
}

void
users_keytab_close(struct users_keytab *copy)
{
    if (copy->keytab != NULL)
        krb5_kt_close(copy->context, copy->keytab);
    if (copy->context != NULL)
        krb5_free_context(copy->context);
    *copy = (struct users_keytab){0};
}
