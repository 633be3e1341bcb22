"""What a mount shows of an AAP and its keys."""
import os
import pathlib
import threading

# the names that a rotation moves
NAMES = ["current", "client_key.json", "client_key.p12", "private_key_data", "private_key.pem",
         "certificate.pem", "client_key_id", "key_algorithm", "not_before", "not_after"]
PRIVATE = ["client_key.json", "client_key.p12", "private_key_data", "private_key.pem"]
PUBLIC = ["certificate.pem", "client_key_id", "key_algorithm", "not_after", "not_before"]

CHANGING = ("status", "last_error", "control")


def shown(mount):
    """Everything that a reader of the AAPs sees: names, links, bytes and times of keys."""
    seen = {}
    for directory, names, files in os.walk(mount.path):
        place = pathlib.Path(directory).relative_to(mount.path)
        if place.parts[:1] == (".aapfs",):
            continue
        seen[str(place)] = sorted(names) + sorted(files)
        for name in files:
            path = pathlib.Path(directory) / name
            if name not in CHANGING:
                seen[str(place / name)] = (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode)
        for name in names:
            if (pathlib.Path(directory) / name).is_symlink():
                seen[str(place / name)] = os.readlink(pathlib.Path(directory) / name)
    return seen


def listed_keys(mount, aap="payments"):
    return set(os.listdir(mount / aap / "keys"))


def everything_shows(mount, key_id):
    assert mount.key_id() == key_id
    assert os.readlink(mount / "payments/current") == f"keys/{key_id}"
    assert mount.status("payments")["ClientKeyId"] == key_id
    for name in NAMES[1:]:
        own = mount / "payments/keys" / key_id / name
        assert (mount / "payments" / name).read_bytes() == own.read_bytes(), name


class Readers:
    """Threads that read every file with a private half again and again; what they read never changes or fails."""

    def __init__(self, mount, more=(), count=3):
        self.files = {path: path.read_bytes() for path in mount.path.glob("*/*")
                      if path.name in ("client_key.json", "client_key.p12", "private_key.pem", "client_key_id")}
        self.files.update({path: path.read_bytes() for path in mount.path.glob("*/keys/*/client_key.json")})
        self.files.update({path: path.read_bytes() for path in more})
        assert self.files
        self.wrong, self.reads, self.ends = [], 0, threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(count)]

    def run(self):
        while not self.ends.is_set():
            for path, content in self.files.items():
                try:
                    if path.read_bytes() != content:
                        self.wrong.append(path)
                except OSError as error:
                    self.wrong.append((path, error))
                self.reads += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        for thread in self.threads:
            thread.join()
        assert self.wrong == [] and self.reads > 0
