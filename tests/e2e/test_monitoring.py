"""examples/monitoring against a mount's metrics, and what the README shows against a real run."""
import json
import re
import subprocess

import pytest

from parts.harness import AAPFS, PASSWORD, ROOT, environment

FOLDER = ROOT / "examples" / "monitoring"
NAME = re.compile(r"\baapfs_\w+")


def names_in(metrics):
    """What a server knows after reading them: samples, and families that have none yet."""
    known = set(re.findall(r"^(aapfs_\w+)", metrics, re.M))
    return known | set(re.findall(r"^# TYPE (aapfs_\w+)", metrics, re.M))


@pytest.fixture
def known(mount):
    mount.write("payments", PASSWORD)
    return names_in(mount.read(".aapfs", "metrics.prom"))


@pytest.mark.full
def test_promtool_takes_the_alerts_and_they_fire_when_they_should(prometheus):
    for words in (["check", "rules", "aapfs.rules.yml"], ["test", "rules", "aapfs.rules.test.yml"]):
        done = subprocess.run([prometheus / "promtool", *words], cwd=FOLDER, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tested_and_asks_for_what_there_is(known):
    rules, tests = ((FOLDER / name).read_text() for name in ("aapfs.rules.yml", "aapfs.rules.test.yml"))
    alerts = re.findall(r"- alert: (\w+)", rules)
    assert alerts and sorted(alerts) == sorted(set(re.findall(r"alertname: (\w+)", tests)))
    asked = {name for expression in re.findall(r"expr: (.*)", rules) for name in NAME.findall(expression)}
    assert asked and asked <= known


def test_the_dashboard_asks_for_what_there_is(known):
    dashboard = json.loads((FOLDER / "grafana-dashboard.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expressions += [variable["query"] for variable in dashboard["templating"]["list"]]
    asked = {name for expression in expressions for name in NAME.findall(expression)}
    assert asked <= known
    # and shows all that there is
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in known}
    assert families == {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    identities = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(identities)) == len(identities)
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert 0 <= place["x"] and place["x"] + place["w"] <= 24


def shape(text):
    """Names, commands and column heads: without what differs from run to run."""
    text = re.sub(r"KAAP\.[0-9a-f-]{36}", "KAAP", text)
    text = re.sub(r"\b\d+ (s|min|h|d|y)\b( ago)?", "TIME", text)
    text = re.sub(r"aapfs \d+\.\d+\.\d+", "aapfs VERSION", text)
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.mark.full
def test_the_readme_shows_a_real_run():
    done = subprocess.run([ROOT / "examples/show.sh"], capture_output=True, text=True, timeout=60,
                          env=environment(AAPFS=str(AAPFS), LC_ALL="C"))
    assert (done.returncode, done.stderr) == (0, "")
    block, = re.findall(r"show\.sh\) made this:\n\n```\n(.*?)```\n", (ROOT / "README.md").read_text(), re.S)
    assert shape(block) == shape(done.stdout)
