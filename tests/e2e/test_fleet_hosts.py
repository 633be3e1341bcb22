"""Twenty hosts that share one key: what a write on one does on all, and who makes the keys that are due on all of them at once."""
import concurrent.futures
import os
import re
import time

import pytest

from parts.etcd import need_etcd
from parts.fleet import Fleet
from parts.harness import until

need_etcd()

DAY = 86400
# a machine with fewer processors than members, let alone hosts
LATE = re.compile(r"aapfs: (\S+: the rotation that is due failed: Fleet: |\S+: the client key .* its rotation fails|the fleet's etcd).*\n")
HOSTS = int(os.environ.get("AAPFS_FLEET_HOSTS", "20"))


def quantile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))]


def propagation(fleet, writes):
    """Seconds from the answer of a write on one host, in turn, until each other one shows its key."""
    took = []

    def await_key(host, key_id, began):
        until(lambda: fleet.key_id(host) == key_id)
        return time.monotonic() - began

    with concurrent.futures.ThreadPoolExecutor(len(fleet.hosts)) as pool:
        for number in range(writes):
            writer = fleet.hosts[number % len(fleet.hosts)]
            key_id, began = fleet.write(writer), time.monotonic()
            others = [host for host in fleet.hosts if host is not writer]
            took += pool.map(lambda host: await_key(host, key_id, began), others)
    return took


def show_one_key(fleet, emulator, writes):
    """One write, one key, the same bytes on every host."""
    made = emulator.count("CreateClientKey")
    took = propagation(fleet, writes)
    fleet.await_one(key_id=fleet.hosts[(writes - 1) % len(fleet.hosts)].key_id())
    assert emulator.count("CreateClientKey") - made == writes
    print(f"{len(fleet.hosts)} hosts, {writes} writes: shown elsewhere after p50 {quantile(took, 0.5) * 1000:.0f} ms, "
          f"p99 {quantile(took, 0.99) * 1000:.0f} ms, at most {max(took) * 1000:.0f} ms")


def make_each_key_once(fleet, emulator, clock, aaps, parts):
    """What is due on every host at once is made by one."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda aap: fleet.write(fleet.hosts[0], aap), aaps))
    for aap in aaps:
        fleet.await_one(aap)
    first = {aap: fleet.hosts[0].key_id(aap) for aap in aaps}
    made = emulator.count("CreateClientKey")
    for host in fleet.hosts:
        host.leave()
    clock(250 * DAY)
    emulator.move_clock(250 * DAY)
    for host in [*fleet.hosts]:
        fleet.start_again(host, **parts)
    for aap in aaps:
        until(lambda: fleet.key_id(fleet.hosts[0], aap) != first[aap], 120)
    for aap in aaps:
        fleet.await_one(aap, seconds=120)
    assert emulator.count("CreateClientKey") - made == len(aaps)
    for host in fleet.hosts:
        for aap in aaps:
            assert host.status(aap)["State"] == "active", (host.path, aap)


@pytest.mark.full
def test_four_hosts(cluster, start_emulator, start_mount, tmp_path, clock):
    aaps = ["payments", *(f"aap-{number}" for number in range(7))]
    emulator = start_emulator(aaps=aaps)
    fleet = Fleet(start_mount, cluster, emulator, tmp_path)
    parts = {"settings": "requests_per_second = 100", "defaults": "validity = 1y\non_rotate = none", **clock.parts}
    for _ in range(4):
        fleet.start(**parts)
    show_one_key(fleet, emulator, 4)
    make_each_key_once(fleet, emulator, clock, aaps, parts)


@pytest.mark.long
def test_twenty_hosts_show_one_key(cluster, emulator, start_mount, tmp_path):
    fleet = Fleet(start_mount, cluster, emulator, tmp_path)
    for _ in range(HOSTS):
        fleet.start(settings="requests_per_second = 100", request_timeout="20s")
    show_one_key(fleet, emulator, 50)


@pytest.mark.long
def test_two_hundred_rotations_that_are_due_at_once_on_twenty_hosts(cluster, start_emulator, start_mount, tmp_path, clock):
    aaps = ["payments", *(f"aap-{number}" for number in range(199))]
    emulator = start_emulator(aaps=aaps)
    fleet = Fleet(start_mount, cluster, emulator, tmp_path)
    parts = {"settings": "requests_per_second = 100", "defaults": "validity = 1y\non_rotate = none", "request_timeout": "20s", "expected_errors": LATE,
             **clock.parts}
    for _ in range(HOSTS):
        fleet.start(**parts)
    make_each_key_once(fleet, emulator, clock, aaps, parts)
