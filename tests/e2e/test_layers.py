"""tests/layers.py refuses what it says it does: each rule is broken on purpose, in a copy of the sources."""
import shutil
import subprocess
import sys

import pytest

from parts.harness import ROOT

BODY = "{\n    return 0;\n}\n"


def refused(root):
    done = subprocess.run([sys.executable, ROOT / "tests/layers.py", root], capture_output=True, text=True)
    assert done.returncode == bool(done.stdout.strip()), done.stderr
    return done.stdout


@pytest.fixture
def copy(tmp_path):
    for top in ("fs", "kmsapi", "tests/e2e"):
        shutil.copytree(ROOT / top, tmp_path / top, ignore=shutil.ignore_patterns("node_modules"))
    return tmp_path


BROKEN = [
    ("fs/store/store.h", "int state_check(void);\n", "fs/store/store.h: state_check is not of its own file"),
    ("fs/base/nanoseconds.h", "int log_it(void);\n", "fs/base/nanoseconds.h: log_it is not of its own file"),
    ("fs/commands/commands.h", "sub_command command_lost;\n", "fs/commands/commands.h: command_lost is of no file here or below"),
    ("fs/base/log.c", "int stray(void)\n" + BODY, "fs/base/log.c: stray is not in fs/base/log.h"),
    ("fs/base/log.c", "int usage_has(const char *word);\n", "fs/base/log.c: it declares what a header should"),
    ("fs/base/log.c", "extern int counted;\n", "fs/base/log.c: it declares what a header should"),
    ("fs/base/log.c", "static int up(void)\n{\n    extern int loop_stop(void *);\n    return loop_stop(0);\n}\n",
     "fs/base/log.c: fs/base may not use loop_stop"),
    ("fs/engine/pace.c", "static void *up(void)\n{\n    return loop_stop;\n}\n", "fs/engine/pace.c: fs/engine may not use loop_stop"),
    ("fs/engine/pace.h", "static inline int up(void)\n{\n    return loop_stop(0);\n}\n",
     "fs/engine/pace.h: fs/engine may not use loop_stop"),
    ("kmsapi/iso_time.c", "static int up(void)\n{\n    return state_close(0);\n}\n", "kmsapi/iso_time.c: kmsapi may not use state_close"),
    ("fs/base/log.c", '#include "fs/loop/loop.h"\n', "fs/base may not use fs/loop"),
    ("fs/store/seal.c", "static int up(void)\n{\n    return envelope_close(0);\n}\n",
     "fs/store: these call each other in a circle: fs/store/envelope.c, fs/store/seal.c"),
    ("fs/base/stops.c", "\n" * 500, "lines; a file has 500 at the most"),
    ("fs/base/usage.c", "static void all(void)\n{\n" + "    usage_all();\n" * 69 + "}\n", "a function of 71 lines; 70 are the most"),
    ("tests/e2e/test_tree.py", "from test_sync import mount\n", ": a test may not use a test: what both need belongs in tests/e2e/parts"),
    ("tests/e2e/parts/kms.py", "def late():\n    import test_sync\n", ": a part may not use a test: what both need belongs in tests/e2e/parts"),
    ("tests/e2e/parts/silent.py", "IT = 1\n", "tests/e2e/parts/silent.py: a part opens with what it is for"),
    ("tests/e2e/helper.py", "", "tests/e2e/helper.py: no test: it belongs in tests/e2e/parts, or in tests/e2e/inside"),
]


def test_each_broken_rule_is_told(copy):
    for name, more, _ in BROKEN:
        with open(copy / name, "a") as file:
            file.write(more)
    told = refused(copy)
    assert [said for _, _, said in BROKEN if said not in told] == []


def test_a_room_is_neither_a_cupboard_nor_a_hall(copy):
    many = 15
    for number in range(many - len(list((copy / "fs/base").glob("*.c")))):
        (copy / f"fs/base/new_{number}.c").write_text("")
    (copy / "fs/publisher/publication_names.c").unlink()
    said = refused(copy)
    assert "fs/publisher: 2 .c files; a room has 3 to 14" in said
    assert f"fs/base: {many} .c files; a room has 3 to 14" in said
