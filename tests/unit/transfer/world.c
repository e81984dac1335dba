#include "unit/test.h"

#include "unit/transfer/world.h"

#include <stdlib.h>
#include <time.h>

#define STEPS_MAX 20000

unsigned delivered, released, ended, brought;

enum lie { LIE_NONE, LIE_ROLLBACK, LIE_ANY_OLD, LIE_FAILOVER, LIE_GARBAGE, LIE_GONE, LIE_REFLECT, LIE_COUNT };

static uint32_t
under(uint32_t n)
{
    return (uint32_t)(fake_random() % n);
}

static bool
chance(uint32_t percent)
{
    return under(100) < percent;
}

static gage_rc
seeded_fill(void *context, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)fake_random();
    return GAGE_DONE;
}
static const struct gage_rng seeded = {seeded_fill, NULL};

/* ---- starting, crashing ---- */

/* Where contexts come from. */
static const struct transfer_security *
source(const struct world *w)
{
    return w->security != NULL ? w->security : &fake_security;
}

static void
start_sender(struct world *w)
{
    struct gage_err err = {0};
    struct gage_send_options o = {.relay = "https://relay.example",
                                  .title = "a key",
                                  .name = "key.pem",
                                  .mode = 0600,
                                  .expires = fake_now + 90 * 86400,
                                  .content = gage_buf_slice(&w->content),
                                  .verify = w->verify,
                                  .calls = w->calls,
                                  .mechanism = w->timed ? "krb5" : NULL,
                                  .target = w->timed ? "host@receiver" : NULL};
    if (!gage_ok(transfer_send(source(w), &o, &seeded, fake_now, &w->actor[0].t, &err)))
        fail_msg("%s", err.text);
    w->actor[0].started = true;
}

static void
start_receiver(struct world *w, struct actor *a)
{
    struct gage_receive_options o = {.mechanism = w->timed ? "krb5" : NULL, .no_preview = chance(30)};
    assert_ok(transfer_receive(source(w), w->invitation, &o, &seeded, fake_now, &a->t, NULL));
    a->started = true;
}

static void
crash(struct world *w, struct actor *a)
{
    gage_transfer_free(&a->t);
    if (!a->has_record && a == &w->actor[0] && w->box.exists)
        DEMAND(w, false); /* a mailbox without a record of it */
}

static void
resume(struct world *w, struct actor *a)
{
    struct gage_err err = {0};
    if (a->has_record) {
        if (!gage_ok(transfer_load(source(w), gage_buf_slice(&a->record), &seeded, fake_now, &a->t, &err)))
            fail_msg("seed %llu: %s", (unsigned long long)w->seed, err.text);
    } else if (a == &w->actor[0]) {
        start_sender(w);
    } else {
        start_receiver(w, a);
    }
}

/* ---- what leaves the sender ---- */

static bool
holds_content(gage_slice text, gage_slice content)
{
    return content.n > 0 && memmem(text.p, text.n, content.p, content.n) != NULL;
}

/* Which of the sender's packets is the one with content follows from what is compared and asked before it. */
static bool
has_content(const struct world *w, const struct packet *packet, gage_slice text)
{
    uint32_t seq = 2 + (w->verify ? 2u : 0) + (w->calls ? 2u : 0);
    if (w->security == NULL)
        return holds_content(text, gage_buf_slice(&w->content));
    return packet->token[PACKET_MESSAGE].p != NULL && packet->seq >= seq && !packet->final;
}

static void
watch(struct world *w, const struct actor *a, const struct gage_http_request *request)
{
    AUTO(gage_buf) text = GAGE_BUF(ENVELOPE_MAX);
    struct packet packet;
    if (a != &w->actor[0] || w->secret.n == 0 || !mailbox_open(request, &w->secret, &text, &packet))
        return;
    if (packet.token[PACKET_CONTEXT].n > 0 && packet.seq > 1 && !w->timed) {
        uint8_t hash[SHA256_LEN];
        uint64_t third;
        assert_ok(sha256_of(packet.token[PACKET_CONTEXT], hash));
        memcpy(&third, hash, sizeof third);
        DEMAND(w, w->released_to == 0 || w->released_to == third); /* M2 */
        w->released_to = third;
    }
    w->content_left = w->content_left || has_content(w, &packet, gage_buf_slice(&text));
}

/* ---- the relay's lies ---- */

static void
lie(struct world *w)
{
    struct mailbox *box = &w->box;
    if (box->writes == 0)
        return;
    switch ((enum lie)under(LIE_COUNT)) {
    case LIE_ROLLBACK:
        mailbox_show(box, box->shown > 0 ? box->shown - 1 : 0);
        break;
    case LIE_ANY_OLD:
        mailbox_show(box, under((uint32_t)box->writes));
        break;
    case LIE_FAILOVER:
        mailbox_show(box, under((uint32_t)box->writes));
        mailbox_forget_recipient(box);
        box->id_count = 0;
        break;
    case LIE_GARBAGE:
        if (chance(10) && box->history[box->shown].data.n > 40)
            box->history[box->shown].data.p[30] ^= 1;
        break;
    case LIE_GONE:
        box->deleted = chance(3);
        break;
    case LIE_REFLECT:
        box->version++;
        break;
    default:
        break;
    }
}

/* ---- one step of one actor ---- */

static void
do_http(struct world *w, struct actor *a, const struct gage_http_request *request)
{
    struct mailbox_answer answer = {.body = GAGE_BUF(0)};
    watch(w, a, request);
    if (chance(6)) { /* lost on the way there */
        assert_ok(gage_transfer_http_failed(a->t, fake_now, "lost", NULL));
        return;
    }
    if (w->lying && chance(12))
        lie(w);
    bool last_word = w->actor[1].done || (w->actor[1].t != NULL && w->actor[1].t->ending);
    if (w->failing_over && !last_word && w->box.shown > 0 && chance(12)) {
        mailbox_show(&w->box, w->box.shown - 1); /* the copy that took over is one write behind */
        w->box.id_count = 0;
    }
    a->busy = true;
    mailbox_handle(&w->box, request, &answer);
    a->busy = false;
    if (chance(6))
        mailbox_handle(&w->box, request, &answer); /* repeated by the network */
    if (chance(4) && !w->never_crash) {
        crash(w, a);
    } else if (chance(6)) {
        assert_ok(gage_transfer_http_failed(a->t, fake_now, "answer lost", NULL));
    } else {
        fake_now += request->wait > 0 ? under(60) : 0;
        gage_rc rc = gage_transfer_http_result(a->t, fake_now, &answer.response, NULL);
        DEMAND(w, gage_ok(rc));
    }
    mailbox_answer_free(&answer);
}

static void
do_save(struct world *w, struct actor *a, gage_slice record)
{
    if (chance(4) && !w->never_crash) {
        crash(w, a);
        return;
    }
    gage_buf_free(&a->record);
    a->record = GAGE_BUF(3u * ENVELOPE_MAX);
    put_bytes(&a->record, record);
    assert_false(a->record.bad);
    a->has_record = true;
    if (chance(4) && !w->never_crash)
        crash(w, a);
    else
        assert_ok(gage_transfer_saved(a->t, NULL));
}

static void
do_install(struct world *w, struct actor *a, const struct gage_install *install)
{
    DEMAND(w, slice_equal(install->content, gage_buf_slice(&w->content))); /* M1 */
    DEMAND(w, strcmp(install->name, "key.pem") == 0 && install->mode == 0600);
    if (chance(10) && !w->never_crash) {
        crash(w, a);
        return;
    }
    if (chance(10)) {
        assert_ok(gage_transfer_installed(a->t, GAGE_INSTALL_LATER, NULL));
        return;
    }
    if (a->installs == 0) { /* link without overwriting: a second time finds its own hash */
        a->installs++;
        memcpy(a->installed_hash, install->sha256, SHA256_LEN);
    }
    DEMAND(w, memcmp(a->installed_hash, install->sha256, SHA256_LEN) == 0);
    if (chance(10) && !w->never_crash)
        crash(w, a);
    else
        assert_ok(gage_transfer_installed(a->t, GAGE_INSTALL_DONE, NULL));
}

static void
do_invite(struct world *w, struct actor *a)
{
    if (w->invitation == NULL) {
        assert_ok(gage_transfer_invitation(a->t, &w->invitation, NULL));
        w->secret = w->invitation->secret;
    }
    assert_ok(gage_transfer_invited(a->t, NULL));
}

static void
do_supply(struct world *w, struct actor *a, const struct gage_call *call)
{
    bool last = call->round >= 2;
    gage_slice answer = last ? gage_buf_slice(&w->content) : SLICE_LITERAL("first answer");
    assert_ok(gage_transfer_supply(a->t, answer, last, "key.pem", 0600, NULL));
}

static void
do_done(struct world *w, struct actor *a, const struct gage_result *result)
{
    a->done = true;
    a->result = *result;
}

static void
step(struct world *w, struct actor *a)
{
    struct gage_action action;
    struct gage_err err = {0};
    if (a->t == NULL)
        resume(w, a);
    if (!gage_ok(gage_transfer_next(a->t, fake_now, &action, &err)))
        fail_msg("seed %llu: %s", (unsigned long long)w->seed, err.text);
    switch (action.kind) {
    case GAGE_ACT_HTTP:
        do_http(w, a, &action.http);
        break;
    case GAGE_ACT_SAVE:
        do_save(w, a, action.record);
        break;
    case GAGE_ACT_INVITE:
        do_invite(w, a);
        break;
    case GAGE_ACT_ASK:
        assert_ok(gage_transfer_answer(a->t, true, NULL));
        break;
    case GAGE_ACT_REQUEST:
        assert_ok(gage_transfer_request(a->t, SLICE_LITERAL("please"), NULL));
        break;
    case GAGE_ACT_SUPPLY:
        do_supply(w, a, &action.call);
        break;
    case GAGE_ACT_INSTALL:
        do_install(w, a, &action.install);
        break;
    case GAGE_ACT_WAIT:
        DEMAND(w, action.until > fake_now);
        if (chance(40))
            fake_now = action.until;
        break;
    case GAGE_ACT_DONE:
        do_done(w, a, &action.result);
        break;
    }
    if (a->t != NULL && chance(2) && !w->never_crash)
        crash(w, a);
}

/* ---- a whole schedule ---- */

static void
check(struct world *w)
{
    const struct actor *sender = &w->actor[0];
    unsigned installs = w->actor[1].installs + w->actor[2].installs;
    DEMAND(w, installs <= 1); /* M1 */
    if (sender->done) {
        enum gage_outcome outcome = sender->result.outcome;
        DEMAND(w, outcome != GAGE_OUTCOME_DELIVERED || installs == 1);       /* M3 */
        DEMAND(w, outcome != GAGE_OUTCOME_NOT_RELEASED || !w->content_left); /* M4 */
        DEMAND(w, outcome != GAGE_OUTCOME_NOT_RELEASED || installs == 0);
        DEMAND(w, outcome != GAGE_OUTCOME_DECLINED || installs == 0);
    }
    for (int i = 1; i < ACTORS; i++) {
        const struct actor *a = &w->actor[i];
        DEMAND(w, !a->done || (a->result.outcome == GAGE_OUTCOME_INSTALLED) == (a->installs == 1)); /* M3 */
    }
}

static bool
over(const struct world *w)
{
    bool first = w->actor[1].done, second = !w->second || w->actor[2].done || !w->actor[2].started;
    return w->actor[0].done && first && second;
}

static struct actor *
choose(struct world *w)
{
    uint32_t i = under(w->second && chance(20) ? 3 : 2);
    struct actor *a = &w->actor[i];
    if (a->done || a->busy || (i > 0 && w->invitation == NULL))
        return NULL;
    return a;
}

/* While a write waits the others take steps, and may write the answer to it. */
static void
others_go_on(void *context)
{
    struct world *w = context;
    size_t writes = w->box.writes;
    for (uint32_t n = under(24); n > 0; n--) {
        struct actor *a = choose(w);
        if (a != NULL)
            step(w, a);
    }
    brought += w->box.writes > writes;
}

static void
run(struct world *w, uint64_t seed)
{
    w->seed = seed;
    fake_reset(seed);
    fake_now = w->security != NULL ? time(NULL) : fake_now; /* a real mechanism has a clock of its own */
    mailbox_init(&w->box);
    w->box.brings = chance(50);
    w->box.meanwhile = others_go_on;
    w->box.context = w;
    w->box.no_versions = !w->failing_over && chance(20); /* without If-Match two writers may cross */
    w->box.forget_ids = w->lying && chance(10);
    w->content = GAGE_BUF(1000);
    put_bytes(&w->content, SLICE_LITERAL("-----THE CREDENTIAL-----"));
    put_u64(&w->content, fake_random());
    for (int i = 0; i < STEPS_MAX && !over(w); i++) {
        struct actor *a = choose(w);
        w->events++;
        if (a != NULL)
            step(w, a);
        else if (chance(20))
            fake_now += under(20);
        check(w);
    }
}

static void
clear(struct world *w)
{
    for (int i = 0; i < ACTORS; i++) {
        gage_transfer_free(&w->actor[i].t);
        gage_buf_free(&w->actor[i].record);
    }
    gage_invitation_free(&w->invitation);
    gage_buf_free(&w->content);
    mailbox_free(&w->box);
}

void
schedules(unsigned count, struct world shape, void (*after)(const struct world *))
{
    unsigned long from = 1, n = count;
    const char *more = getenv("GAGE_MODEL_SEEDS");
    if (more != NULL && sscanf(more, "%lu:%lu", &from, &n) != 2)
        fail_msg("GAGE_MODEL_SEEDS is FROM:COUNT");
    for (unsigned long seed = from; seed < from + n; seed++) {
        struct world w = shape;
        run(&w, seed);
        after(&w);
        clear(&w);
    }
}

void
count_outcomes(const struct world *w)
{
    ended += w->actor[0].done;
    delivered += w->actor[0].done && w->actor[0].result.outcome == GAGE_OUTCOME_DELIVERED;
    released += w->content_left;
}

void
demand_delivery(const struct world *w)
{
    DEMAND(w, w->actor[0].done && w->actor[1].done);
    DEMAND(w, w->actor[0].result.outcome == GAGE_OUTCOME_DELIVERED); /* M5 */
    DEMAND(w, w->actor[1].result.outcome == GAGE_OUTCOME_INSTALLED && w->actor[1].installs == 1);
}

/* Whoever came second is told so, and only the first has it. */
void
demand_one(const struct world *w)
{
    DEMAND(w, w->actor[0].done && w->actor[0].result.outcome == GAGE_OUTCOME_DELIVERED);
    DEMAND(w, w->actor[1].installs + w->actor[2].installs == 1);
    for (int i = 1; i < ACTORS; i++) {
        const struct gage_result *r = &w->actor[i].result;
        DEMAND(w, !w->actor[i].done || r->outcome == GAGE_OUTCOME_INSTALLED || r->reason == GAGE_REASON_TAKEN ||
                      r->reason == GAGE_REASON_GONE);
    }
}
