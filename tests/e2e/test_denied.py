"""Without the right to list: names from the configuration, and what is not known is said and harms nothing."""
import errno
import re
import threading

import pytest

from parts.harness import PASSWORD, Write, result_of, until
from parts.kms import ACCOUNT, keys_of
from parts.log import FREED, UNSETTLED
from parts.rotations import SAID, rotated
from parts.tree import Readers, shown

NAMED = "aaps = payments, orders"
NO_LISTS = ("ListApplicationAccessPoints denied", "ListClientKeys denied")
NO_DESCRIBE = "DescribeApplicationAccessPoint denied"
ASSUMED = (f"aapfs: DescribeApplicationAccessPoint is not permitted (Forbidden.NoPermission), so KMS does not tell whose the "
           f"credentials are; they are taken to be of the account {ACCOUNT}, which the state directory names\n")


def denied(mount, aap=".aapfs"):
    """The operation that was forbidden last."""
    failure = mount.last_error(aap)
    return failure and failure["Code"] == "Forbidden.NoPermission" and failure["Operation"]


@pytest.mark.full
@pytest.mark.core
def test_names_from_the_configuration_do_without_lists(start_mount, emulator, remount):
    emulator.set_faults(*NO_LISTS)
    mount = start_mount(emulator.url, settings=NAMED)
    assert sorted(path.name for path in mount.path.iterdir()) == [".aapfs", "orders", "payments"]
    mount.write("payments", PASSWORD)
    first = mount.key_id()
    with Readers(mount, more=[mount / "payments/current/client_key.json"]) as readers:
        mount.write("orders", PASSWORD)
        assert result_of(mount, "sync", ".aapfs") == errno.EACCES
        until(lambda: readers.reads > 200)
    mount.write("payments", PASSWORD)
    assert mount.key_id() != first and (mount / "payments/keys" / first / "client_key.json").exists()
    assert denied(mount) == "ListClientKeys" and denied(mount, "orders") == "ListClientKeys"
    status = mount.status()
    assert status["Account"] == ACCOUNT and status["LastSync"] and status["Aaps"] == {"active": 2}
    mount.write("payments", f"delete {first}")
    assert emulator.count("DeleteClientKey") == 1 and not (mount / "payments/keys" / first).exists()
    before = shown(mount)
    mount = remount(mount, emulator.url, settings=NAMED)
    assert shown(mount) == before
    mount.write("payments", PASSWORD)
    assert emulator.count("ListApplicationAccessPoints") == 0
    # permitted meanwhile
    emulator.set_faults()
    mount.sync()
    assert first not in set(keys_of(emulator))
    assert mount.last_error(".aapfs") is None and mount.last_error("orders") is None


@pytest.mark.full
def test_what_cannot_be_settled_is_said(start_mount, emulator, remount):
    emulator.set_faults(*NO_LISTS, "CreateClientKey reset-after x1")
    mount = start_mount(emulator.url, settings=NAMED, expected_errors=UNSETTLED)
    assert result_of(mount, PASSWORD) == errno.ECONNRESET
    note = until(lambda: mount.status("payments")["Note"])
    assert "cannot be found out: ListClientKeys is not permitted" in note
    assert mount.status("payments")["Orphans"] == [] and mount.status("orders")["Note"] is None
    assert mount.last_error()["Code"] == "Network.Reset"  # what somebody wrote comes first
    mount.write("payments", PASSWORD)  # and is not held up
    known = mount.key_id()
    mount = remount(mount, emulator.url, settings=NAMED, expected_errors=UNSETTLED)
    assert until(lambda: mount.status("payments")["Note"]) == note
    # until it is permitted
    emulator.set_faults()
    mount.sync()
    status = mount.status("payments")
    assert status["Orphans"] == list(set(keys_of(emulator)) - {known}) and len(status["Orphans"]) == 1 and status["Note"] != note


@pytest.mark.full
def test_a_rotation_that_is_due_does_not_wait_for_a_list(start_mount, emulator):
    emulator.set_faults(*NO_LISTS)
    mount = start_mount(emulator.url, settings=f"{NAMED}\nrequests_per_second = 100", defaults="validity = 8s\nrotate_at = 25%\non_rotate = none\ndelete_superseded = 0s",
                        expected_errors=re.compile(f"{SAID.pattern}|{re.escape(UNSETTLED)}"))
    mount.write("payments", PASSWORD)
    first = mount.key_id()
    emulator.set_faults(*NO_LISTS, "CreateClientKey reset-after x1")
    rotated(mount, "payments", first, 7)
    assert emulator.count("CreateClientKey") >= 3  # the first, the one that was lost, the one after it


@pytest.mark.full
def test_the_state_directory_tells_the_account(start_mount, emulator, start_emulator, remount):
    emulator.set_faults(*NO_LISTS)
    mount = start_mount(emulator.url, settings=NAMED)
    mount.write("payments", PASSWORD)
    first = mount.key_id()
    emulator.set_faults(*NO_LISTS, NO_DESCRIBE)
    mount = remount(mount, emulator.url, settings=NAMED, expected_errors=ASSUMED)
    assert mount.key_id() == first and denied(mount) == "DescribeApplicationAccessPoint"
    mount.write("payments", PASSWORD)
    assert mount.key_id() != first and mount.status()["Account"] == ACCOUNT
    # keys are listed all the same where that is permitted, and that one thing stays said
    emulator.set_faults(NO_DESCRIBE)
    mount.sync()
    assert mount.last_error() is None and denied(mount) == "DescribeApplicationAccessPoint"
    emulator.set_faults()
    mount.sync()
    assert mount.last_error(".aapfs") is None
    # another account's credentials are found out as soon as KMS tells
    other = start_emulator("--account-id", "1000000000000001")
    other.set_faults(NO_DESCRIBE)
    mount = remount(mount, other.url, settings=NAMED, expected_errors=ASSUMED)
    other.set_faults()
    assert result_of(mount, PASSWORD) == errno.EACCES and mount.last_error()["Code"] == "OtherAccount"
    other.set_faults(NO_DESCRIBE)
    assert result_of(mount, PASSWORD) == errno.EACCES
    assert other.count("CreateClientKey") == 0


def test_the_first_key_needs_the_account(start_mount, emulator):
    emulator.set_faults(*NO_LISTS, NO_DESCRIBE)
    mount = start_mount(emulator.url, settings=NAMED)
    assert result_of(mount, PASSWORD) == errno.EACCES and emulator.count("CreateClientKey") == 0
    assert "permit kms:DescribeApplicationAccessPoint for one AAP" in mount.last_error()["Message"]
    assert denied(mount) == "DescribeApplicationAccessPoint" and mount.status()["Account"] is None
    emulator.set_faults(*NO_LISTS)
    mount.write("payments", PASSWORD)
    assert mount.status()["Account"] == ACCOUNT


@pytest.mark.full
def test_an_account_that_is_only_taken_for_ours_forgets_nothing(start_mount, emulator, start_emulator, remount):
    """Another account does not know the AAP: that says nothing of ours."""
    mount = start_mount(emulator.url)
    mount.write("payments", PASSWORD)
    key = mount.key_id()
    other = start_emulator("--account-id", "42", aaps=("orders",))
    other.set_faults(NO_DESCRIBE)
    mount = remount(mount, other.url, expected_errors=re.compile(f"{re.escape(ASSUMED)}|aapfs: payments: KMS no longer has .*\n"))
    other.set_faults()
    assert result_of(mount, "forget payments", ".aapfs") == errno.EAGAIN
    assert mount.last_error(".aapfs")["Code"] == "AccountUnknown" and mount.key_id() == key


class Held:
    """Answers to OPERATION are held back until release(); `asked` is set when there is one."""

    def __init__(self, altered, operation, instead=None):
        self.asked, self.released = threading.Event(), threading.Event()
        altered.instead = lambda asked: self.hold(instead) if asked == operation and not self.asked.is_set() else None

    def hold(self, instead):
        self.asked.set()
        assert self.released.wait(20)
        return instead

    def release(self):
        self.released.set()


@pytest.mark.full
@pytest.mark.parametrize("held", ["DeleteClientKey", "ListClientKeys"])
@pytest.mark.parametrize("arn, number", [("acs:kms:eu-central-1:{account}:applicationaccesspoint/orders", errno.EACCES),
                                         ("nonsense", errno.EIO)])
def test_a_creation_that_waits_goes_no_further_when_the_account_is_another(start_mount, emulator, altered, remount, held, arn, number):
    """What it waits for was asked for while the account was taken for ours."""
    settings = {"max_keys": 2, "request_timeout": "10s", "settings": "requests_per_second = 100"}
    mount = start_mount(emulator.url, **settings)
    mount.write("payments", PASSWORD)
    emulator.set_faults("CreateClientKey reset-after x1")
    assert result_of(mount, PASSWORD) == errno.ECONNRESET
    until(lambda: mount.status("payments")["Orphans"])
    emulator.set_faults(NO_DESCRIBE)
    mount = remount(mount, altered.url, expected_errors=re.compile(f"{re.escape(ASSUMED)}|{FREED}"), **settings)
    mount.sync()
    until(lambda: mount.status("payments")["Orphans"])
    made = emulator.count("CreateClientKey")
    waits = Held(altered, held)
    writer = Write(mount, PASSWORD)
    assert waits.asked.wait(20)
    altered.alter("DescribeApplicationAccessPoint", Arn=arn.format(account=ACCOUNT))
    emulator.set_faults()
    assert result_of(mount, PASSWORD, "orders") == number
    waits.release()
    assert writer.end() == number and emulator.count("CreateClientKey") == made
    assert mount.last_error()["Code"] == mount.last_error("orders")["Code"]
    altered.alter(None)
    mount.sync()
    mount.write("payments", PASSWORD)


@pytest.mark.full
def test_what_kms_has_told_of_the_account_is_not_taken_back_by_a_refusal(mount, emulator, altered, remount):
    mount.write("payments", PASSWORD)
    emulator.set_faults(NO_DESCRIBE)
    mount = remount(mount, altered.url, request_timeout="10s", expected_errors=ASSUMED)
    emulator.set_faults()
    creation = Held(altered, "DescribeApplicationAccessPoint")
    first = Write(mount, PASSWORD)
    assert creation.asked.wait(20)
    refusal = b'{"Code": "Forbidden.NoPermission", "Message": "no", "RequestId": "00000000-0000-4000-8000-000000000000"}'
    sync = Held(altered, "DescribeApplicationAccessPoint", (403, refusal))
    second = Write(mount, "sync", ".aapfs")
    assert sync.asked.wait(20)
    creation.release()
    first.end()
    assert mount.last_error(".aapfs") is None
    sync.release()
    assert second.end() == 0 and mount.last_error(".aapfs") is None
