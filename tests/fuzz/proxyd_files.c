/* A user's files that the proxy daemon copies: a ticket cache (first byte even) or a keytab. Whatever they hold, a copy stays within its
 * limits, and nothing is left behind. */
#include <sys/mman.h>

#include "fuzz/place.h"
#include "proxyd/users_file.h"

#define COPY "MEMORY:fuzz"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static krb5_context context;

static void
copy_cache(int fd)
{
    krb5_ccache copy = NULL;
    krb5_cc_cursor cursor;
    krb5_creds ticket;
    krb5_principal whose = NULL;
    int count = 0;
    krb5_error_code code = users_file_copy_ccache(fd, COPY);
    require(lock_until_ns == 0 && krb5_cc_resolve(context, COPY, &copy) == 0);
    if (code == 0) {
        require(krb5_cc_get_principal(context, copy, &whose) == 0);
        require(krb5_cc_start_seq_get(context, copy, &cursor) == 0);
        for (; krb5_cc_next_cred(context, copy, &cursor, &ticket) == 0; count++)
            krb5_free_cred_contents(context, &ticket);
        krb5_cc_end_seq_get(context, copy, &cursor);
        krb5_free_principal(context, whose);
        require(count <= 4096);
    }
    krb5_cc_destroy(context, copy);
}

static void
copy_keytab(int fd)
{
    struct users_keytab copy;
    krb5_kt_cursor cursor;
    krb5_keytab_entry entry;
    int count = 0;
    if (users_file_copy_keytab(fd, COPY, &copy) == 0) {
        require(krb5_kt_start_seq_get(context, copy.keytab, &cursor) == 0);
        for (; krb5_kt_next_entry(context, copy.keytab, &entry, &cursor) == 0; count++) {
            require(entry.principal->length > 0 && entry.principal->realm.length > 0);
            krb5_free_keytab_entry_contents(context, &entry);
        }
        krb5_kt_end_seq_get(context, copy.keytab, &cursor);
        require(count <= 512);
    }
    users_keytab_close(&copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (context == NULL) {
        place_kerberos();
        require(krb5_init_context(&context) == 0);
    }
    if (n == 0)
        return 0;
    AUTO(gage_fd) fd = memfd_create("fuzz", MFD_CLOEXEC);
    require(fd >= 0 && gage_ok(file_write_fd(fd, "the file", gage_slice_of(data + 1, n - 1), NULL)));
    if (data[0] % 2 == 0)
        copy_cache(fd);
    else
        copy_keytab(fd);
    return 0;
}
