/* load - what bench/stream/run.py puts on both ends of a tunnel.
 *
 *   load serve PORT                  first byte of a connection: 'S' swallow to the end, answer 'k'; 'E' echo
 *   load push PORT BYTES             send so many to a swallower; prints seconds
 *   load ping PORT ROUNDS            64 bytes there and back; prints the median in nanoseconds
 *   load open PORT CONNECTIONS THREADS   connect, one byte there and back, close; prints connections per second
 *   load hold PORT CONNECTIONS       the same, but keep them until standard input ends; prints "held" */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (256 * 1024)
#define PING 64
#define EVENTS 256
#define DESCRIPTORS 65536

static unsigned char buffer[CHUNK];

static void
die(const char *what)
{
    perror(what);
    exit(1);
}

static long long
now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct sockaddr_in
loopback(const char *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)strtoul(port, NULL, 10))};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}

/* What the system's congestion control does to the two ends would be taken for the tunnel's. */
static int
unpaced_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
    return fd;
}

static int
dial(const char *port)
{
    struct sockaddr_in at = loopback(port);
    const int on = 1;
    int fd = unpaced_socket();
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at) != 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void
send_all(int fd, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done <= 0)
            die("write");
        p += done;
        n -= (size_t)done;
    }
}

static void
read_all(int fd, void *bytes, size_t n)
{
    unsigned char *p = bytes;
    while (n > 0) {
        ssize_t done = read(fd, p, n);
        if (done <= 0)
            die("read");
        p += done;
        n -= (size_t)done;
    }
}

/* ---- serve ---- */

static char modes[DESCRIPTORS];

static void
serve_one(int fd)
{
    ssize_t n = read(fd, buffer, sizeof buffer);
    const unsigned char *p = buffer;
    if (n > 0 && modes[fd] == 0) {
        modes[fd] = (char)*p++;
        n--;
    }
    if (n > 0 || (n == 0 && p != buffer)) {
        if (modes[fd] == 'E')
            send_all(fd, p, (size_t)n);
        return;
    }
    if (n == 0 && modes[fd] == 'S')
        send_all(fd, "k", 1);
    close(fd);
}

static void
serve(const char *port)
{
    struct sockaddr_in at = loopback(port);
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN};
    const int on = 1;
    int listener = unpaced_socket(), loop = epoll_create1(0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 1024) != 0)
        die("listen");
    event.data.fd = listener;
    epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int n = epoll_wait(loop, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd != listener) {
                serve_one(events[i].data.fd);
                continue;
            }
            int fd = accept(listener, NULL, NULL);
            if (fd < 0 || fd >= DESCRIPTORS)
                die("accept");
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            modes[fd] = 0;
            event.data.fd = fd;
            epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event);
        }
    }
}

/* ---- clients ---- */

static void
push(const char *port, unsigned long long bytes)
{
    int fd = dial(port);
    char answer;
    send_all(fd, "S", 1);
    long long start = now_ns();
    for (unsigned long long left = bytes; left > 0;) {
        size_t n = left < CHUNK ? (size_t)left : CHUNK;
        send_all(fd, buffer, n);
        left -= n;
    }
    shutdown(fd, SHUT_WR);
    read_all(fd, &answer, 1);
    printf("%.6f\n", (double)(now_ns() - start) / 1e9);
    close(fd);
}

static int
compare(const void *a, const void *b)
{
    long long x = *(const long long *)a, y = *(const long long *)b;
    return (x > y) - (x < y);
}

static void
ping(const char *port, size_t rounds)
{
    long long *took = calloc(rounds, sizeof *took);
    int fd = dial(port);
    send_all(fd, "E", 1);
    for (size_t i = 0; i < rounds; i++) {
        long long start = now_ns();
        send_all(fd, buffer, PING);
        read_all(fd, buffer, PING);
        took[i] = now_ns() - start;
    }
    qsort(took, rounds, sizeof *took, compare);
    printf("%lld\n", took[rounds / 2]);
    free(took);
    close(fd);
}

static int
open_one(const char *port)
{
    char byte;
    int fd = dial(port);
    send_all(fd, "Ex", 2);
    read_all(fd, &byte, 1);
    return fd;
}

struct opener {
    const char *port;
    size_t connections;
};

static void *
open_many(void *context)
{
    struct opener *o = context;
    for (size_t i = 0; i < o->connections; i++)
        close(open_one(o->port));
    return NULL;
}

static void
open_all(const char *port, size_t connections, size_t threads)
{
    pthread_t ids[64];
    struct opener o = {port, connections / threads};
    long long start = now_ns();
    for (size_t i = 0; i < threads && i < 64; i++)
        pthread_create(&ids[i], NULL, open_many, &o);
    for (size_t i = 0; i < threads && i < 64; i++)
        pthread_join(ids[i], NULL);
    printf("%.1f\n", (double)(o.connections * threads) / ((double)(now_ns() - start) / 1e9));
}

static void
hold(const char *port, size_t connections)
{
    char byte;
    for (size_t i = 0; i < connections; i++)
        open_one(port);
    puts("held");
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
}

int
main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    unsigned long long n = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    if (strcmp(what, "serve") == 0)
        serve(argv[2]);
    else if (strcmp(what, "push") == 0)
        push(argv[2], n);
    else if (strcmp(what, "ping") == 0)
        ping(argv[2], (size_t)n);
    else if (strcmp(what, "open") == 0)
        open_all(argv[2], (size_t)n, argc > 4 ? (size_t)strtoul(argv[4], NULL, 10) : 1);
    else if (strcmp(what, "hold") == 0)
        hold(argv[2], (size_t)n);
    else
        return 2;
    return 0;
}
