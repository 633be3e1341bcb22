"""What is installed: the Debian packages, from their making to their removal, and --help."""
import fnmatch
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

from parts.debian import make_debian
from parts.harness import AAPFS, BUILD, EMULATOR, INSIDE, ROOT, environment, make_state_key, run_aapfs, unmount
from parts.machine import boot
from parts.shell import needs, sh
from parts.usage import WORDS, usages
from parts.users import AS_NOBODY, NOBODY, program_for_others


@pytest.mark.parametrize("program", [AAPFS, EMULATOR], ids=lambda program: program.name)
def test_help_is_for_a_terminal(program):
    done = subprocess.run([program, "--help"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ") and max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.full
def test_each_sub_command_has_its_own_help():
    known = usages()
    assert {*WORDS, "check", "volume-plugin", "with-mount"} == set(known)
    for name, usage in known.items():
        for option in ("--help", "-h"):
            done = run_aapfs(name, option)
            assert (done.returncode, done.stderr) == (0, ""), name
            assert re.sub(r"\s+", " ", done.stdout) == f"usage: aapfs {usage} ", name
            assert max(map(len, done.stdout.splitlines())) <= 80
        done = run_aapfs(name, "--nonsense")
        assert (done.returncode, done.stdout) == (2, ""), name
        line, shown = done.stderr.split("\n", 1)
        assert "--nonsense" in line and re.sub(r"\s+", " ", shown) == f"usage: aapfs {usage} ", name
        done = run_aapfs(name, *"abcd")  # too many words for any
        assert done.returncode == (1 if name == "with-mount" else 2), name


@pytest.mark.parametrize("words, nearest", [
    (["staus"], "status"), (["stat"], "status"), (["Status"], "status"), (["chekc"], "check"), (["creat"], "create"),
    (["creat", "payments"], "create"), (["staus", "-m", "/run/aap"], "status"), (["-f", "roate"], "rotate"),
    (["with_mount"], "with-mount"), (["--dev", "xport"], "export"), (["nonsense"], None), (["a-file"], None),
    (["-f", "aapfs", "nonsense"], None), (["help", "staus"], "status"), (["hlep"], "help"), (["verison"], "version"), (["sync"], None)])
def test_what_is_no_command_and_no_place_makes_nothing(tmp_path, words, nearest):
    """It would be mounted on, where a missing mount point is made, and there would be a state key."""
    place = tmp_path / "place"
    place.mkdir()
    (place / "a-file").touch()
    os.chown(place, NOBODY, NOBODY)
    done = run_aapfs(*words, program=program_for_others(tmp_path), cwd=place, **AS_NOBODY,
                     env=environment(HOME=str(place), AAPFS_KEEP_MOUNT="yes"))
    word = [word for word in words if word[0] not in "-/" and word not in ("help", "payments", "aapfs")][0]
    hint = f"; did you mean aapfs {nearest}?" if nearest else ";"
    assert (done.returncode, done.stdout, done.stderr) == (
        2, "", f"aapfs: {word}: no command, and no directory to mount on{hint} aapfs --help has all of them\n")
    assert os.listdir(place) == ["a-file"]


def test_help_and_version_as_words():
    def said(*words):
        done = run_aapfs(*words)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    assert said("help") == said("--help")
    assert said("help", "status") == said("status", "--help")
    assert said("version") == said("--version")
    assert said("help", "--help") == said("help", "help") and "version" in said("--help")
    for words in (["help", "status", "x"], ["help", "-x"], ["version", "x"]):
        done = run_aapfs(*words)
        assert (done.returncode, done.stdout) == (2, "") and done.stderr.endswith(said(words[0], "-h"))


def test_a_directory_is_a_mount_point_without_a_slash(emulator, tmp_path):
    place = tmp_path / "staus"
    place.mkdir()
    key = make_state_key(tmp_path / "key")
    for words in (["staus"], ["aapfs", "staus"]):
        done = run_aapfs("--endpoint", emulator.url, "--state", tmp_path / "state", "--state-key", key, *words, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert ".aapfs" in os.listdir(f"{place}/.") or (place / ".aapfs/status").exists()
        unmount(place)


def test_what_is_no_sub_command_is_told(tmp_path):
    done = run_aapfs("creat", "payments", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith("aapfs: creat: no command")
    for words in (["forget", "--help"], ["mount", "--help"], ["--help"], ["-h"]):
        done = run_aapfs(*words)
        assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("usage: aapfs [-f]")
    assert re.fullmatch(r"aapfs \d+\.\d+\.\d+\n", run_aapfs("--version").stdout)


def test_the_mount_helper_has_help(tmp_path):
    helper = tmp_path / "mount.aapfs"
    helper.symlink_to(AAPFS)
    done = subprocess.run([helper, "--help"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("usage: mount.aapfs ")
    done = subprocess.run([helper, "--nonsense"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "") and "usage: mount.aapfs " in done.stderr  # as mount(8) numbers it


def test_dev_names_the_package_that_it_needs(tmp_path):
    (tmp_path / "aap").mkdir()
    done = run_aapfs("--dev", tmp_path / "aap", program=program_for_others(tmp_path), env={"PATH": "/nowhere"})
    assert done.returncode == 1 and "it is in the package aapfs-emulator\n" in done.stderr


VERSION = re.search(r"^aapfs \((.*)\)", (ROOT / "debian/changelog").read_text())[1]
NEXT = VERSION + ".1"


def build_packages(folder, change=""):
    """Built from what is committed, without debug symbols, and quickly."""
    (folder / "aapfs").mkdir(parents=True)
    sh(f"git -C {ROOT} archive HEAD | tar -x -C {folder}/aapfs; cd {folder}/aapfs; {change}")
    sh("dpkg-buildpackage -us -uc -b 2>&1", cwd=folder / "aapfs",
       env={**os.environ, "DEB_BUILD_OPTIONS": "noautodbgsym noopt parallel=2"})


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """The packages, and in next/ those of the version after, which comes with changed units."""
    folder = tmp_path_factory.mktemp("packages")
    build_packages(folder)
    build_packages(folder / "next", f"""
        sed -i "s/  version: '{VERSION}'/  version: '{NEXT}'/" meson.build
        sed 's/^aapfs ({VERSION})/aapfs ({NEXT})/' debian/changelog | cat - debian/changelog > both; mv both debian/changelog
        sed -i 's/^TimeoutStopSec=45/TimeoutStopSec=46/' fs/systemd/shared
        grep -q {NEXT} meson.build; grep -q =46 fs/systemd/shared""")
    return folder


def merged(name):
    """Where a system of merged folders has it, as each Debian since 12 is, whatever its packages say."""
    return re.sub("^(usr/local/|usr/)?(s?bin|lib)/", r"usr/\2/", name.removeprefix("./"))


def contents(package):
    return set(map(merged, sh(f"dpkg-deb --fsys-tarfile {package} | tar -t").splitlines()))


def test_what_is_installed_is_in_a_package(tmp_path):
    """Without building one: each line of debian/*.install is something, and whatever is installed is in a line."""
    sh(f"meson install -C {BUILD} --no-rebuild --destdir {tmp_path}/root")
    installed = {merged(re.sub("^usr/local/", "usr/", str(path.relative_to(tmp_path / "root"))))
                 for path in (tmp_path / "root").rglob("*") if path.is_symlink() or not path.is_dir()}
    lines = [line.replace("${env:UNITS}", "usr/lib/systemd/system").split()
             for file in (ROOT / "debian").glob("*.install") for line in file.read_text().splitlines()]
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
    for name in ("usr/bin/aapfs", "usr/sbin/mount.aapfs", "usr/sbin/mount.fuse.aapfs",
                 "usr/lib/systemd/system/aapfs.service", "usr/lib/systemd/system/aapfs@.service",
                 "usr/lib/systemd/system/aapfs-left.service", "usr/lib/systemd/system/aapfs-left@.service", "usr/libexec/aapfs/service-helper", "etc/aapfs/aapfs.conf",
                 "usr/share/man/man1/aapfs.1.gz", "usr/share/man/man5/aapfs.conf.5.gz", "usr/share/man/man7/aapfs.7.gz",
                 "usr/share/man/man8/mount.aapfs.8.gz", "usr/share/bash-completion/completions/aapfs",
                 "usr/share/zsh/vendor-completions/_aapfs", "usr/share/fish/vendor_completions.d/aapfs.fish",
                 "usr/share/doc/aapfs/README.Debian"):
        assert name in has, name
    assert {"usr/bin/kms-emulator", "usr/share/man/man1/kms-emulator.1.gz"} <= contents(emulator)
    assert not {name for name in has | contents(emulator) if re.search(r"include/|\.a$|\.pc$", name)}
    unit = sh(f"dpkg-deb --fsys-tarfile {aapfs} | tar -xO --wildcards '*/systemd/system/aapfs.service'")
    assert "ExecStart=/usr/bin/aapfs -f /run/aap\n" in unit
    changes, = packages.glob("*.changes")
    # this build is not optimized, and not for a distribution
    sh(f"lintian --allow-root --fail-on error,warning --suppress-tags hardening-no-fortify-functions {changes} 2>&1")


@pytest.fixture(scope="module")
def root(packages, tmp_path_factory):
    """A Debian with systemd and with what the packages depend on. It stays as it is: whoever uses it lays something over it."""
    root = tmp_path_factory.mktemp("debian") / "root"
    needed = {re.match(r"\s*(\S+)", word)[1] for package in packages.glob("*.deb")
              for word in sh(f"dpkg-deb -f {package} Depends").split(",")}
    make_debian(root, ",".join(sorted({"systemd-sysv"} | needed)))
    sh(f"mkdir {root}/packages {root}/out && cp -r {packages}/*.deb {packages}/next {root}/packages/")
    sh(f"cp -r {ROOT}/debian/tests {root}/aapfs-tests && rm -f {root}/dev/fuse && mknod -m 600 {root}/dev/fuse c 10 229")
    for name in ("chroot.sh", "booted.sh"):
        shutil.copy(INSIDE / name, root)
    return root


def versions():
    return {"VERSION": VERSION, "NEXT": NEXT}


@pytest.mark.long
@needs("dpkg-buildpackage", "dh", "debootstrap")
def test_installed_upgraded_and_removed(root, tmp_path):
    """A machine of its own, as far as mounts and processes go; without systemd."""
    script = """
        mount -t tmpfs tmpfs "$0" && mkdir "$0/upper" "$0/work" "$0/root"
        mount -t overlay -o "lowerdir=$1,upperdir=$0/upper,workdir=$0/work" overlay "$0/root"
        mount -t proc proc "$0/root/proc"
        exec chroot "$0/root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$2" "$3" sh /chroot.sh
    """
    done = subprocess.run(["unshare", "-m", "-p", "-f", "--kill-child", "sh", "-ec", script, tmp_path, root,
                           *(f"{name}={value}" for name, value in versions().items())],
                          capture_output=True, text=True, timeout=300)
    print(done.stdout)
    assert done.returncode == 0 and done.stdout.endswith("all is well\n"), done.stdout + done.stderr


@pytest.mark.long
@needs("dpkg-buildpackage", "dh", "debootstrap", "systemd-nspawn")
def test_installed_upgraded_and_removed_in_a_booted_system(root, tmp_path, pool_file):
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(pool_file, out / "pool.pem")
    boot(out, root, "sh /booted.sh", **versions())


@pytest.mark.parametrize("name", ["aapfs.postinst", "aapfs.prerm", "aapfs.postrm", "tests/mount"])
def test_the_packages_scripts_are_whole(name):
    sh(f"sh -n {ROOT / 'debian' / name}")


@pytest.mark.full
def test_the_packages_scripts_at_work(emulator):
    """Upgrade, removal and purge as the scripts do it, with all that is in their way."""
    work = pathlib.Path(tempfile.mkdtemp(prefix="aapfs-test-"))
    emulator.set_faults("CreateClientKey delay=3000")
    try:
        done = subprocess.run(["unshare", "-m", "-p", "-f", "--mount-proc", "--kill-child", "sh",
                               INSIDE / "scripts.sh", BUILD, ROOT / "debian", work, emulator.url],
                              capture_output=True, text=True, timeout=200)
    finally:
        shutil.rmtree(work)
    print(done.stdout)
    assert done.returncode == 0 and done.stdout.endswith("all is well\n"), done.stdout + done.stderr
