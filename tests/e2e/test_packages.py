"""What is installed: the Debian packages, from their making to their removal, completion, and --help."""
import fnmatch
import os
import re
import shutil
import subprocess

import pytest

from harness import AAPFS, BUILD, EMULATOR, PASSWORD, ROOT, program_for_others

COMPLETION = ROOT / "fs" / "completion"
WORDS = ["adopt", "create", "delete", "export", "reload", "rotate", "status", "upgrade"]


def needs(*programs):
    missing = [program for program in programs if not shutil.which(program)]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def sh(command, **more):
    done = subprocess.run(["bash", "-ec", command], capture_output=True, text=True, **more)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("program", [AAPFS, EMULATOR], ids=lambda program: program.name)
def test_help_is_for_a_terminal(program):
    done = subprocess.run([program, "--help"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ") and max(map(len, done.stdout.splitlines())) <= 80


def test_dev_names_the_package_that_it_needs(tmp_path):
    (tmp_path / "aap").mkdir()
    done = subprocess.run([program_for_others(tmp_path), "--dev", tmp_path / "aap"], capture_output=True, text=True,
                          env={"PATH": "/nowhere"})
    assert done.returncode == 1 and "it is in the package aapfs-emulator\n" in done.stderr


def complete_in_bash(*words):
    words = " ".join(f"'{word}'" for word in words)
    script = (f". {COMPLETION}/aapfs.bash; COMP_WORDS=(aapfs {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _aapfs; "
              'printf "%s\\n" "${COMPREPLY[@]}"')
    return sh(script, cwd="/").split()


def test_bash_completes(mount):
    mount.write("payments", PASSWORD)
    assert set(WORDS) <= set(complete_in_bash(""))
    assert complete_in_bash("sta") == ["status"]
    assert complete_in_bash("create", "-m", mount.path, "") == ["orders", "payments"]
    assert complete_in_bash("create", "-m", mount.path, "p") == ["payments"]
    assert complete_in_bash("delete", "-m", mount.path, "payments", "K") == [mount.key_id()]
    assert complete_in_bash("delete", "--f") == ["--foreign"]
    assert "--state-key" in complete_in_bash("--")
    assert complete_in_bash("status", "-m", "/etc/aapf-nowhere", "") == []
    assert complete_in_bash("create", "-m", mount.path, "payments", "") == []
    assert "/etc/" in [word + "/" for word in complete_in_bash("-m", "/et")]


def test_each_completion_knows_every_sub_command():
    usage = subprocess.run([AAPFS, "--help"], capture_output=True, text=True).stdout
    commands = {word for words in re.findall(r"^ +aapfs ([a-z|-]+) ", usage, re.M) for word in words.split("|")
                if not word.startswith("-")}
    for name in ("aapfs.bash", "_aapfs", "aapfs.fish"):
        missing = [word for word in commands if not re.search(rf"\b{word}\b", (COMPLETION / name).read_text())]
        assert not missing, name


@pytest.mark.full
@needs("zsh")
def test_zsh_reads_its_completion():
    sh(f"zsh -n {COMPLETION}/_aapfs")
    sh(f"zsh -fc 'fpath=({COMPLETION} $fpath); autoload -Uz compinit; compinit -D -u; [[ $_comps[aapfs] == _aapfs ]] && "
       "autoload +X _aapfs'")


@needs("fish")
def test_fish_completes(mount, tmp_path):
    sh(f"fish -n {COMPLETION}/aapfs.fish")
    found = sh(f"HOME={tmp_path} fish --no-config -c 'source {COMPLETION}/aapfs.fish; complete -C \"aapfs \"; "
               f"complete -C \"aapfs create -m {mount.path} \"' 2>/dev/null")
    assert {"adopt", "status", "payments", "orders"} <= {line.split("\t")[0] for line in found.splitlines()}


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Built from what is committed; without debug symbols, and quickly."""
    folder = tmp_path_factory.mktemp("packages")
    (folder / "aapfs").mkdir()
    sh(f"git -C {ROOT} archive HEAD | tar -x -C {folder}/aapfs")
    sh("dpkg-buildpackage -us -uc -b 2>&1", cwd=folder / "aapfs",
       env={**os.environ, "DEB_BUILD_OPTIONS": "noautodbgsym noopt parallel=2"})
    return folder


def contents(package):
    return set(sh(f"dpkg-deb --fsys-tarfile {package} | tar -t").splitlines())


def test_what_is_installed_is_in_a_package(tmp_path):
    """Without building one: each line of debian/*.install is something, and whatever is installed is in a line."""
    sh(f"meson install -C {BUILD} --no-rebuild --destdir {tmp_path}/root")
    installed = {re.sub("^usr/local/", "usr/", str(path.relative_to(tmp_path / "root")))
                 for path in (tmp_path / "root").rglob("*") if path.is_symlink() or not path.is_dir()}
    lines = [line.split() for file in (ROOT / "debian").glob("*.install") for line in file.read_text().splitlines()]
    left = [re.compile(fnmatch.translate(line)) for line in (ROOT / "debian/not-installed").read_text().split()]
    taken = set()
    for words in lines:
        if words[0].startswith("debian/"):
            assert (ROOT / words[0]).is_file()
            continue
        those = {name for name in installed if name == words[0] or name.startswith(words[0] + "/")}
        assert those, words
        taken |= those
    assert not {name for name in installed - taken if not any(pattern.match(name) for pattern in left)}


@pytest.mark.long
@needs("dpkg-buildpackage", "dh", "lintian")
def test_the_packages(packages):
    aapfs, = packages.glob("aapfs_*.deb")
    emulator, = packages.glob("aapfs-emulator_*.deb")
    has = contents(aapfs)
    for name in ("usr/bin/aapfs", "sbin/mount.aapfs", "sbin/mount.fuse.aapfs", "lib/systemd/system/aapfs.service",
                 "lib/systemd/system/aapfs@.service", "lib/systemd/system/aapfs-left.service",
                 "lib/systemd/system/aapfs-left@.service", "usr/libexec/aapfs/service-helper", "etc/aapfs/aapfs.conf",
                 "usr/share/man/man1/aapfs.1.gz", "usr/share/man/man5/aapfs.conf.5.gz", "usr/share/man/man7/aapfs.7.gz",
                 "usr/share/man/man8/mount.aapfs.8.gz", "usr/share/bash-completion/completions/aapfs",
                 "usr/share/zsh/vendor-completions/_aapfs", "usr/share/fish/vendor_completions.d/aapfs.fish",
                 "usr/share/doc/aapfs/README.Debian"):
        assert f"./{name}" in has, name
    assert {"./usr/bin/kms-emulator", "./usr/share/man/man1/kms-emulator.1.gz"} <= contents(emulator)
    assert not {name for name in has | contents(emulator) if re.search(r"include/|\.a$|\.pc$", name)}
    unit = sh(f"dpkg-deb --fsys-tarfile {aapfs} | tar -xO ./lib/systemd/system/aapfs.service")
    assert "ExecStart=/usr/bin/aapfs -f /run/aap\n" in unit
    changes, = packages.glob("*.changes")
    # this build is not optimized, and not for a distribution
    found = sh(f"lintian --allow-root --fail-on error --suppress-tags hardening-no-fortify-functions {changes} 2>&1")
    print(found)


# a machine of its own, as far as mounts and processes go
LIVE = r"""
set -e
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
apt-get update -qq
apt-get install -y -qq --no-install-recommends /packages/aapfs_*.deb > /dev/null 2>&1
mkdir /aap /state /second
if aapfs --dev /aap 2> /errors; then exit 90; fi
grep -q aapfs-emulator /errors
apt-get install -y -qq --no-install-recommends /packages/aapfs-emulator_*.deb openssl > /dev/null 2>&1
aapfs --dev /aap
printf 'Correct-Horse1\n' > /password
aapfs create -m /aap --password-file /password payments
/aapfs-tests/mount

# one that an upgrade takes over
export KMS_EMULATOR_ACCESS_KEY=LTAI5tTestOnly:test-only-secret
kms-emulator --listen 127.0.0.1:18443 --aap payments > /listening &
until grep -q listening /listening; do sleep 0.1; done
export ALIBABA_CLOUD_ACCESS_KEY_ID=LTAI5tTestOnly ALIBABA_CLOUD_ACCESS_KEY_SECRET=test-only-secret
mount -t aapfs -o region=cn-hangzhou,endpoint=http://127.0.0.1:18443 aapfs /second
until [ -e /second/payments/control ]; do sleep 0.1; done
aapfs create -m /second --password-file /password payments > /key_id
exec 3< /second/payments/client_key.json
before=$(stat -L -c %i /usr/bin/aapfs)
dpkg -i --force-confold /packages/aapfs_*.deb > /log 2>&1
grep '/aap goes on with the version before' /log
if grep '/second goes on' /log; then exit 91; fi
for process in $(find /proc -maxdepth 2 -name exe -lname '/usr/bin/aapfs' 2> /dev/null); do echo "same or new: $(readlink $process)"; done
[ "$(cat /second/payments/client_key_id)" = "$(cat /key_id)" ]
cat <&3 > /dev/null
exec 3<&-

mkdir /bind
mount --bind /second/payments /bind
dpkg -r aapfs > /log 2>&1
if grep fuse.aapfs /proc/self/mountinfo; then exit 92; fi
[ -z "$(find /proc -maxdepth 2 -name exe -lname '*bin/aapfs*' 2> /dev/null)" ]
ls /var/lib/aapfs/*/ > /dev/null
[ -s /etc/aapfs/state.key ]
[ -e /etc/aapfs/aapfs.conf ]
dpkg -P aapfs > /log 2>&1
grep 'aapfs: kept /var/lib/aapfs: ' /log
grep 'aapfs: kept /etc/aapfs/state.key: ' /log
[ -s /etc/aapfs/state.key ]
if [ -e /etc/aapfs/aapfs.conf ]; then exit 93; fi
echo all is well
"""


@pytest.mark.long
@needs("dpkg-buildpackage", "dh", "debootstrap")
def test_installed_upgraded_and_removed(packages, tmp_path):
    root = tmp_path / "root"
    mirror = sh("apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1").strip()
    sh(f"debootstrap --variant=minbase --include=ca-certificates bookworm {root} {mirror}")
    sh(f"rm -f {root}/etc/apt/sources.list && cp -a /etc/apt/sources.list.d /etc/apt/apt.conf.d {root}/etc/apt/ && "
       f"cp -a /usr/share/keyrings/. {root}/usr/share/keyrings/ && cp -L /etc/resolv.conf /etc/hosts {root}/etc/")
    sh(f"mkdir {root}/packages && cp {packages}/*.deb {root}/packages/ && cp -r {ROOT}/debian/tests {root}/aapfs-tests")
    sh(f"mknod -m 600 {root}/dev/fuse c 10 229")
    (root / "live").write_text(LIVE)
    done = subprocess.run(["unshare", "-m", "-p", "-f", f"--mount-proc={root}/proc", "--kill-child", "chroot", root,
                           "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "sh", "/live"],
                          capture_output=True, text=True, timeout=300)
    logs = "".join((root / name).read_text() for name in ("log", "errors") if (root / name).exists())
    assert done.returncode == 0 and done.stdout.endswith("all is well\n"), done.stdout + done.stderr + logs
    print(done.stdout)


@pytest.mark.parametrize("name", ["aapfs.postinst", "aapfs.prerm", "aapfs.postrm", "tests/mount"])
def test_the_packages_scripts_are_whole(name):
    sh(f"sh -n {ROOT / 'debian' / name}")
