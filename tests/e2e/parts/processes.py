"""Processes: whose they are, whether they run, and how they end."""
import contextlib
import os
import pathlib
import select
import signal


def children_of(pid):
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def state_of(pid):
    """Its letter in stat: D where it cannot be killed, Z when it has ended; X: it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def wait_for_end(pid):
    """Until the process is gone, whoever its parent is."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    assert select.select([descriptor], [], [], 20)[0], f"{pid} still runs"
    os.close(descriptor)


def kill_all(mount):
    """The whole daemon at once, so that nobody unmounts."""
    pids = [mount.process.pid, *children_of(mount.process.pid)]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # they end with their supervisor, too
                os.kill(pid, number)
    mount.process.wait()
    for pid in pids[1:]:
        wait_for_end(pid)
    mount.is_over = True
