"""aapfs volume-plugin: many clients at once, clients that say nothing, and a plugin that is killed amid their requests."""
import http.client
import json
import os
import pathlib
import random
import re
import signal
import socket
import threading
import time

import pytest

from parts.harness import AAPFS, until
from parts.plugin import IN_USE, Plugin
from parts.processes import children_of

CONNECTIONS_MOST = 64  # that it takes at a time; the others wait to be accepted


def connect(plugin, said=b""):
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(30)
    one.connect(str(plugin.socket))
    one.sendall(said)
    return one


def request(operation, **body):
    text = json.dumps(body)
    return f"POST /VolumeDriver.{operation} HTTP/1.1\r\nHost: plugin\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()


LIST = request("List")


def descriptors(plugin):
    return len(os.listdir(f"/proc/{plugin.process.pid}/fd"))


@pytest.mark.parametrize("count", [CONNECTIONS_MOST, 3 * CONNECTIONS_MOST])
def test_it_hears_again_after_more_than_it_takes(plugin, count):
    before = descriptors(plugin)
    clients = [connect(plugin) for _ in range(count)]
    until(lambda: descriptors(plugin) == before + CONNECTIONS_MOST)
    # all of them go at once: it sees that in one look
    plugin.process.send_signal(signal.SIGSTOP)
    for client in clients:
        client.close()
    plugin.process.send_signal(signal.SIGCONT)
    until(lambda: descriptors(plugin) == before)
    assert plugin.names() == []


class QuickPlugin(Plugin):
    """It ends a connection after a second, not 30."""

    def words(self):
        return [AAPFS.with_name("aapfs-volume-plugin-quick"), *super().words()[2:]]


@pytest.mark.full
def test_those_who_take_their_time(start_plugin):
    plugin = start_plugin(QuickPlugin)
    plugin.kill()
    volumes = {f"{i:0128}": {"Aap": "payments", "CreatedAt": "2026-11-25T10:00:00Z", "Users": []} for i in range(4000)}
    plugin.file.write_text(json.dumps({"Version": 1, "BootId": "", "Volumes": volumes}))
    plugin.start()
    before = descriptors(plugin)
    silent = [connect(plugin, LIST[:here]) for here in range(CONNECTIONS_MOST // 2)]
    dripping = [connect(plugin) for _ in range(CONNECTIONS_MOST // 4)]
    unread = [connect(plugin, LIST) for _ in range(CONNECTIONS_MOST // 4)]  # more than a socket holds
    waiting = connect(plugin, LIST)
    for one in dripping:
        one.sendall(b"POST /VolumeDriver.List HTTP/1.1\r\nX: ")

    def drip(one):
        try:
            return one.send(b"x") == 0
        except BrokenPipeError:
            return True
    until(lambda: all([drip(one) for one in dripping]), 10)
    assert waiting.recv(15) == b"HTTP/1.1 200 OK"
    for one in silent:
        assert one.recv(100) == b""
    waiting.close()
    until(lambda: descriptors(plugin) == before)
    for one in (*silent, *dripping, *unread):
        one.close()
    assert len(plugin.names()) == 4000


@pytest.mark.full
def test_who_is_late_because_of_others_is_answered(start_plugin, mount):
    plugin = start_plugin(QuickPlugin)
    with mount.stopped("aapfs-worker"):
        late = connect(plugin, LIST[:20])
        other = connect(plugin, request("Create", Name="orders"))  # of which the kernel has nothing cached
        until(lambda: children_of(plugin.process.pid))
        late.sendall(LIST[20:])
        time.sleep(1.2)  # the time that a connection has
    for one in (other, late):
        assert one.recv(15) == b"HTTP/1.1 200 OK"
        one.close()


def check_whole(plugin):
    """What is kept is what is: a bind for each volume with users, and no other. The volumes' users by name."""
    told = {volume["Name"]: volume["Status"]["Users"] for volume in plugin.good("List")["Volumes"]}
    kept = json.loads(plugin.file.read_text())["Volumes"]
    assert told == {name: len(volume["Users"]) for name, volume in kept.items()}
    used = {name for name, users in told.items() if users}
    assert used == set(os.listdir(plugin.binds)), told
    for name in used:
        assert len(plugin.binds_of(name)) == 1
    return told


def run_all(targets):
    """Threads; what one of them raises."""
    raised = []

    def guarded(target):
        try:
            target()
        except BaseException as error:  # for the main thread
            raised.append(error)
    threads = [threading.Thread(target=guarded, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


@pytest.mark.full
def test_many_clients_at_once(plugin, mount):
    key_id = mount.key_id() + "\n"
    mounted = []

    def client(number):
        for turn in range(12):
            name, user = f"v{(number + turn) % 3}", f"client-{number}"
            plugin.good("Create", Name=name, Opts={"aap": "payments"})
            answer = plugin.call("Mount", Name=name, ID=user)
            if answer.get("Err"):  # another has removed it meanwhile
                assert answer == {"Err": f"{name}: no such volume"}
                continue
            # until it says that it does not need it any more it has it
            assert (pathlib.Path(answer["Mountpoint"]) / "client_key_id").read_text() == key_id
            assert plugin.call("Remove", Name=name) == {"Err": f"{name}: {IN_USE}"}
            assert (pathlib.Path(answer["Mountpoint"]) / "client_key_id").read_text() == key_id
            mounted.append(name)
            plugin.good("Unmount", Name=name, ID=user)
            assert plugin.call("Remove", Name=name).get("Err") in (
                None, "", f"{name}: {IN_USE}", f"{name}: no such volume")
    run_all([lambda number=number: client(number) for number in range(8)])
    assert len(mounted) > 12 and not any(check_whole(plugin).values())
    for name in plugin.names():
        plugin.good("Remove", Name=name)
    assert check_whole(plugin) == {}


@pytest.mark.full
def test_killed_amid_requests(plugin):
    """Nobody loses what was answered; of what was not, all or nothing."""
    rng = random.Random(6)
    volumes = {f"v{number}": None for number in range(4)}  # its users; None: it is not there
    moves = {None: [("Create", 0)], 0: [("Mount", 1), ("Remove", None)], 1: [("Unmount", 0)]}
    doubts = {}

    def client(name, chosen):
        while True:
            operation, then = chosen.choice(moves[volumes[name]])
            doubts[name] = {volumes[name], then}
            try:
                plugin.good(operation, Name=name, ID="a", Opts={"aap": "payments"})
            except (OSError, http.client.HTTPException):  # killed before it could answer
                return
            volumes[name] = then
    done = 0
    for turn in range(25):
        doubts.clear()
        clients = [threading.Thread(target=client, args=(name, random.Random(f"{turn} {name}"))) for name in volumes]
        for one in clients:
            one.start()
        time.sleep(rng.uniform(0.005, 0.15))  # anywhere in a request
        plugin.kill()
        for one in clients:
            one.join()
        plugin.start()
        told = check_whole(plugin)
        for name in volumes:
            assert told.get(name) in doubts[name], (turn, name)
            done += told.get(name) != volumes[name]
            volumes[name] = told.get(name)
    assert done  # some were carried out and not answered


@pytest.mark.full
def test_a_bind_ends_with_the_plugin(plugin, mount):
    """One that waits for aapfs while its plugin is killed does not come to be afterwards, when nobody knows of it."""
    plugin.good("Create", Name="keys", Opts={"aap": "payments"})
    plugin.kill()
    state = json.loads(plugin.file.read_text())
    state["Volumes"]["keys"]["Aap"] = "orders"  # of which the kernel has nothing cached: aapfs is asked
    plugin.file.write_text(json.dumps(state))
    plugin.start()
    with mount.stopped("aapfs-worker"):
        client = connect(plugin, request("Mount", Name="keys", ID="a"))
        (bind,) = until(lambda: children_of(plugin.process.pid))
        until(lambda: re.search("fuse|request", pathlib.Path(f"/proc/{bind}/wchan").read_text()))
        plugin.kill()
        plugin.start()
    client.close()
    until(lambda: not pathlib.Path(f"/proc/{bind}").exists())
    assert check_whole(plugin) == {"keys": 0}
