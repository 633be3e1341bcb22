"""Alibaba Cloud's own clients, in node."""
import json
import subprocess

from parts.harness import ROOT, environment

FOLDER = ROOT / "tests/e2e/official"


def node(script, *words, given, authority=None):
    """What SCRIPT prints; the clients are installed as package-lock.json says, once."""
    if not (FOLDER / "node_modules/.package-lock.json").exists():
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=FOLDER, check=True,
                       capture_output=True)
    done = subprocess.run(["node", FOLDER / script, *words], input=json.dumps(given), capture_output=True, text=True,
                          timeout=120, env=environment(NODE_EXTRA_CA_CERTS=authority and str(authority)))
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)
