#include "proxyd/known.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "proxyd/mech.h"

#define SLOTS 1024
#define NAME_BYTES_MAX 8192 /* of both names */

struct slot {
    bool used;
    uint8_t key[SHA256_LEN];
    gssx_name source, target;
};

struct known_names {
    pthread_mutex_t lock;
    struct slot slots[SLOTS];
};

/* ---- the ticket ---- */

/* The contents of the element that comes next, if its tag is this one (X.690 8.1, definite lengths). */
static bool
element(struct reader *r, uint8_t tag, gage_slice *contents)
{
    uint8_t found = get_u8(r), first = get_u8(r);
    size_t length = first;
    if (first >= 0x80) {
        unsigned octets = first & 0x7fu;
        length = 0;
        if (octets == 0 || octets > 4)
            return false;
        while (octets-- > 0)
            length = length << 8 | get_u8(r);
    }
    *contents = get_bytes(r, length);
    return read_ok(r) && found == tag;
}

static bool
inside(gage_slice from, uint8_t tag, gage_slice *contents)
{
    struct reader r = read_from(from);
    return element(&r, tag, contents);
}

enum { APPLICATION_0 = 0x60, OBJECT_IDENTIFIER = 0x06, AP_REQ = 0x6e, SEQUENCE = 0x30, FIELD_0 = 0xa0, FIELD_3 = 0xa3 };
#define TOKEN_ID_AP_REQ 0x0100

bool
known_ticket(gage_slice token, gage_slice *ticket)
{
    gage_slice body, oid, request, fields;
    if (!inside(token, APPLICATION_0, &body))
        return false;
    struct reader r = read_from(body);
    if (!element(&r, OBJECT_IDENTIFIER, &oid) || !slice_equal(oid, oid_slice(&mech_oid_krb5)) ||
        get_u16(&r) != TOKEN_ID_AP_REQ || !element(&r, AP_REQ, &request) || !inside(request, SEQUENCE, &fields))
        return false;
    r = read_from(fields);
    for (uint8_t tag = FIELD_0; tag <= FIELD_3; tag++)
        if (!element(&r, tag, ticket))
            return false;
    return ticket->n > 0;
}

bool
known_key(const struct call *call, gage_slice handle, gage_slice token, uint8_t key[SHA256_LEN])
{
    AUTO(gage_buf) head = GAGE_BUF(1024);
    gage_slice ticket;
    if (!known_ticket(token, &ticket))
        return false;
    put_u64(&head, call->conf->generation);
    put_vec16(&head, slice_str(call->service->name));
    put_u32(&head, call->peer->uid);
    put_u64(&head, handle.n);
    const gage_slice parts[] = {gage_buf_slice(&head), handle, ticket};
    return !head.bad && gage_ok(sha256_parts(parts, 3, key));
}

/* ---- the names ---- */

static size_t
size_of(const gssx_name *n)
{
    return (size_t)n->display_name.octet_string_len + n->name_type.octet_string_len +
           n->exported_name.octet_string_len + n->exported_composite_name.octet_string_len;
}

static void
clear(gssx_name *name)
{
    xdr_free(GSSX_XDR(gssx_name), name);
    memset(name, 0, sizeof *name);
}

static bool
copy_both(gssx_name *source_to, const gssx_name *source, gssx_name *target_to, const gssx_name *target)
{
    if (gssx_name_copy_forms(source_to, source) && gssx_name_copy_forms(target_to, target))
        return true;
    clear(source_to);
    clear(target_to);
    return false;
}

struct known_names *
known_new(void)
{
    struct known_names *k = calloc(1, sizeof *k);
    if (k != NULL)
        pthread_mutex_init(&k->lock, NULL);
    return k;
}

void
known_free(struct known_names **known)
{
    struct known_names *k = *known;
    *known = NULL;
    if (k == NULL)
        return;
    for (size_t i = 0; i < SLOTS; i++) {
        clear(&k->slots[i].source);
        clear(&k->slots[i].target);
    }
    pthread_mutex_destroy(&k->lock);
    free(k);
}

static struct slot *
slot_of(struct known_names *known, const uint8_t key[SHA256_LEN])
{
    return &known->slots[(key[0] | (unsigned)key[1] << 8) % SLOTS];
}

bool
known_get(struct known_names *known, const uint8_t key[SHA256_LEN], gssx_name *source, gssx_name *target)
{
    pthread_mutex_lock(&known->lock);
    const struct slot *s = slot_of(known, key);
    bool found = s->used && memcmp(s->key, key, SHA256_LEN) == 0 && copy_both(source, &s->source, target, &s->target);
    pthread_mutex_unlock(&known->lock);
    return found;
}

void
known_put(struct known_names *known, const uint8_t key[SHA256_LEN], const gssx_name *source, const gssx_name *target)
{
    struct slot fresh = {.used = true};
    if (size_of(source) + size_of(target) > NAME_BYTES_MAX || !copy_both(&fresh.source, source, &fresh.target, target))
        return;
    memcpy(fresh.key, key, SHA256_LEN);
    pthread_mutex_lock(&known->lock);
    struct slot *s = slot_of(known, key), old = *s;
    *s = fresh;
    pthread_mutex_unlock(&known->lock);
    clear(&old.source);
    clear(&old.target);
}
