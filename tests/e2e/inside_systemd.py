"""
Runs in a booted system: aapfs.service from its start to its stop. Prints what it did, and at the end that all is well.
"""
import contextlib
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
    return any(line.split()[4] == str(path) for line in open("/proc/self/mountinfo"))


def key_id(path=MOUNT):
    return (path / "payments" / "client_key_id").read_text().strip()


def write(command, path=MOUNT):
    control = os.open(path / "payments" / "control", os.O_WRONLY)
    try:
        os.write(control, command.encode() + b"\n")
    finally:
        os.close(control)


def main_pid():
    return int(run("systemctl", "show", "-P", "MainPID", "aapfs.service"))


def processes():
    folder = "/sys/fs/cgroup" + run("systemctl", "show", "-P", "ControlGroup", "aapfs.service").strip()
    for place in (folder, folder.replace("/sys/fs/cgroup", "/sys/fs/cgroup/systemd"),
                  folder.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified")):
        if os.path.exists(place + "/cgroup.procs"):
            return [int(pid) for pid in open(place + "/cgroup.procs")]
    raise AssertionError("no control group")


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


def prepare():
    for left in ("/etc/aapfs", "/var/lib/aapfs"):  # of the machine around this one
        shutil.rmtree(left, ignore_errors=True)
    os.makedirs("/etc/credstore", mode=0o700, exist_ok=True)
    for name, text in CREDENTIALS.items():
        file = pathlib.Path("/etc/credstore/aapfs." + name)
        file.touch(0o600)
        file.write_text(text)
    os.makedirs("/etc/aapfs", exist_ok=True)
    kms = "[kms]\nregion = cn-hangzhou\nendpoint = http://127.0.0.1:8443\nrequest_timeout = 5s\n[mount]\ncreation_guard = 0s\n"
    pathlib.Path("/etc/aapfs/aapfs.conf").write_text(kms)
    pathlib.Path("/etc/aapfs/second.conf").write_text(kms)
    run("systemd-run", "--unit=kms", "-E", "KMS_EMULATOR_ACCESS_KEY=LTAI5tTestOnly:test-only-secret", "/usr/local/bin/kms-emulator",
        "--listen", "127.0.0.1:8443", "--aap", "payments", "--key-pool", "8", "--key-pool-file", "/out/pool.pem")

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

    began("kill the supervisor")
    pid = main_pid()
    os.kill(pid, signal.SIGKILL)
    until(lambda: main_pid() not in (0, pid), "not started again")
    assert key_id() == first

    began("kill every process")
    for _ in range(3):
        until(lambda: len(processes()) == 4, "not all there")
        pid = main_pid()
        for process in processes():
            with contextlib.suppress(ProcessLookupError):  # they end with their supervisor, too
                os.kill(process, signal.SIGKILL)
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

    began("reload")
    with open("/etc/aapfs/aapfs.conf", "a") as config:
        config.write("[defaults]\nmode = 0400\n")
    run("systemctl", "reload", "aapfs.service")
    until(lambda: (MOUNT / "payments" / "client_key.json").stat().st_mode & 0o777 == 0o400, "the mode is as before")

    began("a wrong configuration loses nothing")
    good = pathlib.Path("/etc/aapfs/aapfs.conf").read_text()
    pathlib.Path("/etc/aapfs/aapfs.conf").write_text(good + "nonsense = 1\n")
    run("systemctl", "restart", "aapfs.service", good=False)
    assert is_mounted()
    pathlib.Path("/etc/aapfs/aapfs.conf").write_text(good)
    until(lambda: main_pid() != 0 and run("systemctl", "is-active", "aapfs.service", good=False) == "active\n", "it does not heal")
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
    run("systemctl", "kill", "-s", "KILL", "aapfs-volume-plugin.service")
    assert key_id(pathlib.Path(place).parent) == second
    assert "in use" in plugin("Remove", Name="payments", good=False)["Err"]
    assert plugin("Unmount", Name="payments", ID="1") == plugin("Remove", Name="payments") == {"Err": ""}
    run("systemctl", "stop", "aapfs-volume-plugin.socket", "aapfs-volume-plugin.service")
    assert run("systemctl", "show", "-P", "ActiveState", "aapfs-volume-plugin.service") == "inactive\n", journal()

    began("a second mount")
    run("systemctl", "start", "aapfs@second.service")
    assert is_mounted(pathlib.Path("/run/aap-second"))
    run("systemctl", "stop", "aapfs@second.service")
    assert not is_mounted(pathlib.Path("/run/aap-second"))

    began("stop")
    run("systemctl", "stop", "aapfs.service")
    assert not is_mounted()
    assert run("systemctl", "show", "-P", "ActiveState", "aapfs.service") == "inactive\n", journal()

    began("start after a stop: the key is there, without its maker")
    run("systemctl", "start", "aapfs.service")
    until(lambda: (MOUNT / "payments" / "client_key_id").exists(), "no key")
    assert key_id() == second
    began("umount ends it")
    run("umount", str(MOUNT))
    until(lambda: run("systemctl", "show", "-P", "ActiveState", "aapfs.service") == "inactive\n", "it lives on")
    began("kill with TERM, by hand")
    run("systemctl", "start", "aapfs.service")
    os.kill(main_pid(), signal.SIGTERM)
    until(lambda: run("systemctl", "show", "-P", "ActiveState", "aapfs.service") == "inactive\n" and not is_mounted(), "it lives on")
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
