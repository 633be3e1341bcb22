"""What others do in KMS: AAPs and client keys appear and go; what has a private half here stays, whatever a listing says."""
import contextlib
import datetime
import errno
import os
import pathlib
import re
import signal
import time

import pytest

from parts.harness import PASSWORD, ROOT, result_of, run_aapfs, until
from parts.kms import ask, delete_aap, delete_key, keys_of, make_aap, make_key
from parts.log import GONE
from parts.stops import arm, with_stops
from parts.store import store_of
from parts.times import moment_of
from parts.tree import PUBLIC, Readers, listed_keys
from parts.watch import Watch, wait_until

ASSUMED = re.compile(r"aapfs: DescribeApplicationAccessPoint is not permitted .*\n")


def judged(mount):
    """The exit status of aapfs status."""
    return run_aapfs("status", "-m", mount.path).returncode


def is_stale(descriptor):
    try:
        os.pread(descriptor, 100, 0)
    except OSError as error:
        return error.errno == errno.ESTALE
    return False


@contextlib.contextmanager
def watcher(path):
    """Lines of inotifywait: EVENTS NAME. What is heard is called with a word to wait for."""
    heard = []

    def until(line):
        while line not in heard:
            heard.append(watch.next())
            assert heard[-1], (line, heard)

    with Watch(["inotifywait", "-q", "-m", "--format", "%e %f", "-e", "create,delete,moved_to,moved_from", path]) as watch:
        yield until


# -- client keys ----------------------------------------------------------------------------------


@pytest.mark.core
def test_a_foreign_key_appears_with_its_public_files_and_goes(mount, emulator):
    mount.write("payments", PASSWORD)
    own = mount.key_id()
    made = make_key(emulator)
    other = made["ClientKeyId"]
    assert listed_keys(mount) == {own}  # and this listing is cached
    with watcher(mount / "payments/keys") as heard:
        mount.sync()
        heard(f"MOVED_TO,ISDIR {other}")
        assert listed_keys(mount) == {own, other}
        directory = mount / "payments/keys" / other
        assert sorted(os.listdir(directory)) == PUBLIC
        for name, value in (("client_key_id", other), ("key_algorithm", "RSA_2048"),
                            ("not_before", made["NotBefore"]), ("not_after", made["NotAfter"])):
            assert (directory / name).read_text() == value + "\n"
        listed = ask(emulator, "GetClientKey", ("ClientKeyId", other))
        assert (directory / "certificate.pem").read_text().strip() == listed["PublicKeyData"].strip()
        created = datetime.datetime.fromisoformat(listed["CreateTime"]).timestamp()
        assert (directory / "certificate.pem").stat().st_mtime == created
        assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o444}
        assert mount.key_id() == own
        delete_key(emulator, other)
        mount.sync()
        heard(f"DELETE,ISDIR {other}")
    assert listed_keys(mount) == {own} and not directory.exists()


def test_what_is_ours_is_never_shown_as_foreign(mount, emulator):
    mount.write("payments", PASSWORD)
    own = mount.key_id()
    emulator.set_faults("CreateClientKey wrong-password x1")
    assert result_of(mount, PASSWORD) == errno.EKEYREJECTED
    emulator.set_faults("CreateClientKey reset-after x1")
    assert result_of(mount, PASSWORD) == errno.ECONNRESET
    mount.sync()
    status = mount.status("payments")
    assert len(status["Rejected"]) == len(status["Orphans"]) == 1
    assert len(set(keys_of(emulator))) == 3
    assert listed_keys(mount) == {own}


def test_a_foreign_key_that_went_and_came_again_is_there_for_who_stayed_in_its_directory(mount, emulator):
    mount.write("payments", PASSWORD)
    other = make_key(emulator)["ClientKeyId"]
    mount.sync()
    held = os.open(mount / "payments/keys" / other, os.O_PATH)
    emulator.set_faults("ListClientKeys empty-list")
    assert result_of(mount, "sync", ".aapfs") == errno.EIO  # says nothing about foreign keys
    assert other in listed_keys(mount)
    emulator.set_faults()
    account = ask(emulator, "GetClientKey", ("ClientKeyId", other))
    assert account["AapName"] == "payments"
    mount.sync()
    assert (mount / "payments/keys" / other / "client_key_id").read_text() == other + "\n"
    os.close(held)


def test_keys_deleted_elsewhere_stay_readable(start_mount, emulator):
    mount = start_mount(emulator.url, expected_errors=GONE)
    mount.write("payments", PASSWORD)
    mount.write("payments", PASSWORD)
    current = mount.key_id()
    superseded, = listed_keys(mount) - {current}
    other = make_key(emulator)["ClientKeyId"]
    mount.sync()
    with Readers(mount):
        delete_key(emulator, superseded)
        mount.sync()
        assert mount.status("payments")["State"] == "active"
        delete_key(emulator, current)
        mount.sync()
        assert mount.status("payments")["State"] == "deleted"
        delete_key(emulator, other)
        mount.sync()
        assert listed_keys(mount) == {current, superseded}
    assert f"the current client key {current}" in mount.errors() and mount.errors().count("\n") == 1
    mount.write("payments", PASSWORD)
    assert mount.status("payments")["State"] == "active"


@pytest.mark.parametrize("fault, number", [
    ("ListClientKeys empty-list", errno.EIO), ("ListClientKeys denied", errno.EACCES),
    ("ListClientKeys garbage", errno.EIO), ("ListApplicationAccessPoints short-page", errno.EIO),
    ("ListApplicationAccessPoints denied", errno.EACCES), ("ListApplicationAccessPoints empty-list", 0)])
def test_a_listing_that_cannot_be_believed_changes_nothing(mount, emulator, fault, number):
    mount.write("payments", PASSWORD)
    mount.write("payments", PASSWORD)
    other = make_key(emulator)["ClientKeyId"]
    mount.sync()
    before = listed_keys(mount)
    assert other in before and len(before) == 3
    with Readers(mount):
        emulator.set_faults(fault)
        for _ in range(2):
            assert result_of(mount, "sync", ".aapfs") == number
        assert listed_keys(mount) == before
        assert mount.status("payments")["State"] == "active"
        assert sorted(os.listdir(mount.path)) == [".aapfs", "orders", "payments"]
        if number:
            errors = [mount.last_error(".aapfs"), mount.last_error()]
            assert os.strerror(number) in [os.strerror(getattr(errno, e["Errno"])) for e in errors if e]
        emulator.set_faults()
        mount.sync()
    assert mount.last_error() is None and mount.last_error(".aapfs") is None
    assert listed_keys(mount) == before


def test_when_nothing_can_be_asked_nothing_is_gone(mount, emulator):
    """Neither the listing nor the question for one key says that it does not exist."""
    mount.write("payments", PASSWORD)
    with Readers(mount):
        emulator.set_faults("ListClientKeys empty-list", "GetClientKey denied")
        assert result_of(mount, "sync", ".aapfs") == errno.EACCES
        emulator.set_faults("ListApplicationAccessPoints empty-list", "DescribeApplicationAccessPoint denied")
        assert result_of(mount, "sync", ".aapfs") == errno.EACCES
    assert mount.status("payments")["State"] == "active"


# -- AAPs -----------------------------------------------------------------------------------------


@pytest.mark.core
def test_an_aap_without_a_key_comes_goes_and_comes_again(mount, emulator):
    mount.write("payments", PASSWORD)
    with watcher(mount.path) as heard:
        make_aap(emulator, "fresh")
        make_key(emulator, "fresh")
        mount.sync()
        heard("MOVED_TO,ISDIR fresh")
        assert mount.status("fresh")["State"] == "none" and len(listed_keys(mount, "fresh")) == 1
        held = os.open(mount / "fresh", os.O_PATH)  # whoever stands in it keeps the old one
        delete_aap(emulator, "fresh")
        mount.sync()
        heard("DELETE,ISDIR fresh")
        assert sorted(os.listdir(mount.path)) == [".aapfs", "orders", "payments"]
        assert not (mount / "fresh").exists()
        make_aap(emulator, "fresh")
        mount.sync()
    assert listed_keys(mount, "fresh") == set()
    mount.write("fresh", PASSWORD)
    assert mount.status("fresh")["State"] == "active" and listed_keys(mount, "fresh") == {mount.key_id("fresh")}
    os.close(held)


def test_a_control_that_was_open_when_its_aap_left(mount, emulator):
    make_aap(emulator, "fresh")
    mount.sync()
    control = os.open(mount / "fresh/control", os.O_WRONLY)
    delete_aap(emulator, "fresh")
    mount.sync()
    with pytest.raises(OSError) as refused:
        os.write(control, PASSWORD.encode() + b"\n")
    os.close(control)
    assert refused.value.errno in (errno.ENOENT, errno.ESTALE)
    assert emulator.count("CreateClientKey") == 0


def test_a_foreign_key_of_a_year_that_no_mtime_reaches(mount, emulator):
    emulator.move_clock(moment_of("9999-06-01T00:00:00Z") - time.time())
    made = make_key(emulator, NotBefore="9999-06-01T00:00:00Z", NotAfter="9999-07-01T00:00:00Z")
    emulator.move_clock(0)
    mount.sync()
    directory = mount / "payments/keys" / made["ClientKeyId"]
    assert (directory / "client_key_id").stat().st_mtime == directory.stat().st_mtime == 9223372036  # in the year 2262


@pytest.mark.full
def test_an_aap_deleted_elsewhere_stays_with_its_keys_until_it_is_forgotten(start_mount, emulator):
    mount = start_mount(emulator.url, expected_errors=GONE, settings_of_mount="settle = 1s")
    mount.write("payments", PASSWORD)
    mount.write("payments", PASSWORD)
    mount.write("orders", PASSWORD)
    assert result_of(mount, "forget payments", ".aapfs") == errno.EBUSY
    assert mount.last_error(".aapfs")["Code"] == "KmsHasIt"
    assert result_of(mount, "forget nothing", ".aapfs") == errno.ENOENT
    with Readers(mount):
        delete_aap(emulator, "payments")
        mount.sync()
        assert mount.status("payments")["State"] == "deleted"
        emulator.set_faults("DescribeApplicationAccessPoint denied")
        assert result_of(mount, "forget payments", ".aapfs") == errno.EACCES
        emulator.set_faults()
    held = os.open(mount / "payments/client_key_id", os.O_RDONLY)
    with watcher(mount.path) as heard:
        mount.write(".aapfs", "forget payments")
        heard("DELETE,ISDIR payments")
    until(lambda: is_stale(held))  # when the kernel asks again
    os.close(held)
    assert sorted(os.listdir(mount.path)) == [".aapfs", "orders"]
    assert sorted(os.listdir(store_of(mount))) == [".check", "orders"]
    assert mount.status("orders")["State"] == "active"
    make_aap(emulator, "payments")
    mount.sync()
    assert mount.status("payments")["State"] == "none" and listed_keys(mount) == set()
    assert not (mount / "payments/client_key.json").exists()
    mount.write("payments", PASSWORD)
    assert mount.status("payments")["State"] == "active"


@pytest.mark.full
def test_a_held_file_of_a_deleted_key_is_no_more(start_mount, emulator):
    """Its attributes would live for a day."""
    mount = start_mount(emulator.url, settings_of_mount="settle = 1s")
    mount.write("payments", PASSWORD)
    first = mount.key_id()
    mount.write("payments", PASSWORD)
    held = os.open(mount / "payments/keys" / first / "client_key_id", os.O_RDONLY)
    for _ in range(3):
        os.fstat(held)
        assert os.pread(held, 100, 0).decode() == first + "\n"
    mount.write("payments", f"delete {first}")
    until(lambda: is_stale(held), 30)
    os.close(held)


def test_an_aap_made_again_is_no_longer_deleted(start_mount, emulator):
    mount = start_mount(emulator.url, expected_errors=GONE)
    mount.write("payments", PASSWORD)
    delete_aap(emulator, "payments")
    mount.sync()
    assert mount.status("payments")["State"] == "deleted"
    make_aap(emulator, "payments")
    mount.sync()
    assert mount.status("payments")["State"] == "deleted"  # its key went with the first one
    mount.write("payments", PASSWORD)
    mount.sync()
    assert mount.status("payments")["State"] == "active"


@pytest.mark.full
def test_named_aaps_are_asked_for_one_by_one(start_mount, emulator):
    mount = start_mount(emulator.url, settings="aaps = payments orders", expected_errors=GONE)
    emulator.set_faults("ListApplicationAccessPoints denied")
    mount.write("payments", PASSWORD)
    mount.sync()
    delete_aap(emulator, "payments")
    delete_aap(emulator, "orders")
    with Readers(mount):
        mount.sync()
        assert mount.status("payments")["State"] == "deleted"
    assert sorted(os.listdir(mount.path)) == [".aapfs", "orders", "payments"]
    assert emulator.count("ListApplicationAccessPoints") == 0


@pytest.mark.full
@pytest.mark.parametrize("fault", ["reset-before", "unavailable"])
def test_a_sync_of_named_aaps_that_nobody_answered_is_none(start_mount, emulator, remount, fault):
    named = {"settings": "aaps = payments orders\nsync_interval = 1s\nrequests_per_second = 100"}
    mount = start_mount(emulator.url, **named)
    mount.write("payments", PASSWORD)
    until(lambda: judged(mount) == 0)
    emulator.set_faults(f"* {fault}")
    assert result_of(mount, "sync", ".aapfs") != 0
    synced = mount.status()["LastSync"]
    until(lambda: judged(mount) == 1)  # the third interval has passed
    assert mount.status()["LastSync"] == synced
    mount = remount(mount, emulator.url, **named)
    until(lambda: sorted(os.listdir(mount.path)) == [".aapfs", "orders", "payments"])
    assert result_of(mount, "sync", ".aapfs") != 0
    assert mount.status()["LastSync"] is None and "aapfs_last_sync_timestamp_seconds 0\n" in mount.read(".aapfs", "metrics.prom")
    assert mount.last_error(".aapfs")["Operation"] in ("ListClientKeys", "DescribeApplicationAccessPoint")
    emulator.set_faults()
    until(lambda: mount.status()["LastSync"])
    assert judged(mount) == 0 and mount.last_error(".aapfs") is None


@pytest.mark.parametrize("faults", [
    ["ListClientKeys denied"], ["DescribeApplicationAccessPoint denied"],
    ["ListClientKeys denied", "DescribeApplicationAccessPoint denied"]])
@pytest.mark.parametrize("has_key", [False, True])
def test_what_is_not_permitted_does_not_keep_a_sync_from_being_complete(start_mount, emulator, remount, faults, has_key):
    named = {"settings": "aaps = payments orders\nrequests_per_second = 100", "expected_errors": ASSUMED}
    mount = start_mount(emulator.url, **named)
    if has_key:
        mount.write("payments", PASSWORD)
    emulator.set_faults(*faults)
    mount = remount(mount, emulator.url, **named)
    until(lambda: mount.status()["LastSync"])


@pytest.mark.parametrize("option, code", [(("--account-id", "42"), "OtherAccount"), (("--region", "cn-beijing"), "OtherRegion")])
def test_anothers_listing_adds_and_takes_nothing(mount, start_emulator, remount, option, code):
    mount.write("payments", PASSWORD)
    other = start_emulator(*option, aaps=("payments", "theirs"))
    foreign = make_key(other)["ClientKeyId"]
    mount = remount(mount, other.url)
    with Readers(mount):
        assert result_of(mount, "sync", ".aapfs") == errno.EACCES
        assert sorted(os.listdir(mount.path)) == [".aapfs", "payments"]
        assert foreign not in listed_keys(mount) and mount.status("payments")["State"] == "active"
        assert mount.last_error(".aapfs")["Code"] == code
        assert result_of(mount, PASSWORD) == errno.EACCES
        assert result_of(mount, "forget payments", ".aapfs") == errno.EACCES
    assert other.count("CreateClientKey") == 1


# -- delete-foreign -------------------------------------------------------------------------------


def test_what_was_made_elsewhere_is_deleted_by_a_word_of_its_own(mount, emulator):
    mount.write("payments", PASSWORD)
    mount.write("payments", PASSWORD)
    current = mount.key_id()
    superseded, = listed_keys(mount) - {current}
    absent = "KAAP.00000000-0000-4000-8000-000000000000"
    assert result_of(mount, f"delete-foreign {absent}") == errno.ENOENT
    other = make_key(emulator)["ClientKeyId"]
    mount.sync()
    assert result_of(mount, f"delete {other}") == errno.EPERM
    assert "delete-foreign" in mount.last_error()["Message"]
    assert result_of(mount, f"delete-foreign {superseded}") == errno.EPERM
    assert result_of(mount, f"delete-foreign {current}") == errno.EBUSY
    assert emulator.count("DeleteClientKey") == 0
    mount.write("payments", f"delete-foreign {other}")
    assert set(keys_of(emulator)) == listed_keys(mount) == {current, superseded}
    assert mount.last_error() is None
    mount.write("payments", f"delete {superseded}")
    assert set(keys_of(emulator)) == listed_keys(mount) == {current}


# -- workers ----------------------------------------------------------------------------------------


def test_a_killed_worker_does_not_bring_back_what_has_left(start_mount, emulator):
    mount = start_mount(emulator.url, expected_errors=None)
    mount.write("payments", PASSWORD)
    make_aap(emulator, "fresh")
    mount.sync()
    delete_aap(emulator, "fresh")
    mount.sync()
    other = make_key(emulator)["ClientKeyId"]
    mount.sync()
    before = listed_keys(mount)
    assert len(before) == 2
    emulator.set_faults("* denied")  # a successor shows foreign keys without asking anybody
    with Readers(mount, mount.path.glob(f"payments/keys/{other}/*")):
        worker = mount.children()["aapfs-worker"]
        os.kill(worker, signal.SIGKILL)
        wait_until(mount.directory, lambda: mount.children().get("aapfs-worker", worker) != worker)
        for _ in range(20):  # not from the kernel's caches
            pathlib.Path("/proc/sys/vm/drop_caches").write_text("2")
            assert listed_keys(mount) == before and not (mount / "fresh").exists()
            assert sorted(os.listdir(mount / "payments/keys" / other)) == PUBLIC
        emulator.set_faults()
        mount.sync()
        assert not (mount / "fresh").exists()
        assert listed_keys(mount) == before


@pytest.fixture
def mount_with_stops(start_mount, emulator, stops):
    mount = start_mount(emulator.url, **with_stops(stops), expected_errors=re.compile(f"{GONE.pattern[:-2]}\n|aapfs: aapfs-worker was killed .*\n"))
    return mount


@pytest.mark.parametrize("place", ["session-rmdir", "session-removed"])
def test_a_worker_killed_while_an_aap_leaves(mount_with_stops, emulator, stops, place):
    mount = mount_with_stops
    mount.write("payments", PASSWORD)
    delete_aap(emulator, "orders")
    with Readers(mount):
        arm(stops, place)
        assert result_of(mount, "sync", ".aapfs") == errno.EIO
        mount.sync()  # which does not wait for what the next worker catches up with
        until(lambda: sorted(os.listdir(mount.path)) == [".aapfs", "payments"])
        make_aap(emulator, "orders")
        mount.sync()
    mount.write("orders", PASSWORD)
    assert mount.status("orders")["State"] == "active"


@pytest.mark.parametrize("place", ["session-rmdir", "session-removed"])
def test_a_worker_killed_while_it_forgets_has_forgotten_nothing(mount_with_stops, emulator, stops, place):
    mount = mount_with_stops
    mount.write("payments", PASSWORD)
    mount.write("payments", PASSWORD)
    keys, key = listed_keys(mount), mount.read("payments", "client_key.json")
    delete_aap(emulator, "payments")
    mount.sync()
    arm(stops, place)
    assert result_of(mount, "forget payments", ".aapfs") == errno.EIO
    mount.sync()
    assert listed_keys(mount) == keys and mount.read("payments", "client_key.json") == key
    # EBUSY while the next worker still finds out what its predecessor had shown
    until(lambda: result_of(mount, "forget payments", ".aapfs") == 0)
    assert not (mount / "payments").exists() and not (store_of(mount) / "payments").exists()


# -- by itself --------------------------------------------------------------------------------------


@pytest.mark.full
def test_it_is_listed_again_without_being_asked(start_mount, emulator):
    if not any('"sync_interval"' in path.read_text() for path in ROOT.glob("fs/config*.c")):
        pytest.skip("this program's configuration has no sync_interval")
    mount = start_mount(emulator.url, settings="sync_interval = 1s\nrequests_per_second = 50")
    with watcher(mount.path) as heard:
        make_aap(emulator, "fresh")
        heard("MOVED_TO,ISDIR fresh")
        emulator.set_faults("ListApplicationAccessPoints denied x2")
        delete_aap(emulator, "fresh")
        heard("DELETE,ISDIR fresh")
    made = make_key(emulator)["ClientKeyId"]
    wait_until(emulator.directory, lambda: made in listed_keys(mount))
