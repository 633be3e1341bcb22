"""The network at its worst: a nameserver that never answers."""
import errno
import json
import subprocess

import pytest

from parts.harness import BUILD, INSIDE, environment


@pytest.mark.full
def test_a_nameserver_that_never_answers(pool_file):
    done = subprocess.run(["unshare", "--net", "--mount", "/usr/bin/python3", "-m", "inside.dead_nameserver", pool_file],
                          capture_output=True, text=True, timeout=120, cwd=INSIDE.parent,
                          env=environment(AAPFS_BUILD=str(BUILD)))
    assert (done.returncode, done.stderr) == (0, "")
    results = json.loads(done.stdout)
    print(results)
    for name in ("name", "name, second AAP", "name, again"):
        assert results[name]["errno"] == errno.EHOSTUNREACH
        assert results[name]["seconds"] < 2  # request_timeout + 1 s
    assert results["literal"]["errno"] == 0
    assert results["literal"]["seconds"] < 0.9  # did not wait for the other's second
    assert results["served again"]
    assert results["start"] < 1.5  # readiness waits 0.8 s for a first listing, a reader does not
    assert results["Code"] == "Network.NameNotResolved"
