"""The RAM actions that we name are those of the operations that we use: in the policy, the manual and the README."""
import json
import re

from parts.harness import ROOT


def used_operations():
    """Of kmsapi's functions those that the filesystem calls, by KMS's own name."""
    source = (ROOT / "kmsapi/kms.c").read_text()
    names = set(re.findall(r'"((?:Create|Delete|Describe|Get|List)[A-Za-z]*(?:Keys?|Points?))"', source))
    called = {call for path in (ROOT / "fs").rglob("*.c") for call in re.findall(r"\bkms_((?:create|delete|describe|get|list)_[a-z_]+)\(",
                                                                            path.read_text())}
    used = {name for name in names if re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower() in called}
    assert len(used) == len(called) == 6  # each call has its name
    return {f"kms:{name}" for name in used}


def test_the_example_policy_permits_what_is_used_and_nothing_else():
    policy = json.loads((ROOT / "examples/ram-policy.json").read_text())
    assert policy["Version"] == "1"
    actions = [action for statement in policy["Statement"] for action in statement["Action"]]
    assert len(actions) == len(set(actions)) and set(actions) == used_operations()
    assert all(statement["Effect"] == "Allow" and statement["Resource"] for statement in policy["Statement"])


def test_the_manual_names_the_same():
    manual = (ROOT / "man/aapfs.7.in").read_text()
    section = manual.split(".Sh PERMISSIONS")[1].split("\n.Sh ")[0]
    assert set(re.findall(r"kms:[A-Za-z]+", section)) == used_operations()
    assert set(re.findall(r"kms:[A-Za-z]+", (ROOT / "README.md").read_text())) == used_operations()
