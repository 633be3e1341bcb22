"""A key that was made elsewhere is given to a mount: all of it, or nothing is changed."""
import base64
import errno
import json
import os
import subprocess
import time
import urllib.parse

import pytest
from cryptography.hazmat.primitives.serialization import pkcs12

from parts.harness import ACCESS_KEY_ID, ACCESS_KEY_SECRET, PASSWORD, result_of, run_aapfs, until
from parts.kms import adoption, keys_of, make_key
from parts.official import node
from parts.rotations import rotated
from parts.stops import arm, with_stops
from parts.store import disk, intents_of, store_of, stored
from parts.times import DAY, text_of
from parts.tree import Readers, listed_keys, shown

SHORT = "1234"


def with_password(made, password, place):
    """The same key under another password, as an old one may have: today's CreateClientKey takes no short one."""
    contents = subprocess.run(
        ["openssl", "pkcs12", "-legacy", "-passin", f"pass:{PASSWORD}", "-nodes"], check=True, capture_output=True,
        input=base64.b64decode(made["PrivateKeyData"])).stdout
    (place / "plain.pem").write_bytes(contents)
    p12 = subprocess.run(["openssl", "pkcs12", "-export", "-legacy", "-in", place / "plain.pem", "-passout",
                          f"pass:{password}"], check=True, capture_output=True).stdout
    return {**made, "PrivateKeyData": base64.b64encode(p12).decode()}


def opens(mount, path, password):
    loaded = pkcs12.load_key_and_certificates((mount / path / "client_key.p12").read_bytes(), password.encode())
    return loaded[0].key_size == 2048


@pytest.mark.core
def test_a_foreign_key_is_adopted(start_mount, emulator):
    hooked = emulator.directory / "hooked"
    mount = start_mount(emulator.url, defaults=f"on_rotate = echo $AAPFS_CLIENT_KEY_ID >> {hooked}")
    mount.write("payments", PASSWORD)
    before = mount.key_id()
    made = make_key(emulator)
    adopted = made["ClientKeyId"]
    mount.sync()
    directory = mount / "payments/keys" / adopted
    assert "client_key.json" not in os.listdir(directory)  # and the kernel keeps that listing
    number = directory.stat().st_ino
    created = (directory / "certificate.pem").stat().st_mtime_ns  # which the kernel keeps too
    mount.write("payments", adoption(made))
    assert mount.key_id() == adopted and listed_keys(mount) == {before, adopted}
    assert directory.stat().st_ino == number
    assert set(os.listdir(directory)) == set(os.listdir(mount / "payments/keys" / before))
    assert len({path.stat().st_mtime_ns for path in directory.iterdir()} - {created}) == 1
    assert (directory / "certificate.pem").stat().st_mtime_ns != created
    for place in ("payments", f"payments/keys/{adopted}"):
        key_file = json.loads((mount / place / "client_key.json").read_text())
        assert key_file == {"KeyId": adopted, "PrivateKeyData": made["PrivateKeyData"]}
        assert opens(mount, place, PASSWORD)
    assert (mount / "payments/not_after").read_text().strip() == made["NotAfter"]
    status = mount.status("payments")
    assert status["State"] in ("active", "expiring") and status["Superseded"] == [before]
    assert intents_of(mount) == [] and (store_of(mount) / "payments" / adopted).exists()
    until(lambda: hooked.exists() and hooked.read_text() == adopted + "\n")
    assert result_of(mount, adoption(made)) == errno.EEXIST
    mount.sync()
    assert listed_keys(mount) == {before, adopted}


@pytest.mark.full
def test_a_key_that_begins_later_waits_for_that(start_mount, emulator, clock):
    """As one that was made here with such dates would: until then the current key stays."""
    mount = start_mount(emulator.url, **clock.parts)
    mount.write("payments", PASSWORD)
    before, begin = mount.key_id(), int(time.time()) + 3600
    made = make_key(emulator, NotBefore=text_of(begin), NotAfter=text_of(begin + 400 * DAY))
    adopted = made["ClientKeyId"]
    mount.write("payments", adoption(made))
    assert mount.key_id() == before
    assert mount.status("payments")["Scheduled"] == [adopted] and mount.status("payments")["State"] == "active"
    assert opens(mount, f"payments/keys/{adopted}", PASSWORD)
    clock(3601)
    emulator.move_clock(3601)
    mount.write("orders", PASSWORD)  # from which it learns the time
    assert rotated(mount, "payments", before) == adopted
    assert opens(mount, "payments", PASSWORD)


def test_an_adopted_key_is_deleted_as_a_foreign_one(mount, emulator):
    made = make_key(emulator)
    mount.write("payments", adoption(made))
    adopted = made["ClientKeyId"]
    assert result_of(mount, f"delete-foreign {adopted}") == result_of(mount, f"delete {adopted}") == errno.EBUSY
    mount.write("payments", PASSWORD)
    assert result_of(mount, f"delete {adopted}") == errno.EPERM
    assert "delete-foreign" in mount.last_error()["Message"]
    done = run_aapfs("delete", "-m", mount.path, "payments", adopted, "--foreign")
    assert (done.returncode, done.stderr) == (0, "")
    assert set(keys_of(emulator)) == listed_keys(mount) == {mount.key_id()}
    assert stored(store_of(mount) / "payments") == sorted([f".{mount.key_id()}.forms", mount.key_id()])


def test_an_orphan_is_adopted(mount, emulator):
    """Its answer was lost here, but somebody has its private half."""
    emulator.set_faults("CreateClientKey reset-before x1")
    assert result_of(mount, PASSWORD) == errno.ECONNRESET
    request, = [record for record in emulator.records() if ["x-acs-action", "CreateClientKey"] in record["Headers"]]
    dates = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(request["Url"]).query))
    made = make_key(emulator, NotBefore=dates["NotBefore"], NotAfter=dates["NotAfter"])
    mount.sync()
    assert mount.status("payments")["Orphans"] == [made["ClientKeyId"]] and listed_keys(mount) == set()
    mount.write("payments", adoption(made))
    assert mount.status("payments")["Orphans"] == [] and intents_of(mount) == []
    assert mount.key_id() == made["ClientKeyId"]


def test_a_key_of_an_old_password_is_adopted_from_its_files(mount, emulator, tmp_path, remount):
    made = with_password(make_key(emulator), SHORT, tmp_path)
    key_file, password_file = tmp_path / "clientKey.json", tmp_path / "password.txt"
    key_file.write_text(json.dumps({"KeyId": made["ClientKeyId"], "PrivateKeyData": made["PrivateKeyData"], "Note": 1}))
    password_file.write_text(SHORT + "\n")
    done = run_aapfs("adopt", "-m", mount.path, "payments", key_file, password_file)
    assert (done.returncode, done.stdout, done.stderr) == (0, made["ClientKeyId"] + "\n", "")
    assert opens(mount, "payments", SHORT)
    before, on_disk = shown(mount), disk(mount)
    mount = remount(mount, emulator.url)
    assert shown(mount) == before and disk(mount) == on_disk
    assert result_of(mount, f"delete {mount.key_id()}") == errno.EBUSY


def test_what_the_command_line_printed_is_adopted(mount, emulator, tmp_path):
    """`aliyun kms CreateClientKey`, saved by an editor of Windows."""
    made = make_key(emulator)
    (tmp_path / "key").write_bytes(("\ufeff" + json.dumps(made, indent="\t") + "\n").replace("\n", "\r\n").encode())
    (tmp_path / "password").write_text(PASSWORD)
    done = run_aapfs("adopt", "-m", mount.path, "payments", tmp_path / "key", tmp_path / "password")
    assert (done.returncode, done.stdout, done.stderr) == (0, made["ClientKeyId"] + "\n", "")
    assert json.loads((mount / "payments/client_key.json").read_text())["KeyId"] == made["ClientKeyId"]


@pytest.mark.full
def test_base64_in_lines_is_adopted(mount, emulator, tmp_path):
    made = make_key(emulator)
    data = made["PrivateKeyData"]
    lines = "\r\n".join(data[at:at + 76] for at in range(0, len(data), 76)) + "\n"
    (tmp_path / "key").write_text(json.dumps({"KeyId": None, "ClientKeyId": made["ClientKeyId"], "PrivateKeyData": lines}))
    (tmp_path / "password").write_text(PASSWORD)
    done = run_aapfs("adopt", "-m", mount.path, "payments", tmp_path / "key", tmp_path / "password")
    assert (done.returncode, done.stdout, done.stderr) == (0, made["ClientKeyId"] + "\n", "")
    assert (mount / "payments/private_key_data").read_text() == data + "\n"


@pytest.mark.full
def test_the_certificate_of_kms_is_read_in_every_form_or_said_to_be_none(start_mount, emulator, altered):
    forms = {
        "no newline before its end": lambda pem: pem.strip().replace("\n-----END", "-----END"),
        "backslash and n": lambda pem: pem.replace("\n", "\\n"),
        "both": lambda pem: pem.strip().replace("\n-----END", "-----END").replace("\n", "\\n"),
        "one line": lambda pem: pem.replace("\n", ""),
    }
    mount, seen = start_mount(altered.url), []

    def alter(form):
        def change(operation, answer):
            keys = {"GetClientKey": [answer], "ListClientKeys": answer.get("ClientKeys")}.get(operation) or []
            for key in keys:
                seen.append(key["PublicKeyData"])
                key["PublicKeyData"] = form(key["PublicKeyData"])
        altered.change = change

    for number, (name, form) in enumerate(forms.items()):
        alter(form)
        aap = ("payments", "orders")[number % 2]  # an AAP has three keys
        made = make_key(emulator, aap)
        mount.sync()  # its certificate is shown as that of a foreign key
        shown_pem = (mount / aap / "keys" / made["ClientKeyId"] / "certificate.pem").read_text()
        assert shown_pem.count("\n") > 10 and shown_pem.endswith("\n-----END CERTIFICATE-----\n"), name
        mount.write(aap, adoption(made))
        assert mount.key_id(aap) == made["ClientKeyId"], name
    made = make_key(emulator)
    for form in (lambda pem: "", lambda pem: pem[:200], lambda pem: pem[:60] + "****" + pem[64:]):
        alter(form)
        assert result_of(mount, adoption(made)) == errno.EIO
        failure = mount.last_error()
        assert failure["Code"] == "Answer.Malformed" and "(PublicKeyData) cannot be read as PEM" in failure["Message"]
    alter(lambda pem: next(other for other in seen if other != pem))
    assert result_of(mount, adoption(made)) == errno.EKEYREJECTED
    assert mount.last_error()["Code"] == "OtherCertificate"


@pytest.mark.full
def test_a_key_of_the_official_client_is_adopted(mount, emulator):
    made, = node("client.js", "openapi-client", emulator.url, ACCESS_KEY_ID, ACCESS_KEY_SECRET,
                 given=[["CreateClientKey", "POST", {"AapName": "payments", "Password": PASSWORD}]])
    mount.write("payments", adoption(made["body"]))
    assert mount.key_id() == made["body"]["ClientKeyId"] and opens(mount, "payments", PASSWORD)


def damaged(made):
    der = bytearray(base64.b64decode(made["PrivateKeyData"]))
    der[len(der) // 2] ^= 1
    return {**made, "PrivateKeyData": base64.b64encode(der).decode()}


def test_what_is_wrong_changes_nothing(mount, emulator, tmp_path):
    mount.write("payments", PASSWORD)
    made, other = make_key(emulator), make_key(emulator, "orders")
    mount.sync()
    before, on_disk = shown(mount), disk(mount)
    gets = emulator.count("GetClientKey")
    with Readers(mount):
        for text, number in [
                (adoption(made, "wrong-password"), errno.EKEYREJECTED),
                (adoption(damaged(made)), errno.EKEYREJECTED),
                (adoption({**made, "PrivateKeyData": "QUJD"}), errno.EKEYREJECTED),
                (adoption({**made, "PrivateKeyData": made["PrivateKeyData"][:-4]}), errno.EKEYREJECTED),
                (adoption(made, NotBefore="2026-01-01T00:00:00Z"), errno.EINVAL)]:
            assert result_of(mount, text) == number
            assert PASSWORD not in (mount / "payments/last_error").read_text()
        assert emulator.count("GetClientKey") == gets  # KMS was not asked
        for text, number, code in [
                (adoption(other), errno.EINVAL, "OtherAap"),
                (adoption({**other, "ClientKeyId": made["ClientKeyId"]}), errno.EKEYREJECTED, "OtherCertificate"),
                (adoption({**made, "ClientKeyId": "KAAP.none"}), errno.ENOENT, "Forbidden.ResourceNotFound")]:
            assert result_of(mount, text) == number
            assert mount.last_error()["Code"] == code
        emulator.set_faults("GetClientKey denied")
        assert result_of(mount, adoption(made)) == errno.EACCES
        emulator.set_faults()
    assert shown(mount) == before and disk(mount) == on_disk
    mount.write("payments", adoption(made))
    assert mount.last_error() is None


@pytest.mark.parametrize("key, password, words", [
    ("{}", "x", "not a client key file"), ("nothing", "x", "not a client key file"),
    (json.dumps({"KeyId": "KAAP.1", "PrivateKeyData": "A" * 4096}), "x", "too large: a command has at most 4096 bytes"),
    (json.dumps({"KeyId": "KAAP.1", "PrivateKeyData": "QUJD"}), "", "1 to 128 printable"),
    (json.dumps({"KeyId": "KAAP.1", "PrivateKeyData": "QUJD"}), "x" * 300, "too large for what it should be"),
    (json.dumps({"KeyId": 1, "ClientKeyId": "KAAP.1", "PrivateKeyData": "QUJD"}), "x", "JSON with KeyId (or ClientKeyId)"),
    (json.dumps({"ClientKeyId": "KAAP.1"}), "x", "not a client key file"),
    (json.dumps({"KeyId": "KAAP.1"}).encode("utf-16"), "x", "key: it is in UTF-16; save it as UTF-8"),
    (json.dumps({"KeyId": "KAAP.1", "PrivateKeyData": "QUJD"}), "Odd-secret1\r\n",
     "password: its line ends in a carriage return (CRLF, as on Windows)"),
    (json.dumps({"KeyId": "KAAP.1", "PrivateKeyData": "QUJD"}), "\ufeffOdd-secret1\n", "password: it begins with a byte-order mark"),
    (json.dumps({"KeyId": "KAAP.1", "PrivateKeyData": "QUJD"}), "Odd-secret1".encode("utf-16"), "a byte-order mark")])
def test_the_command_says_what_is_wrong_with_its_files(mount, tmp_path, key, password, words):
    for name, content in (("key", key), ("password", password)):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    done = run_aapfs("adopt", "-m", mount.path, "payments", tmp_path / "key", tmp_path / "password")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and words in done.stderr
    assert "Odd-secret1" not in done.stderr
    assert mount.status("payments")["State"] == "none"


@pytest.mark.parametrize("step, kept", [("engine-adopting", False), ("engine-adopted", True)])
def test_a_worker_killed_while_it_adopts_has_adopted_or_not(start_mount, emulator, stops, step, kept):
    mount = start_mount(emulator.url, expected_errors=None, **with_stops(stops))
    arm(stops, step)
    made = make_key(emulator)
    result = result_of(mount, adoption(made))
    assert result == (0 if kept else errno.EIO)
    mount.sync()
    assert (mount.status("payments")["State"] != "none") == kept
    assert intents_of(mount) == [] and mount.status("payments")["Candidates"] == []
    if not kept:
        assert "client_key.json" not in os.listdir(mount / "payments/keys" / made["ClientKeyId"])


@pytest.mark.full
def test_rotate_says_that_the_kept_password_is_too_old(mount, emulator, tmp_path):
    """An adopted key's may break today's rules: then there is none to take, and somebody has to write one."""
    made = with_password(make_key(emulator), SHORT, tmp_path)
    mount.write("payments", adoption(made, SHORT))
    done = run_aapfs("rotate", "-m", mount.path, "payments", start_new_session=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (f"aapfs: payments: Invalid argument: PasswordSource: password_source = keep, and the password of "
                           f"{made['ClientKeyId']} is not one that KMS takes for a new key; write a new password; nothing was sent\n")
    assert SHORT not in done.stderr.replace(made["ClientKeyId"], "")
