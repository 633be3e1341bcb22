"""What the README tells a newcomer to run."""
import os
import re
import shutil
import subprocess

import pytest

from parts.harness import BUILD, PASSWORD, ROOT, run_aapfs, until
from parts.watch import wait_for_watch


def test_reload_in_c(mount, tmp_path):
    subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", "-o", tmp_path / "reload",
                    ROOT / "examples/reload.c"], check=True)
    mount.write("payments", PASSWORD)
    process = subprocess.Popen([tmp_path / "reload", mount / "payments"], stdout=subprocess.PIPE, text=True)
    for _ in range(3):
        size = os.stat(mount / "payments/client_key.json").st_size
        assert process.stdout.readline() == f"client key {mount.key_id()}, {size} bytes\n"
        mount.write("payments", PASSWORD)
    process.kill()
    process.wait()
    process.stdout.close()


def test_reload_in_shell(mount, tmp_path):
    process = subprocess.Popen([ROOT / "examples/reload.sh", mount / "payments", "cat",
                                mount / "payments/client_key_id"], stdout=subprocess.PIPE, text=True,
                               start_new_session=True)
    words = ["pgrep", "-g", str(process.pid), "inotifywait"]
    watching = until(lambda: subprocess.run(words, stdout=subprocess.PIPE, text=True).stdout)
    wait_for_watch(int(watching))
    for _ in range(3):
        mount.write("payments", PASSWORD)
        assert process.stdout.readline() == mount.key_id() + "\n"
    os.killpg(process.pid, 9)
    process.wait()
    process.stdout.close()


def shape(text):
    """Ids, numbers and times are each time others; what is then left of a table are its columns."""
    text = re.sub(r"KAAP\.[0-9a-f-]{36}", "ID", text)
    text = re.sub(r"\b(in )?\d+ (s|min|h|d|y)( ago)?\b", "TIME", text)
    text = re.sub(r"account \d+", "account N", text)
    text = re.sub(r"(ID +TIME +- +)(TIME|-)", r"\1NEXT", text)  # what is next depends on the configuration
    return [re.split(r"  +", line) for line in text.splitlines()]


def test_status_prints_what_the_readme_shows(mount):
    mount.write("payments", PASSWORD)
    shown = re.search(r"```\n\$ aapfs status\n(.*?)```", (ROOT / "README.md").read_text(), re.S)[1]
    done = run_aapfs("status", "-m", mount.path)
    assert shape(done.stdout) == shape(shown)
    names = shown.splitlines()[1]
    for row in shown.splitlines()[2:]:  # and it is aligned
        assert [row[names.index(name) - 1] for name in re.split("  +", names)[1:]] == [" "] * 6


def test_show_finds_what_was_built(tmp_path):
    (tmp_path / "examples").mkdir()
    (tmp_path / "build/fs").mkdir(parents=True)
    shutil.copy(ROOT / "examples/show.sh", tmp_path / "examples")
    (tmp_path / "build/fs/aapfs").write_text("#!/bin/sh\necho found $1\nexit 3\n")
    (tmp_path / "build/fs/aapfs").chmod(0o755)
    for directory in (tmp_path, tmp_path / "examples"):
        done = subprocess.run([os.path.relpath(tmp_path / "examples/show.sh", directory)], cwd=directory, capture_output=True,
                              text=True, env={"PATH": "/usr/bin:/bin"}, executable=tmp_path / "examples/show.sh")
        assert (done.returncode, done.stdout, done.stderr) == (3, "found --dev\n", "")


@pytest.mark.full
def test_quickstart():
    for _ in range(2):
        done = subprocess.run([ROOT / "examples/quickstart.sh"], capture_output=True, text=True,
                              env={**os.environ, "BUILD_DIR": str(BUILD)})
        assert (done.returncode, done.stderr) == (0, "")
        before, after = re.search(r"# Done: (KAAP\.[0-9a-f-]{36}) was replaced by (KAAP\.[0-9a-f-]{36})\n",
                                  done.stdout).groups()
        assert before != after
        assert "$ cat" in done.stdout and "Private-Key: (2048 bit, 2 primes)" in done.stdout
        assert "Quick-" not in done.stdout
