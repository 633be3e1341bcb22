"""
In a network of its own (unshare --net), where 100.100.100.200 is this machine: a mount that has region and credentials
from the ECS metadata service, past a proxy. metadata_network.py DIRECTORY POOL_FILE
"""
import pathlib
import socket
import subprocess
import sys
import threading

from parts.harness import AAPFS, PASSWORD, Emulator, Mount, environment
from parts.proxy import carry

METADATA = "100.100.100.200"


def relay(listener, port):
    """Nothing but loopback is served by the emulator."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=[connection, port], daemon=True).start()


def serve(connection, port):
    with connection, socket.create_connection(("127.0.0.1", port)) as server:
        carry(connection, server)


def refuse_proxy(listener, asked):
    while True:
        connection, _ = listener.accept()
        asked.append(1)
        connection.close()


directory, pool_file = pathlib.Path(sys.argv[1]), sys.argv[2]
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["ip", "address", "add", METADATA + "/32", "dev", "lo"], check=True)
emulator = Emulator(directory, "--region", "cn-metadata", pool_file=pool_file)
threading.Thread(target=relay, args=[socket.create_server((METADATA, 80)), emulator.port], daemon=True).start()
asked = []
proxy = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=refuse_proxy, args=[proxy, asked], daemon=True).start()
url = f"http://127.0.0.1:{proxy.getsockname()[1]}"
env = dict(ALIBABA_CLOUD_ACCESS_KEY_ID=None, ALIBABA_CLOUD_ACCESS_KEY_SECRET=None, ALIBABA_CLOUD_REGION_ID=None,
           HOME=str(directory), http_proxy=url, all_proxy=url)
mount = Mount(directory, emulator.url, settings=f"proxy = {url}", env=env)
mount.write("payments", PASSWORD)
status = mount.status()
checked = subprocess.run([AAPFS, "check", "-c", mount.config, "-m", mount.path], env=environment(**env), capture_output=True,
                         text=True).stdout
mount.stop()
assert status["Region"] == "cn-metadata", status
assert status["Credentials"].startswith("ecs-ram-role, until 20"), status
assert not asked, "the proxy was asked"
counts = emulator.counts()
assert counts["Metadata.Token"] >= 2 and counts["Metadata.Region"] == 2 and counts["Metadata.Session"] >= 1, counts
assert "region: cn-metadata, by ECS metadata\n" in checked, checked
emulator.stop()
