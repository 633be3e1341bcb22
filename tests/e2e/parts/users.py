"""Users that are not root, and where they may mount."""
import pathlib
import shutil
import subprocess

from parts.harness import AAPFS

NOBODY = 65534
AS_NOBODY = {"user": NOBODY, "group": NOBODY, "extra_groups": []}  # for subprocess


def program_for_others(directory):
    """aapfs in a place that every user may look into: the build folder may be its user's alone."""
    return shutil.copy(AAPFS, pathlib.Path(directory) / "aapfs-for-others")


class OwnFuse:
    """
    A mount namespace whose /dev/fuse every user may open, as on most machines. The machine's own is left alone, and a
    mount made there is seen there alone.
    """

    def __init__(self, directory):
        script = (f"mount -t tmpfs -o mode=755 tmpfs {directory}; mknod -m 666 {directory}/fuse c 10 229; "
                  f"mount --bind {directory}/fuse /dev/fuse; umount -l {directory}; echo; read -r _")
        self.process = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-ec", script],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "\n"
        self.mountinfo = pathlib.Path(f"/proc/{self.process.pid}/mountinfo")

    def words(self, user, *words):
        """What runs WORDS there as USER, by exec."""
        return ["nsenter", f"--mount=/proc/{self.process.pid}/ns/mnt", f"--setuid={user}", f"--setgid={user}", *map(str, words)]

    def path(self, path):
        """How PATH there is reached from here."""
        return pathlib.Path(f"/proc/{self.process.pid}/root{path}")

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        self.process.communicate("\n")
