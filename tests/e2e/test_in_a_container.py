"""aapfs itself in a container, by the commands of examples/container/README.md; and the README's own for containers."""
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from parts.containers import IMAGE, Podman, make_root, podman_shell
from parts.debian import make_debian
from parts.harness import AAPFS, NEXT, PASSWORD, ROOT, make_state_key, run_aapfs, until
from parts.plugin import Plugin
from parts.upgrade import upgrade
from parts.watch import names_moved_to

APPLICATION = "my-application"
README = ROOT / "examples/container/README.md"


def commands(path):
    """The blocks of a text that are marked for this test."""
    return re.findall(r"^```sh container\n(.*?)^```$", path.read_text(), re.S | re.M)


def make_image(podman, directory):
    """What the Containerfile makes, out of this machine's files: there is no registry here."""
    root = make_root(directory / "aapfs-root")
    needed = subprocess.run(["ldd", AAPFS], capture_output=True, text=True, check=True).stdout
    for library in re.findall(r"(/\S+) \(0x", needed):
        target = root / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)
    (root / "usr/bin").mkdir(parents=True)
    shutil.copy(AAPFS, root / "usr/bin/aapfs")
    text = (ROOT / "examples/container/Containerfile").read_text()
    entry = re.search(r"^ENTRYPOINT .*$", text, re.M)[0]
    archive = directory / "aapfs.tar"
    subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
    podman.run("import", "-q", "--change", entry, archive, "localhost/aapfs")


class Place:
    """Where a text's commands are run: its programs and paths are the test's own."""

    def __init__(self, tmp_path, podman, paths):
        self.podman, self.paths = podman, paths
        self.programs = tmp_path / "programs"
        self.programs.mkdir()
        words, self.env = podman.command()
        self.add("podman", f'exec {shutil.which("podman")} {" ".join(words[1:])} "$@"')
        self.add("aapfs", f'exec {AAPFS} "$@"')
        podman.run("tag", IMAGE, f"localhost/{APPLICATION}")
        self.background = None

    def add(self, name, line):
        program = self.programs / name
        program.write_text(f"#!/bin/bash\n{line}\n")
        program.chmod(0o755)

    def say(self):
        """What aapfs has said."""
        words, env = self.podman.command("logs", "aapfs")
        return subprocess.run(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout

    def run(self, block, status=0):
        """What it prints (its errors, with another STATUS than 0); a last "&" is left running, with its shell as self.background."""
        for there, here in self.paths.items():
            block = re.sub(there, str(here), block)
        words = ["bash", "-euo", "pipefail", "-c", block]
        env = {**self.env, "PATH": f"{self.programs}:{os.environ['PATH']}"}
        if block.endswith(" &\n"):
            words[-1] = "exec " + block[:-3]
            self.background = subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            return ""
        done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == status, (block, done.stderr)
        return done.stderr if status else done.stdout


@pytest.fixture
def place(tmp_path, emulator):
    podman = Podman(tmp_path, network="host")
    make_image(podman, tmp_path)
    share, settings = tmp_path / "share", tmp_path / "etc"
    made = Place(tmp_path, podman, {
        "/run/aap-share": share, "/etc/aapfs-container": settings, "/var/lib/aapfs-container": tmp_path / "lib"})
    made.share, made.state = share, tmp_path / "lib"
    for _ in range(2):  # at every boot
        made.run(commands(README)[0])
    lines = re.search(r"```ini\n(.*?)```", README.read_text(), re.S)[1]
    (settings / "aapfs.conf").write_text(f"[mount]\ncreation_guard = 0s\n[defaults]\nmax_keys = 100\n{lines}"
                                         .replace("region =", f"endpoint = {emulator.url}\nregion ="))
    yield made
    podman.stop()
    subprocess.run(["umount", "-l", share], check=False)


def is_there(path):
    try:
        return path.exists()
    except OSError:
        return False  # no daemon yet


def write(path, aap="payments"):
    with open(path / aap / "control", "w", encoding="ascii") as control:
        control.write(PASSWORD + "\n")


def status(path):
    return (path / ".aapfs/status").read_text()


def works(place, inotify=True):
    """A mount that a container serves: keys are made, rotations told, its worker may be killed."""
    mount = place.share / "aap"
    # not a name that the kernel still has of a mount before
    until(lambda: is_there(mount / ".aapfs/status") and is_there(mount / "payments"), why=place.say)
    write(mount)
    before = (mount / "payments/client_key_id").read_text()
    assert f'"Inotify": {str(inotify).lower()}' in status(mount)
    watch = names_moved_to(mount / "payments")
    write(mount)
    assert (mount / "payments/client_key_id").read_text() != before
    if inotify:
        while watch.next(10) not in (None, "client_key_id"):
            pass
    assert (watch.next(0.1) is not None) == inotify  # other names move, too
    watch.end()
    processes = [line.split() for line in place.podman.run("top", "aapfs", "hpid", "comm").splitlines()]
    (worker,) = [int(pid) for pid, name in processes if name == "aapfs-worker"]
    os.kill(worker, signal.SIGKILL)
    assert '"WorkerRestarts": 1' in status(mount)
    write(mount)


@pytest.mark.full
def test_with_the_privilege_to_mount(place):
    _, start, own, parent, stop, _ = commands(README)
    mount = place.share / "aap"
    place.run(start)
    works(place)
    write(mount, "orders")
    for aap, use in (("payments", own), ("orders", parent)):
        assert json.loads(place.run(use))["KeyId"] == (mount / aap / "client_key_id").read_text().strip()
        # and root in the same container makes no key
        as_root = re.sub(r"\bcat (\S+)/client_key.json", r"sh -c 'echo rotate > \1/control'", re.sub(r"--user \S+", "", use))
        assert as_root.count("sh -c") == 1 and "--user" not in as_root
        errors = place.run(as_root, status=1)
        assert "Read-only file system" in errors or "Permission denied" in errors
    # killed, all of it: the next start makes way for itself
    place.podman.run("kill", "-s", "KILL", "aapfs")
    until(lambda: not is_there(mount / ".aapfs/status"), why=place.say)
    place.podman.run("start", "aapfs")
    works(place)
    place.run(stop)
    assert os.listdir(mount) == []


@pytest.mark.full
def test_a_lent_mount_that_was_served_before(tmp_path):
    path = tmp_path / "aap"
    path.mkdir()
    own = f"--state {tmp_path}/state --state-key {make_state_key(tmp_path / 'key')} --region cn-hangzhou --endpoint http://127.0.0.1:1"
    served = f"dd bs=65536 count=1 status=none of=/dev/null <&3; exec {AAPFS} -f {own} /dev/fd/3 {path}"
    done = run_aapfs("with-mount", path, "sh", "-c", served)
    assert (done.returncode, done.stderr) == (
        1, f"aapfs: {path}: the kernel's first message: Connection timed out; another daemon has served this mount, and it is lost: "
        "start with-mount again\n")


# as the daemon's user: which mounts take a new file, or open for writing; and which are there
TRIES = r'''
while read -r _ _ _ _ path rest; do
    echo "mounted $path"
    if [ -d "$path" ]; then
        for directory in "$path" "$path"/*/; do
            (: > "$directory/tried") 2> /dev/null && rm "$directory/tried" && echo "writable $directory"
        done
    fi
    for file in "$path" "$path"/*; do
        if [ -f "$file" ] && (: >> "$file") 2> /dev/null; then echo "writable $file"; fi
    done
done < /proc/self/mountinfo
'''


def writes_its_state_alone(place):
    said = [line.split(" ", 1) for line in place.podman.run("exec", "aapfs", "sh", "-c", TRIES).splitlines()]
    mounted = {path for kind, path in said if kind == "mounted"}
    assert {"/", "/etc/aapfs", "/var/lib/aapfs", "/etc/machine-id", str(place.share)} <= mounted
    written = {path.replace("//", "/").rstrip("/") for kind, path in said if kind == "writable"}
    written = {path for path in written if not path.startswith(("/dev", "/proc"))}  # in memory, and the container's own
    state, controls = "/var/lib/aapfs", {f"{place.share}/aap/{aap}/control" for aap in (".aapfs", "payments", "orders")}
    assert state in written
    assert {path for path in written if path != state and not path.startswith(f"{state}/")} <= controls  # its own mount's


@pytest.mark.full
def test_a_lent_mount_whose_daemon_was_killed(place):
    """All of it: with the last who has its descriptor the mount ends. The same command serves the next one."""
    *_, lent = commands(README)
    mount = place.share / "aap"
    consumer = podman_shell(place.podman, "--user=1000:1000", "-v", f"{place.share}:/tmp:ro,rslave")
    keys = set()
    for end in (signal.SIGKILL, signal.SIGTERM):
        place.run(lent)
        until(lambda: is_there(mount / ".aapfs/status") and is_there(mount / "payments"), why=place.say)
        if not keys:
            write(mount)
        keys.add((mount / "payments/client_key_id").read_text())
        assert consumer.read("/tmp/aap/payments/client_key_id") in keys and len(keys) == 1
        processes = [line.split() for line in place.podman.run("top", "aapfs", "hpid", "comm").splitlines()]
        (supervisor,) = [int(pid) for pid, name in processes if name == "aapfs"]
        os.kill(supervisor, end)
        assert place.background.wait(30) == (128 + end if end == signal.SIGKILL else 0)
        place.background.stderr.close()
        assert os.listdir(mount) == []
        assert consumer.ask("ls -A /tmp/aap") == ("", 0)
    consumer.end()


@pytest.mark.full
@pytest.mark.parametrize("seen", [True, pytest.param(False, marks=pytest.mark.full)])
def test_without_any_privilege(place, seen):
    *_, lent = commands(README)
    if not seen:  # as where it is not bound in
        lent = lent.replace("    -v /run/aap-share:/run/aap-share:ro,rslave aapfs /dev/fd/3 /run/aap-share/aap", "    aapfs /dev/fd/3")
        assert "aap-share:" not in lent
    place.run(lent)
    works(place, inotify=seen)
    if seen:
        writes_its_state_alone(place)
    inside = place.podman.run("top", "aapfs", "comm", "capeff", "seccomp").splitlines()
    assert len(inside) == 5 and all("none" in line for line in inside[1:]), inside
    place.background.send_signal(signal.SIGTERM)
    assert place.background.wait(30) == 0, place.background.stderr.read()
    place.background.stderr.close()
    assert os.listdir(place.share / "aap") == []


def test_an_upgrade_of_a_lent_mount(start_mount, emulator, installed, tmp_path):
    path = tmp_path / "aap"
    # ends well if the mount is still there when aapfs has ended
    looks = ["bash", "-c", 'trap : TERM; "$@" & wait; kill $!; wait $! && grep -q " $0 .* fuse.aapfs " /proc/self/mountinfo', path]
    mount = start_mount(emulator.url, "/dev/fd/3", binary=installed.path, wrap=[AAPFS, "with-mount", path, *looks],
                        expected_errors="aapfs: upgraded: this is version 0.1.1\n")
    mount.write("payments", PASSWORD)
    before = mount.key_id()
    installed.install(NEXT)
    assert upgrade(mount).returncode == 0
    assert (mount.status()["Version"], mount.status()["Inotify"]) == ("0.1.1", True)
    mount.write("payments", PASSWORD)
    assert mount.key_id() != before


@pytest.mark.long
def test_the_containerfile(tmp_path):
    """On a Debian root of debootstrap, which stands in for the registry's image."""
    root = tmp_path / "debian"
    make_debian(root, codename="bookworm")
    archive = tmp_path / "debian.tar"
    subprocess.run(["tar", "-C", root, "--exclude=./dev/*", "--exclude=./var/cache/apt/archives/*.deb", "-cf", archive, "."],
                   check=True)
    shutil.rmtree(root)
    podman = Podman(tmp_path, network="host")
    podman.run("import", "-q", archive, "docker.io/library/debian:12-slim")
    archive.unlink()
    source = tmp_path / "source"
    subprocess.run(["git", "clone", "--quiet", ROOT, source], check=True)
    (command,) = re.findall(r"`(podman build .*?)`", README.read_text())
    podman.run(*command.split()[1:-1], "--network", "host", "--layers=false", source, timeout=1500, cwd=source)
    assert podman.run("run", "--rm", "localhost/aapfs", "--version") == "aapfs 0.1.0\n"
    path = tmp_path / "aap"
    path.mkdir()
    done = podman.run("run", "--rm", "--device=/dev/fuse", "--cap-add=SYS_ADMIN", "-v", f"{path}:/aap", "--entrypoint=sh",
                      "localhost/aapfs", "-c", "aapfs --region cn-hangzhou --endpoint http://127.0.0.1:1 /aap && cat /aap/.aapfs/status; umount /aap")
    assert json.loads(done)["Version"] == "0.1.0"
    podman.run("rmi", "--all", "--force")


@pytest.mark.full
def test_what_the_readme_says(start_mount, emulator, tmp_path):
    mount = start_mount(emulator.url, sections="[aap payments]\ngroup = 1000\n")
    mount.write("payments", PASSWORD)
    plugin = Plugin(tmp_path, mount.path)
    podman = Podman(tmp_path, {"aapfs": plugin.socket})
    place = Place(tmp_path, podman, {"/run/aap": mount.path})
    directory, volume = commands(ROOT / "README.md")
    for block in (directory, volume):
        assert json.loads(place.run(block).splitlines()[-1])["KeyId"] == mount.key_id()
    assert plugin.names() == ["kms-payments"]
    podman.stop()
    plugin.end()


@pytest.mark.core
def test_with_mount(tmp_path):
    path = tmp_path / "aap"
    path.mkdir()

    def with_mount(*words):
        done = run_aapfs("with-mount", path, *words)
        assert os.listdir(path) == []  # not mounted
        return done.returncode, done.stderr

    assert with_mount("sh", "-c", "exit 7") == (7, "")
    assert with_mount("sh", "-c", "kill -9 $$") == (137, "")
    assert with_mount("sh", "-c", "test /proc/self/fd/3 -ef /dev/fuse") == (0, "")
    assert with_mount("/nowhere") == (127, "aapfs: with-mount: /nowhere: No such file or directory\n")
    assert run_aapfs("with-mount", path).returncode == 2
    own = ["--state", tmp_path / "state", "--state-key", make_state_key(tmp_path / "key"), "--region", "cn-hangzhou",
           "--endpoint", "http://127.0.0.1:1"]
    for descriptor, source in ((0, "/dev/null"), (7, None)):
        done = run_aapfs("-f", *own, f"/dev/fd/{descriptor}", path, stdin=subprocess.DEVNULL)
        assert (done.returncode, done.stderr) == (
            1, f"aapfs: /dev/fd/{descriptor}: no open /dev/fuse; see with-mount in aapfs(1)\n")


def test_with_mount_takes_the_options_of_mount_aapfs(tmp_path):
    path = tmp_path / "aap"
    path.mkdir()

    def with_mount(*options):
        words = ["sh", "-c", f"grep ' {path} ' /proc/self/mountinfo"]
        return run_aapfs("with-mount", *options, path, *words)

    done = with_mount("-o", "_netdev,nofail,x-systemd.automount,relatime,user", "-o", "ro,suid", "-o", 'comment="a,b"')
    assert (done.returncode, done.stderr) == (0, "")
    flags = done.stdout.split()[5].split(",")
    assert "ro" in flags and "nosuid" in flags
    done = with_mount("-o", "config=/etc/aapfs/aapfs.conf,region=cn-hangzhou,state_key=/k")
    assert (done.returncode, done.stderr) == (
        0, "aapfs: with-mount: -o config=, region=, endpoint=, state= and state_key= are the daemon's: give them to it, too\n")
    for options, why in (("remount", "-o remount: a mount is not mounted again"), ("config=here", "-o config: right is a path from the root"),
                         ('context="a', 'a quotation mark is missing')):
        done = with_mount("-o", options)
        assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith("aapfs: with-mount: -o ") and why in done.stderr
