"""mount(8), fstab and umount(8), with the helpers where mount(8) looks for them: in a mount namespace of their own."""
import os
import re
import shutil
import subprocess

import pytest

from parts.harness import AAPFS, ROOT, environment, make_state_key

pytestmark = pytest.mark.skipif("overlay" not in open("/proc/filesystems").read(),
                                reason="no overlay filesystem: the helpers cannot be put into /sbin for a test alone")


class Machine:
    """A shell's view in which /sbin has the helpers too."""

    def __init__(self, directory, url):
        self.directory = directory
        self.mountpoint = directory / "aap"
        self.mountpoint.mkdir()
        self.helpers = directory / "helpers"
        self.helpers.mkdir()
        for name in ("mount.aapfs", "mount.fuse.aapfs", "aapfs"):
            (self.helpers / name).symlink_to(AAPFS)
        self.config = directory / "aapfs.conf"
        self.config.write_text(f"[kms]\nendpoint = {url}\n[mount]\nstate = {directory}/state\n"
                               f"state_key = {make_state_key(directory / 'key')}\n")
        self.fstab = directory / "fstab"

    def run(self, script):
        """SCRIPT sees $M and $C; what it has mounted ends with it."""
        script = (f"mount -t overlay -o lowerdir={self.helpers}:$(readlink -f /sbin) overlay $(readlink -f /sbin) || exit 99\n"
                  + script)
        return subprocess.run(["unshare", "-m", "-p", "-f", "--mount-proc", "--kill-child", "sh", "-c", script], capture_output=True, text=True, timeout=60,
                              env=environment(M=str(self.mountpoint), C=str(self.config), F=str(self.fstab)))

    def show(self, script):
        """Mounts by SCRIPT: its line in mountinfo, and the tree; unmounted afterwards by umount(8), and the daemon ends."""
        done = self.run("set -e\n" + script + """
grep " $M " /proc/self/mountinfo
until [ -d $M/payments ]; do sleep 0.02; done
ls -a $M
pid=$(pgrep -f -x "$(printf '.*aapfs.* %s( .*)?' "$M")" | head -n 1)
until umount $M 2> /dev/null; do sleep 0.02; done
! grep " $M " /proc/self/mountinfo
while kill -0 $pid 2> /dev/null; do sleep 0.02; done
""")
        assert (done.returncode, done.stderr) == (0, ""), done
        line, *names = done.stdout.splitlines()
        assert names == [".", "..", ".aapfs", "orders", "payments"]
        assert " - fuse.aapfs " in line
        return set(line.split()[5].split(",")) | set(line.split()[-1].split(","))


@pytest.fixture
def machine(tmp_path, emulator):
    return Machine(tmp_path, emulator.url)


@pytest.mark.parametrize("script", [
    "mount -t aapfs $C $M",
    "mount -t aapfs -o config=$C aapfs $M",
    "mount -t fuse.aapfs -o config=$C aapfs $M",
])
def test_mount(machine, script):
    assert {"rw", "nosuid", "nodev", "noexec", "noatime"} <= machine.show(script)


@pytest.mark.skipif(not shutil.which("mount.fuse3", path="/sbin:/usr/sbin"), reason="mount.fuse3 (package fuse3) is missing")
def test_mount_through_mount_fuse3(machine):
    (machine.helpers / "mount.fuse.aapfs").unlink()
    assert {"rw", "nosuid", "nodev", "noexec", "noatime"} <= machine.show("mount -t fuse.aapfs $C $M")


@pytest.mark.parametrize("kind", ["aapfs", "fuse.aapfs"])
def test_fstab(machine, kind):
    machine.fstab.write_text(f"aapfs {machine.mountpoint} {kind} noauto,nofail,_netdev,user,suid,exec,dev,"
                             f"x-systemd.after=network-online.target,config={machine.config},ro 0 0\n")
    assert {"ro", "nosuid", "nodev", "noexec"} <= machine.show("mount -T $F $M")


def test_the_daemon_outlives_mount_and_takes_an_upgrade(machine):
    done = machine.run("set -e\nmount -t aapfs $C $M\n" + f"{AAPFS} upgrade -m $M\n" + "ls $M\nuntil umount $M 2> /dev/null; do sleep 0.02; done\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "orders\npayments\n", "")


@pytest.mark.parametrize("script, says", [
    ("mount -t aapfs -o remount,ro $C $M", "aapfs reload"),
    ("mount -t aapfs -o config=$C $C $M", "aapfs: -o config: given twice"),
    ("mount -t aapfs -o config=/nowhere aapfs $M", "/nowhere"),
    ("mount -t aapfs -o subtype=x $C $M", "aapfs: -o subtype=x: aapfs gives the type itself"),
    ("mount -t aapfs -o nonsense $C $M", "unknown mount option"),
    ("/sbin/mount.aapfs -N /proc/self/ns/mnt $C $M", "mount.aapfs: -N: mount in that namespace"),
    ("/sbin/mount.aapfs $M", "usage: mount.aapfs"),
    ("mount -t aapfs -o config=aapfs.conf aapfs $M", "aapfs: -o config: right is a path from the root"),
    ("mount -t aapfs -o state=state $C $M", "aapfs: -o state: right is a path from the root"),
    ("mount -t aapfs relative.conf $M", "aapfs: relative.conf: no command, and no source of a mount"),
    ("mount -t fuse.aapfs kms $M", "aapfs: kms: no command, and no source of a mount"),
    ("mount -t aapfs /dev/sda $M", "aapfs: /dev/sda: no command, and no source of a mount"),
    ("/sbin/mount.aapfs $C $M -o 'state=\"/tmp/a,b'", "aapfs: -o state=\"/tmp/a,b: a quotation mark is missing"),
])
def test_what_is_refused_leaves_nothing(machine, script, says):
    done = machine.run(f"cd {machine.directory}\n{script}\nstatus=$?\ngrep \" $M \" /proc/self/mountinfo\nexit $status")
    assert done.returncode == (32 if "nonsense" in script else 1) and done.stdout == "", done
    assert says in done.stderr and done.stderr.count("\n") <= (2 if "nonsense" in script else 1)


def test_a_value_in_quotation_marks(machine):
    state = machine.directory / "st,x"
    config = machine.directory / "x,y.conf"
    config.write_text(re.sub("(?m)^state = .*\n", "", machine.config.read_text()))
    machine.fstab.write_text(f"aapfs {machine.mountpoint} aapfs config=\"{config}\",state=\"{state}\" 0 0\n")
    machine.show("mount -T $F $M")
    assert state.is_dir() and not list(machine.directory.glob('*"*'))


@pytest.mark.parametrize("source", ["config", "with, comma", "aapfs", "none"])
def test_mount_all_once_more_does_nothing(machine, source):
    """mount(8) knows by the source that a line is mounted already; umount(8) by it too, and findmnt."""
    config = machine.config
    if "," in source:
        config = machine.directory / f"{source}.conf"
        config.write_text(machine.config.read_text())
    named = source in ("aapfs", "none")
    source, option = (source, f"config={config}") if named else (str(config), "_netdev,nofail")
    machine.fstab.write_text(f"{source} {machine.mountpoint} aapfs {option} 0 0\n".replace(", comma", ",\\040comma"))
    done = machine.run("""set -e
mount -a -T $F
mount -a -T $F
findmnt -n -o SOURCE,FSTYPE,TARGET --raw $M
df --output=source $M | tail -n 1
until umount "$S" 2> /dev/null; do sleep 0.02; done
! grep " $M " /proc/self/mountinfo
""".replace("$S", "$M" if named else source))
    shown = source.replace(" ", "\\x20")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout.splitlines() == [f"{shown} fuse.aapfs {machine.mountpoint}", source]


# Source: mount(8) of util-linux 2.41, FILESYSTEM-INDEPENDENT MOUNT OPTIONS; not there: remount, which is refused, and what
# needs a mount point or a user of its own
GENERIC = """async atime noatime auto noauto context=system_u:object_r:tmp_t:s0 fscontext=system_u:object_r:tmp_t:s0
defcontext=system_u:object_r:tmp_t:s0 rootcontext=system_u:object_r:tmp_t:s0 defaults dev nodev diratime nodiratime dirsync
exec noexec group nogroup iversion noiversion mand nomand _netdev nofail relatime norelatime strictatime nostrictatime
lazytime nolazytime suid nosuid silent loud owner noowner ro rw sync user nouser users nousers nosymfollow symfollow
comment=x x-systemd.automount x-initrd.mount X-mount.mkdir X-mount.mode=0755 X-mount.owner=0 X-mount.group=0""".split()


@pytest.mark.full
def test_every_generic_option_is_taken(machine):
    done = machine.run("".join(
        f"mount -t aapfs -o {option} $C $M || echo {option} is refused\n"
        f"grep -q ' $M .*aapfs' /proc/self/mountinfo || echo {option} does not mount\n"
        # a directory that is just being shown makes it busy
        f"until umount $M 2> /dev/null; do sleep 0.02; done\n" for option in GENERIC).replace("' $M", '\' \'"$M"\''))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done


def test_options_that_fstab_has_are_taken_all_at_once(machine):
    options = machine.show("mount -t aapfs -o relatime,nodiratime,lazytime,silent,iversion,mand,strictatime,nosymfollow,sync $C $M")
    assert {"noatime", "nosymfollow", "sync"} <= options and not {"relatime", "lazytime", "nodiratime"} & options


def test_a_mount_that_is_only_tried(machine):
    done = machine.run("mount -f -t aapfs $C $M && ! grep \" $M \" /proc/self/mountinfo")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_security_context_is_taken(machine):
    """Kernels without SELinux let it pass; with it, it shows."""
    shown = machine.show("mount -t aapfs -o 'context=\"system_u:object_r:tmp_t:s0:c1,c2\"' $C $M")
    if os.path.exists("/sys/fs/selinux/enforce"):
        assert any(option.startswith("context=") for option in shown)


def test_the_examples_say_what_works(machine):
    line, = [line for line in (ROOT / "examples/fstab").read_text().splitlines() if not line.startswith("#")]
    machine.fstab.write_text(line.replace("/etc/aapfs/aapfs.conf", str(machine.config)).replace("/run/aap", str(machine.mountpoint)) + "\n")
    machine.show("mount -T $F $M")
    if shutil.which("systemd-analyze"):
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", ROOT / "examples/systemd/run-aap.mount"],
                              capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
