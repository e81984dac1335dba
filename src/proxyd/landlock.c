#include "proxyd/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <krb5.h>

#include "app/mechs.h"
#include "base/file.h"
#include "proxyd/trace.h"

#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14) /* since version 3 */
#endif

#define RULES_MAX 256
#define OF_FILES (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)

/* What a rule lets be done below its path. */
#define LOOK (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define OPEN_TO_WRITE (LOOK | LANDLOCK_ACCESS_FS_WRITE_FILE)
#define PUT_SOCKET (LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR)
#define CHANGE                                                                                                         \
    (OPEN_TO_WRITE | LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |         \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR)
#define HANDLED                                                                                                        \
    (CHANGE | PUT_SOCKET | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK | \
     LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM)

struct rule {
    char *path; /* real: no symbolic link in it */
    uint64_t rights;
};

struct rules {
    struct rule rule[RULES_MAX];
    size_t count;
    bool full;
};

static struct rules closed; /* what is open since landlock_close; none: not closed */

static void
rules_free(struct rules *rules)
{
    for (size_t i = 0; i < rules->count; i++)
        free(rules->rule[i].path);
    rules->count = 0;
}

/* ---- which paths ---- */

static void
add_real(struct rules *rules, const char *path, uint64_t rights)
{
    for (size_t i = 0; i < rules->count; i++) {
        if (strcmp(rules->rule[i].path, path) == 0) {
            rules->rule[i].rights |= rights;
            return;
        }
    }
    char *copy = rules->count < RULES_MAX ? strdup(path) : NULL;
    rules->full = rules->full || copy == NULL;
    if (copy != NULL)
        rules->rule[rules->count++] = (struct rule){copy, rights};
}

static bool
below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strcmp(folder, "/") == 0 || (strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/'));
}

/* What lies below /proc/net is another inode each time it is looked up, and a rule for it would be a rule for nothing. The folder itself
 * stays the same one, as long as it is held (hold_net). */
static void
stop_at_net(char *real)
{
    char net[sizeof "/proc/-2147483648/net"];
    int n = snprintf(net, sizeof net, "/proc/%d/net", (int)getpid());
    if (below(real, net))
        real[n] = '\0';
}

/* The path, or the nearest above it that exists. */
static void
add(struct rules *rules, const char *path, uint64_t rights)
{
    char cut[PATH_MAX], real[PATH_MAX];
    if (path == NULL || path[0] != '/' || strlen(path) >= sizeof cut)
        return;
    snprintf(cut, sizeof cut, "%s", path);
    while (realpath(cut, real) == NULL) {
        char *slash = strrchr(cut, '/');
        if (slash == NULL || slash == cut) {
            snprintf(real, sizeof real, "/");
            break;
        }
        *slash = '\0';
    }
    stop_at_net(real);
    add_real(rules, real, rights);
}

/* The folder of a file: files are replaced, so a rule for the file itself would lose it. Where the file is a symbolic link, the folder
 * of what it leads to, too. A pattern's folder ends before the pattern. */
static void
add_folder_of(struct rules *rules, const char *file, uint64_t rights)
{
    char cut[PATH_MAX], real[PATH_MAX];
    if (file == NULL || file[0] != '/' || strlen(file) >= sizeof cut)
        return;
    bool whole = strchr(file, '%') == NULL;
    const char *names[] = {file, whole ? realpath(file, real) : NULL};
    for (size_t i = 0; i < 2; i++) {
        if (names[i] == NULL)
            continue;
        snprintf(cut, sizeof cut, "%.*s", (int)strcspn(names[i], "%"), names[i]);
        char *slash = strrchr(cut, '/');
        slash[slash == cut ? 1 : 0] = '\0';
        add(rules, cut, rights);
    }
}

/* The path in "/path", "FILE:/path", "DIR:/path", or NULL. */
static const char *
path_in(const char *value)
{
    const char *colon = value != NULL ? strchr(value, ':') : NULL;
    if (value == NULL || value[0] == '/')
        return value;
    return colon != NULL && colon[1] == '/' ? colon + 1 : NULL;
}

static void
add_variable(struct rules *rules, const char *name, uint64_t rights)
{
    const char *value = getenv(name);
    char list[PATH_MAX], *rest = NULL;
    add_folder_of(rules, path_in(value), rights);
    if (value == NULL || strlen(value) >= sizeof list)
        return;
    snprintf(list, sizeof list, "%s", value); /* KRB5_CONFIG is a list */
    for (char *p = strtok_r(list, ":", &rest); p != NULL; p = strtok_r(NULL, ":", &rest))
        add_folder_of(rules, p, rights);
}

static void
add_libraries(struct rules *rules)
{
    static const char *const read[] = {
        "/etc", "/usr", "/lib", "/lib32", "/lib64", "/run", "/var/lib", "/proc", "/sys/devices/system/cpu"};
    static const char *const looked[] = {"KRB5_CONFIG", "KRB5_KTNAME", "KRB5_CLIENT_KTNAME", "GSS_MECH_CONFIG"};
    struct stat st;
    char prefix[PATH_MAX];
    for (size_t i = 0; i < sizeof read / sizeof read[0]; i++)
        if (stat(read[i], &st) == 0)
            add(rules, read[i], LOOK);
    for (size_t i = 0; i < sizeof looked / sizeof looked[0]; i++)
        add_variable(rules, looked[i], LOOK);
    add(rules, "/dev", OPEN_TO_WRITE);
    if (!trace_ours())
        add_variable(rules, "KRB5_TRACE", CHANGE);
    add_variable(rules, "KRB5RCACHENAME", CHANGE);
    const char *folder = getenv("KRB5RCACHEDIR");
    add(rules, folder != NULL ? folder : "/var/tmp", CHANGE);
    if (gage_ok(install_prefix(prefix, sizeof prefix, NULL)))
        add(rules, prefix, LOOK);
}

/* Where tickets go that no row speaks of: the library's default, and STORE_CRED's. */
static void
add_default_caches(struct rules *rules)
{
    krb5_context context = NULL;
    if (krb5_init_context(&context) != 0)
        return;
    add_folder_of(rules, path_in(krb5_cc_default_name(context)), CHANGE);
    krb5_free_context(context);
    add(rules, "/tmp", CHANGE);
}

static void
add_service(struct rules *rules, const struct conf *conf, const struct service *s)
{
    static const char *const written[] = {"ccache", "rcache", "otc_used"};
    bool ccache = false;
    add_folder_of(rules, service_socket(conf, s), PUT_SOCKET);
    for (size_t i = 0; i < s->store_count; i++) {
        uint64_t rights = LOOK;
        for (size_t j = 0; j < sizeof written / sizeof written[0]; j++)
            rights = strcmp(s->store[i].key, written[j]) == 0 ? CHANGE : rights;
        ccache = ccache || strcmp(s->store[i].key, "ccache") == 0;
        add_folder_of(rules, path_in(s->store[i].value), rights);
    }
    if (!ccache && s->cred_usage != GSS_C_ACCEPT)
        add_default_caches(rules);
    if (s->kernel_nfsd)
        add(rules, conf->settings.kernel_registration, OPEN_TO_WRITE);
}

static gage_rc
collect(const struct conf *conf, const struct conf_source *source, struct rules *rules, struct gage_err *err)
{
    const struct proxyd_settings *s = &conf->settings;
    add_libraries(rules);
    add_folder_of(rules, source->file, LOOK);
    add(rules, source->folder, LOOK);
    if (!source->user_mode)
        add(rules, s->state_dir, CHANGE);
    if (s->metrics_socket != NULL)
        add_folder_of(rules, s->metrics_socket, PUT_SOCKET);
    if (s->audit[0] == '/')
        add_folder_of(rules, s->audit, CHANGE);
    char list[PATH_MAX], *rest = NULL;
    snprintf(list, sizeof list, "%s", s->landlock_paths != NULL ? s->landlock_paths : "");
    for (char *p = strtok_r(list, ", \t", &rest); p != NULL; p = strtok_r(NULL, ", \t", &rest))
        add(rules, p, CHANGE);
    for (size_t i = 0; i < conf->service_count; i++)
        add_service(rules, conf, &conf->services[i]);
    REQUIRE(!rules->full, err, GAGE_E_LIMIT, "the configuration names paths in more than %d folders: landlock = no",
            RULES_MAX);
    return GAGE_DONE;
}

/* ---- closing ---- */

static gage_rc
allow(int ruleset, const struct rule *rule, uint64_t known, struct gage_err *err)
{
    struct stat st;
    AUTO(gage_fd) fd = open(rule->path, O_PATH | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) /* gone, or not for us to see: then not for us to open either */
        return GAGE_DONE;
    struct landlock_path_beneath_attr attr = {.allowed_access = rule->rights & known, .parent_fd = fd};
    if (!S_ISDIR(st.st_mode))
        attr.allowed_access &= OF_FILES;
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &attr, 0) != 0)
        return gage_fail_sys(err, GAGE_E_UNSUPPORTED, errno, "Landlock refused a rule for %s", rule->path);
    return GAGE_DONE;
}

static void
hold_net(void)
{
    static int held = -1;
    if (held < 0)
        held = open("/proc/net", O_PATH | O_CLOEXEC);
}

static gage_rc
restrict_to(const struct rules *rules, struct gage_err *err)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1)
        return gage_fail_sys(err, GAGE_E_UNSUPPORTED, errno, "this kernel has no Landlock");
    uint64_t known = version >= 3 ? HANDLED : HANDLED & ~LANDLOCK_ACCESS_FS_TRUNCATE;
    const struct landlock_ruleset_attr attr = {.handled_access_fs = known};
    AUTO(gage_fd) ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (ruleset < 0)
        return gage_fail_sys(err, GAGE_E_UNSUPPORTED, errno, "Landlock took no rules");
    hold_net();
    for (size_t i = 0; i < rules->count; i++)
        TRY(allow(ruleset, &rules->rule[i], known, err));
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        return gage_fail_sys(err, GAGE_E_UNSUPPORTED, errno, "Landlock refused to close");
    return GAGE_DONE;
}

gage_rc
landlock_close(const struct conf *conf, const struct conf_source *source, struct gage_err *err)
{
    struct rules rules = {0};
    gage_rc rc = collect(conf, source, &rules, err);
    if (gage_ok(rc))
        rc = restrict_to(&rules, err);
    if (gage_ok(rc))
        closed = rules;
    else
        rules_free(&rules);
    return rc;
}

/* ---- a new configuration ---- */

static bool
is_open(const struct rule *wanted)
{
    uint64_t rights = 0;
    for (size_t i = 0; i < closed.count; i++)
        if (below(wanted->path, closed.rule[i].path))
            rights |= closed.rule[i].rights;
    return (rights & wanted->rights) == wanted->rights;
}

gage_rc
landlock_admits(const struct conf *conf, const struct conf_source *source, struct gage_err *err)
{
    struct rules wanted = {0};
    if (closed.count == 0)
        return GAGE_DONE;
    gage_rc rc = collect(conf, source, &wanted, err);
    for (size_t i = 0; i < wanted.count && gage_ok(rc); i++)
        if (!is_open(&wanted.rule[i]))
            rc = gage_fail(err, GAGE_E_CONFIG,
                           "the configuration needs %s, which Landlock closed at the start: restart the daemon",
                           wanted.rule[i].path);
    rules_free(&wanted);
    return rc;
}
