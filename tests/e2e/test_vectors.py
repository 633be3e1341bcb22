"""Requests as the vendor's own clients put them on the wire: the emulator accepts each as it was captured."""
import json
import pathlib
import socket

import pytest

from parts.harness import Emulator
from parts.starter import starter

FILE = pathlib.Path(__file__).parents[1] / "data/signature-vectors.json"
VECTORS = json.loads(FILE.read_text())["vectors"]
REFUSALS = {"SignatureDoesNotMatch", "IncompleteSignature", "InvalidTimeStamp.Expired", "InvalidTimeStamp.Format",
            "InvalidAccessKeyId.NotFound", "SignatureNonceUsed"}


def send(port, vector):
    """As captured, byte for byte; the answer's Code, None for a success."""
    request = vector["request"]
    headers = request["headers"]
    lines = [f"{request['method']} {request['target']} HTTP/1.1"]
    lines += [f"{headers[i]}: {headers[i + 1]}" for i in range(0, len(headers), 2) if headers[i].lower() != "connection"]
    body = request["body"].encode()
    if body and not any(line.lower().startswith("content-length:") for line in lines):  # it went out in chunks
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    data = "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(data)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return json.loads(answer.split(b"\r\n\r\n", 1)[1]).get("Code")


@pytest.fixture
def start(tmp_path, pool_file, monkeypatch):
    def begin(vector, secret=None):
        monkeypatch.setattr("parts.harness.ACCESS_KEY_ID", vector["accessKeyId"])
        monkeypatch.setattr("parts.harness.ACCESS_KEY_SECRET", secret or vector["accessKeySecret"])
        return Emulator(tmp_path, "--clock", "2026-11-24T03:46:30Z", pool_file=pool_file, aaps=("aap_test",))

    yield from starter(begin, Emulator.stop)


def by_access_key():
    """Each access key's requests: the emulator knows one key."""
    keys = sorted({one["accessKeyId"] for one in VECTORS})
    assert len(VECTORS) == 20 and len(keys) == 2
    return [[one for one in VECTORS if one["accessKeyId"] == key] for key in keys]


@pytest.mark.core
def test_each_is_accepted_once(start):
    for vectors in by_access_key():
        emulator = start(vectors[0])
        first = {one["name"]: send(emulator.port, one) for one in vectors}
        assert not REFUSALS & set(first.values()), first
        assert {send(emulator.port, one) for one in vectors} == {"SignatureNonceUsed"}


def test_with_another_secret_each_is_refused(start):
    for vectors in by_access_key():
        emulator = start(vectors[0], secret="another")
        assert {send(emulator.port, one) for one in vectors} == {"SignatureDoesNotMatch"}


def test_an_answer_as_xml_is_refused_clearly(start):
    vector = json.loads(json.dumps(next(one for one in VECTORS if one["signature_version"].startswith("V2"))))
    vector["request"]["body"] = vector["request"]["body"].replace("Format=JSON", "Format=XML+")
    assert send(start(vector).port, vector) == "UnsupportedParameter.Format"
