"""on_rotate: applications hear of each rotation, whoever dies, and a command that fails or hangs harms nobody."""
import os
import pathlib
import pwd
import select
import signal
import subprocess

import pytest

from parts.fifo import Fifo
from parts.harness import PASSWORD, make_state_key, run_aapfs, until
from parts.stops import arm, with_stops

SAY = "echo $AAPFS_AAP $AAPFS_CLIENT_KEY_ID"


@pytest.fixture
def said(tmp_path):
    fifo = Fifo(tmp_path / "said")
    yield fifo
    os.close(fifo.descriptor)


@pytest.fixture
def gate(tmp_path):
    fifo = Fifo(tmp_path / "gate")
    yield fifo
    until(lambda: not select.select([fifo.descriptor], [], [], 0)[0])  # what is not read is lost with the descriptor
    os.close(fifo.descriptor)


def last_result(mount, aap="payments"):
    hook = until(lambda: mount.status(aap)["LastHook"])
    assert sorted(hook) == ["Result", "Time"] and hook["Time"].endswith("Z")
    return hook["Result"]


def rotate(mount, aap="payments"):
    """Returns what the command has to say of it."""
    mount.write(aap, PASSWORD)
    return f"{aap} {mount.key_id(aap)}"


def one_at_a_time(said, gate):
    """A command that says so, waits, and is heard when another one runs beside it."""
    lock = said.path.with_name("lock")
    return (f"mkdir {lock} || echo overlap > {said.path}; {SAY} > {said.path}; read _ < {gate.path}; "
            f"rmdir {lock}")


def start(start_mount, emulator, command, **parts):
    return start_mount(emulator.url, request_timeout="20s", defaults=f"on_rotate = {command}", **parts)


@pytest.mark.core
def test_it_runs_once_for_each_rotation_and_sees_the_new_key(start_mount, emulator, said):
    command = f"{SAY} $(cat $AAPFS_MOUNT/$AAPFS_AAP/client_key_id) > {said.path}"
    mount = start(start_mount, emulator, command, sections="[aap orders]\non_rotate = none\n")
    rotate(mount)  # the first key is no rotation
    assert mount.status("payments")["LastHook"] is None
    for _ in range(3):
        expected = rotate(mount)
        assert said.line() == f"{expected} {mount.key_id()}"
        rotate(mount, "orders")
    assert last_result(mount) == "ok"
    assert mount.status("orders")["LastHook"] is None


@pytest.mark.full
def test_how_it_failed_is_in_status_and_in_the_log(start_mount, start_emulator):
    commands = {"status": "exit 3", "signal": "kill -9 $$", "absent": "no-such-program 2> /dev/null",
                "hanging": "exec sleep 1000\non_rotate_timeout = 1s"}
    results = {"status": "status 3", "signal": "signal 9", "absent": "status 127", "hanging": "timed out"}
    emulator = start_emulator(aaps=list(commands))
    mount = start_mount(emulator.url, request_timeout="20s", expected_errors=None, sections="".join(
        f"[aap {aap}]\non_rotate = {command}\n" for aap, command in commands.items()))
    for aap in commands:
        rotate(mount, aap)
        rotate(mount, aap)
    assert {aap: last_result(mount, aap) for aap in commands} == results
    assert sorted(mount.errors().splitlines()) == sorted(
        f"aapfs: {aap}: on_rotate: {result}" for aap, result in results.items())
    mount.error_file.write_text("")


def test_a_user_that_it_may_not_become(start_mount, emulator):
    mount = start_mount(emulator.url, request_timeout="20s", wrap=["setpriv", "--bounding-set", "-setgid"],
                        defaults="on_rotate = true\non_rotate_user = nobody",
                        expected_errors="aapfs: payments: on_rotate: not started: Operation not permitted\n")
    rotate(mount)
    rotate(mount)
    assert last_result(mount) == "not started: Operation not permitted"


def test_it_runs_as_another_user(start_mount, emulator, said):
    mount = start(start_mount, emulator, f"echo $(id -u) $(cat $AAPFS_MOUNT/payments/client_key_id) > {said.path}\n"
                  "on_rotate_user = nobody")
    rotate(mount)
    rotate(mount)
    assert said.line() == f"{pwd.getpwnam('nobody').pw_uid} {mount.key_id()}"


def test_rotations_meanwhile_get_one_run_afterwards(start_mount, emulator, said, gate):
    """And no write waits for it."""
    mount = start(start_mount, emulator, one_at_a_time(said, gate))
    rotate(mount)
    expected = rotate(mount)
    assert said.line() == expected
    rotate(mount)
    expected = rotate(mount)
    gate.let_go()
    assert said.line() == expected
    gate.let_go()
    assert last_result(mount) == "ok"
    expected = rotate(mount)
    assert said.line() == expected
    gate.let_go()


def kill(mount, name):
    pid = mount.children()[name]
    os.kill(pid, signal.SIGKILL)
    until(lambda: mount.children().get(name, pid) != pid)
    until(lambda: all((mount / aap / "control").exists() for aap in ("payments", "orders")))


@pytest.mark.core
def test_a_killed_workers_run_is_run_again_and_not_beside_it(start_mount, emulator, said, gate):
    mount = start(start_mount, emulator, one_at_a_time(said, gate), expected_errors=None)
    rotate(mount)
    expected = rotate(mount)
    assert said.line() == expected
    kill(mount, "aapfs-worker")
    rotate(mount, "orders")  # the next one is at it
    gate.let_go()
    assert said.line() == expected
    gate.let_go()
    assert last_result(mount) == "ok"
    kill(mount, "aapfs-worker")  # nothing is left to do for this one
    expected = rotate(mount)
    assert said.line() == expected
    gate.let_go()


def test_a_killed_runner_is_started_again(start_mount, emulator, said, gate):
    mount = start(start_mount, emulator, f"{SAY} $$ > {said.path}; read _ < {gate.path}; echo ended > {said.path}",
                  expected_errors=None)
    rotate(mount)
    kill(mount, "aapfs-runner")  # without work
    expected = rotate(mount)
    first = said.line()
    assert first.startswith(expected + " ")
    kill(mount, "aapfs-runner")  # at work: the command goes on, and is run again
    again = said.line()
    assert again.startswith(expected + " ") and again != first
    for _ in range(2):
        gate.let_go()
        assert said.line() == "ended"
    assert last_result(mount) == "ok"


def kinds_of_descriptors(process):
    """But for the standard ones."""
    kinds = []
    for name in os.listdir(process / "fd"):
        try:
            kinds += [os.readlink(process / "fd" / name).split(":")[0]] if int(name) > 2 else []
        except FileNotFoundError:
            continue
    return sorted(kinds)


def test_the_runner_has_a_socket_and_no_secrets(start_mount, emulator, said):
    mount = start(start_mount, emulator, f"{SAY} > {said.path}", expected_errors=None)
    rotate(mount)
    for _ in range(2):
        rotate(mount)
        said.line()  # it is at work by now
        process = pathlib.Path(f"/proc/{mount.children()['aapfs-runner']}")
        until(lambda: kinds_of_descriptors(process) == ["anon_inode", "socket"])  # its signals, its socket
        assert not any(word in (process / "environ").read_bytes() for word in (b"ALIBABA_CLOUD_", b"test-only-secret"))
        maps = (process / "maps").read_text()
        assert "aapfs-mount" not in maps
        kill(mount, "aapfs-runner")


def test_a_command_may_speak_in_the_background(emulator, tmp_path, said):
    """Where nobody reads the daemon's stderr any more."""
    config, path = tmp_path / "aapfs.conf", tmp_path / "aap"
    path.mkdir()
    config.write_text(f"[kms]\nendpoint = {emulator.url}\nrequest_timeout = 20s\n[mount]\ncreation_guard = 0s\n"
                      f"state = {tmp_path}/state\nstate_key = {make_state_key(tmp_path / 'key')}\n"
                      f"[defaults]\non_rotate = ls /nowhere; echo spoke; echo went on > {said.path}\n")
    done = run_aapfs("-c", config, path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    try:
        until((path / "payments").exists)
        for _ in range(2):
            (path / "payments/control").write_text(PASSWORD + "\n")
        assert said.line() == "went on"
    finally:
        subprocess.run(["umount", path], check=True)


@pytest.mark.full
def test_an_upgrade_does_not_run_it_beside_itself(start_mount, emulator, said, gate):
    """A runner at work stays until it has done that; then the installed program's takes its place."""
    mount = start(start_mount, emulator, one_at_a_time(said, gate),
                  expected_errors="aapfs: upgraded: this is version 0.1.0\n")
    rotate(mount)
    expected = rotate(mount)
    assert said.line() == expected
    runner = mount.children()["aapfs-runner"]
    run_aapfs("upgrade", "-m", mount.path, check=True)
    assert mount.children()["aapfs-runner"] == runner
    gate.let_go()
    assert said.line() == expected  # the worker before did not see it end
    gate.let_go()
    assert last_result(mount) == "ok"
    until(lambda: mount.children().get("aapfs-runner", runner) != runner)
    expected = rotate(mount)
    assert said.line() == expected
    gate.let_go()


@pytest.mark.parametrize("place", ["engine-saved", "session-renamed 5", "engine-replying"])
def test_a_rotation_that_a_killed_worker_began_is_told_once(start_mount, emulator, said, stops, place):
    mount = start(start_mount, emulator, f"{SAY} $(cat $AAPFS_MOUNT/payments/client_key_id) > {said.path}",
                  expected_errors=None, **with_stops(stops))
    rotate(mount)
    arm(stops, place)
    for _ in range(2):
        expected = rotate(mount)
        assert said.line() == f"{expected} {mount.key_id()}"
    assert not stops.exists(), "the place was not passed"
