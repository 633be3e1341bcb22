"""A minimal Debian root, made by debootstrap."""
import platform

from parts.harness import ROOT
from parts.shell import sh

CODENAME = platform.freedesktop_os_release().get("VERSION_CODENAME")  # this machine's


def make_debian(root, packages="", codename=CODENAME):
    """At ROOT, with PACKAGES (and commas)."""
    sh(f"{ROOT}/tests/machines/make-debian {codename} {root} {packages}")
