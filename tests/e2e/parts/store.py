"""The state directory of a mount."""
import contextlib
import hashlib
import os
import subprocess

from parts.kms import ACCOUNT


def store_of(mount):
    return mount.state / f"cn-hangzhou-{ACCOUNT}"


def stored(directory):
    """What lies in an AAP's directory of the store, without the note of who was told."""
    return sorted(name for name in os.listdir(directory) if not name.startswith(".told"))


def intents_of(mount):
    return [name for name in os.listdir(store_of(mount)) if name.startswith((".intent-", ".room-"))]


def disk(mount):
    """The state directory to the last byte."""
    seen = {str(mount.state_key): mount.state_key.read_bytes() if mount.state_key.exists() else None}
    for path in [mount.state, *mount.state.rglob("*")]:
        attributes = path.stat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        seen[str(path)] = (content, attributes.st_mode, attributes.st_mtime_ns, attributes.st_ino)
    return seen


@contextlib.contextmanager
def tmpfs(path, size):
    """A disk of SIZE, and a function that gives it another size."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode=0700,size={size}", "state", path], check=True)
    try:
        yield lambda other: subprocess.run(["mount", "-o", f"remount,size={other}", path], check=True)
    finally:
        subprocess.run(["umount", "-l", path], check=True)
