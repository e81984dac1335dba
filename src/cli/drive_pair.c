/* A transfer that makes a pairing: the receiver asks with its confirmation, the sender answers with its own, each keeps in the record what it
 * needs to go on after a kill, and each stores the pairing only once the other has confirmed: the receiver when it has the answer, the sender
 * when the receipt says that the receiver has stored. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/drive.h"
#include "cli/report.h"
#include "cli/seal/pair_note.h"
#include "cli/seal/ring_file.h"
#include "cli/terminal.h"

typedef gage_pairing *pairing_ptr;
GAGE_AUTO_DEFINE(pairing_ptr, gage_pair_free)

bool
drive_pairs(const struct drive *d)
{
    struct gage_transfer_status status;
    gage_transfer_status(d->transfer, &status);
    return pair_note_is(status.note);
}

static gage_rc
read_note(const struct drive *d, struct pair_note *note, struct gage_err *err)
{
    struct gage_transfer_status status;
    gage_transfer_status(d->transfer, &status);
    return pair_note_get(status.note, note, err);
}

/* Puts the pairing as it stands (NULL: nothing more) into the note, which the next record holds. */
static gage_rc
keep(struct drive *d, struct pair_note *note, const gage_pairing *pairing, struct gage_err *err)
{
    AUTO(gage_buf) bytes = GAGE_BUF(GAGE_TRANSFER_NOTE_MAX);
    buf_reset(&note->pairing);
    if (pairing != NULL)
        TRY(gage_pair_save(pairing, &note->pairing, err));
    pair_note_put(&bytes, note);
    TRY(buf_check(&bytes, err));
    return gage_transfer_set_note(d->transfer, gage_buf_slice(&bytes), err);
}

static gage_rc
start(struct drive *d, const struct pair_note *note, gage_pairing **pairing, gage_slice *token, struct gage_err *err)
{
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    TRY(gage_transfer_context(d->transfer, &context, err));
    return gage_pair_start_carried(context, note->validity, clock_now(), NULL, pairing, token, err);
}

static gage_rc
make_request(struct drive *d, struct pair_note *note, gage_pairing **pairing, gage_slice *token, struct gage_err *err)
{
    TRY(read_note(d, note, err));
    TRY(start(d, note, pairing, token, err));
    return keep(d, note, *pairing, err);
}

/* Says why, and refuses: the other side learns that it was refused, and neither stores anything. */
static gage_rc
refuse(struct drive *d, const struct gage_err *why, struct gage_err *err)
{
    say("no pairing: %s", why->text);
    return gage_transfer_answer(d->transfer, false, err);
}

gage_rc
drive_pair_request(struct drive *d, const struct gage_call *call, struct gage_err *err)
{
    gage_slice token;
    struct gage_err why = {0};
    AUTO(pair_note_t) note = PAIR_NOTE_EMPTY;
    AUTO(pairing_ptr) pairing = NULL;
    gage_rc rc = call->round == 1 && strcmp(call->format, PAIR_FORMAT) == 0
                     ? make_request(d, &note, &pairing, &token, &why)
                     : gage_fail(&why, GAGE_E_UNSUPPORTED, "the other side hands over something else than a pairing");
    return gage_ok(rc) ? gage_transfer_request(d->transfer, token, err) : refuse(d, &why, err);
}

static gage_rc
make_answer(struct drive *d, gage_slice request, struct pair_note *note, gage_pairing **pairing, gage_slice *token,
            struct gage_err *err)
{
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    TRY(read_note(d, note, err));
    TRY(start(d, note, pairing, token, err));
    TRY(gage_transfer_context(d->transfer, &context, err));
    TRY(gage_pair_finish(*pairing, context, request, clock_now(), err));
    return keep(d, note, *pairing, err);
}

gage_rc
drive_pair_supply(struct drive *d, const struct gage_call *call, struct gage_err *err)
{
    gage_slice token;
    struct gage_err why = {0};
    AUTO(pair_note_t) note = PAIR_NOTE_EMPTY;
    AUTO(pairing_ptr) pairing = NULL;
    gage_rc rc = make_answer(d, call->input, &note, &pairing, &token, &why);
    return gage_ok(rc) ? gage_transfer_supply(d->transfer, token, true, NULL, 0600, err) : refuse(d, &why, err);
}

/* ---- storing ---- */

static gage_rc
store(const struct drive *d, const struct pair_note *note, gage_pairing *pairing, struct gage_err *err)
{
    AUTO(keyring_ptr) keyring = NULL;
    TRY(ring_open(note->keyring[0] != '\0' ? note->keyring : NULL, true, &keyring, err));
    gage_rc rc = note->replace ? gage_pair_replace(pairing, keyring, note->alias, err)
                               : gage_pair_store(pairing, keyring, note->alias, err);
    REQUIRE(rc.code != GAGE_E_EXISTS, err, GAGE_E_EXISTS,
            "another peer is called %s by now: give that one another name (gage peers --rename), then gage resume %s",
            note->alias, d->record->id);
    return rc;
}

/* What no later try would mend. */
static bool
is_final(gage_rc rc)
{
    return rc.code == GAGE_E_AUTH || rc.code == GAGE_E_MISMATCH || rc.code == GAGE_E_FORMAT ||
           rc.code == GAGE_E_REFLECTED || rc.code == GAGE_E_USED || rc.code == GAGE_E_UNSUPPORTED;
}

static gage_rc
take_answer(struct drive *d, gage_slice answer, struct pair_note *note, gage_pairing **pairing, struct gage_err *err)
{
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    TRY(read_note(d, note, err));
    TRY(gage_transfer_context(d->transfer, &context, err));
    TRY(gage_pair_load(context, gage_buf_slice(&note->pairing), pairing, err));
    return gage_pair_finish(*pairing, context, answer, clock_now(), err);
}

gage_rc
drive_pair_install(struct drive *d, const struct gage_install *install, struct gage_err *err)
{
    AUTO(pair_note_t) note = PAIR_NOTE_EMPTY;
    AUTO(pairing_ptr) pairing = NULL;
    struct gage_err why = {0};
    if (d->cancelling)
        return gage_transfer_installed(d->transfer, GAGE_INSTALL_REFUSED, err);
    bool ours = strcmp(install->format, PAIR_FORMAT) == 0;
    gage_rc rc = ours ? take_answer(d, install->content, &note, &pairing, &why)
                      : gage_fail(&why, GAGE_E_USAGE,
                                  "this link carries a file, not a pairing: gage resume --output PLACE %s receives it",
                                  d->record->id);
    if (!gage_ok(rc) && is_final(rc)) {
        say("no pairing: %s", why.text);
        return gage_transfer_installed(d->transfer, GAGE_INSTALL_REFUSED, err);
    }
    if (gage_ok(rc))
        rc = store(d, &note, pairing, &why);
    if (gage_ok(rc))
        rc = keep(d, &note, NULL, &why);
    if (!gage_ok(rc)) {
        (void)gage_transfer_installed(d->transfer, GAGE_INSTALL_LATER, NULL);
        return gage_fail(err, rc.code, "%s", why.text);
    }
    return gage_transfer_installed(d->transfer, GAGE_INSTALL_DONE, err);
}

static gage_rc
store_sent(struct drive *d, struct pair_note *note, struct gage_err *err)
{
    AUTO(pairing_ptr) pairing = NULL;
    TRY(gage_pair_load(GSS_C_NO_CONTEXT, gage_buf_slice(&note->pairing), &pairing, err));
    return store(d, note, pairing, err);
}

gage_rc
drive_pair_done(struct drive *d, const struct gage_result *result, struct gage_err *err)
{
    AUTO(pair_note_t) note = PAIR_NOTE_EMPTY;
    struct gage_transfer_status status;
    TRY(read_note(d, &note, err));
    if (result->outcome == GAGE_OUTCOME_UNKNOWN)
        say("nothing was stored here, but the other side may have stored the pairing: pair again, there with "
            "--replace");
    if (result->outcome == GAGE_OUTCOME_DELIVERED)
        TRY(store_sent(d, &note, err));
    else if (result->outcome != GAGE_OUTCOME_INSTALLED)
        return GAGE_DONE;
    gage_transfer_status(d->transfer, &status);
    waiting_done();
    if (!report_is_json())
        printf("paired with %s as %s\n", status.peer, note.alias);
    return report_event("paired", d->record, json_pack("{s:s, s:s}", "peer", status.peer, "alias", note.alias), err);
}
