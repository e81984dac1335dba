/* x509: the request is a PKCS#10 certification request (RFC 2986), PEM; the answer is the certificate, PEM. The subject is the sender's choice:
 * what the request says there is not taken over, nor are its extensions. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/issue/issue.h"
#include "cli/issue/program.h"
#include "cli/terminal.h"

#define REQUEST_MAX 16384
#define DAY 86400
#define EXTENSIONS                                                                                                     \
    "basicConstraints=critical,CA:FALSE\n"                                                                             \
    "keyUsage=critical,digitalSignature\n"                                                                             \
    "extendedKeyUsage=clientAuth\n"                                                                                    \
    "subjectKeyIdentifier=hash\n"                                                                                      \
    "authorityKeyIdentifier=keyid\n"

gage_rc
x509_request(struct issue *issue, gage_buf *request, struct gage_err *err)
{
    char key[PATH_MAX], csr[PATH_MAX];
    AUTO(workshop) w = WORKSHOP_CLOSED;
    AUTO(gage_buf) private = GAGE_BUF(sizeof issue->private_key);
    TRY(workshop_open(&w, err));
    workshop_file(&w, "key", key);
    workshop_file(&w, "csr", csr);
    TRY(tool_run((const char *const[]){"openssl", "genpkey", "-quiet", "-algorithm", "EC", "-pkeyopt",
                                       "ec_paramgen_curve:P-256", "-out", key, NULL},
                 err));
    TRY(tool_run(
        (const char *const[]){"openssl", "req", "-new", "-key", key, "-subj", "/CN=receiver", "-out", csr, NULL}, err));
    TRY(workshop_read(&w, "key", &private, err));
    TRY(workshop_read(&w, "csr", request, err));
    put_u8(&private, 0);
    TRY(buf_check(&private, err));
    memcpy(issue->private_key, private.p, private.n);
    return GAGE_DONE;
}

/* Well-formed, and signed by the key that it names. */
static gage_rc
check_request(const char *csr, bool *refuse, struct gage_err *err)
{
    int status = 0;
    AUTO(gage_buf) out = GAGE_BUF(65536);
    const char *const argv[] = {"openssl", "req", "-in", csr, "-verify", "-noout", NULL};
    TRY(program_run(argv, NULL, 0, SLICE_NONE, &out, &status, err));
    *refuse = status != 0;
    return GAGE_DONE;
}

gage_rc
x509_answer(const struct issue *issue, const struct gage_call *call, gage_buf *answer, bool *refuse,
            struct gage_err *err)
{
    char csr[PATH_MAX], crt[PATH_MAX], extensions[PATH_MAX], serial[48], days[24], subject[ISSUE_TEXT_MAX + 8];
    AUTO(workshop) w = WORKSHOP_CLOSED;
    TRY(workshop_open(&w, err));
    workshop_file(&w, "csr", csr);
    workshop_file(&w, "crt", crt);
    workshop_file(&w, "extensions", extensions);
    TRY(workshop_write(&w, "csr", call->input, err));
    TRY(workshop_write(&w, "extensions", SLICE_LITERAL(EXTENSIONS), err));
    *refuse = call->input.n > REQUEST_MAX;
    if (!*refuse)
        TRY(check_request(csr, refuse, err));
    if (*refuse) {
        say("the receiver asked with something that is no certification request: refused");
        return GAGE_DONE;
    }
    snprintf(serial, sizeof serial, "0x1%.30s", call->key);
    snprintf(days, sizeof days, "%" PRId64, (issue->valid + DAY - 1) / DAY);
    snprintf(subject, sizeof subject, "%s%s", issue->identity[0] == '/' ? "" : "/CN=", issue->identity);
    TRY(tool_run((const char *const[]){"openssl", "x509",        "-req",        "-in",  csr,     "-CA", issue->ca_cert,
                                       "-CAkey",  issue->ca_key, "-set_serial", serial, "-days", days,  "-subj",
                                       subject,   "-extfile",    extensions,    "-out", crt,     NULL},
                 err));
    return workshop_read(&w, "crt", answer, err);
}

gage_rc
x509_identify(const struct issue *issue, gage_slice certificate, gage_buf *theirs, gage_buf *ours, struct gage_err *err)
{
    int status = 0;
    const char *const of_certificate[] = {"openssl", "x509", "-noout", "-pubkey", NULL};
    const char *const of_key[] = {"openssl", "pkey", "-pubout", NULL};
    TRY(program_run(of_certificate, NULL, 0, certificate, theirs, &status, err));
    if (status != 0)
        buf_reset(theirs);
    return program_run(of_key, NULL, 0, slice_str(issue->private_key), ours, &status, err);
}
