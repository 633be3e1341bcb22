"""
idmapped.py SOURCE TARGET COMMAND...: binds SOURCE at TARGET with ids as a pod with hostUsers: false has them, 0 to 65535 as
100000 to 165535, and runs COMMAND there. In a mount namespace of its own; exit status 99: the kernel refuses it (EINVAL).
"""
import ctypes
import errno
import os
import subprocess
import sys

BASE, COUNT = 100000, 65536

# Source: asm-generic/unistd.h, linux/mount.h, linux/fcntl.h
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
AT_FDCWD, AT_EMPTY_PATH, OPEN_TREE_CLONE, MOVE_MOUNT_F_EMPTY_PATH, MOUNT_ATTR_IDMAP = -100, 0x1000, 1, 4, 0x100000


class MountAttr(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")]


def call(number, *arguments):
    result = ctypes.CDLL(None, use_errno=True).syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def user_namespace():
    """A descriptor of one with the map."""
    holder = subprocess.Popen(["unshare", "--user", "sh", "-c", "echo; read -r _"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    holder.stdout.readline()
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{holder.pid}/{name}", "w") as file:
            file.write(f"0 {BASE} {COUNT}\n")
    namespace = os.open(f"/proc/{holder.pid}/ns/user", os.O_RDONLY)
    holder.communicate(b"\n")
    return namespace


def main():
    source, target, *command = sys.argv[1:]
    tree = call(OPEN_TREE, AT_FDCWD, source.encode(), OPEN_TREE_CLONE)
    wanted = MountAttr(attr_set=MOUNT_ATTR_IDMAP, userns_fd=user_namespace())
    try:
        call(MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, ctypes.byref(wanted), ctypes.c_size_t(ctypes.sizeof(wanted)))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        sys.exit(99)
    call(MOVE_MOUNT, tree, b"", AT_FDCWD, target.encode(), MOVE_MOUNT_F_EMPTY_PATH)
    os.close(tree)
    os.execvp(command[0], command)


main()
