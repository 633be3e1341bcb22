"""aapfs volume-plugin: Docker's volume protocol, with podman as a client and with bodies that no client would send."""
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import stat
import subprocess
import time

import pytest

from parts.containers import Podman, make_root, require
from parts.harness import AAPFS, PASSWORD, environment, until
from parts.kms import delete_aap, make_aap
from parts.log import GONE
from parts.plugin import IN_USE, Plugin


@pytest.mark.full
def test_a_volume_in_podman(start_mount, emulator, tmp_path):
    mount = start_mount(emulator.url, sections="[aap payments]\ngroup = 1000\n")
    mount.write("payments", PASSWORD)
    plugin = Plugin(tmp_path, mount.path)
    podman = Podman(tmp_path, {"aapfs": plugin.socket})
    try:
        podman.run("volume", "create", "--driver", "aapfs", "--opt", "aap=payments", "kms-payments")
        seen = json.loads(podman.run("volume", "inspect", "kms-payments"))[0]
        assert (seen["Name"], seen["Driver"], seen["Options"]) == ("kms-payments", "aapfs", {"aap": "payments"})
        assert podman.run("volume", "ls", "-q") == "kms-payments\n"
        app = ["--user=1000:1000", "--cap-drop=ALL", "-v", "kms-payments:/keys"]
        assert json.loads(podman.box(*app, command=["cat", "/keys/client_key.json"]))["KeyId"] == mount.key_id()
        # for others than the key's group there is nothing
        podman.box("--user=1001:1001", "-v", "kms-payments:/keys", command=["cat", "/keys/client_key.json"], status=1)

        # no root in a container has the right to make keys, whatever it was given
        for options in ([], ["--privileged"], ["--cap-add=SYS_ADMIN"]):
            errors = podman.box(*options, "-v", "kms-payments:/keys", status=1, command=[
                "sh", "-c", "mount -o remount,bind,rw /keys; mount -o remount,rw /keys; echo rotate > /keys/control"])
            assert "can't create /keys/control: Read-only file system" in errors
        before = mount.key_id()
        podman.start("app", *app)
        assert podman.inside("app", "cat", "/keys/client_key_id") == before + "\n"
        mount.write("payments", PASSWORD)
        assert podman.inside("app", "cat", "/keys/client_key_id") == mount.key_id() + "\n" != before + "\n"

        plugin.kill()
        plugin.start()
        assert IN_USE in plugin.call("Remove", Name="kms-payments")["Err"]
        assert "kms-payments" in podman.run("volume", "rm", "kms-payments", status=2)
        mount.write("payments", PASSWORD)
        assert podman.inside("app", "cat", "/keys/client_key_id") == mount.key_id() + "\n"
        podman.stop()
        assert plugin.binds_of("kms-payments") == []
        podman.run("volume", "rm", "kms-payments")
        assert plugin.names() == [] == podman.run("volume", "ls", "-q").split()

        assert "no AAP nothing is shown" in podman.run("volume", "create", "--driver", "aapfs", "nothing", status=125)
        assert "-o size: no such option; right is -o aap=NAME" in podman.run(
            "volume", "create", "--driver", "aapfs", "-o", "aap=orders", "-o", "size=1", "orders", status=125)
        podman.run("volume", "create", "--driver", "aapfs", "orders")  # an AAP's own name
        assert plugin.good("Get", Name="orders")["Volume"]["Status"] == {"Aap": "orders", "Users": 0}
        podman.run("volume", "rm", "orders")
    finally:
        podman.stop()
        plugin.end()


def test_the_protocol(plugin, mount):
    has = re.search(r"CapPrm:\t(\w+)", pathlib.Path(f"/proc/{plugin.process.pid}/status").read_text())[1]
    assert int(has, 16) == 1 << 21 | 1 << 18  # CAP_SYS_ADMIN, CAP_SYS_CHROOT
    assert plugin.raw("/Plugin.Activate") == (200, {"Implements": ["VolumeDriver"]})
    assert plugin.good("Capabilities") == {"Capabilities": {"Scope": "local"}}
    assert plugin.names() == []
    plugin.good("Create", Name="keys", Opts={"aap": "payments"})
    plugin.good("Create", Name="keys", Opts={"aap": "payments"})
    plugin.good("Create", Name="keys", Opts=None)
    assert "of the AAP payments; remove it first" in plugin.call("Create", Name="keys", Opts={"aap": "orders"})["Err"]
    told = plugin.good("Get", Name="keys")["Volume"]
    assert told.pop("CreatedAt").endswith("Z")
    assert told == {"Name": "keys", "Mountpoint": "", "Status": {"Aap": "payments", "Users": 0}}
    assert plugin.good("Path", Name="keys") == {"Mountpoint": ""}

    for user in ("a", "b", "b"):  # an answer may be lost: the same use is one
        assert plugin.good("Mount", Name="keys", ID=user) == {"Mountpoint": str(plugin.binds / "keys")}
    assert plugin.good("Path", Name="keys") == {"Mountpoint": str(plugin.binds / "keys")}
    (bind,) = plugin.binds_of("keys")
    assert set(bind[5].split(",")) == {"ro", "nosuid", "nodev", "noexec", "noatime"}
    assert (plugin.binds / "keys/client_key_id").read_text().strip() == mount.key_id()
    with pytest.raises(OSError, match="Read-only"):
        os.open(plugin.binds / "keys/control", os.O_WRONLY)
    assert subprocess.run(["mount", "-o", "remount,bind,rw", plugin.binds / "keys"], capture_output=True).returncode == 32
    assert plugin.call("Remove", Name="keys") == {"Err": "keys: volume is in use"}
    plugin.good("Unmount", Name="keys", ID="a")
    assert IN_USE in plugin.call("Remove", Name="keys")["Err"]
    plugin.good("Unmount", Name="keys", ID="b")
    assert plugin.binds_of("keys") == [] == os.listdir(plugin.binds)
    plugin.good("Unmount", Name="keys", ID="b")
    plugin.good("Remove", Name="keys")
    assert plugin.call("Remove", Name="keys") == {"Err": "keys: no such volume"}


NAMES = ["", ".", "..", "../x", "a/b", ".hidden", "-o", "a b", "a\n", "a\u0001", "é", "a" * 129, "/etc", None, 7, ["a"], {}]
BODIES = [b"{", b"[]", b"7", b'"x"', b"\x00", b"\xff\xfe", b'{"Name":"keys","Name":"other"}', b'{"Name":"a\\u0000b"}',
          b"[" * 5000, b"{} {}", b'{"Name":']


def test_hostile_requests(plugin):
    plugin.good("Create", Name="keys", Opts={"aap": "payments"})
    before = plugin.file.read_bytes()
    for name in NAMES:
        for operation in ("Create", "Get", "Path", "Mount", "Unmount", "Remove"):
            error = plugin.call(operation, Name=name, ID="a", Opts={"aap": "payments"})["Err"]
            assert error and error.isprintable(), (operation, name)
    for aap in (*NAMES, ".aapfs", "keys/x"):
        if aap is not None:
            assert "aap" in plugin.call("Create", Name="other", Opts={"aap": aap})["Err"]
    assert "no AAP" in plugin.call("Create", Name="other", Opts={"aap": "nothing"})["Err"]
    for options in ({"": ""}, {"AAP": "payments"}, {"aap": "payments", "o": "bind"}, {"\x1b[31m": "x"}, [], "aap", 7):
        error = plugin.call("Create", Name="other", Opts=options)["Err"]
        assert error and error.isprintable()
    for user in ("", None, 7, "a b", "a\n", "x" * 257, ["a"]):
        assert "ID" in plugin.call("Mount", Name="keys", ID=user)["Err"]
        assert "ID" in plugin.call("Unmount", Name="keys", ID=user)["Err"]
    for body in BODIES:
        status, answer = plugin.raw("/VolumeDriver.Create", body)
        assert (status, answer) == (400, {"Err": "the body is not a JSON object"})
    assert plugin.raw("/VolumeDriver.Create/", b"{}")[0] == 404 == plugin.raw("/", b"")[0]
    assert plugin.raw("/VolumeDriver.List", method="GET")[0] == 405
    with pytest.raises((http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError)):
        plugin.raw("/VolumeDriver.Create", b" " * (1 << 20))
    # who says nothing keeps nobody out
    idle = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    for one in idle:
        one.connect(str(plugin.socket))
        one.send(b"POST /VolumeDriver.Create HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
    assert plugin.names() == ["keys"]
    for one in idle:
        one.close()
    assert plugin.file.read_bytes() == before


@pytest.mark.full
def test_an_aap_that_goes(plugin, mount, emulator):
    make_aap(emulator, "other")  # a listing of none at all would not be believed
    for name, aap in (("keys", "payments"), ("empty", "orders")):
        plugin.good("Create", Name=name, Opts={"aap": aap})
        plugin.good("Mount", Name=name, ID="a")
        delete_aap(emulator, aap)
    mount.sync()
    until(lambda: not (mount / "orders").exists())
    # a key that is here stays, and so does its volume
    plugin.good("Mount", Name="keys", ID="b")
    assert (plugin.binds / "keys/client_key_id").read_text().strip() == mount.key_id()
    assert plugin.call("Mount", Name="empty", ID="b")["Err"] == (
        f"empty: no AAP orders is shown at {mount.path}; KMS may no longer have it")
    assert "no AAP orders is shown" in plugin.call("Create", Name="new", Opts={"aap": "orders"})["Err"]
    plugin.kill()
    plugin.start()
    assert plugin.good("Get", Name="empty")["Volume"]["Status"] == {"Aap": "orders", "Users": 1}
    plugin.good("Unmount", Name="empty", ID="a")
    assert plugin.binds_of("empty") == []
    plugin.good("Remove", Name="empty")
    for user in ("a", "b"):
        plugin.good("Unmount", Name="keys", ID=user)
    plugin.good("Remove", Name="keys")
    assert plugin.names() == [] == os.listdir(plugin.binds)
    mount.expected_errors = GONE


@pytest.mark.full
def test_a_mount_that_ended_and_came_again(start_mount, emulator, tmp_path):
    mount = start_mount(emulator.url)
    mount.write("payments", PASSWORD)
    plugin = Plugin(tmp_path, mount.path)
    plugin.good("Create", Name="payments")
    plugin.good("Mount", Name="payments", ID="a")
    mount.stop()
    assert f"aapfs is not mounted at {mount.path}; start it" in plugin.call("Mount", Name="payments", ID="b")["Err"]
    again = start_mount(emulator.url, **mount.kept)
    again.write("payments", PASSWORD)
    plugin.good("Mount", Name="payments", ID="b")
    assert len(plugin.binds_of("payments")) == 1
    assert (plugin.binds / "payments/client_key_id").read_text().strip() == again.key_id()
    # one that was killed: its bind cannot be read, and goes all the same
    again.process.kill()
    again.process.wait()
    for pid in ("a", "b"):
        plugin.good("Unmount", Name="payments", ID=pid)
    assert plugin.binds_of("payments") == []
    plugin.good("Remove", Name="payments")
    plugin.end()
    subprocess.run(["umount", "-l", again.path], check=True)
    again.process.returncode = 0  # its end is part of the test
    again.expected_errors = re.compile(r"aapfs: the publisher's or the runner's socket is gone\n")


def test_what_a_restart_keeps(plugin):
    plugin.good("Create", Name="keys", Opts={"aap": "payments"})
    plugin.good("Create", Name="orders")
    plugin.good("Mount", Name="keys", ID="a")
    plugin.good("Mount", Name="orders", ID="a")
    told = plugin.good("List")
    assert stat.S_IMODE(plugin.file.stat().st_mode) == 0o600
    plugin.kill()
    # died between the last user's end and the bind's
    state = json.loads(plugin.file.read_text())
    state["Volumes"]["orders"]["Users"] = []
    plugin.file.write_text(json.dumps(state))
    plugin.start()
    assert plugin.binds_of("orders") == [] and len(plugin.binds_of("keys")) == 1
    told["Volumes"][1].update(Mountpoint="", Status={"Aap": "orders", "Users": 0})
    assert plugin.good("List") == told
    # after a reboot nobody uses anything
    plugin.kill()
    state["BootId"] = "00000000-0000-0000-0000-000000000000"
    plugin.file.write_text(json.dumps(state))
    plugin.start()
    assert plugin.binds_of("keys") == []
    plugin.good("Remove", Name="keys")
    assert plugin.names() == ["orders"]


def volume(**changed):
    whole = {"Aap": "payments", "CreatedAt": "2026-11-25T10:00:00Z", "Users": []}
    whole.update(changed)
    return {name: value for name, value in whole.items() if value is not None}


@pytest.mark.full
def test_a_state_that_is_not_its_own(plugin):
    plugin.kill()
    plugin.good_state = {"Version": 1, "BootId": "x", "Volumes": {"keys": volume()}}
    wrong = [b"", b"{", b"null", b"[]", b"{}", b'{"Version":1,"Version":1,"BootId":"","Volumes":{}}', b"\xff" * 100]
    for change in ({"Version": 2}, {"Version": "1"}, {"BootId": 7}, {"Volumes": []}, {"More": 1}):
        wrong.append(json.dumps({**plugin.good_state, **change}).encode())
    for name, members in (("../x", volume()), ("", volume()), ("keys", 7), ("keys", volume(Aap=None)),
                          ("keys", volume(Aap="../payments")), ("keys", volume(CreatedAt="today")), ("keys", volume(More=1)),
                          ("keys", volume(Users="a")), ("keys", volume(Users=[7])), ("keys", volume(Users=["a", "a"])),
                          ("keys", volume(Users=["a\n"]))):
        wrong.append(json.dumps({**plugin.good_state, "Volumes": {name: members}}).encode())
    for content in wrong:
        plugin.file.write_bytes(content)
        assert "volumes.json: not written by this program, or damaged" in plugin.refused(), content
        assert plugin.file.read_bytes() == content
    for make, why in ((os.mkfifo, "not a regular file"), (os.mkdir, "not a regular file"),
                      (lambda path: os.symlink("/etc/passwd", path), "a symbolic link, not a file"),
                      (lambda path: subprocess.run(["truncate", "-s", "9M", path], check=True), "larger than this program")):
        plugin.file.rmdir() if plugin.file.is_dir() else plugin.file.unlink()
        make(plugin.file)
        error = plugin.refused()
        assert f"{plugin.file}: {why}" in error and "; move it away to begin without volumes\n" in error
    plugin.file.unlink()
    plugin.state.chmod(0o777)
    assert "others can write here" in plugin.refused()
    plugin.state.chmod(0o700)
    plugin.file.write_text(json.dumps(plugin.good_state))
    plugin.start()
    assert plugin.names() == ["keys"]


def test_what_others_put_in_its_places(plugin, tmp_path):
    temporary = plugin.state / "volumes.json.new"
    for make in (os.mkfifo, lambda path: os.symlink(tmp_path / "not-made", path), lambda path: path.write_text("x" * 9999)):
        make(temporary)
        plugin.good("Create", Name="keys", Opts={"aap": "payments"})
        assert json.loads(plugin.file.read_text())["Volumes"].keys() == {"keys"} and not temporary.exists()
        plugin.good("Remove", Name="keys")
    temporary.mkdir()
    error = plugin.call("Create", Name="keys", Opts={"aap": "payments"})["Err"]
    assert error == f"{plugin.file} of the volume plugin cannot be written: Is a directory" and plugin.names() == []
    temporary.rmdir()
    plugin.good("Create", Name="keys", Opts={"aap": "payments"})
    place, elsewhere = plugin.binds / "keys", tmp_path / "elsewhere"
    elsewhere.mkdir()
    for make, what in ((lambda: place.symlink_to(elsewhere), "a symbolic link"), (place.touch, "a file")):
        make()
        assert plugin.call("Mount", Name="keys", ID="a")["Err"] == (
            f"keys: {place}: {what} is here that is not of this plugin; remove it")
        plugin.good("Unmount", Name="keys", ID="a")
        plugin.good("Remove", Name="keys")
        plugin.good("Create", Name="keys", Opts={"aap": "payments"})
        assert elsewhere.is_dir() and os.path.lexists(place) and str(elsewhere) not in pathlib.Path("/proc/self/mountinfo").read_text()
        place.unlink()
    place.mkdir()  # a directory may have been left
    plugin.good("Mount", Name="keys", ID="a")
    assert len(plugin.binds_of("keys")) == 1
    plugin.good("Unmount", Name="keys", ID="a")


def test_only_root_may_ask(start_plugin, tmp_path):
    """Whoever asks decides what is mounted where: the socket is its user's, in a directory that is everybody's."""
    (tmp_path / "open").mkdir(mode=0o755)
    plugin = start_plugin(at=tmp_path / "open/plugin.sock")

    def try_it():
        return subprocess.run(["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "/usr/bin/python3", "-c",
                               "import socket; socket.socket(socket.AF_UNIX).connect('plugin.sock')"],
                              cwd=tmp_path / "open", capture_output=True, text=True)
    assert try_it().stderr.endswith("PermissionError: [Errno 13] Permission denied\n")
    plugin.socket.chmod(0o666)  # it was the mode that kept it out
    assert try_it().returncode == 0


class DefaultPlugin(Plugin):
    """Where it is when nobody says where, in a mount namespace in which nothing of the machine is at these places."""

    def words(self):
        hide = "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib"
        return ["unshare", "--mount", "sh", "-c", f'{hide} && exec "$0" volume-plugin "$1"', AAPFS, self.mountpoint]

    def start(self, wrap=(), pass_fds=()):
        super().start()
        root = pathlib.Path(f"/proc/{self.process.pid}/root")
        self.socket, self.binds = root / "run/docker/plugins/aapfs.sock", root / "run/aapfs-volumes"
        self.state = root / "var/lib/aapfs-volumes"
        self.file = self.state / "volumes.json"

    def end(self):
        """Its mounts go with it."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0 and self.error_file.read_text() == ""


def test_its_default_places(start_plugin, mount):
    plugin = start_plugin(DefaultPlugin)
    plugin.good("Create", Name="keys", Opts={"aap": "payments"})
    assert plugin.good("Mount", Name="keys", ID="a") == {"Mountpoint": "/run/aapfs-volumes/keys"}
    assert (plugin.binds / "keys/client_key_id").read_text().strip() == mount.key_id()
    assert json.loads(plugin.file.read_text())["Volumes"]["keys"]["Users"] == ["a"]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (plugin.socket, plugin.state, plugin.file, plugin.binds)}
    assert modes == {plugin.socket: 0o600, plugin.state: 0o700, plugin.file: 0o600, plugin.binds: 0o700}
    plugin.good("Unmount", Name="keys", ID="a")
    assert os.listdir(plugin.binds) == []


def test_its_socket(plugin, tmp_path):
    assert stat.S_IMODE(plugin.socket.stat().st_mode) == 0o600
    assert "another volume plugin uses this state" in plugin.refused()
    first_state, plugin.state = plugin.state, tmp_path / "other"
    assert f"{plugin.socket}: a plugin listens here already" in plugin.refused()
    plugin.state = first_state
    plugin.kill()
    plugin.start()  # the socket that it left is replaced
    plugin.process.send_signal(signal.SIGHUP)  # an administrator's habit
    assert plugin.names() == []
    plugin.process.send_signal(signal.SIGTERM)
    assert plugin.process.wait(30) == 0 and not plugin.socket.exists()
    plugin.socket.write_text("mine")
    assert "no socket" in plugin.refused()
    assert plugin.socket.read_text() == "mine"
    plugin.socket.unlink()
    # made by systemd, which keeps it
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(plugin.socket))
    listener.listen()
    activate = ["bash", "-c", f'exec 3<&{listener.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"', "sh"]
    plugin.start(wrap=activate, pass_fds=[listener.fileno()])
    assert plugin.names() == []
    plugin.process.send_signal(signal.SIGTERM)
    assert plugin.process.wait(30) == 0 and plugin.socket.exists()
    done = subprocess.run(["sh", "-c", 'exec 3</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"', "sh", *plugin.words()],
                          capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("listening unix socket is right")) == (1, 1)


def drop_entries():
    """What the kernel has of names for a day."""
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("2\n")


@pytest.mark.full
def test_a_mount_that_does_not_answer(start_mount, emulator, tmp_path):
    mount = start_mount(emulator.url, settings_of_mount="settle = 1s")
    plugin = Plugin(tmp_path, mount.path)
    plugin.good("Create", Name="payments")
    drop_entries()  # the name has to be looked up again
    with mount.stopped("aapfs-worker"):
        began = time.monotonic()
        assert f"aapfs at {mount.path} does not answer" in plugin.call("Mount", Name="payments", ID="a")["Err"]
        assert 4 < time.monotonic() - began < 20
        assert plugin.names() == ["payments"]
    plugin.good("Mount", Name="payments", ID="a")
    plugin.good("Unmount", Name="payments", ID="a")
    plugin.end()


class Docker:
    """dockerd with everything of its own below DIRECTORY."""

    def __init__(self, directory):
        require("dockerd", "docker", "busybox")
        self.environment = environment(DOCKER_HOST=f"unix://{directory}/docker.sock", DOCKER_CONFIG=str(directory))
        root = make_root(directory / "box")
        with open(directory / "log", "wb") as log:
            self.process = subprocess.Popen(
                ["dockerd", f"--data-root={directory}/data", f"--exec-root={directory}/exec", f"--pidfile={directory}/pid",
                 f"--host=unix://{directory}/docker.sock", "--storage-driver=vfs", "--bridge=none", "--iptables=false",
                 "--ip6tables=false", "--exec-opt=native.cgroupdriver=cgroupfs"], stdout=log, stderr=log, env=environment())
        deadline = time.monotonic() + 60
        while subprocess.run(["docker", "info"], env=self.environment, capture_output=True).returncode != 0:
            assert self.process.poll() is None and time.monotonic() < deadline, (directory / "log").read_text()
        subprocess.run(["tar", "-C", root, "-cf", directory / "box.tar", "."], check=True)
        self.run("import", directory / "box.tar", "box:1")

    def run(self, *words, status=0):
        done = subprocess.run(["docker", *map(str, words)], env=self.environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == status, (words, done.stdout, done.stderr)
        return done.stderr if status else done.stdout

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


@pytest.mark.long
def test_a_volume_in_docker(start_mount, emulator, tmp_path):
    mount = start_mount(emulator.url, sections="[aap payments]\ngroup = 1000\n")
    mount.write("payments", PASSWORD)
    (tmp_path / "docker").mkdir()
    docker = Docker(tmp_path / "docker")
    driver = f"aapfs-test-{os.getpid()}"  # found by the name of its socket
    plugin = Plugin(tmp_path, mount.path, at=pathlib.Path(f"/run/docker/plugins/{driver}.sock"))
    try:
        docker.run("volume", "create", "-d", driver, "-o", "aap=payments", "kms-payments")
        assert "no AAP nothing is shown" in docker.run("volume", "create", "-d", driver, "nothing", status=1)
        assert "right is -o aap=NAME" in docker.run("volume", "create", "-d", driver, "-o", "x=y", "orders", status=1)
        use = ["--network=none", "-v", "kms-payments:/keys"]
        assert docker.run("run", "--rm", "--user=1000:1000", *use, "box:1", "/bin/cat", "/keys/client_key_id") == mount.key_id() + "\n"
        errors = docker.run("run", "--rm", "--cap-add=SYS_ADMIN", "--security-opt=apparmor=unconfined", *use, "box:1", "/bin/sh",
                            "-c", "mount -o remount,bind,rw /keys; echo rotate > /keys/control", status=1)
        assert "can't create /keys/control: Read-only file system" in errors
        docker.run("run", "-d", "-i", "--name=app", *use, "box:1", "/bin/sh")
        plugin.kill()
        plugin.start()
        assert IN_USE in docker.run("volume", "rm", "kms-payments", status=1)
        assert plugin.call("Remove", Name="kms-payments") == {"Err": "kms-payments: volume is in use"}
        mount.write("payments", PASSWORD)
        assert docker.run("exec", "app", "/bin/cat", "/keys/client_key_id") == mount.key_id() + "\n"
        docker.run("rm", "-f", "app")
        docker.run("volume", "rm", "kms-payments")
        assert plugin.names() == []
    finally:
        docker.stop()
        plugin.end()
