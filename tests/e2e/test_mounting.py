"""Mounting, leaving, options, other users, wrong configuration, --dev, status."""
import contextlib
import errno
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import pytest

from parts.harness import AAPFS, EMULATOR, PASSWORD, environment, make_state_key, result_of, run_aapfs, until
from parts.log import ENDS, without_what_was_done
from parts.processes import children_of, kill_all, wait_for_end
from parts.times import text_of
from parts.users import NOBODY, OwnFuse, program_for_others


def own_state(tmp_path):
    """Options that give a mount a state of its own."""
    return ["--state", tmp_path / "state", "--state-key", make_state_key(tmp_path / "key")]


def mounts_at(path, mountinfo=pathlib.Path("/proc/self/mountinfo")):
    lines = mountinfo.read_text().splitlines()
    return [line for line in lines if line.split()[4] == str(path)]


def daemon_of(path):
    """The process that serves a mount in the background: the one with the word PATH whose parent has it not."""
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")[:-1]
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if words and str(path).encode() in words and words[0].endswith(b"aapfs"):
            if str(path).encode() not in pathlib.Path(f"/proc/{parent}/cmdline").read_bytes().split(b"\0"):
                return int(entry.name)
    return None


def test_the_background_start_returns_when_the_mount_answers(emulator, tmp_path):
    path = tmp_path / "aap"
    path.mkdir()
    config = tmp_path / "aapfs.conf"
    config.write_text(f"[kms]\nendpoint = {emulator.url}\n")
    done = run_aapfs("-c", config, *own_state(tmp_path), path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    # captured output ended: the daemon does not hold on to the caller's pipes
    assert ".aapfs" in os.listdir(path)
    until(lambda: sorted(os.listdir(path)) == [".aapfs", "orders", "payments"])
    pid = daemon_of(path)
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert os.getsid(pid) == pid
    children = children_of(pid)
    assert len(children) == 3 and os.getpgrp() not in map(os.getpgid, children)
    subprocess.run(["umount", path], check=True)
    wait_for_end(pid)


def test_a_relative_path_and_a_source_as_mount8_gives_it(emulator, tmp_path):
    (tmp_path / "aap").mkdir()
    done = run_aapfs("--endpoint", emulator.url, "aapfs", "aap", "-o", "rw,nosuid", "--state", "state", "--state-key",
                     make_state_key(tmp_path / "key").name, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert mounts_at(tmp_path / "aap")
    pid = daemon_of("aap")
    os.kill(pid, signal.SIGTERM)
    wait_for_end(pid)
    assert not mounts_at(tmp_path / "aap")


def test_the_mount_has_the_flags_that_it_should(mount):
    line, = mounts_at(mount.path)
    options = set(line.split()[5].split(","))
    assert {"rw", "nosuid", "nodev", "noexec", "noatime"} <= options
    assert line.split(" - ")[1].startswith("fuse.aapfs aapfs ")
    assert {"allow_other", "default_permissions"} <= set(line.split()[-1].split(","))


def test_fuse_options(start_mount, emulator):
    mount = start_mount(emulator.url, "-o", "ro", "-o", "fsname=keys")
    line, = mounts_at(mount.path)
    assert "ro" in line.split()[5].split(",") and " fuse.aapfs keys " in line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_unmount(mount, number):
    mount.process.send_signal(number)
    assert mount.process.wait(20) == 0
    assert not mount.is_mounted()


@pytest.mark.parametrize("command", ["umount", "umount -l", "fusermount3 -u"])
def test_umount_from_outside_ends_it(mount, command):
    subprocess.run([*command.split(), mount.path], check=True)
    assert mount.process.wait(20) == 0


@pytest.mark.full
@pytest.mark.parametrize("place", ["elsewhere", "here", "lent"])
def test_a_connection_that_is_aborted(start_mount, emulator, tmp_path, place):
    """By umount -f. In another mount namespace, a container's with CAP_SYS_ADMIN, it unmounts there, and ends the mount here."""
    lent = {"wrap": [AAPFS, "with-mount", tmp_path / "aap"]} if place == "lent" else {}
    mount = start_mount(emulator.url, *["/dev/fd/3"] * len(lent), **lent)
    other = ["unshare", "--mount"] if place != "here" else []
    subprocess.run([*other, "umount", "-f", mount.path], check=True)
    ended = 1 if other else 0
    assert mount.process.wait(20) == ended
    assert not mount.is_mounted()
    assert mount.errors() == ended * (
        f"aapfs: {mount.path}: it was aborted from outside (umount -f in a container, or /sys/fs/fuse/connections): it is dead, "
        "and this process ends\n")
    mount.is_over = True


def device_of(path):
    (line,) = mounts_at(path)
    return line.split()[2]


def mount_with(device, make):
    """Mounts until one has the number DEVICE: the kernel gives the lowest that is free, perhaps to somebody else first."""
    for i in range(30):
        made = make(i)
        if device_of(made) == device:
            return made
    pytest.skip("something else on this machine has got the number")


@pytest.mark.parametrize("other", ["tmpfs", "aapfs"])
def test_the_next_mount_with_its_number_stays(start_mount, emulator, tmp_path, other):
    """An unmounted mount's device number is given to the next one: it is not what a daemon has to clear away at its end."""
    mount = start_mount(emulator.url)
    device = device_of(mount.path)
    places = []

    def make(number):
        place = tmp_path / f"other-{number}"
        place.mkdir()
        places.append(place / "aap" if other == "aapfs" else place)
        if other == "tmpfs":
            subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
        else:
            start_mount(emulator.url, directory=place)
        return places[-1]

    try:
        os.kill(mount.process.pid, signal.SIGSTOP)  # it hears of it later
        try:
            subprocess.run(["umount", mount.path], check=True)
            following = mount_with(device, make)
        finally:
            os.kill(mount.process.pid, signal.SIGCONT)
        assert mount.process.wait(20) == 0
        assert device_of(following) == device
        os.listdir(following)
        assert mount.errors() == ""
    finally:
        for place in places if other == "tmpfs" else []:
            subprocess.run(["umount", "-l", place], check=False)


@pytest.mark.full
def test_sigterm_while_the_mount_is_in_use(mount):
    mount.write("payments", PASSWORD)
    held = os.open(mount / "payments/client_key.json", os.O_RDONLY)
    first = os.read(held, 10)
    mount.process.send_signal(signal.SIGTERM)
    assert mount.process.wait(20) == 0
    assert not mount.is_mounted()
    assert first == b'{"KeyId":"'
    os.close(held)


def test_an_ordinary_users_own_mount(emulator, tmp_path):
    """By fusermount3, and for that user alone: not even root looks in."""
    place = tmp_path / "own"
    place.mkdir()
    home = tmp_path / "home"
    home.mkdir()
    for directory in (place, home):
        os.chown(directory, NOBODY, NOBODY)
    program = program_for_others(tmp_path)
    with OwnFuse(tmp_path) as own, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind("\0aapfs-own-mount")
        process = subprocess.Popen(
            own.words(NOBODY, program, "-f", "--endpoint", emulator.url, place), cwd="/",
            stderr=subprocess.PIPE, text=True, env=environment(NOTIFY_SOCKET="@aapfs-own-mount", HOME=str(home)))
        notify.settimeout(20)
        assert notify.recv(100) == b"READY=1"
        line, = mounts_at(place, own.mountinfo)
        assert "allow_other" not in line and f"user_id={NOBODY}" in line
        with pytest.raises(PermissionError):
            os.listdir(own.path(place))

        def as_owner(command):
            return subprocess.run(own.words(NOBODY, "sh", "-c", command), cwd="/", capture_output=True, text=True, check=True).stdout

        as_owner(f"echo {PASSWORD} | {program} create -m {place} payments --password-file -")
        assert as_owner(f"cat {place}/payments/client_key.json").startswith('{"KeyId":"KAAP.')
        owners = as_owner(f"stat -c %u:%g:%a {place}/payments/control {place}/payments/client_key.json")
        assert owners == f"{NOBODY}:{NOBODY}:200\n{NOBODY}:{NOBODY}:440\n"
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
        assert (process.returncode, without_what_was_done(errors)) == (0, "")
        assert not mounts_at(place, own.mountinfo)
    made = [home / ".local/state/aapfs", home / ".config/aapfs", home / ".config/aapfs/state.key"]
    assert [oct(path.stat().st_mode & 0o7777) for path in made] == ["0o700", "0o700", "0o600"]
    assert {path.stat().st_uid for path in made} == {NOBODY}


@pytest.mark.parametrize("text, said", [
    ("[kms]\nregoin = x\n", ':2: unknown key "regoin"'),
    ("[kms]\nregion = a b\n", ":2: region"),
    ("[kms]\nendpoint = http://192.0.2.1\n", ":2: endpoint"),
    ("[kms]\nrequest_timeout = 30\n", ":2: request_timeout"),
    ("[defaults]\nmode = 0777\n", ":2: mode"),
    ("[defaults]\nowner = no-such-user\n", ":2: owner"),
    ("[nothing]\nx = 1\n", ":1: unknown section"),
    ("[fleet]\netcd = https://127.0.0.1:2379\n", ": [fleet]: there is no fleet key"),
    ("[mount]\nstate = aapfs\n", ":2: state"),
    ("[kms]\nregion = cn-hangzhou ; here\n", ":2: region"),
])
def test_a_wrong_configuration_is_one_line_and_exit_2(tmp_path, text, said):
    (tmp_path / "aap").mkdir()
    config = tmp_path / "aapfs.conf"
    config.write_text(text)
    done = run_aapfs("-c", config, tmp_path / "aap")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("aapfs: configuration: ")
    assert str(config) in done.stderr and said in done.stderr
    assert not mounts_at(tmp_path / "aap")


@pytest.mark.parametrize("words, status", [
    ([], 2), (["--nonsense", "/x"], 2), (["a", "b", "c"], 2), (["--dev", "-c", "x", "/x"], 2),
    (["--dev", "--state", "x", "/x"], 2), (["--state", "", "/x"], 2),
    (["--help"], 0), (["--version"], 0), (["-c", "/nonexistent", "/tmp"], 2),
    (["status", "one", "more"], 2), (["delete", "payments"], 2),
])
def test_usage(words, status):
    done = run_aapfs(*words)
    assert done.returncode == status
    assert (done.stdout if status == 0 else done.stderr) != ""
    assert (done.stderr if status == 0 else done.stdout) == ""


@pytest.mark.parametrize("prepare, said", [
    (lambda path: None, "No such file or directory"),
    (lambda path: path.write_text(""), "Not a directory"),
])
def test_where_nothing_can_be_mounted(emulator, tmp_path, prepare, said):
    path = tmp_path / "aap"
    prepare(path)
    for foreground in ([], ["-f"]):
        done = run_aapfs(*foreground, "--endpoint", emulator.url, *own_state(tmp_path), path)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1 and said in done.stderr and str(path) in done.stderr


def write(control, command):
    descriptor = os.open(control, os.O_WRONLY)
    try:
        os.write(descriptor, f"{command}\n".encode())
    finally:
        os.close(descriptor)


def test_dev_has_a_kms_of_its_own(tmp_path):
    path = tmp_path / "aap"
    path.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    # what a service is given is somebody else's here
    done = run_aapfs("--dev", path, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(elsewhere),
                                         "STATE_DIRECTORY": "/nonexistent", "CREDENTIALS_DIRECTORY": "/nonexistent"})
    assert (done.returncode, done.stderr) == (0, "")
    private, = elsewhere.iterdir()
    assert private.stat().st_mode & 0o7777 == 0o700
    pid = daemon_of(path)
    emulators = [child for child in children_of(pid) if pathlib.Path(f"/proc/{child}/exe").resolve() == EMULATOR]
    assert len(emulators) == 1
    assert sorted(os.listdir(path)) == [".aapfs", "orders", "payments"]
    began, ends = (text_of(time.time() + seconds) for seconds in (-60, 3600))
    for command in (PASSWORD, f"{PASSWORD} {began} {ends}", PASSWORD):  # short ones are for trials
        write(path / "orders/control", command)
        assert (path / "orders/client_key_id").read_text().startswith("KAAP.")
    with pytest.raises(OSError) as refused:  # as KMS does
        write(path / "orders/control", PASSWORD)
    assert refused.value.errno == errno.EDQUOT
    subprocess.run(["umount", path], check=True)
    wait_for_end(pid)
    wait_for_end(emulators[0])
    assert list(elsewhere.iterdir()) == []


def test_status(mount):
    mount.write("payments", PASSWORD)
    done = run_aapfs("status", "-m", mount.path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[2] == ["orders", "none", *["-"] * 5]
    assert lines[3] == ["payments", "active", mount.key_id(), lines[3][3], "d", "-", "in", lines[3][7], "d", "-"]
    assert lines[3][3] in ("365", "366")  # a calendar year
    done = run_aapfs("status", "-m", mount.path, "--json")
    both = json.loads(done.stdout)
    assert both["Mount"]["Aaps"] == {"none": 1, "active": 1}
    assert [aap["AapName"] for aap in both["Aaps"]] == ["orders", "payments"]
    soon = "2099-01-01T00:00:00Z"
    mount.write("orders", f"{PASSWORD} 2098-01-01T00:00:00Z {soon}")
    assert run_aapfs("status", "-m", mount.path).returncode == 0
    assert mount.status("orders")["State"] == "scheduled"


def test_status_is_1_when_a_key_ends_within_a_week(start_mount, emulator):
    mount = start_mount(emulator.url, defaults="validity = 6d\nrotate_at = never", expected_errors=ENDS)
    mount.write("payments", PASSWORD)
    assert run_aapfs("status", "-m", mount.path).returncode == 1
    assert mount.status("payments")["State"] == "expiring"


def test_status_where_nothing_is_mounted(tmp_path):
    done = run_aapfs("status", "-m", tmp_path)
    assert done.returncode == 1 and "is aapfs mounted?" in done.stderr


@pytest.mark.core
def test_tls_is_verified(start_mount, start_emulator, tmp_path):
    (tmp_path / "tls").mkdir()
    emulator = start_emulator("--tls-self-signed", tmp_path / "tls")
    assert emulator.url.startswith("https://")
    emulator.counts = lambda: {}
    mount = start_mount(emulator.url, settings="aaps = payments")
    assert result_of(mount, PASSWORD) == 71  # EPROTO
    assert mount.last_error()["Code"] == "Tls.Certificate"


def test_tls_with_a_trusted_certificate(start_mount, start_emulator, tmp_path):
    """Trusted in a mount namespace of its own: the system's file is the emulator's certificate there."""
    (tmp_path / "tls").mkdir()
    emulator = start_emulator("--tls-self-signed", tmp_path / "tls")
    (tmp_path / "aap").mkdir()
    key = make_state_key(tmp_path / "key")
    script = (f"mount --bind {tmp_path}/tls/certificate.pem /etc/ssl/certs/ca-certificates.crt && "
              f"{AAPFS} --endpoint {emulator.url} --state {tmp_path}/state --state-key {key} {tmp_path}/aap && "
              f"echo {PASSWORD} | {AAPFS} create -m {tmp_path}/aap payments --password-file - > /dev/null && "
              f"cat {tmp_path}/aap/payments/client_key_id && umount {tmp_path}/aap")
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True,
                          env=environment())
    assert done.stdout.startswith("KAAP.") and done.stderr == ""


def test_secrets_stay_out_of_processes(mount):
    mount.write("payments", PASSWORD)
    for pid in mount.pids():
        assert PASSWORD.encode() not in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
        core, = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        assert core.split()[4:6] == ["0", "0"]
    assert PASSWORD not in mount.errors()


def test_each_process_keeps_only_the_privileges_that_it_needs(mount):
    mount.write("payments", PASSWORD)
    children = mount.children()
    assert sorted(children) == ["aapfs-publisher", "aapfs-runner", "aapfs-worker"]
    for name, kept in (("aapfs-publisher", "0000000000000002"), ("aapfs-worker", "0000000000004000")):
        status = dict(line.split(":\t", 1) for line in
                      pathlib.Path(f"/proc/{children[name]}/status").read_text().splitlines() if ":\t" in line)
        assert status["NoNewPrivs"] == "1"
        assert (status["CapPrm"], status["CapEff"]) == (kept, kept)
        assert (status["CapInh"], status["CapBnd"], status["CapAmb"]) == ("0" * 16,) * 3


def test_a_dead_mount_makes_way(start_mount, emulator, tmp_path):
    mount = start_mount(emulator.url)
    held = os.open(mount / "payments", os.O_PATH)  # in use: it can only be detached
    kill_all(mount)
    with pytest.raises(OSError) as raised:
        os.listdir(mount.path)
    assert raised.value.errno == 107  # ENOTCONN
    again = start_mount(emulator.url, expected_errors=(
        f"aapfs: {mount.path}: a mount of aapfs that had lost its daemon was detached\n"))
    assert sorted(os.listdir(again.path)) == [".aapfs", "orders", "payments"]
    assert len(mounts_at(again.path)) == 1
    os.close(held)


@pytest.mark.parametrize("stopped", [False, pytest.param(True, marks=pytest.mark.full)])
def test_a_live_mount_is_not_mounted_over(mount, emulator, stopped, tmp_path):
    with mount.stopped() if stopped else contextlib.nullcontext():
        for foreground in ([], ["-f"]):
            done = run_aapfs(*foreground, "--endpoint", emulator.url, *own_state(tmp_path), mount.path)
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr == f"aapfs: {mount.path}: aapfs is mounted here and alive; umount it first\n"
    assert len(mounts_at(mount.path)) == 1


@pytest.mark.full
def test_an_overmount_is_not_what_is_unmounted(mount):
    """What lies on top of ours is somebody else's: it stays, and so does ours under it."""
    subprocess.run(["mount", "-t", "tmpfs", "over", mount.path], check=True)
    mount.process.send_signal(signal.SIGTERM)
    assert mount.process.wait(20) == 0
    mount.is_over = True
    assert [line.split(" - ")[1].split()[0] for line in mounts_at(mount.path)][-1] == "tmpfs"
    subprocess.run(["umount", mount.path], check=True)
    while mounts_at(mount.path):
        subprocess.run(["umount", "-l", mount.path], check=True)


def test_memory_is_hidden_and_locked(mount):
    mount.write("payments", PASSWORD)
    worker = mount.children()["aapfs-worker"]
    linked = subprocess.run(["ldd", AAPFS], capture_output=True, text=True).stdout
    if "libasan" in linked or "libtsan" in linked:
        return  # a sanitizer needs what is hidden here
    locked, = re.findall(r"VmLck:\s+(\d+) kB", pathlib.Path(f"/proc/{worker}/status").read_text())
    assert int(locked) > 1000
    # what may look at a process as privileged as itself may not look at these, which are less so
    unprivileged = ["setpriv", "--bounding-set", "-sys_ptrace"]
    equal = subprocess.Popen([*unprivileged, "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    equal.stdin.write(b"x")
    equal.stdin.flush()
    assert equal.stdout.read(1) == b"x"  # it is cat by now
    for pid, denied in ((equal.pid, False), *((pid, True) for pid in mount.children().values())):
        done = subprocess.run([*unprivileged, "head", "-c", "0", f"/proc/{pid}/mem"], capture_output=True,
                              text=True)
        assert ("Permission denied" in done.stderr) == denied, (pid, done.stderr)
    equal.communicate()
