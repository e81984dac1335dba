/* Who connects, as the kernel and the witness tell. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "proxyd/server.h"
#include "proxyd/witness.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

static bool
is_named(struct server *s, const char *program)
{
    struct epoch *e = server_epoch(s);
    bool named = false;
    for (size_t i = 0; i < e->conf->service_count && !named; i++)
        named = e->conf->services[i].program != NULL && strcmp(e->conf->services[i].program, program) == 0;
    epoch_unref(&e);
    return named;
}

/* A kernel thread has no program: no reason to refuse it. Where the kernel holds on to the process, one of the same number is found out. */
static void
read_program(struct server *s, int fd, struct peer *peer)
{
    AUTO(gage_fd) held = -1;
    socklen_t n = sizeof held;
    bool holds = getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &held, &n) == 0;
    if (!holds) {
        held = -1;
        if (errno != ENOPROTOOPT) /* it has ended */
            return;
    }
    witness_program(peer->pid, peer->program, sizeof peer->program);
    peer->same_program =
        peer->program[0] != '\0' && is_named(s, peer->program) && witness_same(peer->pid, peer->program);
    if (!holds || syscall(SYS_pidfd_send_signal, held, 0, NULL, 0) == 0 || errno == EPERM)
        return;
    peer->program[0] = '\0';
    peer->same_program = false;
}

bool
peer_read(struct server *s, int fd, struct peer *peer)
{
    struct ucred cred;
    socklen_t n = sizeof cred;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) != 0)
        return false;
    *peer = (struct peer){.pid = cred.pid, .uid = cred.uid, .gid = cred.gid};
    n = sizeof peer->selinux - 1;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERSEC, peer->selinux, &n) != 0)
        peer->selinux[0] = '\0';
    read_program(s, fd, peer);
    return true;
}
