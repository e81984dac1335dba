/* ssh-certificate: the request is a public key as ssh-keygen writes it, one line; the answer is the certificate, one line. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "cli/issue/issue.h"
#include "cli/issue/program.h"
#include "cli/terminal.h"

#define REQUEST_MAX 16384

gage_rc
ssh_request(struct issue *issue, gage_buf *request, struct gage_err *err)
{
    char key[PATH_MAX];
    AUTO(workshop) w = WORKSHOP_CLOSED;
    AUTO(gage_buf) private = GAGE_BUF(sizeof issue->private_key);
    TRY(workshop_open(&w, err));
    workshop_file(&w, "key", key);
    TRY(tool_run((const char *const[]){"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key, NULL}, err));
    TRY(workshop_read(&w, "key", &private, err));
    TRY(workshop_read(&w, "key.pub", request, err));
    put_u8(&private, 0);
    TRY(buf_check(&private, err));
    REQUIRE(request->n < sizeof issue->public_key, err, GAGE_E_LIMIT, "the public key is too long");
    memcpy(issue->private_key, private.p, private.n);
    memcpy(issue->public_key, request->p, request->n);
    issue->public_key[request->n] = '\0';
    return GAGE_DONE;
}

/* One line of printable text that begins like a plain public key: no certificate, no options, no second key. */
static bool
is_public_key(gage_slice text)
{
    static const char *const kinds[] = {"ssh-ed25519 ",
                                        "ecdsa-sha2-nistp256 ",
                                        "ecdsa-sha2-nistp384 ",
                                        "ecdsa-sha2-nistp521 ",
                                        "ssh-rsa ",
                                        "sk-ssh-ed25519@openssh.com ",
                                        "sk-ecdsa-sha2-nistp256@openssh.com "};
    if (text.n > 0 && text.p[text.n - 1] == '\n')
        text.n--;
    if (text.n == 0 || text.n > REQUEST_MAX || !utf8_printable(text))
        return false;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (text.n > strlen(kinds[i]) && memcmp(text.p, kinds[i], strlen(kinds[i])) == 0)
            return true;
    return false;
}

/* The same for the same step, so that an answer made twice is one certificate. */
static void
serial_of(const char *key, char serial[24])
{
    char digits[16] = "";
    snprintf(digits, sizeof digits, "%.15s", key);
    snprintf(serial, 24, "%" PRIu64, (uint64_t)strtoull(digits, NULL, 16));
}

gage_rc
ssh_answer(const struct issue *issue, const struct gage_call *call, gage_buf *answer, bool *refuse,
           struct gage_err *err)
{
    char key[PATH_MAX], serial[24], valid[48];
    AUTO(workshop) w = WORKSHOP_CLOSED;
    *refuse = !is_public_key(call->input);
    if (*refuse) {
        say("the receiver asked with something that is no ssh public key: refused");
        return GAGE_DONE;
    }
    serial_of(call->key, serial);
    snprintf(valid, sizeof valid, "-5m:+%" PRId64 "s", issue->valid);
    TRY(workshop_open(&w, err));
    TRY(workshop_write(&w, "key.pub", call->input, err));
    workshop_file(&w, "key.pub", key);
    TRY(tool_run((const char *const[]){"ssh-keygen", "-q", "-s", issue->ca_key, "-I", issue->identity, "-n",
                                       issue->principals, "-z", serial, "-V", valid, key, NULL},
                 err));
    return workshop_read(&w, "key-cert.pub", answer, err);
}

/* "256 SHA256:... comment (ED25519-CERT)": the second word, of the key itself also for a certificate. */
static gage_rc
fingerprint(const char *path, gage_buf *out, struct gage_err *err)
{
    int status = 0;
    gage_slice word;
    AUTO(gage_buf) text = GAGE_BUF(4096);
    const char *const argv[] = {"ssh-keygen", "-l", "-f", path, NULL};
    TRY(program_run(argv, NULL, 0, SLICE_NONE, &text, &status, err));
    const uint8_t *from = text.n > 0 ? memchr(text.p, ' ', text.n) : NULL;
    if (status != 0 || from == NULL)
        return GAGE_DONE; /* nothing equals nothing: the caller demands a text */
    word = gage_slice_of(from + 1, (size_t)(text.p + text.n - from) - 1);
    const uint8_t *end = memchr(word.p, ' ', word.n);
    put_bytes(out, gage_slice_of(word.p, end != NULL ? (size_t)(end - word.p) : word.n));
    return buf_check(out, err);
}

gage_rc
ssh_identify(const struct issue *issue, gage_slice certificate, gage_buf *theirs, gage_buf *ours, struct gage_err *err)
{
    char path[PATH_MAX];
    AUTO(workshop) w = WORKSHOP_CLOSED;
    TRY(workshop_open(&w, err));
    TRY(workshop_write(&w, "theirs", certificate, err));
    TRY(workshop_write(&w, "ours", slice_str(issue->public_key), err));
    workshop_file(&w, "theirs", path);
    TRY(fingerprint(path, theirs, err));
    workshop_file(&w, "ours", path);
    return fingerprint(path, ours, err);
}
