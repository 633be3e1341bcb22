"""
Under autofs: the automounter's own process group alone passes a mount point while it mounts there. A real automount(8)
with a map of its own, in namespaces of its own.
"""
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from parts.harness import AAPFS, PASSWORD, environment, make_state_key

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(not shutil.which("automount", path="/sbin:/usr/sbin"), reason="automount (package autofs) is missing"),
    pytest.mark.skipif(not os.path.exists("/dev/autofs"), reason="the kernel has no autofs"),
    pytest.mark.skipif("overlay" not in pathlib.Path("/proc/filesystems").read_text(),
                       reason="no overlay filesystem: the helpers cannot be put into /sbin for a test alone"),
]

# $D: the test's directory; $A: what automount(8) serves; $M: the mount that it makes there. A step that waits for ever is
# ended, and says so.
PRELUDE = """set -eu
mount -t overlay -o lowerdir=$D/helpers:$(readlink -f /sbin) overlay $(readlink -f /sbin)
mount -t tmpfs tmpfs /run
step() { timeout -s KILL 15 "$@" || { echo "$* ended with $?" >&2; exit 1; }; }
mounted() { grep -q " $M .* - fuse.aapfs " /proc/self/mountinfo; }
await() { n=0; until "$@"; do n=$((n + 1)); [ $n -lt 1000 ] || { echo "not in time: $*" >&2; exit 1; }; sleep 0.02; done; }
ours() { pgrep -f "aapfs.* $M"; }
gone() { ! mounted && ! ours > /dev/null; }
# on demand, again each second while somebody else is in there just then
expired() { [ $((n % 50)) -ne 0 ] || kill -USR1 $(cat /run/automount.pid); gone; }
automount -f -v -C -p /run/automount.pid $D/master > $D/automount.log 2>&1 &
await test -s /run/automount.pid
await grep -q " $A .* - autofs " /proc/self/mountinfo
"""

# where something is in there just then, as our own publisher may be, automount(8) leaves the mount behind
END = """
left() { gone || { umount $M 2> /dev/null || true; false; }; }
kill $(cat /run/automount.pid)
await left
wait
"""


# Other ways to start it than mount.aapfs, as mount(8) would call them: $1 is the configuration, $2 the mount point.
WAYS = {
    "dev": f'exec {AAPFS} --dev "$2"',
    "foreground": f'{AAPFS} -f -c "$1" "$2" < /dev/null > /dev/null 2>&1 &',
    "lent": f'{AAPFS} with-mount "$2" {AAPFS} -f -c "$1" /dev/fd/3 "$2" < /dev/null > /dev/null 2>&1 &',
}


class Automounter:
    def __init__(self, directory, emulator, timeout=600, kind="file", way=None):
        self.emulator = emulator.process.pid
        self.directory = directory
        (directory / "helpers").mkdir()
        (directory / "auto").mkdir()
        for name in ("mount.aapfs", "mount.fuse.aapfs"):
            (directory / "helpers" / name).symlink_to(AAPFS)
        helper = directory / "helpers/mount.way"
        helper.write_text(f"#!/bin/sh\n{WAYS.get(way)}\nuntil grep -q \" $2 .* - fuse.aapfs\" /proc/self/mountinfo; do sleep 0.02; done\n")
        helper.chmod(0o755)
        config = directory / "aapfs.conf"
        config.write_text(f"[kms]\nendpoint = {emulator.url}\n[mount]\nstate = {directory}/state\n"
                          f"state_key = {make_state_key(directory / 'key')}\ncreation_guard = 0s\n")
        entry = f"-fstype={'way' if way else 'aapfs'},nosuid :{config}"
        map_file = directory / "map"
        map_file.write_text(f"keys {entry}\n" if kind == "file" else f"#!/bin/sh\n[ \"$1\" = keys ] && echo '{entry}'\n")
        map_file.chmod(0o644 if kind == "file" else 0o755)
        (directory / "master").write_text(f"{directory}/auto {kind}:{map_file} --timeout={timeout}\n")

    def run(self, script):
        """Not in a pid namespace, where autofs cannot be mounted: what hangs is killed here."""
        log = self.directory / "automount.log"
        try:
            done = subprocess.run(["unshare", "-m", "sh", "-c", PRELUDE + script + END], capture_output=True, text=True, timeout=110,
                                  env=environment(D=str(self.directory), A=f"{self.directory}/auto",
                                                  M=f"{self.directory}/auto/keys", P=PASSWORD))
        finally:
            self.kill_what_is_left()
        assert (done.returncode, done.stderr) == (0, ""), (done, log.exists() and log.read_text())
        return done.stdout

    def kill_what_is_left(self):
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if str(self.directory).encode() in (entry / "cmdline").read_bytes() and int(entry.name) != self.emulator:
                    os.kill(int(entry.name), signal.SIGKILL)
            except (FileNotFoundError, ProcessLookupError):
                pass  # it has ended


@pytest.mark.parametrize("kind", ["file", "program"])
def test_it_automounts_expires_and_automounts_again(emulator, tmp_path, kind):
    """Expired on demand (SIGUSR1), which is the same as a timeout's end."""
    automounter = Automounter(tmp_path, emulator, kind=kind)
    out = automounter.run("""
step ls $M > /dev/null
await test -d $M/payments
step ls $M
step sh -c 'printf "%s\\n" "$P" > $M/payments/control'
step cat $M/payments/client_key_id
await expired
step cat $M/payments/client_key_id
mounted
""")
    *names, first, again = out.split()
    assert names == ["orders", "payments"] and first.startswith("KAAP.") and first == again
    assert emulator.count("CreateClientKey") == 1


@pytest.mark.parametrize("way", WAYS)
def test_however_it_is_started(emulator, tmp_path, way):
    out = Automounter(tmp_path, emulator, way=way).run("""
step ls $M > /dev/null
await test -d $M/payments
step ls $M
await expired
step ls $M > /dev/null
mounted
""")
    assert out.split() == ["orders", "payments"]


def test_it_expires_by_itself(emulator, tmp_path):
    automounter = Automounter(tmp_path, emulator, timeout=2)
    out = automounter.run("step ls $M > /dev/null\nawait test -d $M/payments\nmounted\nawait gone\nstep ls $M/.aapfs > /dev/null\nmounted\n")
    assert out == ""


def test_a_mount_that_is_made_has_left_the_automounter(emulator, tmp_path):
    """Its members pass every mount point of the automounter's as an empty directory, and hear its signals."""
    automounter = Automounter(tmp_path, emulator)
    out = automounter.run("""
step ls $M > /dev/null
group=$(ps -o pgid= -p $(cat /run/automount.pid))
ours | sort > $D/ours
ps -o pgid=,comm= -p $(paste -sd, $D/ours) | while read -r of name; do
    [ $of != $group ] && echo $name
done
""")
    assert sorted(out.split()) == ["aapfs-publisher", "aapfs-runner", "aapfs-worker", "mount.aapfs"]


def test_a_mount_that_cannot_be_made_says_so(emulator, tmp_path):
    automounter = Automounter(tmp_path, emulator)
    (tmp_path / "aapfs.conf").write_text("[kms]\nnonsense = 1\n")
    out = automounter.run("timeout -s KILL 15 ls $M 2>&1 || true\n")
    assert "No such file or directory" in out
    assert "nonsense" in (tmp_path / "automount.log").read_text()
