"""metrics.prom: what monitors see."""
import os
import re
import socket
import subprocess
import time
import urllib.request

import pytest

from parts.harness import PASSWORD, await_value
from parts.reports import read_in_pieces


def samples(text):
    """{NAME{LABELS}: VALUE}; every line must be one, or a comment."""
    found = {}
    for line in text.splitlines():
        if line.startswith("# "):
            assert re.fullmatch(r"# (HELP|TYPE) aapfs_\w+ .+", line), line
            continue
        name, value = re.fullmatch(r"(aapfs_\w+(?:\{.*\})?) (\S+)", line).groups()
        assert name not in found
        found[name] = float(value)
    return found


def metrics(mount):
    return samples(mount.read(".aapfs", "metrics.prom"))


def wait_for(mount, name, value):
    """Metrics are a second old at the most."""
    await_value(lambda: metrics(mount).get(name), value)


def histogram_is_whole(found, name="aapfs_kms_request_duration_seconds"):
    counts = [value for key, value in found.items() if key.startswith(name + "_bucket")]
    assert counts == sorted(counts) and len(counts) == 11
    assert counts[-1] == found[name + '_bucket{le="+Inf"}'] == found[name + "_count"]
    return counts[-1]


@pytest.mark.full
def test_promtool_finds_nothing_to_say(mount, prometheus):
    mount.write("payments", PASSWORD)
    done = subprocess.run([prometheus / "promtool", "check", "metrics"], capture_output=True, text=True,
                          input=mount.read(".aapfs", "metrics.prom"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.full
def test_node_exporter_reads_them(mount, prometheus):
    mount.write("payments", PASSWORD)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [prometheus / "prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{port}",
         "--collector.disable-defaults", "--collector.textfile", f"--collector.textfile.directory={mount / '.aapfs'}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def scrape():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            return ""
    try:
        await_value(lambda: "node_textfile_scrape_error" in scrape(), True)
        told = scrape()
    finally:
        process.kill()
        process.wait()
    assert "node_textfile_scrape_error 0" in told
    key = f'aapfs_client_key_not_after_seconds{{aap="payments",client_key_id="{mount.key_id()}"}}'
    assert float(re.search(re.escape(key) + " (.*)", told)[1]) == metrics(mount)[key]
    assert 'aapfs_aap_state{aap="orders",state="none"} 1' in told
    assert re.search(r'aapfs_kms_request_duration_seconds_bucket\{le="\+Inf"\} [1-9]', told)


def test_requests_and_rotations_are_counted_by_what_came_of_them(mount, emulator):
    mount.write("payments", PASSWORD)
    mount.write("payments", PASSWORD)
    emulator.set_faults("CreateClientKey denied")
    with pytest.raises(PermissionError):
        mount.write("payments", PASSWORD)
    code = mount.last_error()["Code"]
    with pytest.raises(OSError):
        mount.write("payments", "short")  # refused before it is begun: nothing was asked for
    wait_for(mount, 'aapfs_rotations_total{result="failure"}', 1)
    found = metrics(mount)
    assert found['aapfs_rotations_total{result="success"}'] == 2
    assert found['aapfs_kms_requests_total{operation="CreateClientKey",code="OK"}'] == 2
    assert found[f'aapfs_kms_requests_total{{operation="CreateClientKey",code="{code}"}}'] == 1
    assert histogram_is_whole(found) == sum(value for name, value in found.items()
                                            if name.startswith("aapfs_kms_requests_total"))


def test_a_slow_answer_is_in_the_buckets_of_its_time(mount, emulator):
    emulator.set_faults("CreateClientKey delay=120")
    mount.write("payments", PASSWORD)
    wait_for(mount, 'aapfs_rotations_total{result="success"}', 1)
    found = metrics(mount)
    name = "aapfs_kms_request_duration_seconds_bucket"
    assert found[name + '{le="+Inf"}'] - found[name + '{le="0.1"}'] >= 1
    assert found["aapfs_kms_request_duration_seconds_sum"] >= 0.12


@pytest.mark.full
def test_counts_outlive_a_worker(start_mount, emulator):
    mount = start_mount(emulator.url, expected_errors=None)
    mount.write("payments", PASSWORD)
    wait_for(mount, 'aapfs_rotations_total{result="success"}', 1)
    os.kill(mount.children()["aapfs-worker"], 9)
    wait_for(mount, "aapfs_worker_restarts_total", 1)
    mount.write("payments", PASSWORD)
    wait_for(mount, 'aapfs_rotations_total{result="success"}', 2)
    assert mount.status()["WorkerRestarts"] == 1
    assert metrics(mount)['aapfs_kms_requests_total{operation="CreateClientKey",code="OK"}'] == 2


@pytest.mark.full
def test_500_aaps_read_in_pieces_while_they_rotate(start_mount, start_emulator):
    """16 readers of status and metrics.prom, 100 bytes at a time: every result is whole."""
    names = [f"application-{i:03}" for i in range(500)]
    mount = start_mount(start_emulator(aaps=names).url, request_timeout="10s")
    seconds = int(os.environ.get("AAPFS_READ_SECONDS", "3"))
    readers = [read_in_pieces(mount.path, i, seconds) for i in range(16)]
    until, made = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        mount.write(names[made % 500], PASSWORD)
        made += 1
    read = [reader() for reader in readers]
    assert all(count > 0 for count in read), read
    wait_for(mount, 'aapfs_rotations_total{result="success"}', made)
    size = os.stat(mount / ".aapfs/metrics.prom").st_size
    print(f"{sum(read)} results read while {made} keys were made; metrics.prom has {size} bytes")
    assert size > 150_000
