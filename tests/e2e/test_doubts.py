"""What KMS says is not always right, and what applications were told is not always known."""
import errno
import json
import time

import pytest

from parts.harness import PASSWORD, result_of, run_aapfs, until
from parts.kms import keys_of
from parts.rotations import start_rotating
from parts.times import DAY, text_of


def exit_of_status(mount):
    return run_aapfs("status", "-m", mount.path).returncode


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
