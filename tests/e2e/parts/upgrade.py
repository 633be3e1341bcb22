"""A program that is installed, and replaced while it runs."""
import os
import shutil
import subprocess

from parts.harness import AAPFS, NEXT, run_aapfs, until
from parts.processes import children_of


class Installed:
    """A program in a place of its own that is replaced as a package manager does it."""

    def __init__(self, directory):
        self.path = directory / "aapfs"
        self.install(AAPFS)

    def install(self, program):
        fresh = self.path.with_name("aapfs.new")
        if isinstance(program, bytes):
            fresh.write_bytes(program)
            fresh.chmod(0o755)
        else:
            shutil.copy(program, fresh)
        os.replace(fresh, self.path)


def upgrade(mount):
    return run_aapfs("upgrade", "-m", mount.path)


def begin_upgrade(mount, installed):
    """To the version after; its worker is there. The process that waits for it."""
    installed.install(NEXT)
    upgrading = subprocess.Popen([AAPFS, "upgrade", "-m", mount.path])
    until(lambda: any(os.readlink(f"/proc/{pid}/exe") == str(installed.path) for pid in workers(mount)))
    return upgrading


def workers(mount):
    return [pid for pid in children_of(mount.process.pid) if os.path.exists(f"/proc/{pid}/exe")]
