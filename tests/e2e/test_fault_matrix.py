"""
Faults before, during and after the work of each operation, on one mount: the errno, readers who never wait, and nothing
that KMS has and the mount does not know. The table of results is written to test-results/fault-matrix.md in the build
folder, that of the sample beside it.
"""
import concurrent.futures
import errno
import itertools
import json
import os
import threading
import time

import pytest

from parts.harness import BUILD, PASSWORD
from parts.kms import adoption, ask, make_key

OPERATIONS = {  # what is written, by the operation that it asks KMS for
    "create": "CreateClientKey", "rotate": "CreateClientKey", "delete": "DeleteClientKey", "adopt": "GetClientKey",
    "sync": "ListApplicationAccessPoints",
}
CHANGES_AND_READS = ("create", "rotate", "delete", "adopt", "sync")
CREATIONS = ("create", "rotate")
FAULTS = [  # (when, fault, errno, operations)
    ("before", "silent", "ETIMEDOUT", CHANGES_AND_READS),
    ("before", "reset-before", "ECONNRESET", CHANGES_AND_READS),
    ("during", "delay=2300", "ETIMEDOUT", CHANGES_AND_READS),
    ("during", "late=2300", "ETIMEDOUT", CHANGES_AND_READS),
    ("after", "reset-after", "ECONNRESET", CHANGES_AND_READS),
    ("after", "truncate", "ECONNRESET", CHANGES_AND_READS),
    ("after", "garbage", "EIO", CHANGES_AND_READS),
    ("after", "huge", "EIO", CHANGES_AND_READS),
    ("after", "wrong-types", "EKEYREJECTED", CREATIONS),
    ("after", "wrong-types", "EIO", ("adopt", "sync")),
    ("after", "missing-id", "EKEYREJECTED", CREATIONS),
    ("after", "wrong-password", "EKEYREJECTED", CREATIONS),
    ("after", "other-certificate", "EKEYREJECTED", CREATIONS),
    ("after", "short-page", "EIO", ("sync",)),
    ("after", "empty-list", "0", ("sync",)),
    ("before", "denied", "EACCES", CHANGES_AND_READS),
    ("before", "signature", "EACCES", CHANGES_AND_READS),
    ("before", "expired-clock", "EIO", CHANGES_AND_READS),
    ("before", "internal", "EIO", CHANGES_AND_READS),
    ("before", "unavailable", "EAGAIN", CHANGES_AND_READS),
    ("before", "throttle", "EAGAIN", CHANGES_AND_READS),
]
SAMPLE = {"garbage", "wrong-password", "unavailable"}  # none that is told for 5 s afterwards
STALL_MOST = 2  # seconds that a read may take here, on a machine that does much else


class Reader(threading.Thread):
    """Reads a key and lists directories, all the time."""

    def __init__(self, mount):
        super().__init__()
        self.mount, self.wrong, self.longest, self.reads = mount, [], 0, 0
        self.ended = threading.Event()

    def run(self):
        key = self.mount.read("served", "client_key.json")
        while not self.ended.wait(0.005):
            began = time.monotonic()
            try:
                if self.mount.read("served", "client_key.json") != key:
                    self.wrong.append("another key")
                os.listdir(self.mount / "served/keys")
                os.listdir(self.mount.path)
                self.mount.status("served")
            except OSError as error:
                self.wrong.append(str(error))
            self.longest = max(self.longest, time.monotonic() - began)
            self.reads += 1

    def stop(self):
        self.ended.set()
        self.join(30)
        assert not self.is_alive(), "a reader hangs"


class Matrix:
    def __init__(self, start_emulator, start_mount, faults):
        self.faults = faults
        self.cells = [(when, fault, expected, operation) for when, fault, expected, operations in faults
                      for operation in operations]
        self.aaps = {(fault, operation): f"{fault.replace('=', '.')}-{operation}"
                     for _, fault, _, operation in self.cells if operation != "sync"}
        self.emulator = start_emulator(aaps=["served", *self.aaps.values()])
        self.mount = start_mount(self.emulator.url, request_timeout="2s", settings="requests_per_second = 1000")
        self.expected = {(fault, operation): number for _, fault, number, operation in self.cells}
        self.adopted, self.results, self.failures = {}, {}, {}
        self.pool = concurrent.futures.ThreadPoolExecutor(8)

    def prepare(self, cell):
        aap = self.aaps[cell]
        for _ in range({"rotate": 1, "delete": 2}.get(cell[1], 0)):
            self.mount.write(aap, PASSWORD)
        if cell[1] == "adopt":
            self.adopted[aap] = adoption(make_key(self.emulator, aap))

    def command(self, operation, aap):
        if operation == "delete":
            return f"delete {self.mount.status(aap)['Superseded'][0]}"
        return {"adopt": self.adopted.get(aap), "sync": "sync"}.get(operation, PASSWORD)

    def write(self, fault, operation):
        aap = self.aaps.get((fault, operation), ".aapfs")
        try:
            self.mount.write(aap, self.command(operation, aap))
            return "0"
        except OSError as error:
            self.failures.setdefault((fault, operation), self.mount.last_error(aap))
            return errno.errorcode[error.errno]

    def run_fault(self, fault, operations):
        self.emulator.set_faults(*{f"{OPERATIONS[operation]} {fault}" for operation in operations})
        if "sync" in operations:  # first: it asks for single keys as well
            self.results[fault, "sync"] = self.write(fault, "sync")
            end = time.monotonic() + 20
            while self.results[fault, "sync"] == "ETIMEDOUT" != self.expected[fault, "sync"] and time.monotonic() < end:
                self.results[fault, "sync"] = self.write(fault, "sync")  # that one joined a sync that went on already
        others = [operation for operation in operations if operation != "sync"]
        for operation, result in zip(others, self.pool.map(lambda operation: self.write(fault, operation), others)):
            self.results[fault, operation] = result

    def recover(self, cell):
        """The next write does what it says, once what still runs has ended."""
        fault, operation = cell
        aap = self.aaps[cell]
        until = time.monotonic() + 20
        while True:
            if operation == "delete" and not self.mount.status(aap)["Superseded"]:
                return
            before = self.mount.status(aap)["ClientKeyId"]
            if operation == "adopt" and before:
                return
            result = self.write(fault, operation)
            if result == "0":
                break
            # EBUSY: it runs in the background; EAGAIN: throttled the last; the errno before: told for 5 s to whoever waited
            assert result in ("EBUSY", "EAGAIN", self.results[cell]) and time.monotonic() < until, (cell, result)
            time.sleep(0.05)
        if operation in CREATIONS:
            assert self.mount.status(aap)["ClientKeyId"] != before

    def compare(self, aap):
        """What is wrong: KMS's keys are those that the mount knows, each as one thing."""
        listed = ask(self.emulator, "ListClientKeys", ("AapName", aap))["ClientKeys"]
        status = self.mount.status(aap)
        known = [status["ClientKeyId"], *(name for part in ("Superseded", "Rejected", "Orphans") for name in status[part])]
        wrong = []
        if sorted(known) != sorted(key["ClientKeyId"] for key in listed):
            wrong.append(f"{aap}: {known} here, {[key['ClientKeyId'] for key in listed]} in KMS")
        shown = {status["ClientKeyId"], *status["Superseded"]}
        if not shown <= set(os.listdir(self.mount / aap / "keys")):
            wrong.append(f"{aap}: keys/ lacks some of {shown}")
        for part in ("Foreign", "Candidates", "Unsaved"):
            if status[part]:
                wrong.append(f"{aap}: {part} {status[part]}")
        if json.loads(self.mount.read(aap, "client_key.json"))["KeyId"] != status["ClientKeyId"]:
            wrong.append(f"{aap}: client_key.json is not the current key")
        return wrong

    def row(self, cell):
        when, fault, _, operation = cell
        aap = self.aaps.get((fault, operation))
        found = ""
        if aap:
            status = self.mount.status(aap)
            found = ", ".join(["current"] + [f"{len(status[part])} {part}" for part in ("Superseded", "Rejected", "Orphans")
                                             if status[part]])
        return f"| {when} | {fault} | {operation} | {self.results[fault, operation]} | {found or 'nothing changed'} |"

    def write_table(self, reader, name):
        path = BUILD / "test-results" / name
        path.parent.mkdir(exist_ok=True)
        head = ["| when | fault | written | errno | known afterwards, as in KMS |", "|---|---|---|---|---|"]
        end = ["", f"{reader.reads} times a reader read and listed meanwhile; the longest took {reader.longest * 1000:.0f} ms."]
        path.write_text("\n".join([*head, *map(self.row, self.cells), *end, ""]))

    def run_all(self, table):
        self.mount.write("served", PASSWORD)
        list(self.pool.map(self.prepare, self.aaps))
        names = set(os.listdir(self.mount.path))
        reader = Reader(self.mount)
        reader.start()
        try:
            for _, fault, _, operations in self.faults:
                self.run_fault(fault, operations)
            self.emulator.set_faults()
            list(self.pool.map(self.recover, self.aaps))
            self.mount.sync()
        finally:
            reader.stop()
        wrong = {cell: (self.results[cell], self.failures.get(cell)) for cell in self.expected
                 if self.results[cell] != self.expected[cell]}
        assert not wrong
        assert set(os.listdir(self.mount.path)) == names
        wrong = list(itertools.chain(*map(self.compare, self.aaps.values())))
        assert not wrong
        assert not reader.wrong
        assert reader.longest < STALL_MOST
        self.write_table(reader, table)


@pytest.mark.full
def test_a_sample_of_the_faults(start_emulator, start_mount):
    Matrix(start_emulator, start_mount, [one for one in FAULTS if one[1] in SAMPLE]).run_all("fault-matrix-sample.md")


@pytest.mark.full
def test_every_fault(start_emulator, start_mount):
    Matrix(start_emulator, start_mount, FAULTS).run_all("fault-matrix.md")
