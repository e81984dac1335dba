#include "proxyd/capabilities.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool
get(struct __user_cap_data_struct data[2])
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    return syscall(SYS_capget, &header, data) == 0;
}

bool
capabilities_have(int capability)
{
    struct __user_cap_data_struct data[2] = {{0}};
    return get(data) && (data[0].effective & 1u << capability) != 0;
}

void
capabilities_keep(uint32_t kept)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0}};
    if (!get(data))
        return;
    data[0].effective &= kept;
    data[0].permitted &= kept;
    data[0].inheritable = data[1].effective = data[1].permitted = data[1].inheritable = 0;
    (void)syscall(SYS_capset, &header, data);
}
