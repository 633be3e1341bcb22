"""What KMS says is not always right: times, and keys that are of no use."""
import errno
import json
import os
import re
import time

import pytest

from parts.harness import PASSWORD, WITH_STOPS, result_of, run_aapfs, until
from parts.kms import keys_of
from parts.log import ENDS
from parts.rotations import SAID, rotated, start_rotating
from parts.times import DAY, moment_of, text_of

YEARS = 10 * 365 * DAY


def http_date(moment):
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(moment))


def answer_dates(altered, **dates):
    """Keys that are made from now on have DATES, in seconds from now."""
    altered.alter("CreateClientKey", **{name: text_of(time.time() + seconds) for name, seconds in dates.items()})


def exit_of_status(mount):
    return run_aapfs("status", "-m", mount.path).returncode


@pytest.mark.full
def test_a_time_that_some_answers_tell_changes_nothing(start_mount, emulator, altered):
    """Ten years ahead, or behind: no key is replaced, none deleted, and a key that is asked for begins now."""
    mount = start_rotating(start_mount, altered, validity="1y", rotate_at="66%")
    for _ in range(3):
        mount.write("payments", PASSWORD)
    keys, made = keys_of(emulator), emulator.count("CreateClientKey")
    for years in (YEARS, -YEARS):
        altered.date = http_date(time.time() + years)
        result_of(mount, "sync", ".aapfs")
        mount.write(".aapfs", "rotate-due")
        altered.date = None
        mount.sync()
        mount.write(".aapfs", "rotate-due")
        mount.sync()
        assert keys_of(emulator) == keys
        assert mount.status("payments")["State"] == "active"
        assert abs(mount.status()["ClockOffsetMilliseconds"]) < 60 * 1000
    assert emulator.count("CreateClientKey") == made and emulator.count("DeleteClientKey") == 0
    altered.date = http_date(time.time() + YEARS)
    result_of(mount, "sync", ".aapfs")
    altered.date = None
    mount.write("payments", PASSWORD)
    assert abs(moment_of(mount.read("payments", "not_before").strip()) - time.time()) < 2 * DAY


@pytest.mark.full
def test_a_time_that_kms_goes_on_telling_is_believed(start_mount, emulator):
    """By a build that waits a second in place of a minute for it."""
    mount = start_rotating(start_mount, emulator, validity="10d", binary=WITH_STOPS)
    mount.write("payments", PASSWORD)
    first = mount.key_id()
    emulator.move_clock(8 * DAY)
    mount.sync()
    assert rotated(mount, "payments", first)
    until(lambda: abs(mount.status()["ClockOffsetMilliseconds"] - 8 * DAY * 1000) < 5000)


@pytest.mark.full
def test_keys_that_are_due_when_they_come_are_made_three_times(start_mount, emulator, altered):
    mount = start_rotating(start_mount, altered, validity="1y", rotate_at="66%")
    answer_dates(altered, NotBefore=-365 * DAY, NotAfter=30 * DAY)
    mount.write("payments", PASSWORD)
    until(lambda: "3 client keys in a row" in mount.errors())
    assert mount.status("payments")["State"] == "failing" and exit_of_status(mount) == 1
    error = mount.last_error()
    assert (error["Errno"], error["Code"]) == ("EKEYREJECTED", "KeyOfNoUse") and "replaced at once" in error["Message"]
    mount.kill("aapfs-worker")  # its successor counts them too
    until(lambda: mount.errors().count("3 client keys in a row") == 2)
    assert emulator.count("CreateClientKey") == 4
    altered.alter(None)
    bad = mount.key_id()
    mount.write("payments", "rotate")
    assert mount.key_id() != bad
    until(lambda: mount.status("payments")["State"] != "failing")


@pytest.mark.full
@pytest.mark.parametrize("on_rotate", ["", "none"])
def test_no_superseded_key_is_deleted_for_one_that_is_due_when_it_comes(start_mount, emulator, altered, on_rotate):
    """Or there would be one after the other, for ever, each in the place of an earlier one."""
    mount = start_rotating(start_mount, altered, validity="1y", rotate_at="66%", max_keys=3, defaults=f"on_rotate = {on_rotate}\n")
    mount.write("payments", PASSWORD)
    answer_dates(altered, NotBefore=-365 * DAY, NotAfter=30 * DAY)
    mount.write("payments", "rotate")
    until(lambda: "3 client keys in a row" in mount.errors())
    assert mount.status("payments")["State"] == "failing"
    assert emulator.count("CreateClientKey") == 3 and emulator.count("DeleteClientKey") == 0


def test_a_key_that_had_expired_is_rejected(start_mount, emulator, altered):
    mount = start_rotating(start_mount, altered, validity="1y")
    mount.write("payments", PASSWORD)
    first = mount.key_id()
    answer_dates(altered, NotBefore=-365 * DAY, NotAfter=-60)
    assert result_of(mount, PASSWORD) == errno.EKEYREJECTED
    assert mount.key_id() == first and len(mount.status("payments")["Rejected"]) == 1
    assert "had passed before it was asked for" in mount.last_error()["Message"]


def test_a_key_that_begins_later_than_it_was_asked_to_replaces_none(start_mount, emulator, altered):
    mount = start_rotating(start_mount, altered, validity="1y")
    mount.write("payments", PASSWORD)
    first = mount.key_id()
    answer_dates(altered, NotBefore=30 * DAY)
    assert result_of(mount, PASSWORD) == errno.EKEYREJECTED
    assert mount.key_id() == first and mount.status("payments")["State"] == "active"
    error, [second] = mount.last_error(), mount.status("payments")["Scheduled"]
    assert error["Code"] == "KeyOfNoUse" and "not valid yet" in error["Message"]
    assert second in os.listdir(mount / "payments/keys")


def test_what_was_never_told_counts_from_the_key_that_was(start_mount, emulator):
    """Applications that hold the first key are not forgotten because it was replaced twice."""
    mount = start_rotating(start_mount, emulator, validity="1y", rotate_at="66%", defaults="on_rotate = exit 3\n")
    end = text_of(time.time() + 5 * DAY)
    mount.write("payments", f"{PASSWORD} {text_of(time.time() - 60)} {end}")
    for count in (1, 2):
        mount.write("payments", "rotate")
        until(lambda: mount.errors().count("on_rotate: status 3") == count)
        assert mount.status("payments")["InUseUntil"] == end
        assert exit_of_status(mount) == 1
    mount.write("payments", "reloaded")
    assert mount.status("payments")["InUseUntil"] is None and exit_of_status(mount) == 0


@pytest.mark.full
def test_a_rotation_that_cannot_be_begun_is_a_failing_one(start_mount, emulator):
    said = re.compile(SAID.pattern + "|" + ENDS.pattern)
    mount = start_rotating(start_mount, emulator, validity="1y", rotate_at="never", expected_errors=said)
    mount.write("payments", f"{PASSWORD} {text_of(time.time() - 120)} {text_of(time.time() + 60)}")
    emulator.set_faults("CreateClientKey reset-after", "ListClientKeys unavailable")
    mount.config.write_text(mount.config.read_text().replace("rotate_at = never", "rotate_at = 60%"))
    mount.write(".aapfs", "reload")
    until(lambda: emulator.count("CreateClientKey") == 2)
    emulator.set_faults("ListClientKeys unavailable")
    mount.kill("aapfs-worker")
    until(lambda: "cannot be begun" in mount.errors())
    error = mount.last_error()
    assert (error["Errno"], error["Code"]) == ("EAGAIN", "Waiting") and "does not list" in error["Message"]
    assert mount.status("payments")["State"] == "failing" and exit_of_status(mount) == 1
    assert emulator.count("CreateClientKey") == 2
    emulator.set_faults()
    mount.sync()
    rotated(mount, "payments", mount.key_id())


@pytest.mark.full
def test_a_rotation_goes_before_listings(start_mount, start_emulator):
    emulator = start_emulator(aaps=[f"a{i}" for i in range(20)])
    mount = start_mount(emulator.url, settings="requests_per_second = 1", expected_errors=SAID,
                        defaults="rotate_at = never\nvalidity = 1y\non_rotate = none\n")
    mount.write("a3", f"{PASSWORD} {text_of(time.time() - 2 * DAY)} {text_of(time.time() + DAY)}")
    first = mount.key_id("a3")
    mount.config.write_text(mount.config.read_text().replace("rotate_at = never", "rotate_at = 60%"))
    mount.write(".aapfs", "reload")
    rotated(mount, "a3", first)
    assert emulator.count("ListClientKeys") < 10


@pytest.mark.parametrize("body", [b"<html>", json.dumps({"Code": "ServiceUnavailable", "Message": "m", "RequestId": "r"}).encode()])
def test_a_gateway_that_answers_503_after_the_work(start_mount, emulator, altered, body):
    """The key is there: it is not asked for again, but found."""
    mount = start_rotating(start_mount, altered, validity="1y")
    mount.write("payments", PASSWORD)
    first, made = mount.key_id(), emulator.count("CreateClientKey")
    altered.instead = lambda operation: (503, body) if operation == "CreateClientKey" else None
    assert result_of(mount, PASSWORD) == errno.EAGAIN
    assert emulator.count("CreateClientKey") == made + 1
    until(lambda: len(mount.status("payments")["Orphans"]) == 1)
    assert mount.key_id() == first and set(keys_of(emulator)) == {first, *mount.status("payments")["Orphans"]}


def test_an_instance_that_is_not_found_is_no_aap_that_is_gone(start_mount, emulator, altered):
    mount = start_rotating(start_mount, altered, validity="1y")
    mount.write("payments", PASSWORD)
    body = json.dumps({"Code": "Forbidden.DKMSInstanceNotFound", "Message": "m", "RequestId": "r"}).encode()
    altered.instead = lambda operation: (403, body) if operation != "ListApplicationAccessPoints" else None
    asked = emulator.count("DescribeApplicationAccessPoint")
    result_of(mount, "sync", ".aapfs")
    until(lambda: emulator.count("DescribeApplicationAccessPoint") > asked)
    result_of(mount, "sync", ".aapfs")
    assert mount.status("payments")["State"] == "active" and "forget" not in mount.errors()
