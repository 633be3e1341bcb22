"""Reading never waits: not for the network, not for a daemon that stands still."""
import errno
import json
import os
import pathlib
import signal
import subprocess
import threading
import time

import pytest

from parts.harness import PASSWORD, until


def read_whole(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 16384)
    finally:
        os.close(descriptor)


def requests_of(mount):
    """What the daemon has served so far, forgotten inodes aside: those come when they come."""
    requests = json.loads(read_whole(mount / ".aapfs/status"))["Requests"]
    return {name: count for name, count in requests.items() if "FORGET" not in name}


def difference(before, after):
    return {name: after[name] - before.get(name, 0) for name in after
            if after[name] != before.get(name, 0)}


@pytest.mark.core
def test_warm_reads_while_the_daemon_is_stopped(mount):
    mount.write("payments", PASSWORD)
    path = mount / "payments/client_key.json"
    expected = read_whole(path)
    assert len(mount.pids()) == 4
    with mount.stopped():
        for _ in range(1000):  # one that had to ask would wait for ever
            assert read_whole(path) == expected


@pytest.mark.core
def test_no_request_reaches_the_daemon_on_the_warm_path(mount):
    mount.write("payments", PASSWORD)
    paths = [mount / "payments" / name for name in
             ("client_key.json", "client_key.p12", "private_key.pem", "client_key_id", "current/not_after")]
    for _ in range(2):  # a READ lets the kernel doubt the access time: the next stat asks once
        for path in paths:
            os.stat(path)
            read_whole(path)
    first = requests_of(mount)
    before = requests_of(mount)
    for _ in range(100):
        for path in paths:
            os.stat(path)
            read_whole(path)
    after = requests_of(mount)
    # reading the status costs requests itself: the same with and without the warm reads in between
    assert difference(before, after) == difference(first, before)


def drop_caches():
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")


COMMANDS = ("ls -lR MOUNT", "find MOUNT -printf %s%m", "cat MOUNT/payments/client_key.json",
            "tar -cf /dev/null MOUNT/payments/current/")


@pytest.mark.full
def test_a_silent_kms_stops_no_reader(start_mount, emulator):
    mount = start_mount(emulator.url, request_timeout="12s")
    mount.write("payments", PASSWORD)
    emulator.set_faults("* silent")
    writers = []
    for aap in ("payments", "orders"):
        writer = threading.Thread(target=swallow, args=(mount, aap))
        writer.start()
        writers.append(writer)
    until(lambda: emulator.count("CreateClientKey") >= 3)  # each question is one to the emulator, which answers at once
    for command in COMMANDS:
        drop_caches()
        began = time.monotonic()
        done = subprocess.run(command.replace("MOUNT", str(mount.path)).split(), capture_output=True, text=True)
        assert (done.returncode, [line for line in done.stderr.splitlines() if "Removing" not in line]) == (0, [])
        assert time.monotonic() - began < 3  # a fourth of the time that the writers wait
    assert all(writer.is_alive() for writer in writers)
    mount.process.send_signal(signal.SIGTERM)
    for writer in writers:
        writer.join()


def swallow(mount, aap):
    try:
        mount.write(aap, PASSWORD + "x")
    except OSError as error:
        assert error.errno in (errno.ETIMEDOUT, errno.ECONNABORTED, errno.ENOTCONN, errno.EIO)


def test_the_mount_comes_up_with_kms_silent(start_mount, emulator):
    emulator.set_faults("* silent")
    mount = start_mount(emulator.url, settings="aaps = payments", listed=False)
    until(lambda: sorted(os.listdir(mount.path)) == [".aapfs", "payments"])
    assert mount.status("payments")["State"] == "none"


def test_a_listing_that_fails_or_shrinks_removes_nothing(mount, emulator):
    mount.write("payments", PASSWORD)
    key = read_whole(mount / "payments/client_key.json")
    for fault in ("empty-list", "short-page", "garbage", "wrong-types", "denied", "truncate"):
        emulator.set_faults(f"* {fault}")
        try:
            mount.sync()
        except OSError:
            pass
        drop_caches()
        assert read_whole(mount / "payments/client_key.json") == key, fault
