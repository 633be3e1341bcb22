"""Every typed function of kmsapi against the emulator, over HTTP and over TLS."""
import json
import os
import subprocess

import pytest

from parts.harness import ACCESS_KEY_ID, ACCESS_KEY_SECRET, BUILD, PASSWORD, ROOT, environment

EXPECTED = """\
CreateApplicationAccessPoint 0 made ClientKey ["a","b"] words
CreateApplicationAccessPoint EEXIST
DescribeApplicationAccessPoint 0 made ClientKey ["a","b"] words
DescribeApplicationAccessPoint ENOENT
ListApplicationAccessPoints 0 251 made
CreateClientKey 0 RSA_2048 -
ListClientKeys 0 1 made
GetClientKey 0 RSA_2048 made
DeleteClientKey 0
GetClientKey ENOENT
DeleteClientKey ENOENT
"""
NAMES = [f"aap-{number}" for number in range(250)]


def call(url, ca="-"):
    done = subprocess.run([BUILD / "tests/programs/kms_calls", url, ca, ACCESS_KEY_ID, ACCESS_KEY_SECRET,
                           PASSWORD], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.core
def test_every_operation(start_emulator):
    emulator = start_emulator(aaps=NAMES)
    assert call(emulator.url) == EXPECTED
    assert emulator.count("ListApplicationAccessPoints") == 3


@pytest.mark.core
def test_every_operation_over_tls(start_emulator, tmp_path):
    emulator = start_emulator("--tls-self-signed", tmp_path, aaps=NAMES)
    assert call(emulator.url, tmp_path / "certificate.pem") == EXPECTED
    assert "CreateClientKey EPROTO" in call(emulator.url)


@pytest.mark.full
@pytest.mark.core
def test_reads_are_tried_again_whatever_happened_creations_only_if_nothing_was_done(start_emulator):
    emulator = start_emulator(aaps=NAMES)
    for fault in ("internal", "reset-after", "truncate", "unavailable", "throttle=10"):
        emulator.set_faults(f"ListApplicationAccessPoints {fault} x1", f"GetClientKey {fault} x1")
        before = emulator.count("ListApplicationAccessPoints")
        assert "ListApplicationAccessPoints 0 251" in call(emulator.url), fault
        assert emulator.count("ListApplicationAccessPoints") > before + 3
        before = emulator.count("CreateClientKey")
        emulator.set_faults(f"CreateClientKey {fault} x1")
        repeated = fault == "throttle=10"
        assert ("CreateClientKey 0" in call(emulator.url)) == repeated
        assert emulator.count("CreateClientKey") == before + 1 + repeated


@pytest.mark.core
def test_a_trusted_certificate_of_another_host_is_refused(start_emulator, tmp_path):
    emulator = start_emulator("--tls-self-signed", tmp_path, listen="127.0.0.2:0")
    results = call(emulator.url, tmp_path / "certificate.pem").splitlines()
    assert {line.split()[1] for line in results} == {"EPROTO"}


@pytest.mark.full
def test_kmsapi_is_found_by_pkg_config_and_used_alone(start_emulator, tmp_path):
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet"], check=True, capture_output=True,
                   env={**os.environ, "DESTDIR": str(tmp_path / "stage")}, timeout=120)
    folder, = (tmp_path / "stage").rglob("kmsapi.pc")
    found = subprocess.run(["pkg-config", f"--define-variable=prefix={tmp_path}/stage/usr/local", "--cflags", "--libs",
                            "kmsapi"], check=True, capture_output=True, text=True,
                           env={**os.environ, "PKG_CONFIG_PATH": str(folder.parent)})
    program = tmp_path / "create_client_key"
    subprocess.run(["cc", "-Wall", "-Werror", ROOT / "examples/create_client_key.c", "-o", program, *found.stdout.split()],
                   check=True, timeout=60)
    emulator = start_emulator()
    done = subprocess.run([program, emulator.url, "payments"], input=PASSWORD + "\n", capture_output=True, text=True,
                          timeout=60, env=environment())
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(json.loads(done.stdout)) == ["KeyId", "PrivateKeyData"]
    done = subprocess.run([program, emulator.url, "none"], input=PASSWORD + "\n", capture_output=True, text=True,
                          timeout=60, env=environment())
    assert (done.returncode, done.stdout) == (1, "") and done.stderr.startswith("Forbidden.ResourceNotFound: ")
