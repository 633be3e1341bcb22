"""What `aapfs --help` says, taken apart."""
import re

from parts.harness import run_aapfs

# what completion offers
WORDS = ["adopt", "create", "delete", "export", "help", "reload", "rotate", "status", "upgrade", "version"]


def usages():
    """Of each sub-command, from the usage of all."""
    text = re.sub(r"\n {9,}", " ", run_aapfs("--help", check=True).stdout)
    return {name: line for line, name in re.findall(r"^ +aapfs (([a-z][a-z-]+)(?: .*)?)$", text, re.M)}
