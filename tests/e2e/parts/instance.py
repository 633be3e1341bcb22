"""Requests to a KMS instance, written apart from the emulator: what they disagree about, one of them has wrong."""
import base64
import email.utils
import hashlib
import http.client

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import pkcs12


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7f | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def message(*fields):
    """(number, text, bytes or integer), one after the other."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def fields(data):
    """number: the values that came, as bytes or integers."""
    found, at = {}, 0

    def read():
        nonlocal at
        number = shift = 0
        while True:
            byte = data[at]
            at += 1
            number |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return number

    while at < len(data):
        key = read()
        value = read()
        if key & 7 == 2:
            value, at = data[at:at + value], at + value
        found.setdefault(key >> 3, []).append(value)
    assert at == len(data)
    return found


class ClientKey:
    def __init__(self, answer, password):
        """ANSWER: CreateClientKey's, or client_key.json's object."""
        self.id = answer.get("ClientKeyId") or answer["KeyId"]
        self.key, self.certificate, _ = pkcs12.load_key_and_certificates(
            base64.b64decode(answer["PrivateKeyData"]), password.encode())


class Request:
    """A signed request whose parts can be changed before or (signed=False) after it is signed."""

    def __init__(self, client_key, operation="GetSecretValue", body=None, moment=None):
        self.client_key, self.method, self.url = client_key, "POST", "/"
        self.body = message((1, "db")) if body is None else body
        self.headers = {
            "accept": "application/x-protobuf",
            "content-type": "application/x-protobuf",
            "date": email.utils.formatdate(moment, usegmt=True),
            "content-sha256": hashlib.sha256(self.body).hexdigest().upper(),
            "x-kms-apiname": operation,
            "x-kms-apiversion": "dkms-gcs-0.2",
            "x-kms-signaturemethod": "RSA_PKCS1_SHA_256",
            "x-kms-acccesskeyid": client_key.id,
        }

    def signature(self):
        lines = [self.method, *(self.headers.get(name, "") for name in ("content-sha256", "content-type", "date"))]
        lines += sorted(f"{name}:{value.strip()}" for name, value in self.headers.items() if name.startswith("x-kms-"))
        text = "\n".join([*lines, "/"])
        return self.client_key.key.sign(text.encode("latin-1"), padding.PKCS1v15(), hashes.SHA256())

    def sign(self):
        self.headers["authorization"] = "Bearer " + base64.b64encode(self.signature()).decode()
        return self

    def send(self, port):
        """(status, fields of the answer)"""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.putrequest(self.method, self.url, skip_accept_encoding=True)
        for name, value in self.headers.items():
            connection.putheader(name, value.encode("latin-1"))
        connection.putheader("content-length", str(len(self.body)))
        connection.endheaders(self.body)
        answer = connection.getresponse()
        assert answer.getheader("content-type") == "application/x-protobuf"
        result = answer.status, fields(answer.read())
        connection.close()
        return result

    def outcome(self, port):
        """The secret, or (status, code)."""
        status, answer = self.send(port)
        if status == 200:
            return answer[3][0].decode()
        assert answer[1] == [status] and answer[4][0]
        return status, answer[2][0].decode()
