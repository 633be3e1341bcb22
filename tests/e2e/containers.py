"""Container runtimes for the tests: podman with runc, a root filesystem of busybox. See reference/containers.md's traps."""
import functools
import os
import resource
import shutil
import subprocess

import pytest

from harness import environment

IMAGE = "localhost/box:1"
NEEDED = ["podman", "runc", "conmon", "busybox"]


def require(*programs):
    missing = [name for name in programs if not find(name)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (tests/packages-test)")


def find(name):
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/libexec/podman:/usr/lib/podman")


def make_root(directory):
    """A root filesystem: busybox, and users."""
    for name in ("bin", "etc", "tmp", "proc", "dev", "sys", "keys"):
        (directory / name).mkdir(parents=True)
    shutil.copy(find("busybox"), directory / "bin/busybox")
    for name in ("sh", "cat", "ls", "sleep", "id", "touch", "mount", "umount", "test", "head"):
        (directory / "bin" / name).symlink_to("busybox")
    (directory / "key.json").touch()
    (directory / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n")
    (directory / "etc/group").write_text("root:x:0:\napp:x:1000:\n")
    return directory


class Podman:
    """podman with a storage of its own below DIRECTORY; PLUGINS: volume plugins' sockets by name."""

    def __init__(self, directory, plugins=()):
        require(*NEEDED)
        self.directory = directory / "podman"
        self.directory.mkdir()
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # podman's own default may not be permitted
        (self.directory / "containers.conf").write_text(
            f'[containers]\ndefault_ulimits = ["nofile={files}:{files}", "nproc=4096:4096"]\nnetns = "none"\n'
            'log_driver = "k8s-file"\n'
            '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n[engine.volume_plugins]\n'
            + "".join(f'{name} = "{socket}"\n' for name, socket in dict(plugins).items()))
        self.names = []
        root = make_root(self.directory / "box")
        archive = self.directory / "box.tar"
        subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
        self.run("import", "-q", archive, IMAGE)

    def start_process(self, *words, **how):
        place = self.directory
        return subprocess.Popen(
            ["podman", "--storage-driver=vfs", f"--root={place}/storage", f"--runroot={place}/run", f"--tmpdir={place}/tmp",
             *map(str, words)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment(CONTAINERS_CONF=str(place / "containers.conf"), REGISTRIES_CONFIG_PATH="/dev/null"), **how)

    def run(self, *words, status=0):
        """Its output; STATUS other than 0: its errors."""
        process = self.start_process(*words)
        output, errors = process.communicate(timeout=120)
        assert process.returncode == status, (words, process.returncode, output, errors)
        return errors if status else output

    def box(self, *options, command=("cat", "/keys/client_key_id"), status=0):
        """What COMMAND prints in a container of its own."""
        return self.run("run", "--rm", *options, IMAGE, *command, status=status)

    def start(self, name, *options, command=("sleep", "1000")):
        self.names.append(name)
        self.run("run", "-d", "--name", name, *options, IMAGE, *command)

    def inside(self, name, *command, status=0):
        return self.run("exec", name, *command, status=status)

    def stop(self):
        if self.names:
            self.run("rm", "-f", "-t", "0", *self.names)
        self.names = []
