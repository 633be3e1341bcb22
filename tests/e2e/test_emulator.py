"""The emulator's signature check, parameters and quotas, asked by a signer of its own."""
import base64
import datetime
import json
import socket
import ssl
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import pkcs12

from parts import v2
from parts.harness import ACCESS_KEY_ID, ACCESS_KEY_SECRET, EMULATOR, PASSWORD, Emulator, environment
from parts.kms import make_key, send
from parts.times import moment_of
from parts.v3 import Request


@pytest.fixture
def ask(emulator):
    def make(operation, query=(), send=True, **parts):
        parts = {"key_id": ACCESS_KEY_ID, "secret": ACCESS_KEY_SECRET, **parts}
        request = Request(f"127.0.0.1:{emulator.port}", operation, query, **parts)
        return request.send(emulator.port) if send else request
    return make


def create(ask, password=PASSWORD, aap="payments", **dates):
    return ask("CreateClientKey", [("AapName", aap), ("Password", password), *dates.items()])


def flip(text):
    """One byte changed, the length kept."""
    return chr(ord(text[-1]) ^ 1) if len(text) == 1 else text[:-1] + ("1" if text[-1] == "0" else "0")


def test_a_good_signature_is_accepted(ask):
    assert create(ask)[0] == 200
    assert ask("ListClientKeys", [("AapName", "payments")], method="GET")[0] == 200


SIGNED = ["method", "query name", "query value", "host", "x-acs-action", "x-acs-version", "x-acs-date",
          "x-acs-signature-nonce", "x-acs-content-sha256", "content-type", "body", "added x-acs header",
          "SignedHeaders", "Signature"]


@pytest.mark.parametrize("part", SIGNED)
def test_a_byte_changed_in_a_signed_part_is_refused(ask, emulator, part):
    request = ask("CreateApplicationAccessPoint", [("Name", "fresh"), ("Policies", "[]")], send=False,
                  body=b"Description=x", content_type="application/x-www-form-urlencoded")
    if part == "method":
        request.method = "GET"
    elif part == "query name":
        request.query[0] = ("Names", "fresh")
    elif part == "query value":
        request.query[0] = ("Name", "fresj")
    elif part == "host":
        request.host = request.host.replace("127.0.0.1", "127.0.0.2")
    elif part == "x-acs-action":
        request.headers["x-acs-action"] = "ListApplicationAccessPoints"
    elif part == "body":
        request.body = b"Description=y"
    elif part == "added x-acs header":
        request.headers["x-acs-retry-attempts"] = "1"
    elif part == "SignedHeaders":
        request.authorization = request.authorization.replace("host;", "hosu;")
    elif part == "Signature":
        request.authorization = flip(request.authorization)
    else:
        request.headers[part] = flip(request.headers[part])
    status, answer = request.send(emulator.port)
    expected = "InvalidTimeStamp.Format" if part == "x-acs-date" else "SignatureDoesNotMatch"
    assert (status, answer["Code"]) == (400, expected)
    assert sorted(answer) == ["Code", "HostId", "Message", "Recommend", "RequestId"]
    assert ask("DescribeApplicationAccessPoint", [("Name", "fresh")])[0] == 404


def test_each_byte_of_a_query_is_signed(ask, emulator):
    request = ask("CreateClientKey", [("AapName", "payments"), ("Password", "A~!@#$%^&*?_-9z")], send=False)
    good = request.query[1][1]
    for position in range(len(good)):
        request.query[1] = ("Password", good[:position] + "x" + good[position + 1:])
        assert request.send(emulator.port)[1]["Code"] == "SignatureDoesNotMatch"
    request.query[1] = ("Password", good)
    assert request.send(emulator.port)[0] == 200


@pytest.mark.parametrize("name", ["accept", "user-agent", "connection", "x-other"])
def test_unsigned_headers_may_change(ask, emulator, name):
    request = ask("ListApplicationAccessPoints", send=False)
    request.unsigned[name] = "close" if name == "connection" else "changed"
    assert request.send(emulator.port)[0] == 200


def test_the_query_is_decoded_encoded_again_and_sorted(ask, emulator):
    request = ask("CreateClientKey", [("AapName", "payments"), ("Password", "abc-defg~1")], send=False)
    assert request.send(emulator.port, "/?Password=abc%2Ddefg%7e1&AapName=%70ayments")[0] == 200


def test_form_parameters_count_as_well(ask, emulator):
    body = f"AapName=payments&Password={PASSWORD}".encode()
    status, answer = ask("CreateClientKey", body=body, content_type="application/x-www-form-urlencoded")
    assert status == 200 and answer["ClientKeyId"].startswith("KAAP.")


@pytest.mark.parametrize("method, where", [("GET", "query"), ("POST", "query"), ("POST", "form"), ("POST", "both")])
def test_v2_is_taken_from_the_query_and_from_a_form(emulator, method, where):
    words = v2.signed(method, {"Action": "CreateClientKey", "AapName": "payments", "Password": PASSWORD + "~!@#$%^&*?_-"},
                      ACCESS_KEY_ID, ACCESS_KEY_SECRET)
    names = set(words) if where == "form" else {"AapName", "Password"} if where == "both" else set()
    form = {name: words[name] for name in words if name in names}
    query = {name: words[name] for name in words if name not in names}

    def send():
        return v2.send(emulator.port, method, query, form if where != "query" else None)

    status, answer = send()
    assert status == 200 and answer["ClientKeyId"].startswith("KAAP.")
    assert send()[1]["Code"] == "SignatureNonceUsed"
    (form if "Password" in form else query)["Password"] += "x"
    assert send()[1]["Code"] == "SignatureDoesNotMatch"


@pytest.mark.parametrize("query, accept", [([("Format", "XML")], "application/json"), ([], "application/xml")])
def test_xml_asked_for_is_refused_clearly(ask, emulator, query, accept):
    request = ask("ListApplicationAccessPoints", query, send=False)
    request.unsigned["accept"] = accept
    status, answer = request.send(emulator.port)
    assert (status, answer["Code"]) == (400, "UnsupportedParameter.Format") and "Format=JSON" in answer["Message"]


def test_v2_without_a_format_would_be_xml(emulator):
    words = v2.signed("GET", {"Action": "ListApplicationAccessPoints", "Format": "XML"}, ACCESS_KEY_ID, ACCESS_KEY_SECRET)
    assert v2.send(emulator.port, "GET", words)[1]["Code"] == "UnsupportedParameter.Format"
    del words["Format"]
    assert v2.send(emulator.port, "GET", words)[1]["Code"] == "UnsupportedParameter.Format"


def test_denials_are_for_single_operations(ask, emulator):
    emulator.set_faults("DeleteClientKey denied")
    made = create(ask)[1]
    status, answer = ask("DeleteClientKey", [("ClientKeyId", made["ClientKeyId"])])
    assert (status, answer["Code"]) == (403, "Forbidden.NoPermission")
    assert ask("GetClientKey", [("ClientKeyId", made["ClientKeyId"])], method="GET")[0] == 200


def test_a_certificate_of_its_own(tmp_path, pool_file):
    """Clients trust its CA, over any of the names of this machine; the next start has the same one."""
    directory = tmp_path / "tls"
    certificates = []
    for _ in range(2):
        emulator = Emulator(tmp_path, "--tls-self-signed", directory, pool_file=pool_file)
        for host in ("127.0.0.1", "localhost"):
            context = ssl.create_default_context(cafile=directory / "ca.pem")
            context.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python does by itself since 3.13
            with socket.create_connection(("127.0.0.1", emulator.port), timeout=20) as plain:
                with context.wrap_socket(plain, server_hostname=host) as connection:
                    certificates.append(connection.getpeercert(True))
        emulator.stop()
    assert len(set(certificates)) == 1
    assert [(path.name, oct(path.stat().st_mode & 0o777)) for path in sorted(directory.iterdir())] == [
        ("ca.pem", "0o644"), ("certificate.pem", "0o644"), ("key.pem", "0o600")]
    assert oct(directory.stat().st_mode & 0o777) == "0o700"
    for name in ("ca.pem", "certificate.pem"):
        subprocess.run(["openssl", "verify", "-CAfile", directory / "ca.pem", directory / name], check=True,
                       capture_output=True)


def test_an_arn_tells_the_region_and_account(start_emulator):
    emulator = start_emulator("--region", "eu-central-1", "--account-id", "77", "--ram-role", "OtherRole")
    request = Request(f"127.0.0.1:{emulator.port}", "DescribeApplicationAccessPoint", [("Name", "payments")],
                      key_id=ACCESS_KEY_ID, secret=ACCESS_KEY_SECRET)
    assert request.send(emulator.port)[1]["Arn"] == "acs:kms:eu-central-1:77:applicationaccesspoint/payments"


def test_each_failure_has_its_own_code(ask, emulator):
    def code(**parts):
        status, answer = ask("ListApplicationAccessPoints", **parts)
        return status, answer.get("Code")

    assert code(key_id="LTAIunknown") == (404, "InvalidAccessKeyId.NotFound")
    assert code(secret="wrong") == (400, "SignatureDoesNotMatch")
    assert code(moment=time.time() - 14 * 60) == (200, None)
    assert code(moment=time.time() + 14 * 60) == (200, None)
    assert code(moment=time.time() - 16 * 60) == (400, "InvalidTimeStamp.Expired")
    assert code(moment=time.time() + 16 * 60) == (400, "InvalidTimeStamp.Expired")
    request = ask("ListApplicationAccessPoints", send=False)
    assert request.send(emulator.port)[0] == 200
    assert request.send(emulator.port)[1]["Code"] == "SignatureNonceUsed"
    request.authorization = None
    assert request.send(emulator.port)[1]["Code"] == "IncompleteSignature"
    assert ask("NoSuchOperation")[1]["Code"] == "InvalidApi.NotFound"
    assert ask("GetClientKey", [("ClientKeyId", "x")])[1]["Code"] == "UnsupportedHTTPMethod"
    message = ask("CreateClientKey", [("AapName", "payments"), ("Password", "x")], secret="wrong")[1]["Message"]
    assert "server string to sign is:ACS3-HMAC-SHA256\n" in message and "Password=x" in message


def mac_data(der):
    """The last of a PFX's three parts."""
    _, begin, end = tlv(der, 0)
    for _ in range(3):
        part, begin = der[begin:tlv(der, begin)[2]], tlv(der, begin)[2]
    assert begin == end
    return part


def tlv(der, at):
    """The tag at AT, where its content begins and where it ends."""
    size, begin = der[at + 1], at + 2
    if size & 0x80:
        begin += size & 0x7f
        size = int.from_bytes(der[at + 2:begin])
    return der[at], begin, begin + size


def test_v4_signatures_hold_for_a_day_and_a_product(ask):
    def code(*scope, **parts):
        status, answer = ask("ListClientKeys", [("AapName", "payments")], method="GET", scope=scope, **parts)
        return answer.get("Code", status)

    day, other = (time.strftime("%Y%m%d", time.gmtime(moment)) for moment in (time.time(), time.time() - 3 * 86400))
    assert code(day, "cn-hangzhou", "Kms") == code(day, "center", "kms") == 200
    assert code(other, "cn-hangzhou", "Kms") == code(day, "cn-hangzhou", "Ecs") == "SignatureDoesNotMatch"
    assert code(day, "cn-hangzhou", "Kms", secret="wrong") == "SignatureDoesNotMatch"
    assert code(day, "cn-hangzhou", "Kms", key_id="LTAIunknown") == "InvalidAccessKeyId.NotFound"
    assert code(day, "cn-hangzhou", "Kms", moment=time.time() - 16 * 60) == "InvalidTimeStamp.Expired"
    assert code(day, "cn-hangzhou") == "IncompleteSignature"


def test_v4_signs_every_byte_too(ask, emulator):
    scope = (time.strftime("%Y%m%d", time.gmtime()), "cn-hangzhou", "Kms")
    request = ask("CreateClientKey", [("AapName", "payments"), ("Password", PASSWORD)], scope=scope, send=False)
    assert request.send(emulator.port)[0] == 200
    assert request.send(emulator.port)[1]["Code"] == "SignatureNonceUsed"
    for name in ("x-acs-date", "x-acs-signature-nonce", "x-acs-action"):
        request = ask("ListClientKeys", [("AapName", "payments")], scope=scope, send=False)
        request.headers[name] = flip(request.headers[name])
        assert request.send(emulator.port)[1]["Code"] in ("SignatureDoesNotMatch", "InvalidTimeStamp.Format"), name
    request = ask("CreateClientKey", [("AapName", "payments"), ("Password", PASSWORD)], scope=scope, send=False)
    request.query[1] = ("Password", PASSWORD + "x")
    message = request.send(emulator.port)[1]["Message"]
    assert "server string to sign is:ACS4-HMAC-SHA256\n" in message


@pytest.mark.parametrize("version", ["v2", "v3", "v4"])
@pytest.mark.parametrize("token", [None, ""])
def test_a_session_without_its_token_is_told_so(ask, emulator, version, token):
    if version == "v2":
        words = {"Action": "ListApplicationAccessPoints", "Format": "JSON", **({} if token is None else {"SecurityToken": token})}
        status, answer = v2.send(emulator.port, "GET", v2.signed("GET", words, "STS.NobodyKnows", "secret"))
    else:
        scope = (time.strftime("%Y%m%d", time.gmtime()), "cn-hangzhou", "Kms") if version == "v4" else None
        status, answer = ask("ListApplicationAccessPoints", key_id="STS.NobodyKnows", token=token, scope=scope)
    assert (status, answer["Code"]) == (400, "MissingSecurityToken")
    assert ask("ListApplicationAccessPoints", key_id="STS.NobodyKnows", token="some")[1]["Code"] == "InvalidAccessKeyId.NotFound"


def test_the_key_is_of_the_shape_of_kms(ask):
    status, answer = create(ask, NotBefore="2026-01-02T03:04:05Z", NotAfter="2036-01-02T03:04:05Z")
    assert status == 200
    assert sorted(answer) == ["ClientKeyId", "KeyAlgorithm", "NotAfter", "NotBefore", "PrivateKeyData",
                              "RequestId"]
    der = base64.b64decode(answer["PrivateKeyData"], validate=True)
    assert 2300 < len(der) < 2700
    assert mac_data(der).startswith(bytes.fromhex("302b301f300706052b0e03021a0414")) and len(mac_data(der)) == 45
    key, certificate, others = pkcs12.load_key_and_certificates(der, PASSWORD.encode())
    assert others == [] and key.key_size == 2048
    assert certificate.issuer == certificate.subject
    assert certificate.subject.rfc4514_string().split(",")[0] == "CN=payments"
    assert certificate.not_valid_before == datetime.datetime(2026, 1, 2, 3, 4, 5)
    assert certificate.not_valid_after == datetime.datetime(2036, 1, 2, 3, 4, 5)
    assert certificate.serial_number.bit_length() == 128
    assert [extension.oid for extension in certificate.extensions] == [x509.ExtensionOID.KEY_USAGE]
    assert certificate.extensions[0].critical and certificate.extensions[0].value.digital_signature
    certificate.public_key().verify(certificate.signature, certificate.tbs_certificate_bytes,
                                    padding.PKCS1v15(), certificate.signature_hash_algorithm)
    text = subprocess.run(["openssl", "pkcs12", "-info", "-legacy", "-nodes", "-passin", "env:P"],
                          input=der, env={"P": PASSWORD, "PATH": "/usr/bin:/bin"}, check=True,
                          capture_output=True)
    info = text.stderr.decode()
    assert "MAC: sha1, Iteration 1\n" in info
    assert info.index("pbeWithSHA1And40BitRC2-CBC, Iteration 2048") < info.index(
        "pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 2048")
    assert "friendlyName" not in text.stdout.decode()
    assert text.stdout.decode().count("localKeyID") == 2


@pytest.mark.parametrize("size", [64, 65, 128])
def test_a_name_that_no_cn_holds_gets_a_certificate_all_the_same(start_emulator, start_mount, size):
    name = "a" * 63 + "bc" * 33
    name = name[:size]
    mount = start_mount(start_emulator(aaps=[name]).url)
    mount.write(name, PASSWORD)
    certificate = x509.load_pem_x509_certificate((mount / name / "certificate.pem").read_bytes())
    assert certificate.subject.rfc4514_string().split(",")[0] == "CN=" + name[:64]


def test_a_name_of_an_account_file_that_is_none_is_no_shortage_of_memory(tmp_path, start_emulator):
    account = tmp_path / "account.json"
    names = {"é" * 40: 64, "x" + "é" * 40: 63, "": None}
    account.write_text(json.dumps({"ApplicationAccessPoints": {name: {"Name": name} for name in names}, "ClientKeys": {}}))
    emulator = start_emulator("--account", account, aaps=())
    for name, size in names.items():
        status, answer = send(emulator, "CreateClientKey", ("AapName", name), ("Password", PASSWORD))
        if size:
            key, certificate, _ = pkcs12.load_key_and_certificates(base64.b64decode(answer["PrivateKeyData"]), PASSWORD.encode())
            assert certificate.subject.rfc4514_string().split(",")[0] == "CN=" + name.encode()[:size].decode()
        else:
            assert (status, answer["Code"]) == (500, "InternalError") and "certificate" in answer["Message"]


def test_lists_get_and_delete(ask):
    made = [create(ask)[1] for _ in range(3)]
    status, listed = ask("ListClientKeys", [("AapName", "payments")], method="GET")
    assert [key["ClientKeyId"] for key in listed["ClientKeys"]] == [key["ClientKeyId"] for key in made]
    assert sorted(listed["ClientKeys"][0]) == ["AapName", "ClientKeyId", "CreateTime", "KeyAlgorithm",
                                               "KeyOrigin", "NotAfter", "NotBefore", "PublicKeyData"]
    identifier = [("ClientKeyId", made[0]["ClientKeyId"])]
    assert ask("GetClientKey", identifier, method="GET")[1]["AapName"] == "payments"
    assert sorted(ask("DeleteClientKey", identifier)[1]) == ["RequestId"]
    assert ask("GetClientKey", identifier, method="GET")[1]["Code"] == "Forbidden.ResourceNotFound"
    assert ask("DeleteClientKey", identifier)[0] == 404
    assert len(ask("ListClientKeys", [("AapName", "payments")], method="GET")[1]["ClientKeys"]) == 2
    assert ask("ListClientKeys", [("AapName", "nothing")], method="GET")[0] == 404


def test_application_access_points(ask):
    def made(name, policies='[]', **more):
        return ask("CreateApplicationAccessPoint", [("Name", name), ("Policies", policies), *more.items()])

    status, answer = made("new_one", '[ "a" , "b" ]', Description="words")
    assert status == 200
    assert answer["Policies"] == '["a","b"]' and answer["Arn"].endswith(":applicationaccesspoint/new_one")
    assert made("new_one")[1]["Code"] == "Rejected.ResourceExist"
    assert made("other", '["a","b","c","d"]')[1]["Code"] == "InvalidParameter"
    assert made("other", "a")[1]["Code"] == "InvalidParameter"
    assert made("a/b")[1]["Code"] == "InvalidParameter"
    for number in range(25):
        made(f"aap-{number}")
    page = ask("ListApplicationAccessPoints")[1]
    assert (page["PageNumber"], page["PageSize"], page["TotalCount"]) == (1, 20, 28)
    assert len(page["ApplicationAccessPoints"]["ApplicationAccessPoint"]) == 20
    page = ask("ListApplicationAccessPoints", [("PageNumber", "3"), ("PageSize", "10")])[1]
    assert [aap["Name"] for aap in page["ApplicationAccessPoints"]["ApplicationAccessPoint"]] == [
        f"aap-{number}" for number in range(17, 25)]
    for query in ([("PageSize", "101")], [("PageSize", "0")], [("PageNumber", "x")]):
        assert ask("ListApplicationAccessPoints", query)[1]["Code"] == "InvalidParameter"


def test_an_aap_is_changed(ask):
    def changed(**given):
        return ask("UpdateApplicationAccessPoint", [("Name", "payments"), *given.items()])

    def described():
        answer = ask("DescribeApplicationAccessPoint", [("Name", "payments")])[1]
        return answer["Policies"], answer["Description"]

    assert changed(Policies='["a", "b"]', Description="words")[1].keys() == {"RequestId"}
    assert described() == ('["a","b"]', "words")
    assert changed(Description="")[0] == changed(Policies="[]")[0] == changed()[0] == 200
    assert described() == ("[]", "")
    assert changed(Policies='["a","b","c","d"]', Description="no")[1]["Code"] == "InvalidParameter"
    assert described() == ("[]", "")
    assert ask("UpdateApplicationAccessPoint", [("Name", "nothing")])[1]["Code"] == "Forbidden.ResourceNotFound"
    assert ask("UpdateApplicationAccessPoint", [("Policies", "[]")])[1]["Code"] == "MissingParameter"


def test_parameters_are_checked_as_kms_does(ask):
    assert create(ask, aap="nothing")[1]["Code"] == "Forbidden.ResourceNotFound"
    for password in ("abcdef1", "abcdefgh", "abcdefg1+", "a1" * 33):
        assert create(ask, password)[1]["Code"] == "InvalidParameter"
    assert ask("CreateClientKey", [("AapName", "payments")])[1]["Code"] == "MissingParameter"
    assert create(ask, NotBefore="2026-01-02T03:04:05Z")[1]["Code"] == "MissingParameter"
    assert create(ask, NotBefore="2026-01-02", NotAfter="2036-01-02T03:04:05Z")[1]["Code"] == "InvalidParameter"
    assert create(ask, NotBefore="2016-01-02T03:04:05Z", NotAfter="2017-01-02T03:04:05Z")[0] == 400


def asker(emulator):
    """Asks EMULATOR by its own clock, which stands where --clock or set_clock put it (add the seconds since, at most a few)."""
    def ask(operation, query, at):
        return send(emulator, operation, *query, moment=moment_of(at))
    return ask


def key_of(not_before=None, not_after=None):
    dates = [("NotBefore", not_before), ("NotAfter", not_after)] if not_before else []
    return [("AapName", "payments"), ("Password", PASSWORD), *dates]


def test_an_aap_has_three_client_keys_expired_ones_included(start_emulator):
    """What KMS documents is what an emulator without options does."""
    emulator = start_emulator("--clock", "2030-01-01T00:00:00Z", limits=())
    ask, now = asker(emulator), "2030-01-01T00:00:00Z"
    made = [ask("CreateClientKey", key_of(now, f"203{n}-01-01T00:00:00Z"), now)[1] for n in (1, 2, 3)]
    assert all("ClientKeyId" in key for key in made)
    status, refused = ask("CreateClientKey", key_of(), now)
    assert (status, refused["Code"]) == (400, "Rejected.LimitExceeded")
    assert ask("CreateClientKey", [("AapName", "orders"), ("Password", PASSWORD)], now)[0] == 200
    now = "2035-01-01T00:00:00Z"
    emulator.set_clock(now)
    assert ask("CreateClientKey", key_of(), now)[1]["Code"] == "Rejected.LimitExceeded"
    assert ask("DeleteClientKey", [("ClientKeyId", made[0]["ClientKeyId"])], now)[0] == 200
    assert ask("CreateClientKey", key_of(), now)[0] == 200
    assert ask("CreateClientKey", key_of(), now)[1]["Code"] == "Rejected.LimitExceeded"


@pytest.mark.parametrize("now, five_years_later", [
    ("2021-07-01T00:00:00Z", "2026-07-01T00:00:00Z"),
    ("2024-07-12T10:00:00Z", "2029-07-12T10:00:00Z"),
    ("2028-02-29T10:00:00Z", "2033-02-28T10:00:00Z"),
])
def test_without_dates_a_key_runs_five_calendar_years(start_emulator, now, five_years_later):
    made = asker(start_emulator("--clock", now))("CreateClientKey", key_of(), now)[1]
    assert made["NotBefore"][:17] == now[:17]  # to the minute: the clock goes on
    assert made["NotAfter"] == five_years_later[:17] + made["NotBefore"][17:]


@pytest.mark.parametrize("limits, not_before, shortest, too_short", [
    ((), "2030-01-01T00:00:00Z", "2031-01-01T00:00:00Z", "2030-12-31T23:59:59Z"),
    ((), "2028-02-28T12:00:00Z", "2029-02-28T12:00:00Z", "2029-02-28T11:59:59Z"),  # 366 days
    ((), "2028-02-29T12:00:00Z", "2029-02-28T12:00:00Z", "2029-02-28T11:59:59Z"),
    (("--min-validity", "2y"), "2027-03-01T00:00:00Z", "2029-03-01T00:00:00Z", "2029-02-28T23:59:59Z"),
    (("--min-validity", "365d"), "2028-02-28T12:00:00Z", "2029-02-27T12:00:00Z", "2029-02-27T11:59:59Z"),
    (("--min-validity", "365"), "2028-02-28T12:00:00Z", "2029-02-27T12:00:00Z", "2029-02-27T11:59:59Z"),
    (("--min-validity", "90s"), "2028-02-28T12:00:00Z", "2028-02-28T12:01:30Z", "2028-02-28T12:01:29Z"),
])
def test_a_validity_below_the_minimum_is_refused(start_emulator, limits, not_before, shortest, too_short):
    emulator = start_emulator("--clock", not_before, limits=limits)
    ask = asker(emulator)
    assert ask("CreateClientKey", key_of(not_before, shortest), not_before)[0] == 200
    status, refused = ask("CreateClientKey", key_of(not_before, too_short), not_before)
    assert (status, refused["Code"]) == (400, "InvalidParameter") and "NotAfter" in refused["Message"]


def test_the_clock_can_be_set(start_emulator):
    emulator = start_emulator("--clock", "2030-01-01T00:00:00Z")
    ask = asker(emulator)
    assert ask("ListApplicationAccessPoints", [], "2030-01-01T00:00:00Z")[0] == 200
    emulator.set_clock("2040-01-01T00:00:00Z")
    assert ask("ListApplicationAccessPoints", [], "2030-01-01T00:00:00Z")[1]["Code"] == "InvalidTimeStamp.Expired"
    assert ask("ListApplicationAccessPoints", [], "2040-01-01T00:00:00Z")[0] == 200


def test_the_account_id_is_in_the_arn(start_emulator):
    emulator = start_emulator("--account-id", "42")
    status, answer = send(emulator, "DescribeApplicationAccessPoint", ("Name", "orders"))
    assert (status, answer["Arn"]) == (200, "acs:kms:cn-hangzhou:42:applicationaccesspoint/orders")
    for wrong in ("", "4x", "1" * 33):
        done = subprocess.run([EMULATOR, "--listen", "127.0.0.1:0", "--account-id", wrong], capture_output=True)
        assert done.returncode == 2 and done.stderr


def test_the_account_outlives_the_emulator(tmp_path, pool_file):
    account = tmp_path / "account.json"
    made = []
    for _ in range(2):
        emulator = Emulator(tmp_path, "--account", account, pool_file=pool_file)
        made.append(make_key(emulator))
        emulator.stop()
    kept = json.loads(account.read_text())
    assert list(kept["ClientKeys"]) == [key["ClientKeyId"] for key in made]
    assert "PrivateKeyData" not in account.read_text()


def test_an_account_is_begun_from_a_file_that_stays_as_it_is(tmp_path, pool_file):
    kept, written = tmp_path / "kept.json", tmp_path / "written.json"
    key = {"ClientKeyId": "KAAP.kept", "AapName": "payments"}
    kept.write_text(json.dumps({"ApplicationAccessPoints": {"payments": {"Name": "payments"}}, "ClientKeys": {"KAAP.kept": key}}))
    before = kept.read_bytes()
    for options in (["--account-from", kept], ["--account-from", kept, "--account", written]):
        emulator = Emulator(tmp_path, *options, aaps=["payments", "fresh"], pool_file=pool_file)
        assert send(emulator, "GetClientKey", ("ClientKeyId", "KAAP.kept"))[0] == 200
        assert send(emulator, "DescribeApplicationAccessPoint", ("Name", "fresh"))[0] == 200
        assert send(emulator, "DeleteClientKey", ("ClientKeyId", "KAAP.kept"))[0] == 200
        emulator.stop()
        assert kept.read_bytes() == before
    account = json.loads(written.read_text())
    assert list(account["ApplicationAccessPoints"]) == ["payments", "fresh"] and account["ClientKeys"] == {}
    done = subprocess.run([EMULATOR, "--listen", "127.0.0.1:0", "--account-from", tmp_path / "none"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, f"kms-emulator: {tmp_path}/none: No such file or directory\n")


@pytest.mark.parametrize("words, part", [
    ([], "usage"),
    (["--listen", "0.0.0.0:0"], "loopback"),
    (["--listen", "192.0.2.1:80"], "loopback"),
    (["--listen", "127.0.0.1:70000"], "loopback"),
    (["--listen", "127.0.0.1:0", "--pkcs12", "aes"], "usage"),
    (["--listen", "127.0.0.1:0", "--key-pool", "many"], "usage"),
    (["--listen", "127.0.0.1:0", "--min-validity", "1w"], "1w: not a value of its option"),
    (["--listen", "127.0.0.1:0", "--min-validity", "y"], "usage"),
    (["--listen", "127.0.0.1:0", "--min-validity", "1yd"], "usage"),
    (["--listen", "127.0.0.1:0", "--min-validity", "101y"], "usage"),
    (["--listen", "127.0.0.1:0", "--access-key", "nocolon"], "ID:SECRET"),
    (["--listen", "127.0.0.1:0", "--clock", "today"], "yyyy-MM-dd"),
    (["--listen", "127.0.0.1:0", "--faults", "/nonexistent/faults"], "No such file"),
    (["--listen", "127.0.0.1:0", "--aap", "a/b"], "not a name"),
    (["--listen", "127.0.0.1:0", "--tls-cert", "x"], "usage"),
])
def test_wrong_usage_is_one_clear_word(words, part):
    done = subprocess.run([EMULATOR, *words], capture_output=True, text=True, env=environment(), timeout=20)
    assert done.returncode in (1, 2) and part in done.stderr and done.stdout == ""


def test_a_directory_in_the_place_of_the_faults(tmp_path):
    done = subprocess.run([EMULATOR, "--listen", "127.0.0.1:0", "--faults", tmp_path], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (f"kms-emulator: --faults {tmp_path}: Is a directory; name a file of lines OPERATION FAULT "
                           "[PROBABILITY|xTIMES]\n")


def test_wrong_fault_lines_name_file_and_line(tmp_path):
    faults = tmp_path / "faults"
    for line in ("CreateClientKey nonsense", "CreateClientKey", "CreateClientKey delay", "* late",
                 "CreateClientKey throttle 2", "CreateClientKey throttle x0", "* code=X:200",
                 "* silent 0.5 more"):
        faults.write_text("# comment\n" + line + "\n")
        done = subprocess.run([EMULATOR, "--listen", "127.0.0.1:0", "--faults", faults],
                              capture_output=True, text=True, timeout=20)
        assert done.returncode == 1 and f"{faults}:2: expected OPERATION FAULT" in done.stderr
