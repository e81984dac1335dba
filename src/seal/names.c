#include "seal/names.h"

#include <stdio.h>
#include <string.h>

#include <gage/seal.h>

#include "base/encode.h"
#include "handshake/mechanism.h"

#define EXPORTED_ID 0x0401
#define OID_TAG 0x06

/* 04 01, length of what follows (2), 06, length, the OID's value, ... */
const struct mechanism *
name_mechanism(gage_slice exported)
{
    struct reader r = read_from(exported);
    uint16_t id = get_u16(&r), framed = get_u16(&r);
    uint8_t tag = get_u8(&r);
    gage_slice value = get_vec8(&r);
    if (!read_ok(&r) || id != EXPORTED_ID || tag != OID_TAG || framed != value.n + 2)
        return NULL;
    gss_OID_desc oid = {(OM_uint32)value.n, (void *)(uintptr_t)value.p};
    return mechanism_of_oid(&oid);
}

bool
name_is_global(gage_slice exported)
{
    const struct mechanism *mechanism = name_mechanism(exported);
    return mechanism != NULL && mechanism->names_global;
}

/* After the OID a length of four bytes, and the name. */
static bool
look_inside(gage_slice exported, gage_slice *name)
{
    struct reader r = read_from(exported);
    uint16_t id = get_u16(&r);
    get_vec16(&r);
    *name = get_vec32(&r);
    return id == EXPORTED_ID && gage_ok(read_end(&r, NULL, "an exported name"));
}

bool
name_is_whole(gage_slice exported)
{
    gage_slice name;
    return look_inside(exported, &name);
}

/* ---- text ---- */

static gage_slice
name_inside(gage_slice exported)
{
    gage_slice name;
    return look_inside(exported, &name) ? name : SLICE_NONE;
}

void
gage_name_text(gage_slice exported, char text[GAGE_NAME_TEXT_MAX])
{
    const struct mechanism *mechanism = name_mechanism(exported);
    AUTO(gage_buf) clean = GAGE_BUF(8 * GAGE_SEAL_NAME_MAX);
    gage_slice name = mechanism != NULL && mechanism->names_text ? name_inside(exported) : SLICE_NONE;
    if (name.n > 0)
        put_printable(&clean, name);
    else
        put_hex(&clean, exported);
    size_t room = clean.n < GAGE_NAME_TEXT_MAX - 20 ? clean.n : GAGE_NAME_TEXT_MAX - 20;
    while (room < clean.n && (clean.p[room] & 0xc0) == 0x80) /* not within a character */
        room--;
    snprintf(text, GAGE_NAME_TEXT_MAX, "%s:%.*s", name.n > 0 ? mechanism->name : "other", (int)room,
             (const char *)clean.p);
}
