"""One creator in a fleet: what is due on every host is made once, and what a host that died has left is settled before more is made."""
import concurrent.futures
import errno
import signal

import pytest

from parts.etcd import need_etcd
from parts.fleet import Fleet
from parts.harness import PASSWORD, result_of, until
from parts.kms import keys_of
from parts.log import KILLED
from parts.stops import arm, with_stops

need_etcd()

pytestmark = pytest.mark.full

DAY = 86400


def test_what_is_due_on_every_host_is_made_once(cluster, start_emulator, start_mount, tmp_path, clock):
    """Whoever is late asks KMS nothing, counts no failure and says nothing."""
    aaps = ["payments", *(f"aap-{number}" for number in range(19))]
    emulator = start_emulator(aaps=aaps)
    fleet = Fleet(start_mount, cluster, emulator, tmp_path)
    parts = {"settings": "requests_per_second = 1000", "defaults": "validity = 1y\non_rotate = none", **clock.parts}
    for _ in range(3):
        fleet.start(**parts)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda numbered: fleet.hosts[numbered[0] % 3].write(numbered[1], PASSWORD), enumerate(aaps)))
    first = {aap: fleet.await_one(aap)[1].strip() for aap in aaps}
    made = emulator.count("CreateClientKey")
    assert made == len(aaps)
    for host in fleet.hosts:
        host.leave()
    clock(300 * DAY)
    emulator.move_clock(300 * DAY)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda host: fleet.start_again(host, **parts), list(fleet.hosts)))
    until(lambda: all(host.key_id(aap) != first[aap] for host in fleet.hosts for aap in aaps))
    for aap in aaps:
        fleet.await_one(aap)
    assert emulator.count("CreateClientKey") - made == len(aaps)
    for host in fleet.hosts:
        assert {host.status(aap)["State"] for aap in aaps} == {"active"}
        assert all(host.last_error(aap) is None for aap in aaps)


def test_a_write_while_another_host_creates_names_it(cluster, emulator, start_mount, tmp_path):
    fleet = Fleet(start_mount, cluster, emulator, tmp_path)
    one, other = fleet.start(), fleet.start(expected_errors=KILLED)
    one.write("payments", PASSWORD)
    fleet.await_one()
    emulator.set_faults("CreateClientKey delay=800 1")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asked = emulator.count("CreateClientKey")
        writing = pool.submit(one.write, "payments", PASSWORD)
        until(lambda: emulator.count("CreateClientKey") > asked)
        assert result_of(other, PASSWORD) == errno.EBUSY
        assert one.status()["Fleet"]["Host"] in other.last_error("payments")["Message"]
        writing.result()
    fleet.await_one(key_id=one.key_id())
    assert emulator.count("CreateClientKey") == asked + 1


@pytest.mark.long
@pytest.mark.parametrize("place", ["engine-reserved", "engine-answered", "engine-saved"])
def test_the_creator_dies(cluster, emulator, start_mount, tmp_path, stops, place):
    """The whole of it, for good: another host waits until nothing can come any more, names what is lost, and makes its own."""
    fleet = Fleet(start_mount, cluster, emulator, tmp_path)
    for _ in range(3):
        fleet.start(expected_errors=KILLED)
    dying = fleet.start(expected_errors=KILLED, **with_stops(stops))
    fleet.hosts[0].write("payments", PASSWORD)
    first = fleet.await_one()[1].strip()
    arm(stops, place)
    dying.process.send_signal(signal.SIGSTOP)  # nobody starts its worker again
    result_of_dying = concurrent.futures.ThreadPoolExecutor(1).submit(result_of, dying, PASSWORD)
    until(lambda: not stops.exists())
    others = fleet.hosts[:3]
    until(lambda: result_of(others[1], PASSWORD) == 0, 120)
    key_id = others[1].key_id()
    assert key_id != first
    fleet.await_one(key_id=key_id, hosts=others)
    lost = set(keys_of(emulator, "payments")) - {first, key_id}
    assert len(lost) == (place != "engine-reserved")
    assert set(others[1].status("payments")["Orphans"]) == lost
    dying.process.send_signal(signal.SIGCONT)
    result_of_dying.result()
    fleet.await_one()
    assert emulator.count("CreateClientKey") == 2 + len(lost)
