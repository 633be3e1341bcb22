"""The files of the store, written apart from fs/store/envelope.c: what they disagree about, one of them has wrong."""
import json
import os
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

RECORD, FORMS = b"aapfs-key-1\n", b"aapfs-forms-1\n"


class Seal:
    def __init__(self, mount, account="1192853035110000", region="cn-hangzhou"):
        self.key = AESGCM(bytes.fromhex(mount.state_key.read_text()))
        self.owner = f"{account}\0{region}\0".encode()
        self.store = mount.state / f"{region}-{account}"

    def head(self, magic, aap, key_id):
        header = json.dumps({"AapName": aap, "ClientKeyId": key_id}, separators=(",", ":")).encode()
        return magic + struct.pack(">I", len(header)) + header

    def open(self, magic, path, aap, key_id):
        head, text = self.head(magic, aap, key_id), path.read_bytes()
        assert text.startswith(head)
        text = text[len(head):]
        return self.key.decrypt(text[:12], text[12:], self.owner + head)

    def close(self, magic, path, aap, key_id, body):
        head, nonce = self.head(magic, aap, key_id), os.urandom(12)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_bytes(head + nonce + self.key.encrypt(nonce, body, self.owner + head))
        path.chmod(0o600)

    def record(self, aap, key_id):
        return json.loads(self.open(RECORD, self.store / aap / key_id, aap, key_id))

    def write_record(self, aap, key_id, record):
        self.close(RECORD, self.store / aap / key_id, aap, key_id, json.dumps(record).encode())

    def forms(self, aap, key_id):
        return self.open(FORMS, self.store / aap / f".{key_id}.forms", aap, key_id)

    def write_forms(self, aap, key_id, forms):
        self.close(FORMS, self.store / aap / f".{key_id}.forms", aap, key_id, forms)
