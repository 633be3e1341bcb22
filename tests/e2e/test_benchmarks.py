"""The benchmarks run, and measure what they say: small ones, whose figures nobody should quote."""
import json
import subprocess
import sys

import pytest

from parts.harness import ROOT


@pytest.mark.full
def test_the_loop_with_thirty_aaps():
    done = subprocess.run([sys.executable, ROOT / "tests/bench/loop.py", "--aaps", "30", "--quick", "--json"],
                          capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    figures = found["Microseconds"]
    assert (found["Aaps"], found["KeysOfEach"], found["DueAtOnce"]["Aaps"]) == (30, 3, 3)
    # each did what it is named for, and nothing else
    asked = {what: {name: count for name, count in of["Requests"].items() if name != "Kernel"} for what, of in figures.items()}
    assert asked == {"refuse": {}, "delete": {"DeleteClientKey": 1}, "rotate": {"CreateClientKey": 1},
                     "rotate_at_once": {"ListClientKeys": 1, "DeleteClientKey": 1, "CreateClientKey": 1}}
    for of in figures.values():
        assert of["Ratio"] == of["Many"] / of["Few"] and min(map(min, of["Samples"])) > 0
    assert [figures[what]["Wanted"] for what in ("rotate", "rotate_at_once")] == [1.15, 1.15]
