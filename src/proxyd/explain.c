#include "proxyd/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/file.h"
#include "proxyd/mech.h"
#include "proxyd/spec.h"
#include "rpc/call.h"
#include "rpc/record.h"

static void
put_field(const char *text, char end)
{
    AUTO(gage_buf) clean = GAGE_BUF(2048);
    put_printable(&clean, slice_str(text));
    printf("%.*s%c", (int)clean.n, (const char *)clean.p, end);
}

void
explain_say(enum explain_verdict verdict, const char *topic, const char *found, const char *fix)
{
    static const char *const words[] = {"good", "note", "bad"};
    printf("%s\t%s\t", words[verdict], topic);
    put_field(found, '\t');
    put_field(fix, '\n');
}

struct text {
    char t[600];
};
static struct text text_of(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static struct text
text_of(const char *fmt, ...)
{
    struct text text;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text.t, sizeof text.t, fmt, ap);
    va_end(ap);
    return text;
}
#define SAY(verdict, topic, fix, ...) explain_say(verdict, topic, text_of(__VA_ARGS__).t, fix)

/* ---- the client's environment ---- */

static void
look_at_environment(void)
{
    const char *use = getenv("GSS_USE_PROXY"), *behavior = getenv("GSSPROXY_BEHAVIOR");
    if (use == NULL || (strcasecmp(use, "yes") != 0 && strcasecmp(use, "true") != 0 && strcmp(use, "1") != 0))
        SAY(EXPLAIN_NOTE, "proxy client", "set GSS_USE_PROXY=yes in the environment of the program",
            "GSS_USE_PROXY is not set here: a program with this environment does not ask the proxy");
    else if (behavior != NULL && strcmp(behavior, "LOCAL_ONLY") == 0)
        SAY(EXPLAIN_NOTE, "proxy client", "unset it, or set LOCAL_FIRST or REMOTE_FIRST",
            "GSSPROXY_BEHAVIOR is LOCAL_ONLY: the proxy is never asked");
    else
        SAY(EXPLAIN_GOOD, "proxy client", "", "its environment says that it asks the proxy");
}

/* ---- which service ---- */

/* Why the service does not serve the client on that socket; empty where it does. */
static struct text
mismatch(const struct service *s, const struct explain_client *c)
{
    if (!s->allow_any_uid && s->euid != c->uid)
        return text_of("it serves uid %u, not %u", s->euid, c->uid);
    if (s->program != NULL && c->program != NULL && strcmp(s->program, c->program) != 0)
        return text_of("it serves the program %s, not %s", s->program, c->program);
    return text_of("%s", "");
}

static const struct service *
find_service(const struct conf *conf, const struct explain_client *c, bool here)
{
    for (size_t i = 0; i < conf->service_count; i++) {
        const struct service *s = &conf->services[i];
        if ((strcmp(service_socket(conf, s), c->socket) == 0) == here && mismatch(s, c).t[0] == '\0')
            return s;
    }
    return NULL;
}

static void
say_mismatches(const struct conf *conf, const struct explain_client *c)
{
    for (size_t i = 0; i < conf->service_count; i++) {
        const struct service *s = &conf->services[i];
        if (strcmp(service_socket(conf, s), c->socket) != 0)
            continue;
        SAY(EXPLAIN_NOTE, "proxy service", "correct the key in its section, where the client is meant to be served",
            "[service/%s] does not serve this client: %s", s->name, mismatch(s, c).t);
    }
}

static const struct service *
look_at_service(const struct conf *conf, const struct explain_client *c)
{
    const struct service *s = find_service(conf, c, true), *elsewhere = find_service(conf, c, false);
    if (s != NULL) {
        bool asks = s->program != NULL && c->program == NULL;
        SAY(asks ? EXPLAIN_NOTE : EXPLAIN_GOOD, "proxy service", asks ? "say which: --for-program PATH" : "",
            "[service/%s] serves uid %u on %s%s%s", s->name, c->uid, c->socket, asks ? ", if its program is " : "",
            asks ? s->program : "");
        return s;
    }
    say_mismatches(conf, c);
    if (elsewhere != NULL)
        SAY(EXPLAIN_BAD, "proxy service",
            text_of("set GSSPROXY_SOCKET=%s in the client's environment", service_socket(conf, elsewhere)).t,
            "no service serves uid %u on %s, but [service/%s] would on another socket", c->uid, c->socket,
            elsewhere->name);
    else
        SAY(EXPLAIN_BAD, "proxy service",
            text_of("add a [service/NAME] with euid = %u, mechs and cred_store", c->uid).t,
            "no service serves uid %u%s%s on %s: the daemon closes its connections", c->uid,
            c->program != NULL ? " as " : "", c->program != NULL ? c->program : "", c->socket);
    return NULL;
}

/* ---- the socket ---- */

static int
connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval limit = {.tv_sec = 5};
    AUTO(gage_fd) fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        return -1;
    int connected = fd;
    fd = -1;
    return connected;
}

/* A NULL call. Bytes of the answer: 0 where the connection was closed, below 0 where nothing came. */
static ssize_t
ask_nothing(int fd)
{
    AUTO(gage_buf) call = GAGE_BUF(256);
    uint8_t answer[64];
    put_u32(&call, 0);
    rpc_put_call(&call, 1, GSSX_PROC_NULL);
    if (!gage_ok(record_finish(&call, NULL)) || send(fd, call.p, call.n, MSG_NOSIGNAL) != (ssize_t)call.n)
        return errno == EPIPE ? 0 : -1;
    ssize_t n = recv(fd, answer, sizeof answer, 0);
    return n < 0 && errno == ECONNRESET ? 0 : n;
}

static bool
look_at_socket(const struct explain_client *c, const struct service *service)
{
    char why[96];
    AUTO(gage_fd) fd = connect_to(c->socket);
    if (fd < 0) {
        int failed = errno;
        SAY(EXPLAIN_BAD, "proxy socket",
            failed == EACCES   ? "make every folder on the way to the socket searchable (chmod a+x)"
            : failed == ENOENT ? "start gage-proxyd (systemctl start gage-proxyd), or correct GSSPROXY_SOCKET"
                               : "start gage-proxyd again (systemctl restart gage-proxyd): nobody listens there",
            "%s cannot be connected to: %s", c->socket, strerror_r(failed, why, sizeof why));
        return false;
    }
    if (service == NULL || c->uid != geteuid() || service->program != NULL) {
        SAY(EXPLAIN_GOOD, "proxy socket", "", "a daemon listens on %s", c->socket);
        return true;
    }
    ssize_t n = ask_nothing(fd);
    if (n > 0)
        SAY(EXPLAIN_GOOD, "proxy socket", "", "the daemon on %s answers uid %u", c->socket, c->uid);
    else if (n == 0)
        SAY(EXPLAIN_BAD, "proxy socket",
            "make it read its configuration again (systemctl reload gage-proxyd); its log says what it refused",
            "the daemon on %s closed the connection, though this configuration serves it: it runs with another, or at "
            "a limit",
            c->socket);
    else
        SAY(EXPLAIN_BAD, "proxy socket", "restart it, and look at its log", "the daemon on %s does not answer",
            c->socket);
    return n > 0;
}

/* ---- mechanisms and keys ---- */

static bool
look_at_mechanisms(const struct service *s)
{
    AUTO(gss_OID_set) all = GSS_C_NO_OID_SET;
    OM_uint32 minor;
    bool good = !GSS_ERROR(gss_indicate_mechs(&minor, &all));
    for (size_t i = 0; good && i < s->mech_count; i++) {
        int present = 0;
        AUTO(gage_buf) name = GAGE_BUF(160);
        gss_OID_desc mech = s->mechs[i];
        (void)gss_test_oid_set_member(&minor, &mech, all, &present);
        mech_show(&mech, &name);
        if (present != 0)
            continue;
        SAY(EXPLAIN_BAD, "proxy service", "install its plugin, or take it out of mechs",
            "[service/%s] names the mechanism %.*s, which is not installed", s->name, (int)name.n,
            (const char *)name.p);
        good = false;
    }
    return good;
}

/* Opens the file as the daemon's user would. 0, or errno. */
static int
try_to_read(const struct conf *conf, const char *path)
{
    struct passwd entry, *user = NULL;
    char buffer[16384];
    if (geteuid() == 0 && conf->settings.run_as_user != NULL)
        (void)getpwnam_r(conf->settings.run_as_user, &entry, buffer, sizeof buffer, &user);
    if (user != NULL &&
        (initgroups(user->pw_name, user->pw_gid) != 0 || setegid(user->pw_gid) != 0 || seteuid(user->pw_uid) != 0))
        return EPERM;
    AUTO(gage_fd) fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int failed = fd < 0 ? errno : 0;
    if (user != NULL && (seteuid(0) != 0 || setegid(0) != 0))
        abort();
    return failed;
}

static bool
look_at_file(const struct conf *conf, const char *key, const char *path)
{
    const char *user = conf->settings.run_as_user != NULL ? conf->settings.run_as_user : "root";
    bool cache = strcmp(key, "ccache") == 0;
    char why[96];
    int failed = try_to_read(conf, path);
    if (failed == 0) {
        SAY(EXPLAIN_GOOD, "proxy keys", "", "the daemon can read %s:%s", key, path);
        return true;
    }
    if (failed == EACCES && geteuid() != 0) {
        SAY(EXPLAIN_NOTE, "proxy keys", "run this as root", "uid %u may not look at %s:%s", geteuid(), key, path);
        return true;
    }
    if (cache && failed == ENOENT) {
        SAY(EXPLAIN_NOTE, "proxy keys",
            "none is needed for accepting, or where a client_keytab serves; else kinit -c that file",
            "there is no ticket cache %s yet", path);
        return true;
    }
    SAY(EXPLAIN_BAD, "proxy keys",
        failed == EACCES ? text_of("let %s read it and search its folders (chown %s, chmod 600)", user, user).t
                         : "write the service's keys there (kadmin: ktadd -k FILE PRINCIPAL), or correct cred_store",
        "%s cannot read %s:%s: %s", user, key, path, strerror_r(failed, why, sizeof why));
    return false;
}

static bool
look_at_store(const struct conf *conf, const struct service *service, const struct explain_client *c)
{
    static const char *const files[] = {"keytab", "client_keytab", "ccache", "otc_secret_file"};
    const struct peer peer = {.uid = c->uid};
    struct call call = {.conf = conf, .service = service, .peer = &peer};
    AUTO(cred_store) store = {0};
    struct cred_spec spec = SPEC_EMPTY;
    bool good = true;
    spec.uid = c->uid;
    if (!store_expand(&call, &spec, &store)) {
        SAY(EXPLAIN_BAD, "proxy keys", "give the uid an account, or use %U", "%s", call.status.minor_text);
        return false;
    }
    for (size_t i = 0; i < store.count; i++) {
        const char *path = strchr(store.text[i], '/');
        for (size_t j = 0; j < sizeof files / sizeof files[0]; j++)
            if (strcmp(store.rows[i].key, files[j]) == 0 && path != NULL)
                good = look_at_file(conf, files[j], path) && good;
    }
    return good;
}

bool
explain(const struct conf *conf, const struct explain_client *client)
{
    look_at_environment();
    const struct service *service = look_at_service(conf, client);
    bool good = look_at_socket(client, service) && service != NULL;
    if (service == NULL)
        return false;
    good = look_at_mechanisms(service) && good;
    good = look_at_store(conf, service, client) && good;
    if ((service->mech_kinds & (MECH_KRB5 | MECH_SPNEGO)) != 0)
        good = explain_clock(service->cred_usage != GSS_C_ACCEPT) && good;
    return good;
}
