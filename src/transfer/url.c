#include "transfer/url.h"

#include <arpa/inet.h>
#include <string.h>

static bool
is_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool
only(gage_slice text, const char *also)
{
    for (size_t i = 0; i < text.n; i++)
        if (!is_alnum(text.p[i]) && (text.p[i] == 0 || strchr(also, text.p[i]) == NULL))
            return false;
    return text.n > 0;
}

static gage_slice
from(gage_slice text, size_t n)
{
    return gage_slice_of(text.p + n, text.n - n);
}

static bool
starts_with(gage_slice text, const char *prefix)
{
    size_t n = strlen(prefix);
    return text.n >= n && memcmp(text.p, prefix, n) == 0;
}

static size_t
find(gage_slice text, uint8_t c)
{
    const uint8_t *at = text.n > 0 ? memchr(text.p, c, text.n) : NULL;
    return at == NULL ? text.n : (size_t)(at - text.p);
}

/* The host's length at the start of an authority; 0 if there is none. */
static size_t
host_length(gage_slice authority)
{
    if (authority.n == 0 || authority.p[0] != '[')
        return find(authority, ':');
    size_t end = find(authority, ']');
    return end < authority.n ? end + 1 : 0;
}

static bool
host_valid(gage_slice host)
{
    if (host.n > 2 && host.p[0] == '[')
        return only(gage_slice_of(host.p + 1, host.n - 2), ":.");
    return only(host, ".-") && host.p[0] != '-' && host.p[0] != '.';
}

static bool
port_valid(gage_slice rest)
{
    uint32_t port = 0;
    if (rest.n == 0)
        return true;
    if (rest.p[0] != ':' || rest.n < 2 || rest.n > 6)
        return false;
    for (size_t i = 1; i < rest.n; i++) {
        if (rest.p[i] < '0' || rest.p[i] > '9')
            return false;
        port = port * 10 + (uint32_t)(rest.p[i] - '0');
    }
    return port > 0 && port < 65536;
}

static bool
is_loopback(gage_slice host)
{
    if (slice_equal(host, SLICE_LITERAL("localhost")) || slice_equal(host, SLICE_LITERAL("[::1]")))
        return true;
    /* A whole address: "127.evil.example" and "127.1." are names, which a resolver sends anywhere. */
    char text[INET_ADDRSTRLEN];
    struct in_addr address;
    if (!starts_with(host, "127.") || host.n >= sizeof text)
        return false;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    return inet_pton(AF_INET, text, &address) == 1;
}

static bool
path_valid(gage_slice path)
{
    while (path.n > 0) {
        if (path.p[0] != '/')
            return false;
        path = from(path, 1);
        size_t n = find(path, '/');
        gage_slice segment = gage_slice_of(path.p, n);
        if (!only(segment, "._~-") || slice_equal(segment, SLICE_LITERAL(".")) ||
            slice_equal(segment, SLICE_LITERAL("..")))
            return false;
        path = from(path, n);
    }
    return true;
}

static void
lower(char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text[i] >= 'A' && text[i] <= 'Z')
            text[i] = (char)(text[i] | 0x20);
}

static gage_rc
parse(gage_slice text, bool allow_loopback_http, struct url *out, struct gage_err *err)
{
    struct url url = {0};
    REQUIRE(text.n <= GAGE_TRANSFER_URL_MAX, err, GAGE_E_LIMIT, "a URL of more than %d bytes", GAGE_TRANSFER_URL_MAX);
    bool secure = starts_with(text, "https://");
    REQUIRE(secure || starts_with(text, "http://"), err, GAGE_E_FORMAT, "not an https URL");
    url.authority = secure ? 8 : 7;
    gage_slice rest = from(text, url.authority);
    url.path = url.authority + find(rest, '/');
    gage_slice authority = gage_slice_of(rest.p, url.path - url.authority);
    gage_slice host = gage_slice_of(authority.p, host_length(authority));
    REQUIRE(host_valid(host) && port_valid(from(authority, host.n)), err, GAGE_E_FORMAT,
            "the URL's host or port is malformed");
    REQUIRE(path_valid(from(text, url.path)), err, GAGE_E_FORMAT, "the URL's path is malformed");
    memcpy(url.text, text.p, text.n);
    lower(url.text, url.path);
    host = gage_slice_of(url.text + url.authority, host.n);
    REQUIRE(secure || (allow_loopback_http && is_loopback(host)), err, GAGE_E_REFUSED,
            "the URL is not https: without TLS anybody on the way can take the mailbox");
    *out = url;
    return GAGE_DONE;
}

gage_rc
url_parse_relay(gage_slice text, bool allow_loopback_http, struct url *out, struct gage_err *err)
{
    if (text.n > 0 && text.p[text.n - 1] == '/')
        text.n--;
    return parse(text, allow_loopback_http, out, err);
}

gage_rc
url_parse_mailbox(gage_slice text, bool allow_loopback_http, struct url *out, struct gage_err *err)
{
    static const char api[] = "/v1/m/";
    const size_t tail = sizeof api - 1 + UUID_TEXT_LEN;
    uint8_t uuid[UUID_LEN];
    struct url url;
    TRY(parse(text, allow_loopback_http, &url, err));
    gage_slice path = from(slice_str(url.text), url.path);
    bool good = path.n >= tail && starts_with(from(path, path.n - tail), api) &&
                gage_ok(uuid_parse(from(path, path.n - UUID_TEXT_LEN), uuid));
    REQUIRE(good, err, GAGE_E_FORMAT, "not a mailbox's URL: it does not end in /v1/m/ and an identifier");
    lower(url.text + url.path + path.n - UUID_TEXT_LEN, UUID_TEXT_LEN);
    *out = url;
    return GAGE_DONE;
}

bool
url_same_origin(const struct url *a, const struct url *b)
{
    return slice_equal(gage_slice_of(a->text, a->path), gage_slice_of(b->text, b->path));
}

gage_slice
url_authority(const struct url *url)
{
    return gage_slice_of(url->text + url->authority, url->path - url->authority);
}
