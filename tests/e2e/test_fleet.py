"""Hosts that share the keys of their AAPs through etcd: a key goes to all, wherever and whenever it was made."""
import os
import signal
import subprocess

import pytest

from parts.check import Place
from parts.etcd import PASSWORD as ETCD_PASSWORD
from parts.etcd import PREFIX, Between, encode, need_etcd
from parts.fleet import ETCD
from parts.harness import AAPFS, PASSWORD, environment, make_state_key, until
from parts.tree import listed_keys

need_etcd()

pytestmark = pytest.mark.full


def names(cluster):
    """What stands in etcd, without the prefix."""
    import base64
    answer = cluster.ask("kv/range", {"key": encode(PREFIX), "range_end": encode(PREFIX[:-1] + "0"), "keys_only": True})
    return {base64.b64decode(entry["key"]).decode().removeprefix(PREFIX) for entry in answer.get("kvs", [])}


def test_a_key_goes_to_every_host(fleet, cluster, emulator):
    hosts = [fleet.start(defaults="expose_password = yes") for _ in range(3)]
    for writer in hosts:
        fleet.write(writer)
        key_id = writer.key_id()
        fleet.await_one(key_id=key_id)
        assert {host.read("payments", "password") for host in hosts} == {PASSWORD}
    assert emulator.count("CreateClientKey") == 3
    assert f"aaps/payments/keys/{key_id}" in names(cluster) and "aaps/payments/current" in names(cluster)
    assert all(host.status()["Fleet"]["Connected"] and host.status()["Fleet"]["Trouble"] is None for host in hosts)
    assert len({host.status()["Fleet"]["Host"] for host in hosts}) == 3
    late = fleet.start(defaults="expose_password = yes")
    fleet.await_one(key_id=key_id)
    # and what one has deleted leaves the others
    superseded = hosts[0].status("payments")["Superseded"]
    for old in superseded:
        hosts[1].write("payments", f"delete {old}")
    until(lambda: all(listed_keys(host) == {key_id} for host in [*hosts, late]))
    assert {name for name in names(cluster) if name.startswith("aaps/payments/keys/")} == {f"aaps/payments/keys/{key_id}"}
    assert emulator.count("DeleteClientKey") == len(superseded)


@pytest.mark.long
def test_hosts_with_keys_of_their_own_join(fleet, emulator, start_mount, tmp_path):
    """The newest is the current one everywhere; none is deleted."""
    alone = []
    for number in range(2):
        (tmp_path / f"alone{number}").mkdir()
        alone.append(start_mount(emulator.url, directory=tmp_path / f"alone{number}"))
        alone[-1].write("payments", PASSWORD)
    keys = [mount.key_id() for mount in alone]
    for mount in alone:
        mount.leave()
    hosts = [fleet.start(**mount.kept) for mount in alone]
    fleet.await_one(key_id=keys[1])
    until(lambda: all(listed_keys(host) == set(keys) for host in hosts))
    assert emulator.count("DeleteClientKey") == 0


@pytest.mark.long
def test_serving_needs_no_etcd_and_what_was_missed_comes(fleet, cluster):
    first, second = fleet.start(expected_errors=ETCD), fleet.start(expected_errors=ETCD)
    fleet.write(first)
    before = fleet.await_one()[1].strip()
    for member in cluster.members:
        member.process.send_signal(signal.SIGSTOP)
    second.leave()
    second = fleet.start_again(second, expected_errors=ETCD)
    assert second.key_id() == before
    for member in cluster.members:
        member.process.send_signal(signal.SIGCONT)
    until(lambda: second.status()["Fleet"]["Connected"])
    until(lambda: first.status()["Fleet"]["Connected"])
    fleet.write(first)
    fleet.await_one(key_id=first.key_id())


@pytest.mark.long
def test_an_emptied_etcd_takes_nothing_and_is_filled_again(fleet, cluster):
    first = fleet.start()
    fleet.start()
    fleet.write(first)
    fleet.await_one()
    cluster.clear()
    late = fleet.start()
    fleet.write(first)
    fleet.await_one(key_id=first.key_id())
    assert len(listed_keys(late)) >= 1


@pytest.mark.parametrize("text, said", [
    (None, "there is no fleet key; right is fleet_key = FILE"), ("", "is not 64 hexadecimal digits"), ("x" * 64, "is not 64 hexadecimal digits")])
@pytest.mark.long
def test_a_mount_without_a_fleet_key_says_so(fleet, emulator, tmp_path, text, said):
    key = tmp_path / "other-key"
    key.touch(0o600)
    key.write_text(text or "")
    section = fleet.section(fleet_key=key) if text is not None else fleet.section().replace(f"fleet_key = {fleet.key}\n", "")
    config = tmp_path / "a.conf"
    config.write_text(f"[kms]\nregion = cn-hangzhou\nendpoint = {emulator.url}\n{section}")
    done = subprocess.run([AAPFS, "-f", "-c", config, tmp_path], capture_output=True, text=True, timeout=30, env=environment())
    assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.long
def test_another_fleet_key_shares_nothing(fleet, cluster, tmp_path):
    first = fleet.start()
    fleet.write(first)
    before = names(cluster)
    other = fleet.start(fleet_key=make_state_key(tmp_path / "another"),
                        expected_errors="aapfs: [fleet]: fleet_key is another one than that of the hosts that share keys under this "
                                        "prefix; right is the same file on every host, or another prefix; nothing is shared\n")
    until(lambda: other.status()["Fleet"]["Trouble"])
    assert names(cluster) >= before and not os.path.exists(other / "payments/client_key_id")
    assert not other.status()["Fleet"]["Connected"]


@pytest.mark.long
def test_a_damaged_record_harms_nobody(fleet, cluster):
    first = fleet.start()
    fleet.write(first)
    damaged = first.key_id()
    cluster.put(f"{PREFIX}aaps/payments/keys/{damaged}", "no record")
    cluster.put(f"{PREFIX}aaps/payments/keys/..", "no name")
    cluster.put(f"{PREFIX}aaps/nobody/current", "no AAP")
    said = (f"aapfs: payments: the fleet's record of {damaged} is of no use here: it is damaged, or somebody without the fleet key has "
            "put it there; it stays where it is\n")
    late = fleet.start(expected_errors=said)
    until(lambda: said in late.errors())
    fleet.write(first)
    fleet.await_one(key_id=first.key_id())
    cluster.put(f"{PREFIX}aaps/payments/current", "no note")
    fleet.write(late)
    fleet.await_one(key_id=late.key_id())


def test_check_looks_at_etcd(fleet, cluster, emulator, tmp_path):
    (tmp_path / "place").mkdir()
    place = Place(tmp_path / "place", emulator.url)
    look = lambda **changed: place.check(sections=fleet.section(**changed))
    usable = f"{PREFIX}can be read and written".replace("/can", "/ can")
    assert look().of("ok", "fleet") == ["nobody shares keys under aapfs yet", usable]
    host = fleet.start()
    until(lambda: host.status()["Fleet"]["Connected"])
    until(lambda: any(name.startswith("hosts/") for name in names(cluster)))
    before = names(cluster)
    assert look().of("ok", "fleet") == ["fleet_key is that of the hosts that share keys under aapfs", usable]
    assert names(cluster) == before  # whoever is seen among the hosts would be waited for
    cluster.control("role", "add", "reader")
    cluster.control("role", "grant-permission", "--prefix", "reader", "read", PREFIX)
    cluster.control("user", "add", f"reader:{ETCD_PASSWORD}")
    cluster.control("user", "grant-role", "reader", "reader")
    [said] = look(etcd={"user": "reader"}).of("error", "fleet")
    assert said.startswith("aapfs/ cannot be written: ")
    other = make_state_key(tmp_path / "other")
    assert look(fleet_key=other).of("error", "fleet") == [
        "fleet_key is another one than that of the hosts that share keys under aapfs; right is the same on every host"]
    nobody = Between(cluster.members[0].port)
    nobody.stop()
    [said] = look(endpoints=[nobody.url]).of("error", "fleet")
    assert "etcd" in said and str(nobody.port) in said
    [said] = look(etcd={"user": "nobody"}).of("error", "fleet")
    assert "etcd" in said
