/* Requests to the relay and its answers: when to read, write, wait and give up. */
#include <stdio.h>
#include <string.h>

#include "transfer/state.h"

/* ---- giving ---- */

void
give_wait(gage_transfer *t, int64_t until, struct gage_action *action)
{
    (void)t;
    action->kind = GAGE_ACT_WAIT;
    action->until = until;
}

static void
give_http(gage_transfer *t, struct gage_action *action)
{
    t->live = true;
    t->sent = false;
    t->sent_at = t->now;
    action->kind = GAGE_ACT_HTTP;
    action->http = t->request.http;
}

/* True if the request out there is still unanswered (give it again), or it is too early for the next (give a wait). */
static bool
not_yet(gage_transfer *t, struct gage_action *action)
{
    if (t->live) {
        action->kind = GAGE_ACT_HTTP;
        action->http = t->request.http;
        return true;
    }
    if (t->now >= t->retry_at)
        return false;
    give_wait(t, t->retry_at, action);
    return true;
}

gage_rc
next_create(gage_transfer *t, struct gage_action *action, struct gage_err *err)
{
    struct relay_create create = {
        .base = t->relay, .title = t->title, .description = t->description, .image = t->image, .expires = t->expires};
    if (not_yet(t, action))
        return GAGE_DONE;
    if (t->now > t->expires) {
        stop(t, GAGE_REASON_EXPIRED, "the relay could not be reached before the time ran out");
        return GAGE_DONE;
    }
    TRY(relay_make_create(&t->request, &create, t->claim, t->request_id, envelope_type(t->secret.n),
                          gage_buf_slice(&t->payload), err));
    give_http(t, action);
    return GAGE_DONE;
}

gage_rc
next_preview(gage_transfer *t, struct gage_action *action, struct gage_err *err)
{
    if (not_yet(t, action))
        return GAGE_DONE;
    relay_make_preview(&t->request, t->url);
    give_http(t, action);
    return GAGE_DONE;
}

static void
give_read(gage_transfer *t, uint32_t wait, struct gage_action *action)
{
    relay_make_read(&t->request, t->url, t->claim, wait > 0 ? t->version : 0, wait);
    t->asked_to_wait = t->request.http.wait > 0;
    give_http(t, action);
}

/* Not beyond the expiry, which ends no wait at the relay; what comes after it is asked for second by second. */
static uint32_t
longest_wait(const gage_transfer *t)
{
    int64_t until = t->heal_at > 0 ? t->heal_at : waits_until(t) + 1, left = until > t->now ? until - t->now : 1;
    return (uint32_t)(left < WAIT_SECONDS ? left : WAIT_SECONDS);
}

gage_rc
next_await(gage_transfer *t, struct gage_action *action, struct gage_err *err)
{
    if (not_yet(t, action))
        return GAGE_DONE;
    if (t->late >= LATE_LOOKS) {
        stop(t, GAGE_REASON_EXPIRED, NULL);
        return GAGE_DONE;
    }
    if (t->heal_at > 0 && t->now >= t->heal_at) {
        set_phase(t, PHASE_PUT);
        t->look = true; /* the peer may have written meanwhile, and not every relay has If-Match */
        return GAGE_DONE;
    }
    bool at_once = t->look || t->cancelling || t->version == 0;
    give_read(t, at_once ? 0 : longest_wait(t), action);
    return GAGE_DONE;
}

gage_rc
next_put(gage_transfer *t, struct gage_action *action, struct gage_err *err)
{
    if (not_yet(t, action))
        return GAGE_DONE;
    if (t->late >= LATE_LOOKS) {
        stop(t, GAGE_REASON_EXPIRED, NULL);
        return GAGE_DONE;
    }
    if (t->look) { /* resumed, or somebody else wrote: look at the slot before writing into it */
        give_read(t, 0, action);
        return GAGE_DONE;
    }
    /* Where nobody is to be asked first, what the peer says to this is read with the same request. */
    uint32_t wait = t->ending || t->cancelling || sender_asks_digits(t) ? 0 : longest_wait(t);
    TRY(relay_make_put(&t->request, t->url, t->claim, t->request_id, t->version, wait, envelope_type(t->secret.n),
                       gage_buf_slice(&t->payload), err));
    t->asked_to_wait = t->request.http.wait > 0;
    give_http(t, action);
    return GAGE_DONE;
}

gage_rc
next_delete(gage_transfer *t, struct gage_action *action, struct gage_err *err)
{
    if (not_yet(t, action))
        return GAGE_DONE;
    bool later = t->reason == GAGE_REASON_COMPLETED; /* nobody needs it gone */
    relay_make_delete(&t->request, t->url, t->claim, t->request_id, later);
    give_http(t, action);
    return GAGE_DONE;
}

/* ---- taking ---- */

/* A mailbox whose deletion fails goes by itself when it expires: three tries are enough. */
static void
end_deletion(gage_transfer *t)
{
    set_phase(t, PHASE_DONE);
    wipe_claim(t);
    if (t->stored)
        make_dirty(t);
}

static void
note_late(gage_transfer *t)
{
    if (t->now > waits_until(t))
        t->late++;
}

static void
try_later(gage_transfer *t, int64_t at_least, const char *why)
{
    unsigned shift = t->failures < 6 ? t->failures : 6;
    int64_t delay = (int64_t)1 << shift;
    delay = delay < RETRY_MAX_SECONDS ? delay : RETRY_MAX_SECONDS;
    t->live = false;
    t->failures++;
    t->retry_at = t->now + (delay > at_least ? delay : at_least);
    copy_printable(t->trouble, sizeof t->trouble, slice_str(why != NULL ? why : "no answer from the relay"));
    note_late(t);
    /* A relay that was away may have gone back, and then never gets beyond the version waited for. */
    t->look = t->look || t->phase == PHASE_AWAIT || (t->phase == PHASE_PUT && t->asked_to_wait);
    if (t->phase == PHASE_DELETE && t->failures >= 3)
        end_deletion(t);
    if (t->phase == PHASE_PREVIEW && t->failures >= 3)
        set_phase(t, PHASE_ASK_CLAIM);
}

gage_rc
gage_transfer_http_failed(gage_transfer *t, int64_t now, const char *why, struct gage_err *err)
{
    REQUIRE(t->live, err, GAGE_E_STATE, "no HTTP request is under way");
    t->now = now;
    try_later(t, 0, why);
    return GAGE_DONE;
}

/* The relay says when the mailbox ends. It may have shortened what was asked for; it cannot make anybody wait longer. */
static void
take_expiry(gage_transfer *t, int64_t told)
{
    if (told > 0 && (t->expires <= 0 || told < t->expires))
        t->expires = told;
}

/* Somebody else wrote. The first time look at once; a relay that says so again and again is asked more and more slowly, and not
 * beyond the expiry. */
static void
conflict(gage_transfer *t)
{
    int64_t delay = t->polls == 0 ? 0 : (int64_t)1 << (t->polls < 5 ? t->polls : 5);
    t->look = true;
    t->polls++;
    t->retry_at = t->now + (delay < POLL_MAX_SECONDS ? delay : POLL_MAX_SECONDS);
    note_late(t);
}

/* What a mailbox that is not there means depends on what has happened. */
static void
gone(gage_transfer *t)
{
    if (t->expires > 0 && t->now >= t->expires)
        stop(t, GAGE_REASON_EXPIRED, NULL);
    else if (t->role == PACKET_RECEIVER && t->digits[0] != '\0')
        stop(t, GAGE_REASON_GONE, "the sender ended it: perhaps the digits there were others");
    else
        stop(t, GAGE_REASON_GONE, NULL);
}

/* Our last payload is in the mailbox. */
static void
confirm_put(gage_transfer *t)
{
    if (t->ending) {
        set_phase(t, PHASE_DONE);
        wipe_secrets(t);
        make_dirty(t);
        return;
    }
    int64_t since = t->sent && t->asked_to_wait ? t->since : t->now; /* the answer has been waited for since then */
    set_phase(t, PHASE_AWAIT);
    t->since = since;
    t->look = t->version == 0;
    if (sender_asks_digits(t)) {
        set_phase(t, PHASE_ASK_DIGITS);
        make_dirty(t);
    }
}

static gage_rc
created(gage_transfer *t, const struct gage_http_response *response, struct gage_err *err)
{
    struct url relay, mailbox;
    struct gage_err why = {0};
    TRY(url_parse_relay(slice_str(t->relay), t->allow_loopback_http, &relay, err));
    int64_t expires = 0;
    gage_rc rc = relay_read_create(response->body, &relay, t->allow_loopback_http, &mailbox, &expires, &why);
    if (!gage_ok(rc) && rc.code != GAGE_E_MISMATCH && response->status == 201) {
        /* A relay that confirms a repeated create without saying where the mailbox is (A1): make another. */
        TRY(uuid_make(&t->rng, t->request_id));
        TRY(uuid_make(&t->rng, t->claim));
        make_dirty(t);
        try_later(t, 0, why.text);
        return GAGE_DONE;
    }
    if (!gage_ok(rc)) {
        stop(t, GAGE_REASON_RELAY, why.text);
        return GAGE_DONE;
    }
    TRY(copy_text(t->url, sizeof t->url, slice_str(mailbox.text)));
    TRY(copy_text(t->host, sizeof t->host, url_authority(&mailbox)));
    take_expiry(t, expires);
    t->version = relay_version(response);
    set_phase(t, PHASE_AWAIT);
    make_dirty(t);
    return GAGE_DONE;
}

/* Nothing new in the slot: wait for it, by the relay where it can, else by asking now and then. */
static void
nothing_new(gage_transfer *t)
{
    bool waited = t->asked_to_wait && t->now - t->sent_at >= 2;
    note_late(t);
    if (t->cancelling) {
        finish_and_delete(t, GAGE_OUTCOME_UNKNOWN, GAGE_REASON_CANCELLED, NULL);
        return;
    }
    if (waited || (t->version > 0 && !t->asked_to_wait && t->late == 0)) {
        t->polls = 0;
        return;
    }
    int64_t delay = (int64_t)2 << (t->polls < 4 ? t->polls : 4);
    t->polls++;
    t->retry_at = t->now + (delay < POLL_MAX_SECONDS ? delay : POLL_MAX_SECONDS);
}

static void
stop_for_slot(gage_transfer *t, enum slot_verdict verdict)
{
    stop(t,
         verdict == SLOT_FORKED ? GAGE_REASON_FORKED
         : verdict == SLOT_LOST ? GAGE_REASON_LOST
                                : GAGE_REASON_REFLECTED,
         NULL);
}

static gage_rc
take_new(gage_transfer *t, const struct packet *packet, const uint8_t hash[SHA256_LEN], struct gage_err *err)
{
    struct incoming in = {
        .packet = packet, .hash = hash, .token = GAGE_BUF(HANDSHAKE_TOKEN_MAX), .text = GAGE_BUF(ENVELOPE_MAX)};
    if (t->phase == PHASE_PUT) /* the peer answered it: the relay has it */
        confirm_put(t);
    if (is_done(t))
        return GAGE_DONE;
    t->heal_at = 0;
    gage_rc rc = t->role == PACKET_SENDER ? sender_take(t, &in, err) : receiver_take(t, &in, err);
    gage_buf_free(&in.token);
    gage_buf_free(&in.text);
    if (!gage_ok(rc))
        t->poisoned = true;
    else if (t->cancelling && !is_done(t)) /* it was not the receipt */
        finish_and_delete(t, GAGE_OUTCOME_UNKNOWN, GAGE_REASON_CANCELLED, NULL);
    return rc;
}

static gage_rc
judge(gage_transfer *t, const struct packet *packet, const uint8_t hash[SHA256_LEN], struct gage_err *err)
{
    enum slot_verdict verdict = slot_judge(t->role, &t->own, &t->peer_log, packet, hash);
    switch (verdict) {
    case SLOT_NEW:
        return take_new(t, packet, hash, err);
    case SLOT_OWN:
        if (t->phase == PHASE_PUT)
            confirm_put(t);
        t->heal_at = 0;
        if (!is_done(t))
            nothing_new(t);
        return GAGE_DONE;
    case SLOT_OLD:
        if (t->phase == PHASE_AWAIT && t->own.seq > 0 && t->heal_at == 0)
            t->heal_at = t->now + HEAL_SECONDS;
        if (t->phase == PHASE_AWAIT)
            nothing_new(t);
        return GAGE_DONE;
    default:
        stop_for_slot(t, verdict);
        return GAGE_DONE;
    }
}

static gage_rc
open_envelope(gage_transfer *t, const struct relay_content *content, struct gage_err *err)
{
    struct gage_err why = {0};
    struct packet packet;
    uint8_t hash[SHA256_LEN];
    AUTO(gage_buf) text = GAGE_BUF(ENVELOPE_MAX);
    if (!slice_equal(content->type, slice_str(envelope_type(t->secret.n)))) {
        stop(t, GAGE_REASON_DAMAGED, "the mailbox holds a payload of another type than this link's secret opens");
        return GAGE_DONE;
    }
    buf_reserve(&text, content->envelope.n);
    gage_rc rc = envelope_open(&t->secret, gage_buf_slice(&content->envelope), &text, &why);
    if (!gage_ok(rc))
        return stop_for(t, GAGE_REASON_DAMAGED, rc, &why);
    rc = packet_get(gage_buf_slice(&text), &packet, &why);
    if (!gage_ok(rc))
        return stop_for(t, GAGE_REASON_PROTOCOL, rc, &why);
    TRY(sha256_of(gage_buf_slice(&content->envelope), hash));
    return judge(t, &packet, hash, err);
}

static gage_rc
read_slot(gage_transfer *t, const struct gage_http_response *response, struct gage_err *err)
{
    struct gage_err why = {0};
    struct relay_content content = {.envelope = GAGE_BUF(ENVELOPE_MAX)};
    gage_rc rc = relay_read_content(response->body, &content, &why);
    if (!gage_ok(rc)) {
        gage_buf_free(&content.envelope);
        try_later(t, 0, why.text);
        return GAGE_DONE;
    }
    uint64_t version = relay_version(response), known = t->version;
    t->version = version > 0 ? version : content.version;
    t->look = content.type.n == 0 && t->version < known; /* it went back: see to what */
    take_expiry(t, content.expires);
    if (t->announced_title[0] == '\0' && t->role == PACKET_RECEIVER)
        memcpy(t->announced_title, content.title, sizeof t->announced_title);
    if (content.type.n == 0)
        nothing_new(t);
    else
        rc = open_envelope(t, &content, err);
    gage_buf_free(&content.envelope);
    return rc;
}

/* Our payload is in the mailbox, and perhaps the peer's answer to it in the relay's. */
static gage_rc
written(gage_transfer *t, const struct gage_http_response *response, struct gage_err *err)
{
    t->version = relay_version(response);
    confirm_put(t);
    bool answered = t->asked_to_wait && t->phase == PHASE_AWAIT && relay_brings_payload(response->body);
    return answered ? read_slot(t, response, err) : GAGE_DONE;
}

static void
previewed(gage_transfer *t, const struct gage_http_response *response)
{
    char title[GAGE_TRANSFER_TITLE_MAX + 1];
    if (response->status == 404) {
        gone(t);
        return;
    }
    if (response->status == 200) {
        relay_read_preview(response->body, title, t->shown_description);
        if (title[0] != '\0')
            memcpy(t->announced_title, title, sizeof title);
    }
    set_phase(t, PHASE_ASK_CLAIM);
}

static void
unauthorised(gage_transfer *t, const struct gage_http_response *response)
{
    if (t->role == PACKET_RECEIVER)
        stop(t, GAGE_REASON_TAKEN, NULL);
    else
        relay_said_no(t, response);
}

static gage_rc
succeeded(gage_transfer *t, const struct gage_http_response *response, struct gage_err *err)
{
    switch (t->request.http.purpose) {
    case GAGE_HTTP_CREATE:
        return created(t, response, err);
    case GAGE_HTTP_READ:
        return read_slot(t, response, err);
    case GAGE_HTTP_PUT:
        return written(t, response, err);
    default:
        end_deletion(t);
        return GAGE_DONE;
    }
}

/* Every status but success, for the requests that matter. */
static void
refused(gage_transfer *t, const struct gage_http_response *response)
{
    int status = response->status;
    if (t->phase == PHASE_DELETE)
        end_deletion(t);
    else if (status == 404 && t->request.http.purpose != GAGE_HTTP_CREATE)
        gone(t);
    else if (status == 401)
        unauthorised(t, response);
    else if (status == 412 && t->request.http.purpose == GAGE_HTTP_PUT)
        conflict(t);
    else if (status == 413)
        too_large(t, response);
    else
        relay_said_no(t, response);
}

static bool
is_passing(int status)
{
    return status == 408 || status == 425 || status == 429 || status >= 500 || status < 200;
}

gage_rc
gage_transfer_http_result(gage_transfer *t, int64_t now, const struct gage_http_response *response,
                          struct gage_err *err)
{
    REQUIRE(t->live, err, GAGE_E_STATE, "no HTTP request is under way");
    t->now = now;
    if (!relay_answers(response, &t->request)) {
        try_later(t, 0, "the relay's answer belongs to another request");
        return GAGE_DONE;
    }
    if (is_passing(response->status)) {
        char why[64];
        snprintf(why, sizeof why, "the relay answered %d", response->status);
        try_later(t, relay_retry_after(response), why);
        return GAGE_DONE;
    }
    t->live = false;
    t->failures = 0;
    t->retry_at = 0;
    t->trouble[0] = '\0';
    if (t->request.http.purpose == GAGE_HTTP_PREVIEW) {
        previewed(t, response);
        return GAGE_DONE;
    }
    if (response->status == 200 || response->status == 201)
        return succeeded(t, response, err);
    refused(t, response);
    return GAGE_DONE;
}
