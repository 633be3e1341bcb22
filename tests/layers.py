#!/usr/bin/python3
"""Imports run downwards only, and the folders are what the README says: layers.py ROOT."""
import pathlib
import re
import sys

# the rooms of fs/, from the bottom up: a room may use those before it
ROOMS = ["fs/base", "fs/config", "fs/model", "fs/store", "fs/engine", "fs/applications", "fs/sync", "fs/keys", "fs/upkeep",
         "fs/loop", "fs/tree", "fs/mount", "fs/publisher", "fs/runner", "fs/worker", "fs/supervisor", "fs/volumes",
         "fs/commands"]
# what a room is above beside that, or a single header of it
BELOW = {
    "kmsapi/credentials": ["kmsapi"],
    "kmsapi": ["kmsapi/credentials/credentials.h"],  # what they are, and not where from
    "kmsapi/emulator": ["kmsapi"],
    "fs/config": ["kmsapi", "kmsapi/credentials/source.h"],  # which names are providers
    "fs/runner": ["kmsapi", "kmsapi/credentials"],
    "fs/worker": ["kmsapi", "kmsapi/credentials"],
    "fs/supervisor": ["kmsapi", "kmsapi/credentials"],
    "fs/commands": ["kmsapi", "kmsapi/credentials"],
}
root = pathlib.Path(sys.argv[1])
wrong = []


def room_of(name):
    """Rooms of fs/ are its folders; what lies in fs/ itself belongs to the command line."""
    parts = name.parts
    if parts[0] == "fs":
        return "/".join(parts[:2]) if len(parts) > 2 else "fs/commands"
    return str(name.parent)


def below(room):
    return BELOW.get(room, ["kmsapi"]) + ([room] + ROOMS[:ROOMS.index(room)] if room in ROOMS else [room])


for top in ("kmsapi", "fs"):
    for path in sorted((root / top).rglob("*.[ch]")):
        name = path.relative_to(root)
        room = room_of(name)
        if room not in ROOMS and room not in BELOW:
            wrong.append(f"{name}: {room} is no room")
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = re.match(r'#include "([^"]*/[^"]*)"', line)
            if found:
                used = room_of(pathlib.PurePath(found[1]))
                if used not in below(room) and found[1] not in below(room):
                    wrong.append(f"{name}:{number}: {room} may not use {used}")
            if re.match(r'#include "[^/]*"', line):
                wrong.append(f"{name}:{number}: includes are from the top folder")
        if name.suffix == ".h" and not path.read_text().startswith("/*"):
            wrong.append(f"{name}: a header opens with what it is for")
print("\n".join(wrong))
sys.exit(bool(wrong))
