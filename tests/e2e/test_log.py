"""What a daemon in the foreground logs: a line for each thing that was done to a key, with time and level."""
import datetime
import fcntl
import os
import re

import pytest

from parts.harness import NEXT, PASSWORD, make_state_key, run_aapfs, until
from parts.kms import make_key
from parts.log import DONE
from parts.times import DAY
from parts.upgrade import upgrade

US = rf"control \(uid 0, pid {os.getpid()}\)"


def lines_of(mount, count):
    """What was logged, without the times and levels that each line must have."""
    until(lambda: mount.log().count("\n") >= count)
    lines = []
    for line in mount.log().splitlines():
        moment, level, text = line.split(" ", 2)
        age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(moment)
        assert moment.endswith("Z") and datetime.timedelta(seconds=-1) <= age < datetime.timedelta(minutes=2)
        assert level == "notice" and DONE.fullmatch(text + "\n"), line
        lines.append(text)
    assert len(lines) == count, mount.log()
    return lines


def test_each_thing_that_is_done_to_a_key_is_one_line(mount, emulator):
    mount.write("payments", PASSWORD)
    first, end = mount.key_id(), mount.read("payments", "not_after").strip()
    mount.write("payments", PASSWORD)
    second = mount.key_id()
    mount.write("payments", "rotate")
    third = mount.key_id()
    mount.write("payments", f"delete {first}")
    made = make_key(emulator)
    adopted = made["ClientKeyId"]
    mount.write("payments", f'{{"KeyId":"{adopted}","PrivateKeyData":"{made["PrivateKeyData"]}","Password":"{PASSWORD}"}}'.encode())
    mount.write("payments", f"{PASSWORD} 2077-01-01T00:00:00Z 2078-01-01T00:00:00Z")
    scheduled, = mount.status("payments")["Scheduled"]
    lines = lines_of(mount, 6)
    until_ = r"valid until 2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    assert re.fullmatch(rf"aapfs: payments: created {first}, valid until {end}, by {US}", lines[0])
    assert re.fullmatch(rf"aapfs: payments: rotated from {first} to {second}, {until_}, by {US}", lines[1])
    assert re.fullmatch(rf"aapfs: payments: rotated from {second} to {third}, {until_}, by {US}, password_source = keep", lines[2])
    assert re.fullmatch(rf"aapfs: payments: deleted {first}, by {US}", lines[3])
    assert re.fullmatch(rf"aapfs: payments: adopted {adopted} in the place of {third}, {until_}, by {US}", lines[4])
    assert re.fullmatch(rf"aapfs: payments: created {scheduled}, valid from 2077-01-01T00:00:00Z until 2078-01-01T00:00:00Z, by {US}",
                        lines[5])
    assert PASSWORD not in mount.log()


def test_what_is_refused_is_no_such_line(mount, emulator):
    emulator.set_faults("CreateClientKey denied")
    for command in (PASSWORD, "rotate", "delete KAAP.unknown", "nonsense"):
        with pytest.raises(OSError):
            mount.write("payments", command)
    mount.sync()
    assert mount.log() == ""


def move_clocks(mount, emulator, clock, seconds):
    """KMS's time goes on, here and there."""
    clock(seconds)
    emulator.move_clock(seconds)
    mount.write(".aapfs", "rotate-due")


@pytest.mark.full
def test_what_is_done_by_itself_says_by_what(start_mount, emulator, clock):
    mount = start_mount(emulator.url, defaults="validity = 30d\npassword_source = generate\nexpose_password = yes\non_rotate = none",
                        **clock.parts)
    mount.write("payments", PASSWORD)
    first = mount.key_id()
    move_clocks(mount, emulator, clock, 25 * DAY)
    second = until(lambda: mount.key_id() != first and mount.key_id())
    lines = lines_of(mount, 2)
    assert f"rotated from {first} to {second}, valid until " in lines[1]
    assert lines[1].endswith(", by rotate_at, password_source = generate")
    move_clocks(mount, emulator, clock, 31 * DAY)
    assert lines_of(mount, 3)[2] == f"aapfs: payments: deleted {first}, by delete_superseded"


def test_warnings_have_their_level(start_mount, emulator):
    mount = start_mount(emulator.url, expected_errors=None)
    mount.kill("aapfs-worker")
    until(mount.log)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ warning aapfs: aapfs-worker was killed by signal 9; .*\n", mount.log())


def test_the_journal_has_a_time_of_its_own(start_mount, emulator):
    """It takes the level from in front of the line; another stream than the one of JOURNAL_STREAM is not it."""
    said = 'export JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2); exec "$@"'
    journal = start_mount(emulator.url, wrap=["sh", "-c", said, "sh"], expected_errors=re.compile("<5>aapfs: payments: created "))
    journal.write("payments", PASSWORD)
    assert journal.log().startswith(f"<5>aapfs: payments: created {journal.key_id()}, ")
    other = start_mount(emulator.url, env={"JOURNAL_STREAM": "1:2"}, directory=journal.directory / "..")
    other.write("orders", PASSWORD)
    lines_of(other, 1)


def test_a_full_log_holds_up_no_key(start_mount, emulator, tmp_path):
    """Whoever reads it stands still; when it goes on, it hears how many lines are missing."""
    pipe = tmp_path / "stderr.pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    filling = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    mount = start_mount(emulator.url, wrap=["sh", "-c", f'exec "$@" 2> {pipe}', "sh"])
    size = fcntl.fcntl(filling, fcntl.F_GETPIPE_SZ)
    assert os.write(filling, b"\n" * size) == size
    for _ in range(2):
        mount.write("payments", PASSWORD)
    assert os.read(reading, size) == b"\n" * size
    mount.write("payments", PASSWORD)
    gap, rotated = os.read(reading, size).decode().splitlines()
    assert re.fullmatch(r"20\S+Z warning aapfs: 2 lines were not logged: the log was full", gap)
    assert f"to {mount.key_id()}, valid until" in rotated
    os.close(filling)
    os.close(reading)


def test_an_upgrade_keeps_the_form(start_mount, emulator, installed):
    mount = start_mount(emulator.url, request_timeout="20s", binary=installed.path, expected_errors="aapfs: upgraded: this is version 0.1.1\n")
    installed.install(NEXT)
    assert upgrade(mount).returncode == 0
    mount.write("payments", PASSWORD)
    upgraded, created = until(lambda: mount.log().count("\n") == 2 and mount.log().splitlines())
    assert re.fullmatch(r"20\S+Z notice aapfs: upgraded: this is version 0\.1\.1", upgraded)
    assert re.fullmatch(rf"20\S+Z notice aapfs: payments: created {mount.key_id()}, .*", created)


def test_who_starts_it_is_spoken_to_without_a_time(emulator, tmp_path):
    key = make_state_key(tmp_path / "key")
    own = ["--endpoint", emulator.url, "--state", tmp_path / "state", "--state-key", key]
    for words in (["-f"], []):
        done = run_aapfs(*words, *own, tmp_path / "nowhere")
        assert (done.returncode, done.stderr) == (
            1, f"aapfs: {tmp_path}/nowhere: No such file or directory; make an empty directory there first\n")
