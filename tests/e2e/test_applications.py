"""The example applications: each reads a secret with the key of the mount, before and after a rotation."""
import json
import os
import pathlib
import re
import select
import shutil
import socket
import subprocess
import time

import pytest

from parts.harness import AAPFS, EMULATOR, PASSWORD, ROOT, environment
from parts.instance import ClientKey, Request

EXAMPLES = ROOT / "examples/applications"
GO_CRYPTO = pathlib.Path("/usr/share/gocode/src/golang.org/x/crypto/pkcs12")
LANGUAGES = ["c", "python", *(pytest.param(name, marks=pytest.mark.full) for name in ("node", "go", "java"))]


def need(*tools):
    for tool in tools:
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed; see tests/packages/large")


def build(language, directory):
    """The words that run the application."""
    if language == "c":
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libcurl", "libcrypto"], capture_output=True,
                               text=True, check=True).stdout.split()
        subprocess.run(["gcc", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-o", directory / "application",
                        EXAMPLES / "application.c", *flags], check=True)
        return [directory / "application"]
    if language == "python":
        return ["/usr/bin/python3", EXAMPLES / "application.py"]
    if language == "node":
        need("node")
        return ["node", EXAMPLES / "application.js"]
    if language == "go":
        need("go")
        if not GO_CRYPTO.is_dir():
            pytest.skip("golang-golang-x-crypto-dev is not installed; see tests/packages/large")
        subprocess.run(["go", "build", "-o", directory / "application", EXAMPLES / "application.go"], check=True,
                       env={**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "",
                            "GOCACHE": str(directory / "go-cache")})
        return [directory / "application"]
    need("java", "javac")
    subprocess.run(["javac", "-Xlint:all", "-Werror", "-d", directory, EXAMPLES / "Application.java"], check=True)
    return ["java", "-cp", directory, "Application"]


class Application:
    def __init__(self, words, directory, url, *password_file, env=None):
        self.process = subprocess.Popen([*words, directory, url, *password_file], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        env={**os.environ, "no_proxy": "127.0.0.1", **(env or {})})

    def ask(self, name):
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        assert select.select([self.process.stdout], [], [], 30)[0], "no answer"
        return self.process.stdout.readline()

    def await_answer(self, line):
        """Asks until LINE comes: a watch tells a moment later. Meanwhile it is the key before that works."""
        meanwhile, until = set(), time.monotonic() + 10
        while (answer := self.ask("db")) != line and time.monotonic() < until:
            meanwhile.add(answer)
        assert answer == line
        return meanwhile

    def end(self):
        output, errors = self.process.communicate(timeout=30)
        assert (self.process.returncode, output, errors) == (0, "", "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_application_follows_a_rotation(start_emulator, start_mount, tmp_path, language):
    words = build(language, tmp_path)
    emulator = start_emulator("--secret", "db:s3cret")
    mount = start_mount(emulator.url, sections="[aap payments]\npassword_source = generate\nexpose_password = yes\n")
    mount.write("payments", PASSWORD)
    mount.write("orders", PASSWORD)
    (tmp_path / "password").write_text(PASSWORD + "\n")
    before = mount.key_id()
    content = json.loads(mount.read("payments", "client_key.json"))
    old = ClientKey(content, PASSWORD)
    payments = Application(words, mount / "payments", emulator.url)
    orders = Application(words, mount / "orders", emulator.url, tmp_path / "password")
    assert payments.ask("db") == f"db = s3cret ({before})\n"
    assert payments.ask("other") == f"other failed: Forbidden.ResourceNotFound: The resource is not found. ({before})\n"
    assert orders.ask("db") == f"db = s3cret ({mount.key_id('orders')})\n"

    mount.write("payments", "rotate")  # with a new password
    mount.write("orders", "rotate")
    after = mount.key_id()
    assert after != before and mount.read("payments", "password") != PASSWORD
    assert payments.await_answer(f"db = s3cret ({after})\n") <= {f"db = s3cret ({before})\n"}
    orders.await_answer(f"db = s3cret ({mount.key_id('orders')})\n")

    assert Request(old).sign().outcome(emulator.port) == "s3cret"
    mount.write("payments", f"delete {before}")
    assert Request(old).sign().outcome(emulator.port) == (401, "SignatureNotMatch")
    assert payments.ask("db") == f"db = s3cret ({after})\n"
    payments.end()
    orders.end()


@pytest.mark.full
@pytest.mark.parametrize("language", ["c", "python", "node", "go"])  # Java's is a store of its own
def test_an_application_knows_the_instance_by_its_ca(start_emulator, start_mount, tmp_path, language):
    words = build(language, tmp_path)
    emulator = start_emulator("--secret", "db:s3cret", "--tls-self-signed", tmp_path)
    certificate = tmp_path / "certificate.pem"
    mount = start_mount(emulator.url, settings=f"ca_file = {certificate}\n",
                        sections="[aap payments]\nexpose_password = yes\n")
    mount.write("payments", PASSWORD)
    env = {"SSL_CERT_FILE": str(certificate), "NODE_EXTRA_CA_CERTS": str(certificate)}
    application = Application(words, mount / "payments", emulator.url, env=env)
    assert application.ask("db") == f"db = s3cret ({mount.key_id()})\n"
    application.end()
    application = Application(words, mount / "payments", emulator.url)
    assert application.ask("db").startswith("db failed: ")
    application.end()


@pytest.mark.full
@pytest.mark.parametrize("language", ["c", "python"])
def test_an_application_without_a_key_says_so(mount, emulator, tmp_path, language):
    words = build(language, tmp_path)
    done = subprocess.run([*words, mount / "payments", emulator.url], input="db\n", capture_output=True, text=True)
    assert done.returncode != 0 and done.stdout == "" and "No such file or directory" in done.stderr


@pytest.mark.full
def test_what_the_readme_runs(tmp_path):
    """From nothing to a secret: the emulator, a mount, a key, and a program that uses it."""
    block, = re.findall(r"^```sh example\n(.*?)^```$", (EXAMPLES / "README.md").read_text(), re.S | re.M)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    programs = f"{AAPFS.parent}:{EMULATOR.parent}"
    done = subprocess.run(["bash", "-euc", block.replace("8080", str(port))], cwd=EXAMPLES, capture_output=True, text=True,
                          timeout=60, env=environment(PATH=f"{programs}:{os.environ['PATH']}", TMPDIR=str(tmp_path)))
    assert (done.returncode, done.stderr) == (0, "")
    key, answer = done.stdout.splitlines()
    assert answer == f"db = s3cret ({key})"
