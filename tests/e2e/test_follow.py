"""Whoever holds a superseded file follows: bind mounts of one file, descriptors, mappings, their watchers."""
import errno
import json
import mmap
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from parts.harness import BUILD, PASSWORD, await_value, environment
from parts.kms import adoption, make_key
from parts.log import without_what_was_done
from parts.stops import arm, with_stops
from parts.users import NOBODY, OwnFuse, program_for_others
from parts.watch import Watch

SETTLE = 1
LATEST = SETTLE + 1


class Bind:
    """Files of an AAP, each bound by itself in another mount namespace, as a container has them."""

    def __init__(self, mount, directory, names, aap):
        self.directory = directory
        self.watches = []
        lines = []
        for name in names:
            (directory / name).touch()
            lines.append(f"mount --bind {mount.path}/{aap}/{name} {directory}/{name}")
        lines += ["echo bound", "read -r _"]
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-ec", "\n".join(lines)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "bound\n"
        # the namespace's own names, from here
        self.root = f"/proc/{self.process.pid}/root"

    def path(self, name):
        return f"{self.root}{self.directory}/{name}"

    def key_id(self):
        with open(self.path("client_key_id"), encoding="ascii") as file:
            return file.read().strip()

    def inside(self, *words):
        return ["nsenter", f"--mount=/proc/{self.process.pid}/ns/mnt", *map(str, words)]

    def watch(self, name):
        watch = Watch(self.inside("inotifywait", "-q", "-m", "-e", "attrib,modify,close_write,delete_self",
                                  "--format", "%e", f"{self.directory}/{name}"))
        self.watches.append(watch)
        return watch

    def end(self):
        for watch in self.watches:
            watch.end()
        self.process.communicate("\n")


@pytest.fixture
def start(start_mount, emulator, tmp_path):
    """A mount with a key, and binds of some of its files."""
    binds = []

    def begin(names=("client_key_id",), settle=SETTLE, aap="payments", **parts):
        mount = start_mount(emulator.url, request_timeout="20s", settings_of_mount=f"settle = {settle}s", **parts)
        mount.write(aap, PASSWORD)
        directory = tmp_path / f"bound-{len(binds)}"
        directory.mkdir()
        binds.append(Bind(mount, directory, names, aap))
        return mount, binds[-1]

    yield begin
    for bind in binds:
        bind.end()


@pytest.mark.core
def test_a_bind_of_one_file_and_its_watcher(start):
    mount, bind = start()
    watch = bind.watch("client_key_id")
    for rotation in range(2):  # and hears of every rotation, not of one only
        old = mount.key_id()
        mount.write("payments", PASSWORD)
        began = time.monotonic()
        if rotation == 0:
            assert watch.next(0.5) == "ATTRIB"  # its name is gone
        while time.monotonic() < began + SETTLE - 0.1:
            assert bind.key_id() == old
        seen = watch.until_closed(LATEST)
        heard = time.monotonic() - began
        assert SETTLE <= heard < LATEST
        assert [event for event in seen if event != "ATTRIB"] == ["MODIFY", "CLOSE_WRITE,CLOSE"]
        assert bind.key_id() == mount.key_id() != old
    assert watch.next(0.3) is None
    assert os.stat(bind.path("client_key_id")).st_nlink == 0


def test_a_bind_follows_an_adopted_key(start, emulator):
    mount, bind = start()
    watch = bind.watch("client_key_id")
    mount.write("payments", PASSWORD)
    watch.until_closed(LATEST)  # what is expected from here on is the adoption's alone
    made = make_key(emulator)
    mount.write("payments", adoption(made))
    watch.until_closed(LATEST)
    assert bind.key_id() == mount.key_id() == made["ClientKeyId"]


def test_what_is_read_after_the_event_is_the_new_key(start):
    """Nor is the byte, by which the event is made, ever read."""
    mount, bind = start(names=["client_key.json"])
    watch = bind.watch("client_key.json")
    held = os.open(bind.path("client_key.json"), os.O_RDONLY)
    link = os.open(mount / "payments/current", os.O_PATH | os.O_NOFOLLOW)
    old = os.pread(held, 16384, 0)
    mapped = mmap.mmap(held, 0, prot=mmap.PROT_READ)
    assert mapped[:] == old
    first = os.readlink("", dir_fd=link)
    stopped, wrong = threading.Event(), []

    def look():
        while not stopped.is_set():
            if os.pread(held, 1, 0) != b"{":
                wrong.append(time.monotonic())

    thread = threading.Thread(target=look)
    thread.start()
    mount.write("payments", PASSWORD)
    assert os.pread(held, 16384, 0) == old and mapped[:] == old and os.readlink("", dir_fd=link) == first
    watch.until_closed(LATEST)
    new = (mount / "payments/client_key.json").read_bytes()
    assert os.pread(held, 16384, 0) == new
    assert mapped[:100] == new[:100]
    await_value(lambda: os.readlink("", dir_fd=link), os.readlink(mount / "payments/current"), 1)
    stopped.set()
    thread.join()
    assert not wrong
    mapped.close()
    os.close(held)
    os.close(link)


@pytest.mark.full
def test_ten_rotations_in_a_second_that_nobody_is_told_of(start, stops):
    mount, bind = start(settle=2, expected_errors=None, **with_stops(stops))
    assert bind.key_id() == mount.key_id()
    arm(stops, "publisher-follows 0 100000")  # no publisher lives to tell
    began = time.monotonic()
    shown = []
    for _ in range(10):
        mount.write("payments", PASSWORD)
        shown.append(mount.key_id())
    ended = time.monotonic()
    print(f"10 rotations in {ended - began:.2f} s")
    assert ended - began < 2
    assert bind.key_id() not in shown
    while time.monotonic() < ended + 1.8:  # what the kernel is told shortly before ends in time
        assert bind.key_id()
    while "aapfs-publisher was killed" not in mount.errors():
        assert time.monotonic() < ended + 10
    time.sleep(max(0, ended + 2 + 0.9 - time.monotonic()))
    assert bind.key_id() == shown[-1]
    assert stops.exists()
    stops.unlink()


@pytest.mark.full
@pytest.mark.core
def test_no_read_is_torn(start):
    """Reads in pieces, back to back, so that every switch comes in the middle of some."""
    mount, bind = start(names=["client_key.json"], aap="orders")
    seconds, rotations = 6, 0
    held = mount / "orders/certificate.pem"
    load = subprocess.Popen(
        bind.inside(BUILD / "tests/programs/follow_reads", seconds, mount / "orders/keys", held, "certificate.pem",
                    bind.directory / "client_key.json", "client_key.json"),
        stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + seconds - SETTLE - 0.7
    while time.monotonic() < until:
        time.sleep(0.35)
        # from 2050 on dates take more bytes: the sizes differ
        mount.write("orders", f"{PASSWORD} 2026-01-01T00:00:00Z {2040 + rotations % 2 * 20}-01-01T00:00:00Z")
        rotations += 1
    out, _ = load.communicate(timeout=60)
    figures = json.loads(out)
    print(rotations, "rotations", figures)
    assert load.returncode == 0
    assert figures["HeldSizes"] == 2
    assert figures["HeldTorn"] == figures["OpenedTorn"] == 0
    assert figures["HeldReads"] >= 8000 and figures["OpenedReads"] >= 8000
    assert figures["HeldContents"] > rotations / 2 and figures["OpenedContents"] > rotations / 2


@pytest.mark.full
@pytest.mark.parametrize("before", [-0.1, 0.05, -0.4])
def test_a_worker_killed_around_a_switch(start, before):
    mount, bind = start(expected_errors=None)
    watch = bind.watch("client_key_id")
    mount.write("payments", PASSWORD)
    began = time.monotonic()
    while time.monotonic() < began + SETTLE - before:
        assert bind.key_id()
    mount.kill("aapfs-worker")
    await_value(bind.key_id, mount.key_id(), began + LATEST - time.monotonic())
    assert "MODIFY" in watch.until_closed(2 * LATEST)


@pytest.mark.full
@pytest.mark.parametrize("place", ["session-touched", "engine-follows", "publisher-follows", "publisher-touches"])
def test_killed_while_holders_are_told(start, stops, place):
    mount, bind = start(expected_errors=None, **with_stops(stops))
    watch = bind.watch("client_key_id")
    arm(stops, place)
    for _ in range(2):
        mount.write("payments", PASSWORD)
        await_value(bind.key_id, mount.key_id(), LATEST)
        seen = watch.until_closed(2 * LATEST)
        while "MODIFY" not in seen:  # killed between open and write
            seen = watch.until_closed(2 * LATEST)
        assert "DELETE_SELF" not in seen
        while watch.next(0.3):
            pass
        assert not stops.exists()


@pytest.mark.full
def test_a_key_deleted_within_the_settle_time(start):
    """Who holds its file ends as he began; then he follows, and the private key is gone."""
    mount, bind = start(names=["client_key.json"])
    old = mount.key_id()
    held = os.open(bind.path("client_key.json"), os.O_RDONLY)
    own = os.open(mount / f"payments/keys/{old}/client_key.json", os.O_RDONLY)
    content = os.pread(held, 16384, 0)
    mount.write("payments", PASSWORD)
    began = time.monotonic()
    mount.write("payments", f"delete {old}")
    assert old not in os.listdir(mount / "payments/keys")
    while time.monotonic() < began + SETTLE - 0.1:
        os.posix_fadvise(held, 0, 0, os.POSIX_FADV_DONTNEED)
        assert os.pread(held, 16384, 0) == content
    new = (mount / "payments/client_key.json").read_bytes()
    await_value(lambda: os.pread(held, 16384, 0), new, 1)

    def is_gone():
        os.posix_fadvise(own, 0, 0, os.POSIX_FADV_DONTNEED)
        try:
            return os.pread(own, 16384, 0) != content
        except OSError as error:
            return error.errno == errno.ESTALE

    await_value(is_gone, True, 5)
    assert os.pread(held, 16384, 0) == new
    os.close(held)
    os.close(own)


def test_nobody_else_writes(start):
    mount, bind = start(names=["client_key_id", "client_key.json"])
    mount.write("payments", PASSWORD)
    for path in (bind.path("client_key_id"), bind.path("client_key.json"), mount / "payments/client_key_id"):
        for flags in (0, os.O_DIRECT):
            file = os.open(path, os.O_WRONLY | flags)
            with pytest.raises(OSError) as raised:
                os.write(file, b"\0")
            assert raised.value.errno == errno.EPERM
            os.close(file)


@pytest.mark.full
def test_many_rotations_do_not_flood(start):
    """What is told stays in proportion to who holds files and to the time, not to the rotations."""
    mount, bind = start()
    count, began = 500, time.monotonic()
    for _ in range(count):
        mount.write("payments", PASSWORD)
    await_value(bind.key_id, mount.key_id(), LATEST)
    took = time.monotonic() - began
    requests = mount.status()["Requests"]
    written = requests["WRITE"] - count - 1
    print(f"{took:.1f} s, {written} events, {requests}")
    assert 0 < written <= took / 0.2 + 1


@pytest.mark.full
def test_a_name_whose_file_the_new_key_lacks_goes(start_emulator, start_mount):
    """Without OpenSSL's legacy provider the certificate of one key can be opened, the next one's cannot."""
    emulator = start_emulator("--pkcs12", "3des")
    mount = start_mount(emulator.url, env={"OPENSSL_MODULES": "/nonexistent"}, settings_of_mount=f"settle = {SETTLE}s",
                        request_timeout="20s")
    mount.write("payments", PASSWORD)
    path = mount / "payments/certificate.pem"
    held = os.open(path, os.O_RDONLY)
    certificate = os.read(held, 16384)
    directory = Watch(["inotifywait", "-q", "-m", "-e", "delete,moved_to", "--format", "%e %f", mount / "payments"])
    emulator.stop()
    start_emulator("--pkcs12", "rc2", listen=f"127.0.0.1:{emulator.port}")
    mount.write("payments", PASSWORD)
    assert not path.exists() and "certificate.pem" not in os.listdir(mount / "payments")
    assert "certificate.pem" not in os.listdir(mount / "payments/current/")
    seen = []
    while not seen or "not_after" not in seen[-1]:
        seen.append(directory.next(10))
        assert seen[-1], seen
    assert "DELETE certificate.pem" in seen
    directory.end()
    assert os.fstat(held).st_nlink == 0
    until = time.monotonic() + LATEST
    while time.monotonic() < until:
        assert os.pread(held, 16384, 0) == certificate  # there is no newer one
        time.sleep(0.1)
    os.close(held)
    for name in ("certificate.pem", "client_key_id"):
        with pytest.raises((PermissionError, FileNotFoundError)):
            os.unlink(mount / "payments" / name)


@pytest.mark.full
def test_watchers_in_a_users_own_mount(emulator, tmp_path):
    """Where the publisher has no right to write to a file that its user may only read."""
    place, home = tmp_path / "own", tmp_path / "home"
    for directory in (place, home):
        directory.mkdir()
        os.chown(directory, NOBODY, NOBODY)
    config = tmp_path / "own.conf"
    config.write_text(f"[kms]\nendpoint = {emulator.url}\n[mount]\nsettle = {SETTLE}s\ncreation_guard = 0s\n")
    with OwnFuse(tmp_path) as own, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind("\0aapfs-own-follow")
        notify.settimeout(20)
        process = subprocess.Popen(own.words(NOBODY, program_for_others(tmp_path), "-f", "-c", config, place), cwd="/",
                                   stderr=subprocess.PIPE, text=True,
                                   env=environment(NOTIFY_SOCKET="@aapfs-own-follow", HOME=str(home)))
        assert notify.recv(100) == b"READY=1"
        create = own.words(NOBODY, "sh", "-c", f"until echo {PASSWORD} > {place}/payments/control; do :; done")
        subprocess.run(create, check=True, cwd="/", stderr=subprocess.DEVNULL)
        watch = Watch(own.words(NOBODY, "sh", "-c", f"exec 3< {place}/payments/client_key.json; exec inotifywait -q -m "
                                f"-e modify,close_write,delete_self --format %e {place}/payments/client_key.json"), cwd="/")
        for _ in range(2):
            subprocess.run(create, check=True, cwd="/")
            assert watch.until_closed(LATEST) == ["MODIFY", "CLOSE_WRITE,CLOSE"]
        held = subprocess.run(own.words(NOBODY, "stat", "-Lc", "%a %h", f"/proc/{watch.process.pid}/fd/3"), check=True, cwd="/",
                              stdout=subprocess.PIPE, text=True)
        assert held.stdout == "440 0\n"
        watch.end()
        process.send_signal(signal.SIGTERM)
        assert without_what_was_done(process.communicate(timeout=20)[1]) == "" and process.returncode == 0
