"""aapfs volume-plugin: many clients at once, clients that say nothing, and a plugin that is killed amid their requests."""
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import threading

import pytest

from harness import AAPFS, PASSWORD, until
from test_sync import delete_aap
from test_volume_plugin import IN_USE, Plugin, plugin  # noqa: F401, a fixture

CONNECTIONS_MOST = 64  # that it takes at a time; the others wait to be accepted
LIST = b"POST /VolumeDriver.List HTTP/1.1\r\nHost: plugin\r\nContent-Length: 0\r\n\r\n"


def connect(plugin, said=b""):
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(30)
    one.connect(str(plugin.socket))
    one.sendall(said)
    return one


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
def test_those_who_take_their_time(mount, tmp_path):
    plugin = QuickPlugin(tmp_path, mount.path)
    plugin.kill()
    volumes = {f"{i:0128}": {"Aap": "payments", "CreatedAt": "2026-11-25T10:00:00Z", "Users": []} for i in range(4000)}
    plugin.file.write_text(json.dumps({"Version": 1, "BootId": "", "Volumes": volumes}))
    plugin.start()
    before = descriptors(plugin)
    silent = [connect(plugin, LIST[:here]) for here in range(CONNECTIONS_MOST // 2)]
    dripping = [connect(plugin) for _ in range(CONNECTIONS_MOST // 4)]
    unread = [connect(plugin, LIST) for _ in range(CONNECTIONS_MOST // 4)]  # more than a socket holds
    until(lambda: descriptors(plugin) == before + CONNECTIONS_MOST)
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
    plugin.end()
