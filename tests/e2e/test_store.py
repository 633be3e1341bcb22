"""Keys on disk: they outlive every process, and what cannot be opened is neither served nor touched."""
import base64
import errno
import os
import re
import subprocess

import pytest

from parts.harness import PASSWORD, Write, result_of, run_aapfs, until
from parts.kms import ACCOUNT, keys_of, make_key, wait_for_request
from parts.log import UNSETTLED
from parts.store import intents_of, store_of, stored, tmpfs
from parts.watch import wait_until

# nor can who was told be noted in a directory that is not there
UNTOLD = re.compile(r"aapfs: payments: what its applications were told, and what KMS lacks, cannot be saved: .*\n")


def run_beside(mount, **more):
    """A second daemon on a mount's state, which has to be refused: its line."""
    place = mount.directory / "second"
    place.mkdir(exist_ok=True)
    done = run_aapfs("-f", "-c", mount.config, place, **more)
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    return done.returncode, done.stderr


@pytest.mark.full
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
    assert stored(store / "payments") == [f".{key_id}.forms", key_id]
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


def take_place(store):
    (store / "payments").rmdir()
    (store / "payments").touch()


def make_unsaved(mount, emulator):
    """
    Begins a creation that ends with its key in memory only: its room is reserved, and between the request and its answer a
    file takes the place of the AAP's directory. The write.
    """
    sent = emulator.count("CreateClientKey")
    emulator.set_faults("CreateClientKey delay=1000 x1")
    writer = Write(mount, PASSWORD)
    wait_for_request(emulator, more_than=sent)
    take_place(store_of(mount))
    return writer


@pytest.mark.full
def test_a_key_that_cannot_be_saved_is_served_and_saved_later(start_mount, emulator):
    mount = start_mount(emulator.url, request_timeout="20s", expected_errors=UNTOLD)
    mount.write("orders", PASSWORD)
    store = store_of(mount)
    assert make_unsaved(mount, emulator).end() == errno.ENOTDIR
    key_id = mount.key_id()
    assert mount.status("payments")["Unsaved"] == [key_id]
    assert mount.status("payments")["State"] == "active"
    error = mount.last_error()
    assert (error["Code"], error["Operation"]) == ("Unsaved", "CreateClientKey")
    assert "served" in error["Message"]
    (store / "payments").unlink()  # the directory is made again
    wait_until(store, lambda: mount.status("payments")["Unsaved"] == [])
    assert stored(store / "payments") == [f".{key_id}.forms", key_id]
    assert sorted(os.listdir(store)) == [".check", "orders", "payments"]
    assert mount.last_error() is None
    assert mount.key_id() == key_id


@pytest.mark.full
def test_an_upgrade_under_way_does_not_lose_a_key_that_cannot_be_saved(start_mount, emulator):
    """The creation began before the upgrade, which waits for it."""
    said = re.compile(r"aapfs: upgrade: what is under way did not end in time; everything is as before.*\n")
    mount = start_mount(emulator.url, request_timeout="2s", expected_errors=said)
    mount.write("orders", PASSWORD)
    writer, worker = make_unsaved(mount, emulator), mount.children()["aapfs-worker"]
    assert result_of(mount, "upgrade", ".aapfs") == errno.EBUSY
    writer.join()
    key_id = mount.key_id()
    assert mount.children()["aapfs-worker"] == worker
    (store_of(mount) / "payments").unlink()
    wait_until(store_of(mount), lambda: mount.status("payments")["Unsaved"] == [])
    assert stored(store_of(mount) / "payments") == [f".{key_id}.forms", key_id]


# -- the account --------------------------------------------------------------------------------


def test_a_denied_describe_refuses_creations(start_mount, emulator):
    emulator.set_faults("DescribeApplicationAccessPoint denied")
    mount = start_mount(emulator.url)
    until(lambda: "payments" in os.listdir(mount.path))
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


@pytest.mark.full
def test_a_describe_that_hangs_takes_no_longer_than_the_request_timeout(start_mount, emulator):
    emulator.set_faults("DescribeApplicationAccessPoint silent")
    mount = start_mount(emulator.url, request_timeout="500ms")
    assert result_of(mount, PASSWORD) == errno.ETIMEDOUT
    assert mount.last_error()["Operation"] == "DescribeApplicationAccessPoint"
    assert emulator.count("CreateClientKey") == 0
    emulator.set_faults("DescribeApplicationAccessPoint delay=100")
    mount.write("payments", PASSWORD)


# -- creations whose end is not known -----------------------------------------------------------


@pytest.mark.core
@pytest.mark.parametrize("fault, number", [
    ("reset-after", errno.ECONNRESET), pytest.param("truncate", errno.ECONNRESET, marks=pytest.mark.full),
    pytest.param("garbage", errno.EIO, marks=pytest.mark.full), ("missing-id", errno.EKEYREJECTED),
])
def test_a_key_that_nobody_received_is_an_orphan(start_mount, emulator, fault, number):
    mount = start_mount(emulator.url, request_timeout="400ms")
    mount.write("payments", PASSWORD)
    current = mount.key_id()
    emulator.set_faults(f"CreateClientKey {fault}")
    assert result_of(mount, PASSWORD) == number
    emulator.set_faults()
    orphan, = set(keys_of(emulator)) - {current}
    wait_until(mount.directory, lambda: mount.status("payments")["Orphans"] == [orphan])
    assert mount.status("payments")["Candidates"] == mount.status("payments")["Rejected"] == []
    assert mount.key_id() == current
    assert len(intents_of(mount)) == 1
    assert emulator.count("DeleteClientKey") == 0
    # it goes when somebody says so, and its intent with it
    mount.write("payments", f"delete {orphan}")
    assert mount.status("payments")["Orphans"] == [] and intents_of(mount) == []
    assert set(keys_of(emulator)) == {current}
    assert result_of(mount, f"delete {orphan}") == errno.ENOENT


@pytest.mark.full
@pytest.mark.core
def test_a_key_that_comes_late_is_taken_all_the_same(start_mount, emulator):
    mount = start_mount(emulator.url, request_timeout="400ms")
    mount.write("payments", PASSWORD)
    before = mount.key_id()
    emulator.set_faults("CreateClientKey late=1500 x1")
    assert result_of(mount, PASSWORD) == errno.ETIMEDOUT
    assert mount.last_error()["Code"] == "Network.Timeout"
    assert result_of(mount, PASSWORD + "2") == errno.EBUSY  # it is still under way
    assert mount.key_id() == before
    wait_until(mount.directory, lambda: mount.key_id() != before)
    wait_until(mount.directory, lambda: mount.last_error() is None)
    assert mount.status("payments")["Orphans"] == [] and set(keys_of(emulator)) == {before, mount.key_id()}
    assert intents_of(mount) == []


def test_with_dates_of_the_user_there_are_only_candidates(mount, emulator):
    dates = "2026-01-01T00:00:00Z", "2099-12-01T00:00:00Z"
    before = make_key(emulator, "orders")["ClientKeyId"]
    emulator.set_faults("CreateClientKey reset-after x1")
    assert result_of(mount, f"{PASSWORD} {dates[0]} {dates[1]}") == errno.ECONNRESET
    ours, = set(keys_of(emulator))
    foreign = make_key(emulator)["ClientKeyId"]
    mount.sync()
    wait_until(mount.directory, lambda: set(mount.status("payments")["Candidates"]) == {ours, foreign})
    assert mount.status("payments")["Orphans"] == mount.status("orders")["Candidates"] == []
    for key_id in (ours, foreign):
        assert result_of(mount, f"delete {key_id}") == errno.EPERM
    assert mount.last_error()["Code"] == "NotOurs"
    assert result_of(mount, f"delete {before}", "orders") == errno.EPERM
    assert emulator.count("DeleteClientKey") == 0
    assert len(intents_of(mount)) == 1


def test_a_listing_that_fails_settles_nothing(mount, emulator):
    mount.write("payments", PASSWORD)
    current = mount.key_id()
    emulator.set_faults("CreateClientKey reset-after x1", "ListClientKeys denied")
    mount.expected_errors = UNSETTLED
    assert result_of(mount, PASSWORD) == errno.ECONNRESET
    for _ in range(2):
        emulator.move_clock(75)
        assert result_of(mount, "sync", ".aapfs") == errno.EACCES
    assert mount.status("payments")["Orphans"] == [] and len(intents_of(mount)) == 1
    emulator.set_faults()
    mount.sync()
    orphan, = set(keys_of(emulator)) - {current}
    wait_until(mount.directory, lambda: mount.status("payments")["Orphans"] == [orphan])
