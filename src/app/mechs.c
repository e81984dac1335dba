#include "app/mechs.h"

#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gage/otc.h>

#include "base/file.h"

#define CONFIG_MAX (256 * 1024)

/* Cuts `end` off the path where it ends so. */
static bool
cut(char *path, const char *end)
{
    size_t n = strlen(path), length = strlen(end);
    bool ends = n > length && strcmp(path + n - length, end) == 0;
    if (ends)
        path[n - length] = '\0';
    return ends;
}

gage_rc
install_prefix(char *out, size_t size, struct gage_err *err)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    REQUIRE(n > 0, err, GAGE_E_NOT_FOUND, "cannot tell where this program is installed (/proc is not mounted?)");
    self[n] = '\0';
    char *slash = strrchr(self, '/');
    REQUIRE(slash != NULL, err, GAGE_E_NOT_FOUND, "cannot tell where this program is installed");
    *slash = '\0';
    if (!cut(self, "/lib/gage") && (slash = strrchr(self, '/')) != NULL) /* else bin, sbin */
        *slash = '\0';
    REQUIRE(strlen(self) < size, err, GAGE_E_LIMIT, "the path of this program is too long");
    memcpy(out, self, strlen(self) + 1);
    return GAGE_DONE;
}

/* Appends the system's mechanism configuration: what MIT krb5 would read without GSS_MECH_CONFIG. A file that cannot be read is
 * passed over, as the library does. */
static void
put_system_config(gage_buf *config)
{
    glob_t found = {0};
    if (glob("/etc/gss/mech", 0, NULL, &found) == 0 || found.gl_pathc == 0)
        glob("/etc/gss/mech.d/*.conf", GLOB_APPEND, NULL, &found);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        if (gage_ok(file_read(found.gl_pathv[i], config, NULL)))
            put_u8(config, '\n');
    }
    globfree(&found);
}

static bool
holds(const gage_buf *config, const char *text)
{
    return config->n > 0 && memmem(config->p, config->n, text, strlen(text)) != NULL;
}

/* Hands the configuration to the GSS library through a descriptor that stays open, for the programs we start too. It is sealed: who may
 * write to it says what we load, and such a program may have fewer rights than we. */
static gage_rc
publish(const gage_buf *config, struct gage_err *err)
{
    char path[64];
    int fd = memfd_create("gss-mechanisms", MFD_ALLOW_SEALING);
    REQUIRE(fd >= 0, err, GAGE_E_IO, "cannot make a file in memory for the list of mechanisms");
    TRY(file_write_fd(fd, "the list of mechanisms", gage_buf_slice(config), err));
    REQUIRE(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0, err, GAGE_E_IO,
            "cannot seal the list of mechanisms");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    REQUIRE(setenv("GSS_MECH_CONFIG", path, 1) == 0, err, GAGE_E_NOMEM, "out of memory");
    return GAGE_DONE;
}

gage_rc
mechs_find(struct gage_err *err)
{
    char prefix[PATH_MAX], plugin[PATH_MAX + 64];
    AUTO(gage_buf) config = GAGE_BUF(CONFIG_MAX);
    if (getenv("GSS_MECH_CONFIG") != NULL)
        return GAGE_DONE;
    put_system_config(&config);
    if (holds(&config, GAGE_OTC_OID_TEXT))
        return GAGE_DONE;
    TRY(install_prefix(prefix, sizeof prefix, err));
    snprintf(plugin, sizeof plugin, "%s/lib/gage/gss/gage_otc.so", prefix);
    REQUIRE(access(plugin, R_OK) == 0, err, GAGE_E_NOT_FOUND,
            "the mechanism is neither registered in /etc/gss/mech.d nor at %s: install gage whole", plugin);
    put_bytes(&config, SLICE_LITERAL("\ngage_otc " GAGE_OTC_OID_TEXT " "));
    put_bytes(&config, slice_str(plugin));
    put_u8(&config, '\n');
    TRY(buf_check(&config, err));
    return publish(&config, err);
}
