"""
In a network of its own (unshare --net), where who connects to 100.100.100.200 gets no answer: how long a start without a
region takes, and a write without credentials. no_metadata_network.py DIRECTORY
"""
import os
import pathlib
import socket
import subprocess
import sys
import time

from parts.harness import AAPFS, Mount, environment

directory = pathlib.Path(sys.argv[1])
nothing = dict(ALIBABA_CLOUD_ACCESS_KEY_ID=None, ALIBABA_CLOUD_ACCESS_KEY_SECRET=None, HOME=str(directory))
for words in ("link set lo up", "address add 100.100.100.200/32 dev lo"):
    subprocess.run(["ip", *words.split()], check=True)
full = socket.create_server(("100.100.100.200", 80), backlog=0)  # its queue, once full, loses what comes
waiting = [socket.socket() for _ in range(3)]
for one in waiting:
    one.setblocking(False)
    one.connect_ex(("100.100.100.200", 80))
config = directory / "aapfs.conf"
config.write_text("[kms]\n")
began = time.monotonic()
done = subprocess.run([AAPFS, "-f", "-c", config, directory], capture_output=True, text=True, timeout=30,
                      env=environment(**nothing, ALIBABA_CLOUD_REGION_ID=None))
assert time.monotonic() - began < 2, "the start took long"
assert done.returncode == 2 and "ECS metadata: 100.100.100.200: no answer in time" in done.stderr, done.stderr
mount = Mount(directory, "http://127.0.0.1:1", request_timeout="5s", env=nothing)
began = time.monotonic()
try:
    os.write(os.open(mount / ".aapfs/control", os.O_WRONLY), b"sync\n")
    raise AssertionError("written")
except PermissionError:
    pass
assert time.monotonic() - began < 2, "the write took long"
assert "ecs-ram-role: 100.100.100.200: no answer in time" in mount.last_error(".aapfs")["Message"]
mount.stop()
