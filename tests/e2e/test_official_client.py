"""Alibaba Cloud's own clients judge: the emulator answers them, and aapfs signs as they do."""
import base64
import time

import pytest
from cryptography.hazmat.primitives.serialization import pkcs12

from parts.harness import ACCESS_KEY_ID, ACCESS_KEY_SECRET, PASSWORD
from parts.official import node
from parts.times import text_of

SPECIALS = "~!@#$%^&*?_-"


V4 = [pytest.param(client, marks=pytest.mark.full) for client in ("openapi-client-v4", "openapi-core-v4")]
CLIENTS = ["openapi-client", "openapi-core", "pop-core", *V4]
KEY = {"ClientKeyId": "$ClientKeyId"}


HTTP_IN_FULL = [pytest.param("http", marks=pytest.mark.full), "https"]
HTTPS_IN_FULL = ["http", pytest.param("https", marks=pytest.mark.full)]


@pytest.fixture
def served(request, start_emulator, tmp_path):
    """An emulator, and the CA that is to be trusted."""
    if request.param == "http":
        return start_emulator(), None
    return start_emulator("--tls-self-signed", tmp_path / "tls"), tmp_path / "tls/ca.pem"


@pytest.mark.parametrize("served", HTTP_IN_FULL, indirect=True)
@pytest.mark.parametrize("client", CLIENTS)
def test_the_official_client_runs_every_operation(served, client):
    emulator, authority = served
    password = PASSWORD + (SPECIALS if "v4" not in client else SPECIALS.replace("!", ""))  # which V4's does not encode
    aap, updated, described, key, listed, got, aaps, deleted, gone, refused, aap_deleted, aap_gone, unknown = node(
        "client.js", client, emulator.url, ACCESS_KEY_ID, ACCESS_KEY_SECRET, authority=authority, given=[
            ["CreateApplicationAccessPoint", "POST", {"Name": "from_sdk", "Policies": '["a"]'}],
            ["UpdateApplicationAccessPoint", "POST", {"Name": "from_sdk", "Description": "new words"}],
            ["DescribeApplicationAccessPoint", "POST", {"Name": "from_sdk"}],
            ["CreateClientKey", "POST", {"AapName": "from_sdk", "Password": password}],
            ["ListClientKeys", "GET", {"AapName": "from_sdk"}],
            ["GetClientKey", "GET", KEY],
            ["ListApplicationAccessPoints", "POST", {"PageNumber": "1", "PageSize": "100"}],
            ["DeleteClientKey", "POST", KEY],
            ["GetClientKey", "GET", KEY],
            ["CreateClientKey", "POST", {"AapName": "from_sdk", "Password": "short"}],
            ["DeleteApplicationAccessPoint", "POST", {"Name": "from_sdk"}],
            ["DescribeApplicationAccessPoint", "POST", {"Name": "from_sdk"}],
            ["NoSuchOperation", "POST", {}]])
    assert aap["body"]["Name"] == described["body"]["Name"] == "from_sdk"
    assert described["body"]["Description"] == "new words"
    loaded = pkcs12.load_key_and_certificates(base64.b64decode(key["body"]["PrivateKeyData"]), password.encode())
    assert loaded[0].key_size == 2048
    assert [one["ClientKeyId"] for one in listed["body"]["ClientKeys"]] == [key["body"]["ClientKeyId"]]
    assert got["body"]["AapName"] == "from_sdk"
    assert aaps["body"]["TotalCount"] == 3
    assert list(deleted["body"]) == list(aap_deleted["body"]) == list(updated["body"]) == ["RequestId"]
    assert code(gone) == code(aap_gone) == "Forbidden.ResourceNotFound"
    assert code(refused) == "InvalidParameter"
    assert code(unknown) == "InvalidApi.NotFound"


def code(result):
    """openapi-core says which class of errors a code is of, too."""
    return result["code"].removesuffix("Error")


@pytest.mark.parametrize("served", HTTPS_IN_FULL, indirect=True)
@pytest.mark.parametrize("client", CLIENTS)
def test_the_official_client_is_refused_with_the_right_code(served, client):
    emulator, authority = served
    stale = text_of(time.time() - 16 * 60)
    ask = ["ListApplicationAccessPoints", "POST", {}]
    good, again, wrong, late, odd = node(
        "client.js", client, emulator.url, ACCESS_KEY_ID, ACCESS_KEY_SECRET, authority=authority, given=[
            [*ask, {"nonce": "a-nonce"}], [*ask, {"nonce": "a-nonce"}], [*ask, {"secret": "wrong"}], [*ask, {"date": stale}],
            [*ask, {"date": "yesterday"}]])
    assert good["body"]["TotalCount"] == 2
    assert [code(one) for one in (again, wrong, late, odd)] == [
        "SignatureNonceUsed", "SignatureDoesNotMatch", "InvalidTimeStamp.Expired", "InvalidTimeStamp.Format"]


@pytest.mark.parametrize("client", CLIENTS)
def test_the_official_client_does_not_trust_the_emulator_by_itself(start_emulator, tmp_path, client):
    emulator = start_emulator("--tls-self-signed", tmp_path / "tls")
    refused, = node("client.js", client, emulator.url, ACCESS_KEY_ID, ACCESS_KEY_SECRET,
                    given=[["ListApplicationAccessPoints", "POST", {}]])
    assert "body" not in refused


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
