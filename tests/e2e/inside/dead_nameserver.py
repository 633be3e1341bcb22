"""
In a network and mount namespace of its own, with a nameserver that takes every question and answers
none. Prints what writes ended with and how long they took, as JSON.
"""
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

from parts.harness import PASSWORD, Emulator, Mount

directory = pathlib.Path(tempfile.mkdtemp(prefix="aapfs-test-"))
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
resolv = directory / "resolv.conf"
resolv.write_text("nameserver 127.0.0.1\n")
subprocess.run(["mount", "--bind", resolv, "/etc/resolv.conf"], check=True)
nameserver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
nameserver.bind(("127.0.0.1", 53))

emulator = Emulator(directory, pool_file=sys.argv[1])
by_name = Mount(directory, "https://kms.example.test", settings="aaps = payments, orders")
(directory / "second").mkdir()
literal = Mount(directory / "second", emulator.url)
results = {}


def write(what, mount, aap):
    began = time.monotonic()
    try:
        mount.write(aap, PASSWORD)
        number = 0
    except OSError as error:
        number = error.errno
    results[what] = {"errno": number, "seconds": time.monotonic() - began}


threads = [threading.Thread(target=write, args=words) for words in
           (("name", by_name, "payments"), ("name, second AAP", by_name, "orders"))]
for thread in threads:
    thread.start()
nameserver.recv(512)  # it was asked
write("literal", literal, "orders")
for thread in threads:
    thread.join()
results["Code"] = by_name.last_error()["Code"]
by_name.stop()
key = (literal / "orders/client_key.json").read_bytes()
literal.stop()
# the next start finds its keys without a network
again = Mount(directory / "second", "https://kms.example.test", state=literal.state, state_key=literal.state_key)
results["served again"] = (again / "orders/client_key.json").read_bytes() == key
results["start"] = again.ready_after
write("name, again", again, "orders")
again.stop()
emulator.stop()
shutil.rmtree(directory)
print(json.dumps(results))
