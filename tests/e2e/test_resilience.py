"""What the client does when KMS or the way to it is not as it should be."""
import collections
import contextlib
import datetime
import errno
import ipaddress
import os
import socket
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from parts.harness import ACCESS_KEY_ID, ACCESS_KEY_SECRET, BUILD, PASSWORD, result_of, until
from parts.times import moment_of


def call_many(emulator, count, after_ms, timeout_ms):
    """[(operation, errno, Code, milliseconds)], as they ended."""
    done = subprocess.run([BUILD / "tests/programs/many_calls", emulator.url, ACCESS_KEY_ID, ACCESS_KEY_SECRET, str(count),
                           str(after_ms), str(timeout_ms), "payments", PASSWORD], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return [(*line.split()[:3], int(line.split()[3])) for line in done.stdout.splitlines()]


@pytest.mark.full
def test_a_refusal_for_its_rate_slows_every_request(emulator):
    """Of 20 reads at once each would be sent 4 times: all of them are slowed by the first refusal."""
    emulator.set_faults("* throttle")
    ended = call_many(emulator, 20, 0, 1500)
    assert len(ended) == 21
    assert {number for _, number, _, _ in ended} == {"EAGAIN"}
    assert {code for _, _, code, _ in ended} <= {"Rejected.Throttling", "Client.Throttled"}
    assert max(milliseconds for *_, milliseconds in ended) < 3000
    assert sum(emulator.counts().values()) <= 21 + 6


def test_a_change_goes_before_the_reads_that_wait(emulator):
    emulator.set_faults("* throttle x20")
    ended = call_many(emulator, 20, 40, 8000)
    assert collections.Counter(number for _, number, _, _ in ended) == {"ENOENT": 20, "0": 1}
    records = [dict(map(tuple, record["Headers"]))["x-acs-action"] for record in emulator.records()]
    assert records[:20] == ["GetClientKey"] * 20 and records[20] == "CreateClientKey"
    assert emulator.count("GetClientKey") <= 60


@pytest.mark.full
def test_what_kms_asks_for_holds_for_every_request(emulator):
    """The read is told to wait: the change, which begins meanwhile, is not sent to be refused as well."""
    emulator.set_faults("GetClientKey throttle=1200 x1")
    ended = {operation: (number, milliseconds) for operation, number, _, milliseconds in call_many(emulator, 1, 100, 8000)}
    assert ended["GetClientKey"][0] == "ENOENT" and emulator.count("GetClientKey") == 2
    assert ended["CreateClientKey"][0] == "0" and ended["CreateClientKey"][1] >= 1200


@pytest.mark.full
def test_a_request_that_was_held_and_sent_is_not_told_as_held(emulator):
    """Whoever reads "not sent" may try again: but a key may be there."""
    emulator.set_faults("GetClientKey throttle=300 x1", "GetClientKey delay=100", "CreateClientKey silent")
    ended = {operation: (number, code) for operation, number, code, _ in call_many(emulator, 4, 50, 1000)}
    assert ended["CreateClientKey"] == ("ETIMEDOUT", "Network.Timeout") and emulator.count("CreateClientKey") == 1


def test_the_pace_comes_back(emulator):
    emulator.set_faults("* throttle x10")
    ended = call_many(emulator, 40, 0, 8000)
    assert {number for _, number, _, _ in ended} == {"ENOENT", "0"}
    assert ended[-1][3] < 3000  # at the slowest pace it would be longer


def write_fails(mount, code):
    """A password written to orders' control: (errno's name, Message), once CODE is checked."""
    with pytest.raises(OSError) as raised:
        mount.write("orders", PASSWORD)
    failure = mount.last_error("orders")
    assert (failure["Code"], failure["Errno"]) == (code, errno.errorcode[raised.value.errno]), failure
    return failure["Errno"], failure["Message"]


@pytest.fixture
def listener():
    """Listens, and answers nobody."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        yield server


def mount_at(start_mount, url, settings=""):
    """Its directory comes once KMS was found not to answer."""
    mount = start_mount(url, settings="aaps = orders\n" + settings)
    until((mount / "orders").is_dir)
    return mount


def test_a_name_that_nobody_knows(start_mount):
    mount = mount_at(start_mount, "https://kms.example.invalid")
    number, message = write_fails(mount, "Network.NameNotResolved")
    assert number == "EHOSTUNREACH"
    assert message.startswith("kms.example.invalid does not resolve: ") or message == "no nameserver answered in time"


@pytest.mark.full
def test_an_address_without_a_way_to_it(start_mount):
    mount = mount_at(start_mount, "https://255.255.255.255")  # TCP has none to a broadcast address
    assert write_fails(mount, "Network.Unreachable") == ("EHOSTUNREACH", "KMS cannot be reached")


@pytest.mark.full
def test_a_port_where_nobody_listens(start_mount, listener):
    port = listener.getsockname()[1]
    listener.close()
    mount = mount_at(start_mount, f"https://127.0.0.1:{port}")
    assert write_fails(mount, "Network.Refused") == ("ECONNREFUSED", "the connection to KMS was refused")


@pytest.mark.full
def test_a_host_that_takes_no_connection(start_mount, listener):
    """Its queue is full, so that it does not even answer."""
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        mount = mount_at(start_mount, f"http://127.0.0.1:{listener.getsockname()[1]}")
        assert write_fails(mount, "Network.Timeout") == ("ETIMEDOUT", "no connection to KMS in time")


@pytest.mark.full
def test_a_server_that_takes_the_connection_and_is_silent(start_mount, start_emulator):
    emulator = start_emulator()
    mount = mount_at(start_mount, emulator.url)
    emulator.set_faults("CreateClientKey silent")
    number, message = write_fails(mount, "Network.Timeout")
    assert number == "ETIMEDOUT" and message.startswith("the request was sent and no answer came in time")


def certificate_of(directory, *, name="localhost", days=1, ended=False):
    """A CA of its own, and a server's certificate by it: (ca.pem, server.pem, server.key)."""
    now = datetime.datetime.now(datetime.timezone.utc)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a CA of a test")])

    def build(subject, public_key, end, *extensions):
        builder = x509.CertificateBuilder(issuer, subject, public_key, x509.random_serial_number(),
                                          now - datetime.timedelta(days=2), end)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    end = now + datetime.timedelta(days=-1 if ended else 1)
    ca = build(issuer, ca_key.public_key(), now + datetime.timedelta(days=1), (x509.BasicConstraints(True, None), True))
    server = build(x509.Name([]), key.public_key(), end,
                   (x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))] if name == "127.0.0.1"
                                                else [x509.DNSName(name)]), True))
    paths = [directory / part for part in ("ca.pem", "server.pem", "server.key")]
    paths[0].write_bytes(ca)
    paths[1].write_bytes(server)
    paths[2].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                           serialization.NoEncryption()))
    return paths


@pytest.mark.parametrize("made, code, words", [
    ({"name": "127.0.0.1"}, None, ""),
    ({"name": "127.0.0.1", "ended": True}, "Tls.Expired", "expired"),
    ({"name": "other.example"}, "Tls.WrongName", "for another name"),
    pytest.param(None, "Tls.Certificate", "not trusted", marks=pytest.mark.full),
])
def test_a_certificate(start_mount, start_emulator, tmp_path, made, code, words):
    authority, certificate, key = certificate_of(tmp_path, **(made or {"name": "127.0.0.1"}))
    emulator = start_emulator("--tls-cert", certificate, "--tls-key", key, aaps=["orders"])
    settings = f"ca_file = {authority}\n" if made else ""
    mount = mount_at(start_mount, emulator.url, settings=settings)
    if code is None:
        mount.write("orders", PASSWORD)
        return
    number, message = write_fails(mount, code)
    assert number == "EPROTO" and words in message


def test_a_server_that_speaks_no_tls(start_mount, emulator):
    mount = mount_at(start_mount, emulator.url.replace("http:", "https:"))
    number, message = write_fails(mount, "Tls.Handshake")
    assert number == "EPROTO" and message.startswith("no TLS connection: ")


def sent(emulator, operation):
    """(x-acs-date, x-acs-signature-nonce) of each request of OPERATION."""
    heads = [dict(map(tuple, record["Headers"])) for record in emulator.records()]
    return [(head["x-acs-date"], head["x-acs-signature-nonce"]) for head in heads if head["x-acs-action"] == operation]


@pytest.mark.parametrize("hours", [-2, pytest.param(2, marks=pytest.mark.full)])
def test_a_wrong_clock_is_corrected_whatever_is_asked(mount, emulator, hours):
    """A read, a creation and a deletion are refused before any work, told the time, and sent once more."""
    mount.write("payments", PASSWORD)
    mount.write("payments", PASSWORD)
    old, = mount.status("payments")["Superseded"]
    away = 0
    for aap, command, operation in ((".aapfs", "sync", "ListApplicationAccessPoints"), ("payments", PASSWORD, "CreateClientKey"),
                                    ("payments", f"delete {old}", "DeleteClientKey")):
        away += hours  # each time as far again, so that what was learned does not do
        emulator.move_clock(away * 3600)
        before = len(sent(emulator, operation))
        mount.write(aap, command)
        dates, nonces = zip(*sent(emulator, operation)[before:])
        if operation == "ListApplicationAccessPoints":
            dates, nonces = dates[:2], nonces[:2]  # such a change of KMS's time is looked into: it is listed again
        assert len(dates) == 2 and len(set(nonces)) == 2
        first, second = map(moment_of, dates)
        assert abs(second - first - hours * 3600) < 60
    assert sorted(os.listdir(mount / "payments/keys")) == sorted([mount.key_id(), *mount.status("payments")["Superseded"]])
    assert mount.status("payments")["Orphans"] == []


def test_a_nonce_that_was_used_may_have_made_a_key(mount, emulator):
    """Its first copy may have been carried out: KMS's listing says."""
    emulator.set_faults("CreateClientKey code=SignatureNonceUsed:400 x1")
    listed = emulator.count("ListClientKeys")
    assert result_of(mount, PASSWORD) == errno.EIO and emulator.count("CreateClientKey") == 1
    until(lambda: emulator.count("ListClientKeys") > listed)
    mount.write("payments", PASSWORD)
    assert emulator.count("CreateClientKey") == 2
