"""Keys rotate by themselves: in time, once, whatever KMS, the clocks and the hooks do."""
import concurrent.futures
import contextlib
import errno
import json
import os
import random
import re
import subprocess
import threading
import time

import pytest

from parts.fifo import Fifo
from parts.harness import PASSWORD, Mount, Write, result_of, until
from parts.kms import delete_key, keys_of, make_key
from parts.processes import kill_all
from parts.rotations import rotated, start_rotating
from parts.times import DAY, moment_of, text_of
from parts.tree import listed_keys

FAULTS = ["throttle", "unavailable", "internal", "delay=300", "reset-before", "reset-after", "truncate", "garbage",
          "wrong-password", "expired-clock", "empty-list", "short-page", "denied"]
BLOCKED = re.compile(r"aapfs: (\S+): 3 client keys in a row .* then write rotate or a password to \S+/control\n")
GONE = re.compile(r"aapfs: payments: KMS no longer has this application access point; .*\n")


def test_a_key_is_replaced_when_it_is_due(start_mount, emulator):
    """With the password that it had; what superseded keys are expired is deleted."""
    mount = start_rotating(start_mount, emulator, validity="3s", rotate_at="67%")
    mount.write("payments", PASSWORD)
    first = mount.key_id()
    second = rotated(mount, "payments", first)
    subprocess.run(["openssl", "pkey", "-in", mount / "payments/private_key.pem", "-passin", f"pass:{PASSWORD}", "-noout"],
                   check=True)
    rotated(mount, "payments", second)
    until(lambda: first not in keys_of(emulator) and not (mount / "payments/keys" / first).exists())
    assert not (mount / "orders/client_key_id").exists()  # none by itself


def test_password_sources(start_mount, start_emulator, tmp_path):
    """What breaks KMS's rules, or what others can read, is refused without a request."""
    sources = {name: tmp_path / name for name in ("right", "open", "bad")}
    for name, path in sources.items():
        path.write_text("File-Secret9\nsecond line\n" if name != "bad" else "short\n")
        path.chmod(0o644 if name == "open" else 0o600)
    emulator = start_emulator(aaps=["generated", *sources])
    mount = start_rotating(start_mount, emulator, validity="1y", sections="[aap generated]\npassword_source = generate\n"
                           "expose_password = yes\n" + "".join(f"[aap {name}]\npassword_source = file:{path}\n"
                                                               for name, path in sources.items()))
    with pytest.raises(FileNotFoundError):
        mount.write("right", "rotate")  # there is nothing to rotate
    for aap in ("generated", *sources):
        mount.write(aap, PASSWORD)
    made = emulator.count("CreateClientKey")
    before = mount.key_id("right")
    mount.write("right", "rotate")
    assert mount.key_id("right") != before
    subprocess.run(["openssl", "pkey", "-in", mount / "right/private_key.pem", "-passin", "pass:File-Secret9", "-noout"],
                   check=True)
    passwords = set()
    for _ in range(3):
        mount.write("generated", "rotate")
        passwords.add(mount.read("generated", "password"))
        subprocess.run(["openssl", "pkey", "-in", mount / "generated/private_key.pem", "-passin",
                        f"file:{mount / 'generated/password'}", "-noout"], check=True)
    assert len(passwords) == 3 and all(
        len(password) == 32 and re.search("[A-Za-z]", password) and re.search("[0-9]", password) and
        re.search("[^A-Za-z0-9]", password) for password in passwords)
    for aap, word in (("open", "chmod 0600"), ("bad", "too short")):
        with pytest.raises(OSError):
            mount.write(aap, "rotate")
        assert word in mount.last_error(aap)["Message"] and mount.last_error(aap)["Code"] == "PasswordSource"
    assert emulator.count("CreateClientKey") == made + 4


def test_first_keys_come_by_themselves(start_mount, remount, emulator, tmp_path):
    """One each, also where KMS has another machine's; the next start makes no other."""
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n")
    password.chmod(0o600)
    parts = {"defaults": f"first_key = file:{password}", "settings": "requests_per_second = 100"}
    make_key(emulator)
    mount = start_mount(emulator.url, **parts)
    for aap in ("payments", "orders"):
        made = until(lambda: re.search(rf"(?m) aapfs: {aap}: created (\S+), valid until \S+, by first_key = file:{password}$",
                                       mount.log()))
        assert mount.key_id(aap) == made[1]
    subprocess.run(["openssl", "pkey", "-in", mount / "orders/private_key.pem", "-passin", f"pass:{PASSWORD}", "-noout"],
                   check=True)
    keys = [mount.key_id(aap) for aap in ("payments", "orders")]
    again = remount(mount, emulator.url, **parts)
    again.sync()
    assert [again.key_id(aap) for aap in ("payments", "orders")] == keys
    assert emulator.count("CreateClientKey") == 1 + 2


@pytest.fixture
def hanging_file(start_emulator, tmp_path):
    """A password on another mount, whose worker is stopped until this is closed."""
    (tmp_path / "other").mkdir()
    mount = Mount(tmp_path / "other", start_emulator().url, defaults="expose_password = yes\nmode = 0400\n")
    mount.write("payments", PASSWORD)
    with contextlib.ExitStack() as until_then:
        until_then.enter_context(mount.stopped("aapfs-worker"))
        until_then.path = mount / "payments/password"
        yield until_then
    mount.stop()


@pytest.mark.full
def test_a_password_file_that_does_not_answer_stops_nothing_else(start_mount, emulator, hanging_file):
    mount = start_rotating(start_mount, emulator, validity="1y", request_timeout="3s",
                           sections=f"[aap payments]\npassword_source = file:{hanging_file.path}\n")
    mount.write("payments", PASSWORD)
    rotation = Write(mount, "rotate")
    until(lambda: "under way" in (mount.status("payments")["Note"] or ""))
    mount.write("orders", PASSWORD)
    assert rotation.is_alive()  # which still waits for its file
    assert rotation.end() == errno.EINVAL
    assert "does not answer" in mount.last_error("payments")["Message"]
    assert result_of(mount, "rotate") == errno.EINVAL  # no second thread hangs
    assert emulator.count("CreateClientKey") == 2
    engine_threads = len(os.listdir(f"/proc/{mount.children()['aapfs-worker']}/task"))
    hanging_file.close()
    until(lambda: len(os.listdir(f"/proc/{mount.children()['aapfs-worker']}/task")) < engine_threads)
    mount.write("payments", "rotate")
    assert emulator.count("CreateClientKey") == 3


@pytest.mark.full
def test_a_kms_that_is_always_wrong_makes_three_keys(tmp_path, start_mount, start_emulator):
    """Each way of being wrong on a mount of its own, side by side: their keys take their time."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        ways = [pool.submit(be_always_wrong, start_mount, start_emulator(), tmp_path / fault, fault)
                for fault in ("wrong-password", "truncate", "garbage")]
    for way in ways:
        way.result()


def be_always_wrong(start_mount, emulator, directory, fault):
    directory.mkdir()
    mount = start_rotating(start_mount, emulator, validity="4s", directory=directory)
    mount.write("payments", PASSWORD)
    first = mount.key_id()
    emulator.set_faults(f"CreateClientKey {fault}")
    until(lambda: BLOCKED.search(mount.errors()))
    assert mount.status("payments")["State"] in ("failing", "expired")
    made = emulator.count("CreateClientKey")
    assert made == 4
    mount.sync()
    mount.kill("aapfs-worker")  # its successor counts what lies on the disk
    until(lambda: len(BLOCKED.findall(mount.errors())) == 2)
    listed = emulator.count("ListClientKeys")
    for _ in range(2):  # after the first nothing but the block holds a creation back, and it would be sent before the second
        mount.sync()
    assert emulator.count("ListClientKeys") >= listed + 2
    assert emulator.count("CreateClientKey") == made and mount.key_id() == first

    def is_told():
        status = mount.status("payments")
        return set(keys_of(emulator)) <= {first, *status["Rejected"], *status["Orphans"]}

    until(is_told, 10, lambda: f"{keys_of(emulator)} {mount.status('payments')} {mount.errors()} {emulator.counts()}")
    with pytest.raises(OSError):
        mount.write("payments", "rotate")  # gives three more
    until(lambda: len(BLOCKED.findall(mount.errors())) == 3)
    assert emulator.count("CreateClientKey") == made + 4
    emulator.set_faults()
    mount.write(".aapfs", "rotate-due")
    rotated(mount, "payments", first)


@pytest.mark.parametrize("shift", [-600, -60, 60, 600, 3 * 3600])
def test_a_kms_whose_clock_is_another(start_mount, emulator, shift):
    emulator.move_clock(shift)
    mount = start_rotating(start_mount, emulator, validity="1y")
    mount.write("payments", PASSWORD)
    first = mount.key_id()
    mount.write("payments", PASSWORD)
    assert mount.key_id() != first
    begin = moment_of(mount.read("payments", "not_before").strip())
    assert begin <= emulator.now() and mount.status("payments")["State"] == "active"


def test_a_local_clock_that_jumps_rotates_nothing(start_mount, emulator, clock):
    mount = start_rotating(start_mount, emulator, validity="1d", **clock.parts)
    mount.write("payments", PASSWORD)
    first = mount.key_id()
    for shift in (DAY, 0, -DAY, 0):
        clock(shift)
        mount.write(".aapfs", "rotate-due")  # it looks
        mount.sync()
        assert mount.key_id() == first and mount.status("payments")["State"] != "expired"
        begin = moment_of(mount.read("payments", "not_before").strip())
    clock(DAY)
    mount.write("payments", PASSWORD)
    begin = moment_of(mount.read("payments", "not_before").strip())
    assert abs(begin - time.time()) < 3700 and emulator.count("CreateClientKey") == 2


@pytest.mark.full
def test_stopped_for_longer_than_the_rotation_window(start_mount, emulator):
    mount = start_rotating(start_mount, emulator, validity="8s")
    mount.write("payments", PASSWORD)
    first, made = mount.key_id(), emulator.count("CreateClientKey")
    end = moment_of(mount.read("payments", "not_after").strip())
    with mount.stopped():
        while time.time() < end + 1:
            time.sleep(0.1)
    rotated(mount, "payments", first)
    assert emulator.count("CreateClientKey") == made + 1


def test_off_for_a_month(start_mount, emulator, clock):
    mount = start_rotating(start_mount, emulator, validity="10d", **clock.parts)
    mount.write("payments", PASSWORD)
    first = mount.key_id()
    mount.leave()
    clock(30 * DAY)
    emulator.move_clock(30 * DAY)
    again = start_rotating(start_mount, emulator, validity="10d", **clock.parts, **mount.kept)
    second = rotated(again, "payments", first)
    until(lambda: again.status("payments")["State"] == "active")
    assert emulator.count("CreateClientKey") == 2 and again.key_id() == second
    until(lambda: set(keys_of(emulator)) == {second})  # the expired one is deleted


def with_a_scheduled_key(start_mount, emulator, clock, **parts):
    """A mount with two keys, and the time in an hour when the second one begins."""
    mount = start_rotating(start_mount, emulator, validity="1y", **clock.parts, **parts)
    mount.write("payments", PASSWORD)
    first, begin = mount.key_id(), int(time.time()) + 3600
    mount.write("payments", f"{PASSWORD} {text_of(begin)} {text_of(begin + 400 * DAY)}")
    assert mount.key_id() == first
    [second] = mount.status("payments")["Scheduled"]
    return mount, first, second, begin


@pytest.mark.full
def test_a_scheduled_key_is_published_when_it_begins(start_mount, emulator, clock):
    mount, first, second, begin = with_a_scheduled_key(start_mount, emulator, clock)
    assert listed_keys(mount) == {first, second}
    mount.kill("aapfs-worker")
    until(lambda: mount.children().get("aapfs-worker"))
    assert mount.key_id() == first
    made = (mount / "payments/keys" / first / "client_key.json").stat().st_mtime_ns
    mount.leave()
    mount = start_rotating(start_mount, emulator, validity="1y", **clock.parts, **mount.kept)
    assert mount.key_id() == first
    assert (mount / "payments/client_key.json").stat().st_mtime_ns == made  # it was never another one
    clock(3598)
    emulator.move_clock(3598)
    mount.write("orders", PASSWORD)  # from which it learns the time
    assert rotated(mount, "payments", first) == second
    assert abs((mount / "payments/client_key.json").stat().st_mtime - begin) < 30
    mount.leave()
    clock(3000)  # behind KMS's, which this daemon does not know yet
    mount = start_rotating(start_mount, emulator, validity="1y", **clock.parts, **mount.kept)
    assert mount.key_id() == second
    assert (mount / "payments/client_key.json").stat().st_mtime == begin
    mount.write("payments", PASSWORD)
    assert mount.key_id() not in (first, second)


def test_a_scheduled_key_that_kms_no_longer_has_does_not_begin(start_mount, emulator, clock):
    mount, first, second, _ = with_a_scheduled_key(start_mount, emulator, clock, defaults="on_rotate = none")
    delete_key(emulator, second)
    mount.sync()
    assert "a Scheduled key" in mount.status("payments")["Note"]
    clock(3601)
    emulator.move_clock(3601)
    mount.write("orders", PASSWORD)  # from which it learns the time
    mount.sync()
    status = mount.status("payments")
    assert (mount.key_id(), status["State"], status["Scheduled"], status["Superseded"]) == (first, "active", [second], [])
    mount.write("payments", f"delete {second}")
    assert mount.status("payments")["Note"] is None


def test_that_kms_lacks_a_scheduled_key_outlives_worker_and_daemon(start_mount, emulator, clock):
    mount, first, second, _ = with_a_scheduled_key(start_mount, emulator, clock, defaults="on_rotate = none")
    delete_key(emulator, second)
    mount.sync()
    emulator.set_faults("* silent")
    clock(3601)
    mount.kill("aapfs-worker")
    for _ in range(2):
        status = mount.status("payments")
        assert (status["ClientKeyId"], status["Scheduled"], mount.key_id()) == (first, [second], first)
        assert "a Scheduled key" in status["Note"]
        mount.leave()
        mount = start_rotating(start_mount, emulator, validity="1y", **clock.parts, defaults="on_rotate = none",
                               **mount.kept, listed=False)
    # and it comes back with KMS's word
    emulator.set_faults()
    mount.sync()
    assert mount.status("payments")["ClientKeyId"] == first


def test_that_kms_lacks_an_aap_outlives_the_daemon_until_kms_has_it_again(start_mount, emulator, start_emulator):
    mount = start_rotating(start_mount, emulator, validity="1y", expected_errors=GONE)
    mount.write("payments", PASSWORD)
    other = start_emulator(aaps=["orders"])
    mount.leave()
    settings = {"validity": "1y", **mount.kept}
    mount = start_rotating(start_mount, other, expected_errors=GONE, **settings)
    until(lambda: mount.status("payments")["State"] == "deleted")
    until(lambda: "AapIsGone\":true" in next(mount.state.rglob(".told")).read_text())
    mount.leave()
    other.set_faults("* silent")
    mount = start_rotating(start_mount, other, listed=False, expected_errors="", **settings)
    assert mount.status("payments")["State"] == "deleted"
    mount.leave()
    mount = start_rotating(start_mount, emulator, **settings)
    until(lambda: mount.status("payments")["State"] == "active")


@pytest.mark.parametrize("command", ["", "exit 3"])
def test_in_use_until_the_applications_were_told(start_mount, emulator, command):
    mount = start_rotating(start_mount, emulator, validity="20d", rotate_at="66%", defaults=f"on_rotate = {command}")
    mount.write("payments", PASSWORD)
    assert mount.status("payments")["State"] == "active"
    mount.write("payments", PASSWORD)
    until(lambda: mount.status("payments")["State"] == "expiring")  # the old one ends within 30 days
    mount.kill("aapfs-worker")
    until(lambda: mount.children().get("aapfs-worker"))
    until(lambda: mount.status("payments")["State"] == "expiring")
    mount.write("payments", "reloaded")
    assert mount.status("payments")["State"] == "active"
    mount.leave()
    again = start_rotating(start_mount, emulator, validity="20d", rotate_at="66%", **mount.kept)
    assert again.status("payments")["State"] == "active"
    with pytest.raises(FileNotFoundError):
        again.write("orders", "reloaded")


def lose_power(mount):
    """Its mount goes, too."""
    kill_all(mount)
    subprocess.run(["umount", "-l", mount.path], check=True)


def test_a_hook_that_did_not_end_runs_once_after_the_next_start(start_mount, emulator, tmp_path):
    said, gate = Fifo(tmp_path / "said"), Fifo(tmp_path / "gate")
    result = tmp_path / "result"
    result.write_text("0")
    hook = f"on_rotate = echo $AAPFS_CLIENT_KEY_ID > {said.path}; read _ < {gate.path}; exit $(cat {result})"
    mount = start_rotating(start_mount, emulator, validity="20d", rotate_at="66%", defaults=hook)
    mount.write("payments", PASSWORD)
    mount.write("payments", PASSWORD)
    second = mount.key_id()
    assert said.line() == second
    lose_power(mount)
    gate.let_go()  # of the command that nobody waits for any more
    state = mount.kept
    result.write_text("3")
    mount = start_rotating(start_mount, emulator, validity="20d", rotate_at="66%", defaults=hook, **state)
    assert said.line() == second  # again: it was not seen to end
    mount.kill("aapfs-worker")  # nor is it this time
    gate.let_go()
    assert said.line() == second
    gate.let_go()
    [note] = mount.state.rglob(".told")
    until(lambda: json.loads(note.read_text())["HookText"] == "status 3")
    assert mount.status("payments")["LastHook"]["Result"] == "status 3"
    lose_power(mount)
    result.write_text("0")
    mount = start_rotating(start_mount, emulator, validity="20d", rotate_at="66%", defaults=hook, **state)
    assert mount.status("payments")["LastHook"]["Result"] == "status 3"  # kept
    assert said.line() == second  # once more: it had failed
    gate.let_go()
    until(lambda: json.loads(note.read_text())["HookText"] == "ok")
    lose_power(mount)
    mount = start_rotating(start_mount, emulator, validity="20d", rotate_at="66%", defaults=hook, **state)
    mount.write("payments", PASSWORD)
    assert said.line() == mount.key_id()  # of this rotation: the one before was done with
    gate.let_go()
    until(lambda: mount.status("payments")["State"] == "active")


class Readers:
    """Threads that want a valid key whenever they look."""

    def __init__(self, mount, aaps):
        self.ending, self.wrong, self.reads = threading.Event(), [], 0
        self.threads = [threading.Thread(target=self.run, args=(mount, aaps)) for _ in range(2)]
        for thread in self.threads:
            thread.start()

    def run(self, mount, aaps):
        while not self.ending.wait(0.01):
            aap = random.choice(aaps)
            try:
                directory = os.open(mount / aap / "current", os.O_RDONLY | os.O_DIRECTORY)
                begun = time.time()
                try:
                    texts = {name: open(name, opener=lambda path, flags: os.open(path, flags, dir_fd=directory)).read()
                             for name in ("client_key.json", "not_after", "client_key_id")}
                finally:
                    os.close(directory)
                same = json.loads(texts["client_key.json"])["KeyId"] == texts["client_key_id"].strip()
                if not same or moment_of(texts["not_after"].strip()) < begun:
                    self.wrong.append((aap, texts["client_key_id"], texts["not_after"], begun))
                json.loads(mount.read(aap, "client_key.json"))
            except FileNotFoundError:
                continue  # a key that was deleted between the two opens
            self.reads += 1

    def end(self):
        self.ending.set()
        for thread in self.threads:
            thread.join()


def accounted_for(mount, emulator, aap):
    """Whether KMS has no key of ours that is not shown, and none of those that have expired."""
    status = mount.status(aap)
    named = {status["ClientKeyId"], *status["Superseded"], *status["Rejected"], *status["Orphans"]}
    kept = {*status["Rejected"], *status["Orphans"]}
    listed = keys_of(emulator, aap)
    expired = {key for key, dates in listed.items() if moment_of(dates[1]) < time.time() - 1}
    return set(listed) <= named and expired <= kept


def rotations_under_faults(start_mount, start_emulator, seconds, validity, count):
    seed = int(os.environ.get("AAPFS_SEED", random.getrandbits(32)))
    print("AAPFS_SEED =", seed)
    chance = random.Random(seed)
    aaps = [f"aap-{number}" for number in range(count)]
    emulator = start_emulator(aaps=aaps)
    mount = start_rotating(start_mount, emulator, validity=f"{validity}s", request_timeout="1s")
    for aap in aaps:
        mount.write(aap, PASSWORD)
    readers = Readers(mount, aaps)
    end, pardons, order = time.monotonic() + seconds, 0, []
    while time.monotonic() < end:
        order = order or chance.sample(FAULTS, len(FAULTS))
        emulator.set_faults(f"* {order.pop()} 0.2")
        change = time.monotonic() + min(3, seconds / len(FAULTS))
        while time.monotonic() < change:
            for aap in BLOCKED.findall(mount.errors())[pardons:]:
                pardons += 1
                with contextlib.suppress(OSError):
                    mount.write(aap, "rotate")
            time.sleep(0.05)
    emulator.set_faults()
    readers.end()
    for aap in BLOCKED.findall(mount.errors())[pardons:]:
        pardons += 1
        mount.write(aap, "rotate")
    mount.sync()
    until(lambda: all(accounted_for(mount, emulator, aap) for aap in aaps), 90)
    counts = {name: count for name, count in emulator.counts().items()}
    print(f"{readers.reads} reads, {counts}, blocked {pardons} times")
    print(mount.errors())
    assert not readers.wrong, readers.wrong[:3]
    assert counts["CreateClientKey"] >= 2 * count


@pytest.mark.full
def test_rotations_under_faults_for_two_minutes(start_mount, start_emulator):
    rotations_under_faults(start_mount, start_emulator, 120, 30, 20)


@pytest.mark.long
def test_rotations_under_faults_for_five_minutes(start_mount, start_emulator):
    rotations_under_faults(start_mount, start_emulator, 300, 30, 20)
