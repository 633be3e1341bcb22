import pathlib
import shutil
import subprocess
import tempfile

import pytest

pytest.register_assert_rewrite("parts")  # they say as much as the tests' own

from parts import needs
from parts.altered import Altered
from parts.etcd import Cluster
from parts.fleet import Fleet
from parts.harness import BUILD, PASSWORD, ROOT, Emulator, Mount
from parts.odd_server import OddServer
from parts.plugin import Plugin
from parts.proxy import HOST
from parts.starter import starter
from parts.stops import Clock
from parts.upgrade import Installed


def pytest_sessionstart():
    wanting = needs.missing()
    if wanting:
        pytest.exit("these tests need " + "; and ".join(wanting), 1)


@pytest.fixture(scope="session")
def pool_file():
    """RSA keys that every emulator hands out: made once a build folder."""
    return BUILD / "test-key-pool.pem"


@pytest.fixture
def tmp_path():
    """Unlike pytest's own, one that other users may enter."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="aapfs-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def start_emulator(tmp_path, pool_file):
    yield from starter(lambda *options, **parts: Emulator(tmp_path, *options, pool_file=pool_file, **parts), Emulator.stop)


@pytest.fixture
def emulator(start_emulator):
    return start_emulator()


@pytest.fixture
def start_mount(tmp_path):
    """Mounts; at the end they are stopped, and stderr is what `expected_errors` says."""
    def start(url, *options, expected_errors="", directory=tmp_path, **parts):
        mount = Mount(directory, url, *options, **parts)
        mount.expected_errors = expected_errors
        return mount

    yield from starter(start, lambda mount: mount.stop(mount.expected_errors))


@pytest.fixture
def mount(start_mount, emulator):
    return start_mount(emulator.url)


@pytest.fixture
def remount(start_mount):
    """One that takes over what another one kept, which is stopped."""
    def start(mount, url, *options, **parts):
        if mount.process.poll() is None:
            mount.leave()
        return start_mount(url, *options, **mount.kept, **parts)
    return start


@pytest.fixture
def stops(tmp_path):
    """Where a mount with_stops() looks, and arm() says what to do."""
    return tmp_path / "stops"


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path / "clock")


@pytest.fixture
def installed(tmp_path):
    return Installed(tmp_path)


@pytest.fixture
def altered(emulator):
    proxy = Altered(emulator.port)
    yield proxy
    proxy.close()


@pytest.fixture
def odd():
    yield from starter(OddServer, OddServer.stop)


@pytest.fixture
def certificate(tmp_path):
    """Of HOST, and its key."""
    names = [tmp_path / "ca.pem", tmp_path / "ca.key"]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "2", "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}", "-out", names[0], "-keyout",
                    names[1]], check=True, capture_output=True)
    return names


@pytest.fixture
def start_plugin(mount, tmp_path):
    """On a mount that has a key."""
    mount.write("payments", PASSWORD)
    yield from starter(lambda kind=Plugin, **parts: kind(tmp_path, mount.path, **parts), lambda plugin: plugin.end())


@pytest.fixture
def plugin(start_plugin):
    return start_plugin()


@pytest.fixture(scope="session")
def prometheus():
    """The folder with promtool and prometheus-node-exporter."""
    subprocess.run([ROOT / "tests/unpack-prometheus.sh", BUILD / "prometheus"], check=True)
    return BUILD / "prometheus"


@pytest.fixture(scope="module")
def etcd(tmp_path_factory):
    """Three members; a test takes `cluster`, in which nothing is."""
    cluster = Cluster(tmp_path_factory.mktemp("etcd"))
    yield cluster
    cluster.stop()


@pytest.fixture
def cluster(etcd):
    etcd.clear()
    yield etcd
    etcd.restore()


@pytest.fixture
def fleet(cluster, emulator, start_mount, tmp_path):
    made = Fleet(start_mount, cluster, emulator, tmp_path)
    yield made
    made.end()
