/* conf.h - the daemon's configuration: gssproxy's files and keys as they are, and ours beside them.
 *
 * One table of rows (conf_keys.c) says every key once: the parser, --print-config, --check and the manual page stand on it. A
 * configuration is made whole, never changed afterwards, and shared by reference: a request works with the one it began with. */
#ifndef GAGE_PROXYD_CONF_H
#define GAGE_PROXYD_CONF_H

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <sys/types.h>

#include "base/crypto.h"

#define CONF_MECHS_MAX 8
#define CONF_STORE_MAX 16
#define CONF_MAP_MAX 64
#define CONF_NO_UID ((uid_t)-1)

enum mech_kind { MECH_KRB5 = 1, MECH_SPNEGO = 2, MECH_OTC = 4, MECH_OTHER = 8 };

/* A row of cred_store, with its patterns (%U, %u, %%) still in it. */
struct store_row {
    char *key, *value;
};

/* A row of machine_uid: contexts whose initiator is exactly this principal get this uid. */
struct uid_row {
    char *principal;
    uid_t uid;
};

struct service {
    char *name;     /* "nfs-server" of [service/nfs-server] */
    unsigned index; /* place in file order */
    uid_t euid;
    bool allow_any_uid, trusted, impersonate, allow_protocol_transition, allow_constrained_delegation,
        allow_client_ccache_sync, kernel_nfsd, linux_credentials, keep_keys;
    char *socket, *program, *selinux_context, *krb5_principal;
    unsigned mech_kinds;
    gss_OID_desc mechs[CONF_MECHS_MAX]; /* static or owned by the service's oid_bytes */
    size_t mech_count;
    gage_buf oid_bytes;
    struct store_row store[CONF_STORE_MAX];
    size_t store_count;
    struct uid_row machine_uid[CONF_MAP_MAX];
    size_t machine_uid_count;
    gss_cred_usage_t cred_usage;
    OM_uint32 filter_flags, enforce_flags;
    int64_t min_lifetime, max_connections, max_requests, max_queued, max_blocked, max_contexts, call_deadline;
    uint8_t policy[SHA256_LEN]; /* hash of what decides about security: sealed handles are bound to it */
    bool user_bound;            /* handles are also bound to the acting uid */
};

struct proxyd_settings {
    bool debug, syslog_status;
    int64_t debug_level, worker_threads;
    char *run_as_user;
    int64_t max_connections, max_connections_per_uid, max_requests_per_uid, max_bytes_per_uid, idle_timeout;
    char *state_dir, *metrics_socket, *audit, *replay_cache, *pid_file, *kernel_registration, *landlock_paths;
    bool sandbox, landlock;
};

/* One value as it stood in a file, in order; --print-config shows it as it is in force. */
struct conf_entry {
    char *section, *key, *value, *where; /* where: "FILE:LINE" */
};

struct conf {
    int refs;            /* atomic */
    uint64_t generation; /* set by who puts it in force; 1, 2, ... */
    struct proxyd_settings settings;
    char *default_socket;
    struct service *services;
    size_t service_count;
    struct conf_entry *entries;
    size_t entry_count;
    char **warnings; /* sentences about what was ignored */
    size_t warning_count;
};

/* Where configuration comes from. NULL members: gssproxy's defaults (/etc/gssproxy/gssproxy.conf, and /etc/gssproxy as the folder
 * unless a file was named). */
struct conf_source {
    const char *file, *folder, *socket;
    bool user_mode; /* no files: one service for the caller's own uid */
};

#define CONF_DEFAULT_FILE "/etc/gssproxy/gssproxy.conf"
#define CONF_DEFAULT_FOLDER "/etc/gssproxy"
#define CONF_DEFAULT_SOCKET "/var/lib/gssproxy/default.sock"
#define CONF_DEFAULT_STATE_DIR "/var/lib/gssproxy"

/* Reads the main file, then the folder's NN-*.conf in order; of two files with the same section the first counts. GAGE_E_CONFIG with
 * file, line and, for a misspelt value, the nearest that exists. Unknown keys are warnings. The result has one reference. */
gage_rc conf_read(const struct conf_source *source, struct conf **out, struct gage_err *err);
struct conf *conf_ref(struct conf *conf);
void conf_unref(struct conf **conf);
/* Appends what is in force, each value with where it came from. */
void conf_show(const struct conf *conf, gage_buf *out);
/* The service's socket: its own or the default one. */
const char *service_socket(const struct conf *conf, const struct service *service);
/* Whether the service may use the mechanism. */
bool service_has_mech(const struct service *service, gss_const_OID mech);

/* ---- between conf_files.c, conf_keys.c and conf.c ---- */

enum key_kind {
    KEY_TEXT,
    KEY_NAME, /* text; an empty one is none */
    KEY_BOOL, /* gssproxy's: 1, true, yes, on; anything else is false */
    KEY_INT,
    KEY_NUMBER, /* gssproxy's, which takes what is no number of the range: so do we, with a warning */
    KEY_SECONDS,
    KEY_UID, /* number or name */
    KEY_USAGE,
    KEY_FLAGS,
    KEY_MECHS,
    KEY_STORE, /* repeated */
    KEY_MAP    /* repeated */
};

struct key_row {
    bool global; /* of [gssproxy], else of [service/NAME] */
    const char *name;
    enum key_kind kind;
    size_t offset;
    const char *fallback; /* as it would stand in a file; NULL: none */
    int64_t min, max;     /* numbers, inclusive */
    const char *meaning;
};
extern const struct key_row conf_rows[];
extern const size_t conf_row_count;

/* Reads files into conf->entries and conf->warnings. */
gage_rc conf_read_files(const struct conf_source *source, struct conf *conf, struct gage_err *err);
gage_rc conf_add_entry(struct conf *conf, const char *section, const char *key, const char *value, const char *where,
                       struct gage_err *err);
/* From now on this key of [gssproxy] counts as set by `where`, whatever a file says. */
gage_rc conf_take_origin(struct conf *conf, const char *key, const char *where, struct gage_err *err);
void conf_warn(struct conf *conf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const struct key_row *conf_row(bool global, const char *name);
/* Sets one value in `target` (struct proxyd_settings or struct service). */
gage_rc conf_row_set(struct conf *conf, const struct key_row *row, void *target, const char *value, const char *where,
                     struct gage_err *err);
/* Appends the value in force as text. */
void conf_row_show(const struct key_row *row, const void *target, gage_buf *out);
void conf_row_free(const struct key_row *row, void *target);

#endif
