/*
 * Random system calls on a mount, whatever they end with: the daemon has to bear all of them.
 *
 *     random_calls MOUNT SECONDS SEED UID
 *
 * Started by root. The mount is its root directory before the first call: no ".." leads out of it,
 * and nothing but the mount can be harmed. It refuses to run anywhere but on a FUSE filesystem.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <linux/magic.h>

enum { DEPTH = 4, PATH_SIZE = 4096 };

static unsigned int seed;

static unsigned int any(unsigned int below)
{
    return (unsigned int)rand_r(&seed) % below;
}

static const char *part(void)
{
    static char odd[300];
    static const char *const parts[] = {
        ".", "..", ".aapfs", "payments", "orders", "control", "status", "last_error", "keys", "current",
        "client_key.json", "client_key.p12", "private_key.pem", "not_after", "KAAP.0", "", "\xff\n", " "};
    unsigned int choice = any(sizeof(parts) / sizeof(parts[0]) + 2);
    if (choice < sizeof(parts) / sizeof(parts[0]))
        return parts[choice];
    memset(odd, choice & 1 ? 'x' : '.', sizeof(odd));
    odd[any(sizeof(odd))] = '\0';
    return odd;
}

static const char *a_path(char path[PATH_SIZE])
{
    size_t size = 0;
    path[size++] = '.';
    path[size] = '\0';
    for (unsigned int i = any(DEPTH); i > 0; i--)
        size += (size_t)snprintf(path + size, PATH_SIZE - size, "/%s", part());
    return path;
}

static const char *data(size_t *size)
{
    static char bytes[70000];
    static const char *const commands[] = {"Random-Pass1\n", "delete KAAP.0\n", "sync\n", "rotate\n", "{\"Password\":\"Random-Pass2\"}",
                                           "{", "Random-Pass3", "\n", "delete \n"};
    unsigned int choice = any(12);
    if (choice < sizeof(commands) / sizeof(commands[0])) {
        *size = strlen(commands[choice]);
        return commands[choice];
    }
    *size = any(sizeof(bytes));
    for (size_t i = 0; i < *size; i++)
        bytes[i] = (char)any(256);
    return bytes;
}

static void use_file(int file)
{
    char buffer[5000];
    size_t size;
    struct stat attributes;
    const char *bytes = data(&size);
    ssize_t r = 0;
    switch (any(14)) {
    case 0: r = read(file, buffer, any(sizeof(buffer))); break;
    case 1: r = pread(file, buffer, any(sizeof(buffer)), (off_t)any(10000)); break;
    case 2: r = pread(file, buffer, 10, (off_t)1 << any(62)); break;
    case 3: r = write(file, bytes, size); break;
    case 4: r = pwrite(file, bytes, size, (off_t)any(9000)); break;
    case 5: r = fstat(file, &attributes); break;
    case 6: r = ftruncate(file, (off_t)any(5000)); break;
    case 7: r = fsync(file); break;
    case 8: r = ioctl(file, any(1 << 16), buffer); break;
    case 9: r = flock(file, LOCK_SH | LOCK_NB); break;
    case 10: r = fallocate(file, (int)any(4), 0, any(1 << 20)); break;
    case 11: r = lseek(file, (off_t)any(10000), (int)any(5)); break;
    case 12: r = syscall(SYS_getdents64, file, buffer, any(sizeof(buffer))); break;
    default: {
        void *mapped = mmap(NULL, 4096, PROT_READ, any(2) ? MAP_SHARED : MAP_PRIVATE, file, 0);
        /* copied by the kernel: what cannot be read is EFAULT there, and SIGBUS here */
        if (mapped != MAP_FAILED) {
            int memory = memfd_create("copy", MFD_CLOEXEC);
            r = write(memory, mapped, 4096);
            close(memory);
            munmap(mapped, 4096);
        }
    }
    }
    (void)r;
}

static void use_path(const char *path)
{
    char other[PATH_SIZE], buffer[300];
    struct stat attributes;
    struct statvfs space;
    const struct timespec times[2] = {{0}};
    ssize_t r = 0;
    switch (any(20)) {
    case 0: r = stat(path, &attributes); break;
    case 1: r = lstat(path, &attributes); break;
    case 2: r = access(path, (int)any(8)); break;
    case 3: r = readlink(path, buffer, sizeof(buffer)); break;
    case 4: r = mkdir(path, 0777); break;
    case 5: r = rmdir(path); break;
    case 6: r = unlink(path); break;
    case 7: r = rename(path, a_path(other)); break;
    case 8: r = syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, a_path(other), any(8)); break;
    case 9: r = link(path, a_path(other)); break;
    case 10: r = symlink("target", path); break;
    case 11: r = chmod(path, any(07777)); break;
    case 12: r = chown(path, any(70000), any(70000)); break;
    case 13: r = truncate(path, (off_t)any(10000)); break;
    case 14: r = mknod(path, S_IFREG | 0600, 0); break;
    case 15: r = utimensat(AT_FDCWD, path, times, 0); break;
    case 16: r = setxattr(path, "user.x", "y", 1, 0); break;
    case 17: r = listxattr(path, buffer, sizeof(buffer)); break;
    case 18: r = statvfs(path, &space); break;
    default: r = getxattr(path, "security.capability", buffer, sizeof(buffer)); break;
    }
    (void)r;
}

static void do_anything(void)
{
    static const int modes[] = {O_RDONLY, O_WRONLY, O_RDWR};
    static const int flags[] = {0, 0, 0, O_CREAT, O_TRUNC, O_APPEND, O_DIRECTORY, O_PATH, O_DIRECT, O_SYNC};
    char path[PATH_SIZE];
    a_path(path);
    if (any(2)) {
        use_path(path);
        return;
    }
    int file = open(path, modes[any(3)] | flags[any(10)] | O_NONBLOCK | O_CLOEXEC, 0600);
    for (unsigned int i = any(4); file >= 0 && i > 0; i--)
        use_file(file);
    if (file >= 0)
        close(file);
}

/* Nothing outside can be named any more: not by "..", not by a link, not by a descriptor. */
static int confine(const char *mount, uid_t user)
{
    struct statfs kind;
    if (chdir(mount) < 0 || statfs(".", &kind) < 0 || kind.f_type != FUSE_SUPER_MAGIC ||
        syscall(SYS_close_range, 3, ~0U, 0) < 0 || chroot(".") < 0 || chdir("/") < 0)
        return -1;
    if (user != 0 && (setgroups(0, NULL) < 0 || setresgid(user, user, user) < 0 ||
                      setresuid(user, user, user) < 0))
        return -1;
    return 0;
}

int main(int count, char **words)
{
    if (count != 5 || confine(words[1], (uid_t)atol(words[4])) < 0) {
        perror("random_calls");
        return 2;
    }
    time_t end = time(NULL) + atol(words[2]);
    seed = (unsigned int)atol(words[3]);
    unsigned long calls = 0;
    while (time(NULL) < end)
        for (unsigned int i = 0; i < 100; i++, calls++)
            do_anything();
    printf("%lu\n", calls);
    return 0;
}
