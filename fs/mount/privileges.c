#include "fs/mount/privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* glibc has no function for these two calls; see capget(2). */
static int keep_only(uint64_t kept)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &header, data) < 0)
        return -errno;
    for (unsigned int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        data[i].permitted &= (uint32_t)(kept >> (32 * i));
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int privileges_keep_only(uint64_t kept)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    /* EINVAL: beyond the last one that this kernel knows; EPERM: none of them can be dropped */
    for (unsigned long capability = 0; capability < 64; capability++)
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) {
            if (errno == EINVAL || errno == EPERM)
                break;
            return -errno;
        }
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return -errno;
    return keep_only(kept);
}

static bool is_secret(const char *variable)
{
    static const char *const beginnings[] = {"ALIBABA_CLOUD_", "KMS_", "CREDENTIALS_DIRECTORY="};
    for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++)
        if (strncmp(variable, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    size_t length = strcspn(variable, "="), ending = strlen("_proxy"); /* its URL may have a password */
    return length >= ending && strncasecmp(variable + length - ending, "_proxy", ending) == 0;
}

void privileges_forget_secrets(void)
{
    char **kept = environ;
    for (char **variable = environ; *variable; variable++)
        if (is_secret(*variable))
            explicit_bzero(*variable, strlen(*variable));
        else
            *kept++ = *variable;
    *kept = NULL;
}

int privileges_hide_memory(void)
{
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) < 0 || (!SANITIZED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0))
        return -errno;
    return 0;
}

static bool has_capability(unsigned int capability)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    return syscall(SYS_capget, &header, data) == 0 && data[capability / 32].effective & (1U << (capability % 32));
}

int privileges_lock_memory(void)
{
    struct rlimit limit;
    if (SANITIZED) /* its shadow is larger than any memory */
        return 0;
    if (!has_capability(CAP_IPC_LOCK) && (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur != RLIM_INFINITY))
        return 0;
    return mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0 ? -errno : 0;
}
