"""The suite's own parts: what waits ends, what is missing is said, and the machine's own things are left alone."""
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

from parts.harness import ROOT
from parts.users import NOBODY, OwnFuse
from parts.watch import Watch, names_moved_to, wait_for_watch

HERE = pathlib.Path(__file__).parent


def test_a_watch_that_ends_is_an_error_at_once(tmp_path):
    began = time.monotonic()
    with pytest.raises(AssertionError, match="ended before it watched"):
        Watch(["sh", "-c", "exit 3"])
    with names_moved_to(tmp_path) as watch:
        watch.process.send_signal(signal.SIGKILL)
        with pytest.raises(AssertionError, match="has ended with -9"):
            watch.next()
    with names_moved_to(tmp_path) as watch:
        watch.process.send_signal(signal.SIGKILL)
        with pytest.raises(AssertionError, match="has ended with -9"):
            watch.until_true(lambda: False)
    assert time.monotonic() - began < 10


def test_a_watch_in_which_nothing_happens_ends_when_it_says(tmp_path):
    began = time.monotonic()
    with names_moved_to(tmp_path) as watch:
        assert watch.next(0.1) is None
        with pytest.raises(AssertionError):
            watch.until(["a name"], 0.1)
        with pytest.raises(AssertionError, match="it did not come"):
            watch.until_true(lambda: False, 0.1)
        (tmp_path / "one").touch()
        os.rename(tmp_path / "one", tmp_path / "two")
        assert watch.until(["two"]) == ["two"]
    with subprocess.Popen(["sleep", "60"]) as idle:
        with pytest.raises(AssertionError, match="watches nothing"):
            wait_for_watch(idle.pid, 0.1)
        idle.kill()
    assert time.monotonic() - began < 10


NO_MOUNT_POINT = """
for name in proc dev usr bin lib lib64 sbin "$1"; do
    [ -e "/$name" ] || continue
    mkdir -p "$0/$name"
    mount --rbind "/$name" "$0/$name"
done
[ -z "$2" ] || mount -t tmpfs tmpfs "$0/$2"
exec chroot "$0" /usr/bin/python3 -Bc 'import sys; sys.path.insert(0, sys.argv[1]); from parts import needs; print(*needs.missing(), sep="\\n")' "/$1"
"""


@pytest.mark.parametrize("hidden, said", [("", ["a root that is a mount point"]),
                                          ("dev", ["a root that is a mount point", "/dev/fuse: ", "terminals: "]),
                                          ("proc", ["/proc: "])])
def test_a_chroot_that_is_not_enough_says_what_is_missing(tmp_path, hidden, said):
    done = subprocess.run(["unshare", "--mount", "sh", "-ec", NO_MOUNT_POINT, tmp_path, str(HERE).lstrip("/"), hidden],
                          capture_output=True, text=True, env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"})
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == len(said), done
    assert [line[:len(start)] for line, start in zip(lines, said)] == said


def test_a_mount_namespaces_own_fuse_leaves_the_machines_alone(tmp_path):
    before = os.stat("/dev/fuse")
    with OwnFuse(tmp_path) as own:
        there = subprocess.run(own.words(NOBODY, "sh", "-c", "test -w /dev/fuse && stat -c %a /dev/fuse"), cwd="/",
                               capture_output=True, text=True)
        assert (there.returncode, there.stdout) == (0, "666\n")
        assert os.stat("/dev/fuse").st_mode == before.st_mode
        assert os.stat("/dev/fuse").st_ino == before.st_ino
    assert os.listdir(tmp_path) == []


@pytest.mark.full
@pytest.mark.parametrize("line", ["int name = CURLOPT_QUICK_EXIT;", "void *name = (void *)curl_easy_header;", "struct mount_attr name;",
                                  "void *name = (void *)strlcpy;", "void *name = (void *)json_object_getn;",
                                  "void *name = (void *)fuse_session_custom_io;", "int name = FUSE_INIT_EXT;",
                                  "#include <sys/pidfd.h>", "_Static_assert(LIBCURL_VERSION_NUM > 0x074c00);",
                                  "_Static_assert(FUSE_VERSION > 310);"])
def test_what_the_oldest_libraries_lack_does_not_compile(line):
    """Nothing of -Dassume_oldest=true would be seen if its header did nothing."""
    words = ["cc", "-D_GNU_SOURCE", "-I/usr/include/fuse3", "-include", ROOT / "tests/machines/oldest.h", "-fsyntax-only", "-x", "c", "-"]
    assert subprocess.run(words, input="int good;\n", text=True).returncode == 0
    assert subprocess.run(words, input=f"{line}\n", text=True, capture_output=True).returncode == 1


CASES = """<testsuite><testcase classname="test_a" name="good" time="1"/>
<testcase classname="test_a" name="red" time="2"><failure message="assert 3 == 4&#10;more of it">all of it</failure></testcase>
<testcase classname="test_a" name="broken" time="3"><error/></testcase>
<testcase classname="test_a" name="left" time="4"><skipped/></testcase></testsuite>"""


def test_the_report_ends_with_what_failed_and_why(tmp_path):
    for folder in ("meson-logs", "test-results"):
        (tmp_path / folder).mkdir()
    units = [{"name": f"aapfs:unit / {name}", "result": result, "duration": 1.0}
             for name, result in (("good", "OK"), ("slow", "TIMEOUT"), ("e2e_a", "FAIL"))]
    (tmp_path / "meson-logs/testlog.json").write_text("\n".join(map(json.dumps, units)))
    (tmp_path / "test-results/a.xml").write_text(CASES)
    done = subprocess.run([ROOT / "tests/report.py", tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.split("failed\n", 1)[1].splitlines() == [
        f"{tmp_path.name} unit: slow: TIMEOUT", f"{tmp_path.name} test_a: red: assert 3 == 4", f"{tmp_path.name} test_a: broken: ", "",
        "2 passed, 3 failed, 1 skipped"]


SIGNALS = """import signal
def test_signals():
    assert signal.getsignal(signal.SIGQUIT) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
"""


def test_tests_begin_with_the_signals_of_a_terminal(tmp_path):
    """What a shell starts by "&" ignores these two, and so does all that it starts."""
    test = tmp_path / "test_signals.py"
    test.write_text(SIGNALS)
    done = subprocess.run(["sh", "-c", "trap '' INT QUIT; exec \"$@\"", "sh", ROOT / "tests/e2e/run.py", test],
                          env={**os.environ, "AAPFS_BUILD": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
