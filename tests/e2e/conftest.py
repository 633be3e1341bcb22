import pathlib
import shutil
import tempfile

import pytest

pytest.register_assert_rewrite("parts")  # they say as much as the tests' own

from parts import needs
from parts.harness import BUILD, Emulator, Mount
from parts.stops import Clock


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
    started = []

    def start(*options, **parts):
        started.append(Emulator(tmp_path, *options, pool_file=pool_file, **parts))
        return started[-1]

    yield start
    for emulator in started:
        emulator.stop()


@pytest.fixture
def emulator(start_emulator):
    return start_emulator()


@pytest.fixture
def start_mount(tmp_path, request):
    """Mounts; at the end they are stopped, and stderr is what `expected_errors` says."""
    started = []

    def start(url, *options, expected_errors="", directory=tmp_path, **parts):
        mount = Mount(directory, url, *options, **parts)
        mount.expected_errors = expected_errors
        started.append(mount)
        return mount

    yield start
    for mount in started:
        mount.stop(mount.expected_errors)


@pytest.fixture
def mount(start_mount, emulator):
    return start_mount(emulator.url)


@pytest.fixture
def remount(start_mount):
    """One that takes over what another one kept, which is stopped."""
    def start(mount, url, *options, **parts):
        if mount.process.poll() is None:
            mount.leave(mount.expected_errors)
        return start_mount(url, *options, **mount.kept, **parts)
    return start


@pytest.fixture
def stops(tmp_path):
    """Where a mount with_stops() looks, and arm() says what to do."""
    return tmp_path / "stops"


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path / "clock")
