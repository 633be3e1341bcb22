"""Keys on disk: they outlive every process, and what cannot be opened is neither served nor touched."""
import base64
import contextlib
import errno
import os
import select
import subprocess
import threading

import pytest

from harness import AAPFS, PASSWORD, environment
from test_writes import wait_for_request

ACCOUNT = "1192853035110000"


def store_of(mount):
    return mount.state / f"cn-hangzhou-{ACCOUNT}"


def result_of(mount, command, aap="payments"):
    try:
        mount.write(aap, command)
    except OSError as error:
        return error.errno
    return 0


def wait_until(directory, condition):
    """Until CONDITION holds, looked at whenever something changes in DIRECTORY."""
    watch = subprocess.Popen(["inotifywait", "-q", "-m", "-r", "-e", "create,delete,move,close_write", directory],
                             stdout=subprocess.PIPE)
    try:
        for _ in range(200):
            if condition():
                return
            if select.select([watch.stdout], [], [], 0.2)[0]:
                os.read(watch.stdout.fileno(), 4096)
        raise AssertionError("it did not come")
    finally:
        watch.kill()
        watch.wait()
        watch.stdout.close()


@contextlib.contextmanager
def tmpfs(path, size):
    """A disk of SIZE, and a function that gives it another size."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode=0700,size={size}", "state", path], check=True)
    try:
        yield lambda other: subprocess.run(["mount", "-o", f"remount,size={other}", path], check=True)
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def run_beside(mount, **more):
    """A second daemon on a mount's state, which has to be refused: its line."""
    place = mount.directory / "second"
    place.mkdir(exist_ok=True)
    done = subprocess.run([AAPFS, "-f", "-c", mount.config, place], capture_output=True, text=True, timeout=60,
                          env=environment(), **more)
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    return done.returncode, done.stderr


def test_a_second_daemon_on_the_same_state_is_refused(mount):
    status, line = run_beside(mount)
    assert status == 1 and f"{mount.state}: another aapfs uses it" in line
    assert not (mount.directory / "second").is_mount()
    assert mount.status("payments")["State"] == "none"


# -- a creation ---------------------------------------------------------------------------------


@pytest.mark.core
def test_a_key_is_on_the_disk_before_its_write_returns(mount):
    mount.write("payments", PASSWORD)
    key_id, store = mount.key_id(), store_of(mount)
    assert sorted(os.listdir(store / "payments")) == [f".{key_id}.forms", key_id]
    assert sorted(os.listdir(store)) == [".check", "payments"]
    assert mount.status()["Account"] == ACCOUNT
    # sealed: neither the password nor any piece of the key is legible
    der = (mount / "payments/client_key.p12").read_bytes()
    data = base64.b64encode(der)
    for path in store.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0
        if path.is_file():
            text = path.read_bytes()
            assert PASSWORD.encode() not in text and b"BEGIN" not in text
            assert not any(data[at:at + 16] in text for at in range(0, len(data), 16))


def test_a_failed_creation_leaves_nothing_behind(mount, emulator):
    mount.write("payments", PASSWORD)
    before = sorted(store_of(mount).rglob("*"))
    emulator.set_faults("CreateClientKey denied")
    assert result_of(mount, PASSWORD) == errno.EACCES
    assert sorted(store_of(mount).rglob("*")) == before


@pytest.mark.core
def test_without_room_nothing_is_sent(start_mount, emulator, tmp_path):
    with tmpfs(tmp_path / "disk", "40k") as resize:
        mount = start_mount(emulator.url, state=tmp_path / "disk")
        for _ in range(2):
            assert result_of(mount, PASSWORD) == errno.ENOSPC
            assert mount.last_error()["Code"] == "State" and "nothing was sent" in mount.last_error()["Message"]
        assert emulator.count("CreateClientKey") == 0
        assert sorted(os.listdir(store_of(mount))) == [".check", "payments"]
        resize("400k")
        mount.write("payments", PASSWORD)
        assert mount.last_error() is None
        assert emulator.count("CreateClientKey") == 1
        mount.stop()


def test_a_read_only_disk_is_erofs(start_mount, emulator, tmp_path):
    with tmpfs(tmp_path / "disk", "400k"):
        mount = start_mount(emulator.url, state=tmp_path / "disk")
        mount.write("payments", PASSWORD)
        first = mount.key_id()
        subprocess.run(["mount", "-o", "remount,ro", tmp_path / "disk"], check=True)
        assert result_of(mount, PASSWORD) == errno.EROFS
        subprocess.run(["mount", "-o", "remount,rw", tmp_path / "disk"], check=True)
        assert emulator.count("CreateClientKey") == 1 and mount.key_id() == first
        mount.stop()


def test_a_key_that_cannot_be_saved_is_served_and_saved_later(start_mount, emulator):
    """The room is reserved; what goes between the request and its answer is the directory that it belongs into."""
    mount = start_mount(emulator.url, request_timeout="20s")
    mount.write("orders", PASSWORD)
    store = store_of(mount)
    emulator.set_faults("CreateClientKey delay=500 x1")
    results = []
    writer = threading.Thread(target=lambda: results.append(result_of(mount, PASSWORD)))
    writer.start()
    wait_for_request(emulator, more_than=1)
    (store / "payments").rmdir()
    writer.join()
    assert results == [errno.ENOENT]
    key_id = mount.key_id()
    assert mount.status("payments")["Unsaved"] == [key_id]
    assert mount.status("payments")["State"] == "active"
    error = mount.last_error()
    assert (error["Code"], error["Operation"]) == ("Unsaved", "CreateClientKey")
    assert "served" in error["Message"]
    (store / "payments").mkdir(0o700)
    wait_until(store, lambda: mount.status("payments")["Unsaved"] == [])
    assert sorted(os.listdir(store / "payments")) == [f".{key_id}.forms", key_id]
    assert sorted(os.listdir(store)) == [".check", "orders", "payments"]
    assert mount.last_error() is None
    assert mount.key_id() == key_id


def test_a_key_that_is_not_saved_yet_is_saved_at_the_end(start_mount, emulator):
    mount = start_mount(emulator.url, request_timeout="20s")
    mount.write("orders", PASSWORD)
    store = store_of(mount)
    emulator.set_faults("CreateClientKey delay=300 x1")
    writer = threading.Thread(target=result_of, args=(mount, PASSWORD))
    writer.start()
    wait_for_request(emulator, more_than=1)
    (store / "payments").rmdir()
    writer.join()
    key_id = mount.key_id()
    (store / "payments").mkdir(0o700)
    mount.stop()
    assert os.listdir(store / "payments") == [key_id]


# -- the account --------------------------------------------------------------------------------


def test_a_denied_describe_refuses_creations(start_mount, emulator):
    emulator.set_faults("DescribeApplicationAccessPoint denied")
    mount = start_mount(emulator.url)
    assert result_of(mount, PASSWORD) == errno.EACCES
    error = mount.last_error()
    assert (error["Operation"], error["Code"]) == ("DescribeApplicationAccessPoint", "Forbidden.NoPermission")
    assert emulator.count("CreateClientKey") == 0
    assert mount.status()["Account"] is None
    assert os.listdir(mount.state) == [".lock"]
    emulator.set_faults()
    mount.write("payments", PASSWORD)
    assert mount.last_error() is None
    assert mount.status()["Account"] == ACCOUNT


def test_a_describe_that_hangs_takes_no_longer_than_the_request_timeout(start_mount, emulator):
    emulator.set_faults("DescribeApplicationAccessPoint silent")
    mount = start_mount(emulator.url, request_timeout="500ms")
    assert result_of(mount, PASSWORD) == errno.ETIMEDOUT
    assert mount.last_error()["Operation"] == "DescribeApplicationAccessPoint"
    assert emulator.count("CreateClientKey") == 0
    emulator.set_faults("DescribeApplicationAccessPoint delay=100")
    mount.write("payments", PASSWORD)
