"""What was read before is read on while every process of the mount is stopped; and no name is believed for too long."""
import os
import pathlib
import subprocess
import sys
import time

import pytest

from parts.harness import PASSWORD, until
from parts.stops import arm, with_stops
from parts.tree import NAMES, everything_shows
from parts.watch import names_moved_to

READ = r"""
import os, sys
mount, key_id = sys.argv[1:]
def whole(path):
    file = os.open(path, os.O_RDONLY)
    content = os.read(file, 65536)
    assert len(content) == os.fstat(file).st_size and os.read(file, 1) == b"", path
    os.close(file)
    return content
names = os.listdir(f"{mount}/payments")
own = os.listdir(f"{mount}/payments/keys/{key_id}")
assert sorted(os.listdir(mount)) == [".aapfs", "orders", "payments"] and "client_key.json" in names and len(own) == 9
assert key_id in os.listdir(f"{mount}/payments/keys") and "control" in os.listdir(f"{mount}/.aapfs")
assert os.readlink(f"{mount}/payments/current") == f"keys/{key_id}"
for name in own:
    found = [whole(f"{mount}/payments{directory}/{name}") for directory in ("", "/current", f"/keys/{key_id}")]
    assert found[0] == found[1] == found[2], name
os.stat(f"{mount}/payments/control")
assert whole(f"{mount}/payments/client_key_id") == f"{key_id}\n".encode()
"""


ASK_FOR_EXTENDED_ATTRIBUTES = r"""
import errno, os, sys
for ask in (os.listxattr, lambda path: os.getxattr(path, "security.capability")):
    try:
        raise AssertionError(ask(sys.argv[1] + "/payments/current/client_key.json"))
    except OSError as error:
        assert error.errno == errno.EOPNOTSUPP, error
"""


def read_all(mount, key_id, seconds=20):
    """All that a reader may want of an AAP, in a process that can be given up; whether it got it."""
    reader = subprocess.Popen([sys.executable, "-c", READ, mount.path, key_id])
    try:
        return reader.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        reader.kill()
        return False


def warm(mount, key_id):
    """Twice: when it has read a page or a listing, the kernel asks once more for the time of it, which stat(2) tells."""
    assert read_all(mount, key_id) and read_all(mount, key_id)


def stays_readable(mount, key_id, seconds):
    """
    Whether what was read is read on after all processes have stood still for so long. Thrice: the kernel may take a page
    or a name away from anybody, whatever it was told of their lives.
    """
    for _ in range(3):
        warm(mount, key_id)
        with mount.stopped():
            time.sleep(seconds)
            if read_all(mount, key_id, 5):
                return True
    return False


@pytest.mark.full
@pytest.mark.core
def test_everything_stopped(start_mount, emulator):
    """For several settle times; after a rotation too, and with what a worker left to the next."""
    settle = 1
    mount = start_mount(emulator.url, settings_of_mount=f"settle = {settle}s", expected_errors=None)
    for rotation in range(3):
        mount.write("payments", PASSWORD)
        if rotation == 2:
            mount.kill("aapfs-worker")
            until(lambda: mount.status("payments"))
        key_id = mount.key_id()
        time.sleep(settle)  # what was handed out before the rotation was over
        assert stays_readable(mount, key_id, 3 * settle)
        warm(mount, key_id)
        with mount.stopped():
            words = ["cat", f"{mount.path}/payments/client_key.json"]
            assert subprocess.run(words, stdout=subprocess.DEVNULL, timeout=20).returncode == 0
            for directory in ("payments", "payments/keys", "payments/current/", ".aapfs"):
                subprocess.run(["ls", mount / directory], stdout=subprocess.DEVNULL, timeout=20, check=True)
            subprocess.run(["ls", "-l", mount / "payments/current/"], stdout=subprocess.DEVNULL, timeout=20, check=True)
            # as ls -l does on some machines
            subprocess.run([sys.executable, "-c", ASK_FOR_EXTENDED_ATTRIBUTES, mount.path], timeout=20, check=True)
    everything_shows(mount, key_id)


def test_what_is_at_rest_is_asked_for_once(start_mount, emulator):
    """Counted: what goes on for longer than settle costs no request."""
    mount = start_mount(emulator.url, settings_of_mount="settle = 1s")
    mount.write("payments", PASSWORD)
    key_id = mount.key_id()
    time.sleep(0.6)  # half of settle: names that were loose
    warm(mount, key_id)

    def asked():
        requests = mount.status()["Requests"]  # which asks by itself in .aapfs alone
        return {name: count for name, count in requests.items() if name != "STATFS"}

    before, end = asked(), time.monotonic() + 1.5
    while time.monotonic() < end:
        assert mount.key_id() == key_id
        assert os.readlink(mount / "payments/current") == f"keys/{key_id}"
        os.listdir(mount / "payments")
    after = asked()
    # Python's open() asks whether it is a terminal
    assert {name: after[name] - before.get(name, 0) for name in after if name != "IOCTL"} == dict.fromkeys(
        (name for name in after if name != "IOCTL"), 0)


@pytest.fixture
def mount(start_mount, emulator, stops):
    """With a key whose names everybody has read, at rest."""
    mount = start_mount(emulator.url, request_timeout="20s", expected_errors=None, settings_of_mount=f"settle = {SETTLE}s",
                        **with_stops(stops))
    mount.stops = stops
    mount.write("payments", PASSWORD)
    time.sleep(SETTLE / 2 + 0.1)
    warm(mount, mount.key_id())
    return mount


SETTLE = 2


def names_shown(mount, before):
    """Which names show another key than BEFORE did."""
    return {name for name in NAMES[1:] if name != "key_algorithm" and (mount / "payments" / name).read_bytes() != before[name]}


def rotate_without_publisher(mount, place, after=2):
    """
    A writer, and what the names showed before. Who comes to PLACE dies there, and no publisher lives that takes a piece
    of work after the first AFTER: keys/<id>, and the names.
    """
    before = {name: (mount / "payments" / name).read_bytes() for name in NAMES[1:]}
    mount.second = pathlib.Path(f"{mount.stops}.2")
    mount.second.write_text(f"publisher-taken {after} 100000\n")
    if place:
        arm(mount.stops, place)
    return subprocess.Popen(["sh", "-c", f"echo {PASSWORD} > {mount.path}/payments/control"]), before


def went(mount, times=1):
    return until(lambda: mount.errors().count("aapfs-publisher was killed") >= times and time.monotonic())


@pytest.mark.full
@pytest.mark.parametrize("place", ["publisher-between 4", "publisher-last 1", "publisher-between"])
def test_names_move_when_the_publisher_is_gone(mount, place):
    """It dies in the middle, and none lives to go on. The worker goes on without it, and later tells who watches."""
    watch = names_moved_to(mount / "payments")
    writer, before = rotate_without_publisher(mount, place)
    died = went(mount)
    everything = set(NAMES[1:]) - {"key_algorithm"}
    until(lambda: names_shown(mount, before) == everything, 30)
    assert time.monotonic() - died < SETTLE + 0.5
    assert mount.second.exists() and writer.poll() is None
    mount.second.unlink()
    assert writer.wait(40) == 0
    watch.until(NAMES)
    watch.end()
    everything_shows(mount, mount.key_id())
    # and at rest again, when those who held a file of the key before were told
    key_id = mount.key_id()
    time.sleep(2 * SETTLE)
    assert stays_readable(mount, key_id, 1.5 * SETTLE)


@pytest.mark.full
def test_names_that_nobody_has_loosened(mount):
    """
    The publisher dies before it has done anything. Since Linux 6.16 the worker can have the kernel ask again; else
    every name stays as it was. Never something in between, for longer than a loose name lives.
    """
    writer, before = rotate_without_publisher(mount, None, after=1)
    died = went(mount)
    everything = set(NAMES[1:]) - {"key_algorithm"}
    if tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 16):
        until(lambda: names_shown(mount, before) == everything, 30)
        assert time.monotonic() - died < SETTLE + 0.5
    else:
        while time.monotonic() < died + SETTLE + 1:
            assert not names_shown(mount, before)
    mount.second.unlink()
    assert writer.wait(40) == 0
    everything_shows(mount, mount.key_id())


@pytest.mark.full
@pytest.mark.parametrize("place", ["session-renamed", "session-renamed 4", "session-hidden-lookup"])
def test_names_move_when_worker_and_publisher_are_gone(mount, place):
    writer, before = rotate_without_publisher(mount, place)
    until(lambda: "aapfs-worker was killed" in mount.errors())
    died = time.monotonic()
    everything = set(NAMES[1:]) - {"key_algorithm"}
    until(lambda: names_shown(mount, before) == everything, 30)
    assert time.monotonic() - died < SETTLE + 1
    assert not mount.stops.exists()
    mount.second.unlink()
    assert writer.wait(40) == 0
    everything_shows(mount, mount.key_id())


@pytest.mark.full
def test_a_held_file_follows_though_it_was_believed_for_long(mount):
    """Its attributes end before it shows another key, whoever tells the kernel or not."""
    held = os.open(mount / "payments/client_key_id", os.O_RDONLY)
    old = os.pread(held, 100, 0)
    mount.write("payments", PASSWORD)
    began = time.monotonic()
    arm(mount.stops, "publisher-follows 0 100000")
    while time.monotonic() < began + SETTLE - 0.1:
        assert os.pread(held, 100, 0) == old
    time.sleep(max(0, began + SETTLE + 0.6 - time.monotonic()))
    assert os.pread(held, 100, 0).decode().strip() == mount.key_id()
    mount.stops.unlink()
    os.close(held)


@pytest.mark.full
def test_a_directory_that_goes(mount, emulator):
    """A deleted key's files were believed for long: they are gone with the delete."""
    first = mount.key_id()
    mount.write("payments", PASSWORD)
    path = mount / "payments/keys" / first / "client_key.json"
    path.read_bytes()
    mount.write("payments", f"delete {first}")
    assert not path.exists() and first not in os.listdir(mount / "payments/keys")


@pytest.mark.full
def test_a_directory_that_goes_when_worker_and_publisher_are_gone(mount):
    """The worker has taken it away, and the kernel was not told so."""
    first = mount.key_id()
    mount.write("payments", PASSWORD)
    path = mount / "payments/keys" / first / "client_key.json"
    time.sleep(SETTLE / 2 + 0.1)
    path.read_bytes()
    second = pathlib.Path(f"{mount.stops}.2")
    second.write_text("publisher-taken 1 100000\n")
    arm(mount.stops, "session-removed")
    writer = subprocess.Popen(["sh", "-c", f"echo delete {first} > {mount.path}/payments/control"], stderr=subprocess.DEVNULL)
    until(lambda: "aapfs-worker was killed" in mount.errors())
    died = time.monotonic()
    until(lambda: not path.exists(), 30)
    assert time.monotonic() - died < SETTLE
    assert not mount.stops.exists()
    second.unlink()
    writer.wait(40)
