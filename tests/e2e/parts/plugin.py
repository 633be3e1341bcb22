"""aapfs volume-plugin, and a client for its protocol."""
import http.client
import json
import os
import pathlib
import select
import signal
import socket
import subprocess

from parts.harness import AAPFS, environment

IN_USE = "volume is in use"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("plugin", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(self.path))


class Plugin:
    """One on the mount point MOUNTPOINT, ready when the constructor returns."""

    def __init__(self, directory, mountpoint, at=None):
        self.directory = pathlib.Path(directory)
        self.socket = at or self.directory / "plugin.sock"
        self.state = self.directory / "volumes"
        self.file = self.state / "volumes.json"
        self.binds = self.directory / "binds"
        self.mountpoint = mountpoint
        self.error_file = self.directory / "plugin.stderr"
        self.process = None
        self.start()

    def words(self):
        return [AAPFS, "volume-plugin", "--socket", self.socket, "--state", self.state, "--binds", self.binds,
                self.mountpoint]

    def start(self, wrap=(), pass_fds=()):
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        name = f"aapfs-plugin-{os.urandom(6).hex()}"
        notify.bind(f"\0{name}")
        with open(self.error_file, "wb") as errors:
            self.process = subprocess.Popen([*wrap, *self.words()], stderr=errors, pass_fds=pass_fds,
                                            env=environment(NOTIFY_SOCKET=f"@{name}"))
        ended = os.pidfd_open(self.process.pid)
        ready, _, _ = select.select([notify, ended], [], [], 30)
        assert notify in ready, self.error_file.read_text()
        notify.close()
        os.close(ended)

    def refused(self):
        """What it says, started once more; it ends with 1."""
        done = subprocess.run(self.words(), capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1 and done.stderr.startswith("aapfs: volume-plugin: ")
        return done.stderr

    def raw(self, path, body=None, method="POST"):
        connection = UnixConnection(self.socket)
        connection.request(method, path, body=body)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, json.loads(content)

    def call(self, operation, **body):
        status, answer = self.raw(f"/VolumeDriver.{operation}", json.dumps(body))
        assert (status, bool(answer.get("Err"))) in ((200, False), (500, True))
        return answer

    def good(self, operation, **body):
        answer = self.call(operation, **body)
        assert answer.pop("Err", "") == ""
        return answer

    def names(self):
        return [volume["Name"] for volume in self.good("List")["Volumes"]]

    def binds_of(self, name):
        lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
        return [line.split() for line in lines if line.split()[4] == str(self.binds / name)]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0
        assert self.error_file.read_text() == ""
        for name in os.listdir(self.binds):
            while self.binds_of(name):
                subprocess.run(["umount", "-l", self.binds / name], check=True)
