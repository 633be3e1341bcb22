#!/usr/bin/python3
"""Imports and calls run downwards only, the folders are what the README says, and no test uses another: layers.py ROOT.

tests/e2e/test_layers.py breaks each rule on purpose."""
import pathlib
import re
import sys

# the rooms of fs/, from the bottom up: a room may use those before it
ROOMS = ["fs/base", "fs/config", "fs/model", "fs/store", "fs/engine", "fs/etcd", "fs/fleet", "fs/applications", "fs/sync", "fs/keys", "fs/upkeep",
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
FILE_LINES_MOST, FUNCTION_LINES_MOST = 500, 70

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
        lines, begin = path.read_text().splitlines(), 1
        if len(lines) > FILE_LINES_MOST:
            wrong.append(f"{name}: {len(lines)} lines; a file has {FILE_LINES_MOST} at the most")
        for number, line in enumerate(lines, 1):
            if line == "{":
                begin = number
            if line == "}" and number - begin >= FUNCTION_LINES_MOST:
                wrong.append(f"{name}:{begin}: a function of {number - begin + 1} lines; {FUNCTION_LINES_MOST} are the most")
            found = re.match(r'#include "([^"]*/[^"]*)"', line)
            if found:
                used = room_of(pathlib.PurePath(found[1]))
                if used not in below(room) and found[1] not in below(room):
                    wrong.append(f"{name}:{number}: {room} may not use {used}")
            if re.match(r'#include "[^/]*"', line):
                wrong.append(f"{name}:{number}: includes are from the top folder")
        if name.suffix == ".h" and not path.read_text().startswith("/*"):
            wrong.append(f"{name}: a header opens with what it is for")

# -- a header declares the functions of its own file, all of them and no other's; so what runs upwards would show as a header

SIGNATURE = r"^(?!static\b|typedef\b)[a-z][\w \*]*?\**\b(\w+)\([^;{}]*\)[^;{}()]*"
DEFINED, DECLARED = re.compile(SIGNATURE + r"\{", re.M), re.compile(SIGNATURE + ";", re.M)
# what a table calls is no interface of its file but an entry of the table, and declared by the type that all of them have:
# main's sub-commands, the providers of credentials, the looks of aapfs check
TYPE, ENTRIES = re.compile(r"^typedef [\w \*]*?\b(\w+)\(", re.M), re.compile(r"^(\w+) (\w+(?:,\s+\w+)*);", re.M)


def without_comments(path):
    return re.sub(r"/\*.*?\*/|\"(?:[^\"\\\n]|\\.)*\"", "", path.read_text(), flags=re.S)


texts = {path.relative_to(root): without_comments(path)
         for top in ("kmsapi", "fs") for path in sorted((root / top).rglob("*.[ch]"))}
types = {name for text in texts.values() for name in TYPE.findall(text)}
defined = {name: set(DEFINED.findall(text)) - {"main"} for name, text in texts.items() if name.suffix == ".c"}
declared = {name: set(DECLARED.findall(text)) for name, text in texts.items() if name.suffix == ".h"}
entries = {name: {entry for kind, names in ENTRIES.findall(text) if kind in types for entry in re.split(r",\s+", names)}
           for name, text in texts.items() if name.suffix == ".h"}
own = {name: set(re.findall(r"^static [^;{}()]*?\b(\w+)\(", text, re.M)) for name, text in texts.items()}
homes = {}
for name, functions in defined.items():
    for function in functions:
        homes.setdefault(function, set()).add(name)

for name, functions in declared.items():
    for function in sorted(functions - defined.get(name.with_suffix(".c"), set())):
        wrong.append(f"{name}: {function} is not of its own file")
    for function in sorted(entries[name]):
        if not any(name.parent in home.parents for home in homes.get(function, ())):
            wrong.append(f"{name}: {function} is of no file here or below")
for name, functions in defined.items():
    header = name.with_suffix(".h")
    for function in sorted(functions - declared.get(header, set()) - set().union(*entries.values())):
        wrong.append(f"{name}: {function} is not in {header}")
    if re.search(r"^\s*extern\b", texts[name], re.M) or DECLARED.search(texts[name]):
        wrong.append(f"{name}: it declares what a header should")
for name, text in texts.items():
    allowed = below(room_of(name)) if room_of(name) in ROOMS or room_of(name) in BELOW else []
    for word in sorted(set(re.findall(r"(?<![.>\w])(?<!\(\*)\w+", text)) - own[name]):
        if word in homes and not any(room_of(home) in allowed or str(home.with_suffix(".h")) in allowed for home in homes[word]):
            wrong.append(f"{name}: {room_of(name)} may not use {word}")

# -- a room is neither a cupboard nor a hall

for folder in {name.parent for name in defined} - {pathlib.PurePath("fs")}:
    count = sum(name.parent == folder for name in defined)
    if not 3 <= count <= 14:
        wrong.append(f"{folder}: {count} .c files; a room has 3 to 14")

# -- calls between the files of a room go one way, too

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


for room in sorted({room_of(name) for name in defined}):
    files = [name for name in defined if room_of(name) == room]
    here = {function: name for name in files for function in defined[name]}
    calls = {}
    for name in files:
        calls[name] = {here[word] for word in set(re.findall(r"\w+", texts[name])) - own[name] if word in here} - {name}
    if circle := circles(calls):
        wrong.append(f"{room}: these call each other in a circle: {', '.join(map(str, circle))}")

# -- what tests share has a place of its own

tests = root / "tests/e2e"
for path in sorted([*tests.glob("*.py"), *tests.glob("parts/*.py"), *tests.glob("inside/*.py")]):
    name, text = path.relative_to(root), path.read_text()
    part = path.parent.name == "parts"
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r"\s*(from|import) (test_|conftest\b)", line):
            wrong.append(f"{name}:{number}: a {'part' if part else 'test'} may not use a test: what both need belongs in tests/e2e/parts")
    if part and not text.startswith('"""'):
        wrong.append(f"{name}: a part opens with what it is for")
    if path.parent == tests and not path.name.startswith("test_") and path.name not in ("conftest.py", "run.py"):
        wrong.append(f"{name}: no test: it belongs in tests/e2e/parts, or in tests/e2e/inside")

print("\n".join(wrong))
sys.exit(bool(wrong))
