"""A process that reads status files and metrics in pieces, for as long as a test says."""
import json
import os
import subprocess
import sys
import time


def read_in_pieces(mount, number, seconds):
    """A process that reads reports 100 bytes at a time for SECONDS; the function returned says how many were whole."""
    process = subprocess.Popen([sys.executable, __file__, mount, str(number), str(seconds)], stdout=subprocess.PIPE,
                               text=True)

    def end():
        out, _ = process.communicate(timeout=seconds + 60)
        assert process.returncode == 0, out
        return int(out)
    return end


def read_pieces(path):
    parts = []
    file = os.open(path, os.O_RDONLY)
    try:
        while part := os.read(file, 100):
            parts.append(part)
    finally:
        os.close(file)
    return b"".join(parts).decode()


def judge(path, text):
    if path.endswith("status"):
        json.loads(text)
        return
    lines = text.splitlines()
    assert text.endswith("\n") and lines[-1].startswith("aapfs_build_info{"), lines[-1:]
    for line in lines:
        if not line.startswith("# "):
            float(line.rsplit(" ", 1)[1])


def main(mount, number, seconds):
    until, count = time.monotonic() + float(seconds), 0
    names = sorted(name for name in os.listdir(mount) if name != ".aapfs")
    while time.monotonic() < until:
        i = count + int(number)
        path = mount + "/" + (".aapfs/metrics.prom", ".aapfs/status", names[i * 7 % len(names)] + "/status")[i % 3]
        judge(path, read_pieces(path))
        count += 1
    print(count)


if __name__ == "__main__":
    main(*sys.argv[1:])
