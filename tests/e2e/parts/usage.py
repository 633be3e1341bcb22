"""What `aapfs --help` says, taken apart."""
import re
import subprocess

from parts.harness import AAPFS

# what completion offers
WORDS = ["adopt", "create", "delete", "export", "help", "reload", "rotate", "status", "upgrade", "version"]


def usages():
    """Of each sub-command, from the usage of all."""
    text = subprocess.run([AAPFS, "--help"], capture_output=True, text=True, check=True).stdout
    text = re.sub(r"\n {9,}", " ", text)
    return {name: line for line, name in re.findall(r"^ +aapfs (([a-z][a-z-]+)(?: .*)?)$", text, re.M)}
