"""A fleet whose hosts, network and etcd fail: readers see no error, no host goes back, and in the end all show one key."""
import os
import random
import re
import signal
import threading
import time

import pytest

from parts.etcd import PREFIX, encode, need_etcd
from parts.fleet import ETCD, Fleet, Readers
from parts.harness import PASSWORD, result_of, until
from parts.kms import keys_of
from parts.log import KILLED
from parts.stops import arm, with_stops

need_etcd()

pytestmark = pytest.mark.long


# of a record that somebody without the fleet key has put there
DAMAGED = re.compile(rf"{ETCD.pattern}|aapfs: payments: the fleet's record of \S+ is of no use here: .*\n")
# whatever is done to a host at random
ANYTHING = re.compile(rf"{DAMAGED.pattern}|{KILLED.pattern}|aapfs: reloaded\n|aapfs: payments: .*\n")


def start_three(fleet, said=ETCD, **parts):
    for _ in range(3):
        fleet.start(link=True, expected_errors=said, settings="requests_per_second = 100", **parts)
    fleet.hosts[0].write("payments", PASSWORD)
    fleet.await_one()


def named(host, aap="payments"):
    """The ids of KMS's keys that HOST can say something of."""
    status = host.status(aap)
    return {status["ClientKeyId"], *status["Superseded"], *status["Rejected"], *status["Orphans"], *status["Candidates"],
            *status["Foreign"]}


def converge(fleet, emulator, aap="payments"):
    """All hosts show one key; every other key that KMS has is named by each of them, once it has listed."""
    shown = fleet.await_one(aap)
    for host in fleet.hosts:
        host.sync()
    until(lambda: all(set(keys_of(emulator, aap)) <= named(host, aap) for host in fleet.hosts), 90,
          lambda: str([set(keys_of(emulator, aap)) - named(host, aap) for host in fleet.hosts]))
    return shown[1].strip()


def write_until_well(host, aap="payments"):
    """By a person who tries again."""
    until(lambda: result_of(host, PASSWORD, aap) == 0, 120, lambda: str(host.last_error(aap)))
    return host.key_id(aap)


@pytest.mark.parametrize("which", ["a member", "the leader"])
def test_a_member_of_etcd_is_killed(fleet, cluster, emulator, which):
    start_three(fleet)
    readers = Readers(fleet.hosts)
    member = cluster.leader() if which == "the leader" else next(m for m in cluster.members if m is not cluster.leader())
    member.kill()
    made = write_until_well(fleet.hosts[1])
    fleet.await_one(key_id=made)
    member.start()
    made = write_until_well(fleet.hosts[2])
    fleet.await_one(key_id=made)
    readers.end()
    assert converge(fleet, emulator) == made


def test_without_a_quorum_nothing_is_made_and_everything_is_served(fleet, cluster, emulator):
    start_three(fleet)
    before, count = fleet.hosts[0].key_id(), emulator.count("CreateClientKey")
    readers = Readers(fleet.hosts)
    lost = cluster.members[:2]
    for member in lost:
        member.kill()
    assert result_of(fleet.hosts[0], PASSWORD) != 0
    assert "etcd" in str(fleet.hosts[0].last_error())
    assert emulator.count("CreateClientKey") == count
    assert fleet.await_one()[1].strip() == before
    for member in lost:
        member.start()
    made = write_until_well(fleet.hosts[0])
    fleet.await_one(key_id=made)
    readers.end()
    assert converge(fleet, emulator) == made


def test_a_host_that_is_cut_off_shows_its_key_and_catches_up(fleet, emulator):
    start_three(fleet)
    readers = Readers(fleet.hosts)
    away = fleet.hosts[2]
    away.link.cut(kms=True)
    before = away.key_id()
    made = write_until_well(fleet.hosts[0])
    fleet.await_one(key_id=made, hosts=fleet.hosts[:2])
    assert away.key_id() == before
    away.link.mend()
    fleet.await_one(key_id=made)
    readers.end()
    assert converge(fleet, emulator) == made


def test_a_host_that_is_cut_off_during_its_own_rotation_makes_one_key_at_most(fleet, emulator):
    """Longer than its lease: another one makes the next key, and what the first one was given is named."""
    start_three(fleet)
    readers = Readers(fleet.hosts)
    count = emulator.count("CreateClientKey")
    emulator.set_faults("CreateClientKey delay=800 1")
    cut = fleet.hosts[0]
    written = []
    writer = threading.Thread(target=lambda: written.append(result_of(cut, PASSWORD)))
    writer.start()
    until(lambda: emulator.count("CreateClientKey") == count + 1)
    cut.link.cut()
    writer.join(120)
    emulator.set_faults()
    made = write_until_well(fleet.hosts[1])
    cut.link.mend()
    readers.end()
    final = converge(fleet, emulator)
    assert final == made
    assert emulator.count("CreateClientKey") == count + 2


def test_the_creator_is_killed_between_create_and_publish(cluster, emulator, start_mount, tmp_path, stops):
    fleet = Fleet(start_mount, cluster, emulator, tmp_path)
    for _ in range(3):
        fleet.start(expected_errors=KILLED, settings="requests_per_second = 100", **with_stops(stops))
    fleet.hosts[0].write("payments", PASSWORD)
    first = fleet.await_one()[1].strip()
    readers = Readers(fleet.hosts)
    arm(stops, "engine-saved")
    result_of(fleet.hosts[0], PASSWORD)
    until(lambda: fleet.hosts[0].key_id() != first)
    readers.end()
    assert converge(fleet, emulator) == fleet.hosts[0].key_id()


def test_compaction_past_what_a_watcher_has_seen(fleet, cluster, emulator):
    start_three(fleet)
    readers = Readers(fleet.hosts)
    slow = fleet.hosts[2]
    slow.link.cut()
    for _ in range(3):
        made = write_until_well(fleet.hosts[0])
    cluster.compact(cluster.put(PREFIX + "other", "x"))
    slow.link.mend()
    fleet.await_one(key_id=made)
    readers.end()
    assert converge(fleet, emulator) == made


def test_a_damaged_record_harms_nobody(fleet, cluster, emulator):
    start_three(fleet)
    readers = Readers(fleet.hosts)
    made = fleet.hosts[0].key_id()
    cluster.put(f"{PREFIX}aaps/payments/keys/{made}", "this is no record")
    cluster.put(f"{PREFIX}aaps/payments/current", "nor is this a note")
    cluster.put(f"{PREFIX}aaps/payments/keys/../../x", "nor a name")
    late = fleet.start(link=True, expected_errors=DAMAGED, settings="requests_per_second = 100")
    made = write_until_well(fleet.hosts[1])
    fleet.await_one(key_id=made)
    readers.end()
    write_until_well(late)
    converge(fleet, emulator)


def test_an_emptied_etcd_takes_no_key_from_anybody(fleet, cluster, emulator):
    start_three(fleet)
    readers = Readers(fleet.hosts)
    made = write_until_well(fleet.hosts[1])
    fleet.await_one(key_id=made)
    cluster.clear()
    found = lambda: cluster.ask("kv/range", {"key": encode(f"{PREFIX}aaps/payments/current")}).get("count") == "1"
    until(found)  # it is told again
    late = fleet.start(link=True, expected_errors=ETCD)
    fleet.await_one(key_id=made)
    assert late.key_id() == made
    readers.end()


def test_hosts_whose_clocks_differ(cluster, emulator, start_mount, tmp_path, clock):
    fleet = Fleet(start_mount, cluster, emulator, tmp_path)
    fleet.start(**clock.parts)
    fleet.start()
    clock(1800)
    for number in range(6):
        made = write_until_well(fleet.hosts[number % 2])
        fleet.await_one(key_id=made)


def disturb(fleet, cluster, chance):
    """One fault, and what ends it."""
    kind = chance.choice(["member", "quorum", "cut", "cut all", "kill", "compact", "damage", "restart"])
    host = chance.choice(fleet.hosts)
    if kind in ("member", "quorum"):
        members = chance.sample(cluster.members, 1 if kind == "member" else 2)
        for member in members:
            member.kill()
        return kind, lambda: [member.start() for member in members]
    if kind in ("cut", "cut all"):
        host.link.cut(kms=kind == "cut all")
        return kind, host.link.mend
    if kind == "kill":
        host.kill("aapfs-worker")
    elif kind == "compact":
        cluster.compact(cluster.put(PREFIX + "other", "x"))
    elif kind == "damage":
        with_record = f"{PREFIX}aaps/payments/keys/{host.key_id()}"
        cluster.put(with_record, "no record")
    else:
        host.process.send_signal(signal.SIGHUP)
    return kind, lambda: None


def test_faults_at_random(fleet, cluster, emulator):
    """AAPFS_SECONDS of them, ten minutes by default; AAPFS_SEED repeats their order."""
    seed, seconds = int(os.environ.get("AAPFS_SEED", random.getrandbits(32))), int(os.environ.get("AAPFS_SECONDS", "600"))
    print("AAPFS_SEED =", seed)
    chance = random.Random(seed)
    start_three(fleet, ANYTHING)
    readers = Readers(fleet.hosts)
    acknowledged, kinds, end = set(), [], time.monotonic() + seconds
    while time.monotonic() < end:
        kind, mend = disturb(fleet, cluster, chance)
        kinds.append(kind)
        writer = chance.choice(fleet.hosts)
        if result_of(writer, PASSWORD) == 0:
            acknowledged.add(writer.key_id())
        mend()
        made = write_until_well(chance.choice(fleet.hosts))
        acknowledged.add(made)
        fleet.await_one(seconds=120)
    reads = readers.end()
    last = converge(fleet, emulator)
    print(f"{len(kinds)} faults, {reads} reads, {len(acknowledged)} keys made, {emulator.count('CreateClientKey')} asked for; {last}")
    for host in fleet.hosts:
        assert acknowledged & set(keys_of(emulator, "payments")) <= named(host)
