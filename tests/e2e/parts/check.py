"""aapfs check: what it says, taken apart, and a place without a mount."""
import pathlib
import re

from parts.harness import ACCESS_KEY_SECRET, PASSWORD, environment, make_state_key, run_aapfs

LINE = re.compile(r"(ok|warning|error) +([A-Za-z_, ]+): (.+)")
FOLLOWING = "on_rotate = none"


class Checked:
    def __init__(self, done):
        self.status = done.returncode
        self.text = done.stdout
        self.lines = [LINE.fullmatch(line).groups() for line in done.stdout.splitlines()]
        assert done.stderr == ""
        assert ACCESS_KEY_SECRET not in done.stdout and PASSWORD not in done.stdout
        kinds = {kind for kind, _, _ in self.lines}
        assert self.status == (1 if "error" in kinds else 0) or self.status == 2

    def of(self, kind, subject):
        return [text for a, b, text in self.lines if (a, b) == (kind, subject)]

    def only(self, kind):
        """The lines of a kind, but for the binds that a test next to this one may have made."""
        return [(subject, text) for a, subject, text in self.lines if a == kind and subject != "binds"]


def check(config, mountpoint, env=None, wrap=()):
    home = {"HOME": str(pathlib.Path(config).parent), "XDG_CONFIG_HOME": None}
    done = run_aapfs("check", "-c", config, "-m", mountpoint, wrap=wrap, env=environment(**{**home, **(env or {})}))
    return Checked(done)


class Place:
    """A configuration that nothing is mounted for, and what it names; all well."""

    def __init__(self, directory, url):
        self.directory, self.url = directory, url
        self.mountpoint = directory / "point"
        self.mountpoint.mkdir()
        self.state = directory / "state"
        self.state.mkdir(mode=0o700)
        self.key = make_state_key(directory / "state.key")

    def check(self, settings="", defaults=FOLLOWING, sections="", url=None, env=None, wrap=(), settings_of_mount=""):
        config = self.directory / "check.conf"
        config.write_text(f"[kms]\nendpoint = {url or self.url}\nrequest_timeout = 2s\n{settings}\n[mount]\nstate = {self.state}\n"
                          f"state_key = {self.key}\n{settings_of_mount}\n[defaults]\n{defaults}\n{sections}\n")
        return check(config, self.mountpoint, env=env, wrap=wrap)
