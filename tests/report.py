#!/usr/bin/python3
"""What the tests of some build folders took: time a group, and the 20 slowest."""
import json
import pathlib
import sys
import xml.etree.ElementTree

tests = []  # (group, name, seconds)
failed = skipped = 0
for folder in map(pathlib.Path, sys.argv[1:]):
    for line in (folder / "meson-logs/testlog.json").read_text().splitlines():
        result = json.loads(line)
        name = result["name"].split(" / ")[-1]
        if not name.startswith("e2e_"):
            tests.append((f"{folder.name} unit", name, result["duration"]))
            failed += result["result"] not in ("OK", "SKIP")
            skipped += result["result"] == "SKIP"
    for file in sorted((folder / "test-results").glob("*.xml")):
        for case in xml.etree.ElementTree.parse(file).iter("testcase"):
            group = f"{folder.name} {case.get('classname').split('.')[-1]}"
            tests.append((group, case.get("name"), float(case.get("time"))))
            failed += case.find("failure") is not None or case.find("error") is not None
            skipped += case.find("skipped") is not None

groups = {}
for group, _, seconds in tests:
    count, total = groups.get(group, (0, 0))
    groups[group] = count + 1, total + seconds
print("seconds  tests  group")
for group, (count, total) in groups.items():
    print(f"{total:7.1f}  {count:5}  {group}")
print("\nthe 20 slowest\nseconds  test")
for group, name, seconds in sorted(tests, key=lambda test: -test[2])[:20]:
    print(f"{seconds:7.1f}  {group}: {name}")
print(f"\n{len(tests) - failed - skipped} passed, {failed} failed, {skipped} skipped")
