"""Every code that KMS and its gateway answer, to a creation, a deletion and a read of a mount: errno, requests, last_error."""
import collections
import concurrent.futures
import errno
import json
import pathlib
import threading
import urllib.parse

import pytest

from parts.harness import PASSWORD, Mount
from parts.kms import ACCOUNT, adoption, ask, make_key
from parts.odd_server import OddServer, answer_bytes

DATA = pathlib.Path(__file__).parents[1] / "data/kms-errors.txt"
ROWS = [line.split() for line in DATA.read_text().splitlines() if line[0] != "#"]
ATTEMPTS = 4
SENT = {  # how often at the most, by what is sent again: creation, deletion, read
    "none": (1, 1, 1),
    "reads": (1, 1, 2),
    "harmless": (1, ATTEMPTS, ATTEMPTS),
    "all": (ATTEMPTS, ATTEMPTS, ATTEMPTS),
}


def aap_of(code, status):
    return f"{code}-{status}"


class ErrorServer(OddServer):
    """
    A KMS where each AAP is named after the error that it answers with: to CreateClientKey, and to DeleteClientKey and
    GetClientKey of KAAP.NAME, which is listed.
    """

    def __init__(self, names, certificate):
        super().__init__(self.answer_kms)
        self.names, self.certificate = names, certificate
        self.counts = collections.Counter()
        self.lock = threading.Lock()

    def answer_kms(self, handler):
        operation = handler.headers["x-acs-action"]
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(handler.path).query))
        status, answer = 200, {"RequestId": "an-id"}
        if operation == "ListApplicationAccessPoints":
            start = (int(query["PageNumber"]) - 1) * int(query["PageSize"])
            page = self.names[start:start + int(query["PageSize"])]
            answer |= {"TotalCount": len(self.names), "ApplicationAccessPoints": {"ApplicationAccessPoint": [
                {"Name": name, "AuthenticationMethod": "ClientKey"} for name in page]}}
        elif operation == "DescribeApplicationAccessPoint":
            name = query["Name"]
            answer |= {"Name": name, "Arn": f"acs:kms:cn-hangzhou:{ACCOUNT}:applicationaccesspoint/{name}"}
        elif operation == "ListClientKeys":
            answer |= {"ClientKeys": [{
                "ClientKeyId": f"KAAP.{query['AapName']}", "AapName": query["AapName"], "KeyAlgorithm": "RSA_2048",
                "CreateTime": "2020-01-01T00:00:00Z", "NotBefore": "2020-01-01T00:00:00Z", "NotAfter": "2040-01-01T00:00:00Z",
                "KeyOrigin": "KMS_PROVIDED", "PublicKeyData": self.certificate}]}
        else:
            name = query.get("AapName") or query["ClientKeyId"].removeprefix("KAAP.")
            code, status = name.rsplit("-", 1)
            with self.lock:
                self.counts[operation, name] += 1
            answer |= {"Code": code, "Message": f"What {code} says.", "HostId": "kms"}
        date = handler.date_time_string()
        answer_bytes(json.dumps(answer), f"{status} Said", f"Date: {date}\r\n")(handler)


@pytest.fixture
def server(emulator):
    """With a key of the emulator's, of which a copy is adopted."""
    made = make_key(emulator)
    listed, = ask(emulator, "ListClientKeys", ("AapName", "payments"))["ClientKeys"]
    server = ErrorServer([aap_of(code, status) for code, status, *_ in ROWS], listed["PublicKeyData"])
    server.private_key_data = made["PrivateKeyData"]
    yield server
    server.stop()


def commands(server, name):
    return {
        "CreateClientKey": PASSWORD,
        "DeleteClientKey": f"delete-foreign KAAP.{name}",
        "GetClientKey": adoption({"ClientKeyId": f"KAAP.{name}", "PrivateKeyData": server.private_key_data}),
    }


def check(server, mount, row, operations=("CreateClientKey", "DeleteClientKey", "GetClientKey")):
    """What is wrong with one row, as words."""
    code, status, name, again = row
    aap = aap_of(code, status)
    wrong = []
    for position, operation in enumerate(operations):
        number = 0
        try:
            mount.write(aap, commands(server, aap)[operation])
        except OSError as error:
            number = error.errno
        expected = errno.errorcode[number] if number else "0"
        sent, most = server.counts[operation, aap], SENT[again][position]
        # what KMS, beyond doubt, does not know is deleted
        gone = operation == "DeleteClientKey" and code in ("Forbidden.ResourceNotFound", "Forbidden.KeyNotFound")
        if expected != ("0" if gone else name):
            wrong.append(f"{row} {operation}: {expected}")
        if sent != most:
            wrong.append(f"{row} {operation}: sent {sent} times")
        if gone:
            continue
        failure = mount.last_error(aap)
        if (failure["Operation"], failure["Code"], failure["Message"], failure["RequestId"], failure["HttpStatus"],
                failure["Errno"]) != (operation, code, f"What {code} says.", "an-id", int(status), name):
            wrong.append(f"{row} {operation}: {failure}")
    return wrong


def is_throttling(row):
    return "Throttling" in row[0] or row[1] == "429"


@pytest.mark.full
def test_every_code_has_its_errno_its_retries_and_its_last_error(start_mount, server):
    mount = start_mount(server.url, request_timeout="8s", settings="requests_per_second = 1000")
    mount.sync()  # the keys are listed
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        wrong = sum(pool.map(lambda row: check(server, mount, row), [row for row in ROWS if not is_throttling(row)]), [])
    assert not wrong


@pytest.mark.full
def test_every_code_for_the_rate(server, tmp_path):
    """Each on a mount of its own, which it slows."""
    rows = [row for row in ROWS if is_throttling(row)]
    assert len(rows) == 5

    def on_its_own(row):
        directory = tmp_path / aap_of(*row[:2])
        directory.mkdir()
        mount = Mount(directory, server.url, request_timeout="8s", settings=f"aaps = {aap_of(*row[:2])}")
        try:
            return check(server, mount, row, ["CreateClientKey"])
        finally:
            mount.stop()

    with concurrent.futures.ThreadPoolExecutor(len(rows)) as pool:
        assert not sum(pool.map(on_its_own, rows), [])
