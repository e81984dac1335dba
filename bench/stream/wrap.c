/* wrap - what gss_wrap and gss_unwrap themselves allow, for bench/stream/run.py: records of 64 KiB with confidentiality, as the tunnel's.
 *
 *   wrap TARGET MEBIBYTES      prints MB/s of: wrapping alone; unwrapping alone; both at once, one thread each, tokens handed over in memory */
#include <gssapi/gssapi.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RECORD 65536
#define RING 16
#define FLAGS (GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG)

static gss_ctx_id_t sender, receiver;

static void
die(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static double
now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
establish(char *target)
{
    OM_uint32 minor, flags;
    gss_name_t name;
    gss_buffer_desc text = {strlen(target), target}, to = GSS_C_EMPTY_BUFFER, from = GSS_C_EMPTY_BUFFER;
    if (gss_import_name(&minor, &text, GSS_C_NT_HOSTBASED_SERVICE, &name) != GSS_S_COMPLETE)
        die("no such name");
    for (OM_uint32 major = GSS_S_CONTINUE_NEEDED; major == GSS_S_CONTINUE_NEEDED;) {
        major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &sender, name, GSS_C_NO_OID, FLAGS, 0, NULL, &from,
                                     NULL, &to, &flags, NULL);
        if (GSS_ERROR(major))
            die("gss_init_sec_context");
        if (to.length > 0 && GSS_ERROR(gss_accept_sec_context(&minor, &receiver, GSS_C_NO_CREDENTIAL, &to, NULL, NULL,
                                                              NULL, &from, &flags, NULL, NULL)))
            die("gss_accept_sec_context");
    }
}

/* Room for tokens between the two threads. */
static gss_buffer_desc ring[RING];
static unsigned long made, taken;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;

static void
wrap_into(gss_buffer_t token)
{
    static unsigned char data[RECORD];
    OM_uint32 minor;
    int state;
    gss_buffer_desc in = {RECORD, data};
    if (gss_wrap(&minor, sender, 1, GSS_C_QOP_DEFAULT, &in, &state, token) != GSS_S_COMPLETE || !state)
        die("gss_wrap");
}

static void
unwrap(gss_buffer_t token)
{
    OM_uint32 minor;
    int state;
    gss_buffer_desc out;
    if (gss_unwrap(&minor, receiver, token, &out, &state, NULL) != GSS_S_COMPLETE || !state || out.length != RECORD)
        die("gss_unwrap");
    gss_release_buffer(&minor, &out);
    gss_release_buffer(&minor, token);
}

static void *
produce(void *records)
{
    for (unsigned long i = 0; i < *(unsigned long *)records; i++) {
        gss_buffer_desc token;
        wrap_into(&token);
        pthread_mutex_lock(&lock);
        while (made - taken == RING)
            pthread_cond_wait(&moved, &lock);
        ring[made++ % RING] = token;
        pthread_cond_signal(&moved);
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static double
both_at_once(unsigned long records)
{
    pthread_t producer;
    double start = now();
    if (pthread_create(&producer, NULL, produce, &records) != 0)
        die("no thread");
    for (unsigned long i = 0; i < records; i++) {
        pthread_mutex_lock(&lock);
        while (made == taken)
            pthread_cond_wait(&moved, &lock);
        gss_buffer_desc token = ring[taken++ % RING];
        pthread_cond_signal(&moved);
        pthread_mutex_unlock(&lock);
        unwrap(&token);
    }
    pthread_join(producer, NULL);
    return (double)records * RECORD / (now() - start) / 1e6;
}

static void
alone(unsigned long records, double *wrapping, double *unwrapping)
{
    double wrap_s = 0, unwrap_s = 0;
    for (unsigned long done = 0; done < records; done += RING) {
        double start = now();
        for (int i = 0; i < RING; i++)
            wrap_into(&ring[i]);
        double middle = now();
        for (int i = 0; i < RING; i++)
            unwrap(&ring[i]);
        wrap_s += middle - start;
        unwrap_s += now() - middle;
    }
    *wrapping = (double)records * RECORD / wrap_s / 1e6;
    *unwrapping = (double)records * RECORD / unwrap_s / 1e6;
}

int
main(int argc, char **argv)
{
    double wrapping, unwrapping;
    if (argc != 3)
        return 2;
    establish(argv[1]);
    unsigned long records = strtoul(argv[2], NULL, 10) * 1048576 / RECORD;
    alone(records, &wrapping, &unwrapping);
    printf("%.1f %.1f %.1f\n", wrapping, unwrapping, both_at_once(records));
    return 0;
}
