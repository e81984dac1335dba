/* bare.c - the least that can stand in the proxy daemon's place behind the packaged plugin, to measure beside:
 *
 *     usage: bare_proxy SOCKET REAL nothing|accept
 *
 * A thread for each connection, which waits awake for its next request for AWAKE_NS where it is the only one. What is not
 * ACCEPT_SEC_CONTEXT is asked of the daemon at REAL once and answered with the same bytes ever after.
 * "nothing": so is ACCEPT_SEC_CONTEXT, and the initiator finds the answer false at the end of its work (BENCH_UNCHECKED of pairs.c). What a
 * pair then costs is the plugin's, libkrb5's and the kernel's part in the client's process, whichever daemon answers, and two answers.
 * "accept": ACCEPT_SEC_CONTEXT is gss_accept_sec_context with one credential of the process, gss_export_sec_context and the initiator's
 * name; the daemon's AES and a keytab in memory, but no replay cache, limits, policy, sealed state or audit line.
 *
 * The keytab and the replay cache are the environment's (KRB5_KTNAME, KRB5RCACHENAME). It ends with its parent. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <krb5/krb5.h>

#include "proxyd/krb_aes.h"
#include "rpc/proc.h"

#define AWAKE_NS 300000
#define KEYTAB "MEMORY:bare"
#define RECORD 65536 /* bytes of a message and its header, at most */
#define HEADER 4
#define ACCEPT 9

struct record {
    size_t n; /* 0: none */
    unsigned char bytes[RECORD];
};

static bool nothing;
static int real;
static atomic_int connections;
static gss_cred_id_t cred;
static struct record replies[GSSX_PROC_LAST + 1];
static pthread_mutex_t asking = PTHREAD_MUTEX_INITIALIZER;

static void
die(const char *what)
{
    perror(what);
    exit(1);
}

static int
unix_socket(const char *path, struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (fd < 0 || snprintf(address->sun_path, sizeof address->sun_path, "%s", path) >= (int)sizeof address->sun_path)
        die("bare_proxy: socket");
    return fd;
}

static int64_t
now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Some bytes, waiting awake first where nobody else is served. */
static ssize_t
receive(int fd, void *to, size_t n)
{
    for (int64_t until = now_ns() + AWAKE_NS; atomic_load(&connections) == 1 && now_ns() < until;) {
        ssize_t got = recv(fd, to, n, MSG_DONTWAIT);
        if (got >= 0)
            return got;
    }
    return recv(fd, to, n, 0);
}

static bool
read_record(int fd, struct record *in)
{
    size_t want = HEADER;
    for (in->n = 0; in->n < want;) {
        ssize_t got = receive(fd, in->bytes + in->n, RECORD - in->n); /* one call at a time: nothing follows */
        if (got <= 0)
            return false;
        in->n += (size_t)got;
        if (want == HEADER && in->n >= HEADER)
            want += (size_t)in->bytes[1] << 16 | (size_t)in->bytes[2] << 8 | in->bytes[3];
        if (want > RECORD)
            return false;
    }
    return true;
}

static bool
send_all(int fd, const unsigned char *bytes, size_t n)
{
    return send(fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n;
}

/* Answers with what the real daemon answered to the first such call, whatever the arguments are now. */
static bool
answer_known(int fd, uint32_t procedure, const struct record *in)
{
    struct record *reply = &replies[procedure], *out;
    pthread_mutex_lock(&asking);
    if (reply->n == 0 && (!send_all(real, in->bytes, in->n) || !read_record(real, reply)))
        die("bare_proxy: the real daemon does not answer");
    pthread_mutex_unlock(&asking);
    out = malloc(sizeof *out);
    if (out == NULL)
        die("bare_proxy");
    memcpy(out->bytes, reply->bytes, reply->n);
    memcpy(out->bytes + HEADER, in->bytes + HEADER, 4); /* xid */
    bool sent = send_all(fd, out->bytes, reply->n);
    free(out);
    return sent;
}

static octet_string
borrowed(const gss_buffer_desc *b)
{
    return (octet_string){.octet_string_val = b->value, .octet_string_len = (u_int)b->length};
}

static gssx_OID
oid(gss_OID from)
{
    return (gssx_OID){.octet_string_val = from->elements, .octet_string_len = from->length};
}

static bool
answer_accepted(int fd, const struct rpc_call *call)
{
    union gssx_arg arg;
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    gss_buffer_desc output = GSS_C_EMPTY_BUFFER, exported = GSS_C_EMPTY_BUFFER, display = GSS_C_EMPTY_BUFFER;
    gss_OID mech = GSS_C_NO_OID, type = GSS_C_NO_OID;
    gss_name_t source = GSS_C_NO_NAME;
    OM_uint32 minor, flags = 0, lifetime = 0;
    AUTO(gage_buf) reply = {.max = RECORD};
    if (proc_decode_args(ACCEPT, call->args, &arg).code != 0)
        return false;
    gss_buffer_desc input = {arg.accept_sec_context.input_token.octet_string_len,
                             arg.accept_sec_context.input_token.octet_string_val};
    gssx_res_accept_sec_context result = {0};
    gssx_ctx done = {.locally_initiated = FALSE, .open = TRUE};
    result.status.major_status =
        gss_accept_sec_context(&minor, &context, cred, &input, NULL, &source, &mech, &output, &flags, &lifetime, NULL);
    octet_string token = borrowed(&output);
    if (result.status.major_status == GSS_S_COMPLETE &&
        gss_display_name(&minor, source, &display, &type) == GSS_S_COMPLETE &&
        gss_export_sec_context(&minor, &context, &exported) == GSS_S_COMPLETE) {
        done.exported_context_token = borrowed(&exported);
        done.mech = oid(mech);
        done.src_name = done.targ_name = (gssx_name){.display_name = borrowed(&display), .name_type = oid(type)};
        result.status.mech = done.mech;
        done.lifetime = lifetime;
        done.ctx_flags = flags;
        result.context_handle = &done;
        result.output_token = &token;
    }
    put_u32(&reply, 0);
    rpc_put_reply(&reply, call->xid, ANSWER_SUCCESS);
    union gssx_res *whole = (union gssx_res *)(void *)&result;
    bool sent = false;
    if (proc_encode_res(ACCEPT, whole, &reply).code == 0) {
        uint32_t n = (uint32_t)reply.n - HEADER;
        const unsigned char header[HEADER] = {0x80, (unsigned char)(n >> 16), (unsigned char)(n >> 8),
                                              (unsigned char)n};
        memcpy(reply.p, header, HEADER);
        sent = send_all(fd, reply.p, reply.n);
    }
    proc_free_args(ACCEPT, &arg);
    gss_release_buffer(&minor, &output);
    gss_release_buffer(&minor, &exported);
    gss_release_buffer(&minor, &display);
    gss_release_name(&minor, &source);
    gss_delete_sec_context(&minor, &context, NULL);
    return sent;
}

/* The credential, from a copy of the environment's keytab in memory, which lives as long as the handle that is left open here. */
static void
acquire(void)
{
    OM_uint32 minor;
    krb5_context context;
    krb5_keytab from, to;
    krb5_kt_cursor cursor;
    krb5_keytab_entry entry;
    gss_key_value_element_desc row = {"keytab", KEYTAB};
    gss_key_value_set_desc store = {1, &row};
    if (krb5_init_context(&context) != 0 || krb5_kt_default(context, &from) != 0 ||
        krb5_kt_resolve(context, KEYTAB, &to) != 0 || krb5_kt_start_seq_get(context, from, &cursor) != 0)
        die("bare_proxy: no keytab");
    while (krb5_kt_next_entry(context, from, &entry, &cursor) == 0) {
        krb5_kt_add_entry(context, to, &entry);
        krb5_free_keytab_entry_contents(context, &entry);
    }
    krb5_kt_end_seq_get(context, from, &cursor);
    krb5_kt_close(context, from);
    if (!krb_aes_begin() || gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, GSS_C_NO_OID_SET,
                                                  GSS_C_ACCEPT, &store, &cred, NULL, NULL) != GSS_S_COMPLETE)
        die("bare_proxy: no credential");
}

static void *
serve(void *number)
{
    int fd = (int)(intptr_t)number;
    struct record *in = malloc(sizeof *in);
    struct rpc_call call;
    bool more = in != NULL;
    atomic_fetch_add(&connections, 1);
    while (more && read_record(fd, in) &&
           rpc_call_parse(gage_slice_of(in->bytes + HEADER, in->n - HEADER), &call, NULL).code == 0 &&
           call.procedure <= GSSX_PROC_LAST)
        more = call.procedure == ACCEPT && !nothing ? answer_accepted(fd, &call) : answer_known(fd, call.procedure, in);
    atomic_fetch_sub(&connections, 1);
    free(in);
    close(fd);
    return NULL;
}

int
main(int argc, char **argv)
{
    struct sockaddr_un address;
    if (argc != 4) {
        fprintf(stderr, "usage: bare_proxy SOCKET REAL nothing|accept\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    nothing = strcmp(argv[3], "nothing") == 0;
    real = unix_socket(argv[2], &address);
    if (connect(real, (struct sockaddr *)&address, sizeof address) != 0)
        die(argv[2]);
    acquire();
    int listener = unix_socket(argv[1], &address);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 1024) != 0)
        die(argv[1]);
    for (;;) {
        pthread_t thread;
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0 || pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) != 0)
            die("bare_proxy: connection");
        pthread_detach(thread);
    }
}
