#include "cli/http.h"

#include <ctype.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "base/clock.h"
#include "base/secret.h"
#include "cli/terminal.h"

#define CONNECT_TIMEOUT_S 15
#define ANSWER_TIMEOUT_S 30
#define USER_AGENT "gage"

struct http {
    CURL *curl;
    char *pin, *ca_file;
    bool never_sent;
    bool certificate; /* and not a pin alone */
    bool (*stop)(void *context);
    void (*sent)(void *context); /* of the request under way; NULL once it was called */
    void *context;
    char message[CURL_ERROR_SIZE];
};

/* ---- an allocator that wipes: requests carry claims, which are capabilities ---- */

static void
wiping_free(void *p)
{
    if (p != NULL)
        gage_wipe(p, malloc_usable_size(p));
    free(p);
}

static void *
wiping_realloc(void *p, size_t n)
{
    size_t old = p != NULL ? malloc_usable_size(p) : 0;
    if (n <= old && p != NULL)
        return p;
    void *fresh = malloc(n);
    if (fresh != NULL && p != NULL) {
        memcpy(fresh, p, old);
        wiping_free(p);
    }
    return fresh;
}

gage_rc
http_start(struct gage_err *err)
{
    CURLcode rc = curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wiping_free, wiping_realloc, strdup, calloc);
    REQUIRE(rc == CURLE_OK, err, GAGE_E_INTERNAL, "libcurl does not start: %s", curl_easy_strerror(rc));
    return GAGE_DONE;
}

/* ---- the answer ---- */

void
http_response_free(struct http_response *response)
{
    gage_buf_free(&response->body);
    gage_wipe(response, sizeof *response);
}

const char *
http_header_of(const struct http_response *response, const char *name)
{
    for (size_t i = 0; i < response->header_count; i++) {
        if (strcmp(response->header[i][0], name) == 0)
            return response->header[i][1];
    }
    return NULL;
}

bool
http_skew(const char *date, int64_t *seconds)
{
    time_t there = curl_getdate(date, NULL);
    *seconds = clock_now() - (int64_t)there;
    return there >= 0;
}

int
http_retry_after(const struct http_response *response)
{
    const char *text = http_header_of(response, "retry-after");
    int seconds = 0;
    for (; text != NULL && isdigit((unsigned char)*text) && seconds <= 3600; text++)
        seconds = seconds * 10 + (*text - '0');
    return seconds > 3600 ? 3600 : seconds;
}

static size_t
on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct http_response *response = context;
    put_bytes(&response->body, gage_slice_of(bytes, size * count));
    return response->body.bad ? 0 : size * count;
}

/* Keeps the field if it is short enough to be one we read; what does not fit is of no use to us. */
static size_t
on_header(char *line, size_t size, size_t count, void *context)
{
    struct http_response *response = context;
    size_t n = size * count, name_n;
    char *colon = memchr(line, ':', n);
    if (n >= 5 && memcmp(line, "HTTP/", 5) == 0)
        response->header_count = 0; /* an interim answer's fields are not the answer's */
    if (colon == NULL || response->header_count == HTTP_HEADERS_KEPT)
        return n;
    name_n = (size_t)(colon - line);
    const char *value = colon + 1, *end = line + n;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && isspace((unsigned char)end[-1]))
        end--;
    if (name_n >= sizeof response->header[0][0] || (size_t)(end - value) >= sizeof response->header[0][1])
        return n;
    char(*kept)[160] = response->header[response->header_count++];
    for (size_t i = 0; i < name_n; i++)
        kept[0][i] = (char)tolower((unsigned char)line[i]);
    kept[0][name_n] = '\0';
    memcpy(kept[1], value, (size_t)(end - value));
    kept[1][end - value] = '\0';
    return n;
}

static int
on_progress(void *context, curl_off_t size, curl_off_t got, curl_off_t body, curl_off_t sent)
{
    struct http *http = context;
    (void)size;
    (void)got;
    if (http->sent != NULL && body > 0 && sent >= body) {
        http->sent(http->context);
        http->sent = NULL;
    }
    waiting_tick();
    return http->stop != NULL && http->stop(http->context);
}

/* ---- the handle ---- */

/* What never changes between requests. */
static bool
set_constants(struct http *http)
{
    CURL *c = http->curl;
    return curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_USERAGENT, USER_AGENT) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_ERRORBUFFER, http->message) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_XFERINFODATA, http) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK;
}

/* With a pin alone the key is the proof, and the certificate's names and issuer do not matter: self-hosted relays sign for themselves. */
static bool
set_trust(struct http *http)
{
    CURL *c = http->curl;
    return curl_easy_setopt(c, CURLOPT_PINNEDPUBLICKEY, http->pin) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, http->certificate ? 1L : 0L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, http->certificate ? 2L : 0L) == CURLE_OK &&
           (http->ca_file == NULL || curl_easy_setopt(c, CURLOPT_CAINFO, http->ca_file) == CURLE_OK);
}

gage_rc
http_open(const struct http_trust *trust, bool (*stop)(void *context), void *context, struct http **out,
          struct gage_err *err)
{
    REQUIRE(trust->pin == NULL || strncmp(trust->pin, "sha256//", 8) == 0, err, GAGE_E_USAGE,
            "a relay's pin looks like sha256//BASE64=: copy it as the relay prints it");
    struct http *http = calloc(1, sizeof *http);
    REQUIRE(http != NULL, err, GAGE_E_NOMEM, "out of memory");
    http->stop = stop;
    http->context = context;
    http->pin = trust->pin != NULL ? strdup(trust->pin) : NULL;
    http->ca_file = trust->ca_file != NULL ? strdup(trust->ca_file) : NULL;
    http->certificate = trust->pin == NULL || trust->ca_file != NULL || trust->certificate;
    http->curl = curl_easy_init();
    if (http->curl == NULL || !set_constants(http) || !set_trust(http)) {
        http_close(&http);
        return gage_fail(err, GAGE_E_INTERNAL, "libcurl refuses its settings");
    }
    *out = http;
    return GAGE_DONE;
}

void
http_close(struct http **http)
{
    if (*http == NULL)
        return;
    curl_easy_cleanup((*http)->curl);
    free((*http)->pin);
    free((*http)->ca_file);
    free(*http);
    *http = NULL;
}

/* ---- one request ---- */

typedef struct curl_slist *header_list;
static void
header_list_free(header_list *list)
{
    curl_slist_free_all(*list);
}
GAGE_AUTO_DEFINE(header_list, header_list_free)

static bool
add_header(header_list *list, const char *name, const char *value)
{
    char line[512];
    int n = snprintf(line, sizeof line, "%s:%s%s", name, value[0] != '\0' ? " " : "", value);
    struct curl_slist *longer = n > 0 && (size_t)n < sizeof line ? curl_slist_append(*list, line) : NULL;
    gage_wipe(line, sizeof line);
    if (longer == NULL)
        return false;
    *list = longer;
    return true;
}

static bool
names_content_type(const struct http_request *request)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (strcasecmp(request->headers[i].name, "Content-Type") == 0)
            return true;
    }
    return false;
}

/* The request's own, without those that libcurl would add unasked. */
static bool
set_headers(struct http *http, const struct http_request *request, header_list *list)
{
    bool good = add_header(list, "Expect", "");
    if (!names_content_type(request))
        good = good && add_header(list, "Content-Type", "");
    for (size_t i = 0; i < request->header_count; i++)
        good = good && add_header(list, request->headers[i].name, request->headers[i].value);
    return good && curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, *list) == CURLE_OK;
}

/* The method is sent as given; a body, even an empty one, goes with all but GET. */
static bool
set_request(struct http *http, const struct http_request *request, struct http_response *response)
{
    CURL *c = http->curl;
    bool get = strcmp(request->method, "GET") == 0;
    long timeout = ANSWER_TIMEOUT_S + (long)request->wait_seconds;
    const char *body = request->body.n > 0 ? (const char *)request->body.p : "";
    bool good = get ? curl_easy_setopt(c, CURLOPT_HTTPGET, 1L) == CURLE_OK
                    : curl_easy_setopt(c, CURLOPT_POST, 1L) == CURLE_OK &&
                          curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.n) == CURLE_OK &&
                          curl_easy_setopt(c, CURLOPT_POSTFIELDS, body) == CURLE_OK;
    return good && curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_URL, request->url) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_TIMEOUT, timeout) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEDATA, response) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_HEADERDATA, response) == CURLE_OK;
}

/* Whether libcurl gave up before the request was sent. */
static bool
failed_before_sending(CURLcode rc)
{
    static const CURLcode early[] = {CURLE_COULDNT_RESOLVE_HOST,     CURLE_COULDNT_RESOLVE_PROXY,
                                     CURLE_COULDNT_CONNECT,          CURLE_SSL_CONNECT_ERROR,
                                     CURLE_SSL_PINNEDPUBKEYNOTMATCH, CURLE_PEER_FAILED_VERIFICATION,
                                     CURLE_SSL_CACERT_BADFILE,       CURLE_URL_MALFORMAT,
                                     CURLE_UNSUPPORTED_PROTOCOL};
    for (size_t i = 0; i < sizeof early / sizeof early[0]; i++) {
        if (rc == early[i])
            return true;
    }
    return false;
}

/* libcurl's verdict in our codes and words. */
static gage_rc
translate(struct http *http, CURLcode rc, const struct http_response *response, struct gage_err *err)
{
    const char *detail = http->message[0] != '\0' ? http->message : curl_easy_strerror(rc);
    http->never_sent = failed_before_sending(rc);
    switch (rc) {
    case CURLE_OK:
        return GAGE_DONE;
    case CURLE_ABORTED_BY_CALLBACK:
        return gage_fail(err, GAGE_E_CANCELLED, "interrupted");
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
        return gage_fail(err, GAGE_E_AUTH,
                         "the relay does not hold the pinned key: it was changed, or somebody stands in between. "
                         "Nothing was sent; compare the pin with what the relay's operator says");
    case CURLE_PEER_FAILED_VERIFICATION:
        return gage_fail(err, GAGE_E_AUTH, "the relay's certificate is not trusted (%.110s): %s", detail,
                         http->pin != NULL && http->ca_file == NULL
                             ? "your configuration names this relay, so the invitation's pin is not enough; give "
                               "--relay-pin yourself if it is right"
                             : "for a relay of your own give --relay-pin or --relay-ca");
    case CURLE_SSL_CACERT_BADFILE:
        return gage_fail(err, GAGE_E_CONFIG, "the relay's authorities cannot be read: %s", detail);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return gage_fail(err, GAGE_E_USAGE, "the relay's address is not an https URL");
    case CURLE_OUT_OF_MEMORY:
        return gage_fail(err, GAGE_E_NOMEM, "out of memory");
    case CURLE_WRITE_ERROR:
        return gage_fail(err, GAGE_E_LIMIT, "the relay's answer is larger than %zu bytes", response->body.max);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
        return gage_fail(err, GAGE_E_UNAVAILABLE, "the relay cannot be reached: %s", detail);
    default:
        return gage_fail(err, GAGE_E_UNAVAILABLE, "the relay did not answer: %s", detail);
    }
}

gage_rc
http_call(struct http *http, const struct http_request *request, struct http_response *response, struct gage_err *err)
{
    AUTO(header_list) headers = NULL;
    long status = 0;
    http_response_free(response);
    response->body = GAGE_BUF(request->answer_max > 0 ? request->answer_max : HTTP_BODY_MAX);
    http->message[0] = '\0';
    http->sent = request->sent;
    REQUIRE(strchr(request->url, '#') == NULL, err, GAGE_E_INTERNAL, "a link's secret must not reach the relay");
    REQUIRE(set_request(http, request, response) && set_headers(http, request, &headers), err, GAGE_E_INTERNAL,
            "libcurl refuses the request");
    CURLcode rc = curl_easy_perform(http->curl);
    curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, NULL);
    TRY(translate(http, rc, response, err));
    curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
    response->status = (int)status;
    return GAGE_DONE;
}

bool
http_never_sent(const struct http *http)
{
    return http->never_sent;
}
