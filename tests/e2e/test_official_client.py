"""Alibaba Cloud's own clients judge: the emulator answers them, and aapfs signs as they do."""
import base64
import json
import pathlib
import subprocess

import pytest
from cryptography.hazmat.primitives.serialization import pkcs12

from harness import ACCESS_KEY_ID, ACCESS_KEY_SECRET, PASSWORD

HERE = pathlib.Path(__file__).parent / "official"
SPECIALS = "~!@#$%^&*?_-"


@pytest.fixture(scope="session", autouse=True)
def clients():
    """Installed as package-lock.json says, once."""
    if not (HERE / "node_modules/.package-lock.json").exists():
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=HERE, check=True,
                       capture_output=True)


def node(script, *words, given):
    done = subprocess.run(["node", HERE / script, *words], input=json.dumps(given), capture_output=True,
                          text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.parametrize("client", ["openapi-client", "openapi-core", "pop-core"])
def test_the_emulator_answers_the_official_client(emulator, client):
    def call(*calls, secret=ACCESS_KEY_SECRET):
        return node("client.js", client, f"127.0.0.1:{emulator.port}", ACCESS_KEY_ID, secret, given=calls)

    aap, key, listed = call(
        ["CreateApplicationAccessPoint", "POST", {"Name": "from_sdk", "Policies": '["a"]'}],
        ["CreateClientKey", "POST", {"AapName": "from_sdk", "Password": PASSWORD + SPECIALS}],
        ["ListClientKeys", "GET", {"AapName": "from_sdk"}])
    assert aap["body"]["Name"] == "from_sdk"
    loaded = pkcs12.load_key_and_certificates(base64.b64decode(key["body"]["PrivateKeyData"]),
                                              (PASSWORD + SPECIALS).encode())
    assert loaded[0].key_size == 2048
    identifier = key["body"]["ClientKeyId"]
    assert [one["ClientKeyId"] for one in listed["body"]["ClientKeys"]] == [identifier]
    got, aaps, deleted, gone, refused = call(
        ["GetClientKey", "GET", {"ClientKeyId": identifier}],
        ["ListApplicationAccessPoints", "POST", {"PageNumber": "1", "PageSize": "100"}],
        ["DeleteClientKey", "POST", {"ClientKeyId": identifier}],
        ["GetClientKey", "GET", {"ClientKeyId": identifier}],
        ["CreateClientKey", "POST", {"AapName": "from_sdk", "Password": "short"}])
    assert got["body"]["AapName"] == "from_sdk"
    assert aaps["body"]["TotalCount"] == 3
    assert list(deleted["body"]) == ["RequestId"]
    assert "Forbidden.ResourceNotFound" in gone["code"]
    assert "InvalidParameter" in refused["code"]
    wrong, = call(["ListApplicationAccessPoints", "POST", {}], secret="wrong")
    assert "SignatureDoesNotMatch" in wrong["code"]


def test_aapfs_signs_as_the_official_client_does(mount, emulator):
    passwords = ["Abcdefg1" + SPECIALS]
    for special in SPECIALS:
        passwords += [special + "abcdefg1", "abcdefg1" + special, special * 7 + "1"]
    for password in passwords:
        mount.write("payments", password)
    mount.write("payments", f"delete {sorted(set(key_ids(mount)) - {mount.key_id()})[0]}")
    records = emulator.records()
    assert sum(["x-acs-action", "CreateClientKey"] in record["Headers"] for record in records) == 37
    assert {dict(map(tuple, record["Headers"]))["x-acs-action"] for record in records} == {
        "CreateClientKey", "DeleteClientKey", "DescribeApplicationAccessPoint", "ListApplicationAccessPoints",
        "ListClientKeys"}
    expected = node("authorization.js",
                    given={"requests": records, "id": ACCESS_KEY_ID, "secret": ACCESS_KEY_SECRET})
    sent = [value for record in records for name, value in record["Headers"]
            if name.lower() == "authorization"]
    assert sent == expected


def key_ids(mount):
    return [path.name for path in (mount / "payments/keys").iterdir()]
