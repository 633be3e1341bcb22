"""A minimal Debian 12 root, made by debootstrap."""
import subprocess


def sh(command, **more):
    done = subprocess.run(["bash", "-ec", command], capture_output=True, text=True, **more)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def make_debian(root, packages="ca-certificates"):
    """At ROOT, with PACKAGES (and commas)."""
    mirror = sh("apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1").strip()
    sh(f"debootstrap --variant=minbase --include={packages} bookworm {root} {mirror}")
    # the way to the packages is this machine's own
    sh(f"rm -f {root}/etc/apt/sources.list && cp -a /etc/apt/sources.list.d /etc/apt/apt.conf.d {root}/etc/apt/ && "
       f"cp -a /usr/share/keyrings/. {root}/usr/share/keyrings/ && cp -L /etc/resolv.conf /etc/hosts {root}/etc/")
