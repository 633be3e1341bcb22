"""Keys on disk: they outlive every process, and what cannot be opened is neither served nor touched."""
import subprocess

from harness import AAPFS, environment


def run_beside(mount, **more):
    """A second daemon on a mount's state, which has to be refused: its line."""
    place = mount.directory / "second"
    place.mkdir(exist_ok=True)
    done = subprocess.run([AAPFS, "-f", "-c", mount.config, place], capture_output=True, text=True, timeout=60,
                          env=environment(), **more)
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    return done.returncode, done.stderr


def test_a_second_daemon_on_the_same_state_is_refused(mount):
    status, line = run_beside(mount)
    assert status == 1 and f"{mount.state}: another aapfs uses it" in line
    assert not (mount.directory / "second").is_mount()
    assert mount.status("payments")["State"] == "none"
