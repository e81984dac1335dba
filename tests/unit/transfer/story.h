/* story.h - a transfer told step by step: both persons, a relay whose every answer a test may choose, and what each side ends with. */
#ifndef GAGE_TEST_STORY_H
#define GAGE_TEST_STORY_H

#include "unit/transfer/fake.h"
#include "unit/transfer/mailbox.h"

enum { SENDER, RECEIVER, OTHER, PARTIES };

/* One side and its person. Zero is the agreeable one: says yes to all, installs. */
struct party {
    gage_transfer *t;
    gage_buf record; /* what is durable */
    bool no_claim, no_digits, no_mismatch, no_call;
    enum gage_install_result install; /* 0: DONE */
    unsigned installs, asked_mismatch;
    char digits[DIGITS_LEN + 1];
    bool done;
    struct gage_result result;
    char text[SENTENCE_MAX + 1]; /* of the result */
};

struct story {
    struct mailbox box;
    struct party party[PARTIES];
    gage_invitation *invitation;
    gage_secret secret;
    gage_buf content;
    struct gage_send_options send;
    struct gage_receive_options receive;
    char trace[256]; /* a letter a request: C G R P D of the sender's, small ones of a receiver's */
};

/* A sender with the options in s->send where a test sets some before; nothing has left yet. */
void story_begin(struct story *s);
void story_free(struct story *s);
/* The receiver (or the other one) begins with the invitation. */
void story_accept(struct story *s, int who);
/* Dies and goes on from its record. */
void story_restart(struct story *s, int who);

/* One step. A request reaches the relay and its answer comes back. */
void story_step(struct story *s, int who);
/* Steps until this request, this kind of action, is the next; false if the end came first. */
bool story_to_http(struct story *s, int who, enum gage_http_purpose purpose);
bool story_to(struct story *s, int who, enum gage_action_kind kind);
/* Both parties' steps until the mailbox holds `writes` payloads. */
void story_to_writes(struct story *s, size_t writes);
/* The answer to the request that is the next action; `name` of a header may be NULL. */
void story_reply(struct story *s, int who, int status, const char *name, const char *value, const char *body);
/* On to the end of everybody who began. */
void story_finish(struct story *s);
void story_finish_one(struct story *s, int who);

/* A holder of the link secret changes what the mailbox shows: the packet, sealed anew. */
void story_forge(struct story *s, void (*change)(struct packet *));

/* The end was this. `text` is part of the sentence. */
void story_expect(struct story *s, int who, enum gage_outcome outcome, enum gage_reason reason, enum gage_code code,
                  const char *text);
/* The reasons and outcomes that this program expected so far, bits 1 << number; and the reasons of stories.c, which its last
 * test demands. */
extern uint32_t story_outcomes, story_reasons;
#define STORY_PERSONS                                                                                                  \
    (1u << GAGE_REASON_COMPLETED | 1u << GAGE_REASON_CANCELLED | 1u << GAGE_REASON_REFUSED |                           \
     1u << GAGE_REASON_PEER_REFUSED | 1u << GAGE_REASON_EXPIRED | 1u << GAGE_REASON_GONE | 1u << GAGE_REASON_INSTALL)

#endif
