"""State directories and accounts of thousands of AAPs in seconds: each client key is a copy of one that KMS made."""
import hashlib
import json
import shutil
import types

from parts.harness import PASSWORD, Emulator, Mount
from parts.sealed import Seal
from parts.times import DAY, text_of

VALIDITY = 365 * DAY
KEYS = 3  # of each AAP: KMS's quota


def begin_of(aap, key_id, due):
    """The NotBefore of a key that is to be replaced at DUE: by rotate_at, 66% of its time, less its own part of 6%."""
    seed = int.from_bytes(hashlib.sha256(f"{aap}\0{key_id}".encode()).digest()[:4], "big")
    return due - VALIDITY // 100 * 66 + (VALIDITY // 100 * 6 * seed >> 32)


class Original:
    """The one key, and the state directory of its mount, in which nothing else is."""

    def __init__(self, place, pool_file):
        place.mkdir()
        emulator = Emulator(place, aaps=["original"], pool_file=pool_file)
        mount = Mount(place, emulator.url, request_timeout="30s")
        mount.write("original", PASSWORD)
        seal, key_id = Seal(mount), mount.key_id("original")
        self.state, self.state_key = mount.state, mount.state_key
        self.record, self.forms = seal.record("original", key_id), seal.forms("original", key_id)
        self.certificate = mount.read("original", "certificate.pem")
        mount.stop()
        emulator.stop()
        shutil.rmtree(seal.store / "original")

    def copy(self, place, aaps):
        """
        In PLACE: a state directory, what its emulator begins with, and each AAP's keys, the oldest first. AAPS says when
        each one's current key is due; the others were superseded and have not expired.
        """
        state, account_file, keys = place / "state", place / "account.json", {}
        account = {"ApplicationAccessPoints": {}, "ClientKeys": {}}
        shutil.copytree(self.state, state)
        seal = Seal(types.SimpleNamespace(state=state, state_key=self.state_key))
        for number, (aap, due) in enumerate(aaps.items()):
            account["ApplicationAccessPoints"][aap] = {"Name": aap, "Policies": "[]", "Description": "",
                                                       "AuthenticationMethod": "ClientKey"}
            keys[aap] = [f"KAAP.{number:08x}-0000-4000-8000-{i:012x}" for i in range(KEYS)]
            for i, key_id in enumerate(keys[aap]):
                begin = begin_of(aap, keys[aap][-1], due) - (KEYS - 1 - i) * 30 * DAY
                self.write(seal, aap, key_id, begin, KEYS * number + i + 1)
                account["ClientKeys"][key_id] = {
                    "ClientKeyId": key_id, "CreateTime": text_of(begin), "PublicKeyData": self.certificate,
                    "KeyAlgorithm": "RSA_2048", "NotBefore": text_of(begin), "NotAfter": text_of(begin + VALIDITY),
                    "KeyOrigin": "KMS_PROVIDED", "AapName": aap}
            note = seal.store / aap / ".told"
            note.touch(0o600)
            note.write_text(json.dumps({"ClientKeyId": keys[aap][-1], "Time": begin}))
        account_file.write_text(json.dumps(account))
        return state, account_file, keys

    def write(self, seal, aap, key_id, begin, intent):
        seal.write_record(aap, key_id, {**self.record, "NotBefore": text_of(begin), "NotAfter": text_of(begin + VALIDITY),
                                        "MadeNs": begin * 10**9 + intent, "Asked": begin, "Intent": intent})
        seal.write_forms(aap, key_id, self.forms)
