#!/usr/bin/python3
"""
Reads secrets from a KMS instance with the client key of an AAP, and goes on with the new key after a rotation. Names of
secrets come from standard input, a line each.

    echo db | application.py /run/aap/payments https://kst-hzz1234.cryptoservice.kms.aliyuncs.com PASSWORD_FILE

Without PASSWORD_FILE the password is the key's own, which is there with expose_password = yes. The instance's CA is taken
from SSL_CERT_FILE. Needs python3-cryptography.
"""
import base64
import email.utils
import hashlib
import json
import os
import sys
import urllib.error
import urllib.request

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import pkcs12


class ClientKey:
    """The current client key, loaded again when the file is another one."""

    def __init__(self, directory, password_file=None):
        self.directory, self.password_file, self.identity = directory, password_file, None
        self.refresh()

    def refresh(self):
        """A stat(2) that the kernel answers: cheap enough before each use."""
        found = os.stat(os.path.join(self.directory, "client_key.json"))
        identity = found.st_ino, found.st_mtime_ns
        if identity == self.identity:
            return
        # `current` leads to one key's own directory: what is read there belongs together
        current = os.path.realpath(os.path.join(self.directory, "current"))
        with open(os.path.join(current, "client_key.json"), encoding="ascii") as file:
            content = json.load(file)
        with open(self.password_file or os.path.join(current, "password"), "rb") as file:
            password = file.read().rstrip(b"\n")
        self.id = content["KeyId"]
        self.key = pkcs12.load_key_and_certificates(base64.b64decode(content["PrivateKeyData"]), password)[0]
        self.identity = identity

    def sign(self, text):
        return base64.b64encode(self.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()


def read_number(data, at):
    number = shift = 0
    while True:
        number |= (data[at] & 0x7f) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            return number, at


def read_message(data):
    """A message of Protocol Buffers that has texts and numbers, as {field: value}."""
    fields, at = {}, 0
    while at < len(data):
        key, at = read_number(data, at)
        value, at = read_number(data, at)
        if key & 7 == 2:
            value, at = data[at:at + value].decode(), at + value
        fields[key >> 3] = value
    return fields


def get_secret_value(endpoint, client_key, name):
    encoded = name.encode()
    body = bytes([0x0a, len(encoded)]) + encoded  # field 1, SecretName, of less than 128 bytes
    headers = {
        "x-kms-acccesskeyid": client_key.id,  # three c's are right
        "x-kms-apiname": "GetSecretValue",
        "x-kms-apiversion": "dkms-gcs-0.2",
        "x-kms-signaturemethod": "RSA_PKCS1_SHA_256",
    }
    digest = hashlib.sha256(body).hexdigest().upper()
    date = email.utils.formatdate(usegmt=True)
    signed = [f"{header}:{value}" for header, value in sorted(headers.items())]
    text = "\n".join(["POST", digest, "application/x-protobuf", date, *signed, "/"])
    request = urllib.request.Request(endpoint, data=body, method="POST", headers={
        **headers, "accept": "application/x-protobuf", "content-type": "application/x-protobuf", "date": date,
        "content-sha256": digest, "authorization": "Bearer " + client_key.sign(text)})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return f"{name} = {read_message(answer.read())[3]} ({client_key.id})"
    except urllib.error.HTTPError as error:
        fields = read_message(error.read())
        return f"{name} failed: {fields.get(2)}: {fields.get(3)} ({client_key.id})"
    except urllib.error.URLError as error:
        return f"{name} failed: {error.reason}"


def main(directory, endpoint, password_file=None):
    client_key = ClientKey(directory, password_file)
    for line in sys.stdin:
        client_key.refresh()
        print(get_secret_value(endpoint, client_key, line.rstrip("\n")), flush=True)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: application.py DIRECTORY ENDPOINT [PASSWORD_FILE]")
    main(*sys.argv[1:])
