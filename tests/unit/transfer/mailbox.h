/* mailbox.h - a relay for tests: the Tigress requests over one mailbox with an overwriting slot, and every way in which it may lie. */
#ifndef GAGE_TEST_MAILBOX_H
#define GAGE_TEST_MAILBOX_H

#include "transfer/state.h"

#define MAILBOX_HISTORY 256

struct mailbox_content {
    gage_buf data; /* the payload's base64 */
    char type[64];
    bool by_sender;
};

struct mailbox {
    bool exists, deleted, forget_ids, no_versions;
    bool brings;                      /* the answer to a write that waits shows the slot as it is after `meanwhile` */
    void (*meanwhile)(void *context); /* what others do while a write waits; NULL: nothing */
    void *context;
    char claim[2][UUID_TEXT_LEN + 1]; /* initiator, recipient */
    struct mailbox_content history[MAILBOX_HISTORY];
    size_t writes; /* in history */
    size_t shown;  /* what READ shows, an index of history */
    uint64_t version;
    char ids[MAILBOX_HISTORY][UUID_TEXT_LEN + 1];
    size_t id_count;
    size_t payload_max;
    unsigned creates, reads, puts, deletes, duplicates;
    int fail_status; /* the next request gets this instead, 0: none */
    char title[256];
};

/* What a caller gives to gage_transfer_http_result; owned here until the next call. */
struct mailbox_answer {
    struct gage_http_response response;
    struct gage_http_header headers[3];
    char version[24], id[UUID_TEXT_LEN + 1], limit[24];
    gage_buf body;
};

void mailbox_init(struct mailbox *m);
void mailbox_free(struct mailbox *m);
/* Executes the request. The strings of the request must be as the library gave them. */
void mailbox_handle(struct mailbox *m, const struct gage_http_request *request, struct mailbox_answer *answer);
void mailbox_answer_free(struct mailbox_answer *answer);
/* Lies: shows something it once held; forgets who the recipient is. */
void mailbox_show(struct mailbox *m, size_t index);
void mailbox_forget_recipient(struct mailbox *m);
/* The value of a header of the request, "" if it has none. */
const char *request_header(const struct gage_http_request *request, const char *name);
/* Opens what a PUT or CREATE carries with the secret; false if the request carries no payload. */
bool mailbox_open(const struct gage_http_request *request, const gage_secret *secret, gage_buf *text,
                  struct packet *packet);

#define MAILBOX_URL "https://relay.example/v1/m/0b8c7f0e-6d1c-4a4e-9b5e-0123456789ab"

#endif
