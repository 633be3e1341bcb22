"""What the client does when KMS or the way to it is not as it should be."""
import collections
import subprocess

from harness import ACCESS_KEY_ID, ACCESS_KEY_SECRET, BUILD, PASSWORD


def call_many(emulator, count, after_ms, timeout_ms):
    """[(operation, errno, Code, milliseconds)], as they ended."""
    done = subprocess.run([BUILD / "tests/programs/many_calls", emulator.url, ACCESS_KEY_ID, ACCESS_KEY_SECRET, str(count),
                           str(after_ms), str(timeout_ms), "payments", PASSWORD], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return [(*line.split()[:3], int(line.split()[3])) for line in done.stdout.splitlines()]


def test_a_refusal_for_its_rate_slows_every_request(emulator):
    """Of 20 reads at once each would be sent 4 times: all of them are slowed by the first refusal."""
    emulator.set_faults("* throttle")
    ended = call_many(emulator, 20, 0, 1500)
    assert len(ended) == 21
    assert {number for _, number, _, _ in ended} == {"EAGAIN"}
    assert {code for _, _, code, _ in ended} <= {"Rejected.Throttling", "Client.Throttled"}
    assert max(milliseconds for *_, milliseconds in ended) < 3000
    assert sum(emulator.counts().values()) <= 21 + 6


def test_a_change_goes_before_the_reads_that_wait(emulator):
    emulator.set_faults("* throttle x20")
    ended = call_many(emulator, 20, 40, 8000)
    assert collections.Counter(number for _, number, _, _ in ended) == {"ENOENT": 20, "0": 1}
    records = [dict(map(tuple, record["Headers"]))["x-acs-action"] for record in emulator.records()]
    assert records[:20] == ["GetClientKey"] * 20 and records[20] == "CreateClientKey"
    assert emulator.count("GetClientKey") <= 60


def test_the_pace_comes_back(emulator):
    emulator.set_faults("* throttle x10")
    ended = call_many(emulator, 40, 0, 8000)
    assert {number for _, number, _, _ in ended} == {"ENOENT", "0"}
    assert ended[-1][3] < 3000  # at the slowest pace it would be longer
