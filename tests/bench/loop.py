#!/usr/bin/python3
"""
What the worker's loop costs with 10,000 AAPs of 3 client keys each, beside what it costs with 10: the CPU of all its threads,
for a command that is refused, a deletion, a rotation, for each rotation of a tenth of all AAPs that are due in the same
second (beside 10 of 10), for a listing of everything, and while nothing happens. KMS is the emulator, with KMS's quota, and a
process of its own; requests_per_second is 1000, settle 1 s, so that what follows a rotation is in its figure; what is spent
while nothing happens is not. The mounts take turns, command by command.

loop.py [--aaps N] [--quick] [--json]: root; after a build. It takes ten minutes, with --quick fewer samples. What is wanted
is said beside what was found, and no exit status depends on it.
"""
import argparse
import collections
import contextlib
import errno
import json
import os
import pathlib
import re
import shutil
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from parts.harness import BUILD, Emulator, Mount, result_of, until
from parts.times import DAY
from prepared import KEYS, Original

FEW, RATIO_WANTED, IDLE_WANTED = 10, 1.15, 0.1
STEP = 280  # seconds: a longer step of KMS's clock is doubted
SETTLE = 1
REST = SETTLE + 2  # seconds after which nothing follows any more
POOL_FILE = BUILD / "test-key-pool.pem"
FREED = re.compile(r"aapfs: \S+: deleted \S+, by max_keys \(made here, superseded\)\n")


def end_process(process):
    """What was not stopped, since something went wrong; a mount goes with its daemon."""
    if process.poll() is None:
        process.terminate()
        process.wait(60)


class Side:
    """
    A mount and its KMS, until the end of STARTED at the latest. AAPS: when the current key of each is due. What was found
    is added up in FOUND.
    """

    def __init__(self, place, original, aaps, found, started):
        place.mkdir()
        state, account, self.keys = original.copy(place, aaps)
        self.aaps, self.found = list(aaps), found
        self.emulator = Emulator(place, "--account-from", account, aaps=aaps, limits=(), pool_file=POOL_FILE)
        started.callback(end_process, self.emulator.process)
        self.mount = Mount(place, self.emulator.url, state=state, state_key=original.state_key, request_timeout="30s",
                           settings="requests_per_second = 1000", settings_of_mount=f"settle = {SETTLE}s",
                           defaults="on_rotate = none", max_keys=KEYS, ready_timeout=600)
        started.callback(end_process, self.mount.process)
        self.worker = self.mount.children()["aapfs-worker"]
        until(lambda: self.emulator.count("ListClientKeys") >= len(aaps), 600)
        self.rest()
        self.start_seconds = self.cpu() / 1e9
        assert self.mount.status()["Aaps"] == {"active": len(aaps)}

    def cpu(self):
        """Of all threads of the worker, those that have ended too: CPUCLOCK_SCHED of its process, in nanoseconds."""
        return time.clock_gettime_ns(~self.worker << 3 | 2)

    def rest(self):
        """Until it has nothing to do: less than half a percent."""
        while True:
            before = self.cpu()
            time.sleep(REST)
            if self.cpu() - before < REST * 5e6:
                return

    def requests(self):
        """What was asked so far, of the mount by the kernel and of KMS by the mount."""
        kernel = sum(self.mount.status()["Requests"].values())
        return collections.Counter({"Kernel": kernel, **self.emulator.counts()})

    def begin(self):
        self.asked = self.requests()
        self.begun, self.begun_at = self.cpu(), time.monotonic_ns()

    def end(self, what, count):
        """COUNT times WHAT were done since begin(): microseconds for each, without what is spent anyway, and requests."""
        spent, seconds = self.cpu() - self.begun, (time.monotonic_ns() - self.begun_at) / 1e9
        if "idle" in self.found:
            spent -= seconds * self.found["idle"]["Microseconds"][0] * 1000
        found = self.found.setdefault(what, {"Microseconds": [], "Count": 0, "Requests": collections.Counter()})
        found["Microseconds"].append(spent / count / 1000)
        found["Count"] += count
        found["Requests"] += self.requests() - self.asked

    def go_to(self, moment):
        """By KMS's clock, in steps that the mount believes at once; each is told with an answer."""
        while (now := self.emulator.now()) < moment:
            self.emulator.move_clock(self.emulator.shift + min(STEP, moment - now))
            assert result_of(self.mount, f"forget {self.aaps[0]}", ".aapfs") == errno.EBUSY  # KMS has it

    def refuse(self, aap):
        assert result_of(self.mount, "delete KAAP.unknown", aap) == errno.ENOENT

    def delete(self, aap):
        assert result_of(self.mount, f"delete {self.keys[aap].pop(0)}", aap) == 0

    def rotate(self, aap):
        assert result_of(self.mount, "rotate", aap) == 0

    def look(self, aaps):
        """After a rotation of each."""
        for aap in aaps:
            new = self.mount.key_id(aap)
            assert new not in self.keys[aap], aap
            self.keys[aap].append(new)

    def rotate_at_once(self, due, aaps):
        """What comes when the current keys of AAPS are due in the same second."""
        assert self.emulator.now() < due - 5
        self.go_to(due - 5)
        made = self.emulator.count("CreateClientKey") + len(aaps)
        self.begin()
        until(lambda: self.emulator.count("CreateClientKey") == made, 600)
        seconds = self.emulator.now() - due
        time.sleep(REST)
        self.end("rotate_at_once", len(aaps))
        self.found["rotate_at_once"].setdefault("Seconds", []).append(seconds)
        self.look(aaps)

    def stop(self):
        assert self.mount.children()["aapfs-worker"] == self.worker
        self.mount.stop(FREED)
        self.emulator.stop()


def take_turns(sides, commands, size):
    """SIZE times on each side, AAP for AAP; a line of COMMANDS after the other."""
    aaps = [[side.free[i % len(side.free)] for i in range(size)] for side in sides]
    for side in sides:
        side.free = side.free[size:] + side.free[:size]
    for command in commands:
        for side in sides:
            side.begin()
        for turn in zip(*aaps):
            for side, aap in zip(sides, turn):
                getattr(side, command)(aap)
        time.sleep(0.2 if command == "refuse" else REST)
        for side in sides:
            side.end(command, size)
    for side, chosen in zip(sides, aaps):
        side.look(chosen)


def idle(sides, seconds):
    for side in sides:
        side.begin()
    time.sleep(seconds)
    for side in sides:
        side.end("idle", seconds)


def sync(side):
    """One listing of the AAPs, and of the keys of each."""
    listed = side.emulator.count("ListClientKeys") + len(side.aaps)
    side.begin()
    assert result_of(side.mount, "sync", ".aapfs") in (0, errno.ETIMEDOUT)  # it goes on
    until(lambda: side.emulator.count("ListClientKeys") >= listed, 600)
    time.sleep(REST)
    side.end("sync", 1)


def measure(place, count, quick, started):
    """What was found with FEW AAPs, and with COUNT."""
    rounds, batches = (1, 2) if quick else (3, 10)
    due_at_once = max(count // 10, 1)
    original = Original(place / "original", POOL_FILE)
    now = int(time.time())
    dues = [now + (i + 1) * 3600 for i in range(rounds)]
    few, many = {}, {}

    def aaps(count, due):
        return {f"aap-{i:05}": due(i) for i in range(count)}

    def due(i):
        return dues[i // due_at_once] if i < rounds * due_at_once else now + 30 * DAY + i

    sides = [Side(place / "few", original, aaps(FEW, lambda i: now + 30 * DAY + i), few, started),
             Side(place / "many", original, aaps(count, due), many, started)]
    for side, found in zip(sides, (few, many)):
        found["start"] = side.start_seconds
    sides[0].free, sides[1].free = sides[0].aaps, sides[1].aaps[rounds * due_at_once:]
    idle(sides, 6 if quick else 120)
    for side in sides:
        sync(side)
    for _ in range(batches):
        take_turns(sides, ["refuse", "delete", "rotate"], FEW)
    sides[0].stop()
    for i, moment in enumerate(dues):
        alone = Side(place / f"few-{i}", original, aaps(FEW, lambda _: moment), few, started)
        alone.rotate_at_once(moment, alone.aaps)
        alone.stop()
        sides[1].rotate_at_once(moment, sides[1].aaps[i * due_at_once:(i + 1) * due_at_once])
    sides[1].stop()
    return few, many


def report(few, many, count):
    """As JSON: medians, their ratios, and what is wanted of them."""
    figures = {}
    for what in ("refuse", "delete", "rotate", "rotate_at_once"):
        values = [statistics.median(found[what]["Microseconds"]) for found in (few, many)]
        figures[what] = {"Few": values[0], "Many": values[1], "Ratio": values[1] / values[0],
                         "Requests": {name: sum_ / many[what]["Count"] for name, sum_ in sorted(many[what]["Requests"].items())},
                         "Samples": [found[what]["Microseconds"] for found in (few, many)]}
    for what in ("rotate", "rotate_at_once"):
        figures[what].update(Wanted=RATIO_WANTED, Good=figures[what]["Ratio"] <= RATIO_WANTED)
    percent = [found["idle"]["Microseconds"][0] / 1e4 for found in (few, many)]
    listing = [found["sync"]["Microseconds"][0] / 1e6 for found in (few, many)]
    return {"Aaps": count, "Few": FEW, "KeysOfEach": KEYS, "StartSeconds": [few["start"], many["start"]], "Microseconds": figures,
            "DueAtOnce": {"Aaps": many["rotate_at_once"]["Count"] // len(many["rotate_at_once"]["Seconds"]),
                          "Seconds": many["rotate_at_once"]["Seconds"]},
            "IdlePercent": {"Few": percent[0], "Many": percent[1], "Wanted": IDLE_WANTED, "Good": percent[1] < IDLE_WANTED,
                            "Requests": many["idle"]["Requests"]},
            "SyncSeconds": {"Few": listing[0], "Many": listing[1]}}


def tell(found):
    texts = {"refuse": "a command that is refused", "delete": "a deletion", "rotate": "a rotation",
             "rotate_at_once": f"the same, {found['DueAtOnce']['Aaps']} due at once"}

    def verdict(of):
        return f"{of['Wanted']:8} {'yes' if of['Good'] else 'NO':>5}" if "Wanted" in of else ""

    print(f"CPU of the worker, {found['KeysOfEach']} client keys for each AAP; microseconds, medians\n")
    print(f"{'AAPs':32} {found['Few']:>9} {found['Aaps']:>9} {'ratio':>7} {'wanted':>8}   met")
    for what, of in found["Microseconds"].items():
        print(f"{texts[what]:32} {of['Few']:9.0f} {of['Many']:9.0f} {of['Ratio']:7.2f} {verdict(of)}")
    of = found["IdlePercent"]
    print(f"{'while nothing happens, percent':32} {of['Few']:9.4f} {of['Many']:9.4f} {'':7} {verdict(of)}")
    of, start = found["SyncSeconds"], found["StartSeconds"]
    print(f"{'a listing of everything, seconds':32} {of['Few']:9.3f} {of['Many']:9.3f}")
    print(f"{'from the start to rest, seconds':32} {start[0]:9.3f} {start[1]:9.3f}\n")
    for what, of in found["Microseconds"].items():
        print(f"requests, {texts[what]}: " + ", ".join(f"{name} {count:g}" for name, count in of["Requests"].items()))
    if requests := found["IdlePercent"]["Requests"]:
        print("requests while nothing was to happen: " + ", ".join(f"{name} {count}" for name, count in requests.items()))
    print("until all that were due at once had their key: "
          + ", ".join(f"{seconds:.0f} s" for seconds in found["DueAtOnce"]["Seconds"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--aaps", type=int, default=10000, metavar="N", help="20 to 10000")
    parser.add_argument("--quick", action="store_true", help="fewer samples")
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    if not 20 <= words.aaps <= 10000:
        parser.error("--aaps: 20 to 10000")
    if os.geteuid() != 0:
        sys.exit("loop.py: mounting takes root")
    place = pathlib.Path(tempfile.mkdtemp(prefix="aapfs-bench-"))
    with contextlib.ExitStack() as started:
        found = report(*measure(place, words.aaps, words.quick, started), words.aaps)
    if words.json:
        print(json.dumps(found, indent=2))
    else:
        tell(found)
    shutil.rmtree(place)


if __name__ == "__main__":
    main()
