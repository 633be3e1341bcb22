"""Idmapped binds, as pods with hostUsers: false and podman's :idmap have them; Linux 6.12 and later."""
import errno
import json
import os
import platform
import re
import signal
import subprocess
import sys

import pytest

from parts.harness import INSIDE, PASSWORD, until
from parts.log import KILLED
from parts.processes import children_of
from parts.starter import starter

IDMAPPED = INSIDE / "idmapped.py"
REFUSED = 99
AUDITED = re.compile(r"aapfs: audit: .*\n|" + KILLED.pattern)
PLAIN = ["setpriv", "--reuid=101000", "--regid=102000", "--clear-groups"]  # of the pod's user 1000, group 2000

recent = pytest.mark.skipif(tuple(map(int, platform.release().split(".")[:2])) < (6, 12), reason="Linux before 6.12: FUSE has no idmapped mounts")


def through(mount, *command, target=None, **more):
    target = target or mount.directory / "idmapped"
    target.mkdir(exist_ok=True)
    return subprocess.run(["unshare", "--mount", "--propagation", "private", sys.executable, IDMAPPED, mount.path, target, *command],
                          capture_output=True, text=True, timeout=60, cwd=mount.directory, **more)


@recent
def test_keys_are_read_with_mapped_ids(start_mount, emulator):
    mount = start_mount(emulator.url, defaults="group = 2000")
    mount.write("payments", PASSWORD)
    key = mount.read("payments", "client_key.json")
    done = through(mount, *PLAIN, "sh", "-c", "stat -c %u:%g idmapped/payments/client_key.json; cat idmapped/payments/client_key.json")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "100000:102000\n" + key)
    # the host's own group is none of the pod's
    done = through(mount, "setpriv", "--reuid=101000", "--regid=2000", "--clear-groups", "cat", "idmapped/payments/client_key.json")
    assert done.returncode == 1 and "Permission denied" in done.stderr


@recent
def test_a_rotation_reaches_an_idmapped_bind(mount):
    mount.write("payments", PASSWORD)
    first = mount.key_id()
    done = through(mount, "sh", "-ec", f"cd idmapped/payments; cat client_key_id; echo '{PASSWORD}' > {mount.path}/payments/control; cat client_key_id")
    second = mount.key_id()
    assert (done.returncode, done.stdout.split()) == (0, [first, second]) and first != second


@recent
@pytest.mark.skipif(os.stat("/proc/self/ns/pid").st_ino != 0xEFFFFFFC, reason="not in the host's pid namespace")
def test_audit_has_the_ids_that_the_host_knows(start_mount, emulator):
    mount = start_mount(emulator.url, settings_of_mount="audit = yes", defaults="group = 2000", expected_errors=AUDITED)
    mount.write("payments", PASSWORD)
    for _ in range(2):
        assert through(mount, *PLAIN, "cat", "idmapped/payments/client_key.json").returncode == 0
        os.kill(mount.children()["aapfs-worker"], 9)  # the next one knows them too
    lines = [json.loads(line) for line in mount.read(".aapfs", "audit").splitlines()[1:]]
    assert [(line["Uid"], line["Gid"], line["Program"]) for line in lines] == [(101000, 102000, "cat")] * 2


@recent
def test_a_write_through_an_idmapped_bind_is_its_user_s(start_mount, emulator):
    """The pod's root is another user than the host's: what both of them write is not taken for one write repeated."""
    mount = start_mount(emulator.url, defaults="control_group = 2000")
    done = through(mount, *PLAIN, "sh", "-c", f"echo {PASSWORD} > idmapped/payments/control")
    assert (done.returncode, done.stderr) == (0, "") and emulator.count("CreateClientKey") == 1


class InPidNamespace:
    """A mount whose daemon is in pid and mount namespaces of its own, as in a container."""

    def __init__(self, start_mount, url, **parts):
        self.mount = start_mount(url, wrap=["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"], listed=False, **parts)
        self.pid, = children_of(self.mount.process.pid)

    def run(self, *words, inside=False):
        """From the pid namespace of here, or INSIDE of the mount's."""
        enter = ["nsenter", f"--mount=/proc/{self.pid}/ns/mnt", *([f"--pid=/proc/{self.pid}/ns/pid"] if inside else [])]
        return subprocess.run([*enter, *words], capture_output=True, text=True, timeout=60)

    def end(self):
        os.kill(self.pid, signal.SIGTERM)
        assert self.mount.process.wait(30) == 0


@pytest.fixture
def start_in_pid_namespace(start_mount):
    yield from starter(lambda *words, **parts: InPidNamespace(start_mount, *words, **parts), InPidNamespace.end)


def test_a_container_that_audits_and_cannot_see_its_callers_keeps_their_ids(start_in_pid_namespace, emulator):
    """Where /proc has no caller, the ids are the kernel's own word, and that it gives only without idmapped binds."""
    place = start_in_pid_namespace(emulator.url, settings_of_mount="audit = yes", defaults="group = 102000", expected_errors=AUDITED)
    mount = place.mount
    until(lambda: place.run("test", "-d", mount / "payments").returncode == 0)
    assert place.run("sh", "-c", f"echo {PASSWORD} > {mount.path}/payments/control").returncode == 0
    assert place.run(*PLAIN, "cat", mount / "payments/client_key.json").returncode == 0
    line = json.loads(place.run("tail", "-n", "1", mount / ".aapfs/audit").stdout)
    assert (line["Pid"], line["Uid"], line["Gid"]) == (0, 101000, 102000)
    (mount.directory / "idmapped").mkdir()
    assert place.run(sys.executable, IDMAPPED, mount.path, mount.directory / "idmapped", "true", inside=True).returncode == REFUSED


@recent
def test_a_container_that_does_not_audit_allows_them(start_in_pid_namespace, emulator):
    place = start_in_pid_namespace(emulator.url)
    idmapped = place.mount.directory / "idmapped"
    idmapped.mkdir()
    done = place.run("unshare", "--mount", sys.executable, IDMAPPED, place.mount.path, idmapped, "ls", idmapped / ".aapfs", inside=True)
    assert (done.returncode, done.stderr, done.stdout.split()) == (0, "", ["control", "last_error", "metrics.prom", "status"])


@pytest.mark.parametrize("inside", [True, False])
def test_a_process_that_is_not_seen_is_taken_for_another(start_in_pid_namespace, emulator, inside):
    """By creation_guard: all of them have the number 0."""
    place = start_in_pid_namespace(emulator.url, creation_guard="1h")
    control = place.mount / "payments/control"
    until(lambda: place.run("test", "-f", control).returncode == 0)
    done = place.run("sh", "-c", f"echo {PASSWORD} > {control}; echo {PASSWORD} > {control}", inside=inside)
    assert done.returncode == (0 if inside else 1) and emulator.count("CreateClientKey") == (2 if inside else 1)


# writes, is interrupted, and writes the same again: the second one's errno
REPEAT = """
import os, signal, sys
def interrupt(number, frame):
    raise InterruptedError
def write():
    control = os.open(sys.argv[1], os.O_WRONLY)
    try:
        return os.write(control, sys.argv[2].encode() + b"\\n") and 0
    except OSError as error:
        return error.errno
    finally:
        os.close(control)
signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, 0.2)
write()
print(write())
"""


@recent
@pytest.mark.parametrize("inside, ends_with", [(True, 0), (False, errno.EBUSY)])
def test_a_write_by_nobody_knows_whom_joins_no_other(start_in_pid_namespace, emulator, inside, ends_with):
    """A user who is seen gets the result of what he wrote before. One who is not may be another, who knows the password."""
    place = start_in_pid_namespace(emulator.url, request_timeout="10s")
    until(lambda: place.run("test", "-d", place.mount / "payments").returncode == 0)
    emulator.set_faults("CreateClientKey delay=1000")
    done = place.run(sys.executable, "-c", REPEAT, place.mount / "payments/control", PASSWORD, inside=inside)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", f"{ends_with}\n")
    assert emulator.count("CreateClientKey") == 1
