"""Real parts for the tests: the emulator, and aapfs on a real mount."""
import contextlib
import json
import os
import pathlib
import random
import select
import signal
import socket
import subprocess
import threading
import time
import urllib.request

from parts.log import KILLED, without_what_was_done
from parts.times import text_of

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("AAPFS_BUILD", ROOT / "build")).resolve()
INSIDE = ROOT / "tests/e2e/inside"  # scripts that run in namespaces, roots and machines of their own
AAPFS = BUILD / "fs" / "aapfs"
NEXT = BUILD / "fs" / "aapfs-next"  # the version after
WITH_STOPS = BUILD / "fs" / "aapfs-with-stops"
EMULATOR = BUILD / "kmsapi" / "emulator" / "kms-emulator"
ACCESS_KEY_ID, ACCESS_KEY_SECRET = "LTAI5tTestOnly", "test-only-secret"
PASSWORD = "Correct-Horse1"

# libfuse's own leak; a sanitizer's word must reach stderr, which the tests look at
os.environ.setdefault("LSAN_OPTIONS",
                      f"suppressions={ROOT}/tests/data/lsan.txt:print_suppressions=0")
os.environ.setdefault("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1")


# Source: linux/proc_ns.h, PROC_PID_INIT_INO
IS_CONTAINED = os.stat("/proc/self/ns/pid").st_ino != 0xEFFFFFFC  # in a pid namespace of its own, as in a container


def environment(**changed):
    clean = {name: value for name, value in os.environ.items()
             if not name.startswith("ALIBABA_") and name != "NOTIFY_SOCKET"}
    clean.update(ALIBABA_CLOUD_ACCESS_KEY_ID=ACCESS_KEY_ID,
                 ALIBABA_CLOUD_ACCESS_KEY_SECRET=ACCESS_KEY_SECRET,
                 ALIBABA_CLOUD_REGION_ID="cn-hangzhou")
    clean.update(changed)
    return {name: value for name, value in clean.items() if value is not None}


def run_aapfs(*words, program=AAPFS, wrap=(), **more):
    """To its end; MORE is for subprocess."""
    return subprocess.run([*wrap, program, *words],
                          **{"capture_output": True, "text": True, "timeout": 60, "env": environment(), **more})


def until(condition, seconds=60, why=lambda: ""):
    """What CONDITION() is once it is true. For what no event tells: it is asked again soon, and leaves others the time."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, why()
        time.sleep(0.005)
    return value


def await_value(find, value, seconds=10):
    """Until FIND() is VALUE."""
    end = time.monotonic() + seconds
    while (found := find()) != value:
        assert time.monotonic() < end, f"{found!r} is not {value!r}"
        time.sleep(0.01)


# tests want keys that end soon, and many of them; LIMITS=() are KMS's own
NO_LIMITS = ("--min-validity", "0", "--max-keys", "100000")


class Emulator:
    """kms-emulator on a port of its own; what it was asked is counted."""

    def __init__(self, directory, *options, aaps=("payments", "orders"), pool_file=None,
                 wrap=(), listen="127.0.0.1:0", limits=NO_LIMITS):
        self.directory = pathlib.Path(directory)
        self.fault_file = self.directory / f"faults-{random.getrandbits(40):x}"
        self.fault_file.write_text("")
        self.record_file = self.fault_file.with_suffix(".record")
        self.error_file = self.fault_file.with_suffix(".stderr")
        words = [*wrap, EMULATOR, "--listen", listen, "--faults", self.fault_file,
                 "--record", self.record_file, *limits, *options]
        if pool_file:
            words += ["--key-pool", "8", "--key-pool-file", pool_file]
        for aap in aaps:
            words += ["--aap", aap]
        with open(self.error_file, "wb") as errors:
            self.process = subprocess.Popen(
                words, stdout=subprocess.PIPE, stderr=errors, text=True,
                env=environment(KMS_EMULATOR_ACCESS_KEY=f"{ACCESS_KEY_ID}:{ACCESS_KEY_SECRET}"))
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), self.error_file.read_text()
        self.url = line.split()[-1]
        self.port = int(self.url.rsplit(":", 1)[1])
        self.shift = 0

    def set_faults(self, *lines):
        """In force from the next request on."""
        fresh = self.fault_file.with_suffix(".new")
        fresh.write_text("".join(line + "\n" for line in lines))
        os.replace(fresh, self.fault_file)

    def counts(self):
        with urllib.request.urlopen(self.url + "/_emulator/requests", timeout=10) as answer:
            counts = json.load(answer)
        return {name: count for name, count in counts.items() if name != "RequestId"}

    def count(self, operation):
        return self.counts().get(operation, 0)

    def set_clock(self, time):
        request = urllib.request.Request(self.url + "/_emulator/clock", method="PUT",
                                         data=json.dumps({"Time": time}).encode())
        urllib.request.urlopen(request, timeout=10).close()

    def move_clock(self, seconds):
        """To so many seconds after this machine's."""
        self.shift = seconds
        self.set_clock(text_of(self.now()))

    def now(self):
        return time.time() + self.shift

    def records(self):
        return [json.loads(line) for line in self.record_file.read_text().splitlines()]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, self.error_file.read_text()
        assert self.error_file.read_text() == ""


def make_state_key(path):
    """A file with a new state key."""
    path.touch(0o600)
    path.write_text(f"{random.getrandbits(256):064x}\n")
    return path


class Write(threading.Thread):
    """One that goes on beside the test."""

    def __init__(self, *words):
        super().__init__()
        self.words = words
        self.start()

    def run(self):
        self.number = result_of(*self.words)

    def end(self):
        """The errno that it ended with, or 0."""
        self.join(30)
        assert not self.is_alive()
        return self.number


class Mount:
    """
    aapfs -f on a directory, ready when the constructor returns. Its state and its state's key are its own; STATE and
    STATE_KEY are those of another one to take over.
    """

    def __init__(self, directory, url, *options, settings="", defaults="", sections="",
                 settings_of_mount="", creation_guard="0s", max_keys=100000, request_timeout="1s", wrap=(), env=None, binary=AAPFS,
                 ready_timeout=30, state=None, state_key=None, listed=True):
        self.directory = pathlib.Path(directory)
        self.path = self.directory / "aap"
        if self.path.name not in os.listdir(self.directory):  # a dead mount cannot be asked
            self.path.mkdir()
        name = f"aapfs-{random.getrandbits(40):x}"
        self.config = self.directory / f"{name}.conf"
        self.state = state or self.directory / f"{name}.state"
        self.state_key = state_key or make_state_key(self.directory / f"{name}.key")
        self.config.write_text(
            f"[kms]\nendpoint = {url}\nrequest_timeout = {request_timeout}\n{settings}\n"
            f"[mount]\n{settings_of_mount}\ncreation_guard = {creation_guard}\nstate = {self.state}\nstate_key = {self.state_key}\n"
            f"[defaults]\nmax_keys = {max_keys}\n{defaults}\n{sections}\n")
        self.error_file = self.directory / f"{name}.stderr"
        self.expected_errors, self.is_over = "", False
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(f"\0{name}")
        words = [*wrap, binary, "-f", "-c", self.config, *options, self.path]
        began = time.monotonic()
        with open(self.error_file, "wb") as errors:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                env=environment(NOTIFY_SOCKET=f"@{name}", **(env or {})))
        ended = os.pidfd_open(self.process.pid)
        said = b""
        while said != b"READY=1":  # before that, it may ask for more time, for its end for instance
            ready, _, _ = select.select([notify, ended], [], [], ready_timeout)
            if notify not in ready:
                self.process.kill()
                self.process.wait()
                raise AssertionError("not ready: " + self.errors())
            said = notify.recv(100)
        self.ready_after = time.monotonic() - began
        notify.close()
        os.close(ended)
        if listed:
            self.await_first_listing()

    def await_first_listing(self):
        """
        A mount is ready before, but has no directories to write to. Not for ever: there may be no KMS, which is what a
        test is about; one that is only slow is asked again.
        """
        end = time.monotonic() + 4
        try:
            while self.status()["LastSync"] is None and time.monotonic() < end:
                failure = self.last_error(".aapfs")
                if failure and failure["Errno"] != "ETIMEDOUT":
                    # whose the AAPs are may be denied while they are being shown
                    if failure["Operation"] != "DescribeApplicationAccessPoint" or len(os.listdir(self.path)) > 1:
                        break
                time.sleep(0.002)
        except OSError:
            pass  # a mount that is not ours to look into

    def __truediv__(self, name):
        return self.path / name

    def log(self):
        return self.error_file.read_text()

    def errors(self):
        return without_what_was_done(self.log())

    def write(self, aap, command):
        """One write(2) of COMMAND (a newline is added to text) to an AAP's control."""
        data = command if isinstance(command, bytes) else command.encode() + b"\n"
        control = os.open(self.path / aap / "control", os.O_WRONLY)
        try:
            assert os.write(control, data) == len(data)
        finally:
            os.close(control)

    def sync(self):
        self.write(".aapfs", "sync")

    def read(self, aap, name):
        return (self.path / aap / name).read_text()

    def key_id(self, aap="payments"):
        return self.read(aap, "client_key_id").strip()

    def status(self, aap=".aapfs"):
        return json.loads(self.read(aap, "status"))

    def last_error(self, aap="payments"):
        text = self.read(aap, "last_error")
        return json.loads(text) if text else None

    @property
    def kept(self):
        """What one is given that takes over."""
        return {"state": self.state, "state_key": self.state_key}

    def is_mounted(self):
        mounts = pathlib.Path("/proc/self/mountinfo").read_text()
        return any(line.split()[4] == str(self.path) for line in mounts.splitlines())

    def children(self):
        """The runner's, publisher's and worker's process ids, by name."""
        pids = {}
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            for pid in (task / "children").read_text().split():
                try:
                    pids[pathlib.Path(f"/proc/{pid}/comm").read_text().strip()] = int(pid)
                except (FileNotFoundError, ProcessLookupError):
                    continue  # it has ended
        return pids

    def pids(self):
        return [self.process.pid, *self.children().values()]

    def kill(self, name):
        os.kill(self.children()[name], signal.SIGKILL)

    @contextlib.contextmanager
    def stopped(self, *names):
        """The children of these NAMES, or all of its processes, stand still for as long as this lasts."""
        pids = [self.children()[name] for name in names] or self.pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in reversed(pids):
                os.kill(pid, signal.SIGCONT)

    def stop(self, expected_errors=""):
        """EXPECTED_ERRORS None: whatever is said of killed processes, and nothing else; or a pattern of lines."""
        if self.is_over:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, self.errors()
        assert not self.is_mounted()
        errors = self.errors()
        if not isinstance(expected_errors, str):
            expected = expected_errors or KILLED
            errors = "".join(line for line in errors.splitlines(True) if not expected.match(line))
            expected_errors = ""
        assert errors == expected_errors, errors

    def leave(self):
        """Stopped: what is on its mount point from here on is another mount's."""
        self.stop(self.expected_errors)
        self.is_over = True


def unmount(path):
    """By umount(8), once nobody is in there: our own publisher is, while it shows what KMS has listed."""
    until(lambda: subprocess.run(["umount", path], capture_output=True).returncode == 0)


def result_of(mount, command, aap="payments"):
    try:
        mount.write(aap, command)
    except OSError as error:
        return error.errno
    return 0
