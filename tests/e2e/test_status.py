"""aapfs status, and the status files it is made of."""
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
import time

import pytest

from parts.harness import AAPFS, PASSWORD, await_value, run_aapfs, until
from parts.log import ENDS
from parts.users import AS_NOBODY, program_for_others

MEMBERS = ["AapName", "State", "ClientKeyId", "NotBefore", "NotAfter", "RequestId", "InUseUntil", "NextRotation",
           "LastRotation", "LastHook", "Scheduled", "Superseded", "Foreign", "Orphans", "Candidates", "Rejected",
           "Unsaved", "Note"]


def run(mount, *words, **parts):
    return run_aapfs("status", "-m", mount.path, *words, **parts)


def on_terminal(mount, columns, **changed):
    """What it writes to a terminal of so many columns."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = subprocess.Popen([AAPFS, "status", "-m", mount.path], stdout=its,
                               env={**environment, "TERM": "xterm", **changed})
    os.close(its)
    text = b""
    try:
        while part := os.read(ours, 65536):
            text += part
    except OSError:
        pass  # the other end is closed
    os.close(ours)
    process.wait(10)
    return text.decode().replace("\r\n", "\n")


def test_every_member_is_there(mount):
    mount.write("payments", PASSWORD)
    assert list(mount.status("payments")) == MEMBERS
    status = mount.status()
    assert (status["WorkerRestarts"], status["Inotify"], status["Audit"]) == (0, True, False)
    assert status["SyncIntervalSeconds"] == 3600


def test_the_key_before_is_superseded(mount):
    mount.write("payments", PASSWORD)
    assert mount.status("payments")["Superseded"] == []
    first = mount.key_id()
    mount.write("payments", PASSWORD)
    assert mount.status("payments")["Superseded"] == [first]


def test_the_table(mount):
    mount.write("payments", PASSWORD)
    done = run(mount)
    assert (done.returncode, done.stderr) == (0, "")
    head, names, orders, payments = done.stdout.splitlines()
    assert re.fullmatch(r"aapfs 0\.1\.0, cn-hangzhou, account \d+, last sync \d+ s ago", head)
    assert re.split(r"  +", names) == ["AAP", "STATE", "KEY ID", "EXPIRES IN", "IN USE UNTIL", "NEXT ROTATION",
                                       "LAST ERROR"]
    for column in ("STATE", "KEY ID", "EXPIRES IN", "LAST ERROR"):
        at = names.index(column)
        assert all(line[at - 1] == " " and line[at] != " " for line in (orders, payments))
    ends, rotates = (re.split(r"  +", payments)[column] for column in (3, 5))
    assert re.split(r"  +", payments) == ["payments", "active", mount.key_id(), ends, "-", rotates, "-"]
    assert ends in ("365 d", "366 d")  # a calendar year, and less than a day by chance
    assert re.fullmatch(r"in 2[0-4]\d d", rotates)
    assert not done.stdout.count("\033") and all(line == line.rstrip() for line in done.stdout.splitlines())


def test_an_error_is_in_the_table_and_in_json_until_it_is_over(mount, emulator):
    emulator.set_faults("CreateClientKey denied")
    with pytest.raises(PermissionError):
        mount.write("payments", PASSWORD)
    done = run(mount)
    line, advice = done.stdout.splitlines()[-2:]
    assert mount.last_error()["Code"] in line and len(line) <= 130
    assert done.returncode == 1 and advice.startswith("payments: its first key could not be made, see last_error: ")
    aaps = {aap["AapName"]: aap for aap in json.loads(run(mount, "--json").stdout)["Aaps"]}
    assert aaps["payments"]["LastError"] == mount.last_error() and aaps["orders"]["LastError"] is None
    emulator.set_faults()
    mount.write("payments", PASSWORD)
    assert "Forbidden" not in run(mount).stdout


def test_who_may_not_read_an_error_sees_a_dash(mount, emulator, tmp_path):
    emulator.set_faults("CreateClientKey denied")
    with pytest.raises(PermissionError):
        mount.write("payments", PASSWORD)
    nobody = {"program": program_for_others(tmp_path), **AS_NOBODY}
    done = run(mount, "--json", **nobody)
    aaps = {aap["AapName"]: aap for aap in json.loads(done.stdout)["Aaps"]}
    assert done.stderr == "" and "LastError" not in aaps["payments"]
    done = run(mount, **nobody)
    assert re.search(r"^payments +none +- +- +- +- +-$", done.stdout, re.M)


def test_one_aap(mount):
    mount.write("payments", PASSWORD)
    done = run(mount, "payments")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [*MEMBERS, "LastError"]
    assert re.fullmatch(r"NotAfter +20\S+Z \(in 36[56] d\)", lines[MEMBERS.index("NotAfter")])
    done = run(mount, "nothing")
    assert (done.returncode, done.stdout) == (1, "") and "no such AAP" in done.stderr


def test_colours_are_for_terminals_that_want_them(start_mount, emulator):
    mount = start_mount(emulator.url, sections="[aap orders]\nvalidity = 6d\nrotate_at = never", expected_errors=ENDS)
    mount.write("payments", PASSWORD)
    mount.write("orders", PASSWORD)
    text = on_terminal(mount, 130)
    assert "\033[32mactive\033[0m" in text and "\033[33mexpiring\033[0m" in text
    for changed in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\033" not in on_terminal(mount, 130, **changed)


@pytest.mark.parametrize("columns", [100, 130])
def test_lines_fit_the_terminal(mount, emulator, columns):
    mount.write("payments", PASSWORD)
    emulator.set_faults("CreateClientKey denied")
    with pytest.raises(PermissionError):
        mount.write("payments", PASSWORD)
    text = on_terminal(mount, columns, NO_COLOR="1")
    assert max(map(len, text.splitlines())) <= columns
    assert (mount.key_id() in text) == (columns == 130) and mount.key_id()[:13] in text


def test_what_kms_says_moves_no_cursor(mount, emulator):
    emulator.set_faults("CreateClientKey garbage")
    with pytest.raises(OSError):
        mount.write("payments", PASSWORD)
    for words in ([], ["payments"]):
        text = run(mount, *words).stdout
        assert text.isascii() and all(character.isprintable() or character == "\n" for character in text)


def test_1_when_somebody_is_needed(start_mount, emulator):
    mount = start_mount(emulator.url, sections="[aap orders]\nvalidity = 6d\nrotate_at = never", expected_errors=ENDS)
    mount.write("payments", PASSWORD)
    assert run(mount).returncode == 0
    mount.write("orders", PASSWORD)
    assert run(mount).returncode == 1 and run(mount, "--json").returncode == 1
    assert run(mount, "orders").returncode == 1 and run(mount, "payments").returncode == 0
    assert "nothing will rotate this key" in mount.status("orders")["Note"]


def test_1_when_kms_refuses_from_the_start(start_mount, emulator):
    mount = start_mount(emulator.url, env={"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "wrong"})
    done = run(mount)
    assert done.returncode == 1 and run(mount, "--json").returncode == 1
    assert "SignatureDoesNotMatch" in done.stdout
    assert done.stdout.splitlines()[-1].startswith(f"{mount.path}: KMS was never listed, see the error: ")


def test_1_when_there_is_no_aap(start_mount, start_emulator):
    mount = start_mount(start_emulator(aaps=()).url)
    done = run(mount)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[-1].startswith(f"{mount.path}: there is no AAP: ")
    json.loads(run(mount, "--json").stdout)  # and nothing else


def test_1_when_on_rotate_failed(start_mount, emulator):
    mount = start_mount(emulator.url, defaults="on_rotate = exit 3", expected_errors=re.compile(r"aapfs: payments: on_rotate: status 3\n"))
    mount.write("payments", PASSWORD)
    assert run(mount).returncode == 0
    mount.write("payments", PASSWORD)
    until(lambda: mount.status("payments")["LastHook"])
    done = run(mount)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("payments: on_rotate failed: ") and "write reloaded" in done.stdout
    mount.write("payments", "reloaded")
    assert run(mount).returncode == 0


@pytest.mark.full
def test_a_worker_that_stands_still_is_told_in_time(mount):
    with mount.stopped("aapfs-worker"):
        began = time.monotonic()
        done = run(mount)
        took = time.monotonic() - began
    assert done.returncode == 1 and "no answer within 5 s" in done.stderr and took < 8
    await_value(lambda: run(mount).returncode, 0)


def test_inotify_that_is_not_served_is_told(mount):
    """A mount that is bound elsewhere and covered: what is published there reaches no watcher."""
    mount.write("payments", PASSWORD)
    assert mount.status()["Inotify"] is True
    elsewhere = mount.directory / "elsewhere"
    elsewhere.mkdir()
    subprocess.run(["mount", "--bind", "--make-private", mount.path, elsewhere], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", mount.path], check=True)

    def rotate():
        control = os.open(elsewhere / "payments/control", os.O_WRONLY)
        os.write(control, PASSWORD.encode() + b"\n")
        os.close(control)
    try:
        rotate()
        assert json.loads((elsewhere / ".aapfs/status").read_text())["Inotify"] is False
    finally:
        subprocess.run(["umount", mount.path], check=True)
        subprocess.run(["umount", elsewhere], check=True)
    mount.write("payments", PASSWORD)
    assert mount.status()["Inotify"] is True
