"""The emulator's instance endpoint: who may ask is told by a client key's signature, and nothing else."""
import base64
import copy
import http.client
import random
import time

import pytest

from parts.harness import ACCESS_KEY_ID, PASSWORD, Emulator
from parts.instance import ClientKey, Request, message
from parts.kms import delete_aap, delete_key, make_key
from parts.times import text_of

SECRETS = ("--secret", "db:s3cret:päss", "--secret", "empty:")
NOT_MATCHED = (401, "SignatureNotMatch")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory, pool_file):
    """For all that leave it as it is."""
    started = Emulator(tmp_path_factory.mktemp("instance"), *SECRETS, pool_file=pool_file)
    yield started
    started.stop()


@pytest.fixture
def fresh(start_emulator):
    return start_emulator(*SECRETS)


def create(emulator, aap="payments", password=PASSWORD, **dates):
    return ClientKey(make_key(emulator, aap, password, **dates), password)


@pytest.fixture(scope="module")
def key_of_all(emulator):
    return create(emulator)


@pytest.fixture
def key(key_of_all):
    return copy.copy(key_of_all)


def test_a_secret_is_read_with_a_client_key(emulator, key):
    status, answer = Request(key).sign().send(emulator.port)
    assert status == 200
    assert {number: values for number, values in answer.items() if number < 7} == {
        1: [b"db"], 2: [b"Generic"], 3: ["s3cret:päss".encode()], 4: [b"text"], 5: [b"ACSCurrent"], 6: [b"v1"]}
    assert answer[7] and len(answer[8][0]) == 36
    assert Request(key, body=message((1, "empty"), (2, "ACSCurrent"), (3, "v1"), (4, 1))).sign().outcome(
        emulator.port) == ""


def test_requests_are_counted_and_recorded(fresh):
    key = create(fresh)
    Request(key).sign().send(fresh.port)
    Request(key, body=b"\xff").sign().send(fresh.port)  # no text
    Request(key, operation="Encrypt").sign().send(fresh.port)
    assert fresh.counts() == {"CreateClientKey": 1, "Instance.GetSecretValue": 2, "Instance.Other": 1}
    assert [record["Body"] for record in fresh.records()] == ["", "\n\x02db", None, "\n\x02db"]


PARTS = ["method", "body", "date", "content-type", "content-sha256", "x-kms-apiname", "x-kms-apiversion",
         "x-kms-signaturemethod", "x-kms-acccesskeyid", "x-kms-added", "authorization"]


@pytest.mark.parametrize("part", PARTS)
def test_what_is_changed_after_signing_is_refused(emulator, key, part):
    request = Request(key).sign()
    expected = NOT_MATCHED
    if part == "method":
        request.method = "PUT"
    elif part == "body":
        request.body = message((1, "dc"))
        expected = 400, "InvalidParam"
    elif part == "date":
        request.headers["date"] = Request(key, moment=time.time() - 1).headers["date"]
    elif part == "x-kms-acccesskeyid":
        request.headers[part] = create(emulator).id  # somebody else's
    elif part == "x-kms-apiname":
        request.headers[part] = "Encrypt"
    elif part == "x-kms-added":
        request.headers[part] = ""
    elif part == "authorization":
        request.headers[part] = "Bearer " + base64.b64encode(
            request.signature()[:-1] + bytes([request.signature()[-1] ^ 1])).decode()
    else:
        request.headers[part] += "x"
        expected = 400, "InvalidApiVersion" if part == "x-kms-apiversion" else "InvalidParam"
    assert request.outcome(emulator.port) == expected


@pytest.mark.parametrize("header, value, code", [
    ("x-kms-acccesskeyid", None, "MissingParameter"),
    ("x-kms-signaturemethod", None, "InvalidParam"),
    ("x-kms-signaturemethod", "RSA_PSS_SHA_256", "InvalidParam"),
    ("x-kms-apiversion", None, "InvalidApiVersion"),
    ("x-kms-apiversion", "dkms-gcs-0.1", "InvalidApiVersion"),
    ("x-kms-apiname", None, "InvalidApiName"),
    ("x-kms-apiname", "GetSecretValues", "InvalidApiName"),
    ("x-kms-apiname", "\xff\xfe", "InvalidApiName"),
    ("x-kms-apiname", "Encrypt", "UnsupportedOperation"),
    ("date", None, "InvalidParam"),
    ("date", "2026-11-25T12:00:00Z", "InvalidParam"),
    ("date", "Wed, 99 Nov 2026 12:00:00 GMT", "InvalidParam"),
    ("date", "Sat, 01 Jan 2022 00:00:00 GMT", "RequestTimeTooSkewed"),
    ("content-sha256", None, "InvalidParam"),
    ("content-type", "application/json", "InvalidParam"),
])
def test_a_signed_request_that_is_wrong_has_its_own_code(emulator, key, header, value, code):
    request = Request(key)
    request.headers[header] = value
    if value is None:
        del request.headers[header]
    assert request.sign().outcome(emulator.port) == (400, code)


def test_a_digest_is_of_the_body_and_in_capitals(emulator, key):
    for change in (str.lower, lambda text: text[:-1], lambda text: text + "0", lambda text: ""):
        request = Request(key)
        request.headers["content-sha256"] = change(request.headers["content-sha256"])
        assert request.sign().outcome(emulator.port) == (400, "InvalidParam")


def test_the_time_may_be_a_quarter_of_an_hour_off(emulator, key):
    now = time.time()
    for off, outcome in ((-890, "s3cret:päss"), (890, "s3cret:päss"), (-910, (400, "RequestTimeTooSkewed")),
                         (910, (400, "RequestTimeTooSkewed"))):
        assert Request(key, moment=now + off).sign().outcome(emulator.port) == outcome


def test_a_date_is_as_rfc_1123_has_it(emulator, key):
    good = Request(key).headers["date"]
    names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    for date in (names[names.index(good[:3]) - 1] + good[3:], good.replace("GMT", "UTC"), good.replace("GMT", "+0000"),
                 good + "x", good.replace(" ", "  ", 1), good.upper(), good[5:]):
        request = Request(key)
        request.headers["date"] = date
        assert request.sign().outcome(emulator.port) == (400, "InvalidParam"), date


def test_a_key_counts_from_its_beginning_to_its_end_while_it_exists(fresh):
    emulator, now = fresh, time.time()
    later = create(emulator, NotBefore=text_of(now + 3600), NotAfter=text_of(now + 7200))
    usual = create(emulator, NotBefore=text_of(now - 60), NotAfter=text_of(now + 1800))

    def outcomes(at):
        return [Request(key, moment=at).sign().outcome(emulator.port) for key in (later, usual)]

    assert outcomes(now) == [NOT_MATCHED, "s3cret:päss"]
    emulator.move_clock(1900)
    assert outcomes(now + 1900) == [NOT_MATCHED, NOT_MATCHED]
    emulator.move_clock(3700)
    assert outcomes(now + 3700) == ["s3cret:päss", NOT_MATCHED]
    delete_key(emulator, later.id)
    assert outcomes(now + 3700) == [NOT_MATCHED, NOT_MATCHED]


def test_keys_go_with_their_aap(fresh):
    emulator, key = fresh, create(fresh)
    other = create(emulator, aap="orders")
    delete_aap(emulator, "payments")
    assert Request(key).sign().outcome(emulator.port) == NOT_MATCHED
    assert Request(other).sign().outcome(emulator.port) == "s3cret:päss"


@pytest.mark.parametrize("id", ["", "KAAP.00000000-0000-4000-8000-000000000000", "KAAP.x", ACCESS_KEY_ID, "\xff",
                                "x" * 5000], ids=lambda id: id[:10])
def test_an_unknown_key_is_refused(emulator, key, id):
    key.id = id
    assert Request(key).sign().outcome(emulator.port) == NOT_MATCHED


@pytest.mark.core
@pytest.mark.parametrize("authorization", [
    "", "Bearer", "Bearer ", "bearer {}", "Bearer  {}", "Bearer {}=", "Bearer {}\tx", "Basic {}", "{}", "Bearer ====",
    "Bearer A===", "Bearer =AAA", "Bearer AA=A", "Bearer " + "AAAA" * 2000, "Bearer \xff\xff\xff\xff"],
    ids=lambda text: text[:12])
def test_hostile_authorizations_are_refused(emulator, key, authorization):
    request = Request(key)
    request.headers["authorization"] = authorization.format(base64.b64encode(request.signature()).decode())
    assert request.outcome(emulator.port) == NOT_MATCHED
    del request.headers["authorization"]
    assert request.outcome(emulator.port) == NOT_MATCHED


def test_more_signed_headers_than_anybody_sends_are_refused(emulator, key):
    request = Request(key)
    for number in range(40):
        request.headers[f"x-kms-{number:03}"] = "x"
    assert request.sign().outcome(emulator.port) == NOT_MATCHED


def test_signed_values_are_trimmed_and_sorted(emulator, key):
    request = Request(key)
    request.headers = {"x-kms-zz": "  between  ", "x-kms-aa": "", **request.headers}
    assert request.sign().outcome(emulator.port) == "s3cret:päss"


@pytest.mark.core
@pytest.mark.parametrize("body, code", [
    (b"", (400, "MissingParameter")),
    (message((1, "")), (400, "MissingParameter")),
    (message((1, "db"), (2, "ACSPrevious")), (404, "Forbidden.ResourceNotFound")),
    (message((1, "db"), (3, "v2")), (404, "Forbidden.ResourceNotFound")),
    (message((1, "d")), (404, "Forbidden.ResourceNotFound")),
    (message((1, "db:s3cret")), (404, "Forbidden.ResourceNotFound")),
    (message((1, "x" * 100000)), (404, "Forbidden.ResourceNotFound")),
    (message((1, "no"), (7, 2 ** 64 - 1), (100, b"\0" * 300), (1, "db")), "s3cret:päss"),
    (b"\x09" + b"\0" * 8 + b"\x15" + b"\0" * 4 + message((1, "db")), (400, "InvalidParameter")),
    (b"\x79" + b"\0" * 8 + b"\x7d" + b"\0" * 4 + message((1, "db")), "s3cret:päss"),
    (message((1, 7)), (400, "InvalidParameter")),
    (message((1, b"d\0b")), (400, "InvalidParameter")),
    (message((1, b"\xff")), (400, "InvalidParameter")),
    (message((0, "db")), (400, "InvalidParameter")),
    (message((1, "db"))[:-1], (400, "InvalidParameter")),
    (message((1, "db"), (4, "yes")), (400, "InvalidParameter")),
    (b"\x0a", (400, "InvalidParameter")),
    (b"\x0a" + b"\xff" * 9 + b"\x01db", (400, "InvalidParameter")),
    (b"\x0a" + b"\xff" * 9 + b"\x02db", (400, "InvalidParameter")),
    (b"\xff" * 11, (400, "InvalidParameter")),
    (message((1, "db")) + b"\x3a\x05ab", (400, "InvalidParameter")),
    (message((1, "db")) + b"\x38" + b"\xff" * 9 + b"\x02", (400, "InvalidParameter")),
    (b"\x0b\x0c", (400, "InvalidParameter")),
], ids=lambda value: repr(value)[:30])
def test_hostile_bodies(emulator, key, body, code):
    assert Request(key, body=body).sign().outcome(emulator.port) == code


@pytest.mark.core
def test_random_bodies_and_headers_end_in_an_answer(emulator, key):
    dice = random.Random(7)
    for _ in range(150):
        request = Request(key, body=dice.randbytes(dice.randrange(40)))
        if dice.random() < 0.5:
            name = dice.choice(list(request.headers))
            request.headers[name] = "".join(chr(dice.randrange(32, 256)) for _ in range(dice.randrange(40)))
        request.sign()
        assert request.send(emulator.port)[0] in (200, 400, 401, 404)
    assert Request(key).sign().outcome(emulator.port) == "s3cret:päss"


def test_other_paths_and_methods_have_no_secret(emulator, key):
    request = Request(key)
    request.url = "/?Action=x"
    assert request.sign().outcome(emulator.port) == (400, "UnsupportedOperation")
    request = Request(key)
    request.method = "GET"
    assert request.sign().outcome(emulator.port) == (400, "UnsupportedOperation")


def test_faults_are_of_the_instance_too(fresh):
    emulator, key = fresh, create(fresh)
    emulator.set_faults("Instance.GetSecretValue throttle")
    assert Request(key).sign().outcome(emulator.port) == (429, "Rejected.Throttling")
    emulator.set_faults("GetSecretValue throttle", "Instance.GetSecretValue reset-before")
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        Request(key).sign().send(emulator.port)
    emulator.set_faults()
    assert Request(key).sign().outcome(emulator.port) == "s3cret:päss"
