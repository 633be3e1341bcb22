"""A process is killed at each step of a rotation: its successor goes on, and nobody sees half of it."""
import errno
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

from parts.harness import PASSWORD, until
from parts.log import KILLED
from parts.processes import state_of, wait_for_end
from parts.stops import arm, with_stops
from parts.tree import NAMES, everything_shows
from parts.watch import names_moved_to

# where, which process, and whether the key was safe by then: the write succeeds
PLACES = [
    ("session-lookup", "aapfs-worker", True),
    ("engine-taken", "aapfs-worker", False),
    ("engine-reserved", "aapfs-worker", False),
    ("engine-answered", "aapfs-worker", False),
    ("engine-saved", "aapfs-worker", True),
    ("engine-judged", "aapfs-worker", True),
    ("engine-registered", "aapfs-worker", True),
    ("session-hidden-lookup", "aapfs-worker", True),
    ("session-hidden-lookup 4", "aapfs-worker", True),
    ("session-rename", "aapfs-worker", True),
    ("session-rename 5", "aapfs-worker", True),
    ("session-renamed", "aapfs-worker", True),
    ("session-renamed 5", "aapfs-worker", True),
    ("session-renamed 10", "aapfs-worker", True),
    ("engine-replying", "aapfs-worker", True),
    ("publisher-taken", "aapfs-publisher", True),
    ("publisher-taken 1", "aapfs-publisher", True),
    ("publisher-first", "aapfs-publisher", True),
    ("publisher-first 1", "aapfs-publisher", True),
    ("publisher-between", "aapfs-publisher", True),
    ("publisher-between 4", "aapfs-publisher", True),
    ("publisher-last", "aapfs-publisher", True),
    ("publisher-last 1", "aapfs-publisher", True),
]


@pytest.fixture
def watch(mount):
    with names_moved_to(mount / "payments") as watch:
        yield watch


@pytest.fixture
def mount(start_mount, emulator, stops):
    mount = start_mount(emulator.url, request_timeout="20s", expected_errors=None, **with_stops(stops))
    mount.write("payments", PASSWORD)
    return mount


def waits_uninterruptibly(pid):
    return [task for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
            if (task / "stat").read_text().rsplit(")", 1)[1].split()[0] == "D"]


@pytest.mark.parametrize("place, name, safe", PLACES)
def test_killed_at(mount, stops, emulator, watch, place, name, safe):
    before, created = mount.key_id(), emulator.count("CreateClientKey")
    processes = mount.children()
    arm(stops, place)
    try:
        if place == "session-lookup":
            assert not (mount / "payments/absent").exists()
        mount.write("payments", PASSWORD)
        failed = None
    except OSError as error:
        failed = error
    assert not stops.exists(), "the place was not passed"
    assert (failed is None) == safe, failed
    if safe:
        assert mount.key_id() != before
        assert emulator.count("CreateClientKey") == created + 1
        watch.until(NAMES)
    else:
        assert mount.key_id() == before
        assert emulator.count("CreateClientKey") <= created + 1
    everything_shows(mount, mount.key_id())
    successors = mount.children()
    assert successors[name] != processes[name] and set(successors) == set(processes)

    # and goes on as if nothing had been
    mount.write("payments", PASSWORD)
    watch.until(NAMES)
    everything_shows(mount, mount.key_id())
    assert not any(waits_uninterruptibly(pid) for pid in mount.pids())


def test_a_poisoned_request_is_refused_once(start_mount, emulator, stops):
    """Two workers crash with the same LOOKUP: the third refuses it, and serves everybody else."""
    said = re.compile(r"aapfs: aapfs-worker was killed by signal 6; it is started again.*\n|"
                      rf"aapfs: a LOOKUP request of process {os.getpid()} was refused: "
                      r"workers died with it again and again\n")
    mount = start_mount(emulator.url, expected_errors=said, **with_stops(stops))
    os.stat(mount / "payments")
    arm(stops, f"session-lookup 0 2 {signal.SIGABRT:d}")
    with pytest.raises(OSError) as raised:
        os.stat(mount / "payments/absent")
    assert raised.value.errno == errno.EIO and not stops.exists()
    until(lambda: "was refused" in mount.errors())
    with pytest.raises(FileNotFoundError):
        os.stat(mount / "payments/absent")


@pytest.mark.parametrize("kills", [2, 15])
def test_a_request_is_not_to_blame_for_workers_that_are_killed(start_mount, emulator, stops, kills):
    mount = start_mount(emulator.url, expected_errors=KILLED, **with_stops(stops))
    os.stat(mount / "payments")
    arm(stops, f"session-lookup 0 {kills}")
    with pytest.raises(FileNotFoundError):
        os.stat(mount / "payments/absent")
    assert not stops.exists()


def read_cold(path):
    """What the daemon has to say, not the kernel's pages."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        return os.read(descriptor, 16384)
    finally:
        os.close(descriptor)


def test_workers_that_die_at_once_are_started_again_and_again(mount, stops):
    """Whatever was read before is read meanwhile; the fourth worker serves."""
    path = mount / "payments/client_key.json"
    expected = path.read_bytes()
    arm(stops, "worker-begins 0 3")
    mount.kill("aapfs-worker")
    assert path.read_bytes() == expected
    assert read_cold(path) == expected
    assert not stops.exists()
    assert mount.errors().count("aapfs-worker was killed by signal 9; it is started again") == 4


def test_an_unmount_without_a_worker_is_noticed(mount, stops):
    arm(stops, "worker-begins 0 1000")
    mount.kill("aapfs-worker")
    until(lambda: mount.errors().count("after a while") >= 2)
    subprocess.run(["umount", "--no-canonicalize", mount.path], check=True)
    assert mount.process.wait(10) == 0
    stops.unlink()


def test_sigterm_without_a_worker_unmounts(mount, stops):
    arm(stops, "worker-begins 0 1000")
    mount.kill("aapfs-worker")
    until(lambda: mount.errors().count("after a while") >= 2)
    mount.process.terminate()
    assert mount.process.wait(10) == 0
    stops.unlink()


@pytest.mark.full
def test_names_converge_without_a_publisher(start_mount, emulator, stops):
    """The worker dies half-way, and no publisher lives to go on: when the kernel's time for a name is over, it is new."""
    mount = start_mount(emulator.url, request_timeout="20s", expected_errors=None, settings_of_mount="settle = 2s",
                        **with_stops(stops))
    mount.write("payments", PASSWORD)
    before = {name: (mount / "payments" / name).read_bytes() for name in NAMES[1:]}
    second = stops.with_name("stops.2")
    second.write_text("publisher-taken 2 100000\n")  # its third piece of work, and every one that comes after it
    arm(stops, "session-renamed 4")
    writer = subprocess.Popen(["sh", "-c", f"echo {PASSWORD} > {mount.path}/payments/control"])
    until(lambda: not any((mount / "payments" / name).read_bytes() == before[name] for name in NAMES[1:] if name != "key_algorithm"))
    assert not stops.exists() and second.exists()
    assert writer.poll() is None  # its key shows, but the kernel has not been told
    second.unlink()
    assert writer.wait(40) == 0
    everything_shows(mount, mount.key_id())


def test_all_killed_while_the_publisher_waits_for_the_mount(mount, stops):
    """Nobody is left to answer it: the connection ends, and nothing hangs."""
    pids, mount.stop = mount.children(), lambda *_: None
    arm(stops, "session-rename")
    mount.process.send_signal(signal.SIGSTOP)  # it starts no other worker
    writer = subprocess.Popen(["sh", "-c", f"echo {PASSWORD} > {mount.path}/payments/control"],
                              stderr=subprocess.DEVNULL)
    until(lambda: state_of(pids["aapfs-worker"]) == "Z")
    mount.process.kill()
    mount.process.wait()
    for pid in pids.values():
        wait_for_end(pid)
    assert writer.wait(20) != 0
    with pytest.raises(OSError) as raised:
        os.statvfs(mount.path)
    assert raised.value.errno == errno.ENOTCONN
    subprocess.run(["umount", "-l", mount.path], check=True)


def test_a_mount_that_was_moved_is_unmounted(start_mount, emulator, tmp_path):
    """In a mount namespace of its own, where mounts may be moved."""
    place, moved = tmp_path / "place", tmp_path / "moved"
    place.mkdir()
    moved.mkdir()
    script = f"""
import os, signal, subprocess, sys
sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})
from parts.harness import Mount
mount = Mount({str(place)!r}, {emulator.url!r})
subprocess.run(["mount", "--move", mount.path, {str(moved)!r}], check=True)
assert "payments" in os.listdir({str(moved)!r})
mount.process.send_signal(signal.SIGTERM)
assert mount.process.wait(20) == 0
assert os.listdir({str(moved)!r}) == [] and mount.errors() == ""
"""
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", sys.executable, "-c", script],
                          capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
