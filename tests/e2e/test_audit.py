"""audit = yes: who opened which key."""
import ctypes
import json
import os
import re
import signal
import subprocess
import threading
import time

import pytest

from parts.harness import AAPFS, PASSWORD, Mount, await_value, until
from parts.log import KILLED
from parts.processes import children_of
from parts.tree import PRIVATE, PUBLIC
from parts.users import AS_NOBODY

LINE = re.compile(r"aapfs: audit: (\S+ \(KAAP\.[0-9a-f-]+\) pid \d+ uid \d+ gid \d+ |this is a pid namespace of its own: ).*\n")


def start_audited(start_mount, url, **parts):
    return start_mount(url, settings_of_mount="audit = yes", expected_errors=LINE, **parts)


def audit(mount):
    """The counts, and a line for each open."""
    first, *lines = mount.read(".aapfs", "audit").splitlines()
    return json.loads(first), [json.loads(line) for line in lines]


def open_and_read(path):
    with open(path, "rb") as file:
        return file.read()


def test_each_open_of_a_private_file_is_told_before_a_byte_is_read(start_mount, emulator):
    mount = start_audited(start_mount, emulator.url)
    mount.write("payments", PASSWORD)
    key = mount.key_id()
    for name in PRIVATE * 2:  # a file that is in the kernel's cache is told as well
        file = os.open(mount / "payments" / name, os.O_RDONLY)
        told = audit(mount)[1][-1]
        assert (told["File"], told["ClientKeyId"]) == (f"payments/{name}", key)
        os.close(file)
    counts, lines = audit(mount)
    assert counts == {"Opens": 8, "NotShown": 0, "NotLogged": 0} and len(lines) == 8
    assert {(line["Pid"], line["Uid"], line["Gid"]) for line in lines} == {(os.getpid(), os.getuid(), os.getgid())}
    with open("/proc/self/comm") as comm:
        assert {line["Program"] for line in lines} == {comm.read().strip()}
    await_value(lambda: mount.errors().count("aapfs: audit: payments/"), 8)
    assert f"audit: payments/client_key.json ({key}) pid {os.getpid()} uid 0 gid 0 " in mount.errors()


def test_what_is_public_is_not_told(start_mount, emulator):
    mount = start_audited(start_mount, emulator.url)
    mount.write("payments", PASSWORD)
    for name in [*PUBLIC, "status", "last_error"]:
        open_and_read(mount / "payments" / name)
    os.listdir(mount / "payments/keys")
    os.readlink(mount / "payments/current")
    assert audit(mount) == ({"Opens": 0, "NotShown": 0, "NotLogged": 0}, [])


def test_a_key_in_its_own_directory_is_named_so(start_mount, emulator):
    mount = start_audited(start_mount, emulator.url)
    mount.write("payments", PASSWORD)
    first = mount.key_id()
    mount.write("payments", PASSWORD)
    open_and_read(mount / "payments/current/private_key.pem")
    open_and_read(mount / f"payments/keys/{first}/client_key.p12")
    second = mount.key_id()
    assert [(line["File"], line["ClientKeyId"]) for line in audit(mount)[1]] == [
        (f"payments/keys/{second}/private_key.pem", second), (f"payments/keys/{first}/client_key.p12", first)]


def test_who_may_not_open_it_is_not_told_and_who_may_is_by_its_user(start_mount, emulator):
    mount = start_audited(start_mount, emulator.url, defaults="group = 65534")
    mount.write("payments", PASSWORD)
    path = mount / "payments/client_key.json"
    assert subprocess.run(["cat", path], user=12345, group=12345, extra_groups=[], capture_output=True).returncode == 1
    assert audit(mount)[1] == []
    assert subprocess.run(["cat", path], user=12345, group=65534, extra_groups=[], capture_output=True).returncode == 0
    told = audit(mount)[1]
    assert [(line["Uid"], line["Gid"], line["Program"]) for line in told] == [(12345, 65534, "cat")]


def test_a_program_that_gives_itself_a_bad_name_does_no_harm(start_mount, emulator):
    mount = start_audited(start_mount, emulator.url)
    mount.write("payments", PASSWORD)
    name = b'a"\\\n\033[31m\xc2\x9b'

    def rename():
        ctypes.CDLL(None).prctl(15, name, 0, 0, 0)
        open_and_read(mount / "payments/client_key.json")
        os._exit(0)
    if (child := os.fork()) == 0:
        rename()
    os.waitpid(child, 0)
    # what python calls itself is its thread's, and comm has the main thread's
    assert audit(mount)[1][0]["Program"] == "a????[31m??"


def test_only_the_mount_s_owner_reads_it(start_mount, emulator):
    mount = start_audited(start_mount, emulator.url)
    assert os.stat(mount / ".aapfs/audit").st_mode & 0o777 == 0o400
    done = subprocess.run(["cat", mount / ".aapfs/audit"], capture_output=True, **AS_NOBODY)
    assert done.returncode == 1 and b"Permission denied" in done.stderr


def test_the_last_256_are_kept_and_outlive_a_worker(start_mount, emulator):
    mount = start_mount(emulator.url, settings_of_mount="audit = yes",
                        expected_errors=re.compile(f"{LINE.pattern}|{KILLED.pattern}"))
    mount.write("payments", PASSWORD)
    names = [PRIVATE[i % 4] for i in range(300)]
    for name in names:
        os.close(os.open(mount / "payments" / name, os.O_RDONLY))
    os.kill(mount.children()["aapfs-worker"], 9)
    counts, lines = audit(mount)
    assert (counts["Opens"], counts["NotShown"]) == (300, 44)
    assert [line["File"] for line in lines] == [f"payments/{name}" for name in names[44:]]
    os.close(os.open(mount / "payments/client_key.json", os.O_RDONLY))
    assert audit(mount)[0]["Opens"] == 301


def test_reading_is_cached_and_closing_is_not_told(start_mount, emulator):
    mount = start_audited(start_mount, emulator.url)
    mount.write("payments", PASSWORD)
    path = mount / "payments/client_key.json"
    open_and_read(path)
    before = mount.status()["Requests"]
    for _ in range(20):
        open_and_read(path)
    after = mount.status()["Requests"]
    assert after["OPEN"] - before["OPEN"] == 20  # status itself is not counted
    assert after["READ"] - before["READ"] <= 1 and "FLUSH" not in after


def test_without_audit_opens_are_not_sent(mount):
    mount.write("payments", PASSWORD)
    for name in PRIVATE * 3:
        open_and_read(mount / "payments" / name)
    assert "OPEN" not in mount.status()["Requests"]  # the first one, of status, was answered with ENOSYS
    assert sorted(os.listdir(mount / ".aapfs")) == ["control", "last_error", "metrics.prom", "status"]
    with pytest.raises(FileNotFoundError):
        mount.read(".aapfs", "audit")
    assert "audit:" not in mount.errors()


class PipedMount(Mount):
    """Its stderr is a pipe, which nobody reads until the end."""

    def __init__(self, directory, url, **parts):
        self.pipe = directory / "stderr.pipe"
        os.mkfifo(self.pipe)
        self.reading = os.open(self.pipe, os.O_RDONLY | os.O_NONBLOCK)
        super().__init__(directory, url, wrap=["sh", "-c", f'exec "$@" 2> {self.pipe}', "sh"], **parts)


def test_a_full_log_blocks_no_reader(emulator, tmp_path):
    mount = PipedMount(tmp_path, emulator.url, settings_of_mount="audit = yes")
    mount.write("payments", PASSWORD)
    path, times = mount / "payments/client_key.json", []
    for _ in range(2500):  # 64 kB of pipe and 512 lines are full after about 1,100
        began = time.monotonic()
        os.close(os.open(path, os.O_RDONLY))
        times.append(time.monotonic() - began)
    assert max(times) < 2, max(times)
    counts, lines = audit(mount)
    assert counts["Opens"] == 2500 and len(lines) == 256 and 1000 < counts["NotLogged"] < 1700
    # when somebody reads it, it goes on, and says how many are missing
    said = b""
    until = time.monotonic() + 10
    while b"were not logged" not in said and time.monotonic() < until:
        try:
            said += os.read(mount.reading, 65536)
        except BlockingIOError:
            time.sleep(0.01)
    logged = [line for line in said.decode().splitlines() if "pid namespace of its own" not in line]
    missing = int(re.search(r"audit: (\d+) opens were not logged: the log was full", said.decode())[1])
    assert missing == counts["NotLogged"] and len(logged) - 2 + missing == 2500  # beside that, the key's creation
    mount.write("payments", PASSWORD)
    thread = threading.Thread(target=mount.stop)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    os.close(mount.reading)


def read_until(mount, count):
    """What its log says, until COUNT lines tell of opens or are said to be missing."""
    said = b""

    def is_all():
        nonlocal said
        try:
            said += os.read(mount.reading, 65536)
        except BlockingIOError:
            pass
        missing = sum(int(number) for number in re.findall(rb"audit: (\d+) opens were not logged", said))
        return len(re.findall(rb"audit: payments/", said)) + missing >= count
    until(is_all, why=lambda: f"{len(said.splitlines())} lines")
    return said.decode().splitlines()


@pytest.mark.parametrize("opens", [800, pytest.param(2000, marks=pytest.mark.full)])
def test_lines_that_a_killed_worker_had_no_time_to_log_are_logged_once(emulator, tmp_path, opens):
    mount = PipedMount(tmp_path, emulator.url, settings_of_mount="audit = yes")
    mount.write("payments", PASSWORD)
    names = [PRIVATE[i % 4] for i in range(opens)]
    for name in names:  # 64 kB of pipe are full after about 550; then they queue
        os.close(os.open(mount / "payments" / name, os.O_RDONLY))
    before = audit(mount)[0]
    os.kill(mount.children()["aapfs-worker"], 9)
    said = read_until(mount, opens)
    logged = [re.search(r"audit: payments/(\S+) ", line)[1] for line in said if "audit: payments/" in line]
    assert logged == names[:len(logged)] and len(logged) + before["NotLogged"] == opens
    assert (before["NotLogged"] > 0) == (opens == 2000)
    # and it goes on with what comes now
    os.close(os.open(mount / "payments/client_key.json", os.O_RDONLY))
    assert len(read_until(mount, 1)) == 1
    assert audit(mount)[0] == {**before, "Opens": opens + 1, "NotShown": opens + 1 - 256}
    mount.process.terminate()
    read_until(mount, 0)
    assert mount.process.wait(30) == 0
    os.close(mount.reading)


def test_a_mount_with_a_full_log_ends(emulator, tmp_path):
    mount = PipedMount(tmp_path, emulator.url, settings_of_mount="audit = yes")
    mount.write("payments", PASSWORD)
    for _ in range(1500):
        os.close(os.open(mount / "payments/client_key.json", os.O_RDONLY))
    began = time.monotonic()
    mount.stop()
    assert time.monotonic() - began < 5  # later it is killed
    os.close(mount.reading)


# -- in a container --------------------------------------------------------------------------

CONTAINER = ["unshare", "--pid", "--fork", "--mount-proc", "--propagation", "slave", "--kill-child"]
OWN_PIDS = "this is a pid namespace of its own"


class InContainer:
    """A mount made here and served from a pid namespace of its own, or made there too."""

    def __init__(self, start_mount, url, directory, lent):
        lender = [AAPFS, "with-mount", directory / "aap"] if lent else []
        self.mount = start_mount(url, *(["/dev/fd/3"] if lent else []), settings_of_mount="audit = yes", listed=False, wrap=[*lender, *CONTAINER],
                                 expected_errors=re.compile(f"{LINE.pattern}|{KILLED.pattern}"))
        self.daemon = self.mount.process.pid
        for _ in range(2 if lent else 1):
            self.daemon, = children_of(self.daemon)

    def sh(self, script, inside=False):
        enter = ["nsenter", f"--mount=/proc/{self.daemon}/ns/mnt", *([f"--pid=/proc/{self.daemon}/ns/pid"] if inside else [])]
        return subprocess.Popen([*enter, "sh", "-ec", f"cd {self.mount.path}/payments; {script}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, script, inside=False):
        process = self.sh(script, inside)
        out, _ = process.communicate()
        assert process.returncode == 0
        return out


@pytest.fixture(params=[False, True], ids=["own", "lent"])
def contained(request, start_mount, emulator, tmp_path):
    (tmp_path / "aap").mkdir()
    place = InContainer(start_mount, emulator.url, tmp_path, request.param)
    place.lent = request.param
    yield place
    os.kill(place.daemon, signal.SIGTERM)
    assert place.mount.process.wait(30) == 0


def test_in_a_container_the_log_says_once_what_is_not_seen(contained):
    until(lambda: contained.sh("true").wait() == 0)
    contained.run(f"echo {PASSWORD} > control; cat client_key.json")
    line = json.loads(contained.run("tail -n 1 ../.aapfs/audit"))
    assert line["Program"] == "?" and (line["Pid"] == 0) != contained.lent
    worker, = contained.run("pgrep -x aapfs-worker", inside=True).split()
    contained.run(f"kill -9 {worker}", inside=True)
    contained.run("cat client_key.json", inside=True)
    errors = contained.mount.errors()
    assert errors.count(OWN_PIDS) == 1 and (", and with pid 0;" in errors) != contained.lent


@pytest.mark.skipif(not os.path.exists("/proc/sys/kernel/ns_last_pid"), reason="the kernel does not let us choose a process's number")
def test_another_process_of_the_same_number_is_not_named(contained):
    """A lent mount's numbers are the host's; those in the container are others."""
    until(lambda: contained.sh("true").wait() == 0)
    contained.run(f"echo {PASSWORD} > control")
    reader = contained.sh("read -r _; exec cat client_key.json")
    namesake = contained.sh(f"echo {reader.pid - 1} > /proc/sys/kernel/ns_last_pid; sleep 60 & echo $!; read -r _; kill $!", inside=True)
    assert int(namesake.stdout.readline()) == reader.pid
    reader.communicate("\n")
    line = json.loads(contained.run("tail -n 1 ../.aapfs/audit"))
    namesake.communicate("\n")
    assert line["Pid"] == (reader.pid if contained.lent else 0) and line["Program"] == "?"
