"""Processes are killed while the mount is used: nobody who reads notices, and no key is lost."""
import os
import random
import signal

import pytest

from parts.load import Load


def kill_by_name(mount, name):
    """Kills a process of the mount that is there; False while none is."""
    pid = mount.children().get(name)
    if pid is None:
        return False
    os.kill(pid, signal.SIGKILL)
    return True


def kill_under_load(mount, emulator, names, kills, shortest=0.05, longest=0.1):
    seed = random.randrange(10**9)
    chance = random.Random(seed)
    print("seed", seed)
    before = emulator.count("CreateClientKey")
    load = Load(mount)
    done = 0
    while done < kills and load.wait(chance.uniform(shortest, longest)):
        done += kill_by_name(mount, chance.choice(names))
    figures = load.end()
    print(figures)
    assert done == kills
    assert "EINTR" not in figures["Errors"]  # nobody has interrupted the writer
    assert emulator.count("CreateClientKey") - before <= figures["Writes"]
    return figures


def start(start_mount, emulator, **parts):
    return start_mount(emulator.url, request_timeout="20s", expected_errors=None, **parts)


@pytest.mark.full
def test_killed_workers(start_mount, emulator):
    kill_under_load(start(start_mount, emulator), emulator, ["aapfs-worker"],
                    int(os.environ.get("AAPFS_KILLS", "40")))


@pytest.mark.full
def test_two_hundred_killed_workers(start_mount, emulator):
    figures = kill_under_load(start(start_mount, emulator), emulator, ["aapfs-worker"], 200)
    assert figures["Reads"] > 10000


@pytest.mark.long
@pytest.mark.parametrize("round", range(10))
def test_two_thousand_killed_workers(start_mount, emulator, round):
    """In rounds: a key that was made in one stays for all of it, and the next worker loads it."""
    kill_under_load(start(start_mount, emulator), emulator, ["aapfs-worker"], 200)


def test_killed_publishers(start_mount, emulator):
    kill_under_load(start(start_mount, emulator), emulator, ["aapfs-publisher"], 5)


@pytest.mark.full
def test_killed_workers_and_publishers(start_mount, emulator):
    kill_under_load(start(start_mount, emulator), emulator, ["aapfs-worker", "aapfs-worker", "aapfs-publisher"], 60)


@pytest.mark.full
def test_killed_workers_publishers_and_runners(start_mount, emulator):
    kill_under_load(start(start_mount, emulator, defaults="on_rotate = sleep 0.1"), emulator,
                    ["aapfs-worker", "aapfs-publisher", "aapfs-runner"], 60)
