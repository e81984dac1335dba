/* secretfile.h - the file that holds one side of a shared secret (doc/otc.md section 12). */
#ifndef GAGE_OTC_SECRETFILE_H
#define GAGE_OTC_SECRETFILE_H

#include "otc/credential.h"
#include "otc/psk.h"

#define OTC_SECRET_FILE_MAX 8192

/* What a file says. The texts are borrowed from the file's bytes. */
struct otc_secret_file {
    struct otc_psk psk; /* side OTC_SIDE_LINK where the file names none */
    gage_slice label, purpose;
};

/* Parses the bytes; SECRET_FILE_FORMAT or BAD_SECRET. The caller wipes out->psk. */
gage_rc otc_secret_file_parse(gage_slice bytes, struct otc_secret_file *out, struct gage_err *err);
/* Reads the file whole, after a look at who else may; SECRET_FILE or SECRET_FILE_OPEN. */
gage_rc otc_secret_file_read(const char *path, gage_buf *bytes, struct gage_err *err);

#endif
