"""
Runs in a booted system: aapfs.service from its start to its stop. Prints what it did, and at the end that all is well.
"""
import contextlib
import errno
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

MOUNT = pathlib.Path("/run/aap")
CREDENTIALS = {"access-key-id": "LTAI5tTestOnly", "access-key-secret": "test-only-secret", "state-key": "0123456789abcdef" * 4 + "\n"}


def run(*words, good=True):
    done = subprocess.run(words, capture_output=True, text=True, timeout=90)
    assert not good or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}" + journal()
    return done.stdout


def journal():
    done = subprocess.run(["journalctl", "-b", "--no-pager", "-u", "aapfs*", "-o", "cat"], capture_output=True, text=True)
    return "\n" + done.stdout


def until(condition, what, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what + journal()
        time.sleep(0.02)


def is_mounted(path=MOUNT):
    escaped = str(path).replace("\\", "\\134")
    return any(line.split()[4] == escaped for line in open("/proc/self/mountinfo"))


def key_id(path=MOUNT):
    return (path / "payments" / "client_key_id").read_text().strip()


def write(command, path=MOUNT):
    control = os.open(path / "payments" / "control", os.O_WRONLY)
    try:
        os.write(control, command.encode() + b"\n")
    finally:
        os.close(control)


def show(name, unit="aapfs.service"):
    return run("systemctl", "show", "-P", name, unit).strip()


def main_pid(unit="aapfs.service"):
    return int(show("MainPID", unit))


def is_active(unit="aapfs.service"):
    return show("ActiveState", unit) == "active"


def processes(unit="aapfs.service"):
    """None between two runs."""
    folder = "/sys/fs/cgroup" + show("ControlGroup", unit).replace("\\x5c", "\\")
    for place in (folder, folder.replace("/sys/fs/cgroup", "/sys/fs/cgroup/systemd"),
                  folder.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified")):
        with contextlib.suppress(OSError):
            return [int(pid) for pid in open(place + "/cgroup.procs")]
    return []


def kill(*pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # they end with their supervisor, too
            os.kill(pid, signal.SIGKILL)


def name_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def by_name(name):
    return [pid for pid in processes() if name_of(pid) == name]


def configure(settings="", more=""):
    pathlib.Path("/etc/aapfs/aapfs.conf").write_text(KMS.replace("[mount]", settings + "[mount]") + more)


def created():
    """How often a key was asked for."""
    return json.loads(run("curl", "-s", "http://127.0.0.1:8443/_emulator/requests")).get("CreateClientKey", 0)


def is_dead():
    """Listings and files are in the kernel's memory."""
    try:
        os.statvfs(MOUNT)
    except OSError as error:
        return error.errno == errno.ENOTCONN
    return False


def mount_by_hand():
    run("aapfs", "-c", "/etc/aapfs/second.conf", "--state", "/root/state", "--state-key", "/etc/credstore/aapfs.state-key", str(MOUNT))


class Reader:
    def __init__(self):
        self.process = subprocess.Popen([sys.executable, "-c", """
import os
reads = 0
while not os.path.exists("/run/reader.end"):
    for name in ("client_key.json", "status"):
        with open("/run/aap/payments/" + name, "rb") as file:
            assert file.read()
    reads += 1
print(reads)
"""], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end(self):
        pathlib.Path("/run/reader.end").touch()
        out, errors = self.process.communicate(timeout=60)
        os.unlink("/run/reader.end")
        assert self.process.returncode == 0, errors + journal()
        return int(out)


def plugin(operation, good=True, **body):
    """What the volume plugin answers."""
    words = ["curl", "-s", *(["-f"] if good else []), "--unix-socket", "/run/docker/plugins/aapfs.sock", "-d", json.dumps(body),
             f"http://plugin/VolumeDriver.{operation}"]
    return json.loads(run(*words))


def began(text):
    print(f"{time.monotonic():.1f} {text}", flush=True)


KMS = ("[kms]\nregion = cn-hangzhou\nendpoint = http://127.0.0.1:8443\nrequest_timeout = 5s\n[mount]\ncreation_guard = 0s\n"
       "[defaults]\nmax_keys = 1000\n")
ESCAPED = "a\\x2db"  # as `systemd-escape a-b` says


def prepare():
    for left in ("/etc/aapfs", "/var/lib/aapfs"):  # of the machine around this one
        shutil.rmtree(left, ignore_errors=True)
    os.makedirs("/etc/credstore", mode=0o700, exist_ok=True)
    for name, text in CREDENTIALS.items():
        file = pathlib.Path("/etc/credstore/aapfs." + name)
        file.touch(0o600)
        file.write_text(text)
    os.makedirs("/etc/aapfs", exist_ok=True)
    configure()
    for name in ("second", ESCAPED):
        pathlib.Path(f"/etc/aapfs/{name}.conf").write_text(KMS)
    pathlib.Path("/run/faults").touch()
    run("systemd-run", "--unit=kms", "-E", "KMS_EMULATOR_ACCESS_KEY=LTAI5tTestOnly:test-only-secret", "/usr/local/bin/kms-emulator",
        "--listen", "127.0.0.1:8443", "--aap", "payments", "--faults", "/run/faults", "--key-pool", "8", "--key-pool-file", "/out/pool.pem",
        "--min-validity", "0", "--max-keys", "0")

    def listens():
        try:
            socket.create_connection(("127.0.0.1", 8443), 1).close()
            return True
        except OSError:
            return False
    until(listens, "the emulator does not listen")


def main():
    prepare()
    began("start")
    run("systemctl", "start", "aapfs.service")
    assert is_mounted()
    until(lambda: (MOUNT / "payments" / "control").exists(), "no payments")
    assert not os.path.exists("/etc/aapfs/state.key"), "the state key is the credential"
    write("Correct-Horse1")
    first = key_id()
    held = open(MOUNT / "payments" / "client_key.json", "rb")
    reader = Reader()

    began("kill each process alone")
    for name in ("aapfs-worker", "aapfs-publisher", "aapfs-runner", "aapfs"):
        until(lambda: len(processes()) == 4 and by_name(name), "not all there")
        before = by_name(name)
        kill(*before)
        until(lambda: len(processes()) == 4 and by_name(name) not in ([], before), f"{name} is not started again")
        assert key_id() == first
    assert show("OOMScoreAdjust") == "-900"

    began("kill every process")
    for _ in range(2):
        until(lambda: len(processes()) == 4, "not all there")
        pid = main_pid()
        kill(*processes())
        until(lambda: main_pid() not in (0, pid), "not started again")
        assert key_id() == first

    began("restart")
    for _ in range(3):
        run("systemctl", "restart", "aapfs.service")
        assert is_mounted() and key_id() == first
    assert held.read()
    write("Correct-Horse2")
    second = key_id()
    assert second != first

    began("reload, first of a wrong file")
    configure(more="nonsense = 1\n")
    pid = main_pid()
    run("systemctl", "reload", "aapfs.service", good=False)
    assert "nonsense" in (MOUNT / ".aapfs" / "last_error").read_text()
    assert is_active() and main_pid() == pid and key_id() == second
    configure(more="mode = 0400\n")
    run("systemctl", "reload", "aapfs.service")
    until(lambda: (MOUNT / "payments" / "client_key.json").stat().st_mode & 0o777 == 0o400, "the mode is as before")

    began("a wrong configuration loses nothing")
    configure(more="nonsense = 1\n")
    run("systemctl", "restart", "aapfs.service", good=False)
    assert is_mounted()
    configure()
    until(lambda: main_pid() != 0 and is_active(), "it does not heal")
    assert key_id() == second
    print("reads", reader.end())
    held.close()

    began("volumes")
    assert not os.path.exists("/run/docker/plugins/aapfs.sock")
    run("systemctl", "start", "aapfs-volume-plugin.socket")
    assert plugin("Create", Name="payments") == {"Err": ""}  # by the first request it is started
    place = plugin("Mount", Name="payments", ID="1")["Mountpoint"]
    assert key_id(pathlib.Path(place).parent) == second
    with contextlib.suppress(OSError):
        os.open(place + "/control", os.O_WRONLY)
        raise AssertionError("a volume's control can be opened for writing")
    run("systemctl", "restart", "aapfs.service")
    os.kill(int(run("systemctl", "show", "-P", "MainPID", "aapfs-volume-plugin.service")), signal.SIGKILL)
    assert key_id(pathlib.Path(place).parent) == second
    assert "in use" in plugin("Remove", Name="payments", good=False)["Err"]
    assert plugin("Unmount", Name="payments", ID="1") == plugin("Remove", Name="payments") == {"Err": ""}
    run("systemctl", "stop", "aapfs-volume-plugin.socket", "aapfs-volume-plugin.service")
    assert run("systemctl", "show", "-P", "ActiveState", "aapfs-volume-plugin.service") == "inactive\n", journal()

    began("what is under way at KMS, longer than a stop may take")
    os.makedirs("/run/systemd/system/aapfs.service.d", exist_ok=True)
    hurried = pathlib.Path("/run/systemd/system/aapfs.service.d/hurried.conf")
    hurried.write_text("[Service]\nTimeoutStopSec=1s\n")
    run("systemctl", "daemon-reload")
    pathlib.Path("/run/faults").write_text("CreateClientKey delay=2500\n")
    writer = subprocess.Popen(["sh", "-c", f"echo Correct-Horse3 > {MOUNT}/payments/control"])
    until(lambda: created() == 3, "it is not asked for")
    run("systemctl", "restart", "aapfs.service")
    assert writer.wait(10) == 0, journal()
    pathlib.Path("/run/faults").write_text("")
    hurried.unlink()
    run("systemctl", "daemon-reload")
    third = key_id()
    assert third != second

    began("two more mounts")
    instances = {f"aapfs@{name}.service": pathlib.Path(f"/run/aap-{name}") for name in ("second", ESCAPED)}
    for unit, path in instances.items():
        run("systemctl", "start", unit)
        assert is_mounted(path)
        until((path / "payments" / "control").exists, "no payments")
        write("Correct-Horse1", path)
    keys = {unit: key_id(path) for unit, path in instances.items()}
    assert len(set(keys.values())) == 2
    pids = {unit: main_pid(unit) for unit in instances}
    for unit in instances:
        kill(*processes(unit))
    for unit, path in instances.items():
        until(lambda: main_pid(unit) not in (0, pids[unit]) and is_active(unit), f"{unit} is not started again")
        run("systemctl", "restart", unit)
        assert key_id(path) == keys[unit]
        assert "made anew" not in journal()
    for unit, path in instances.items():
        run("systemctl", "stop", unit)
        assert not is_mounted(path)

    began("stop, with an open file and a working directory inside")
    held = open(MOUNT / "payments" / "client_key.json", "rb")
    inside = subprocess.Popen(["sleep", "100"], cwd=MOUNT / "payments")
    run("systemctl", "stop", "aapfs.service")
    assert not is_mounted()
    assert show("ActiveState") == "inactive", journal()
    held.close()
    inside.kill()
    inside.wait()

    began("start after a stop: the key is there, without its maker")
    run("systemctl", "start", "aapfs.service")
    until(lambda: (MOUNT / "payments" / "client_key_id").exists(), "no key")
    assert key_id() == third
    began("stop between two tries")
    configure(more="nonsense = 1\n")
    run("systemctl", "restart", "aapfs.service", good=False)
    waiting = subprocess.Popen(["cat", MOUNT / "payments" / "not_after", MOUNT / ".aapfs" / "status"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: show("SubState") == "auto-restart", "it is not tried again")
    assert is_mounted()
    run("systemctl", "stop", "aapfs.service")
    until(lambda: not is_mounted(), "a mount without a daemon is left", 5)
    assert waiting.wait(5) != 0
    configure()
    run("systemctl", "start", "aapfs.service")
    assert key_id() == third

    began("umount ends it")
    until(lambda: subprocess.run(["umount", "-q", str(MOUNT)]).returncode == 0, "it is in use")  # by its publisher, for a moment
    until(lambda: show("ActiveState") == "inactive", "it lives on")

    began("no mount point, and one that is a link")
    MOUNT.rmdir()
    run("systemctl", "start", "aapfs.service")
    assert is_mounted() and key_id() == third
    run("systemctl", "stop", "aapfs.service")
    assert MOUNT.stat().st_mode & 0o7777 == 0o755
    MOUNT.rmdir()
    there = pathlib.Path("/srv/aap")
    there.mkdir(parents=True)
    MOUNT.symlink_to(there)
    run("systemctl", "start", "aapfs.service")
    assert is_mounted(there)
    pid = main_pid()
    kill(*processes())
    until(lambda: main_pid() not in (0, pid) and is_active(), "not started again")
    run("systemctl", "restart", "aapfs.service")
    assert is_mounted(there) and key_id() == third
    run("systemctl", "stop", "aapfs.service")
    assert not is_mounted(there)
    MOUNT.unlink()

    began("no credentials")
    shutil.move("/etc/credstore", "/etc/credstore.away")
    shutil.move("/var/lib/aapfs", "/var/lib/aapfs.away")
    run("systemctl", "start", "aapfs.service")
    until(lambda: "credentials" in (MOUNT / ".aapfs" / "last_error").read_text(), "nothing is said")
    assert is_active()
    run("systemctl", "stop", "aapfs.service")
    shutil.rmtree("/var/lib/aapfs")
    shutil.move("/var/lib/aapfs.away", "/var/lib/aapfs")
    shutil.move("/etc/credstore.away", "/etc/credstore")

    began("somebody else's mount stays, and a stale one makes way")
    mount_by_hand()
    run("systemctl", "start", "aapfs.service", good=False)
    run("systemctl", "stop", "aapfs.service")
    until(lambda: show("ActiveState", "aapfs-left.service") == "inactive", "what is left is still looked for")
    assert is_mounted() and os.listdir(MOUNT)
    kill(*[int(pid) for pid in run("pgrep", "-x", "aapfs").split()])
    until(is_dead, "it still answers")
    run("systemctl", "start", "aapfs.service")
    assert key_id() == third
    run("systemctl", "stop", "aapfs.service")
    assert not is_mounted()
    run("systemctl", "start", "aapfs.service")
    began("kill with TERM, by hand")
    os.kill(main_pid(), signal.SIGTERM)
    until(lambda: show("ActiveState") == "inactive" and not is_mounted(), "it lives on")
    assert "Failed" not in run("systemctl", "--failed", "--no-legend", "--plain", "list-units", "aapfs*")
    began("a mount unit")
    os.symlink("/usr/local/bin/aapfs", "/sbin/mount.aapfs")
    shutil.copy("/out/run-aap.mount", "/run/systemd/system/")
    run("systemctl", "daemon-reload")
    # without the service's credentials, and with a state key that is made
    for name in ("access-key-id", "access-key-secret"):
        text = CREDENTIALS[name]
        run("systemctl", "set-environment", f"ALIBABA_CLOUD_{name.upper().replace('-', '_')}={text}")
    shutil.rmtree("/var/lib/aapfs")
    run("systemctl", "start", "run-aap.mount")
    until(lambda: (MOUNT / "payments" / "control").exists(), "no payments")
    assert run("systemctl", "is-active", "run-aap.mount") == "active\n"
    assert run("findmnt", "-n", "-o", "SOURCE", str(MOUNT)) == "/etc/aapfs/aapfs.conf\n"
    run("systemctl", "stop", "run-aap.mount")
    assert not is_mounted()

    print(run("systemctl", "show", "-P", "NFileDescriptorStore", "aapfs.service").strip(), "descriptors kept after the end")
    print("all is well")


main()
