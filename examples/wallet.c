/* wallet.c - a wallet's own transfer: gage's public headers, and an HTTP client of its own (libcurl, forty lines).
 *
 *     wallet give RELAY < credential > link       waits for the receipt
 *     wallet take       < link       > credential
 *
 * State lives in the file named by $WALLET_STATE (default ./wallet.state): kill either side at any moment and run it again.
 * $WALLET_CA names a file of certificates to trust instead of the system's. Exit status: gage's. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>
#include <gage/transfer.h>

static const char *state_path;

/* ---- HTTP ---- */

struct answer {
    char *body;
    size_t n, max;
    struct gage_http_header headers[16];
    char text[16][160]; /* "name\0value" */
    size_t count;
};

static size_t
take_body(char *p, size_t one, size_t n, void *to)
{
    struct answer *a = to;
    char *grown = a->n + n <= a->max ? realloc(a->body, a->n + n + 1) : NULL;
    if (grown == NULL)
        return 0; /* curl reports a failure */
    a->body = grown;
    memcpy(a->body + a->n, p, n);
    a->n += n;
    return n;
}

static size_t
take_header(char *p, size_t one, size_t n, void *to)
{
    struct answer *a = to;
    char *text = a->text[a->count];
    char *colon = memchr(p, ':', n);
    if (colon == NULL || a->count == 16 || n >= sizeof a->text[0])
        return n;
    memcpy(text, p, n);
    text[strcspn(text, "\r\n")] = '\0';
    text[colon - p] = '\0';
    char *value = text + (colon - p) + 1;
    a->headers[a->count++] = (struct gage_http_header){text, value + strspn(value, " ")};
    return n;
}

static struct curl_slist *
header_list(const struct gage_http_request *request)
{
    struct curl_slist *list = NULL;
    for (size_t i = 0; i < request->header_count; i++) {
        char line[1400];
        snprintf(line, sizeof line, "%s: %s", request->headers[i].name, request->headers[i].value);
        list = curl_slist_append(list, line);
    }
    return curl_slist_append(list, "Expect:");
}

static gage_rc
do_http(gage_transfer *t, const struct gage_http_request *request, struct gage_err *err)
{
    struct answer a = {.max = request->answer_max};
    long status = 0;
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = header_list(request);
    curl_easy_setopt(curl, CURLOPT_URL, request->url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (strcmp(request->method, "GET") != 0) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body.n > 0 ? (const char *)request->body.p : "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.n);
    }
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)request->wait + 30);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &a);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &a);
    if (getenv("WALLET_CA") != NULL)
        curl_easy_setopt(curl, CURLOPT_CAINFO, getenv("WALLET_CA"));
    CURLcode done = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    struct gage_http_response response = {(int)status, a.headers, a.count, gage_slice_of(a.body, a.n)};
    gage_rc rc = done == CURLE_OK ? gage_transfer_http_result(t, time(NULL), &response, err)
                                  : gage_transfer_http_failed(t, time(NULL), curl_easy_strerror(done), err);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    free(a.body);
    return rc;
}

/* ---- files ---- */

static size_t
read_all(int fd, char *to, size_t max)
{
    size_t n = 0;
    for (ssize_t got; n < max && (got = read(fd, to + n, max - n)) > 0;)
        n += (size_t)got;
    return n;
}

/* Temporary file, fsync, rename: the record is there whole, or the old one is. */
static void
store(gage_slice record)
{
    char temporary[1024];
    snprintf(temporary, sizeof temporary, "%s.new", state_path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, record.p, record.n) != (ssize_t)record.n || fsync(fd) != 0 || close(fd) != 0 ||
        rename(temporary, state_path) != 0) {
        perror(state_path);
        exit(4);
    }
}

/* ---- the loop ---- */

static void
print_link(gage_transfer *t)
{
    gage_invitation *invitation = NULL;
    gage_buf link = GAGE_BUF(4096);
    if (gage_ok(gage_transfer_invitation(t, &invitation, NULL)) &&
        gage_ok(gage_invitation_format(invitation, GAGE_INVITATION_LINK, &link, NULL)))
        printf("%.*s\n", (int)link.n, (const char *)link.p);
    fflush(stdout);
    gage_buf_free(&link);
    gage_invitation_free(&invitation);
}

static gage_rc
obey(gage_transfer *t, const struct gage_action *action, struct gage_err *err)
{
    int64_t left = action->until - time(NULL);
    switch (action->kind) {
    case GAGE_ACT_HTTP:
        return do_http(t, &action->http, err);
    case GAGE_ACT_SAVE:
        store(action->record);
        return gage_transfer_saved(t, err);
    case GAGE_ACT_INVITE:
        print_link(t);
        return gage_transfer_invited(t, err);
    case GAGE_ACT_ASK: /* a wallet would ask here; this one trusts whom it talks to, unless what was announced was not true */
        return gage_transfer_answer(t, action->ask.question != GAGE_ASK_MISMATCH, err);
    case GAGE_ACT_INSTALL:
        fwrite(action->install.content.p, 1, action->install.content.n, stdout);
        return gage_transfer_installed(t, fflush(stdout) == 0 ? GAGE_INSTALL_DONE : GAGE_INSTALL_LATER, err);
    case GAGE_ACT_WAIT:
        sleep(left > 0 ? (unsigned)left : 1);
        return (gage_rc){GAGE_OK};
    default:
        return gage_transfer_answer(t, false, err); /* no additional calls here */
    }
}

static int
run(gage_transfer *t)
{
    struct gage_action action;
    struct gage_err err = {0};
    for (;;) {
        gage_rc rc = gage_transfer_next(t, time(NULL), &action, &err);
        if (gage_ok(rc) && action.kind == GAGE_ACT_DONE)
            break;
        if (gage_ok(rc))
            rc = obey(t, &action, &err);
        if (!gage_ok(rc)) {
            fprintf(stderr, "wallet: %s\n", err.text);
            return gage_exit_status(rc.code);
        }
    }
    fprintf(stderr, "wallet: %s\n", action.result.text);
    return gage_exit_status(action.result.code);
}

static gage_rc
begin(char **argv, gage_transfer **t, struct gage_err *err)
{
    static char text[1 << 20];
    int fd = open(state_path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        gage_slice record = gage_slice_of(text, read_all(fd, text, sizeof text));
        close(fd);
        return gage_transfer_load(record, NULL, time(NULL), t, err);
    }
    gage_slice input = gage_slice_of(text, read_all(STDIN_FILENO, text, sizeof text));
    if (strcmp(argv[1], "give") == 0) {
        struct gage_send_options give = {
            .relay = argv[2], .title = "a wallet's credential", .expires = time(NULL) + 3600, .content = input};
        return gage_transfer_send(&give, NULL, time(NULL), t, err);
    }
    gage_invitation *invitation = NULL;
    struct gage_receive_options take = {.mechanism = NULL};
    gage_rc rc = gage_invitation_parse(input, false, &invitation, err);
    if (gage_ok(rc))
        rc = gage_transfer_receive(invitation, &take, NULL, time(NULL), t, err);
    gage_invitation_free(&invitation);
    return rc;
}

int
main(int argc, char **argv)
{
    gage_transfer *t = NULL;
    struct gage_err err = {0};
    state_path = getenv("WALLET_STATE") != NULL ? getenv("WALLET_STATE") : "wallet.state";
    bool give = argc == 3 && strcmp(argv[1], "give") == 0, take = argc == 2 && strcmp(argv[1], "take") == 0;
    if (!give && !take) {
        fprintf(stderr, "usage: wallet give RELAY < credential > link\n       wallet take < link > credential\n");
        return 2;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    gage_rc rc = begin(argv, &t, &err);
    int status = gage_exit_status(rc.code);
    if (gage_ok(rc))
        status = run(t);
    else
        fprintf(stderr, "wallet: %s\n", err.text);
    gage_transfer_free(&t);
    curl_global_cleanup();
    return status;
}
