"""survival_load: a mount in use, all of whose calls are checked."""
import json
import select
import subprocess

from parts.harness import BUILD, PASSWORD


class Load:
    """4 readers, 2 listers and a writer, all of whose calls are checked."""

    def __init__(self, mount, aap="payments"):
        self.process = subprocess.Popen([BUILD / "tests/programs/survival_load", mount.path, aap, PASSWORD],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "started\n", self.process.stderr.read()

    def wait(self, seconds):
        """False when it has ended: something was broken."""
        ended, _, _ = select.select([self.process.stderr], [], [], seconds)
        return not ended

    def end(self):
        out, errors = self.process.communicate(timeout=120)
        assert errors == "" and self.process.returncode == 0, errors
        return json.loads(out)
