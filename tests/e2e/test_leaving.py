"""An AAP that KMS no longer has leaves while something is done by itself: that ends first, or is not begun."""
import errno
import os
import re
import time

import pytest

from parts.harness import PASSWORD, Write, result_of, until
from parts.kms import delete_aap, delete_key, keys_of
from parts.rotations import SAID
from parts.times import text_of

RATE = "requests_per_second = 100"
SAID_OR_RELOADED = re.compile(SAID.pattern + "|aapfs: reloaded\n")


def delete_keys(emulator, aap="payments"):
    for key in keys_of(emulator, aap):
        delete_key(emulator, key)


@pytest.mark.full
def test_not_while_a_superseded_key_is_being_deleted(start_mount, emulator):
    mount = start_mount(emulator.url, settings=RATE, request_timeout="10s",
                        defaults="rotate_at = never\ndelete_superseded = expired\n")
    now = time.time()
    mount.write("payments", f"{PASSWORD} {text_of(now - 60)} {text_of(now + 2)}")
    mount.write("payments", PASSWORD)
    children = mount.children()
    emulator.set_faults("DeleteClientKey delay=6000")
    until(lambda: emulator.count("DeleteClientKey"))
    emulator.set_faults()
    delete_keys(emulator)
    delete_aap(emulator, "payments")
    assert result_of(mount, "forget payments", ".aapfs") == errno.EBUSY
    assert mount.last_error(".aapfs")["Code"] == "Busy"
    until(lambda: len(os.listdir(mount / "payments/keys")) == 1)
    until(lambda: result_of(mount, "forget payments", ".aapfs") == 0)
    assert "payments" not in os.listdir(mount.path)
    assert mount.children() == children


@pytest.mark.full
def test_no_rotation_begins_while_it_leaves(start_mount, emulator):
    """Its publication may take a while: here the publisher is stopped for longer than a rotation's next attempt takes."""
    mount = start_mount(emulator.url, settings=RATE, request_timeout="10s", expected_errors=SAID_OR_RELOADED,
                        defaults="rotate_at = never\n")
    now = time.time()
    mount.write("payments", f"{PASSWORD} {text_of(now - 2 * 86400)} {text_of(now + 86400)}")
    emulator.set_faults("CreateClientKey denied")
    mount.config.write_text(mount.config.read_text().replace("rotate_at = never", "rotate_at = 60%"))
    mount.write(".aapfs", "reload")
    until(lambda: mount.status("payments")["State"] == "failing")
    delete_keys(emulator)
    delete_aap(emulator, "payments")
    children = mount.children()
    with mount.stopped("aapfs-publisher"):
        described = emulator.count("DescribeApplicationAccessPoint")
        forget = Write(mount, "forget payments", ".aapfs")
        until(lambda: emulator.count("DescribeApplicationAccessPoint") > described)
        made = emulator.count("CreateClientKey")
        end = time.monotonic() + 2.5
        while time.monotonic() < end and emulator.count("CreateClientKey") == made:
            time.sleep(0.02)
        begun = emulator.count("CreateClientKey") - made
    assert (forget.end(), begun) == (0, 0)
    assert "payments" not in os.listdir(mount.path)
    assert mount.children() == children
