/* issue.h - credentials that the sender makes for the receiver's public key: what `share --format` and `accept` do in additional calls.
 *
 * The receiver makes a key pair and asks with the public half; the sender has it certified and answers with the certificate; the private half
 * never leaves the receiver. doc/transfer.md, "Formats", says what passes. What either side needs for that lies in the transfer's note, and so in
 * its record: a kill loses nothing. */
#ifndef GAGE_CLI_ISSUE_ISSUE_H
#define GAGE_CLI_ISSUE_ISSUE_H

#include <limits.h>

#include <gage/transfer.h>

#include "base/bytes.h"
#include "cli/output.h"

#define ISSUE_SSH "ssh-certificate"
#define ISSUE_X509 "x509"
#define ISSUE_TEXT_MAX 1024
#define ISSUE_KEY_MAX 4096 /* of a private key as text */

/* One side's part. Empty where not given. */
struct issue {
    char exec[ISSUE_TEXT_MAX]; /* both: a command that makes requests or answers, instead of what is built in */
    char ca_key[PATH_MAX], ca_cert[PATH_MAX];
    char identity[ISSUE_TEXT_MAX];   /* sender: the ssh certificate's key id; the x509 subject */
    char principals[ISSUE_TEXT_MAX]; /* sender, ssh */
    int64_t valid;                   /* sender: seconds */
    char private_key[ISSUE_KEY_MAX]; /* receiver, once it has asked: secret */
    char public_key[ISSUE_KEY_MAX];  /* receiver, ssh */
};
void issue_wipe(struct issue *issue);
typedef struct issue issue_t;
GAGE_AUTO_DEFINE(issue_t, issue_wipe)

/* To and from the note: JSON. */
gage_rc issue_put(const struct issue *issue, gage_buf *note, struct gage_err *err);
gage_rc issue_get(gage_slice note, struct issue *issue, struct gage_err *err);

/* Whether the options of a share fit its format (NULL: a file); GAGE_E_USAGE says what is missing. Paths are made absolute. */
gage_rc issue_check(struct issue *issue, const char *format, struct gage_err *err);

/* Receiver: the next request. *refuse: this format cannot be answered here; *said why. */
gage_rc issue_request(struct issue *issue, const struct gage_call *call, gage_buf *request, bool *refuse,
                      struct gage_err *err);
/* Sender: the answer. *last: it is the content. */
gage_rc issue_answer(const struct issue *issue, const struct gage_call *call, gage_buf *answer, bool *last,
                     bool *refuse, struct gage_err *err);
/* Receiver: whether this format's content can be installed here. */
bool issue_installs(const struct issue *issue, const char *format);
/* Whether the certificate is for the key that was made here; true where none was. */
gage_rc issue_fits(const struct issue *issue, const char *format, gage_slice certificate, bool *fits,
                   struct gage_err *err);
/* Puts the private key and what else belongs to the certificate beside the place where it will be, and makes out->name the certificate's. Files that
 * are there with the same bytes are fine: an earlier process's. GAGE_E_EXISTS otherwise, unless `force`. */
gage_rc issue_place(const struct issue *issue, const char *format, bool force, output *out, struct gage_err *err);
/* The file name where neither side chose one. */
const char *issue_default_name(const char *format);

/* ---- ssh.c, x509.c ---- */

gage_rc ssh_request(struct issue *issue, gage_buf *request, struct gage_err *err);
gage_rc ssh_answer(const struct issue *issue, const struct gage_call *call, gage_buf *answer, bool *refuse,
                   struct gage_err *err);
gage_rc x509_request(struct issue *issue, gage_buf *request, struct gage_err *err);
/* Of the certificate, and of our key: the same text exactly where they belong together. */
gage_rc ssh_identify(const struct issue *issue, gage_slice certificate, gage_buf *theirs, gage_buf *ours,
                     struct gage_err *err);
gage_rc x509_identify(const struct issue *issue, gage_slice certificate, gage_buf *theirs, gage_buf *ours,
                      struct gage_err *err);
gage_rc x509_answer(const struct issue *issue, const struct gage_call *call, gage_buf *answer, bool *refuse,
                    struct gage_err *err);

#endif
