/* place.h - for targets whose parsers take paths: a folder of this process's own that goes when it ends, and a Kerberos that asks nobody. */
#ifndef GAGE_FUZZ_PLACE_H
#define GAGE_FUZZ_PLACE_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "fuzz/require.h"

#define PLACE_NAMES 8

static char place_folder[64], place_paths[PLACE_NAMES][128];
static size_t place_count;
static pid_t place_owner;

static void
place_remove(void)
{
    if (getpid() != place_owner)
        return;
    for (size_t i = 0; i < place_count; i++)
        unlink(place_paths[i]);
    rmdir(place_folder);
}

/* FOLDER/NAME, which is removed at the end; the folder is made with the first. Call it once a name and keep what it gives. */
static const char *
place_of(const char *name)
{
    if (place_count == 0) {
        strcpy(place_folder, access("/dev/shm", W_OK) == 0 ? "/dev/shm/gage-fuzz-XXXXXX" : "/tmp/gage-fuzz-XXXXXX");
        place_owner = getpid();
        if (mkdtemp(place_folder) == NULL || chmod(place_folder, 0755) != 0 || atexit(place_remove) != 0)
            abort();
    }
    if (place_count == PLACE_NAMES)
        abort();
    char *path = place_paths[place_count++];
    snprintf(path, sizeof place_paths[0], "%s/%s", place_folder, name);
    return path;
}

static inline void
place_write(const char *path, gage_slice bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || !gage_ok(file_write_fd(fd, path, bytes, NULL)))
        abort();
    close(fd);
}

/* A realm without KDC, no plugins, no files of this machine's. */
static inline void
place_kerberos(void)
{
    const char *conf = place_of("krb5.conf");
    place_write(conf, SLICE_LITERAL("[libdefaults]\n default_realm = FUZZ.TEST\n dns_lookup_kdc = false\n"
                                    " dns_lookup_realm = false\n dns_canonicalize_hostname = false\n rdns = false\n"));
    if (setenv("KRB5_CONFIG", conf, 1) != 0 || setenv("GSS_MECH_CONFIG", "/dev/null", 1) != 0 ||
        setenv("KRB5_KTNAME", "FILE:/nonexistent/keytab", 1) != 0 ||
        setenv("KRB5CCNAME", "FILE:/nonexistent/cache", 1) != 0 || setenv("KRB5RCACHENAME", "none:", 1) != 0)
        abort();
}

#endif
