"""Answers of KMS whose members are not what its documents show, on a mount: no worker ends of them, and no key is lost."""
import email.utils
import errno
import json
import os
import signal
import time

import pytest

from parts.altered import Altered
from parts.check import Place
from parts.harness import PASSWORD, make_state_key, result_of, run_aapfs
from parts.times import text_of

TYPES = {"null": None, "number": 7, "fraction": 1.5, "true": True, "empty": "", "text": "x", "NUL": "a\0b", "array": [],
         "array of null": [None], "object": {}, "nested": {"a": [{"b": None}]}, "long": "a" * 100000, "line": "a\nb", "left out": ...}
FEW = ("null", "number", "NUL", "array of null", "left out")  # all of them, and more, are in tests/unit/kmsapi/test_kms_types.c
SIDES = ("RequestId", "KeyAlgorithm", "NotBefore", "NotAfter")


def put(place, name, value):
    if value is ...:
        place.pop(name, None)
    else:
        place[name] = value


def a_worker_of(mount):
    return mount.children()["aapfs-worker"]


def test_a_request_id_that_is_null_ends_nothing(start_mount, altered):
    altered.change = lambda operation, answer: put(answer, "RequestId", None)
    mount = start_mount(altered.url)
    worker = a_worker_of(mount)
    mount.write("payments", PASSWORD)
    assert mount.key_id().startswith("KAAP.")
    assert mount.status("payments")["RequestId"] in (None, "")
    mount.sync()
    assert mount.status()["LastSync"] and a_worker_of(mount) == worker


@pytest.mark.full
def test_a_key_that_came_is_served_whatever_came_with_it(start_mount, emulator, altered):
    mount = start_mount(altered.url, request_timeout="5s")
    worker, keys = a_worker_of(mount), set()
    for name in (*SIDES, "New"):
        for kind, value in TYPES.items():
            altered.change = lambda operation, answer: operation == "CreateClientKey" and put(answer, name, value)
            mount.write("payments", PASSWORD)
            key = mount.key_id()
            assert key not in keys, (name, kind)
            keys.add(key)
            assert mount.read("payments", "key_algorithm").strip() in ("RSA_2048", "x"), (name, kind)
            assert mount.status("payments")["State"] == "active", (name, kind)
    assert a_worker_of(mount) == worker
    assert mount.status("payments")["Rejected"] == mount.status("payments")["Orphans"] == []
    assert emulator.count("CreateClientKey") == len(keys)


@pytest.mark.full
def test_a_key_without_dates_that_was_asked_for_without_any(start_mount, altered):
    altered.change = lambda operation, answer: [put(answer, name, None) for name in SIDES]
    mount = start_mount(altered.url, defaults="validity = kms")
    mount.write("payments", PASSWORD)
    assert int(mount.read("payments", "not_after")[:4]) == int(mount.read("payments", "not_before")[:4]) + 5


@pytest.mark.full
def test_a_creation_without_its_key_is_told_and_settled(start_mount, emulator, altered):
    mount = start_mount(altered.url, request_timeout="5s")
    worker = a_worker_of(mount)
    types = {kind: value for kind, value in TYPES.items() if kind != "text"}  # which would be an id
    for name in ("ClientKeyId", "PrivateKeyData"):
        for kind, value in types.items():
            altered.change = lambda operation, answer: operation == "CreateClientKey" and put(answer, name, value)
            assert result_of(mount, PASSWORD) == errno.EKEYREJECTED, (name, kind)
            assert mount.last_error()["Code"], (name, kind)
    altered.alter(None)
    mount.sync()
    status = mount.status("payments")
    assert len(status["Rejected"]) + len(status["Orphans"]) == emulator.count("CreateClientKey") == 2 * len(types)
    assert a_worker_of(mount) == worker


LISTINGS = {
    "ListApplicationAccessPoints": lambda answer: [(answer, "RequestId"), (answer, "TotalCount"), (answer, "PageNumber"),
                                                   (answer, "ApplicationAccessPoints"),
                                                   (answer["ApplicationAccessPoints"], "ApplicationAccessPoint"),
                                                   (answer["ApplicationAccessPoints"]["ApplicationAccessPoint"], 0),
                                                   (answer["ApplicationAccessPoints"]["ApplicationAccessPoint"][0], "Name"),
                                                   (answer["ApplicationAccessPoints"]["ApplicationAccessPoint"][0], "AuthenticationMethod")],
    "ListClientKeys": lambda answer: [(answer, "RequestId"), (answer, "ClientKeys"), (answer["ClientKeys"], 0),
                                      *((answer["ClientKeys"][0], name) for name in
                                        ("ClientKeyId", "KeyAlgorithm", "NotBefore", "NotAfter", "CreateTime", "PublicKeyData",
                                         "AapName", "KeyOrigin"))],
    "DescribeApplicationAccessPoint": lambda answer: [(answer, name) for name in
                                                      ("RequestId", "Name", "Arn", "Description", "Policies",
                                                       "AuthenticationMethod")],
    "GetClientKey": lambda answer: [(answer, name) for name in
                                    ("RequestId", "ClientKeyId", "KeyAlgorithm", "NotBefore", "NotAfter", "CreateTime",
                                     "PublicKeyData", "AapName")],
}


@pytest.mark.full
def test_no_listing_ends_a_worker_or_takes_a_key(start_mount, emulator, altered):
    mount = start_mount(altered.url, request_timeout="5s", settings="requests_per_second = 1000")
    mount.write("payments", PASSWORD)
    key, worker = mount.key_id(), a_worker_of(mount)
    good = mount.read("payments", "client_key.json")
    odd = []  # the operation, the place, the value
    altered.change = lambda operation, answer: alter(operation, answer, odd)
    for operation, places in LISTINGS.items():
        for place in range({"ListApplicationAccessPoints": 8, "ListClientKeys": 11, "DescribeApplicationAccessPoint": 6,
                            "GetClientKey": 8}[operation]):
            for kind in FEW:
                odd[:] = [operation, place, TYPES[kind]]
                result = result_of(mount, "sync", ".aapfs")
                if result:
                    failure = mount.last_error(".aapfs") or mount.last_error()
                    assert result == errno.EIO and failure["Code"].startswith("Answer."), (operation, place, kind, result, failure)
                assert a_worker_of(mount) == worker, (operation, place, kind)
    assert mount.key_id() == key and mount.read("payments", "client_key.json") == good
    odd.clear()
    mount.sync()
    assert mount.status("payments")["State"] == "active" and mount.last_error(".aapfs") is None


def alter(operation, answer, odd):
    """GetClientKey is asked for what a listing lacks."""
    if odd and odd[0] == "GetClientKey" and operation == "ListClientKeys":
        answer["ClientKeys"] = []
    if not odd or odd[0] != operation:
        return
    try:
        place, name = LISTINGS[operation](answer)[odd[1]]
    except IndexError:  # an AAP without keys
        return
    if odd[2] is ... and isinstance(place, list):
        place.pop(name)
    else:
        put(place, name, odd[2])


@pytest.mark.full
@pytest.mark.parametrize("change", [{"ApplicationAccessPoints": None}, {"ApplicationAccessPoints": ..., "TotalCount": ...},
                                    {"ApplicationAccessPoints": {}, "RequestId": None, "TotalCount": None}])
def test_an_account_without_aaps_is_no_error(start_mount, start_emulator, change):
    emulator = start_emulator(aaps=())
    proxy = Altered(emulator.port, lambda operation, answer: [put(answer, name, value) for name, value in change.items()])
    mount = start_mount(proxy.url)
    assert mount.status()["LastSync"] and mount.last_error(".aapfs") is None


@pytest.mark.full
def test_aaps_without_their_total_are_shown_and_none_goes(start_mount, emulator, altered):
    mount = start_mount(altered.url)
    assert (mount / "orders").is_dir()

    def change(operation, answer):
        if operation == "ListApplicationAccessPoints":
            answer["TotalCount"] = None
            items = answer["ApplicationAccessPoints"]["ApplicationAccessPoint"]
            items[:] = [item for item in items if item["Name"] == "payments"]

    altered.change = change
    mount.sync()
    assert (mount / "orders").is_dir() and mount.last_error(".aapfs") is None


# -- errors -----------------------------------------------------------------------------------------

MISSING = 'The input parameter "Timestamp" that is required for processing this request is not supplied.'
CLOCKS = {
    "IllegalTimestamp": json.dumps({"RequestId": "r", "HostId": "kms", "Code": "IllegalTimestamp", "Message": MISSING}),
    "lower case": json.dumps({"requestId": "r", "code": "IllegalTimestamp", "message": MISSING}),
    "XML": f"<Error><RequestId>r</RequestId><HostId>kms</HostId><Code>IllegalTimestamp</Code><Message>{MISSING}</Message></Error>",
    "InvalidParameter": json.dumps({"Code": "InvalidParameter", "Message": 'The specified parameter "Timestamp" is not valid.'}),
    "RequestTimeTooSkewed": json.dumps({"Code": "RequestTimeTooSkewed", "Message": "more than 15 minutes."}),
}


@pytest.mark.full
@pytest.mark.parametrize("kind", CLOCKS)
def test_a_clock_that_is_off_is_learned_whatever_kms_calls_it(start_mount, emulator, altered, kind):
    moment = time.time() + 7200
    emulator.set_clock(text_of(moment))
    altered.date = email.utils.formatdate(moment, usegmt=True)
    altered.refused = lambda operation, status, content: (status, CLOCKS[kind].encode())
    mount = start_mount(altered.url)
    mount.write("payments", PASSWORD)
    assert mount.last_error() is None and mount.status()["ClockOffsetMilliseconds"] > 7000 * 1000


REFUSALS = {
    "InvalidAccessKeyId": (404, {"Code": "InvalidAccessKeyId", "Message": "Specified access key is not found."}),
    "InvalidParameter": (400, {"Code": "InvalidParameter", "Message": 'The specified parameter "AccessKeyId" is not valid.'}),
    "MissingSecurityToken": (400, {"Code": "MissingSecurityToken", "Message": "SecurityToken is mandatory for this action."}),
    "SecurityTokenExpired": (400, {"code": "SecurityTokenExpired", "message": "expired"}),
    "NoPermission": (403, {"requestId": "r", "code": "NoPermission", "message": "You are not authorized"}),
    "Unheard": (403, {"Code": "Unheard.Of", "Message": "no"}),
    "401": (401, {"Code": "Unheard.Of", "Message": "no"}),
    "XML": (403, "<Error><Code>NoPermission</Code><Message>no &amp; no</Message></Error>"),
    "page": (403, "<html><body><Code>NoPermission</Code></body></html>"),
    "empty": (403, ""),
}


@pytest.mark.full
@pytest.mark.parametrize("kind", REFUSALS)
def test_what_is_refused_is_eacces_and_no_bad_password(start_mount, altered, kind):
    status, body = REFUSALS[kind]
    content = (body if isinstance(body, str) else json.dumps(body)).encode()
    mount = start_mount(altered.url)
    altered.instead = lambda operation: (status, content)
    assert result_of(mount, "sync", ".aapfs") == errno.EACCES
    failure = mount.last_error(".aapfs")
    assert failure["HttpStatus"] == status
    assert failure["Code"] == ("Http.403" if kind in ("page", "empty") else
                               "NoPermission" if kind == "XML" else body.get("Code") or body.get("code"))
    altered.instead = lambda operation: None


@pytest.mark.full
def test_an_unknown_404_says_of_no_key_that_it_is_gone(start_mount, emulator, altered):
    mount = start_mount(altered.url)
    mount.write("payments", PASSWORD)
    mount.write("payments", PASSWORD)
    old, = mount.status("payments")["Superseded"]

    altered.alter("ListClientKeys", ClientKeys=[])
    for code in ("Unheard.Of", "EntityNotExist.ClientKey", "Forbidden.AliasNotFound", "InvalidApi.NotFound"):
        content = json.dumps({"RequestId": "r", "Code": code, "Message": "not there"}).encode()
        altered.instead = lambda operation: (404, content) if operation in ("GetClientKey", "DeleteClientKey") else None
        assert result_of(mount, "sync", ".aapfs") != 0
        assert mount.status("payments")["State"] == "active", code
        assert result_of(mount, f"delete {old}") in (errno.ENOENT, errno.EIO)
        assert (mount / "payments/keys" / old / "client_key.json").exists(), code
    altered.instead = lambda operation: (404, json.dumps({"Code": "Unheard.Of"}).encode())
    assert result_of(mount, "forget payments", ".aapfs") == errno.EIO
    assert (mount / "payments/client_key.json").exists()
    altered.instead = lambda operation: None
    altered.alter(None)
    mount.write("payments", f"delete {old}")
    mount.sync()


@pytest.mark.full
def test_a_page_instead_of_the_answer_leaves_open_whether_there_is_a_key(start_mount, emulator, altered):
    """As of a proxy that does not let a private key pass: KMS has made it."""
    mount = start_mount(altered.url)
    altered.instead = lambda operation: (403, b"<html>blocked</html>") if operation == "CreateClientKey" else None
    assert result_of(mount, PASSWORD) == errno.EACCES
    assert "not an answer of KMS" in mount.last_error()["Message"]
    mount.sync()
    assert len(mount.status("payments")["Orphans"]) == 1


@pytest.mark.full
@pytest.mark.parametrize("status, body, advised", [
    (400, '{"RequestId": "r", "Code": "Unheard.Of", "Message": "m"}', False),
    (404, '{"RequestId": "r", "Code": "Unheard.Of", "Message": "m"}', False),
    (404, '{"RequestId": "r", "Code": "InvalidProduct.NotFound", "Message": "m"}', True),
    (404, "<html></html>", True), (200, "<html></html>", True), (500, '{"Code": "InternalError", "Message": "m"}', False)])
def test_check_names_the_endpoint_only_where_it_is_at_fault(altered, tmp_path, status, body, advised):
    altered.instead = lambda operation: (status, body.encode())
    config = tmp_path / "aapfs.conf"
    config.write_text(f"[kms]\nregion = cn-hangzhou\nendpoint = {altered.url}\nrequest_timeout = 1s\n[mount]\nstate = {tmp_path}/state\n")
    done = run_aapfs("check", "-c", config)
    line, = (line for line in (done.stdout + done.stderr).splitlines() if "ListApplicationAccessPoints" in line)
    assert ("see that the endpoint" in line) == advised, line


@pytest.mark.parametrize("endpoint", ["kst-hzz62ee817bvyyr5x.cryptoservice.kms.aliyuncs.com",
                                      "https://KST-hzz62ee817bvyyr5x.Cryptoservice.kms.aliyuncs.com.:443/"])
def test_the_address_of_an_instance_is_no_endpoint(tmp_path, endpoint):
    """The start and `check` say what it is, and what is right."""
    config, point = tmp_path / "aapfs.conf", tmp_path / "aap"
    point.mkdir()
    config.write_text(f"[kms]\nregion = cn-hangzhou\nendpoint = {endpoint}\n[mount]\nstate = {tmp_path}/state\n")
    wrong = config.with_name("none.conf")
    wrong.write_text(f"[mount]\nstate = {tmp_path}/state\n")
    for words in (["-f", "-c", config, point], ["check", "-c", config], ["-f", "-c", wrong, "--endpoint", endpoint, point]):
        done = run_aapfs(*words)
        assert done.returncode == 2
        assert "address of a KMS instance" in done.stdout + done.stderr and "kms.REGION.aliyuncs.com" in done.stdout + done.stderr


# -- AAPs without client keys -------------------------------------------------------------------------


def with_ram_role(*names, method="RAMRole"):
    """What makes AAPs of those NAMES used with a RAM role."""
    def change(operation, answer):
        items = [answer]
        if operation == "ListApplicationAccessPoints":
            items = answer["ApplicationAccessPoints"]["ApplicationAccessPoint"]
        for item in items:
            if item.get("Name") in names:
                item["AuthenticationMethod"] = method
    return change


@pytest.mark.parametrize("settings", ["", "aaps = payments, orders"])
@pytest.mark.parametrize("method", ["RAMRole", pytest.param("RamRole", marks=pytest.mark.full)])
def test_an_aap_that_is_used_with_a_ram_role_is_shown_and_gets_no_key(start_mount, emulator, altered, settings, method):
    altered.change = with_ram_role("orders", method=method)
    mount = start_mount(altered.url, settings=settings)
    mount.sync()
    mount.write("payments", PASSWORD)
    listed, described = emulator.count("ListClientKeys"), emulator.count("DescribeApplicationAccessPoint")
    for command in (PASSWORD, "rotate", json.dumps({"KeyId": "KAAP.x", "PrivateKeyData": "MIIB", "Password": PASSWORD})):
        assert result_of(mount, command, "orders") == errno.EPERM
        assert mount.last_error("orders")["Code"] == "RamRole" and "RAM role" in mount.last_error("orders")["Message"]
    for words in (["create", "orders"], ["rotate", "orders"]):  # nobody is asked for a password
        done = run_aapfs(*words, "-m", mount.path)
        assert done.returncode == 1 and "orders: this AAP is used with a RAM role" in done.stderr, done.stderr
    assert emulator.count("CreateClientKey") == 1
    assert (emulator.count("ListClientKeys"), emulator.count("DescribeApplicationAccessPoint")) == (listed, described)
    status = mount.status("orders")
    assert status["State"] == "none" and "RAM role" in status["Note"]
    mount.sync()
    asked = [text for text in map(json.dumps, emulator.records()) if "ListClientKeys" in text]
    assert asked and not any("orders" in text for text in asked)
    done = run_aapfs("status", "-m", mount.path)
    assert done.returncode == 0, done.stdout + done.stderr
    # one that is made again as one for client keys
    altered.alter(None)
    mount.sync()
    mount.write("orders", PASSWORD)
    assert mount.status("orders")["State"] == "active" and mount.last_error("orders") is None


def test_the_first_write_asks_and_then_sends_nothing(start_mount, emulator, altered):
    """Where no listing has told the method: the question for the account does."""
    altered.change = with_ram_role("orders")
    emulator.set_faults("ListApplicationAccessPoints denied", "DescribeApplicationAccessPoint delay=400")
    mount = start_mount(altered.url, settings="aaps = orders")
    assert result_of(mount, PASSWORD, "orders") == errno.EPERM
    assert emulator.count("CreateClientKey") == 0


@pytest.mark.full
@pytest.mark.parametrize("settings", ["", "aaps = payments, orders"])
def test_a_new_worker_asks_before_it_sends(start_mount, emulator, altered, settings):
    """The account is known by another AAP, and no listing has ended since."""
    altered.change = with_ram_role("orders")
    mount = start_mount(altered.url, settings=settings, expected_errors=None)
    mount.sync()
    emulator.set_faults("ListApplicationAccessPoints delay=3000")
    os.kill(a_worker_of(mount), signal.SIGKILL)
    mount.write("payments", PASSWORD)
    assert result_of(mount, PASSWORD, "orders") == errno.EPERM
    assert mount.last_error("orders")["Code"] == "RamRole" and emulator.count("CreateClientKey") == 1
    asked = emulator.count("GetClientKey")
    adopted = json.dumps({**json.loads((mount / "payments/client_key.json").read_text()), "Password": PASSWORD})
    assert result_of(mount, adopted, "orders") == errno.EPERM and emulator.count("GetClientKey") == asked


@pytest.mark.full
@pytest.mark.parametrize("fault", ["internal", "denied", "delay=20000"])
def test_where_the_method_is_not_told_a_key_is_made(start_mount, emulator, altered, fault):
    mount = start_mount(altered.url, settings="aaps = payments, orders", expected_errors=None)
    mount.sync()
    slow = "ListApplicationAccessPoints delay=8000"
    emulator.set_faults(slow)
    os.kill(a_worker_of(mount), signal.SIGKILL)
    mount.write("payments", PASSWORD)
    emulator.set_faults(slow, f"DescribeApplicationAccessPoint {fault}")
    mount.write("orders", PASSWORD)
    assert mount.status("orders")["State"] == "active"


@pytest.mark.full
@pytest.mark.parametrize("names, kind", [(("orders",), "ok"), (("orders", "payments"), "warning")])
def test_check_says_which_aaps_have_no_client_keys(altered, emulator, tmp_path, names, kind):
    altered.change = with_ram_role(*names)
    config, point, state = tmp_path / "aapfs.conf", tmp_path / "aap", tmp_path / "state"
    point.mkdir()
    state.mkdir(mode=0o700)
    config.write_text(f"[kms]\nendpoint = {altered.url}\n[mount]\nstate = {state}\nstate_key = {make_state_key(tmp_path / 'key')}\n"
                      "[defaults]\non_rotate = none\n")
    done = run_aapfs("check", "-c", config, "-m", point)
    assert done.returncode == 0, done.stdout
    assert "have no client keys" in done.stdout
    assert any(line.startswith("warning") and "RAM role" in line for line in done.stdout.splitlines()) == (kind == "warning")


@pytest.mark.full
@pytest.mark.parametrize("settings", ["", "aaps = orders, payments"])
def test_check_asks_nothing_of_an_aap_without_client_keys(altered, emulator, tmp_path, settings):
    """Nor does it want a command to tell of its next key."""
    def checked(*names):
        altered.change = with_ram_role(*names)
        return place.check(settings=settings, defaults="")

    place = Place(tmp_path, altered.url)
    said = checked("orders")
    [line] = said.of("warning", "on_rotate")
    assert line.startswith("payments: "), line
    assert said.of("ok", "places") == ["1 AAP has a place left for the next rotation"]
    asked = [text for text in map(json.dumps, emulator.records()) if "ListClientKeys" in text]
    assert asked and not any("orders" in text for text in asked)
    said = checked("orders", "payments")
    assert said.of("warning", "on_rotate") == said.of("ok", "places") == [] and emulator.count("ListClientKeys") == len(asked)


@pytest.mark.full
def test_check_asks_on_behind_an_aap_whose_keys_are_not_listed(start_emulator, tmp_path):
    def instead(operation):
        if operation == "ListClientKeys":
            asked.append(operation)
        return (403, refusal) if operation == "ListClientKeys" and len(asked) in refused else None

    proxy = Altered(start_emulator(aaps=("payments", "orders", "stock")).port)
    proxy.instead, refusal = instead, b'{"RequestId": "r", "Code": "Forbidden.NoPermission", "Message": "m"}'
    place, asked, refused = Place(tmp_path, proxy.url), [], {2}  # the first one is for the permission
    said = place.check()
    assert len(asked) == 4 and said.of("ok", "places") == ["2 AAPs have a place left for the next rotation"]
    [line] = said.of("warning", "places")
    assert line.startswith("payments: whether a place is left") and "Forbidden.NoPermission: m" in line and "permit ListClientKeys" in line
    asked.clear()
    refused.add(4)
    assert place.check().of("warning", "places")[0].startswith("payments and 1 more: ")
