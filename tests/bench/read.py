#!/usr/bin/python3
"""
A warm read of client_key.json by open, read and close: on aapfs, on tmpfs, and through libfuse's own
passthrough_ll over that tmpfs; the same bytes, interleaved in one run. Root; after a build.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from parts.harness import BUILD, PASSWORD, Emulator, Mount

EXAMPLE = pathlib.Path("/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c")
ROUNDS = sys.argv[1] if len(sys.argv) > 1 else "200000"


def requests_of(mount):
    return {name: count for name, count in mount.status()["Requests"].items()}


def main():
    place = pathlib.Path(tempfile.mkdtemp(prefix="aapfs-bench-"))
    plain, through = place / "tmpfs", place / "passthrough"
    for directory in (plain, through):
        directory.mkdir()
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "fuse3"], capture_output=True, text=True,
                           check=True).stdout.split()
    subprocess.run(["gcc", "-O2", "-w", "-o", place / "passthrough_ll", EXAMPLE, *flags], check=True)
    emulator = Emulator(place)
    mount = Mount(place, emulator.url, request_timeout="10s")
    mount.write("payments", PASSWORD)
    key = mount / "payments/client_key.json"
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", plain], check=True)
    (plain / "client_key.json").write_bytes(key.read_bytes())
    subprocess.run([place / "passthrough_ll", "-o", f"source={plain}", through], check=True)
    before = sum(requests_of(mount).values())
    done = subprocess.run([BUILD / "tests/bench/read_benchmark", ROUNDS,
                           f"tmpfs={plain}/client_key.json", f"aapfs={key}",
                           f"passthrough_ll={through}/client_key.json"],
                          capture_output=True, text=True, check=True)
    served = sum(requests_of(mount).values()) - before
    figures = {label: (int(p50), int(p99)) for label, p50, p99 in map(str.split, done.stdout.splitlines())}
    print(f"{ROUNDS} rounds, {key.stat().st_size} bytes; nanoseconds\n")
    print(f"{'':15} {'p50':>8} {'p99':>8}   to tmpfs (p50, p99)")
    for label, (p50, p99) in figures.items():
        print(f"{label:15} {p50:8} {p99:8}   {p50 / figures['tmpfs'][0]:.2f} {p99 / figures['tmpfs'][1]:.2f}")
    times = [figures["passthrough_ll"][i] / figures["aapfs"][i] for i in range(2)]
    print(f"\naapfs is {times[0]:.1f} (p50) and {times[1]:.1f} (p99) times as fast as passthrough_ll")
    print(f"requests that aapfs served meanwhile: {served}")
    for directory in (through, plain):
        subprocess.run(["umount", directory], check=True)
    mount.stop()
    emulator.stop()
    subprocess.run(["rm", "-r", place], check=True)


if os.geteuid() != 0:
    sys.exit("read.py: mounting a tmpfs takes root")
main()
