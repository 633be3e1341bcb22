"""What programs know a file by: st_ino, and file handles."""
import ctypes
import errno
import json
import os
import re
import struct
import subprocess

import pytest

from parts.harness import PASSWORD
from parts.log import KILLED

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100


class Handle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("data", ctypes.c_ubyte * 128)]


def handle_of(path):
    handle, mount_id = Handle(bytes=128), ctypes.c_int()
    if LIBC.name_to_handle_at(AT_FDCWD, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount_id), 0) < 0:
        raise OSError(ctypes.get_errno(), "name_to_handle_at", str(path))
    return handle


def open_handle(mount, handle, flags=os.O_RDONLY):
    directory = os.open(mount.path, os.O_RDONLY)
    try:
        descriptor = LIBC.open_by_handle_at(directory, ctypes.byref(handle), flags)
    finally:
        os.close(directory)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "open_by_handle_at")
    return descriptor


def path_of(mount, handle):
    descriptor = open_handle(mount, handle, os.O_PATH)
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def with_number(handle, change):
    """The handle of the same file of another AAP or key: its number is the lowest part of the node id."""
    words = list(struct.unpack("III", bytes(handle.data[:12])))
    words[1] = words[1] >> 26 << 26 | change(words[1] & (1 << 26) - 1)
    made = Handle(bytes=handle.bytes, type=handle.type)
    made.data[:12] = struct.pack("III", *words)
    return made


@pytest.mark.core
def test_a_handle_of_another_mount_is_stale(mount, emulator, remount):
    """Else who has one of payments/control would write its password into orders/control."""
    mount.write("payments", PASSWORD)
    names = ["payments/control", "payments", "payments/keys", "payments/client_key.json", "payments/current",
             f"payments/keys/{mount.key_id()}", f"payments/keys/{mount.key_id()}/client_key_id", ".aapfs", ".aapfs/control"]
    handles = {name: handle_of(mount / name) for name in names}
    for name, handle in handles.items():
        assert path_of(mount, handle) == str(mount / name)
    second = remount(mount, emulator.url)
    for known in (False, True):  # to the kernel
        for name, handle in handles.items():
            with pytest.raises(OSError) as raised:
                path_of(second, handle)
            assert raised.value.errno == errno.ESTALE, (name, known)
        subprocess.run(["ls", "-lR", second.path], check=True, stdout=subprocess.DEVNULL)


def test_a_handle_works_when_the_kernel_has_dropped_the_file(mount):
    """It never had these: nobody has looked at the second key's own files, nor at the other AAP's control."""
    mount.write("payments", PASSWORD)
    first = mount.key_id()
    mount.write("payments", PASSWORD)
    ids = [first, mount.key_id()]
    for name in ("client_key.json", "certificate.pem", "client_key_id"):
        first, second = (mount / "payments/keys" / key_id / name for key_id in ids)
        descriptor = open_handle(mount, with_number(handle_of(first), lambda number: number + 1))
        content, inode = os.read(descriptor, 16384), os.fstat(descriptor).st_ino
        os.close(descriptor)
        assert content == second.read_bytes() != first.read_bytes()
        assert inode == os.stat(second).st_ino
    descriptor = open_handle(mount, with_number(handle_of(mount / "payments/control"), lambda number: 3 - number), os.O_WRONLY)
    os.write(descriptor, PASSWORD.encode() + b"\n")
    os.close(descriptor)
    assert mount.key_id("orders")
    # of what was never there
    for name in ("payments/client_key.json", "payments/control", "payments/keys"):
        with pytest.raises(OSError) as raised:
            open_handle(mount, with_number(handle_of(mount / name), lambda number: number + 1000))
        assert raised.value.errno == errno.ESTALE


def inodes(mount):
    """Path and (st_ino, d_ino) of everything that is there."""
    found = {str(mount.path): (os.stat(mount.path).st_ino,) * 2}
    for directory, _, _ in os.walk(mount.path):
        with os.scandir(directory) as entries:
            for entry in entries:
                found[entry.path] = os.lstat(entry.path).st_ino, entry.inode()
    return found


@pytest.mark.core
def test_every_inode_number_is_its_own(start_mount, emulator):
    """Also as a double, as Node.js has it, and in 32 bits; d_ino is st_ino; and a rotation makes others."""
    lines = re.compile(rf"aapfs: audit: .*\n|{KILLED.pattern}")
    mount = start_mount(emulator.url, settings_of_mount="audit = yes", expected_errors=lines)
    held, seen = [], {}
    for rotation in range(4):
        for aap in ("payments", "orders"):
            mount.write(aap, PASSWORD)
        for name in ("client_key.json", "client_key_id", "status"):
            held.append(os.open(mount / "payments" / name, os.O_RDONLY))
        if rotation == 2:
            os.kill(mount.children()["aapfs-worker"], 9)
        now = inodes(mount)
        for path, (st_ino, d_ino) in now.items():
            assert d_ino == st_ino or os.path.basename(path) in ("status", "last_error", "metrics.prom", "audit"), path
        before, seen = seen, {path: st_ino for path, (st_ino, _) in now.items()}
        for path in set(before) & set(seen):
            name = path.removeprefix(f"{mount.path}/")
            if name.startswith(".aapfs/") or name.endswith(("status", "last_error")):
                continue  # others when their content is another
            published = name.count("/") == 1 and os.path.basename(name) not in ("control", "keys")
            assert (before[path] != seen[path]) == published, path
    numbers = [os.fstat(descriptor).st_ino for descriptor in held]
    latest = {os.stat(mount / "payments" / name).st_ino for name in ("client_key.json", "client_key_id", "status")}
    numbers = [number for number in numbers if number not in latest]  # the last rotation's are still shown
    for descriptor in held:
        os.close(descriptor)
    numbers += seen.values()
    assert len(set(numbers)) == len(numbers)
    assert len({float(number) for number in numbers}) == len(numbers)
    assert all(0 < number < 2**32 for number in numbers)
    assert [json.loads(json.dumps(float(number))) for number in numbers] == numbers
