"""The installed program takes over a mount in use, or everything stays as it was."""
import hashlib
import os
import re
import subprocess
import sys

import pytest

from parts.harness import AAPFS, NEXT, PASSWORD, Write, run_aapfs
from parts.kms import wait_for_request
from parts.load import Load
from parts.log import KILLED
from parts.upgrade import begin_upgrade, upgrade

SAID = re.compile(KILLED.pattern + r"|aapfs: (upgraded: this is version 0\.1\.[01]|upgrade: .*; everything is as before"
                  r"|upgrade: the configuration names another region .*|configuration: .*)\n")


@pytest.fixture
def mount(start_mount, emulator, installed):
    mount = start_mount(emulator.url, request_timeout="20s", binary=installed.path, expected_errors=SAID)
    mount.write("payments", PASSWORD)
    return mount


def upgrade_under_load(mount, installed, times):
    load = Load(mount)
    for i in range(times):
        installed.install(AAPFS if i % 2 else NEXT)
        done = upgrade(mount)
        assert (done.returncode, done.stderr) == (0, ""), mount.errors()
        running = os.stat(f"/proc/{mount.process.pid}/exe")
        assert os.path.samestat(running, os.stat(installed.path))
        version = "0.1.0" if i % 2 else "0.1.1"
        assert mount.status()["Version"] == version
        for name, pid in mount.children().items():
            assert os.path.samestat(os.stat(f"/proc/{pid}/exe"), running), name
    figures = load.end()
    print(figures)
    assert figures["FailedWrites"] == 0


@pytest.mark.full
@pytest.mark.core
def test_an_upgrade_under_load(mount, installed):
    upgrade_under_load(mount, installed, 3)


@pytest.mark.full
def test_twenty_upgrades_under_load(mount, installed):
    upgrade_under_load(mount, installed, 20)


def state_of(mount):
    return mount.children(), os.readlink(f"/proc/{mount.process.pid}/exe").split(" ")[0], mount.key_id(), \
        mount.status()["Version"]


@pytest.mark.parametrize("program, number, reason", [
    (b"no program", "ENOEXEC", "cannot be started: Exec format error; everything is as before"),
    (b"#!/bin/sh\nexit 3\n", "EIO",
     "the installed program ended (status 3) before it stood by; everything is as before"),
    (b"#!/bin/sh\nkill -9 $$\n", "EIO",
     "the installed program ended (signal 9) before it stood by; everything is as before"),
])
def test_a_program_that_cannot_start_changes_nothing(mount, installed, program, number, reason):
    before = state_of(mount)
    installed.install(program)
    done = upgrade(mount)
    assert done.returncode == 1 and reason in done.stderr
    failure = mount.last_error(".aapfs")
    assert (failure["Operation"], failure["Code"], failure["Errno"]) == ("upgrade", "Upgrade", number)
    assert failure["Message"].endswith(reason)
    assert state_of(mount) == before
    mount.write("payments", PASSWORD)
    installed.install(NEXT)
    assert upgrade(mount).returncode == 0 and mount.last_error(".aapfs") is None


@pytest.mark.full
def test_a_program_that_never_gets_ready_changes_nothing(mount, installed):
    before = state_of(mount)
    installed.install(b"#!/bin/sh\nexec cat /dev/zero > /dev/null\n")
    done = upgrade(mount)
    assert done.returncode == 1 and "was not ready within 10 s" in done.stderr
    assert mount.last_error(".aapfs")["Errno"] == "ETIMEDOUT"
    assert state_of(mount) == before


def test_a_missing_program_changes_nothing(mount, installed):
    before = state_of(mount)
    installed.path.unlink()
    done = upgrade(mount)
    assert done.returncode == 1 and "No such file or directory" in done.stderr
    assert state_of(mount) == before


def test_a_changed_region_is_refused(mount, installed):
    before = state_of(mount)
    mount.config.write_text(mount.config.read_text().replace("[kms]\n", "[kms]\nregion = cn-beijing\n", 1))
    done = upgrade(mount)
    assert done.returncode == 1
    assert "names another region than the mount has" in mount.errors()
    assert state_of(mount) == before


@pytest.mark.full
def test_a_creation_under_way_is_waited_for(mount, installed, emulator):
    """Neither it nor one that comes meanwhile fails, and each makes one key."""
    emulator.set_faults("CreateClientKey delay=1500")
    created = emulator.count("CreateClientKey")
    first = Write(mount, PASSWORD)
    wait_for_request(emulator, more_than=created)
    installed.install(NEXT)
    upgrading = subprocess.Popen([AAPFS, "upgrade", "-m", mount.path])
    second = Write(mount, PASSWORD, "orders")
    assert (first.end(), second.end()) == (0, 0)
    assert upgrading.wait(30) == 0
    assert mount.status()["Version"] == "0.1.1"
    assert emulator.count("CreateClientKey") == created + 2
    assert mount.key_id("orders") and mount.last_error("payments") is None


def test_dev_is_neither_upgraded_nor_reloaded(tmp_path):
    path = tmp_path / "dev"
    path.mkdir()
    assert run_aapfs("--dev", path).returncode == 0
    try:
        for command, said in (("upgrade", "start it anew"), ("reload", "--dev has read no configuration")):
            done = run_aapfs(command, "-m", path)
            assert done.returncode == 1 and said in done.stderr
    finally:
        subprocess.run(["umount", path], check=True)


def test_a_handover_from_nobody_is_refused():
    done = run_aapfs("/nowhere", env={"AAPFS_HANDOVER": "0"})
    assert done.returncode == 2 and "AAPFS_HANDOVER" in done.stderr


CONTAINER = """
import hashlib, os, subprocess, sys
mount, volume, file = sys.argv[1:]
subprocess.run(["mount", "--bind", f"{mount}/payments", volume], check=True)
subprocess.run(["mount", "--bind", f"{mount}/payments/client_key.json", file], check=True)
def read(path):
    descriptor = os.open(path, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)  # ask the daemon
    data = os.read(descriptor, 16384)
    assert len(data) == os.fstat(descriptor).st_size
    os.close(descriptor)
    return hashlib.sha256(data).hexdigest()
for _ in sys.stdin:
    print(len(os.listdir(volume)), read(f"{volume}/client_key.json"), read(file), flush=True)
"""


@pytest.mark.core
def test_binds_made_before_are_read_on(mount, installed, tmp_path):
    """As two containers have them: one the directory, one a single file."""
    volume, file = tmp_path / "volume", tmp_path / "key.json"
    volume.mkdir()
    file.touch()
    container = subprocess.Popen(["unshare", "--mount", "--propagation", "private", sys.executable, "-c", CONTAINER,
                                  mount.path, volume, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def look():
        container.stdin.write("look\n")
        container.stdin.flush()
        names, key, bound = container.stdout.readline().split()
        assert names == "14"
        return key, bound

    def key():
        return hashlib.sha256((mount / "payments/client_key.json").read_bytes()).hexdigest()

    first = key()
    assert look() == (first, first)
    for i in range(3):
        mount.kill("aapfs-worker")
        assert look() == (key(), first)
        installed.install(NEXT if i % 2 == 0 else AAPFS)
        assert upgrade(mount).returncode == 0
        assert look() == (key(), first)
        mount.write("payments", PASSWORD)
        assert look() == (key(), first) and key() != first
    container.communicate()
    assert container.returncode == 0


@pytest.mark.full
def test_a_configuration_that_changes_meanwhile_harms_nobody(mount, installed, emulator):
    emulator.set_faults("CreateClientKey delay=1500 x1")
    created = emulator.count("CreateClientKey")
    writer = Write(mount, PASSWORD)
    wait_for_request(emulator, more_than=created)
    upgrading = begin_upgrade(mount, installed)
    mount.config.write_text(mount.config.read_text() + "no such line\n")
    assert writer.end() == 0
    assert upgrading.wait(30) == 0
    assert mount.status()["Version"] == "0.1.1" and mount.key_id()
    # the next one reads the file as it is now
    done = upgrade(mount)
    assert done.returncode == 1 and mount.key_id()

