#!/usr/bin/python3
"""What the tests of some build folders took: time a group, the 20 slowest, and with their reasons those that failed."""
import json
import pathlib
import sys
import xml.etree.ElementTree

tests = []  # (group, name, seconds)
failed = []  # (group, name, the reason in a line)
skipped = 0
for folder in map(pathlib.Path, sys.argv[1:]):
    for line in (folder / "meson-logs/testlog.json").read_text().splitlines():
        result = json.loads(line)
        name = result["name"].split(" / ")[-1]
        if not name.startswith("e2e_"):
            tests.append((f"{folder.name} unit", name, result["duration"]))
            if result["result"] not in ("OK", "SKIP"):
                failed.append((f"{folder.name} unit", name, result["result"]))
            skipped += result["result"] == "SKIP"
    for file in sorted((folder / "test-results").glob("*.xml")):
        for case in xml.etree.ElementTree.parse(file).iter("testcase"):
            group = f"{folder.name} {case.get('classname').split('.')[-1]}"
            tests.append((group, case.get("name"), float(case.get("time"))))
            fault = next((case.find(kind) for kind in ("failure", "error") if case.find(kind) is not None), None)
            if fault is not None:
                reason = (fault.get("message") or "").strip().splitlines()
                failed.append((group, case.get("name"), reason[0][:300] if reason else ""))
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
if failed:
    print("\nfailed")
for group, name, reason in failed:
    print(f"{group}: {name}: {reason}")
print(f"\n{len(tests) - len(failed) - skipped} passed, {len(failed)} failed, {skipped} skipped")
