#include "fs/worker/caller.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kmsapi/cleanup.h"

/* Source: linux/nsfs.h (6.18), PID_NS_INIT_INO; before, the same in the kernel's linux/proc_ns.h. */
static const ino_t first_pid_namespace = 0xEFFFFFFC;

/* The fourth number of the line: that of the filesystem, by which the kernel judges. Source: proc(5), /proc/pid/status. */
static bool read_id(const char *line, const char *name, unsigned int *id)
{
    size_t length = strlen(name);
    return strncmp(line, name, length) == 0 && sscanf(line + length, "%*u %*u %*u %u", id) == 1;
}

struct caller caller_find(pid_t pid, uid_t uid, gid_t gid)
{
    struct caller caller = {pid, uid, gid};
    char path[32], line[128];
    if (pid <= 0 || uid != (uid_t)CALLER_UNKNOWN)
        return caller;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    _cleanup_(fclose) FILE *status = fopen(path, "re");
    while (status && fgets(line, sizeof(line), status))
        if (!read_id(line, "Uid:", &caller.uid) && read_id(line, "Gid:", &caller.gid))
            break;
    return caller;
}

bool caller_can_be_looked_up(void)
{
    char self[16] = "";
    /* another namespace's /proc has other numbers; with hidepid= it shows no others */
    return readlink("/proc/self", self, sizeof(self) - 1) > 0 && strtol(self, NULL, 10) == getpid() &&
           caller_find(1, (uid_t)CALLER_UNKNOWN, 0).uid != (uid_t)CALLER_UNKNOWN;
}

bool caller_can_be_elsewhere(void)
{
    struct stat namespace;
    return stat("/proc/self/ns/pid", &namespace) < 0 || namespace.st_ino != first_pid_namespace;
}
