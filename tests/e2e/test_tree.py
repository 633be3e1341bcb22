"""The tree: names, contents, modes, and what it refuses."""
import errno
import hashlib
import json
import os
import shutil
import stat
import subprocess

import pytest

from parts.harness import PASSWORD
from parts.users import AS_NOBODY, NOBODY

KEY_FILES = {
    "client_key.json": 0o440, "client_key.p12": 0o440, "private_key_data": 0o440,
    "private_key.pem": 0o440, "certificate.pem": 0o444, "client_key_id": 0o444,
    "key_algorithm": 0o444, "not_before": 0o444, "not_after": 0o444,
}
STANDING_FILES = {"control": 0o200, "status": 0o444, "last_error": 0o440}


def as_nobody(*words):
    return subprocess.run(words, capture_output=True, text=True, **AS_NOBODY)


def test_without_a_key_only_the_standing_files(mount):
    assert sorted(os.listdir(mount.path)) == [".aapfs", "orders", "payments"]
    assert sorted(os.listdir(mount / "payments")) == ["control", "keys", "last_error", "status"]
    assert sorted(os.listdir(mount / ".aapfs")) == ["control", "last_error", "metrics.prom", "status"]
    assert os.listdir(mount / "payments/keys") == []
    with pytest.raises(FileNotFoundError):
        open(mount / "payments/client_key.json")
    assert mount.status("payments")["State"] == "none"
    assert mount.last_error() is None


def test_a_written_password_makes_every_file(mount, emulator):
    mount.write("payments", PASSWORD)
    key_id = mount.key_id()
    assert emulator.count("CreateClientKey") == 1
    assert sorted(os.listdir(mount / "payments")) == sorted(
        [*KEY_FILES, *STANDING_FILES, "current", "keys"])
    assert os.listdir(mount / "payments/keys") == [key_id]
    assert os.readlink(mount / "payments/current") == f"keys/{key_id}"
    for name, mode in {**KEY_FILES, **STANDING_FILES}.items():
        attributes = os.stat(mount / "payments" / name)
        assert stat.S_IMODE(attributes.st_mode) == mode, name
        assert (attributes.st_uid, attributes.st_gid) == (0, 0)
    for name in KEY_FILES:
        shown = (mount / "payments" / name).read_bytes()
        assert shown == (mount / "payments/current" / name).read_bytes()
        assert os.stat(mount / "payments" / name).st_size == len(shown)
    for directory in ("", "payments", "payments/keys", f"payments/keys/{key_id}", ".aapfs"):
        assert stat.S_IMODE(os.stat(mount / directory).st_mode) == 0o755
    assert mount.status("payments")["State"] == "active"
    assert mount.status("payments")["ClientKeyId"] == key_id
    assert mount.read("payments", "key_algorithm") == "RSA_2048\n"


def test_the_forms_hold_one_key_and_open(mount):
    mount.write("payments", PASSWORD)
    data = mount.read("payments", "private_key_data")
    assert mount.read("payments", "client_key.json") == (
        '{"KeyId":"%s","PrivateKeyData":"%s"}\n' % (mount.key_id(), data.strip()))
    assert sorted(json.loads(mount.read("payments", "client_key.json"))) == ["KeyId", "PrivateKeyData"]

    def openssl(*words):
        return subprocess.run(["openssl", *words], input=PASSWORD + "\n", text=True, check=True,
                              capture_output=True).stdout

    opened = openssl("pkcs12", "-legacy", "-in", mount / "payments/client_key.p12", "-nodes",
                     "-passin", "stdin")
    assert "BEGIN CERTIFICATE" in opened and "BEGIN PRIVATE KEY" in opened
    from_p12 = subprocess.run(["openssl", "pkey", "-pubout"], input=opened, text=True, check=True,
                              capture_output=True).stdout
    # no -legacy: the PEM must open with the default provider alone
    assert openssl("pkey", "-in", mount / "payments/private_key.pem", "-passin", "stdin",
                   "-pubout") == from_p12
    assert openssl("x509", "-in", mount / "payments/certificate.pem", "-noout",
                   "-pubkey") == from_p12
    assert "CN=payments" in openssl("x509", "-in", mount / "payments/certificate.pem", "-noout",
                                    "-subject").replace(" ", "")


def test_others_read_the_public_half_only(mount):
    mount.write("payments", PASSWORD)
    for name, mode in {**KEY_FILES, **STANDING_FILES}.items():
        for directory in ("payments", "payments/current"):
            path = mount / directory / name
            if not path.exists():
                continue
            result = as_nobody("cat", path)
            allowed = mode & 0o004
            assert (result.returncode == 0) == bool(allowed), path
            if not allowed:
                assert "Permission denied" in result.stderr
    result = as_nobody("sh", "-c", f"echo {PASSWORD} > {mount.path}/payments/control")
    assert "Permission denied" in result.stderr
    assert as_nobody("ls", "-lR", mount.path).returncode == 0


def test_owner_group_and_mode_are_configured(start_mount, emulator):
    mount = start_mount(emulator.url, defaults="owner = nobody\nmode = 0400",
                        sections="[aap orders]\ngroup = daemon\nmode = 0440")
    mount.write("payments", PASSWORD)
    mount.write("orders", PASSWORD)
    payments = os.stat(mount / "payments/client_key.json")
    orders = os.stat(mount / "orders/private_key.pem")
    assert (payments.st_uid, payments.st_gid, stat.S_IMODE(payments.st_mode)) == (NOBODY, 0, 0o400)
    assert (orders.st_uid, orders.st_gid, stat.S_IMODE(orders.st_mode)) == (NOBODY, 1, 0o440)
    assert os.stat(mount / "payments/control").st_uid == 0
    assert as_nobody("cat", mount / "payments/client_key.json").returncode == 0


def refused(number, call, *words):
    with pytest.raises(OSError) as raised:
        call(*words)
    assert raised.value.errno == number, (call, words)


def test_every_other_change_is_refused(mount):
    mount.write("payments", PASSWORD)
    aap = mount / "payments"
    key_id = mount.key_id()
    refused(errno.EPERM, os.mkdir, mount / "new")
    refused(errno.EPERM, os.mkdir, aap / "new")
    refused(errno.EPERM, os.rmdir, aap)
    refused(errno.EPERM, os.rmdir, aap / "keys")
    refused(errno.EPERM, os.rmdir, aap / "keys" / key_id)
    refused(errno.EPERM, os.unlink, aap / "client_key.json")
    refused(errno.EPERM, os.unlink, aap / "current")
    refused(errno.EPERM, os.unlink, aap / "control")
    refused(errno.EPERM, os.symlink, "x", aap / "link")
    refused(errno.EPERM, os.link, aap / "status", aap / "link")
    refused(errno.EPERM, os.rename, aap / "status", aap / "client_key.json")
    refused(errno.EPERM, os.mknod, aap / "node", 0o600)
    refused(errno.EPERM, os.chmod, aap / "client_key.json", 0o777)
    refused(errno.EPERM, os.chown, aap / "client_key.json", 1, 1)
    refused(errno.EPERM, os.truncate, aap / "client_key.json", 10)
    refused(errno.EPERM, os.open, aap / "new", os.O_CREAT | os.O_WRONLY)
    refused(errno.EOPNOTSUPP, os.setxattr, aap / "status", "user.x", b"y")
    refused(errno.EOPNOTSUPP, os.getxattr, aap / "status", "user.x")


def test_control_has_one_size_and_time(mount):
    before = os.stat(mount / "payments/control")
    mount.write("payments", PASSWORD)
    after = os.stat(mount / "payments/control")
    assert (before.st_size, before.st_mtime_ns) == (4096, after.st_mtime_ns)
    assert after.st_size == 4096
    refused(errno.EACCES, (mount / "payments/control").read_bytes)


def test_mtime_is_the_rotation_and_moves_on(mount):
    mount.write("payments", PASSWORD)
    first = os.stat(mount / "payments/client_key.json").st_mtime_ns
    mount.write("payments", PASSWORD)
    second = os.stat(mount / "payments/client_key.json").st_mtime_ns
    assert second > first
    assert second % 10**9


def test_names_that_are_no_directories_are_counted(start_mount, start_emulator):
    emulator = start_emulator(aaps=["good", ".hidden", "x" * 128])
    mount = start_mount(emulator.url)
    assert sorted(os.listdir(mount.path)) == [".aapfs", "good", "x" * 128]
    assert mount.status()["Hidden"] == 1


def test_more_aaps_than_a_page(start_mount, start_emulator):
    names = [f"aap-{number:03}" for number in range(250)]
    emulator = start_emulator(aaps=names)
    mount = start_mount(emulator.url)
    assert sorted(os.listdir(mount.path)) == [".aapfs", *names]
    assert emulator.count("ListApplicationAccessPoints") == 3


def test_names_can_be_given_where_listing_is_not_permitted(start_mount, emulator):
    emulator.set_faults("ListApplicationAccessPoints denied")
    mount = start_mount(emulator.url, settings="aaps = payments")
    mount.write("payments", PASSWORD)
    assert sorted(os.listdir(mount.path)) == [".aapfs", "payments"]
    assert emulator.count("ListApplicationAccessPoints") == 0


@pytest.mark.parametrize("cleaner", ["rm -rf MOUNT", "find MOUNT -delete", "shutil.rmtree",
                                     "rsync -a --delete EMPTY/ MOUNT"])
def test_cleaners_do_not_reach_kms(mount, emulator, cleaner, tmp_path):
    mount.write("payments", PASSWORD)
    mount.write("payments", PASSWORD)
    before = {path: path.read_bytes() for path in mount.path.glob("*/keys/*/client_key.json")}
    assert len(before) == 2
    (tmp_path / "empty").mkdir()
    if cleaner == "shutil.rmtree":
        shutil.rmtree(mount.path, ignore_errors=True)
    else:
        words = cleaner.replace("MOUNT", str(mount.path)).replace("EMPTY", f"{tmp_path}/empty")
        assert subprocess.run(words.split(), capture_output=True).returncode != 0
    assert {path: path.read_bytes() for path in before} == before
    assert not [operation for operation in emulator.counts() if operation.startswith("Delete")]


def test_copies_are_whole(mount, tmp_path):
    mount.write("payments", PASSWORD)
    source = mount / "payments/current"
    subprocess.run(["cp", "-a", f"{source}/", tmp_path / "copy"], check=True)
    archive = tmp_path / "key.tar"
    subprocess.run(["tar", "-cf", archive, "-C", source, "."], check=True)
    digest = hashlib.sha256((source / "client_key.p12").read_bytes()).hexdigest()
    assert hashlib.sha256((tmp_path / "copy/client_key.p12").read_bytes()).hexdigest() == digest
    listed = subprocess.run(["tar", "-tf", archive], check=True, capture_output=True, text=True).stdout
    assert sorted(listed.split()) == sorted(["./", *(f"./{name}" for name in KEY_FILES)])


def test_without_the_legacy_module_all_but_the_certificate_is_there(start_mount, emulator):
    """RC2-40 hides the certificate; the key itself is checked and shown."""
    mount = start_mount(emulator.url, env={"OPENSSL_MODULES": "/nonexistent"})
    mount.write("payments", PASSWORD)
    expected = {*KEY_FILES, *STANDING_FILES, "current", "keys"} - {"certificate.pem"}
    assert set(os.listdir(mount / "payments")) == expected
    assert set(os.listdir(mount / "payments/current/")) == set(KEY_FILES) - {"certificate.pem"}
    assert not (mount / "payments/certificate.pem").exists()
    mount.write("payments", PASSWORD)
    assert mount.read("payments", "client_key_id") == mount.read("payments/current", "client_key_id")
