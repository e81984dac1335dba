#include "proxyd/context_book.h"

#include <stdlib.h>
#include <string.h>

struct chain {
    struct context_entry *oldest, *newest;
    size_t count;
};

struct context_owner {
    struct context_owner *next;
    uid_t uid;
    struct chain sealed, resident;
    uint64_t floor;    /* of the youngest sealed one that was forgotten */
    int64_t forgotten; /* when */
};

/* ---- owners ---- */

static struct context_owner *
find_owner(const struct context_book *book, uid_t uid)
{
    struct context_owner *o = book->owners;
    while (o != NULL && o->uid != uid)
        o = o->next;
    return o;
}

static struct context_owner *
owner_of(struct context_book *book, uid_t uid)
{
    struct context_owner *o = find_owner(book, uid);
    if (o != NULL || (o = calloc(1, sizeof *o)) == NULL)
        return o;
    o->uid = uid;
    o->next = book->owners;
    book->owners = o;
    return o;
}

/* Ends an owner who has nothing and of whom nothing has to be remembered. */
static void
end_owner(struct context_book *book, struct context_owner *o)
{
    struct context_owner **p = &book->owners;
    if (o->sealed.count > 0 || o->resident.count > 0 || o->floor > 0)
        return;
    while (*p != o)
        p = &(*p)->next;
    *p = o->next;
    free(o);
}

/* ---- chains ---- */

static struct chain *
chain_of(struct context_entry *e)
{
    return e->resident ? &e->owner->resident : &e->owner->sealed;
}

static void
unchain(struct context_entry *e)
{
    struct chain *c = chain_of(e);
    *(e->older != NULL ? &e->older->newer : &c->oldest) = e->newer;
    *(e->newer != NULL ? &e->newer->older : &c->newest) = e->older;
    e->older = e->newer = NULL;
    c->count--;
}

static void
chain(struct context_entry *e)
{
    struct chain *c = chain_of(e);
    e->older = c->newest;
    *(c->newest != NULL ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
    c->count++;
}

/* ---- entries ---- */

static struct context_entry **
bucket_of(struct context_book *book, const uint8_t *id)
{
    return &book->buckets[(id[0] | (unsigned)id[1] << 8) % CONTEXT_BUCKETS];
}

struct context_entry *
book_find(struct context_book *book, const uint8_t *id)
{
    struct context_entry *e = *bucket_of(book, id);
    while (e != NULL && memcmp(e->id, id, CONTEXT_ID_LEN) != 0)
        e = e->next;
    return e;
}

uid_t
book_uid(const struct context_entry *e)
{
    return e->owner->uid;
}

void
book_touch(struct context_entry *e, int64_t now)
{
    unchain(e);
    chain(e);
    e->used = now;
}

static void
take_out(struct context_book *book, struct context_entry *e)
{
    struct context_entry **p = bucket_of(book, e->id);
    while (*p != e)
        p = &(*p)->next;
    *p = e->next;
    unchain(e);
    *(e->resident ? &book->resident : &book->sealed) -= 1;
    free(e);
}

void
book_remove(struct context_book *book, struct context_entry *e)
{
    struct context_owner *o = e->owner;
    take_out(book, e);
    end_owner(book, o);
}

/* The least recently used sealed one of whoever has most goes. */
static void
forget_one(struct context_book *book, int64_t now)
{
    struct context_owner *most = book->owners;
    for (struct context_owner *o = book->owners; o != NULL; o = o->next)
        most = o->sealed.count > most->sealed.count ? o : most;
    struct context_entry *e = most->sealed.oldest;
    most->floor = e->born > most->floor ? e->born : most->floor;
    most->forgotten = now;
    take_out(book, e);
}

struct context_entry *
book_add(struct context_book *book, uid_t uid, const uint8_t *id, bool resident, uint64_t born, int64_t now)
{
    if (!resident && book->sealed >= book->sealed_max)
        forget_one(book, now);
    struct context_owner *o = owner_of(book, uid);
    struct context_entry *e = o != NULL ? calloc(1, sizeof *e) : NULL;
    if (e == NULL) {
        if (o != NULL)
            end_owner(book, o);
        return NULL;
    }
    memcpy(e->id, id, CONTEXT_ID_LEN);
    e->owner = o;
    e->resident = resident;
    e->born = born;
    e->used = now;
    e->ctx = GSS_C_NO_CONTEXT;
    struct context_entry **bucket = bucket_of(book, id);
    e->next = *bucket;
    *bucket = e;
    chain(e);
    *(resident ? &book->resident : &book->sealed) += 1;
    return e;
}

bool
book_forgot(const struct context_book *book, uid_t uid, uint64_t born)
{
    const struct context_owner *o = find_owner(book, uid);
    return o != NULL && born <= o->floor;
}

struct context_entry *
book_victim(const struct context_book *book, uid_t uid, size_t most)
{
    const struct context_owner *o = find_owner(book, uid);
    if (o == NULL || o->resident.count < most)
        return NULL;
    struct context_entry *e = o->resident.oldest;
    while (e != NULL && e->busy)
        e = e->newer;
    return e;
}

void
book_sweep(struct context_book *book, int64_t before)
{
    for (struct context_owner *o = book->owners, *next; o != NULL; o = next) {
        next = o->next;
        while (o->sealed.oldest != NULL && o->sealed.oldest->used < before)
            take_out(book, o->sealed.oldest);
        if (o->forgotten < before)
            o->floor = 0;
        end_owner(book, o);
    }
}
