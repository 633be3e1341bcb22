"""Container runtimes for the tests: podman with runc, a root filesystem of busybox. See reference/containers.md's traps."""
import json
import os
import resource
import shutil
import subprocess
import threading

import pytest

from parts.harness import environment

IMAGE = "localhost/box:1"
NEEDED = ["podman", "runc", "conmon", "busybox"]


def require(*programs):
    missing = [name for name in programs if not find(name)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (tests/packages/rest)")


def find(name):
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/libexec/podman:/usr/lib/podman")


def make_root(directory):
    """A root filesystem: busybox, and users."""
    for name in ("bin", "etc", "tmp", "proc", "dev", "sys", "keys", "orders"):
        (directory / name).mkdir(parents=True)
    shutil.copy(find("busybox"), directory / "bin/busybox")
    for name in ("sh", "cat", "ls", "sleep", "id", "touch", "mount", "umount", "test", "head", "rm"):
        (directory / "bin" / name).symlink_to("busybox")
    (directory / "tmp").chmod(0o1777)
    (directory / "key.json").touch()
    (directory / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n")
    (directory / "etc/group").write_text("root:x:0:\napp:x:1000:\n")
    return directory


class Podman:
    """podman with a storage of its own below DIRECTORY; PLUGINS: volume plugins' sockets by name."""

    def __init__(self, directory, plugins=(), network="none"):
        require(*NEEDED)
        self.directory = directory / "podman"
        self.directory.mkdir()
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # podman's own limits may not be permitted
        # locks in files are this storage's own; in shared memory they would be the machine's
        (self.directory / "containers.conf").write_text(
            f'[containers]\ndefault_ulimits = ["nofile={files}:{files}", "nproc=4096:4096"]\npids_limit = 0\nnetns = "{network}"\n'
            'log_driver = "k8s-file"\n'
            '[engine]\nruntime = "runc"\nlock_type = "file"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n[engine.volume_plugins]\n'
            + "".join(f'{name} = "{socket}"\n' for name, socket in dict(plugins).items()))
        root = make_root(self.directory / "box")
        archive = self.directory / "box.tar"
        subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
        self.run("import", "-q", archive, IMAGE)

    def command(self, *words):
        """The words, and the environment, of podman WORDS."""
        place = self.directory
        return (["podman", "--storage-driver=vfs", f"--root={place}/storage", f"--runroot={place}/run",
                 f"--tmpdir={place}/tmp", *map(str, words)],
                environment(CONTAINERS_CONF=str(place / "containers.conf")))

    def run(self, *words, status=0, timeout=120, cwd=None):
        """Its output; STATUS other than 0: its errors."""
        command, env = self.command(*words)
        done = subprocess.run(command, env=env, text=True, capture_output=True, timeout=timeout, cwd=cwd)
        assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
        return done.stderr if status else done.stdout

    def box(self, *options, command=("cat", "/keys/client_key_id"), status=0):
        """What COMMAND prints in a container of its own."""
        return self.run("run", "--rm", *options, IMAGE, *command, status=status)

    def start(self, name, *options, command=("sleep", "1000")):
        self.run("run", "-d", "--name", name, *options, IMAGE, *command)

    def inside(self, name, *command, status=0):
        return self.run("exec", name, *command, status=status)

    def stop(self):
        self.run("rm", "-f", "-t", "0", "--all")


class Shell:
    """A shell in a container, started by WORDS: commands go in, and what they print comes out."""

    def __init__(self, words, **how):
        self.process = subprocess.Popen(list(map(str, words)), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, **how)
        self.process.stdin.write("exec 3>&2\n")  # for what runs in the background
        self.lines, self.reader = [], None

    def collect(self):
        """From now on what runs in the background may say more than a pipe holds."""
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stderr))
        self.reader.start()

    def ask(self, command):
        """Output and errors of COMMAND, its status behind them."""
        try:
            self.process.stdin.write(f"{{ {command}\n}} 2>&1; echo \"end $?\"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise AssertionError(self.process.stderr.read()) from None
        lines = []
        while not lines or not lines[-1].startswith("end "):
            lines.append(self.process.stdout.readline())
            assert lines[-1], self.process.stderr.read()
        return "".join(lines[:-1]), int(lines[-1].split()[1])

    def read(self, path):
        output, status = self.ask(f"cat {path}")
        assert status == 0, output
        return output

    def end(self):
        """What went wrong in the background."""
        if self.reader:
            self.process.stdin.write("exit\n")
            self.process.stdin.close()
            self.process.wait(60)
            self.reader.join(60)
            self.process.stdout.close()
            self.process.stderr.close()
            return "".join(self.lines)
        _, errors = self.process.communicate("exit\n", timeout=60)
        return errors


def podman_shell(podman, *options):
    """As the main process of a container."""
    words, env = podman.command("run", "--rm", "-i", *options, IMAGE, "sh")
    return Shell(words, env=env)


def runc_shell(directory, mounts, user=1000, writable=False):
    """An OCI bundle, as an orchestrator writes one; MOUNTS: inside to outside."""
    require("runc", "busybox")
    bundle = directory / "bundle"
    root = make_root(bundle / "rootfs")
    subprocess.run([find("runc"), "spec", "-b", bundle], check=True)
    config = json.loads((bundle / "config.json").read_text())
    config["process"].update(terminal=False, args=["sh"], user={"uid": user, "gid": user}, rlimits=[])
    config["process"]["env"] = ["PATH=/bin"]
    for inside, outside in mounts.items():
        # "rbind": with "bind" a filesystem that is mounted below is absent
        config["mounts"].append({"destination": inside, "type": "none", "source": str(outside),
                                 "options": ["rbind", "rslave", "rw" if writable else "ro"]})
        assert (root / inside.lstrip("/")).exists()
    (bundle / "config.json").write_text(json.dumps(config))
    name = f"aapfs-test-{os.urandom(4).hex()}"
    return Shell([find("runc"), "--root", directory / "runc", "run", "-b", bundle, name])


def bwrap_shell(directory, mounts, user=1000):
    """As a user's own sandbox."""
    require("bwrap", "busybox", "setpriv")
    root = make_root(directory / "sandbox")
    words = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "bwrap", "--unshare-all", "--die-with-parent",
             "--ro-bind", root, "/", "--proc", "/proc", "--dev", "/dev"]
    for inside, outside in mounts.items():
        words += ["--ro-bind", outside, inside]
    return Shell([*words, "/bin/sh"], env={"PATH": "/usr/bin:/bin"})
