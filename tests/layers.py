#!/usr/bin/python3
"""Imports run downwards only, and the folders are what the README says: layers.py ROOT."""
import pathlib
import re
import sys

# each room, and those below it, or single headers of one, that it may use
BELOW = {
    "kmsapi/credentials": ["kmsapi"],
    "kmsapi": ["kmsapi/credentials/credentials.h"],  # what they are, and not where from
    "kmsapi/emulator": ["kmsapi"],
    "fs/keys": ["fs", "kmsapi", "kmsapi/credentials"],
    "fs/tree": ["fs/keys", "fs", "kmsapi"],
    "fs/mount": ["fs/tree", "fs/keys", "fs", "kmsapi", "kmsapi/credentials"],
    "fs/volumes": ["fs/mount", "fs/keys", "fs", "kmsapi"],
    "fs/commands": ["fs/mount", "fs/tree", "fs/keys", "fs", "kmsapi", "kmsapi/credentials"],
    "fs": ["kmsapi", "kmsapi/credentials/source.h"],  # which names are providers
}
root = pathlib.Path(sys.argv[1])
wrong = []
for top in ("kmsapi", "fs"):
    for path in sorted((root / top).rglob("*.[ch]")):
        name = path.relative_to(root)
        room = str(name.parent)
        if room not in BELOW:
            wrong.append(f"{name}: {room} is no room")
            continue
        below = BELOW[room] + (["fs/commands"] if str(name) == "fs/main.c" else [])
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = re.match(r'#include "((.*)/[^/]*)"', line)
            if found and found[2] != room and found[2] not in below and found[1] not in below:
                wrong.append(f"{name}:{number}: {room} may not use {found[1]}")
            if re.match(r'#include "[^/]*"', line):
                wrong.append(f"{name}:{number}: includes are from the top folder")
        if name.suffix == ".h" and not path.read_text().startswith("/*"):
            wrong.append(f"{name}: a header opens with what it is for")
print("\n".join(wrong))
sys.exit(bool(wrong))
