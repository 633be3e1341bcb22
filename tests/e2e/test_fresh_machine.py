"""The quickstart on a machine that has nothing but git: a minimal Debian root made by debootstrap."""
import pathlib
import re
import shutil
import subprocess

import pytest

from parts.debian import make_debian
from parts.harness import ROOT
from parts.shell import sh


@pytest.mark.full
def test_quickstart_in_a_minimal_root(tmp_path):
    root = tmp_path / "root"
    make_debian(root, "git")
    sh(f"git clone --quiet {ROOT} {root}/aapfs")
    mounts = [("proc", "proc"), ("sysfs", "sys")]
    try:
        for kind, place in mounts:
            sh(f"mount -t {kind} {kind} {root}/{place}")
        sh(f"mknod -m 600 {root}/dev/fuse c 10 229")
        transcripts = []
        for _ in range(2):
            transcripts.append(sh(f"chroot {root} env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "
                                  "/aapfs/examples/quickstart.sh"))
        for transcript in transcripts:
            before, after = re.search(r"# Done: (KAAP\.[0-9a-f-]{36}) was replaced by (KAAP\.[0-9a-f-]{36})\n",
                                      transcript).groups()
            assert before != after
        assert "installing:" in transcripts[0] and "installing:" not in transcripts[1]
        print(transcripts[0])
    finally:
        for _, place in reversed(mounts):
            subprocess.run(["umount", f"{root}/{place}"])
        assert not [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
                    if str(root) in line.split()[4]]
    shutil.rmtree(root)
