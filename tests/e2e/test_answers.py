"""Answers of KMS whose members are not what its documents show, on a mount: no worker ends of them, and no key is lost."""
import errno

import pytest

from altered import Altered
from harness import PASSWORD
from test_store import result_of

TYPES = {"null": None, "number": 7, "fraction": 1.5, "true": True, "empty": "", "text": "x", "NUL": "a\0b", "array": [],
         "array of null": [None], "object": {}, "nested": {"a": [{"b": None}]}, "long": "a" * 100000, "line": "a\nb", "left out": ...}
FEW = ("null", "number", "NUL", "array of null", "left out")  # all of them, and more, are in tests/unit/test_kms_types.c
SIDES = ("RequestId", "KeyAlgorithm", "NotBefore", "NotAfter")


@pytest.fixture
def altered(emulator):
    proxy = Altered(emulator.port)
    yield proxy
    proxy.close()


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
    mount.write(".aapfs", "sync")
    assert mount.status()["LastSync"] and a_worker_of(mount) == worker


@pytest.mark.full
def test_a_key_that_came_is_served_whatever_came_with_it(start_mount, start_emulator):
    emulator = start_emulator("--max-keys", "1000")
    proxy = Altered(emulator.port)
    mount = start_mount(proxy.url, request_timeout="5s")
    worker, keys = a_worker_of(mount), set()
    for name in (*SIDES, "New"):
        for kind, value in TYPES.items():
            proxy.change = lambda operation, answer: operation == "CreateClientKey" and put(answer, name, value)
            mount.write("payments", PASSWORD)
            key = mount.key_id()
            assert key not in keys, (name, kind)
            keys.add(key)
            assert mount.read("payments", "key_algorithm").strip() in ("RSA_2048", "x"), (name, kind)
            assert mount.status("payments")["State"] == "active", (name, kind)
    assert a_worker_of(mount) == worker
    assert mount.status("payments")["Rejected"] == mount.status("payments")["Orphans"] == []
    assert emulator.count("CreateClientKey") == len(keys)
    proxy.close()


@pytest.mark.full
def test_a_key_without_dates_that_was_asked_for_without_any(start_mount, altered):
    altered.change = lambda operation, answer: [put(answer, name, None) for name in SIDES]
    mount = start_mount(altered.url, defaults="validity = kms")
    mount.write("payments", PASSWORD)
    assert int(mount.read("payments", "not_after")[:4]) == int(mount.read("payments", "not_before")[:4]) + 5


@pytest.mark.full
def test_a_creation_without_its_key_is_told_and_settled(start_mount, start_emulator):
    emulator = start_emulator("--max-keys", "1000")
    proxy = Altered(emulator.port)
    mount = start_mount(proxy.url, request_timeout="5s")
    worker = a_worker_of(mount)
    types = {kind: value for kind, value in TYPES.items() if kind != "text"}  # which would be an id
    for name in ("ClientKeyId", "PrivateKeyData"):
        for kind, value in types.items():
            proxy.change = lambda operation, answer: operation == "CreateClientKey" and put(answer, name, value)
            assert result_of(mount, PASSWORD) == errno.EKEYREJECTED, (name, kind)
            assert mount.last_error()["Code"], (name, kind)
    proxy.change = lambda operation, answer: None
    mount.write(".aapfs", "sync")
    status = mount.status("payments")
    assert len(status["Rejected"]) + len(status["Orphans"]) == emulator.count("CreateClientKey") == 2 * len(types)
    assert a_worker_of(mount) == worker
    proxy.close()


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
    mount.write(".aapfs", "sync")
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


@pytest.mark.parametrize("change", [{"ApplicationAccessPoints": None}, {"ApplicationAccessPoints": ..., "TotalCount": ...},
                                    {"ApplicationAccessPoints": {}, "RequestId": None, "TotalCount": None}])
def test_an_account_without_aaps_is_no_error(start_mount, start_emulator, change):
    emulator = start_emulator(aaps=())
    proxy = Altered(emulator.port, lambda operation, answer: [put(answer, name, value) for name, value in change.items()])
    mount = start_mount(proxy.url)
    assert mount.status()["LastSync"] and mount.last_error(".aapfs") is None
    proxy.close()


def test_aaps_without_their_total_are_shown_and_none_goes(start_mount, emulator, altered):
    mount = start_mount(altered.url)
    assert (mount / "orders").is_dir()

    def change(operation, answer):
        if operation == "ListApplicationAccessPoints":
            answer["TotalCount"] = None
            items = answer["ApplicationAccessPoints"]["ApplicationAccessPoint"]
            items[:] = [item for item in items if item["Name"] == "payments"]

    altered.change = change
    mount.write(".aapfs", "sync")
    assert (mount / "orders").is_dir() and mount.last_error(".aapfs") is None
