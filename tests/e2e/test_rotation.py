"""A rotation is a rename: readers, watchers, locks and many rotations at once."""
import json
import mmap
import os
import subprocess
import sys
import threading
import time

import pytest

from parts.harness import BUILD, PASSWORD, Write, until
from parts.tree import NAMES
from parts.watch import Watch, names_moved_to


@pytest.mark.core
def test_rotation_under_load(start_mount, emulator):
    rotate_under_load(start_mount, emulator, int(os.environ.get("AAPFS_LOAD_ROTATIONS", "10")))


@pytest.mark.full
def test_two_thousand_rotations(start_mount, emulator):
    rotate_under_load(start_mount, emulator, 1000)


def rotate_under_load(start_mount, emulator, rotations):
    mount = start_mount(emulator.url, request_timeout="20s")
    done = subprocess.run([BUILD / "tests/programs/rotation_load", mount.path, str(rotations), "payments",
                           "orders"], capture_output=True, text=True, timeout=600)
    assert done.stderr == ""
    figures = json.loads(done.stdout)
    print(figures)
    assert done.returncode == 0
    assert figures["Rotations"] == 2 * rotations
    assert figures["FileEvents"] >= rotations
    assert emulator.count("CreateClientKey") == 2 * rotations + 2


@pytest.mark.core
def test_an_open_after_the_write_reads_the_new_key_one_before_keeps_the_old(mount):
    mount.write("payments", PASSWORD)
    path = mount / "payments/client_key.json"
    old = path.read_bytes()
    held = os.open(path, os.O_RDONLY)
    mapped = mmap.mmap(held, 0, prot=mmap.PROT_READ)
    through_current = os.open(mount / "payments/current", os.O_RDONLY | os.O_DIRECTORY)
    mount.write("payments", PASSWORD)
    new = path.read_bytes()
    assert new != old
    assert os.pread(held, 10000, 0) == old and mapped[:] == old
    own = os.open("client_key.json", os.O_RDONLY, dir_fd=through_current)
    assert os.read(own, 10000) == old
    for descriptor in (held, through_current, own):
        os.close(descriptor)
    mapped.close()
    assert (mount / "payments/current/client_key.json").read_bytes() == new


def test_every_name_moves_and_a_watched_file_notices(mount):
    directory = names_moved_to(mount / "payments")
    for _ in range(2):  # the first key moves in as well
        mount.write("payments", PASSWORD)
        seen = [directory.next() for _ in NAMES]
        assert sorted(seen) == sorted(NAMES)
        assert seen[0] == "current" and seen[-1] == "not_after"
    directory.end()
    with Watch(["inotifywait", "-q", "-m", "-e", "attrib", "--format", "%e", mount / "payments/client_key.json"]) as file:
        mount.write("payments", PASSWORD)
        assert file.next() == "ATTRIB"


def test_hidden_names_are_never_listed(mount):
    seen = set()
    finished = threading.Event()

    def look():
        while not finished.is_set():
            seen.update(os.listdir(mount / "payments"))

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(20):
        mount.write("payments", PASSWORD)
    finished.set()
    thread.join()
    assert seen <= {*NAMES, "control", "status", "last_error", "keys"}


UFFD, UFFDIO_API, UFFDIO_REGISTER, UFFDIO_ZEROPAGE = 323, 0xC018AA3F, 0xC020AA00, 0xC020AA04
HOLD_LOCK = """
import ctypes, fcntl, mmap, os, select, struct, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
uffd = libc.syscall({uffd}, os.O_CLOEXEC)
assert uffd >= 0, os.strerror(ctypes.get_errno())
fcntl.ioctl(uffd, {api}, struct.pack("QQQ", 0xAA, 0, 0))
area = mmap.mmap(-1, mmap.PAGESIZE)
address = ctypes.addressof(ctypes.c_char.from_buffer(area))
fcntl.ioctl(uffd, {register}, struct.pack("QQQQ", address, mmap.PAGESIZE, 1, 0))
directory = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
# getdents64 copies out under the directory's lock, into a page that nobody brings
holder = threading.Thread(target=lambda: libc.syscall(217, directory, ctypes.c_void_p(address), mmap.PAGESIZE))
holder.start()
select.select([uffd], [], [])
print("held", flush=True)
sys.stdin.readline()
fcntl.ioctl(uffd, {zeropage}, struct.pack("QQQq", address, mmap.PAGESIZE, 0, 0))
holder.join()
"""


@pytest.mark.core
def test_a_held_directory_lock_delays_no_other_aap(start_mount, emulator):
    mount = start_mount(emulator.url, request_timeout="20s")
    mount.write("payments", PASSWORD)
    mount.write("orders", PASSWORD)
    attacker = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK.format(uffd=UFFD, api=UFFDIO_API, register=UFFDIO_REGISTER,
                                                zeropage=UFFDIO_ZEROPAGE), mount / "payments"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert attacker.stdout.readline() == "held\n"
    old = mount.key_id("payments")
    stuck = Write(mount, PASSWORD)
    until(lambda: emulator.count("CreateClientKey") >= 3)
    began = time.monotonic()
    for _ in range(5):
        mount.write("orders", PASSWORD)
    assert time.monotonic() - began < 2  # what a publication waits for its lock
    assert stuck.is_alive()
    attacker.communicate("\n", timeout=20)
    assert stuck.end() == 0
    assert mount.key_id("payments") != old


def test_a_bind_of_the_directory_in_another_namespace_follows(mount, tmp_path):
    """As a container has it: read-only, with a mount namespace of its own."""
    mount.write("payments", PASSWORD)
    volume = tmp_path / "volume"
    volume.mkdir()
    script = (f"mount --bind {mount.path}/payments {volume} && mount -o remount,bind,ro {volume} && "
              f"while read -r _; do cat {volume}/client_key_id; done")
    container = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-ec", script],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for _ in range(3):
        container.stdin.write("read\n")
        container.stdin.flush()
        assert container.stdout.readline().strip() == mount.key_id()
        mount.write("payments", PASSWORD)
    container.communicate()
    assert container.returncode == 0
