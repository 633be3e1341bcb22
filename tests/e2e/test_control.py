"""Control and errors, from table files: what is refused is never sent, and harms nothing."""
import base64
import datetime
import errno
import json
import os
import tomllib
import urllib.parse

import pytest

from parts.harness import PASSWORD, ROOT, result_of
from parts.log import ENDS

NOW = "2026-11-24T00:00:00Z"
DATES = ("2026-12-01T00:00:00Z", "2027-12-01T00:00:00Z")


def table(name):
    return tomllib.loads((ROOT / "tests/data" / name).read_text())


def rows():
    """(what is written, whether it is accepted)"""
    control = table("control.toml")
    for row in control["passwords"]:
        text, accepted = row["text"], row["accepted"]
        yield f"{text}\n", accepted
        yield f"{text} {DATES[0]} {DATES[1]}\n", accepted
        as_json = row.get("json", accepted)
        yield json.dumps({"Password": text}), as_json
        yield json.dumps({"NotAfter": DATES[1], "Password": text, "NotBefore": DATES[0]}), as_json
    for row in control["dates"]:
        before, after = row["before"], row["after"]
        yield f"{PASSWORD} {before} {after}\n", row["accepted"]
        yield json.dumps({"Password": PASSWORD, "NotBefore": before, "NotAfter": after}), row["accepted"]
    for row in control["writes"]:
        yield row["text"], row["accepted"]


@pytest.mark.full
@pytest.mark.core
def test_each_rule_inside_and_outside(start_mount, start_emulator):
    emulator = start_emulator("--clock", NOW)
    # a key of which most has passed would be replaced at once
    mount = start_mount(emulator.url, defaults="rotate_at = never", expected_errors=ENDS)
    mount.write("payments", PASSWORD)
    created = 1
    wrong = []
    for text, accepted in rows():
        before = os.listdir(mount / "payments/keys")  # one that begins later is there too
        result = result_of(mount, text.encode())
        if result != (0 if accepted else errno.EINVAL):
            wrong.append((text, result))
        changed = os.listdir(mount / "payments/keys") != before
        if changed != accepted:
            wrong.append((text, "changed" if changed else "unchanged"))
        error = mount.last_error()
        if not accepted and (error is None or error["Errno"] != "EINVAL" or not error["Message"]):
            wrong.append((text, error))
        created += accepted
    assert wrong == []
    assert emulator.count("CreateClientKey") == created
    assert created > 40


def test_given_dates_reach_kms_as_they_are(start_mount, start_emulator):
    emulator = start_emulator("--clock", NOW)
    mount = start_mount(emulator.url)
    mount.write("payments", f"{PASSWORD} {DATES[0]} {DATES[1]}")
    creation, = [record for record in emulator.records() if ["x-acs-action", "CreateClientKey"] in record["Headers"]]
    query = dict(creation["Query"])
    assert query == {"AapName": "payments", "Password": PASSWORD, "NotBefore": DATES[0],
                     "NotAfter": DATES[1]}
    assert mount.read("payments", "not_before") == DATES[0] + "\n"
    assert mount.read("payments", "not_after") == DATES[1] + "\n"
    assert mount.status("payments")["State"] == "scheduled"


def test_without_dates_the_validity_is_the_configured_one(start_mount, emulator):
    mount = start_mount(emulator.url, defaults="validity = 400d", sections="[aap orders]\nvalidity = kms")
    mount.write("payments", PASSWORD)
    mount.write("orders", PASSWORD)
    create = [dict(record["Query"]) for record in emulator.records()
              if ["x-acs-action", "CreateClientKey"] in record["Headers"]]
    assert sorted(create[0]) == ["AapName", "NotAfter", "NotBefore", "Password"]
    assert sorted(create[1]) == ["AapName", "Password"]
    end = datetime.datetime.fromisoformat(create[0]["NotAfter"])
    days = (end - datetime.datetime.now(datetime.UTC)) / datetime.timedelta(days=1)
    assert 399.9 <= days <= 401  # less than a day is added by chance


@pytest.mark.parametrize("now, year_later", [(NOW, "2027-11-24T00:00:00Z"), ("2028-02-29T12:00:00Z", "2029-03-01T12:00:00Z")])
def test_a_kms_that_gives_a_year_at_least_takes_the_default(start_mount, start_emulator, now, year_later):
    """It is what KMS documents; leap days count."""
    emulator = start_emulator("--clock", now, limits=("--min-validity", "1y"))
    mount = start_mount(emulator.url, sections="[aap orders]\nvalidity = 5y")
    for _ in range(3):
        mount.write("payments", PASSWORD)
    mount.write("orders", PASSWORD)
    begin, end = (mount.read("payments", name).strip() for name in ("not_before", "not_after"))
    year = datetime.datetime.fromisoformat(year_later)
    assert datetime.datetime.fromisoformat(begin) < datetime.datetime.fromisoformat(now)
    assert year <= datetime.datetime.fromisoformat(end) < year + datetime.timedelta(days=1, seconds=10)
    begin, end = (mount.read("orders", name).strip() for name in ("not_before", "not_after"))
    assert f"{int(end[:4]) - 5}{end[4:]}" <= begin and f"{int(end[:4]) - 4}{end[4:]}" > begin


def test_max_keys_is_edquot_and_sends_nothing(start_mount, emulator):
    mount = start_mount(emulator.url, max_keys=2)
    mount.write("payments", PASSWORD)
    mount.write("payments", PASSWORD)
    assert result_of(mount, PASSWORD) == errno.EDQUOT
    assert emulator.count("CreateClientKey") == 2


def test_creation_guard_is_for_another_process(start_mount, emulator):
    mount = start_mount(emulator.url, creation_guard="1h")
    mount.write("payments", PASSWORD)
    mount.write("payments", PASSWORD)
    child = os.fork()
    if child == 0:
        os._exit(result_of(mount, PASSWORD))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == errno.EBUSY
    assert emulator.count("CreateClientKey") == 2


def test_delete(mount, emulator):
    mount.write("payments", PASSWORD)
    old = mount.key_id()
    mount.write("payments", PASSWORD)
    current = mount.key_id()
    assert result_of(mount, f"delete {current}") == errno.EBUSY
    assert result_of(mount, "delete KAAP.unknown") == errno.ENOENT
    assert emulator.count("DeleteClientKey") == 0
    assert result_of(mount, f"delete {old}") == 0
    assert emulator.count("DeleteClientKey") == 1
    assert os.listdir(mount / "payments/keys") == [current]
    assert not os.path.exists(mount / "payments/keys" / old)
    assert mount.key_id() == current


def forms_of(password):
    once = urllib.parse.quote(password, safe="")
    return {password, once, urllib.parse.quote(once, safe=""),
            base64.b64encode(password.encode()).decode().rstrip("="), json.dumps(password)[1:-1]}


@pytest.mark.full
@pytest.mark.core
def test_hostile_answers(mount, emulator):
    password = "A~!@#$%^&*?_-9z"
    mount.write("payments", password)
    key = mount.read("payments", "client_key.json")
    wrong = []
    for row in table("answers.toml")["answers"]:
        before = emulator.count("CreateClientKey")
        rejected = len(mount.status("payments")["Rejected"])
        emulator.set_faults("CreateClientKey " + row["fault"])
        result = result_of(mount, password)
        name = errno.errorcode.get(result, result)
        sent = emulator.count("CreateClientKey") - before
        error = mount.last_error()
        if (name, error["Code"], error["Errno"]) != (row["errno"], row["code"], row["errno"]):
            wrong.append((row["fault"], name, error))
        if sent < 1 or (row["sent"] and sent != row["sent"]):
            wrong.append((row["fault"], "sent", sent))
        if mount.read("payments", "client_key.json") != key:
            wrong.append((row["fault"], "changed the key"))
        if len(mount.status("payments")["Rejected"]) - rejected != row.get("key", False):
            wrong.append((row["fault"], "rejected", mount.status("payments")["Rejected"]))
        shown = mount.read("payments", "last_error") + mount.read("payments", "status") + mount.read(
            ".aapfs", "status") + mount.read(".aapfs", "last_error") + mount.errors()
        for form in forms_of(password):
            if form in shown:
                wrong.append((row["fault"], "shows the password", form))
    assert wrong == []
    emulator.set_faults()
    mount.write("payments", password)
    assert mount.last_error() is None
    assert mount.read("payments", "client_key.json") != key
    emulator.set_faults("CreateClientKey silent")  # the last one: its answer is waited for
    assert result_of(mount, password) == errno.ETIMEDOUT
    assert (mount.last_error()["Code"], mount.last_error()["Errno"]) == ("Network.Timeout", "ETIMEDOUT")


def test_throttled_requests_are_tried_again_and_unavailable_ones_that_make_no_key(mount, emulator):
    emulator.set_faults("CreateClientKey throttle=150 x1")
    mount.write("payments", PASSWORD)
    assert emulator.count("CreateClientKey") == 2
    old = mount.key_id()
    mount.write("payments", PASSWORD)
    emulator.set_faults("DeleteClientKey unavailable x1", "CreateClientKey unavailable x1")
    mount.write("payments", f"delete {old}")
    assert emulator.count("DeleteClientKey") == 2
    before = emulator.count("CreateClientKey")
    assert result_of(mount, PASSWORD) == errno.EAGAIN  # who knows: it is looked into first
    assert emulator.count("CreateClientKey") == before + 1
    nonces = [dict(map(tuple, record["Headers"])).get("x-acs-signature-nonce")
              for record in emulator.records()]
    assert len(set(nonces)) == len(nonces)


def test_a_network_error_is_told_again_for_a_while(start_mount, emulator):
    """A second writer waits in the kernel for the first: it must not wait for the network as well."""
    mount = start_mount(emulator.url, creation_guard="1h")
    emulator.set_faults("CreateClientKey reset-before")
    assert result_of(mount, PASSWORD) == errno.ECONNRESET
    before = emulator.count("CreateClientKey")
    child = os.fork()
    if child == 0:
        os._exit(result_of(mount, "Another-Horse2"))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == errno.ECONNRESET
    assert emulator.count("CreateClientKey") == before


def test_no_credentials(start_mount, emulator):
    mount = start_mount(emulator.url, settings="aaps = payments",
                        env={"ALIBABA_CLOUD_ACCESS_KEY_ID": None})
    assert result_of(mount, PASSWORD) == errno.EACCES
    assert mount.last_error()["Code"] == "Credentials"
    assert "ALIBABA_CLOUD_ACCESS_KEY_ID" in mount.last_error()["Message"]
    assert emulator.counts() == {}


@pytest.mark.full
def test_refused_connection(start_mount, start_emulator):
    emulator = start_emulator()
    mount = start_mount(emulator.url, settings="aaps = payments")
    emulator.stop()
    assert result_of(mount, PASSWORD) == errno.ECONNREFUSED
    assert mount.last_error()["Code"] == "Network.Refused"


def test_the_mounts_own_control(mount, emulator):
    mount.sync()
    assert result_of(mount, "resync", ".aapfs") == errno.EINVAL
    assert mount.last_error(".aapfs")["Errno"] == "EINVAL"
    assert emulator.count("ListApplicationAccessPoints") == 2
