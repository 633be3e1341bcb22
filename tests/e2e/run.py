#!/usr/bin/python3
"""Runs pytest on the files given, and leaves what each test took in the build folder."""
import os
import pathlib
import signal
import sys

import pytest

# a shell's "&" leaves them ignored, in all that is started
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
results = pathlib.Path(os.environ["AAPFS_BUILD"]) / "test-results"
results.mkdir(exist_ok=True)
name = "-".join(pathlib.Path(word).stem for word in sys.argv[1:] if word.endswith(".py"))[:200]  # a file has 255
here = pathlib.Path(__file__).parent
# everyday: what `meson test` runs; the others are tests/run.sh's
marks = {"everyday": "not full and not long", "full": "not long", "long": "", "core": "core"}
status = pytest.main(["-q", "-c", str(here / "pytest.ini"), "--rootdir", str(here),
                      "-m", marks[os.environ.get("AAPFS_TESTS", "everyday")],
                      f"--junit-xml={results}/{name}.xml", *sys.argv[1:]])
# none of these is in this run: what meson takes for "skipped"
sys.exit(77 if status == pytest.ExitCode.NO_TESTS_COLLECTED else status)
