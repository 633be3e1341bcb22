"""KMS as somebody else of the same account uses it."""
import json

from parts.harness import ACCESS_KEY_ID, ACCESS_KEY_SECRET, PASSWORD
from parts.v3 import Request
from parts.watch import Watch

ACCOUNT = "1192853035110000"


def send(emulator, operation, *query, moment=None):
    """(status, answer)"""
    method = "GET" if operation.startswith(("List", "Get")) else "POST"
    return Request(f"127.0.0.1:{emulator.port}", operation, query, method=method, key_id=ACCESS_KEY_ID, secret=ACCESS_KEY_SECRET,
                   moment=emulator.now() if moment is None else moment).send(emulator.port)


def ask(emulator, operation, *query):
    status, answer = send(emulator, operation, *query)
    assert status == 200, answer
    return answer


def keys_of(emulator, aap="payments"):
    """Id -> (NotBefore, NotAfter)."""
    listed = ask(emulator, "ListClientKeys", ("AapName", aap))["ClientKeys"]
    return {key["ClientKeyId"]: (key["NotBefore"], key["NotAfter"]) for key in listed}


def make_key(emulator, aap="payments", password=PASSWORD, **dates):
    return ask(emulator, "CreateClientKey", ("AapName", aap), ("Password", password), *dates.items())


def adoption(made, password=PASSWORD, **other):
    """What is written to a control to adopt it."""
    return json.dumps({"KeyId": made["ClientKeyId"], "PrivateKeyData": made["PrivateKeyData"], "Password": password,
                       **other}, separators=(",", ":"))


def delete_key(emulator, key_id):
    ask(emulator, "DeleteClientKey", ("ClientKeyId", key_id))


def make_aap(emulator, name):
    ask(emulator, "CreateApplicationAccessPoint", ("Name", name), ("Policies", "[]"))


def delete_aap(emulator, name):
    ask(emulator, "DeleteApplicationAccessPoint", ("Name", name))


def wait_for_request(emulator, operation="CreateClientKey", more_than=0):
    """Until the emulator has counted one: its record file grows when a request arrives."""
    with Watch(["inotifywait", "-q", "-m", "-e", "modify", emulator.record_file]) as watch:
        watch.until_true(lambda: emulator.count(operation) > more_than, why=f"no {operation}")
