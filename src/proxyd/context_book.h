/* context_book.h - which contexts the daemon remembers, uid by uid: those that live here (resident), and sealed ones that were used at least
 * once. What one uid does costs no other's contexts. No lock and no GSS call: contexts.c has both. Times are seconds since 1970. */
#ifndef GAGE_PROXYD_CONTEXT_BOOK_H
#define GAGE_PROXYD_CONTEXT_BOOK_H

#include <gssapi/gssapi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CONTEXT_ID_LEN 16
#define CONTEXT_BUCKETS 1024

struct context_owner;

struct context_entry {
    struct context_entry *next;          /* of its bucket */
    struct context_entry *older, *newer; /* of its uid and kind, by last use */
    struct context_owner *owner;
    uint8_t id[CONTEXT_ID_LEN];
    bool resident, busy;
    gss_ctx_id_t ctx; /* resident; the caller's to delete before book_remove */
    uint32_t serial;  /* sealed: the next one that is good */
    uint64_t born;
    int64_t used;
};

struct context_book {
    struct context_entry *buckets[CONTEXT_BUCKETS];
    struct context_owner *owners;
    size_t sealed, resident, sealed_max;
};

struct context_entry *book_find(struct context_book *book, const uint8_t *id);
uid_t book_uid(const struct context_entry *e);
/* Adds an entry. A sealed one past sealed_max takes the place of the least recently used of the uid that has most; what is forgotten so stays
 * refused (book_forgot). NULL where memory is short. */
struct context_entry *book_add(struct context_book *book, uid_t uid, const uint8_t *id, bool resident, uint64_t born,
                               int64_t now);
void book_touch(struct context_entry *e, int64_t now);
void book_remove(struct context_book *book, struct context_entry *e);
/* Whether a sealed context of the uid, born then and not in the book, may have been used and forgotten. */
bool book_forgot(const struct context_book *book, uid_t uid, uint64_t born);
/* The resident that goes where the uid has `most` and gets another: the least recently used that no call has; NULL for none. */
struct context_entry *book_victim(const struct context_book *book, uid_t uid, size_t most);
/* Drops what nobody can use any more: sealed entries last used before `before`, and what was forgotten before it. */
void book_sweep(struct context_book *book, int64_t before);

#endif
