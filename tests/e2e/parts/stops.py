"""A build that stops where a test says, and whose local clock is the test's."""
import os

from parts.harness import WITH_STOPS


def with_stops(stops):
    """The parts of a mount whose processes look into the file STOPS at each place that they pass."""
    return {"binary": WITH_STOPS, "env": {"AAPFS_STOPS": str(stops)}}


def arm(stops, place):
    """Who comes to PLACE is killed there."""
    fresh = stops.with_name("armed")
    fresh.write_text(place + "\n")
    os.replace(fresh, stops)


class Clock:
    """Moved by seconds; PARTS: those of a mount that goes by it."""

    def __init__(self, path):
        self.path, self.parts = path, {"binary": WITH_STOPS, "env": {"AAPFS_CLOCK": str(path)}}
        self(0)

    def __call__(self, seconds):
        fresh = self.path.with_suffix(".new")
        fresh.write_text(str(int(seconds * 1000)))
        os.replace(fresh, self.path)
