/* address.h - where a stream comes from or goes to: "HOST:PORT", "[ADDR6]:PORT", "PORT" (this machine), "unix:PATH". */
#ifndef GAGE_CLI_TUNNEL_ADDRESS_H
#define GAGE_CLI_TUNNEL_ADDRESS_H

#include <sys/socket.h>

#include "base/rc.h"

#define ADDRESS_TEXT_MAX 128
#define ADDRESS_FOUND_MAX 8

/* What a name stands for, in the order in which to try. */
struct address {
    char host[256]; /* as written; "" for a bare port or a unix socket */
    size_t n;
    struct {
        struct sockaddr_storage at;
        socklen_t len;
    } found[ADDRESS_FOUND_MAX];
};

/* Resolves (which may ask the DNS, so: at start, not in a loop). A bare port, or an empty host, is all of this machine's addresses
 * for `listening`, else loopback. GAGE_E_USAGE for another form, GAGE_E_NOT_FOUND for a name that does not resolve. */
gage_rc address_parse(const char *text, bool listening, struct address *address, struct gage_err *err);

/* A socket address in numbers: "192.0.2.1:80", "[::1]:80", "unix". */
void address_text(const struct sockaddr *at, socklen_t len, char text[ADDRESS_TEXT_MAX]);

/* Where connections are counted together: the address without its port, of IPv6 the network of 64 bits (one host has all of it). */
void address_source(const struct sockaddr *at, socklen_t len, char text[ADDRESS_TEXT_MAX]);

/* A non-blocking stream socket to connect to, or listen at, this address; -1 with errno. */
int address_socket(const struct sockaddr *at);

/* A listening, non-blocking socket at the first address found; a stale unix socket is replaced. */
gage_rc address_listen(const struct address *address, int *fd, struct gage_err *err);

/* Settings that every stream socket of ours has: non-blocking, close-on-exec, no Nagle delay, short queues to a peer on this machine. */
void address_tune(int fd);

#endif
