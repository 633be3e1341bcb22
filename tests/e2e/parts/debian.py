"""A minimal Debian 12 root, made by debootstrap."""
from parts.shell import sh


def debootstrap(root, packages):
    """At ROOT, with PACKAGES (and commas)."""
    mirror = sh("apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1").strip()
    sh(f"debootstrap --variant=minbase --include={packages} bookworm {root} {mirror}")


def make_debian(root, packages="ca-certificates"):
    """One that can install more."""
    debootstrap(root, packages)
    # the way to the packages is this machine's own
    sh(f"rm -f {root}/etc/apt/sources.list && cp -a /etc/apt/sources.list.d /etc/apt/apt.conf.d {root}/etc/apt/ && "
       f"cp -a /usr/share/keyrings/. {root}/usr/share/keyrings/ && cp -L /etc/resolv.conf /etc/hosts {root}/etc/")
