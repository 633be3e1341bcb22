"""A booted system, by systemd-nspawn."""
import subprocess


def boot(out, root, command, *binds, **variables):
    """
    Runs COMMAND as a service of a machine with the files of ROOT, which stay as they are, to "all is well". It has the
    directory OUT at /out, BINDS as the words of systemd-nspawn, and VARIABLES in its environment.
    """
    inside, machine = out.with_name("inside.service"), out.with_name("machine")
    inside.write_text("[Unit]\nAfter=multi-user.target\n[Service]\nType=oneshot\nTimeoutStartSec=200\n"
                      + "".join(f"Environment={name}={value}\n" for name, value in variables.items())
                      + f"ExecStart=/bin/sh -c '{command} > /out/result 2>&1; systemctl poweroff --no-block'\n")
    inside.chmod(0o644)
    machine.mkdir()
    words = ["systemd-nspawn", "-q", "-b", "-D", machine, "--volatile=overlay", "--register=no", "--keep-unit",
             "--console=read-only", "--private-network", "--bind=/dev/fuse", f"--bind={out}:/out",
             f"--bind-ro={inside}:/run/systemd/system/inside.service", *binds,
             "--", "systemd.wants=inside.service", "systemd.unit=multi-user.target"]
    done = subprocess.run(["unshare", "-m", "sh", "-ec", 'mount -t tmpfs tmpfs /run; mount --bind "$0" "$1"; shift; exec "$@"',
                           root, machine, *words], capture_output=True, text=True, errors="replace", timeout=300)
    result = (out / "result").read_text() if (out / "result").exists() else done.stdout[-3000:] + done.stderr
    print(result)
    assert result.endswith("all is well\n"), result
