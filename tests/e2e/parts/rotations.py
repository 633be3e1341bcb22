"""Keys that rotate by themselves, when they are due."""
import re

from parts.harness import until

SAID = re.compile(r"aapfs: .*(client keys in a row|the rotation that is due failed|has expired at|was killed by signal|is not permitted \(|"
                  r"on_rotate: |reloaded$|the rotation that is due cannot be begun: |applications may still use |"
                  r"the client key \S+ expires at ).*\n")


def start_rotating(start_mount, emulator, validity="30s", rotate_at="60%", **parts):
    defaults = f"validity = {validity}\nrotate_at = {rotate_at}\n" + parts.pop("defaults", "")
    parts.setdefault("expected_errors", SAID)
    return start_mount(emulator.url, defaults=defaults, settings="requests_per_second = 100", **parts)


def rotated(mount, aap, before, seconds=60):
    """The id of the key that came after BEFORE."""
    return until(lambda: mount.key_id(aap) != before and mount.key_id(aap), seconds)
