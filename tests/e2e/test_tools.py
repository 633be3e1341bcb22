"""What walks over every filesystem walks over the mount too: no hang, nothing denied but by modes, no request to KMS."""
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import tempfile

import pytest

from parts.harness import PASSWORD, ROOT, Emulator, Mount, make_state_key, until
from parts.users import NOBODY

USERS = {"root": 0, "nobody": NOBODY}

# what tar and rsync say besides of files that they may not read; root's rsync has opened control by then
CONSEQUENCE = re.compile("Exiting with failure status due to previous errors|some files/attrs were not transferred|"
                         "control failed verification -- update discarded")


@pytest.fixture(scope="module")
def mounted(tmp_path_factory, pool_file):
    """A mount with a rotated key and an AAP without one, for all tests: they change nothing."""
    work_tree = pathlib.Path(tempfile.mkdtemp(prefix="aapfs-test-"))  # which others may enter
    work_tree.chmod(0o755)
    other = tmp_path_factory.mktemp("tools")
    emulator = Emulator(other, pool_file=pool_file)
    mount = Mount(work_tree, emulator.url, state=other / "state", state_key=make_state_key(other / "state.key"))
    mount.write("payments", PASSWORD)
    mount.write("payments", PASSWORD)
    mount.emulator = emulator
    until(lambda: emulator.count("ListClientKeys") >= 2)  # one an AAP, in its own time
    yield mount
    mount.stop()
    emulator.stop()
    shutil.rmtree(work_tree)


class Tools:
    def __init__(self, mount, user, directory):
        self.mount, self.id, self.directory = mount, USERS[user], directory

    def run(self, *words, statuses=(0,), cwd=None):
        """(standard output, the paths that were denied). Nothing else may be said, and KMS hears nothing."""
        before = self.mount.emulator.counts()
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, cwd=cwd, user=self.id, group=self.id,
                              extra_groups=[], env={**os.environ, "LC_ALL": "C", "HOME": str(self.directory)})
        denied, other = set(), []
        for line in done.stderr.splitlines():
            found = re.search(r"""(\.?/[^\s"':’]+)["'’]?:? .*Permission denied|Permission denied.* (/\S+)""", line)
            if found:
                denied.add(os.path.normpath(found[1] or found[2]))
            elif line and not CONSEQUENCE.search(line):
                other.append(line)
        assert other == []
        assert done.returncode in statuses, done.stderr
        assert self.mount.emulator.counts() == before
        return done.stdout, denied

    def walk(self):
        """Every path of the mount, with its lstat."""
        for top, directories, files in os.walk(self.mount.path, onerror=pytest.fail):
            for name in (*directories, *files):
                path = os.path.join(top, name)
                yield path, os.lstat(path)

    def readable(self):
        return {path: status for path, status in self.walk()
                if stat.S_ISREG(status.st_mode) and not self.is_denied(path, status)}

    def is_denied(self, path, status):
        return path.endswith("/control") or (self.id != 0 and not status.st_mode & stat.S_IROTH)

    def denied(self):
        return {path for path, status in self.walk() if stat.S_ISREG(status.st_mode) and self.is_denied(path, status)}


@pytest.fixture(params=USERS)
def tools(mounted, tmp_path, request):
    os.chown(tmp_path, USERS[request.param], USERS[request.param])
    return Tools(mounted, request.param, tmp_path)


def test_find_sees_everything_with_its_size(tools):
    output, denied = tools.run("find", tools.mount.path, "-mindepth", "1", "-printf", "%p %s %M\\n")
    found = dict(line.split(" ", 1) for line in output.splitlines())
    expected = {path: f"{status.st_size} {stat.filemode(status.st_mode)}" for path, status in tools.walk()}
    assert set(found) == set(expected) and len(expected) > 40 and denied == set()
    changing = {path for path in expected if "/.aapfs/" in path}  # status may be another one by now
    assert all(found[path] == expected[path] for path in set(expected) - changing)


def test_sizes_are_exact(tools):
    readable = tools.readable()
    assert len(readable) > (15 if tools.id else 30)
    output, denied = tools.run("sh", "-c", 'for file; do cat "$file" | wc -c; done', "sh", *readable)
    sizes = dict(zip(readable, map(int, output.split())))  # wc alone would believe st_size
    assert denied == set() and len(output.split()) == len(readable)
    for path, size in sizes.items():
        assert size == readable[path].st_size or "/.aapfs/" in path


def test_find_reads_everything_it_may(tools):
    _, denied = tools.run("find", tools.mount.path, "-type", "f", "-exec", "sha256sum", "{}", "+", statuses=(1,))
    assert denied == tools.denied()


def test_find_delete_deletes_nothing(tools):
    before = dict(tools.walk())
    done = subprocess.run(["find", tools.mount.path, "-mindepth", "1", "-delete"], capture_output=True, text=True,
                          timeout=60, user=tools.id, group=tools.id, extra_groups=[])
    assert done.returncode == 1
    assert set(re.findall(r": ([A-Z][a-z ]*)$", done.stderr, re.M)) <= {"Operation not permitted", "Permission denied",
                                                                      "Directory not empty"}
    assert set(dict(tools.walk())) == set(before)


def test_du(tools):
    output, denied = tools.run("du", "-a", "-b", tools.mount.path)
    told = {line.split("\t")[1]: int(line.split("\t")[0]) for line in output.splitlines()}
    for path, status in tools.walk():
        if not stat.S_ISDIR(status.st_mode) and "/.aapfs/" not in path:
            assert told[path] == status.st_size
    assert denied == set()
    tools.run("du", "-s", "-h", "--inodes", tools.mount.path)


def test_df(tools):
    for options in ([], ["-i"], ["-h", "-a"], ["-T"]):
        output, denied = tools.run("df", *options, tools.mount.path)
        assert output.splitlines()[-1].endswith(f" {tools.mount.path}") and denied == set()
    assert " fuse.aapfs " in output


def test_ls(tools):
    output, denied = tools.run("ls", "-l", "-a", "-R", "-Z", "--time-style=full-iso", tools.mount.path)
    assert denied == set() and "client_key.json" in output


def test_tar(tools):
    output, denied = tools.run("tar", "-C", tools.mount.path, "-cf", tools.directory / "all.tar", ".",
                               statuses=(2,))
    assert {os.path.normpath(tools.mount.path / path) for path in denied} == tools.denied()
    into = tools.directory / "all"
    into.mkdir()
    os.chown(into, tools.id, tools.id)
    tools.run("tar", "-C", into, "--no-same-owner", "-xf", tools.directory / "all.tar")
    for path, status in tools.readable().items():
        copy = into / os.path.relpath(path, tools.mount.path)
        if "/.aapfs/" not in path:
            assert int(copy.stat().st_mtime) == int(status.st_mtime)
            assert copy.read_bytes() == pathlib.Path(path).read_bytes()
    assert os.readlink(into / "payments/current") == os.readlink(tools.mount / "payments/current")


@pytest.mark.parametrize("words", [("rsync", "-a"), ("cp", "-a")], ids=" ".join)
def test_copies(tools, words):
    source = f"{tools.mount.path}/" if words[0] == "rsync" else f"{tools.mount.path}/."
    into = tools.directory / "copy"
    into.mkdir()
    os.chown(into, tools.id, tools.id)
    _, denied = tools.run(*words, source, into, statuses=(23, 1))
    assert denied == tools.denied()
    for path, status in tools.readable().items():
        copy = into / os.path.relpath(path, tools.mount.path)
        assert copy.exists()
        if "/.aapfs/" not in path:
            assert copy.read_bytes() == pathlib.Path(path).read_bytes()
    json.loads((into / ".aapfs/status").read_text())


def test_rsync_again_copies_nothing(tools):
    into = tools.directory / "again"
    into.mkdir()
    os.chown(into, tools.id, tools.id)
    words = ["rsync", "-a", "--exclude=control", "--exclude=/.aapfs", "--out-format=%n", f"{tools.mount.path}/", into]
    first, _ = tools.run(*words, statuses=(0, 23))
    second, _ = tools.run(*words, statuses=(0, 23))
    assert "payments/certificate.pem" in first.splitlines()
    assert [name for name in second.splitlines() if not name.endswith("/")] == []


def test_grep(tools):
    output, denied = tools.run("grep", "-r", "-l", "-e", "BEGIN CERTIFICATE", tools.mount.path, statuses=(2,))
    certificates = {path for path in tools.readable() if path.endswith("/certificate.pem")}
    assert certificates <= set(output.splitlines()) and len(certificates) == 3
    assert denied == tools.denied()


def test_git_status(tools):
    work_tree = tools.mount.directory
    git = ["git", "-c", "safe.directory=*", "--git-dir", tools.directory / "git", "--work-tree", work_tree]
    tools.run("git", "init", "-q", "--bare", tools.directory / "git")
    output, denied = tools.run(*git, "status", "--porcelain", cwd=work_tree)
    assert "?? aap/" in output.splitlines()
    output, again = tools.run(*git, "status", "--porcelain", "-uall", cwd=work_tree)
    assert "?? aap/payments/client_key.json" in output.splitlines() and denied | again == set()
    # certificates are no secret: one may well be committed
    tools.run(*git, "add", "aap/payments/certificate.pem", cwd=work_tree)
    output, _ = tools.run(*git, "status", "--porcelain", "-uno", cwd=work_tree)
    assert output == "A  aap/payments/certificate.pem\n"


@pytest.mark.full
def test_updatedb(tools):
    database = tools.directory / "plocate.db"
    updatedb = "/usr/sbin/updatedb.plocate"
    if not os.path.exists(updatedb):
        pytest.skip("plocate is not installed; see tests/packages/rest")
    tools.run(updatedb, "--require-visibility", "no", "--prunefs", "", "--prunepaths", "", "--prune-bind-mounts", "no",
              "--database-root", tools.mount.path, "--output", database)
    output, _ = tools.run("/usr/bin/plocate", "-d", database, "-l", "1000", "/")
    assert {path for path, _ in tools.walk()} <= set(output.splitlines())


@pytest.mark.full
@pytest.mark.parametrize("variable", ["PRUNEFS", "PRUNEPATHS"])
def test_updatedb_prunes_as_the_package_says(mounted, tmp_path, variable):
    if not os.path.exists("/usr/sbin/updatedb.plocate"):
        pytest.skip("plocate is not installed; see tests/packages/rest")
    readme = (ROOT / "debian" / "README.Debian").read_text()
    word = re.search(rf"(\S+) to\s+{variable}\b", readme)[1].replace("/run/aap", str(mounted.path))

    def listed(pruned):
        conf, database = tmp_path / "updatedb.conf", tmp_path / "plocate.db"
        conf.write_text('PRUNE_BIND_MOUNTS="no"\n' + "".join(f'{name}="{pruned if name == variable else "proc"}"\n'
                                                              for name in ("PRUNEFS", "PRUNEPATHS")))
        script = 'mount --bind "$0" /etc/updatedb.conf; exec updatedb.plocate -l no -U "$1" -o "$2"'
        subprocess.run(["unshare", "-m", "sh", "-ec", script, conf, mounted.directory, database], check=True, timeout=60)
        return subprocess.run(["plocate", "-d", database, "-l", "1000", mounted.path], capture_output=True, text=True).stdout

    assert f"{mounted.path}/payments/client_key.json\n" in listed("")
    assert f"{mounted.path}/" not in listed(word)
