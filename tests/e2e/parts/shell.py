"""Programs of this machine: run by a shell, or a reason to go without a test."""
import shutil
import subprocess

import pytest


def needs(*programs):
    missing = [program for program in programs if not shutil.which(program)]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def sh(command, **more):
    done = subprocess.run(["bash", "-ec", command], capture_output=True, text=True, **more)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout
