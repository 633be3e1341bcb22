"""Keys in containers: each runtime, each way to hand them in, and what may happen meanwhile. See parts/containers.py."""
import errno
import json
import math
import os
import re
import signal
import subprocess
import time

import pytest

from parts.containers import IMAGE, Podman, bwrap_shell, podman_shell, runc_shell
from parts.harness import AAPFS, NEXT, PASSWORD, Mount, until
from parts.log import KILLED
from parts.upgrade import upgrade

SETTLE = 1
SAID = re.compile(KILLED.pattern + r"|aapfs: upgraded: this is version 0\.1\.[01]\n")
SECTIONS = "[aap payments]\ngroup = 1000\n[aap orders]\ngroup = 1001\n"


@pytest.fixture
def shared(tmp_path):
    """A directory whose mounts are seen in containers that have it already."""
    path = tmp_path / "shared"
    path.mkdir()
    subprocess.run(["mount", "--bind", path, path], check=True)
    subprocess.run(["mount", "--make-rshared", path], check=True)
    yield path
    subprocess.run(["umount", "-l", path], check=True)


@pytest.fixture
def shared_mount(shared, emulator, installed):
    mount = Mount(shared, emulator.url, sections=SECTIONS, settings_of_mount=f"settle = {SETTLE}s", binary=installed.path)
    for aap in ("payments", "orders"):
        mount.write(aap, PASSWORD)
    yield mount
    mount.stop(SAID)


@pytest.fixture
def podman(tmp_path):
    started = Podman(tmp_path)
    yield started
    started.stop()


def key_at(shell, path):
    """The id of the whole key that is read at PATH."""
    text = shell.read(path)
    assert text.startswith("{"), text
    key = json.loads(text)
    assert len(key["PrivateKeyData"]) > 2000
    return key["KeyId"]


def follows(mount, shell, path):
    """A bind of one file has the current key within the settle time."""
    until(lambda: key_at(shell, path) == mount.key_id(), SETTLE + 2)


def refuses(shell, *controls):
    """Nobody in there makes a key; neither do others' keys open."""
    for control in controls:
        output, status = shell.ask(f"echo rotate > {control}")
        assert status and ("Read-only file system" in output or "Permission denied" in output), output


def look_around(mount, shell):
    """/keys: an AAP's directory, /key.json: a file of it, /tmp: all of the mount's parent."""
    assert key_at(shell, "/keys/client_key.json") == mount.key_id()
    assert key_at(shell, "/key.json") == mount.key_id()
    assert key_at(shell, "/tmp/aap/payments/client_key.json") == mount.key_id()
    refuses(shell, "/keys/control", "/tmp/aap/payments/control", "/tmp/aap/.aapfs/control")
    assert shell.ask("cat /tmp/aap/orders/client_key.json") == (
        "cat: can't open '/tmp/aap/orders/client_key.json': Permission denied\n", 1)
    mount.write("payments", PASSWORD)
    assert key_at(shell, "/keys/client_key.json") == mount.key_id()
    assert key_at(shell, "/tmp/aap/payments/client_key.json") == mount.key_id()
    follows(mount, shell, "/key.json")
    assert shell.end() == ""


def ways_in(mount):
    return {"/keys": mount / "payments", "/key.json": mount / "payments/client_key.json", "/tmp": mount.directory}


def volumes(mount, propagation="rslave"):
    return [word for inside, outside in ways_in(mount).items()
            for word in ("-v", f"{outside}:{inside}:ro" + (f",{propagation}" if inside == "/tmp" else ""))]


LOCKED_DOWN = ["--user=1000:1000", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]


def test_podman(shared_mount, podman):
    look_around(shared_mount, podman_shell(podman, *LOCKED_DOWN, *volumes(shared_mount)))


@pytest.mark.full
def test_runc(shared_mount, tmp_path):
    look_around(shared_mount, runc_shell(tmp_path, ways_in(shared_mount)))


@pytest.mark.full
def test_bubblewrap(shared_mount, tmp_path):
    look_around(shared_mount, bwrap_shell(tmp_path, ways_in(shared_mount)))


@pytest.mark.full
def test_a_user_namespace(shared, emulator, installed, podman):
    """Its uid 1000 is another one here."""
    mount = Mount(shared, emulator.url, sections=SECTIONS.replace("1000", "101000"), binary=installed.path,
                  settings_of_mount=f"settle = {SETTLE}s")
    mount.write("payments", PASSWORD)
    mount.write("orders", PASSWORD)
    look_around(mount, podman_shell(podman, "--uidmap=0:100000:65536", "--user=1000:1000", *volumes(mount)))
    mount.stop()


@pytest.mark.full
def test_root_in_a_container(shared_mount, podman, tmp_path):
    """It reads what it is shown, and makes no key."""
    before = shared_mount.key_id()
    for start in (lambda: podman_shell(podman, *volumes(shared_mount)),
                  lambda: podman_shell(podman, "--uidmap=0:100000:65536", *volumes(shared_mount)),
                  lambda: runc_shell(tmp_path, {"/keys": shared_mount / "payments"}, user=0)):
        shell = start()
        refuses(shell, "/keys/control")
        for command in ("rm /keys/client_key_id", "touch /keys/new", "rm -rf /keys/keys", "rm /key.json", "rmdir /keys/keys"):
            assert shell.ask(command)[1] != 0
        shell.end()
    assert shared_mount.key_id() == before


LEASE = r'''
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
int main(int count, char **paths)
{
    int file = open(paths[1], O_RDONLY);
    puts(file < 0 ? "not open" : fcntl(file, F_SETLEASE, F_WRLCK) == 0 ? "taken" : strerror(errno));
    fflush(stdout);
    return getchar() == EOF ? 0 : 1;
}
'''


@pytest.mark.full
def test_who_reads_by_its_group_takes_no_lease(shared_mount, podman, tmp_path):
    """It would keep all who open the file waiting, for 45 s: by it the kernel trusts an owner, and aapfs is not asked."""
    subprocess.run(["gcc", "-static", "-Wall", "-Werror", "-x", "c", "-", "-o", tmp_path / "lease"], input=LEASE, text=True, check=True)
    (tmp_path / "lease").chmod(0o755)

    def tries(*options):
        words, env = podman.command("run", "--rm", "-i", *options, "-v", f"{tmp_path}/lease:/lease:ro",
                                    "-v", f"{shared_mount / 'payments'}:/keys:ro", IMAGE, "/lease", "/keys/client_key.json")
        process = subprocess.Popen(words, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        said = process.stdout.readline().strip()
        began = time.monotonic()
        if said != "taken":
            shared_mount.read("payments", "client_key.json")
        waited = time.monotonic() - began
        process.communicate("", timeout=60)
        assert process.returncode == 0
        return said, waited

    said, waited = tries(*LOCKED_DOWN)
    assert said == "Permission denied" and waited < 10
    # the owner's: else this would show nothing; a kernel may come that asks filesystems, and has FUSE say no
    assert tries()[0] in ("taken", "Invalid argument")


@pytest.mark.full
def test_a_mount_that_came_later(shared, emulator, installed, podman):
    """The parent, with propagation: what is mounted when the container runs already is seen; and so is the next mount."""
    shell = podman_shell(podman, "--user=1000:1000", "-v", f"{shared}:/tmp:ro,rslave")
    assert shell.ask("ls /tmp") == ("", 0)
    for _ in range(2):
        mount = Mount(shared, emulator.url, sections=SECTIONS, binary=installed.path)
        mount.write("payments", PASSWORD)
        assert key_at(shell, "/tmp/aap/payments/client_key.json") == mount.key_id()
        refuses(shell, "/tmp/aap/payments/control")
        mount.stop()
        assert shell.ask("cat /tmp/aap/payments/client_key.json")[1] != 0
    assert shell.end() == ""


def kill(mount, name):
    """A process that is there: one that was killed just before may not be back yet."""
    os.kill(until(lambda: mount.children().get(name)), signal.SIGKILL)


# what three places show, and between which times: all by the shell itself, but for cat
READER = r"""(while read -r before _ < /proc/uptime; do
    said=
    for file in /keys/client_key.json /tmp/aap/payments/client_key.json /key.json; do
        text=$(cat $file) || continue 2
        id=${text#'{"KeyId":"'}
        [ ${#text} -gt 2000 ] && [ "${text%'"}'}" != "$text" ] || echo "torn: $text" >&3
        said="$said ${id%%'"'*}"
    done
    read -r after _ < /proc/uptime
    echo "$before $after$said" >&3
done) 2>&3 &"""


class Keys:
    """Which key of payments was current when, on the clock of /proc/uptime."""

    def __init__(self, mount):
        self.mount = mount
        self.begins, self.ends = {mount.key_id(): 0}, {}

    def rotate(self, write):
        """A write that was killed may have made a key, too: it is current for a part of that time, or was not at all."""
        began = self.now()
        write(self.mount)
        ended = self.now()
        for key in os.listdir(self.mount / "payments/keys"):
            if key in self.begins:
                self.ends.setdefault(key, ended)
            else:
                self.begins[key] = began
        assert self.mount.key_id() not in self.ends

    def now(self):
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def judge(self, line):
        """One of READER's: each key was current between its two times; the single file's, up to the settle time before."""
        before, after, *keys = line.split()
        assert len(keys) == 3, line
        for key, late in zip(keys, (0, 0, SETTLE)):
            assert self.begins[key] <= float(after) + 0.01, line
            assert self.ends.get(key, math.inf) + late >= float(before), line


def survive(mount, installed, shell, rotations, kills, upgrades):
    """Of payments /keys and /key.json, of orders /orders, and the mount's parent at /tmp."""
    events = ["kill"] * kills + ["upgrade"] * upgrades
    denied = "cat: can't open '/orders/client_key.json': Permission denied\n"
    keys = Keys(mount)
    shell.collect()
    shell.ask(READER)
    for i in range(rotations):
        for event in events[i::rotations]:
            if event == "kill":
                kill(mount, ("aapfs-worker", "aapfs-publisher", "aapfs-runner")[i % 3])
            else:
                installed.install(AAPFS if mount.status()["Version"] != "0.1.0" else NEXT)
                assert upgrade(mount).returncode == 0
        keys.rotate(write_until_done)
        for place in ("/keys", "/tmp/aap/payments"):
            assert key_at(shell, f"{place}/client_key.json") == mount.key_id()
        assert shell.ask("cat /orders/client_key.json") == (denied, 1)
        follows(mount, shell, "/key.json")
    said = shell.end().splitlines()
    for line in said:  # ENOTCONN, and whatever else went wrong, would be one
        keys.judge(line)
    assert len(said) > 10 * rotations


def write_until_done(mount):
    """A write that a killed worker had in its hands is EIO: written again, as a person would."""
    for _ in range(20):
        try:
            mount.write("payments", PASSWORD)
            return
        except OSError as error:
            assert error.errno in (errno.EIO, errno.EBUSY)
    raise AssertionError("20 writes, no key")


@pytest.mark.full
@pytest.mark.parametrize("start", [runc_shell, bwrap_shell])
def test_a_kill_and_an_upgrade(shared_mount, installed, tmp_path, start):
    shell = start(tmp_path, {**ways_in(shared_mount), "/orders": shared_mount / "orders"})
    survive(shared_mount, installed, shell, rotations=2, kills=1, upgrades=1)


@pytest.mark.full
def test_twenty_rotations_twenty_kills_and_three_upgrades(shared_mount, installed, podman):
    shell = podman_shell(podman, "--user=1000:1000", "--cap-drop=ALL", *volumes(shared_mount),
                         "-v", f"{shared_mount / 'orders'}:/orders:ro")
    survive(shared_mount, installed, shell, rotations=20, kills=20, upgrades=3)
