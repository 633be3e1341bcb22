"""A real etcd of three members on loopback, with TLS, client certificates and users; what stands between it and a client."""
import base64
import datetime
import ipaddress
import json
import os
import pathlib
import queue
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from parts.harness import BUILD, until

USER, PASSWORD, PREFIX = "aapfs", "etcd-Password1", "aapfs/"


def need_etcd():
    missing = [name for name in ("etcd", "etcdctl", "socat", "ss") if not shutil.which(name)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (tests/packages/rest)", allow_module_level=True)


def encode(text):
    return base64.b64encode(text.encode()).decode()


def good(line):
    """One that says how something ended: well."""
    assert line["errno"] == "0", line
    return line


class Authority:
    """Makes certificates, each with its key, in PEM files."""

    def __init__(self, directory, name="ca"):
        self.directory = pathlib.Path(directory)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)])
        self.file = self.directory / f"{name}.pem"
        certificate = self._sign(self.name, self.key.public_key(), x509.BasicConstraints(ca=True, path_length=0))
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(self, subject, public_key, *extensions, days=1):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(public_key)
                   .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=2))
                   .not_valid_after(now + datetime.timedelta(days=days)))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def make(self, name, common_name=None, days=1, addresses=("127.0.0.1",)):
        """The paths of certificate and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        kind, value = (NameOID.COMMON_NAME, common_name) if common_name else (NameOID.ORGANIZATION_NAME, name)
        certificate = self._sign(x509.Name([x509.NameAttribute(kind, value)]), key.public_key(),
                                 x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(a)) for a in addresses]),
                                 x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                                 days=days)
        files = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                               serialization.NoEncryption()))
        files[1].chmod(0o600)
        return files


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Member:
    def __init__(self, cluster, number, port, peer_port):
        self.cluster, self.number, self.port, self.peer_port = cluster, number, port, peer_port
        self.url = f"https://127.0.0.1:{port}"
        self.process = None
        self.log = cluster.directory / f"member{number}.log"

    def start(self):
        directory = self.cluster.directory
        self.process = subprocess.Popen(
            ["etcd", "--name", f"m{self.number}", "--data-dir", directory / f"data{self.number}",
             "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
             "--listen-peer-urls", f"http://127.0.0.1:{self.peer_port}",
             "--initial-advertise-peer-urls", f"http://127.0.0.1:{self.peer_port}",
             "--initial-cluster", ",".join(f"m{m.number}=http://127.0.0.1:{m.peer_port}" for m in self.cluster.members),
             "--cert-file", self.cluster.server[0], "--key-file", self.cluster.server[1], "--client-cert-auth",
             "--trusted-ca-file", self.cluster.authority.file, "--auth-token-ttl", "2", "--bcrypt-cost", "4",
             "--unsafe-no-fsync", "--logger=zap", f"--log-outputs={self.log}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def ask(self, path, body, token=None, timeout=10):
        """The answer as JSON."""
        headers = {"Authorization": token} if token else {}
        request = urllib.request.Request(f"{self.url}/v3/{path}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=timeout, context=self.cluster.context) as answer:
            return json.load(answer)

    def is_well(self):
        try:
            status = self.ask("maintenance/status", {}, timeout=2)
            self.ask("kv/range", {"key": encode(PREFIX)}, self.cluster.token(), timeout=5)
        except (OSError, ValueError, KeyError):
            return None
        return status if status.get("leader", "0") != "0" else None


class Cluster:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.authority = Authority(self.directory)
        self.server = self.authority.make("server")
        self.client = self.authority.make("client")
        self.password_file = self.directory / "password"
        self.write_password(PASSWORD)
        self.context = ssl.create_default_context(cafile=self.authority.file)
        self.context.load_cert_chain(*self.client)
        ports = free_ports(6)
        self.has_users = False
        self.members = [Member(self, i, ports[i], ports[3 + i]) for i in range(3)]
        for member in self.members:
            member.start()
        until(lambda: all(member.is_well() for member in self.members), 60)
        self.make_users()

    def options(self):
        """Of a client that is set up well."""
        return {"endpoints": [member.url for member in self.members], "ca_file": str(self.authority.file),
                "certificate": str(self.client[0]), "certificate_key": str(self.client[1]), "user": USER,
                "password_file": str(self.password_file)}

    def write_password(self, password):
        self.password_file.write_text(password + "\n")
        self.password_file.chmod(0o600)

    def control(self, *words):
        subprocess.run(["etcdctl", "--endpoints", ",".join(m.url for m in self.members), "--cacert", self.authority.file,
                        "--cert", self.client[0], "--key", self.client[1],
                        *(["--user", "root:root"] if self.has_users else []), *words],
                       check=True, capture_output=True, text=True, env={**os.environ, "ETCDCTL_API": "3"}, timeout=60)

    def make_users(self):
        self.control("user", "add", "root:root")
        self.control("user", "grant-role", "root", "root")
        self.control("user", "add", f"{USER}:{PASSWORD}")
        self.control("role", "add", "fleet")
        self.control("role", "grant-permission", "--prefix", "fleet", "readwrite", PREFIX)
        self.control("user", "grant-role", USER, "fleet")
        self.control("auth", "enable")
        self.has_users = True

    def token(self):
        """root's: a new one each time, for they end after two seconds."""
        if not self.has_users:
            return None
        for member in self.members:
            try:
                return member.ask("auth/authenticate", {"name": "root", "password": "root"}, timeout=3)["token"]
            except OSError:
                continue
        raise OSError("no member gives a token")

    def ask(self, path, body):
        """Of whichever member answers."""
        for member in self.members:
            try:
                return member.ask(path, body, self.token())
            except urllib.error.HTTPError as error:
                if error.code < 500:
                    raise
            except OSError:
                continue
        raise OSError("no member answers")

    def put(self, key, value):
        return int(self.ask("kv/put", {"key": encode(key), "value": encode(value)})["header"]["revision"])

    def compact(self, revision):
        self.ask("kv/compaction", {"revision": str(revision), "physical": True})

    def clear(self):
        """Removes what earlier tests left. The revision after that."""
        answer = self.ask("kv/deleterange", {"key": encode(PREFIX), "range_end": encode(PREFIX[:-1] + "0")})
        return int(answer["header"]["revision"])

    def leader(self):
        for member in self.members:
            status = member.is_well()
            if status:
                number = status["leader"]
                return next(m for m in self.members if m.ask("maintenance/status", {})["header"]["member_id"] == number)
        raise OSError("no leader")

    def restore(self):
        """All members run, and agree."""
        for member in self.members:
            if member.process.poll() is not None:
                member.start()
            member.process.send_signal(signal.SIGCONT)
        until(lambda: all(member.is_well() for member in self.members), 60)

    def stop(self):
        for member in self.members:
            member.process.kill()
            member.process.wait()


class Between:
    """socat in front of a port: what a host's network is, to be stopped and cut."""

    def __init__(self, port):
        self.to, self.port = port, free_ports(1)[0]
        self.url = f"https://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["socat", f"TCP-LISTEN:{self.port},bind=127.0.0.1,fork,reuseaddr", f"TCP:127.0.0.1:{self.to}"],
            stderr=subprocess.DEVNULL, start_new_session=True)
        until(lambda: self.is_open(), 20)

    def is_open(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def signal(self, number):
        """To it and its children, one of which is behind each connection."""
        os.killpg(self.process.pid, number)

    def stop(self):
        self.signal(signal.SIGKILL)
        self.process.wait()


class Client:
    """tests/programs/etcd_calls; what it says is looked through by the tags of what it was told."""

    def __init__(self, **options):
        self.process = subprocess.Popen([BUILD / "tests/programs/etcd_calls", json.dumps(options)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        self.said = queue.SimpleQueue()
        self.kept = []
        self.count = 0
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            self.said.put(json.loads(line))
        self.said.put(None)

    def tell(self, verb, tag=None, **words):
        """Its tag."""
        self.count += 1
        tag = tag or f"{verb}-{self.count}"
        self.process.stdin.write(json.dumps({"tag": tag, "do": verb, **words}) + "\n")
        return tag

    def next(self, tag, *what, seconds=30, why=""):
        """The next line for TAG, of one of the kinds WHAT if any is given; earlier ones of other kinds are forgotten."""
        end = time.monotonic() + seconds
        fits = lambda line: line["tag"] == tag and (not what or line["what"] in what)
        while True:
            for i, line in enumerate(self.kept):
                if fits(line):
                    del self.kept[i]
                    self.kept = [other for other in self.kept[:i] if other["tag"] != tag] + self.kept[i:]
                    return line
            try:
                line = self.said.get(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{tag} says no {what} in {seconds} s {why}; {self.kept}") from None
            assert line is not None, f"it has ended with {self.process.wait()}"
            self.kept.append(line)

    def get(self, key, prefix=False, keys_only=False, timeout_ms=10000):
        """What was found, by key; and how it ended."""
        tag = self.tell("get", key=key, prefix=prefix, keys_only=keys_only, timeout_ms=timeout_ms)
        found = {}
        while (line := self.next(tag))["what"] == "found":
            found[line["entry"]["key"]] = line["entry"]
        return found, line

    def commit(self, compare, change, timeout_ms=10000):
        return self.next(self.tell("commit", compare=compare, change=change, timeout_ms=timeout_ms))

    def put(self, key, value, timeout_ms=10000):
        """Whatever was there before: the revision."""
        found, ended = self.get(key, timeout_ms=timeout_ms)
        assert ended["errno"] == "0", ended
        line = self.commit([[key, "mod", found.get(key, {"mod": 0})["mod"]]], [[key, value]], timeout_ms)
        assert line["errno"] == "0" and line["done"], line
        return line["revision"]

    def watch(self, after, key=PREFIX):
        return self.tell("watch", key=key, after=after)

    def peers(self):
        """The port of each connection that it has."""
        done = subprocess.run(["ss", "-Htnp", "state", "established"], capture_output=True, text=True, check=True)
        return [int(line.split()[3].rsplit(":", 1)[1]) for line in done.stdout.splitlines()
                if f"pid={self.process.pid}," in line]

    def ports(self):
        return set(self.peers())

    def connections(self):
        return len(self.peers())

    def stop(self):
        self.process.stdin.close()
        assert self.process.wait(30) == 0
