"""inotifywait, as tests wait for it: an error at once when it has ended, and never longer than they say."""
import contextlib
import os
import pathlib
import select
import subprocess
import time

from parts.harness import until


def wait_for_watch(pid, seconds=20):
    """Until a process has an inotify watch."""
    ended = os.pidfd_open(pid)

    def has_one():
        for entry in pathlib.Path(f"/proc/{pid}/fdinfo").glob("*"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if "inotify wd:" in entry.read_text():
                    return True
        assert not select.select([ended], [], [], 0)[0], f"process {pid} ended before it watched anything"
        return False

    try:
        until(has_one, seconds, why=lambda: f"process {pid} watches nothing")
    finally:
        os.close(ended)


class Watch:
    """A process that watches, inotifywait at its end; its lines."""

    def __init__(self, words, **parts):
        self.process = subprocess.Popen([*map(str, words)], stdout=subprocess.PIPE, **parts)
        self.rest = b""
        try:
            wait_for_watch(self.process.pid)
        except BaseException:
            self.end()
            raise

    def more(self, seconds):
        """Whether it said anything within SECONDS. The pipe of one that has ended is readable for ever."""
        if not select.select([self.process.stdout], [], [], max(0, seconds))[0]:
            return False
        said = os.read(self.process.stdout.fileno(), 4096)
        if not said:
            raise AssertionError(f"{self.process.args[0]} has ended with {self.process.wait()}")
        self.rest += said
        return True

    def next(self, seconds=20):
        """The next event, or None."""
        end = time.monotonic() + seconds
        while b"\n" not in self.rest:
            if not self.more(end - time.monotonic()):
                return None
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def until(self, names, seconds=20):
        """Reads until each of the NAMES has come; what came."""
        seen, end = [], time.monotonic() + seconds
        while not set(names) <= set(seen):
            seen.append(self.next(end - time.monotonic()))
            assert seen[-1], (names, seen)
        return seen

    def until_closed(self, seconds):
        """All that comes until a writer has closed the file."""
        seen, end = [], time.monotonic() + seconds
        while not seen or not seen[-1].startswith("CLOSE_WRITE"):
            seen.append(self.next(end - time.monotonic()))
            assert seen[-1], seen
        return seen

    def until_true(self, condition, seconds=40, why="it did not come"):
        """Until CONDITION() holds, looked at whenever something changes, and now and then for what no event tells."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, why
            if self.more(0.2):
                self.rest = b""

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        self.end()


def names_moved_to(path):
    return Watch(["inotifywait", "-q", "-m", "-e", "moved_to", "--format", "%f", path])


def directories_below(directory):
    """DIRECTORY as well; no mount is looked into, which may be dead."""
    with open("/proc/self/mountinfo", encoding="ascii") as lines:
        mounts = {line.split()[4] for line in lines}
    for place, names, _ in os.walk(directory):
        names[:] = [name for name in names if os.path.join(place, name) not in mounts]
        yield place


def wait_until(directory, condition):
    """Until CONDITION holds, looked at whenever something changes in DIRECTORY."""
    events = "create,delete,move,modify,close_write"
    with Watch(["inotifywait", "-q", "-m", "-e", events, *directories_below(directory)]) as watch:
        watch.until_true(condition)
