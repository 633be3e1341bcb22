"""What a machine, or a chroot, must have for these tests: said at once, and not by a hundred tests in as many ways."""
import os
import pathlib
import subprocess


def missing():
    """What is not there, and what to do: a line for each."""
    if os.geteuid() != 0:
        return ["root: they mount; run them as root"]
    try:
        mounts = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError as error:
        return [f"/proc: {error.strerror}; mount it: mount -t proc proc /proc"]
    wanting = []
    if not any(line.split()[4] == "/" for line in mounts):
        wanting.append("a root that is a mount point, which mount namespaces need: before chroot, mount --rbind the directory on itself")
    else:
        done = subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            wanting.append(f"mount namespaces (CAP_SYS_ADMIN): {done.stderr.strip()}")
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        wanting.append(f"/dev/fuse: {error.strerror}; modprobe fuse, and in a chroot: mount --rbind /dev DIRECTORY/dev")
    try:
        for descriptor in os.openpty():
            os.close(descriptor)
    except OSError as error:
        wanting.append(f"terminals: {error.strerror}; mount -t devpts -o ptmxmode=666 devpts /dev/pts")
    return wanting
