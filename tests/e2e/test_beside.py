"""What aapfs(7) says in "Beside other filesystems": that it is so."""
import errno
import pathlib
import subprocess
import sys

import pytest

from parts.harness import INSIDE, PASSWORD

LANDLOCKED = INSIDE / "landlocked.py"
OTHER_PASSWORD = "Other-Horse2"


@pytest.mark.skipif("overlay" not in pathlib.Path("/proc/filesystems").read_text(), reason="the kernel has no overlayfs")
def test_an_overlay_goes_stale_and_takes_a_password_in_clear_text(mount, emulator):
    mount.write("payments", PASSWORD)
    for name in ("upper", "work", "merged"):
        (mount.directory / name).mkdir()
    script = f"""
mount -t overlay -o lowerdir={mount.path},upperdir=upper,workdir=work overlay merged
cat merged/payments/client_key_id
echo {PASSWORD} > {mount.path}/payments/control
cat merged/payments/client_key_id 2>&1 || true
echo {OTHER_PASSWORD} > merged/payments/control"""
    done = subprocess.run(["unshare", "--mount", "sh", "-ec", script], capture_output=True, text=True, cwd=mount.directory, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    first, then = done.stdout.splitlines()
    assert first.startswith("KAAP.") and then.endswith("Stale file handle")
    assert (mount.directory / "upper/payments/control").read_text() == OTHER_PASSWORD + "\n"
    assert emulator.count("CreateClientKey") == 2  # those beside the overlay


@pytest.mark.parametrize("rule, after", [("client_key.json", str(errno.EACCES)), ("", "read")], ids=["file", "directory"])
def test_a_landlock_rule_on_a_file_ends_with_its_key(mount, rule, after):
    mount.write("payments", PASSWORD)
    directory = mount / "payments"
    process = subprocess.Popen([sys.executable, LANDLOCKED, directory / rule, directory / "client_key.json"], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write("\n")
    process.stdin.flush()
    before = process.stdout.readline()
    mount.write("payments", PASSWORD)
    then, _ = process.communicate("\n")
    if process.returncode == 99:
        pytest.skip("the kernel has no Landlock")
    assert (process.returncode, before, then) == (0, "read\n", after + "\n")
