"""The mount in a service manager's keeping: restarts and killed supervisors, with a manager of our own and with systemd."""
import array
import ctypes
import fcntl
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

from parts.harness import (AAPFS, BUILD, INSIDE, PASSWORD, ROOT, WITH_STOPS, await_value, environment, make_state_key, run_aapfs,
                           unmount, until)
from parts.machine import boot
from parts.processes import children_of, kill_all


class Manager:
    """What systemd does for Type=notify and FileDescriptorStoreMax=: keeps descriptors by name, and hands them on."""

    def __init__(self, directory, url):
        self.path = directory / "aap"
        self.path.mkdir()
        self.state = directory / "state"
        self.state_key = make_state_key(directory / "state.key")
        self.config = directory / "aapfs.conf"
        self.url = url
        self.configure()
        self.error_file = directory / "stderr"
        self.name = f"aapfs-test-{os.getpid()}-{time.monotonic_ns()}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.name)
        self.store = {}
        self.waits = []  # seconds, as it was asked to
        self.process = None

    def configure(self, settings="", mount=""):
        self.config.write_text(f"[kms]\nendpoint = {self.url}\n{settings}\n[mount]\ncreation_guard = 0s\n"
                               f"state = {self.state}\nstate_key = {self.state_key}\n{mount}\n")

    def start(self, keep="yes", path=None, ready=True, binary=AAPFS, first="", **variables):
        handed = list(self.store.items())
        words, high = [], []
        for number, (_, descriptor) in enumerate(handed):
            high.append(os.dup(descriptor))
            words.append(f"exec {3 + number}<&{high[-1]};")
        script = " ".join(words) + " exec env LISTEN_PID=$$ \"$@\""
        env = environment(NOTIFY_SOCKET="@" + self.name, AAPFS_KEEP_MOUNT=keep, **variables)
        if handed:
            env.update(LISTEN_FDS=str(len(handed)), LISTEN_FDNAMES=":".join(name for name, _ in handed))
        else:
            script = "exec \"$@\""
        script = first + script
        with open(self.error_file, "ab") as errors:
            self.process = subprocess.Popen(["bash", "-c", script, "bash", binary, "-f", "-c", self.config, path or self.path],
                                            pass_fds=high, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                            stderr=errors, env=env)
        for descriptor in high:
            os.close(descriptor)
        assert self.await_ready() == ready, self.error_file.read_text()

    def await_ready(self):
        ended = os.pidfd_open(self.process.pid)
        try:
            while True:
                ready, _, _ = select.select([self.socket, ended], [], [], 30)
                if self.socket not in ready:
                    return False
                if self.take_message():
                    return True
        finally:
            os.close(ended)

    def take_message(self):
        text, control, _, _ = self.socket.recvmsg(4096, 4096)
        words = dict(line.split("=", 1) for line in text.decode().split("\n"))
        name = words.get("FDNAME")
        if "EXTEND_TIMEOUT_USEC" in words:
            self.waits.append(int(words["EXTEND_TIMEOUT_USEC"]) / 1e6)
        if words.get("FDSTOREREMOVE") == "1" and name in self.store:
            os.close(self.store.pop(name))
        for level, kind, data in control:
            assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
            numbers = array.array("i")
            numbers.frombytes(data)
            assert words["FDSTORE"] == "1" and name and len(numbers) == 1
            if name in self.store:  # the same again
                os.close(numbers[0])
            else:
                self.store[name] = numbers[0]
        return words.get("READY") == "1"

    def take_messages(self):
        while select.select([self.socket], [], [], 0)[0]:
            self.take_message()

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        status = self.process.wait(30)
        self.take_messages()
        return status

    def mounted(self):
        """The device numbers of what is mounted there."""
        return [line.split()[2] for line in open("/proc/self/mountinfo") if line.split()[4] == str(self.path)]

    def await_directory(self):
        until((self.path / "payments").exists)  # it is ready before KMS was listed

    def write(self, command=PASSWORD):
        self.await_directory()
        control = os.open(self.path / "payments" / "control", os.O_WRONLY)
        try:
            os.write(control, command.encode() + b"\n")
        finally:
            os.close(control)

    def key_id(self):
        return (self.path / "payments" / "client_key_id").read_text().strip()

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for descriptor in self.store.values():
            os.close(descriptor)
        for path in (self.path, self.path.with_name("moved")):
            while f" {path} " in pathlib.Path("/proc/self/mountinfo").read_text():
                subprocess.run(["umount", "-i", "-l", "-c", path], check=True)
        self.socket.close()


@pytest.fixture
def manager(tmp_path, emulator):
    # a mount of its own, which is not shared: mount --move is not for what is below a shared one
    subprocess.run(["mount", "--bind", "--make-private", tmp_path, tmp_path], check=True)
    manager = Manager(tmp_path, emulator.url)
    yield manager
    manager.end()
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


class Reader:
    """Somebody who opens and reads the key, over and over, never warm: what waits is fine, an error is not."""

    def __init__(self, path):
        self.process = subprocess.Popen(
            ["/usr/bin/python3", "-c", """
import os, sys
reads = 0
while not os.path.exists(sys.argv[2]):
    for name in ("client_key.json", "status"):
        with open(sys.argv[1] + "/payments/" + name, "rb") as file:
            assert file.read()
    reads += 1
print(reads)
""", path, str(path) + ".end"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.end_file = pathlib.Path(str(path) + ".end")

    def end(self):
        self.end_file.touch()
        out, errors = self.process.communicate(timeout=60)
        self.end_file.unlink()
        assert (self.process.returncode, errors) == (0, ""), errors
        return int(out)


def test_a_restart_keeps_the_mount_its_readers_and_what_they_hold_open(manager):
    manager.start()
    manager.write()
    before, mounted = manager.key_id(), manager.mounted()
    held = open(manager.path / "payments" / "client_key.json", "rb")
    reader = Reader(manager.path)
    for _ in range(3):
        assert manager.stop() == 0
        assert manager.mounted() == mounted
        manager.start()
        assert manager.key_id() == before
    assert held.read()
    assert reader.end() > 0
    assert manager.mounted() == mounted
    manager.write()
    assert manager.key_id() != before
    held.close()
    assert "the mount goes on" in manager.error_file.read_text()


def kill(manager):
    """Everything that it has started."""
    kill_all(manager)
    manager.take_messages()


def test_every_process_killed_and_the_mount_goes_on(manager):
    manager.start()
    manager.write()
    mounted, before = manager.mounted(), manager.key_id()
    reader = Reader(manager.path)
    for _ in range(3):
        kill(manager)
        manager.start()
        assert manager.key_id() == before
    manager.write()
    assert reader.end() > 0
    assert manager.key_id() != before
    assert manager.mounted() == mounted


def test_an_upgrade_is_kept_as_well(manager):
    manager.start()
    manager.write()
    before, mounted = manager.key_id(), manager.mounted()
    done = run_aapfs("upgrade", "-m", manager.path)
    assert (done.returncode, done.stderr) == (0, "")
    manager.take_messages()
    assert set(manager.store) == {"aapfs-fuse", "aapfs-memory", "aapfs-note"}
    for end in (manager.stop, lambda: kill(manager)):
        end()
        assert manager.mounted() == mounted
        manager.start()
        assert manager.key_id() == before
    assert manager.error_file.read_text().count("the mount goes on") == 2


def stop_while_it_writes(manager, emulator, milliseconds):
    """KMS takes so long for the key, which the writer gets."""
    manager.await_directory()
    emulator.set_faults(f"CreateClientKey delay={milliseconds}")
    writer = subprocess.Popen(["sh", "-c", f"echo {PASSWORD} > {manager.path}/payments/control"])
    await_value(lambda: emulator.count("CreateClientKey"), 1)
    assert manager.stop() == 0
    assert writer.wait(5) == 0


@pytest.mark.full
def test_a_write_under_way_ends_before_a_restart(manager, emulator):
    manager.start()
    stop_while_it_writes(manager, emulator, 700)
    emulator.set_faults()
    manager.start()
    assert manager.key_id().startswith("KAAP.")
    assert emulator.count("CreateClientKey") == 1


def test_the_manager_waits_for_what_is_under_way(manager, emulator):
    """However short its own limit is: a creation that is killed is a key that KMS gives to nobody again."""
    manager.configure("request_timeout = 90s")
    manager.start()
    stop_while_it_writes(manager, emulator, 300)
    assert max(manager.waits) > 90


def worker_of(manager):
    return [pid for pid in children_of(manager.process.pid) if pathlib.Path(f"/proc/{pid}/comm").read_text() == "aapfs-worker\n"]


@pytest.mark.full
def test_it_is_ready_when_a_worker_of_this_run_answers(manager, tmp_path):
    manager.start()
    manager.write()
    assert manager.stop() == 0
    stop = tmp_path / "stops"
    stop.write_text(f"worker-begins 0 1 {int(signal.SIGSTOP)}\n")
    starting = threading.Thread(target=manager.start, kwargs={"binary": WITH_STOPS, "AAPFS_STOPS": str(stop)})
    starting.start()
    until(lambda: not stop.exists())
    starting.join(1.5)  # longer than it waits for a listing
    assert starting.is_alive()
    for pid in worker_of(manager):
        os.kill(pid, signal.SIGCONT)
    starting.join(30)
    assert not starting.is_alive()
    assert manager.key_id().startswith("KAAP.")


def test_a_kept_mount_waits_for_a_configuration_that_a_worker_can_serve(manager):
    """What only the worker finds wrong does not end the mount of a run before."""
    manager.start()
    manager.write()
    before, mounted = manager.key_id(), manager.mounted()
    assert manager.stop() == 0
    url, manager.url = manager.url, "https://kms.cn-hangzhou.aliyuncs.com"
    manager.configure()
    manager.start(ready=False, https_proxy="not-a-proxy://")
    assert manager.process.wait(30) != 0
    manager.take_messages()
    assert manager.mounted() == mounted
    assert set(manager.store) == {"aapfs-fuse", "aapfs-memory", "aapfs-note"}
    manager.url = url
    manager.configure()
    manager.start()
    assert manager.key_id() == before
    assert manager.mounted() == mounted


def test_a_kept_mount_with_which_workers_crash_is_made_anew_by_the_next_start(manager, tmp_path):
    """The manager is not left to its time for a start, two minutes in which every reader waits."""
    manager.start()
    manager.write()
    before, mounted, stop = manager.key_id(), manager.mounted(), tmp_path / "stops"
    assert manager.stop() == 0
    stop.write_text(f"worker-begins 0 9 {int(signal.SIGABRT)}\n")
    manager.start(ready=False, binary=WITH_STOPS, AAPFS_STOPS=str(stop))
    assert manager.process.wait(30) == 1
    manager.take_messages()
    assert "aapfs-worker was killed by signal 6 before it served, again and again\n" in manager.error_file.read_text()
    assert stop.read_text() == f"worker-begins 0 6 {int(signal.SIGABRT)}\n"
    assert manager.mounted() == mounted and set(manager.store) == {"aapfs-fuse", "aapfs-memory", "aapfs-note"}
    stop.unlink()
    manager.start()
    assert "is made anew: workers crashed with it again and again\n" in manager.error_file.read_text()
    assert manager.key_id() == before and len(manager.mounted()) == 1


@pytest.mark.parametrize("deaths", [2, 9])
def test_a_new_mount_whose_workers_crash_ends(manager, tmp_path, deaths):
    stop = tmp_path / "stops"
    stop.write_text(f"worker-begins 0 {deaths} {int(signal.SIGABRT)}\n")
    manager.start(ready=deaths == 2, binary=WITH_STOPS, AAPFS_STOPS=str(stop))
    if deaths == 2:
        assert not stop.exists() and manager.stop() == 0
        return
    assert manager.process.wait(30) == 1
    manager.take_messages()
    assert not manager.mounted() and not manager.store


def test_without_a_manager_that_keeps_it_term_unmounts(manager):
    manager.start(keep="no")
    assert not manager.store
    assert manager.stop() == 0
    assert not manager.mounted()


def test_an_interrupt_and_umount_end_it_and_leave_nothing_to_keep(manager):
    manager.start()
    assert set(manager.store) == {"aapfs-fuse", "aapfs-memory", "aapfs-note"}
    assert manager.stop(signal.SIGINT) == 0
    assert not manager.mounted() and not manager.store
    manager.start()
    unmount(manager.path)
    assert manager.process.wait(30) == 0
    manager.take_messages()
    assert not manager.store


def test_a_missing_mount_point_is_made_for_a_service_alone(manager):
    manager.path.rmdir()
    manager.start(keep="no", ready=False)
    assert manager.process.wait(30) == 1
    assert "make an empty directory there first" in manager.error_file.read_text()
    assert not manager.path.exists()
    mask = os.umask(0o077)  # the unit's
    try:
        manager.start()
    finally:
        os.umask(mask)
    manager.write()
    assert manager.stop(signal.SIGINT) == 0
    assert manager.path.stat().st_mode & 0o7777 == 0o755


def memory_file(content):
    descriptor = os.memfd_create("test")
    os.write(descriptor, content)
    return descriptor


def content_of(descriptor):
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def replace_note(change):
    def spoil(manager):
        note = memory_file(change(content_of(manager.store["aapfs-note"])))
        os.close(manager.store["aapfs-note"])
        manager.store["aapfs-note"] = note
    return spoil


def replace(name, make):
    def spoil(manager):
        os.close(manager.store[name])
        manager.store[name] = make()
    return spoil


def drop(name):
    def spoil(manager):
        os.close(manager.store.pop(name))
    return spoil


def without_seals(manager):
    """A copy that others can cut."""
    descriptor = manager.store["aapfs-memory"]
    copy = os.memfd_create("test")
    os.ftruncate(copy, os.fstat(descriptor).st_size)
    os.pwrite(copy, os.pread(descriptor, 4096, 0), 0)
    os.close(descriptor)
    manager.store["aapfs-memory"] = copy


def short_memory():
    descriptor = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(descriptor, b"aapfs")
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return descriptor


def spoil_numbers(manager):
    os.pwrite(manager.store["aapfs-memory"], b"\xff" * 4096, 4096)


def move(manager):
    """As an administrator does, without knowing that nobody answers."""
    place = manager.path.with_name("moved")
    place.mkdir()
    subprocess.run(["mount", "--move", manager.path, place], check=True)


def spoil_magic(manager):
    os.pwrite(manager.store["aapfs-memory"], b"aapfs mount 0", 0)


def another_mount():
    """The descriptor of a FUSE mount that is not aapfs's: the number of its connection is another one."""
    descriptor = os.open("/dev/fuse", os.O_RDWR)
    path = tempfile.mkdtemp(prefix="aapfs-test-")
    libc = ctypes.CDLL(None, use_errno=True)
    words = f"fd={descriptor},rootmode=40000,user_id=0,group_id=0".encode()
    assert libc.mount(b"other", path.encode(), b"fuse", 0, words) == 0
    assert libc.umount2(path.encode(), 2) == 0  # MNT_DETACH; the connection lives with its descriptor
    os.rmdir(path)
    return descriptor


SPOILED = {
    "no note": (drop("aapfs-note"), "it comes without a note that this version knows"),
    "an empty note": (replace_note(lambda note: b""), "it comes without a note that this version knows"),
    "another version's note": (replace_note(lambda note: b"aapfs kept 0\0" + note[13:]),
                               "it comes without a note that this version knows"),
    "a note without an end": (replace_note(lambda note: note[:24] + b"/" * (len(note) - 24)),
                              "it comes without a note that this version knows"),
    "another device": (replace_note(lambda note: note[:16] + b"\1" + note[17:]), "it is not mounted any more"),
    "no memory": (drop("aapfs-memory"), "its memory is missing"),
    "a file for the memory": (replace("aapfs-memory", lambda: os.open("/etc/passwd", os.O_RDONLY)),
                          "its memory can be cut by others"),
    "a memory without seals": (without_seals, "its memory can be cut by others"),
    "a short memory": (replace("aapfs-memory", short_memory), "another version has served it"),
    "a memory that makes no sense": (spoil_numbers, "its memory makes no sense"),
    "moved away": (move, "it is not mounted any more"),
    "another version's memory": (spoil_magic, "another version has served it"),
    "another file": (replace("aapfs-fuse", lambda: os.open("/dev/null", os.O_RDWR)), "its descriptor is not that mount's"),
    "another mount's descriptor": (replace("aapfs-fuse", another_mount), "its descriptor is not that mount's"),
}


@pytest.mark.parametrize("case", [case if case in ("no note", "a memory that makes no sense", "moved away") else pytest.param(case, marks=pytest.mark.full)
                                  for case in SPOILED])
def test_what_comes_back_spoiled_is_refused_and_the_mount_made_anew(manager, case):
    spoil, reason = SPOILED[case]
    manager.start()
    told = pathlib.Path(f"/proc/self/fdinfo/{manager.store['aapfs-fuse']}").read_text()
    if case == "another mount's descriptor" and "fuse_connection" not in told:
        pytest.skip("this kernel does not tell whose connection a descriptor is")
    manager.write()
    before = manager.key_id()
    assert manager.stop() == 0
    spoil(manager)
    manager.start()
    assert f"is made anew: {reason}\n" in manager.error_file.read_text()
    assert manager.key_id() == before
    assert len(manager.mounted()) == 1
    assert f"{manager.path.with_name('moved')} " not in pathlib.Path("/proc/self/mountinfo").read_text()
    assert manager.stop() == 0
    manager.start()
    assert manager.key_id() == before


def test_the_memory_that_is_kept_cannot_be_cut(manager):
    manager.start()
    with pytest.raises(PermissionError):
        os.ftruncate(manager.store["aapfs-memory"], 100)
    seals = fcntl.fcntl(manager.store["aapfs-memory"], fcntl.F_GET_SEALS)
    assert seals == fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def test_another_region_is_another_mount(manager):
    manager.start()
    assert manager.stop() == 0
    manager.state = manager.state.with_name("other-state")
    manager.configure(settings="region = cn-beijing")
    manager.start()
    assert "the configuration names another region" in manager.error_file.read_text()
    assert len(manager.mounted()) == 1


def test_the_supervisor_alone_is_spared_when_memory_is_short(manager):
    with open("/proc/self/oom_score_adj") as file:
        own = file.read()
    try:
        pathlib.Path("/proc/self/oom_score_adj").write_text("-500")
    except PermissionError:
        pytest.skip("this machine does not let root lower an oom_score_adj (CAP_SYS_RESOURCE)")
    try:
        manager.start()
    finally:
        pathlib.Path("/proc/self/oom_score_adj").write_text(own)
    children = children_of(manager.process.pid)
    assert pathlib.Path(f"/proc/{manager.process.pid}/oom_score_adj").read_text() == "-500\n"
    assert len(children) == 3
    for pid in children:
        assert pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text() == "0\n"


def test_a_raised_score_is_everybodys(manager):
    """The administrator's word, where it spares nobody: it is left alone, and nothing is said."""
    manager.start(first="echo 500 > /proc/self/oom_score_adj;")
    children = children_of(manager.process.pid)
    assert len(children) == 3
    for pid in (manager.process.pid, *children):
        assert pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text() == "500\n"
    assert "oom_score_adj" not in manager.error_file.read_text()


RUNTIMES = {"docker.service", "containerd.service", "crio.service", "podman.service", "podman-restart.service",
            "kubelet.service", "k3s.service", "k3s-agent.service"}


@pytest.mark.parametrize("name", ["aapfs.service", "aapfs@.service", "aapfs-volume-plugin.service", "run-aap.mount"])
def test_each_unit_is_up_before_whatever_starts_containers(name):
    """Their units, and podman-restart.service, which starts what podman is to start at boot: podman.service is its API."""
    unit = (ROOT / "examples/systemd" if name.endswith(".mount") else BUILD / "fs/systemd") / name
    before, = re.findall(r"^Before=(.*)$", unit.read_text(), re.M)
    assert set(before.split()) == RUNTIMES


@pytest.fixture
def installed(tmp_path):
    """As `meson install` puts it."""
    root = tmp_path / "root"
    done = subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", root], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return root


def unit_for_here(installed, name):
    """A unit whose programs are where they were installed, so that they are found."""
    unit, = installed.rglob(name)
    text = unit.read_text()
    for word in re.findall(r"^Exec\w+=(\S+)", text, re.M):
        text = text.replace(f"={word}", f"={installed}{word}")
        assert os.access(f"{installed}{word}", os.X_OK), word
    return text


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is missing")
@pytest.mark.parametrize("name", ["aapfs.service", *(pytest.param(name, marks=pytest.mark.full) for name in (
    "aapfs@.service", "aapfs-left.service", "aapfs-left@.service", "aapfs-volume-plugin.service"))])
def test_the_units_are_good_ones(installed, tmp_path, name):
    place = tmp_path / name.replace("@", "@payments")
    place.write_text(unit_for_here(installed, name))
    sockets = [shutil.copy(path, tmp_path) for path in installed.rglob(name.replace(".service", ".socket"))]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", place, *sockets], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--threshold=55", place],
                          capture_output=True, text=True)
    print(done.stdout.splitlines()[-1])
    assert done.returncode == 0


@pytest.mark.full
@pytest.mark.skipif(not shutil.which("systemd-nspawn"), reason="systemd-nspawn (package systemd-container) is missing")
def test_a_booted_system(installed, tmp_path, pool_file):
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(INSIDE / "systemd.py", out)
    shutil.copy(pool_file, out / "pool.pem")
    shutil.copy(ROOT / "examples/systemd/run-aap.mount", out)
    units = [f"--bind-ro={unit}:/run/systemd/system/{unit.name}" for unit in installed.rglob("aapfs*.s*")]
    boot(out, "/", "/usr/bin/python3 /out/systemd.py", f"--bind-ro={installed}/usr/local:/usr/local", *units)
