"""aapfs export: the way out when all else fails. It reads the store, and leaves it and everything else as it was."""
import os
import stat
import subprocess
import threading

import pytest

from parts.harness import PASSWORD, environment, make_state_key, result_of, run_aapfs
from parts.sealed import Seal
from parts.store import disk, store_of, tmpfs
from parts.tree import PRIVATE, PUBLIC
from parts.users import AS_NOBODY, program_for_others

CLOSED = {*PRIVATE, "password"}
FORMS = {*CLOSED, *PUBLIC}


def export(mount, aap, target, *options, config=None, env=None):
    done = run_aapfs("export", "-c", config or mount.config, *options, aap, target, env=env or environment())
    assert done.stdout == ""
    assert PASSWORD not in done.stderr
    return done.returncode, done.stderr


def look(directory, only=None):
    """Every file's bytes and time; ONLY: of these names."""
    return {str(path.relative_to(directory)): (path.read_bytes(), path.stat().st_mtime_ns)
            for path in directory.rglob("*") if path.is_file() and (only is None or path.name in only)}


def check(mount, aap, target, password=PASSWORD):
    """TARGET holds what the mount shows, and passwords."""
    exported, shown = look(target), look(mount / aap, only=FORMS)
    passwords = {name: exported.pop(name) for name in list(exported) if name.split("/")[-1] == "password"}
    assert exported == shown
    keys = os.listdir(mount / aap / "keys")
    assert set(passwords) == {"password"} | {f"keys/{key_id}/password" for key_id in keys}
    assert {content for content, _ in passwords.values()} == {password.encode()}
    assert sorted(os.listdir(target)) == sorted([*FORMS, "keys", "current"])
    assert os.readlink(target / "current") == os.readlink(mount / aap / "current")
    for path in target.rglob("*"):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.is_symlink():
            continue
        assert mode == (0o755 if path.is_dir() else 0o400 if path.name in CLOSED else 0o444), path
    return keys


@pytest.mark.core
def test_without_a_mount_and_beside_one(mount, emulator, tmp_path):
    for _ in range(3):
        mount.write("payments", PASSWORD)
    mount.write("orders", f"{PASSWORD} 2026-01-01T00:00:00Z 2099-12-01T00:00:00Z")
    beside = tmp_path / "beside"
    assert export(mount, "payments", beside) == (0, "")
    assert stat.S_IMODE(beside.stat().st_mode) == 0o700
    assert len(check(mount, "payments", beside)) == 3
    # what it wrote opens
    subprocess.run(["openssl", "pkey", "-in", beside / "private_key.pem", "-passin", f"file:{beside}/password",
                    "-noout"], check=True)
    # an empty directory does too, with its own mode; with nothing but options, and under a narrow umask
    empty = tmp_path / "empty"
    empty.mkdir(mode=0o750)
    (tmp_path / "nothing.conf").write_text("")
    options = ["--state", mount.state, "--state-key", mount.state_key, "--region", "cn-hangzhou"]
    mask = os.umask(0o277)
    try:
        assert export(mount, "orders", empty, *options, config=tmp_path / "nothing.conf") == (0, "")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(empty.stat().st_mode) == 0o750
    assert len(check(mount, "orders", empty)) == 1
    before = look(beside)
    # a mount lists and notes by itself: what an export leaves as it was is seen without one
    mount.stop()
    on_disk, asked = disk(mount), emulator.counts()
    after = tmp_path / "after"
    assert export(mount, "payments", after, env={name: os.environ.get(name, "cn-hangzhou") for name in ("PATH", "ALIBABA_CLOUD_REGION_ID")}) == (0, "")
    assert look(after) == before
    assert disk(mount) == on_disk and emulator.counts() == asked


@pytest.mark.full
def test_while_keys_are_made(mount, tmp_path):
    """A store that changes at every moment: each export is whole."""
    mount.write("payments", PASSWORD)
    stop = threading.Event()

    def rotate():
        while not stop.is_set():
            mount.write("payments", PASSWORD)
            old = sorted(set(os.listdir(mount / "payments/keys")) - {mount.key_id()})
            mount.write("payments", f"delete {old[0]}")

    writer = threading.Thread(target=rotate)
    writer.start()
    try:
        for i in range(20):
            target = tmp_path / f"export-{i}"
            assert export(mount, "payments", target) == (0, "")
            key_id = (target / "client_key_id").read_text().strip()
            assert os.readlink(target / "current") == f"keys/{key_id}"
            for name in FORMS:
                assert (target / name).read_bytes() == (target / "current" / name).read_bytes()
    finally:
        stop.set()
        writer.join()


def test_a_key_that_was_received_and_not_put_in_its_place_is_exported(mount, tmp_path):
    mount.write("payments", PASSWORD)
    key_id = mount.key_id()
    shown = look(mount / "payments", only=FORMS)
    mount.stop()
    # as a worker leaves it that dies right before the rename
    (store_of(mount) / "payments" / key_id).rename(store_of(mount) / ".room-0000000000000001")
    (store_of(mount) / ".room-0000000000000002").write_bytes(bytes(65536))
    on_disk = disk(mount)
    assert export(mount, "payments", tmp_path / "out") == (0, "")
    exported = look(tmp_path / "out")
    assert {name: exported[name] for name in shown} == shown
    assert disk(mount) == on_disk


def test_forms_that_are_missing_are_made_and_not_kept(mount, tmp_path):
    mount.write("payments", PASSWORD)
    mount.write("payments", PASSWORD)
    for path in store_of(mount).glob("payments/.*.forms"):
        path.unlink()
    on_disk = disk(mount)
    assert export(mount, "payments", tmp_path / "out") == (0, "")
    assert len(check(mount, "payments", tmp_path / "out")) == 2
    assert disk(mount) == on_disk


# -- what is left out ---------------------------------------------------------------------------


@pytest.mark.core
def test_rejected_and_damaged_keys_are_left_out_and_said(mount, emulator, tmp_path):
    emulator.set_faults("CreateClientKey wrong-password x1")
    assert result_of(mount, PASSWORD) != 0
    rejected, = mount.status("payments")["Rejected"]
    on_disk = disk(mount)
    status, said = export(mount, "payments", tmp_path / "none")
    lines = said.splitlines()
    assert status == 1 and len(lines) == 2
    assert lines[0].startswith(f"aapfs: payments: the client key {rejected} is rejected and not exported: ")
    assert lines[1] == "aapfs: payments: there is no client key to export; nothing was written"
    assert not (tmp_path / "none").exists()
    assert disk(mount) == on_disk

    mount.write("payments", PASSWORD)
    mount.write("payments", PASSWORD)
    damaged, = set(os.listdir(mount / "payments/keys")) - {mount.key_id()}
    path = store_of(mount) / "payments" / damaged
    sealed = path.read_bytes()
    path.write_bytes(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    status, said = export(mount, "payments", tmp_path / "out")
    lines = sorted(said.splitlines())
    assert status == 0 and len(lines) == 2
    assert lines[0] == f"aapfs: {path}: damaged, or sealed for another place; it is not exported"
    assert rejected in lines[1]
    assert os.listdir(tmp_path / "out/keys") == [mount.key_id()]
    assert (tmp_path / "out/client_key.json").read_bytes() == (mount / "payments/client_key.json").read_bytes()


def test_no_legacy_certificate_is_no_obstacle(mount, tmp_path):
    """A key without a certificate that can be read has no certificate.pem."""
    mount.write("payments", PASSWORD)
    seal, key_id = Seal(mount), mount.key_id()
    forms = seal.forms("payments", key_id)
    seal.write_forms("payments", key_id, forms[:forms.index(b"-----BEGIN CERTIFICATE")])
    assert export(mount, "payments", tmp_path / "out") == (0, "")
    assert set(os.listdir(tmp_path / "out/current")) == FORMS - {"certificate.pem"}


# -- what is refused ----------------------------------------------------------------------------


def refused(mount, aap, target, *options, status=1, **parts):
    existed, on_disk = sorted(target.rglob("*")) if target.exists() else None, disk(mount)
    result, said = export(mount, aap, target, *options, **parts)
    assert result == status and said.count("\n") == 1 and said.startswith("aapfs: "), said
    assert (sorted(target.rglob("*")) if target.exists() else None) == existed
    assert disk(mount) == on_disk
    return said


@pytest.mark.core
def test_what_cannot_be_exported_is_one_line(mount, emulator, tmp_path):
    out = tmp_path / "out"
    assert f"{store_of(mount)}; there are keys of: none" in refused(mount, "payments", out)
    mount.write("payments", PASSWORD)
    mount.write("orders", PASSWORD)
    for aap in ("nobody", "..", "", "payments/..", ".check", "a" * 300):
        assert refused(mount, aap, out) == (
            f"aapfs: {aap}: there is no client key of it in {store_of(mount)}; there are keys of: orders, payments\n")
    out.mkdir()
    (out / "mine").write_text("x")
    assert "it is not empty; give a new or an empty directory" in refused(mount, "payments", out)
    assert "Not a directory" in refused(mount, "payments", out / "mine")
    assert "No such file" in refused(mount, "payments", tmp_path / "no/such")
    assert "nothing was exported" in refused(mount, "payments", mount / "out")


@pytest.mark.full
def test_a_state_that_does_not_fit_is_exit_2(mount, tmp_path):
    mount.write("payments", PASSWORD)
    out = tmp_path / "out"
    assert "No such file" in refused(mount, "payments", out, "--state", tmp_path / "none", status=2)
    assert not (tmp_path / "none").exists()
    assert "there is no state key" in refused(mount, "payments", out, "--state-key", tmp_path / "none", status=2)
    assert not (tmp_path / "none").exists()
    other = make_state_key(tmp_path / "other.key")
    assert "give the state key" in refused(mount, "payments", out, "--state-key", other, status=2)
    assert "keys of the region cn-hangzhou" in refused(mount, "payments", out, "--region", "eu-central-1", status=2)
    mount.state_key.chmod(0o640)
    assert "chmod 0600" in refused(mount, "payments", out, status=2)
    mount.state_key.chmod(0o600)
    assert "configuration: " in refused(mount, "payments", out, status=2, config=tmp_path / "none")
    empty = tmp_path / "empty"
    empty.mkdir(mode=0o700)
    assert "was ever kept there" in refused(mount, "payments", out, "--state", empty)
    for words in ([], ["payments"], ["payments", out, "more"], ["--endpoint", "http://127.0.0.1:1", "payments", out]):
        done = run_aapfs("export", *words)
        assert done.returncode == 2 and "export" in done.stderr


@pytest.mark.parametrize("made", [pytest.param(True, marks=pytest.mark.full), False])
def test_without_room_nothing_is_left(mount, tmp_path, made):
    for _ in range(4):
        mount.write("payments", PASSWORD)
    with tmpfs(tmp_path / "disk", "120k") as resize:
        target = tmp_path / "disk" if made else tmp_path / "disk/out"
        assert "No space left on device; nothing was exported" in refused(mount, "payments", target)
        assert os.listdir(tmp_path / "disk") == []
        resize("1m")
        assert export(mount, "payments", target) == (0, "")


def test_nobody_reads_the_store_but_its_user(mount, tmp_path):
    mount.write("payments", PASSWORD)
    done = run_aapfs("export", "-c", mount.config, "payments", tmp_path / "out", program=program_for_others(tmp_path), **AS_NOBODY)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "out").exists()
