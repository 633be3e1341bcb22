"""Starting from the store: everything as it was, whatever KMS does, and whatever lies on the disk."""
import errno
import hashlib
import os
import pathlib
import re
import select
import subprocess
import threading
import time

import pytest

from parts.harness import AAPFS, PASSWORD, Write, environment, make_state_key, result_of, run_aapfs, until
from parts.kms import ACCOUNT, keys_of
from parts.log import UNSETTLED
from parts.processes import kill_all
from parts.sealed import Seal
from parts.store import disk, intents_of, store_of, stored, tmpfs
from parts.tree import shown
from parts.users import NOBODY, program_for_others
from parts.watch import wait_until


@pytest.mark.core
def test_a_remount_shows_the_same_to_the_last_byte(mount, emulator, remount):
    for _ in range(3):
        mount.write("payments", PASSWORD)
    mount.write("orders", f"{PASSWORD} 2026-01-01T00:00:00Z 2099-12-01T00:00:00Z")
    mount.write("payments", f"{PASSWORD} 2098-12-01T00:00:00Z 2099-12-01T00:00:00Z")
    mount.write("payments", f"delete {sorted(set(os.listdir(mount / 'payments/keys')) - {mount.key_id()})[0]}")
    before, status = shown(mount), mount.status("payments")
    assert len(os.listdir(mount / "payments/keys")) == 3
    for _ in range(2):
        mount = remount(mount, emulator.url)
        assert shown(mount) == before
        assert mount.status("payments") == status
    assert emulator.count("CreateClientKey") == 5
    assert mount.status()["Damaged"] == 0
    # and it goes on from there
    mount.write("payments", PASSWORD)
    assert len(os.listdir(mount / "payments/keys")) == 4
    for name in ("client_key.json", "not_after"):
        assert (mount / "payments" / name).stat().st_mtime_ns > before[f"payments/{name}"][1]


def test_without_its_forms_a_key_is_judged_again_and_is_the_same(mount, emulator, remount):
    for _ in range(3):
        mount.write("payments", PASSWORD)
    before = shown(mount)
    forms = sorted(store_of(mount).glob("payments/.*.forms"))
    assert len(forms) == 3
    whole = [path.read_bytes() for path in forms]
    mount.leave()
    forms[0].unlink()
    forms[1].write_bytes(whole[1][:len(whole[1]) // 2])
    forms[2].write_bytes(whole[2][:-1] + bytes([whole[2][-1] ^ 1]))
    mount = remount(mount, emulator.url)
    assert shown(mount) == before
    assert sorted(store_of(mount).glob("payments/.*.forms")) == forms
    seal = Seal(mount)
    for key_id in os.listdir(mount / "payments/keys"):
        pem = (mount / "payments/keys" / key_id / "private_key.pem").read_bytes()
        assert pem in seal.forms("payments", key_id)


def test_records_are_as_another_program_reads_them(mount):
    mount.write("payments", PASSWORD)
    record = Seal(mount).record("payments", mount.key_id())
    assert record["Password"] == PASSWORD and record["Intent"] > 0 and record["DatesGiven"] is False
    assert record["PrivateKeyData"] + "\n" == mount.read("payments", "private_key_data")
    assert record["NotAfter"] + "\n" == mount.read("payments", "not_after")
    assert record["RequestId"] == mount.status("payments")["RequestId"]
    assert record["MadeNs"] == (mount / "payments/client_key.json").stat().st_mtime_ns


# -- without KMS --------------------------------------------------------------------------------


def seconds_until_served(start, path):
    """From now until a file below PATH was read: as soon as the kernel tells of the mount, it is asked."""
    mounts = open("/proc/self/mountinfo")
    poll = select.poll()
    poll.register(mounts, select.POLLPRI)
    began = time.monotonic()
    thread = threading.Thread(target=start)
    thread.start()
    while str(path) not in {line.split()[4] for line in mounts}:
        assert poll.poll(20000)
        mounts.seek(0)
    (path / "payments/client_key.json").read_bytes()
    seconds = time.monotonic() - began
    thread.join()
    mounts.close()
    return seconds


@pytest.mark.full
@pytest.mark.parametrize("how", ["refused", "silent"])
def test_kms_unreachable_at_the_start(mount, emulator, remount, how):
    mount.write("payments", PASSWORD)
    mount.write("orders", PASSWORD)
    before = shown(mount)
    mount.leave()
    if how == "refused":
        emulator.stop()
    else:
        emulator.set_faults("* silent")
    again = []
    seconds = seconds_until_served(lambda: again.append(remount(mount, emulator.url, request_timeout="4s")), mount.path)
    assert seconds < 3  # it waits for none of KMS's answers
    assert shown(again[0]) == before
    began = time.monotonic()
    assert result_of(again[0], PASSWORD) == (errno.ECONNREFUSED if how == "refused" else errno.ETIMEDOUT)
    assert time.monotonic() - began < 6  # request_timeout is 4 s
    assert shown(again[0]) == before


# -- killed -------------------------------------------------------------------------------------


@pytest.mark.core
def test_ready_waits_for_no_answer_of_kms(start_mount, emulator, remount):
    first = start_mount(emulator.url)
    first.write("payments", PASSWORD)
    before = first.read("payments", "client_key.json")
    emulator.set_faults("* silent")
    # what the configuration names is there, and so is what was kept
    mount = remount(first, emulator.url, settings="aaps = orders, payments", listed=False)
    assert sorted(os.listdir(mount.path)) == [".aapfs", "orders", "payments"]
    assert mount.read("payments", "client_key.json") == before
    assert mount.status("orders")["State"] == "none" and mount.status()["LastSync"] is None


def test_ready_comes_at_once_while_kms_is_silent(start_mount, emulator, tmp_path):
    """The shortest of some: it waited 0.8 s for the first listing, and this machine may be slow."""
    emulator.set_faults("* silent")
    times = []
    while len(times) < 5 and min(times, default=9) > 0.7:
        (directory := tmp_path / str(len(times))).mkdir()
        times.append(start_mount(emulator.url, directory=directory, listed=False).ready_after)
    assert min(times) < 0.7, times


def test_in_the_background_it_returns_when_the_mount_answers(start_mount, emulator, tmp_path):
    """And a command that needs an AAP waits for the first listing by itself."""
    model = start_mount(emulator.url, request_timeout="10s", listed=False)
    model.stop()
    emulator.set_faults("ListApplicationAccessPoints delay=2000 x1")
    done = run_aapfs("-c", model.config, model.path)
    try:
        assert (done.returncode, done.stderr) == (0, "")
        assert os.listdir(model.path) == [".aapfs"]
        made = run_aapfs("create", "-m", model.path, "--password-file", "-", "payments", input=PASSWORD + "\n")
        assert (made.returncode, made.stdout, made.stderr) == (0, model.key_id() + "\n", "")
    finally:
        subprocess.run(["umount", model.path], check=True)


def write_until_killed(mount, acknowledged):
    while True:
        try:
            mount.write("payments", PASSWORD)
            path = mount / "payments/current"
            acknowledged[os.readlink(path).removeprefix("keys/")] = (path / "client_key.json").read_bytes()
        except OSError:
            return


def kill_and_remount(mount, emulator, remount, times):
    acknowledged = {}
    for _ in range(times):
        had = emulator.count("CreateClientKey")
        writer = threading.Thread(target=write_until_killed, args=(mount, acknowledged))
        writer.start()
        wait_until(emulator.directory, lambda: emulator.count("CreateClientKey") > had + 1)
        kill_all(mount)
        writer.join()
        mount = remount(mount, emulator.url, expected_errors=(
            f"aapfs: {mount.path}: a mount of aapfs that had lost its daemon was detached\n"))
        for key_id, content in acknowledged.items():
            assert (mount / "payments/keys" / key_id / "client_key.json").read_bytes() == content
        assert mount.status("payments")["State"] == "active"
        assert mount.status()["Damaged"] == 0
    assert len(acknowledged) >= times


def test_killed_and_remounted(mount, emulator, remount):
    kill_and_remount(mount, emulator, remount, 3)


@pytest.mark.full
def test_killed_and_remounted_fifty_times(mount, emulator, remount):
    kill_and_remount(mount, emulator, remount, 50)


# -- what does not fit --------------------------------------------------------------------------


def refused(mount, *options):
    """A start on a mount's state that has to fail with exit 2 and change nothing: its line."""
    before = disk(mount)
    done = run_aapfs("-f", "-c", mount.config, *options, mount.path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert done.stderr.startswith("aapfs: state: ")
    assert disk(mount) == before
    assert not mount.is_mounted()
    return done.stderr


@pytest.mark.core
def test_a_key_that_does_not_fit_is_exit_2_and_touches_nothing(mount, emulator, remount):
    mount.write("payments", PASSWORD)
    before = shown(mount)
    mount.leave()
    right = mount.state_key.read_bytes()
    mount.state_key.unlink()
    line = refused(mount)
    assert str(mount.state_key) in line and "put it back" in line
    make_state_key(mount.state_key)
    assert "give the state key" in refused(mount)
    for text in (b"", b"not a key\n", right[:-2], b"g" + right[1:], right + right):
        mount.state_key.write_bytes(text)
        assert "64 hexadecimal digits" in refused(mount)
    mount.state_key.write_bytes(right)
    mount.state_key.chmod(0o644)
    assert "chmod 0600" in refused(mount)
    mount.state_key.chmod(0o600)
    mount = remount(mount, emulator.url)
    assert shown(mount) == before


def test_a_state_that_does_not_fit_is_exit_2_and_touches_nothing(mount, emulator, remount):
    mount.write("payments", PASSWORD)
    before = shown(mount)
    mount.leave()
    assert "keys of the region cn-hangzhou" in refused(mount, "--region", "eu-central-1")
    mount.state.chmod(0o750)
    assert "chmod 0700" in refused(mount)
    mount.state.chmod(0o700)
    second = mount.state / "cn-hangzhou-42"
    second.mkdir(0o700)
    assert "two accounts" in refused(mount)
    second.rmdir()
    check = store_of(mount) / ".check"
    text = check.read_bytes()
    for damage in (b"", b"hello\n", text[:-1], text[:-1] + bytes([text[-1] ^ 1])):
        check.write_bytes(damage)
        refused(mount)
    check.unlink()
    assert "check value is missing" in refused(mount)
    check.write_bytes(text)
    mount = remount(mount, emulator.url)
    assert shown(mount) == before


def test_a_configured_key_that_is_missing_is_told_how_to_be_made(start_mount, emulator, tmp_path):
    with pytest.raises(AssertionError) as raised:
        start_mount(emulator.url, state=tmp_path / "state", state_key=tmp_path / "none")
    assert "openssl rand -hex 32" in str(raised.value)
    assert not (tmp_path / "none").exists()


ETC = """set -e
mount -t tmpfs none "$1" && mkdir "$1/upper" "$1/work"
mount -t overlay none -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" /etc
rm -rf /etc/aapfs
umask 077
"$2" -f --endpoint "$3" --state "$4" "$5" &
"""


def in_an_etc_of_its_own(emulator, tmp_path, then):
    """Root's first mount, and then a command of an ordinary user's, with an /etc where nothing of aapfs is yet."""
    for name in ("etc", "mount", "own"):
        (tmp_path / name).mkdir()
    os.chown(tmp_path / "own", NOBODY, NOBODY)
    script = ETC + 'until [ -e "$5/.aapfs/status" ]; do :; done\n' + then + "\nkill $!\nwait\n"
    return subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", tmp_path / "etc", AAPFS, emulator.url,
                           tmp_path / "state", tmp_path / "mount", program_for_others(tmp_path), tmp_path / "own"],
                          capture_output=True, text=True, env=environment(), timeout=60)


AS_NOBODY = f"setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups env -u CREDENTIALS_DIRECTORY "


def test_where_root_keeps_its_state_key_everybody_reads_the_configuration(emulator, tmp_path):
    done = in_an_etc_of_its_own(emulator, tmp_path, "stat -c %a:%u /etc/aapfs /etc/aapfs/state.key\n"
                                + AS_NOBODY + "ls /etc/aapfs")
    assert (done.stdout, done.stderr) == ("755:0\n600:0\nstate.key\n", "")


def test_a_configuration_that_a_user_may_not_read(emulator, tmp_path):
    done = in_an_etc_of_its_own(emulator, tmp_path, "chmod 700 /etc/aapfs\n" + AS_NOBODY + '"$6" -f "$7" || echo $?')
    assert done.stdout == "2\n"
    assert done.stderr == ("aapfs: configuration: /etc/aapfs/aapfs.conf: Permission denied; "
                           "give one of your own with -c FILE\n")


def test_what_is_damaged_is_told_and_left_and_harms_nobody(mount, emulator, remount):
    for _ in range(8):
        mount.write("payments", PASSWORD)
    mount.write("orders", PASSWORD)
    before, store = shown(mount), store_of(mount)
    current = mount.key_id()
    superseded = sorted(set(os.listdir(mount / "payments/keys")) - {current})
    mount.leave()
    text = (store / "payments" / superseded[0]).read_bytes()
    head = text.index(b"}") + 1
    places = [0, 12, 15, 20, head, head + 12, -1]  # magic, size, header, nonce, body, tag
    why = {}
    for key_id, place in zip(superseded, places, strict=True):
        path = store / "payments" / key_id
        text = bytearray(path.read_bytes())
        text[place] ^= 1
        path.write_bytes(text)
        why[f"payments/{key_id}"] = "not a file of aapfs" if place in (0, 12) else "damaged, or sealed for another place"
    (store / "payments/KAAP.empty").write_bytes(b"")
    (store / "payments/KAAP.foreign").write_bytes(b"hello\n")
    (store / "payments/KAAP.huge").write_bytes(bytes(100000))
    (store / "payments/KAAP.directory").mkdir()
    (store / "notes.txt").write_text("hello\n")
    (store / "orders/KAAP.copy").write_bytes((store / "payments" / current).read_bytes())
    why |= {"payments/KAAP.empty": "not a file of aapfs", "payments/KAAP.foreign": "not a file of aapfs",
            "payments/KAAP.huge": "too large for a file of aapfs", "payments/KAAP.directory": "not a file of aapfs",
            "notes.txt": "Not a directory", "orders/KAAP.copy": "damaged, or sealed for another place"}
    on_disk = disk(mount)
    mount = remount(mount, emulator.url)
    mount.expected_errors = mount.errors()
    assert sorted(mount.errors().splitlines()) == sorted(
        f"aapfs: {store}/{path}: {reason}; it stays where it is" for path, reason in why.items())
    assert mount.status()["Damaged"] == len(why)
    assert os.listdir(mount / "payments/keys") == [current]
    for path in (f"payments/keys/{current}/client_key.json", "payments/private_key.pem", "orders/certificate.pem"):
        assert (mount / path).read_bytes() == before[path][0]
    assert disk(mount) == on_disk


def test_another_account_leaves_every_key_readable_and_makes_none(mount, start_emulator, remount, emulator):
    mount.write("payments", PASSWORD)
    mount.write("payments", PASSWORD)
    # an AAP of the other account is not shown beside those of the store
    before = {path: what for path, what in shown(mount).items() if not path.startswith("orders")}
    before["."] = [".aapfs", "payments"]
    old, = set(os.listdir(mount / "payments/keys")) - {mount.key_id()}
    other = start_emulator("--account-id", "42")
    mount = remount(mount, other.url)
    on_disk = disk(mount)
    assert shown(mount) == before
    assert result_of(mount, PASSWORD) == errno.EACCES
    error = mount.last_error()
    assert error["Code"] == "OtherAccount" and "42" in error["Message"] and ACCOUNT in error["Message"]
    assert "state of its own" in error["Message"]
    assert mount.last_error(".aapfs")["Code"] == "OtherAccount"
    # that KMS does not know the key, and its saying so must not count
    assert result_of(mount, f"delete {old}") == errno.EACCES
    assert shown(mount) == before and disk(mount) == on_disk
    assert mount.status()["Account"] == ACCOUNT
    assert other.count("CreateClientKey") == other.count("DeleteClientKey") == 0
    mount = remount(mount, emulator.url)
    mount.write("payments", PASSWORD)
    assert mount.last_error(".aapfs") is None


# -- another machine ----------------------------------------------------------------------------


MACHINE_ID = pathlib.Path("/etc/machine-id")
FOREIGN = "it was made on another machine; its keys are served; if it belongs to this one now, write adopt-state to"


@pytest.mark.skipif(not MACHINE_ID.exists() or len(MACHINE_ID.read_text().strip()) != 32,
                    reason="this machine has no /etc/machine-id")
@pytest.mark.parametrize("text", ["", pytest.param("0" * 64 + "\n", marks=pytest.mark.full)])
def test_a_cloned_machine_serves_and_says_so_until_the_state_is_adopted(mount, emulator, remount, text):
    note = mount.state / ".machine"
    mount.write("payments", PASSWORD)
    ours = hashlib.sha256(b"aapfs machine 1\n" + MACHINE_ID.read_bytes().strip()).hexdigest() + "\n"
    assert note.read_text() == ours
    assert mount.status()["ForeignState"] is False and mount.status()["Note"] is None
    mount.write(".aapfs", "adopt-state")  # it is ours: that changes nothing
    before, on_disk = shown(mount), disk(mount)
    mount = remount(mount, emulator.url)
    assert mount.status()["ForeignState"] is False
    assert disk(mount) == on_disk

    note.write_text(text)
    on_disk = disk(mount)
    mount = remount(mount, emulator.url)
    mount.expected_errors = mount.errors()
    line, = mount.errors().splitlines()
    assert line == f"aapfs: {mount.state}: {FOREIGN} .aapfs/control"
    assert shown(mount) == before and disk(mount) == on_disk
    assert mount.status()["ForeignState"] is True and "adopt-state" in mount.status()["Note"]
    mount.write("payments", PASSWORD)  # what somebody asks for is done
    mount.write(".aapfs", "adopt-state")
    assert mount.status()["ForeignState"] is False and mount.status()["Note"] is None
    assert note.read_text() == ours
    mount = remount(mount, emulator.url)
    assert mount.errors() == "" and mount.status()["ForeignState"] is False


@pytest.mark.skipif(not MACHINE_ID.exists() or len(MACHINE_ID.read_text().strip()) != 32,
                    reason="this machine has no /etc/machine-id")
def test_a_state_that_was_made_where_there_is_no_machine_id(start_mount, emulator, remount, tmp_path):
    """In a container, say: the first machine that has one takes it for its own."""
    none = tmp_path / "none"
    none.touch()
    without = ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c",
               f'mount --make-private /; mount --bind {none} /etc/machine-id; exec "$@"', "-"]
    # what is mounted in there has to be seen here
    shared = tmp_path / "shared"
    shared.mkdir()
    subprocess.run(["mount", "--bind", shared, shared], check=True)
    subprocess.run(["mount", "--make-shared", shared], check=True)
    try:
        mount = start_mount(emulator.url, directory=shared, wrap=without)
        mount.write("payments", PASSWORD)
        note = mount.state / ".machine"
        assert not note.exists() and mount.status()["ForeignState"] is False
        mount = remount(mount, emulator.url)
        assert mount.errors() == "" and mount.status()["ForeignState"] is False
        assert note.read_text() == hashlib.sha256(b"aapfs machine 1\n" + MACHINE_ID.read_bytes().strip()).hexdigest() + "\n"
        mount.stop()
    finally:
        subprocess.run(["umount", "-l", shared], check=True)


@pytest.mark.skipif(not MACHINE_ID.exists(), reason="this machine has no /etc/machine-id")
def test_a_foreign_state_that_cannot_be_adopted_stays_one(start_mount, emulator, tmp_path):
    with tmpfs(tmp_path / "disk", "400k"):
        mount = start_mount(emulator.url, state=tmp_path / "disk")
        mount.write("payments", PASSWORD)
        mount.stop()
        (tmp_path / "disk/.machine").write_text("")
        mount = start_mount(emulator.url, **mount.kept)
        mount.expected_errors = mount.errors()
        subprocess.run(["mount", "-o", "remount,ro", tmp_path / "disk"], check=True)
        assert result_of(mount, "adopt-state", ".aapfs") == errno.EROFS
        error = mount.last_error(".aapfs")
        assert (error["Operation"], error["Code"]) == ("adopt-state", "State")
        assert mount.status()["ForeignState"] is True
        subprocess.run(["mount", "-o", "remount,rw", tmp_path / "disk"], check=True)
        mount.write(".aapfs", "adopt-state")
        assert mount.status()["ForeignState"] is False and mount.last_error(".aapfs") is None
        mount.stop(mount.expected_errors)


# -- rejected -----------------------------------------------------------------------------------


def test_a_rejected_key_is_kept_and_can_be_judged_again(mount, emulator, remount):
    assert result_of(mount, "retry-check") == errno.ENOENT
    mount.write("payments", PASSWORD)
    current = mount.key_id()
    emulator.set_faults("CreateClientKey wrong-password x1")
    assert result_of(mount, PASSWORD) == errno.EKEYREJECTED
    rejected, = mount.status("payments")["Rejected"]
    assert stored(store_of(mount) / "payments") == sorted([f".{current}.forms", current, rejected])
    mount = remount(mount, emulator.url)
    assert mount.status("payments")["Rejected"] == [rejected]
    assert os.listdir(mount / "payments/keys") == [current] and mount.key_id() == current
    assert result_of(mount, "retry-check") == errno.EKEYREJECTED
    assert "does not open with the password" in mount.last_error()["Message"]
    assert mount.status()["Damaged"] == 0

    # it opens now: it was encrypted with another password
    seal = Seal(mount)
    record = seal.record("payments", rejected)
    seal.write_record("payments", rejected, {**record, "Password": "another-Password1"})
    mount.write("payments", "retry-check")
    assert mount.status("payments")["Rejected"] == [] and mount.last_error() is None
    assert mount.key_id() == rejected
    assert sorted(os.listdir(mount / "payments/keys")) == sorted([current, rejected])
    assert os.readlink(mount / "payments/current") == f"keys/{rejected}"
    before = shown(mount)
    mount = remount(mount, emulator.url)
    assert shown(mount) == before
    assert result_of(mount, "retry-check") == errno.ENOENT


def test_a_rejected_key_that_is_older_than_the_current_becomes_no_current(mount, emulator):
    emulator.set_faults("CreateClientKey wrong-password x1")
    assert result_of(mount, PASSWORD) == errno.EKEYREJECTED
    rejected, = mount.status("payments")["Rejected"]
    mount.write("payments", PASSWORD)
    current = mount.key_id()
    seal = Seal(mount)
    seal.write_record("payments", rejected, {**seal.record("payments", rejected), "Password": "another-Password1"})
    mount.write("payments", "retry-check")
    assert mount.key_id() == current
    assert sorted(os.listdir(mount / "payments/keys")) == sorted([current, rejected])
    assert mount.status("payments")["Superseded"] == [rejected]


def test_a_rejected_key_is_deleted_on_request(mount, emulator, remount):
    emulator.set_faults("CreateClientKey other-certificate x1")
    assert result_of(mount, PASSWORD) == errno.EKEYREJECTED
    rejected, = mount.status("payments")["Rejected"]
    mount = remount(mount, emulator.url)
    mount.write("payments", f"delete {rejected}")
    assert mount.status("payments")["Rejected"] == []
    assert stored(store_of(mount) / "payments") == []
    assert set(keys_of(emulator)) == set()


# -- intents ------------------------------------------------------------------------------------


@pytest.mark.full
def test_an_orphan_is_remembered_and_a_trace_of_nothing_goes(mount, emulator, remount):
    emulator.set_faults("CreateClientKey reset-after x1")
    assert result_of(mount, PASSWORD) == errno.ECONNRESET
    orphan, = set(keys_of(emulator))
    emulator.set_faults("CreateClientKey reset-before x1")
    assert result_of(mount, PASSWORD) == errno.ECONNRESET
    assert len(intents_of(mount)) == 2
    emulator.move_clock(75)
    emulator.set_faults("ListClientKeys denied")
    mount = remount(mount, emulator.url, expected_errors=UNSETTLED)
    wait_until(mount.directory, lambda: emulator.count("ListClientKeys") > 0)
    assert len(intents_of(mount)) == 2
    emulator.set_faults()
    mount = remount(mount, emulator.url)
    wait_until(mount.directory, lambda: mount.status("payments")["Orphans"] == [orphan])
    wait_until(mount.directory, lambda: len(intents_of(mount)) == 1)
    assert mount.status("payments")["Candidates"] == []
    mount.write("payments", f"delete {orphan}")
    assert intents_of(mount) == []


@pytest.mark.full
def test_a_creation_that_was_killed_is_settled(mount, emulator, remount):
    """Killed with its request on the way: the key is an Orphan of the next start."""
    mount.write("orders", PASSWORD)
    emulator.set_faults("CreateClientKey late=300 x1")
    writer = Write(mount, PASSWORD)
    wait_until(emulator.directory, lambda: emulator.count("CreateClientKey") == 2)
    kill_all(mount)
    writer.end()
    assert len(intents_of(mount)) == 2  # the intent and its room
    until(lambda: len(set(keys_of(emulator))) == 1)  # no watch: there is a dead mount in the directory
    mount = remount(mount, emulator.url, expected_errors=(
        f"aapfs: {mount.path}: a mount of aapfs that had lost its daemon was detached\n"))
    orphan, = set(keys_of(emulator))
    wait_until(mount.directory, lambda: mount.status("payments")["Orphans"] == [orphan])
    mount.write("payments", f"delete {orphan}")
    assert intents_of(mount) == []


# -- many ---------------------------------------------------------------------------------------


@pytest.mark.full
def test_forms_beside_the_records_save_opening_a_thousand_keys(mount, emulator, remount):
    mount.write("payments", PASSWORD)
    seal, first = Seal(mount), mount.key_id()
    record, forms = seal.record("payments", first), seal.forms("payments", first)
    pem = mount.read("payments", "private_key.pem")
    mount.leave()
    for number in range(999):
        aap, key_id = f"aap-{number % 100}", f"KAAP.{number:032}"
        seal.write_record(aap, key_id, {**record, "MadeNs": record["MadeNs"] + number, "Intent": number + 1})
        seal.write_forms(aap, key_id, forms)
    again = []
    unknown = {"expected_errors": re.compile(r"aapfs: aap-\d+: KMS no longer has this application access point; .*\n")}
    unknown["ready_timeout"] = 120  # a thousand keys are opened
    seconds = seconds_until_served(lambda: again.append(remount(mount, emulator.url, **unknown)), mount.path)
    print("seconds", seconds)
    mount = again[0]
    assert mount.status()["Damaged"] == 0
    assert sum(len(os.listdir(path)) for path in mount.path.glob("*/keys")) == 1000
    assert mount.key_id("aap-98") == f"KAAP.{998:032}"
    assert mount.read("aap-7", "private_key.pem") == pem
    mount.leave()
    for path in pathlib.Path(mount.state).rglob(".*.forms"):
        path.unlink()
    opening = seconds_until_served(lambda: again.append(remount(mount, emulator.url, **unknown)), mount.path)
    print("without forms", opening)
    assert again[1].read("aap-7", "private_key.pem") == pem
    assert opening > 3 * seconds


@pytest.mark.full
def test_a_key_on_its_way_is_taken_before_the_end(start_mount, emulator, remount):
    mount = start_mount(emulator.url, request_timeout="20s")
    emulator.set_faults("CreateClientKey delay=2500 x1")
    writer = subprocess.Popen(["sh", "-c", f"echo {PASSWORD} > {mount.path}/payments/control"])
    until(lambda: emulator.count("CreateClientKey"))
    mount.process.terminate()
    assert writer.wait(20) == 0  # its key is safe
    assert mount.process.wait(20) == 0
    mount.is_over = True
    again = remount(mount, emulator.url)
    assert again.status("payments")["State"] == "active" and again.status("payments")["Orphans"] == []
    assert emulator.count("CreateClientKey") == 1
