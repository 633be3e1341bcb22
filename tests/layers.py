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
KMSAPI = ["kmsapi", "kmsapi/base"]
BELOW = {
    "kmsapi/base": ["kmsapi/cleanup.h"],
    "kmsapi/credentials": KMSAPI,
    "kmsapi": ["kmsapi/base", "kmsapi/credentials/credentials.h"],  # what they are, and not where from
    "kmsapi/emulator": KMSAPI,
    "fs/config": KMSAPI + ["kmsapi/credentials/source.h"],  # which names are providers
    "fs/runner": KMSAPI + ["kmsapi/credentials"],
    "fs/worker": KMSAPI + ["kmsapi/credentials"],
    "fs/supervisor": KMSAPI + ["kmsapi/credentials"],
    "fs/commands": KMSAPI + ["kmsapi/credentials"],
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
    return BELOW.get(room, KMSAPI) + ([room] + ROOMS[:ROOMS.index(room)] if room in ROOMS else [room])


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

# -- calls between the files of a room go one way, too

DEFINED = re.compile(r"^(?!static\b|typedef\b|enum\b)[a-z][\w \*]*?\**\b(\w+)\([^;{}]*\)[^;{}()]*\{", re.M)


def without_comments(path):
    return re.sub(r"/\*.*?\*/|\"(?:[^\"\\\n]|\\.)*\"", "", path.read_text(), flags=re.S)


def circles(calls):
    """Files that call each other, each circle once: what is left when who calls, or is called by, nobody left is taken away."""
    left = {caller: set(called) for caller, called in calls.items()}
    while True:
        ends = {name for name in left if not left[name] & set(left)}
        ends |= set(left) - set().union(*left.values(), set())
        if not ends:
            return sorted(left)
        for name in ends:
            del left[name]


rooms = {}
for top in ("kmsapi", "fs"):
    for path in sorted((root / top).rglob("*.c")):
        rooms.setdefault(room_of(path.relative_to(root)), {})[str(path.relative_to(root))] = without_comments(path)
for room, files in rooms.items():
    homes = {name: home for home, text in files.items() for name in DEFINED.findall(text) if name != "main"}
    calls = {}
    for home, text in files.items():
        own = set(re.findall(r"^static [^;{}()]*?\b(\w+)\(", text, re.M))
        calls[home] = {homes[word] for word in set(re.findall(r"\b\w+\b", text)) - own if word in homes} - {home}
    if circle := circles(calls):
        wrong.append(f"{room}: these call each other in a circle: {', '.join(circle)}")

print("\n".join(wrong))
sys.exit(bool(wrong))
