/* server.h - the daemon's moving parts: listeners, connections, requests, gates, threads. doc/proxy.md tells the life of a request.
 *
 * Threads. The main thread accepts, reloads, watches deadlines and idle connections. Worker threads wait on one epoll set in which each
 * connection is armed for one event at a time: the thread that gets the event reads one record and executes it; pool.c says when another
 * thread takes its place. A connection that asks one thing at a time is armed again after the answer; one that pipelines (the kernel's, one that had more
 * than a record to read, one whose call takes long) before the call is executed. Calls inside GSS or NSS are counted per service by its
 * gate.
 *
 * Locks, in the order in which they may nest: server.lock > conn.lock; account.lock, gate.lock and watch_lock are leaves. A connection is found by the
 * key of its event under server.lock, so that one that ended meanwhile is not touched. */
#ifndef GAGE_PROXYD_SERVER_H
#define GAGE_PROXYD_SERVER_H

#include <pthread.h>

#include "proxyd/call.h"
#include "proxyd/gate.h"
#include "rpc/call.h"
#include "rpc/record.h"

#define SOCKET_PATH_MAX 108

/* One uid's share; exists while a connection of its does. */
struct account {
    struct account *next; /* under server.lock, as what follows */
    uid_t uid;
    int refs;
    int64_t connections;
    int64_t requests,
        bytes; /* atomic: records begun and requests until their answer; bytes of these, and unread replies */
    pthread_mutex_t lock;                /* what follows */
    struct conn *stalled, *last_stalled; /* wait for the share to shrink, the longest first; the first is atomic */
};

struct request;

/* A configuration in force, with the gate of each service. */
struct epoch {
    int refs; /* atomic */
    struct conf *conf;
    struct gate **gates; /* by service index */
};

struct listener {
    struct listener *next;
    int fd;
    bool inherited; /* passed by the service manager: not ours to remove */
    dev_t device;   /* with `inode`: which file we made */
    ino_t inode;
    char path[SOCKET_PATH_MAX];
};

struct server;

struct conn {
    struct conn *next, *previous; /* of server.conns; under server.lock */
    struct server *server;
    struct account *account;
    struct gate *gate; /* of the service it matched when it came, for its limit; NULL where none did */
    int refs;          /* atomic */
    uint64_t key;      /* what its events carry: serial number and descriptor */
    int fd;
    int64_t max_requests;
    char socket[SOCKET_PATH_MAX];
    struct peer peer;
    pthread_mutex_t lock; /* what follows */
    struct record_in in;
    int64_t
        claimed; /* bytes of the record begun, as far as its headers say; with a request counted against its uid; 0: none */
    gage_buf rest; /* read beyond the last record */
    gage_buf out;
    size_t sent;                                  /* of out */
    int64_t in_flight, last_active, record_began; /* milliseconds; record_began 0: none begun */
    bool dead;
    bool pipelines;                               /* may ask before it was answered: it is read while it is served */
    bool held;                                    /* not armed until its call is done */
    struct conn *stalled_next, *stalled_previous; /* of account.stalled; under account.lock */
    bool stalled;                                 /* it is on that list; atomic; set with both locks held */
};

struct request {
    struct turn turn;                            /* in its gate; first, so that the one leads to the other */
    struct request *watch_next, *watch_previous; /* while it may run out of time; under watch_lock */
    struct conn *conn;
    struct epoch *epoch;
    const struct service *service;
    struct gate *gate;
    gage_buf message;
    struct rpc_call rpc;
    int64_t arrived_us, deadline_ms;
    bool released; /* its connection is read meanwhile; under watch_lock */
    int answered;  /* atomic: whoever sets it from 0 sends the reply */
};

struct server {
    struct engine engine;
    int epoll;
    pthread_mutex_t lock; /* epoch, conns, accounts, gates, listeners */
    struct epoch *epoch;
    uint64_t generations;
    struct conn *conns;
    struct conn **slots; /* by descriptor */
    int slot_count;
    uint32_t conn_serial;
    int64_t conn_count, conn_limit;
    int64_t limit_requests, limit_bytes; /* of one uid; atomic */
    struct account *accounts;
    struct gate *gates;
    struct listener *listeners;
    int spare_fd; /* given up for a moment when descriptors run out */
    pthread_mutex_t watch_lock;
    struct request *watched;
    int64_t threads;          /* workers; atomic */
    int stopping;             /* atomic */
    int64_t last_activity_ms; /* atomic */
    int64_t hour;             /* since 1970, of the last hourly work; the main thread's */
    bool user_mode;
};

/* ---- server.c ---- */
gage_rc server_init(struct server *s, const char *state_dir, struct gage_err *err);
/* Puts the configuration in force: takes the reference; opens the sockets it needs, closes those it does not. On failure the old one
 * stays and the new one is released. `inherited`: sockets from descriptor SERVICE_FIRST_FD on. */
gage_rc server_apply(struct server *s, struct conf *conf, int inherited, struct gage_err *err);
struct epoch *server_epoch(struct server *s); /* with a reference */
void epoch_unref(struct epoch **epoch);
/* Once a second: idle connections, deadlines, old credentials, keys. */
void server_tick(struct server *s);
/* Reads the keys that seal handles again, and makes a new one where the newest is too old. */
void server_renew_keys(struct server *s);
/* Begins nothing more, waits for what is being executed, at most a few seconds, removes the sockets. */
void server_stop(struct server *s);
int64_t now_ms(void);

/* ---- account.c ---- */
/* The uid's account, with a reference; NULL where memory is short. With server.lock held. */
struct account *account_get(struct server *s, uid_t uid);
void account_put(struct server *s, struct account *account); /* NULL is fine */
/* Counts one more request, and the bytes that a record may have at most; false, and nothing counted, where the uid has its share. One step:
 * however many threads ask, no more requests than the share, and less than one record of bytes beyond it. */
bool account_begin(const struct server *s, struct account *account);
/* Whether the connection has to wait for its uid's share to shrink: it is on the account's list then, else off it. With conn.lock held. */
bool account_stall(const struct server *s, struct conn *conn);
/* Takes it off the list. */
void account_forget(struct conn *conn);
/* After anything that shrinks the share: reads the connections that wait for that again, up to the first that has something to say, which does the
 * same for the next. Without any lock held. */
void account_unstall(struct server *s, struct account *account);

/* ---- listen.c ---- */
gage_rc listen_open(const char *path, bool user_mode, struct listener **out, struct gage_err *err);
gage_rc listen_adopt(int fd, const char *fallback_path, struct listener **out, struct gage_err *err);
/* Removes the socket's file, where it is still the one we made. */
void listen_close(struct listener **listener);
/* Whether the path still leads to the socket; taken for granted of an inherited one. */
bool listen_leads_to(const struct listener *listener);
/* Accepts all that wait. */
void listen_accept(struct server *s, struct listener *listener);

/* ---- peer.c ---- */
/* Who is at the other end; false where the kernel does not tell. */
bool peer_read(struct server *s, int fd, struct peer *peer);

/* ---- conn.c ---- */
/* Takes the descriptor. */
void conn_new(struct server *s, int fd, const char *socket);
void conn_unref(struct conn *conn);
/* An event of the epoll set, by its key: flushes, reads at most one record, arms again; gives the record's request, if one came. */
struct request *conn_event(struct server *s, uint64_t key, uint32_t events);
/* Sends a record, or keeps what the socket does not take now. */
void conn_send(struct conn *conn, gage_buf *record);
/* A request of it is done. */
void conn_done(struct conn *conn, int64_t bytes);
void conn_kill(struct conn *conn);
/* Its call takes long: what it sends meanwhile is read. */
void conn_release(struct conn *conn);
/* Its uid's share has shrunk: arms it; whether an event will come of that, because there is something to read. */
bool conn_resume(struct conn *conn);

/* ---- request.c ---- */
/* Makes a request of a whole record; NULL where the connection is to be closed. */
struct request *request_new(struct conn *conn, gage_buf *message);
/* Executes it now, or queues it; then whatever waited behind it. */
void request_run(struct request *request);
/* Answers those whose time is over; lets connections whose call takes long be read. */
void requests_expire(struct server *s);
const struct service *match_service(const struct conf *conf, const struct peer *peer, const char *socket);

/* ---- pool.c ---- */
gage_rc pool_start(struct server *s, struct gage_err *err);

/* ---- kernel.c ---- */
/* Tells the kernel's NFS server that we serve, off the serving threads; again after a reload that brings such a service. */
void kernel_register(const char *file);

/* ---- events ---- */
extern const struct log_event ev_conn_limit, ev_conn_descriptors, ev_request_refused, ev_request_late, ev_no_service,
    ev_bad_message, ev_call_failed, ev_call, ev_krb5_trace, ev_reload_failed, ev_kernel_waits, ev_kernel_busy,
    ev_kernel_done, ev_kernel_failed, ev_config_warning, ev_sandbox, ev_keys_failed, ev_start_failed, ev_thread_failed,
    ev_log_lost, ev_audit_failed, ev_audit_lost;

#endif
