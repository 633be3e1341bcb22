"""Whatever anybody calls on the mount, the daemon bears it, and nobody else's keys change."""
import os
import random
import subprocess

import pytest

from parts.harness import BUILD, PASSWORD
from parts.users import NOBODY

# a leak check needs /proc, which is not in the callers' root
CALLERS = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}


@pytest.mark.full
@pytest.mark.core
def test_random_calls_by_root_and_by_others(start_mount, emulator):
    mount = start_mount(emulator.url, request_timeout="2s", sections="[aap orders]\nmax_keys = 20")
    mount.write("payments", PASSWORD)
    seeds = [random.SystemRandom().getrandbits(30) for _ in range(3)]
    print("seeds", seeds)  # shown when it fails
    users = [0, NOBODY, NOBODY]
    seconds = os.environ.get("AAPFS_RANDOM_SECONDS", "3")
    callers = [subprocess.Popen([BUILD / "tests/programs/random_calls", mount.path, seconds, str(seed),
                                 str(user)], stdout=subprocess.PIPE, text=True,
                                env=CALLERS)
               for user, seed in zip(users, seeds)]
    calls = [int(caller.communicate(timeout=60)[0]) for caller in callers]
    assert [caller.returncode for caller in callers] == [0, 0, 0]
    assert min(calls) > 1000
    mount.write("payments", PASSWORD)
    for name in ("client_key.json", "client_key.p12"):
        assert (mount / "payments" / name).read_bytes() == (mount / "payments/current" / name).read_bytes()
    assert emulator.count("DeleteClientKey") == 0


@pytest.mark.full
def test_others_alone_change_and_send_nothing(mount, emulator):
    mount.write("payments", PASSWORD)
    before = {path: path.read_bytes() for path in mount.path.glob("*/*/*/client_key.json")}
    mount.sync()  # all there is to list is listed: nothing is left to the background
    requests = emulator.counts()
    caller = subprocess.run([BUILD / "tests/programs/random_calls", mount.path, "2", "1", str(NOBODY)],
                            stdout=subprocess.PIPE, env=CALLERS)
    assert caller.returncode == 0
    assert {path: path.read_bytes() for path in mount.path.glob("*/*/*/client_key.json")} == before
    assert emulator.counts() == requests
