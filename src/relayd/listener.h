/* listener.h - the sockets a relay serves: parsed, bound, passed in. */
#ifndef GAGE_RELAYD_LISTENER_H
#define GAGE_RELAYD_LISTENER_H

#include "base/bytes.h"

struct listener {
    int fd;
    bool local;     /* loopback or unix: nobody on a network can reach it */
    char name[160]; /* "127.0.0.1:443", "[::1]:443" or "unix:/path", with the port that was chosen */
};

/* Binds and listens: ADDR:PORT, [ADDR6]:PORT or unix:PATH (an old socket file there is replaced; mode 0660). GAGE_E_CONFIG where it is none of
 * these, GAGE_E_IO where the system refuses. Only with `bind_it` false nothing is opened: then only `local` and `name` are filled. */
gage_rc listener_open(const char *text, bool bind_it, struct listener *out, struct gage_err *err);
/* Takes a listening socket that was passed in. */
gage_rc listener_adopt(int fd, struct listener *out, struct gage_err *err);

#endif
