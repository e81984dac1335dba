/* status.h - how the mechanism fails: a major status of RFC 2744 with a minor status that has a sentence (doc/otc.md section 13). */
#ifndef GAGE_OTC_STATUS_H
#define GAGE_OTC_STATUS_H

#include <gssapi/gssapi.h>

#include "base/rc.h"

/* Minor status numbers are this plus the row's number, for ever. */
#define OTC_MINOR_BASE 0x6f746300u

/* clang-format off */
/* name, number, major status, sentence: what happened, what it means, what to do. */
#define OTC_STATUSES(X) \
    X(OK, 0, GSS_S_COMPLETE, "done") \
    X(WRONG_SECRET, 1, GSS_S_DEFECTIVE_CREDENTIAL, "wrong secret: no secret held here belongs to this token; copy the link again and whole, or use both files of one pair") \
    X(DAMAGED, 2, GSS_S_DEFECTIVE_TOKEN, "damaged token: it was altered or forged on its way; ask the other side to send it again") \
    X(TRUNCATED, 3, GSS_S_DEFECTIVE_TOKEN, "truncated token: it is shorter than its kind allows; ask the other side to send it again, whole") \
    X(FOREIGN, 4, GSS_S_DEFECTIVE_TOKEN, "foreign token: this is not a token of the one-time-credential mechanism; check that both sides use it") \
    X(UNSUPPORTED, 5, GSS_S_DEFECTIVE_TOKEN, "unsupported token: the other side uses a newer version or suite; update the older side") \
    X(REFLECTED, 6, GSS_S_DEFECTIVE_TOKEN, "reflected token: it was made on this side; somebody sent it back, or messages are read from one's own mailbox") \
    X(WRONG_STATE, 7, GSS_S_DEFECTIVE_TOKEN, "unexpected token: it is not the kind that this context waits for; feed the other side's tokens in order") \
    X(EQUAL_SIDES, 8, GSS_S_DEFECTIVE_CREDENTIAL, "equal sides: both parties use the same side of one secret; give one of them the file of the other side") \
    X(OTHER_SIDE, 9, GSS_S_DEFECTIVE_CREDENTIAL, "wrong kind of secret: one side uses it as a link and the other as a pair of files; use the same kind on both") \
    X(EXPIRED, 10, GSS_S_CREDENTIALS_EXPIRED, "expired: the credential can no longer be claimed; ask for a new link") \
    X(USED, 11, GSS_S_FAILURE | GSS_S_DUPLICATE_TOKEN, "used already: this credential made a context before; ask for a new link") \
    X(BAD_BINDINGS, 12, GSS_S_BAD_BINDINGS, "channel bindings differ: the two sides are not on the same channel; somebody may stand between them") \
    X(REFUSED, 13, GSS_S_FAILURE, "refused: the other side ended the exchange; somebody else may have used the link, ask for a new one") \
    X(NO_SECRET, 14, GSS_S_NO_CRED, "no secret: give the link secret as password, or otc_secret or otc_secret_file in the credential store") \
    X(BAD_SECRET, 15, GSS_S_DEFECTIVE_CREDENTIAL, "not a secret: a link secret is 43 characters of base64url (32 bytes); copy it again and whole") \
    X(ROLE, 16, GSS_S_NO_CRED, "wrong role: the creator of a link initiates and its receiver accepts; acquire the credential for that use") \
    X(BOTH_ROLES, 17, GSS_S_NO_CRED, "a link secret has one side: acquire it to initiate (creator) or to accept (receiver), not for both") \
    X(BAD_KEY, 18, GSS_S_FAILURE, "unknown or repeated otc_ key in the credential store; the known ones are in gage_otc(7)") \
    X(BAD_VALUE, 19, GSS_S_FAILURE, "a value in the credential store is not of the documented form or too long; see gage_otc(7)") \
    X(SECRET_FILE, 20, GSS_S_NO_CRED, "the secret file could not be read; check its path, owner and permissions") \
    X(SECRET_FILE_OPEN, 21, GSS_S_NO_CRED, "others may read or write the secret file: make it private (chmod 600), or make a new pair if it was exposed") \
    X(SECRET_FILE_FORMAT, 22, GSS_S_DEFECTIVE_CREDENTIAL, "the secret file is not of the documented form; make a new pair with gage secret") \
    X(USED_STORE, 23, GSS_S_FAILURE, "the store of used credentials could not be read or written, so nothing was accepted; check the path in otc_used") \
    X(BAD_NAME, 24, GSS_S_BAD_NAME, "bad name: it is malformed, too long, or a principal other than this credential's acceptor; any user name is a fitting target") \
    X(NAME_TYPE, 25, GSS_S_BAD_NAMETYPE, "unsupported name type") \
    X(NAME_NOT_MN, 26, GSS_S_NAME_NOT_MN, "this name names nobody: only the names of a context's parties can be exported") \
    X(NO_CONTEXT, 27, GSS_S_NO_CONTEXT, "the context is not established yet") \
    X(ENDED, 28, GSS_S_NO_CONTEXT, "the other side ended the context with a delete token; nothing more can be sent, nothing later is taken") \
    X(CONTEXT_EXPIRED, 29, GSS_S_CONTEXT_EXPIRED, "the context's lifetime is over; make a new one") \
    X(BAD_QOP, 30, GSS_S_BAD_QOP, "only the default quality of protection (0) exists") \
    X(TOO_LONG, 31, GSS_S_FAILURE, "longer than the mechanism can protect in one token; send it in pieces") \
    X(BAD_IOV, 32, GSS_S_FAILURE, "the buffers do not fit the call: one HEADER (or STREAM), DATA, buffers large enough; see gage_otc(7)") \
    X(BAD_MIC, 33, GSS_S_BAD_SIG, "the MIC does not belong to this message: one of them was altered or forged") \
    X(BAD_IMPORT, 34, GSS_S_DEFECTIVE_TOKEN, "not an exported context of this version, or damaged") \
    X(BAD_IMPORT_CRED, 35, GSS_S_DEFECTIVE_TOKEN, "not an exported credential of this version, or damaged") \
    X(COMPLETE_ALREADY, 36, GSS_S_FAILURE, "the context is established already: no further context token belongs to it") \
    X(BAD_BINDING_ARG, 37, GSS_S_BAD_BINDINGS, "the channel bindings given are malformed: a length without bytes, or longer than 2^32-1") \
    X(NOT_AVAILABLE, 38, GSS_S_UNAVAILABLE, "the mechanism does not offer this") \
    X(BAD_ARGUMENT, 39, GSS_S_FAILURE | GSS_S_CALL_INACCESSIBLE_READ, "a required argument is missing") \
    X(PRF_LIMIT, 40, GSS_S_FAILURE, "more than 8160 bytes of PRF output were asked for") \
    X(NOMEM, 41, GSS_S_FAILURE, "out of memory") \
    X(INTERNAL, 42, GSS_S_FAILURE, "an internal failure of the mechanism or of the cryptographic library: please report it") \
    X(BAD_STATUS, 43, GSS_S_BAD_STATUS, "not a status of this mechanism") \
    X(BAD_MECH, 44, GSS_S_BAD_MECH, "not this mechanism's OID") \
    X(USED_UP, 45, GSS_S_CONTEXT_EXPIRED, "the context's sequence numbers are used up; make a new one")
/* clang-format on */

#define OTC_S_LAST 45

enum otc_status {
#define OTC_STATUS_ENUM_(name, number, major, text) OTC_S_##name = (number),
    OTC_STATUSES(OTC_STATUS_ENUM_)
#undef OTC_STATUS_ENUM_
};

/* The major status that goes with it, and its sentence; an unknown number gives INTERNAL's. Static strings. */
OM_uint32 otc_status_major(enum otc_status status);
const char *otc_status_text(enum otc_status status);

/* Fails with the status: GAGE_E_GSS, with major, minor and sentence in *err. How every core function says what happened. */
gage_rc otc_fail(struct gage_err *err, enum otc_status status);

/* How every exported call ends: sets *minor (if not NULL) and returns the major. otc_result translates what a core function
 * returned; a failure of the base layer below it is NOMEM or INTERNAL. */
OM_uint32 otc_end(OM_uint32 *minor, enum otc_status status);
OM_uint32 otc_result(OM_uint32 *minor, gage_rc rc, const struct gage_err *err);

#endif
