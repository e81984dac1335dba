#include "cli/tunnel/allow.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "handshake/mechanism.h"

#define DEFAULT_MECHANISM "krb5"

void
peer_text(const struct gage_stream_peer *peer, char text[PEER_TEXT_MAX])
{
    const struct mechanism *mechanism = mechanism_of_oid(peer->mech);
    snprintf(text, PEER_TEXT_MAX, "%s:%s", mechanism != NULL ? mechanism->name : "other", peer->name);
}

/* The exported form of a name as people write it. */
static bool
export_written(const char *name, const struct mechanism *mechanism, gss_buffer_desc *out)
{
    OM_uint32 minor;
    gss_buffer_desc text = gss_buffer_of(slice_str(name));
    AUTO(gss_name_t) written = GSS_C_NO_NAME;
    AUTO(gss_name_t) canonical = GSS_C_NO_NAME;
    return gss_import_name(&minor, &text, GSS_C_NT_USER_NAME, &written) == GSS_S_COMPLETE &&
           gss_canonicalize_name(&minor, written, mechanism_oid(mechanism), &canonical) == GSS_S_COMPLETE &&
           gss_export_name(&minor, canonical, out) == GSS_S_COMPLETE;
}

static bool
same_name(const char *name, const struct mechanism *mechanism, const struct gage_stream_peer *peer)
{
    AUTO(gss_buffer_desc) exported = GSS_C_EMPTY_BUFFER;
    if (mechanism->names_global)
        return export_written(name, mechanism, &exported) && slice_equal(gss_slice(&exported), peer->exported);
    /* Names that mean something to one credential only: the credential's id, whichever its side. */
    size_t n = strlen(name);
    return strcmp(name, peer->name) == 0 ||
           (strncmp(name, peer->name, n) == 0 && peer->name[n] == '/' && strchr(name, '/') == NULL);
}

static bool
matches(const char *pattern, const struct mechanism *mechanism, const struct gage_stream_peer *peer)
{
    const char *colon = strchr(pattern, ':'), *name = colon != NULL ? colon + 1 : pattern;
    if (strcmp(pattern, "*") == 0)
        return true;
    const char *wanted = colon != NULL ? pattern : DEFAULT_MECHANISM;
    size_t n = colon != NULL ? (size_t)(colon - pattern) : strlen(wanted);
    if (strlen(mechanism->name) != n || memcmp(mechanism->name, wanted, n) != 0)
        return false;
    /* A backslash stands before what is part of a name though it looks like punctuation: eve\@A@B is of realm B, and
     * x@eve\@A of neither. Wildcards do not know that, so a pattern without a backslash matches no such name. */
    if (strpbrk(name, "*?[") != NULL && strchr(name, '\\') == NULL && strchr(peer->name, '\\') != NULL)
        return false;
    if (strpbrk(name, "*?[") != NULL)
        return fnmatch(name, peer->name, FNM_NOESCAPE) == 0;
    return same_name(name, mechanism, peer);
}

bool
allow_matches(const struct opt_list *patterns, const struct gage_stream_peer *peer)
{
    const struct mechanism *mechanism = mechanism_of_oid(peer->mech);
    bool found = patterns->n == 0;
    for (size_t i = 0; !found && mechanism != NULL && i < patterns->n; i++)
        found = matches(patterns->text[i], mechanism, peer);
    return found;
}

gage_rc
allow_authorise(void *patterns, const struct gage_stream_peer *peer, struct gage_err *err)
{
    char text[PEER_TEXT_MAX];
    peer_text(peer, text);
    REQUIRE(allow_matches(patterns, peer), err, GAGE_E_REFUSED, "%.150s is not among the names allowed here (--allow)",
            text);
    return GAGE_DONE;
}
