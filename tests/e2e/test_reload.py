"""A reload: what may change holds at once, everywhere; a wrong configuration changes nothing."""
import errno
import grp
import os
import pathlib
import pwd
import re
import signal
import stat
import subprocess
import threading

import pytest

from parts.harness import AAPFS, BUILD, NEXT, PASSWORD, Write, await_value, environment, result_of, run_aapfs, until
from parts.kms import wait_for_request
from parts.log import KILLED
from parts.stops import arm, with_stops
from parts.times import moment_of
from parts.tree import PRIVATE
from parts.upgrade import begin_upgrade, upgrade

SAID = re.compile(KILLED.pattern + r"|aapfs: (reloaded|upgraded: this is version 0\.1\.[01])\n")
NOBODY, DAEMON = pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("daemon").pw_uid
NOGROUP, MAIL = grp.getgrnam("nogroup").gr_gid, grp.getgrnam("mail").gr_gid


@pytest.fixture
def mount(start_mount, emulator):
    mount = start_mount(emulator.url, expected_errors=SAID, defaults="owner = nobody\nmode = 0400")
    mount.write("payments", PASSWORD)
    return mount


def configure(mount, *lines):
    """Lines like "kms: aaps = a": added to their section, or in place of the same key there; written as one."""
    text = mount.config.read_text()
    for line in lines:
        section, line = line.split(": ", 1)
        head, separator, tail = text.partition(f"[{section}]\n")
        if not separator:
            head, tail = text + f"[{section}]\n", ""
        else:
            head += separator
        key = line.split("=")[0].strip()
        own, bracket, rest = tail.partition("\n[")
        own = re.sub(rf"^{key} = .*\n", "", own + "\n", flags=re.M)
        text = f"{head}{line}\n{own}{bracket[1:]}{rest}"
    fresh = mount.config.with_suffix(".new")
    fresh.write_text(text)
    os.replace(fresh, mount.config)


def reload(mount):
    return run_aapfs("reload", "-m", mount.path)


def sync(mount):
    """One is under way when a worker begins."""
    while True:
        try:
            return mount.sync()
        except OSError as error:
            assert error.errno == errno.EBUSY


def reloads(mount):
    done = reload(mount)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), mount.errors()


def attributes(path):
    found = os.stat(path, follow_symlinks=False) if isinstance(path, pathlib.Path) else os.fstat(path)
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


def state_of(mount):
    files = {str(path): attributes(path) for path in sorted(mount.path.rglob("*")) if "status" not in path.name}
    children = {name: pid for name, pid in mount.children().items() if name != "aapfs-reader"}  # it ends in a moment
    return mount.status("payments"), mount.key_id(), children, files


def await_text(read, text, seconds=10):
    until(lambda: text in read(), seconds, read)


def open_as(uid, path, gid=65534, flags=os.O_RDONLY):
    """The errno with which a process of that user ends when it opens PATH; 0: none."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
            os.close(os.open(path, flags))
            os._exit(0)
        except OSError as error:
            os._exit(error.errno)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.core
def test_owners_and_modes_change_for_those_who_know_them(mount):
    held = [os.open(mount / "payments" / name, os.O_RDONLY) for name in PRIVATE]
    mount.write("payments", PASSWORD)
    paths = [mount / "payments" / name for name in PRIVATE]
    paths += [mount / f"payments/current/{name}" for name in PRIVATE]
    contents = [path.read_bytes() for path in paths]
    requests = mount.status()["Requests"]["GETATTR"]
    for _ in range(10):
        assert {attributes(path) for path in paths + held} == {(NOBODY, 0, 0o400)}
    assert mount.status()["Requests"]["GETATTR"] - requests < 20  # the kernel knows them
    assert open_as(DAEMON, paths[0]) == errno.EACCES
    reads = mount.status()["Requests"]["READ"]

    configure(mount, "defaults: owner = daemon", "defaults: group = mail", "defaults: mode = 0440")
    reloads(mount)
    assert {attributes(path) for path in paths + held} == {(DAEMON, MAIL, 0o440)}
    assert open_as(DAEMON, paths[0]) == 0 and open_as(NOBODY, paths[0]) == errno.EACCES
    assert attributes(mount / "payments/certificate.pem") == (0, 0, 0o444)

    configure(mount, "defaults: mode = 0444", "aap payments: mode = 0400", "aap payments: owner = nobody")
    reloads(mount)
    assert {attributes(path) for path in paths + held} == {(NOBODY, MAIL, 0o400)}
    mount.write("orders", PASSWORD)
    assert attributes(mount / "orders/client_key.p12") == (DAEMON, MAIL, 0o444)
    assert [path.read_bytes() for path in paths] == contents
    # of the status alone: the kernel has kept what it had read
    assert mount.status()["Requests"]["READ"] - reads < 6
    for descriptor in held:
        os.close(descriptor)


WRONG = [
    ("defaults: mode = 0777", "mode: not a mode that only reads; right is one of 0400, 0440, 0444"),
    ("defaults: nothing = 1", 'unknown key "nothing" in [defaults]; see aapfs.conf(5) for what can stand here'),
    ("defaults: owner = no-such-user", "owner: no such user; right is a user's name or number"),
    ("kms: request_timeout = 1", "request_timeout: not a time from 100ms to 1h; right is one like 30s"),
    ("aap payments: password_source = generate", "password_source: generate without expose_password = yes in [aap "
     "payments]: nobody could open the keys; right is keep, file:PATH, or expose_password = yes"),
    ("kms: region = cn-beijing", "region"),
    ("kms: endpoint = https://other.example.com", "endpoint"),
    ("kms: credentials = environment", "credentials"),
    ("kms: ca_file = /etc/ssl/cert.pem", "ca_file"),
    ("kms: proxy = http://proxy:3128", "proxy"),
    ("mount: state = /nowhere", "state"),
    ("mount: state_key = /nowhere", "state_key"),
    ("mount: settle = 59s", "settle"),
    ("mount: audit = yes", "audit"),
    ("defaults: expose_password = yes", "expose_password"),
    ("aap orders: expose_password = yes", "expose_password"),
]


@pytest.mark.core
def test_a_wrong_one_leaves_everything_as_it_was(mount, emulator):
    good = mount.config.read_text()
    before = state_of(mount)
    logged = ""
    for line, why in WRONG:
        mount.config.write_text(good)
        # what comes along must not get through
        configure(mount, "defaults: owner = daemon", "defaults: max_keys = 2", "mount: control = no", line)
        number = mount.config.read_text().splitlines().index(line.split(": ", 1)[1]) + 1
        where = f"{mount.config}:{number}: {why}"
        if re.fullmatch("[a-z_]+", why):
            where = f"{why}: cannot change on a live mount; umount and mount again; nothing was changed"
        done = reload(mount)
        assert done.returncode == 1
        assert done.stderr == f"aapfs: .aapfs: Invalid argument: Reload: {where}\n"
        failure = mount.last_error(".aapfs")
        assert (failure["Operation"], failure["Code"], failure["Errno"]) == ("reload", "Reload", "EINVAL")
        assert failure["Message"] == where
        assert mount.errors() == logged  # told once, to whoever asked
        mount.process.send_signal(signal.SIGHUP)
        logged += f"aapfs: reload: {where}\n"
        await_text(mount.errors, logged)
        assert state_of(mount) == before, line
    mount.expected_errors = logged + "aapfs: reloaded\n"
    first = mount.key_id()
    mount.write("payments", PASSWORD)
    assert mount.key_id() != first
    assert attributes(mount / "payments/client_key.json") == (NOBODY, 0, 0o400)
    mount.config.write_text(good)
    reloads(mount)
    assert mount.last_error(".aapfs") is None


def test_a_file_that_is_gone_or_that_others_write_changes_nothing(mount):
    before = state_of(mount)
    mount.config.chmod(0o666)
    done = reload(mount)
    assert done.returncode == 1 and "Permission denied: Reload:" in done.stderr and "others can write it" in done.stderr
    mount.config.unlink()
    done = reload(mount)
    assert done.returncode == 1 and f"{mount.config}: No such file or directory" in done.stderr
    assert state_of(mount) == before


def test_a_signal_reloads(mount):
    configure(mount, "defaults: owner = daemon")
    assert attributes(mount / "payments/client_key.json")[0] == NOBODY
    mount.process.send_signal(signal.SIGHUP)
    await_text(mount.errors, "aapfs: reloaded\n")
    assert attributes(mount / "payments/client_key.json")[0] == DAEMON
    # many at once end in the last one
    for uid in range(5000, 5030):
        configure(mount, f"defaults: owner = {uid}")
        mount.process.send_signal(signal.SIGHUP)
    await_value(lambda: attributes(mount / "payments/client_key.json")[0], 5029)
    assert mount.is_mounted()


def test_other_keys_take_effect(mount, emulator):
    configure(mount, "defaults: max_keys = 1", "defaults: rotate_at = never", "mount: creation_guard = 1h")
    reloads(mount)
    other = subprocess.run(["sh", "-c", f"echo {PASSWORD} > {mount.path}/payments/control"], stderr=subprocess.DEVNULL,
                           timeout=30)
    assert other.returncode != 0 and mount.last_error()["Errno"] == "EBUSY"
    configure(mount, "mount: creation_guard = 0s")
    reloads(mount)
    assert result_of(mount, PASSWORD) == errno.EDQUOT
    configure(mount, "defaults: max_keys = 9", "defaults: validity = 2d")
    reloads(mount)
    mount.write("payments", PASSWORD)
    status = mount.status("payments")
    begin, end = (moment_of(status[name]) for name in ("NotBefore", "NotAfter"))
    assert 2 * 86400 <= end - begin <= 1.02 * 2 * 86400  # both dates are chosen within a hundredth
    # on_rotate, and what a command under way was given
    told = mount.directory / "told"
    configure(mount, f"defaults: on_rotate = echo $AAPFS_CLIENT_KEY_ID >> {told}")
    reloads(mount)
    mount.write("payments", PASSWORD)
    await_text(lambda: told.read_text() if told.exists() else "", mount.key_id() + "\n")


def test_a_name_in_aaps_is_a_directory_at_once_and_stays_when_it_is_gone(start_mount, emulator):
    mount = start_mount(emulator.url, settings="aaps = payments", expected_errors=SAID)
    assert set(os.listdir(mount.path)) == {".aapfs", "payments"}
    configure(mount, "kms: aaps = payments orders")
    reloads(mount)
    await_text(lambda: os.listdir(mount.path), "orders")
    mount.write("orders", PASSWORD)
    configure(mount, "kms: aaps = payments")
    reloads(mount)
    mount.write("orders", PASSWORD)
    assert set(os.listdir(mount.path)) == {".aapfs", "payments", "orders"}


def test_control_can_be_closed_and_given_to_a_group(mount, emulator):
    control, mounts = mount / "payments/control", mount / ".aapfs/control"
    assert attributes(control) == attributes(mounts) == (0, 0, 0o200)
    assert open_as(DAEMON, control, MAIL, os.O_WRONLY) == errno.EACCES
    configure(mount, "aap payments: control_group = mail")
    reloads(mount)
    assert attributes(control) == (0, MAIL, 0o220)
    assert attributes(mount / "orders/control") == attributes(mounts) == (0, 0, 0o200)
    assert open_as(DAEMON, control, MAIL, os.O_WRONLY) == 0
    assert open_as(DAEMON, mounts, MAIL, os.O_WRONLY) == errno.EACCES
    created = emulator.count("CreateClientKey")
    configure(mount, "mount: control = no")
    reloads(mount)
    assert attributes(control) == (0, MAIL, 0) and attributes(mounts) == (0, 0, 0)
    assert open_as(DAEMON, control, MAIL, os.O_WRONLY) == errno.EACCES
    for aap, command in (("payments", PASSWORD), ("payments", "nonsense"), (".aapfs", "reload"), (".aapfs", "sync")):
        assert result_of(mount, command, aap) == errno.EPERM
        assert "control = no" in mount.last_error(aap)["Message"]
    assert emulator.count("CreateClientKey") == created
    configure(mount, "mount: control = yes", "aap payments: control_group =")
    mount.process.send_signal(signal.SIGHUP)
    await_text(lambda: mount.errors().replace("reloaded", "", 2), "reloaded")
    assert attributes(control) == (0, 0, 0o200)
    mount.write("payments", PASSWORD)


def test_sections_without_an_aap_are_named_once(start_mount, emulator):
    mount = start_mount(emulator.url, expected_errors=None, sections="[aap paymetns]\nmode = 0400\n[aap orders]")
    line = f"aapfs: {mount.config}: [aap paymetns]: KMS has no such AAP (or it is not shown)\n"
    await_text(mount.errors, line)
    sync(mount)
    mount.kill("aapfs-worker")
    sync(mount)
    killed = "aapfs: aapfs-worker was killed by signal 9; it is started again\n"
    assert mount.errors() == line + killed
    configure(mount, "aap ordres: mode = 0400")
    reloads(mount)
    second = line.replace("paymetns", "ordres")
    await_text(lambda: mount.errors().replace("aapfs: reloaded\n", ""), line + killed + second + line)
    await_text(mount.errors, "aapfs: reloaded\n")
    mount.expected_errors = mount.errors()


def test_a_first_listing_that_fails_names_no_sections(start_mount, emulator):
    emulator.set_faults("ListApplicationAccessPoints denied")
    mount = start_mount(emulator.url, expected_errors=None, sections="[aap paymetns]")
    assert mount.errors() == ""
    emulator.set_faults()
    sync(mount)
    mount.expected_errors = f"aapfs: {mount.config}: [aap paymetns]: KMS has no such AAP (or it is not shown)\n"
    await_text(mount.errors, mount.expected_errors)


@pytest.fixture
def mount_with_stops(start_mount, emulator, stops):
    mount = start_mount(emulator.url, expected_errors=SAID, request_timeout="20s", **with_stops(stops),
                        defaults="owner = nobody\nmode = 0400")
    mount.write("payments", PASSWORD)
    return mount


@pytest.mark.parametrize("place, process, answer", [
    ("worker-reloading", "aapfs-worker", errno.EIO),
    ("engine-replying", "aapfs-worker", errno.EIO),
    ("publisher-taken", "aapfs-publisher", 0),
    ("publisher-taken 1", "aapfs-publisher", 0),
])
def test_who_is_killed_in_the_middle_is_followed_by_one_with_the_new_one(mount_with_stops, stops, place, process, answer):
    mount = mount_with_stops
    path = mount / "payments/client_key.json"
    assert attributes(path) == (NOBODY, 0, 0o400)
    before = mount.children()[process]
    configure(mount, "defaults: owner = daemon")
    arm(stops, place)
    assert result_of(mount, "reload", ".aapfs") == answer and not stops.exists()
    await_value(lambda: attributes(path)[0], DAEMON)  # at once, when the next worker has begun
    await_text(mount.errors, "reloaded")
    assert mount.children()[process] != before
    mount.write("payments", PASSWORD)
    assert attributes(path) == (DAEMON, 0, 0o400)
    configure(mount, "defaults: owner = nobody")
    reloads(mount)
    assert attributes(path) == (NOBODY, 0, 0o400)


@pytest.mark.full
def test_a_worker_killed_at_any_moment_of_many_reloads(mount):
    """Whatever was answered, in the end the kernel shows what the file says."""
    path = mount / "payments/client_key.json"
    ended = threading.Event()

    def kill():
        while not ended.wait(0.05):
            try:
                mount.kill("aapfs-worker")
            except (KeyError, ProcessLookupError):
                pass  # one is on its way

    killer = threading.Thread(target=kill)
    killer.start()
    results = set()
    for uid in range(5000, 5060):
        configure(mount, f"defaults: owner = {uid}")
        try:
            mount.write(".aapfs", "reload")
            assert attributes(path)[0] == uid
            results.add(0)
        except OSError as error:
            results.add(error.errno)
    ended.set()
    killer.join()
    assert results <= {0, errno.EIO, errno.ETIMEDOUT}, results
    configure(mount, "defaults: owner = daemon")
    reloads(mount)
    assert attributes(path)[0] == DAEMON


@pytest.mark.full
def test_a_write_is_answered_for_the_file_that_it_found(start_mount, start_emulator):
    """And not for one before, which a signal has asked for, or a worker that was killed."""
    emulator = start_emulator(aaps=["payments"] + [f"aap-{i}" for i in range(200)])
    mount = start_mount(emulator.url, expected_errors=SAID, request_timeout="20s")
    mount.write("payments", PASSWORD)
    path, fresh = mount / "payments/client_key.json", mount.directory / "fresh"
    text = mount.config.read_text() + "# takes a moment to read\n" * 30000
    for uid in range(5000, 5024, 2):
        mount.config.write_text(text.replace("[defaults]\n", f"[defaults]\nowner = {uid}\n"))
        fresh.write_text(text.replace("[defaults]\n", f"[defaults]\nowner = {uid + 1}\n"))
        mount.process.send_signal(signal.SIGHUP)
        if uid % 4 == 0:
            mount.kill("aapfs-worker")
        os.replace(fresh, mount.config)
        while True:
            try:
                mount.write(".aapfs", "reload")
                break
            except OSError as error:
                assert error.errno in (errno.EBUSY, errno.EIO)
        assert attributes(path)[0] == uid + 1


@pytest.mark.full
@pytest.mark.core
def test_an_upgrade_after_a_reload_and_a_reload_after_that(start_mount, emulator, installed):
    mount = start_mount(emulator.url, binary=installed.path, expected_errors=SAID, request_timeout="20s")
    mount.write("payments", PASSWORD)
    path = mount / "payments/client_key.json"
    configure(mount, "defaults: owner = daemon")
    reloads(mount)
    installed.install(NEXT)
    assert upgrade(mount).returncode == 0
    assert mount.status()["Version"] == "0.1.1" and attributes(path)[0] == DAEMON
    mount.kill("aapfs-worker")
    mount.write("payments", PASSWORD)
    assert attributes(path)[0] == DAEMON
    configure(mount, "defaults: owner = nobody")
    reloads(mount)
    assert attributes(path)[0] == NOBODY
    # an upgrade reads the file as well: nor are the attributes of before left in the kernel
    configure(mount, "defaults: owner = mail")
    assert upgrade(mount).returncode == 0
    await_value(lambda: attributes(path)[0], pwd.getpwnam("mail").pw_uid, 5)


@pytest.mark.full
def test_audit_does_not_change_by_an_upgrade_either(start_mount, emulator, installed):
    mount = start_mount(emulator.url, binary=installed.path, expected_errors=None)
    configure(mount, "mount: audit = yes")
    done = upgrade(mount)
    assert done.returncode == 1 and "everything is as before" in done.stderr
    assert "the configuration has another audit than the mount has (no)" in mount.errors()
    mount.expected_errors = mount.errors()


@pytest.mark.full
def test_a_reload_during_an_upgrade_waits_or_is_told_so(start_mount, emulator, installed):
    mount = start_mount(emulator.url, binary=installed.path, expected_errors=SAID, request_timeout="20s")
    mount.write("payments", PASSWORD)
    emulator.set_faults("CreateClientKey delay=1000 x1")
    created = emulator.count("CreateClientKey")
    writer = Write(mount, PASSWORD)
    wait_for_request(emulator, more_than=created)
    upgrading = begin_upgrade(mount, installed)
    configure(mount, "defaults: owner = daemon")
    mount.process.send_signal(signal.SIGHUP)
    assert writer.end() == 0
    assert upgrading.wait(30) == 0
    await_text(mount.errors, "aapfs: reloaded\n")
    assert attributes(mount / "payments/client_key.json")[0] == DAEMON


@pytest.mark.parametrize("words", [["-x"], ["more"]])
def test_wrong_words(words):
    done = run_aapfs("reload", *words)
    assert done.returncode == 2


def test_paths_of_the_command_line_mean_the_same_in_a_reload(start_emulator, tmp_path):
    """In the background, from a directory of its own, with relative paths and a link that is moved."""
    emulator = start_emulator()
    (tmp_path / "aap").mkdir()
    for name, owner in (("one", "nobody"), ("two", "daemon")):
        (tmp_path / f"{name}.conf").write_text(f"[kms]\nendpoint = {emulator.url}\n[defaults]\nowner = {owner}\n")
    (tmp_path / "aapfs.conf").symlink_to("one.conf")
    (tmp_path / "key").touch(0o600)
    (tmp_path / "key").write_text("5a" * 32 + "\n")
    started = run_aapfs("-c", "aapfs.conf", "--state", "state", "--state-key", "key", "aap", cwd=tmp_path)
    assert (started.returncode, started.stderr) == (0, "")
    try:
        until((tmp_path / "aap/payments").exists)
        (tmp_path / "aap/payments/control").write_text(PASSWORD + "\n")
        assert attributes(tmp_path / "aap/payments/client_key.json")[0] == NOBODY
        (tmp_path / "fresh").symlink_to("two.conf")
        os.replace(tmp_path / "fresh", tmp_path / "aapfs.conf")
        (tmp_path / "one.conf").unlink()
        done = run_aapfs("reload", "-m", tmp_path / "aap")
        assert (done.returncode, done.stderr) == (0, "")
        assert attributes(tmp_path / "aap/payments/client_key.json")[0] == DAEMON
    finally:
        subprocess.run(["umount", tmp_path / "aap"], check=True)


class SlowNames:
    """A user database that hangs as long as it is told to, and knows who asked it."""

    def __init__(self, directory):
        self.file = directory / "slow-names"
        self.note = self.file.with_suffix(".asked")
        self.env = {"LD_PRELOAD": str(BUILD / "tests/programs/slow_names.so"), "SLOW_NAMES": str(self.file)}

    def asked(self):
        return {int(line) for line in self.note.read_text().split()} if self.note.exists() else set()

    def hang(self):
        self.note.unlink(missing_ok=True)
        self.file.touch()

    def answer(self):
        self.file.unlink()


@pytest.fixture
def names(tmp_path):
    names = SlowNames(tmp_path)
    yield names
    names.file.unlink(missing_ok=True)


@pytest.mark.parametrize("how", ["control", "signal"])
def test_a_user_database_that_hangs_keeps_nobody_waiting(start_mount, emulator, names, how):
    mount = start_mount(emulator.url, expected_errors=SAID, defaults="owner = nobody", env=names.env)
    configure(mount, "defaults: owner = daemon", "defaults: group = mail", "defaults: on_rotate_user = daemon")
    names.hang()
    if how == "control":
        reloading = subprocess.Popen([AAPFS, "reload", "-m", mount.path], stderr=subprocess.PIPE, text=True)
    else:
        mount.process.send_signal(signal.SIGHUP)
    until(names.asked)
    # every part of it works: what is written, another reload, a worker that dies
    mount.write("payments", PASSWORD)
    if how == "signal":  # else it waits in the kernel for the other writer
        done = reload(mount)
        assert done.returncode == 1 and "a reload is under way" in done.stderr
    os.kill(before := mount.children()["aapfs-worker"], signal.SIGKILL)
    until(lambda: mount.children().get("aapfs-worker", before) != before)
    mount.write("payments", PASSWORD)
    assert attributes(mount / "payments/client_key.json")[0] == NOBODY
    if how == "control":
        assert reloading.wait(10) == 1 and "was interrupted before the command was done" in reloading.stderr.read()
        reloading.stderr.close()
        reloading = subprocess.Popen([AAPFS, "reload", "-m", mount.path])
        until(lambda: "aapfs-reader" in mount.children())
    worker = mount.children()["aapfs-worker"]
    names.answer()
    assert how == "signal" or reloading.wait(10) == 0
    until(lambda: "aapfs: reloaded\n" in mount.errors())
    until(lambda: attributes(mount / "payments/client_key.json")[:2] == (DAEMON, MAIL))
    assert not names.asked() & {mount.process.pid, before, worker}


@pytest.mark.full
def test_a_reload_does_not_wait_for_a_user_database_for_ever(start_mount, emulator, names):
    said = re.compile(SAID.pattern + r"|aapfs: reload: \S+ was not read within 10 s, .*; everything is as before, .*\n")
    mount = start_mount(emulator.url, expected_errors=said, defaults="owner = nobody", env=names.env)
    mount.write("payments", PASSWORD)
    configure(mount, "defaults: owner = daemon")
    before = state_of(mount)
    names.hang()
    done = reload(mount)
    assert done.returncode == 1 and "Connection timed out" in done.stderr and "was not read within 10 s" in done.stderr
    until(lambda: state_of(mount)[2] == before[2])  # its reader is gone
    mount.process.send_signal(signal.SIGHUP)
    until(lambda: "reload: " in mount.errors())
    assert attributes(mount / "payments/client_key.json")[0] == NOBODY
    names.answer()
    reloads(mount)
    assert attributes(mount / "payments/client_key.json")[0] == DAEMON


def test_after_an_upgrade_nobody_is_looked_up_again(start_mount, emulator, installed, names):
    """The supervisor that has become the new program would hang, with nobody to look after the worker."""
    mount = start_mount(emulator.url, binary=installed.path, expected_errors=SAID, defaults="owner = nobody", env=names.env)
    mount.write("payments", PASSWORD)
    installed.install(NEXT)
    names.note.unlink()
    assert upgrade(mount).returncode == 0
    assert len(names.asked()) == 1 and mount.process.pid not in names.asked()  # who stood by, and is the worker now
    assert names.asked() == {mount.children()["aapfs-worker"]}
    assert attributes(mount / "payments/client_key.json")[0] == NOBODY


@pytest.mark.full
def test_a_start_does_not_wait_for_a_user_database_for_ever(start_mount, emulator, names):
    mount = start_mount(emulator.url, defaults="owner = nobody", env=names.env)
    mount.leave()
    names.hang()
    done = run_aapfs("-f", "-c", mount.config, mount.path, env=environment(**names.env))
    assert done.returncode == 2, done
    assert done.stderr.startswith("aapfs: configuration: it was not read within 10 s, perhaps since users and groups")


def test_a_command_s_user_who_cannot_be_looked_up_ends_with_the_command_s_time(start_mount, emulator, names):
    said = re.compile(SAID.pattern + r"|aapfs: payments: on_rotate: .*\n")
    mount = start_mount(emulator.url, expected_errors=said, env=names.env,
                        defaults="on_rotate = true\non_rotate_user = daemon\non_rotate_timeout = 1s")
    mount.write("payments", PASSWORD)
    names.hang()
    mount.write("payments", PASSWORD)
    mount.write("orders", PASSWORD)
    until(lambda: (mount.status("payments")["LastHook"] or {}).get("Result", "") == "timed out", 20,
          lambda: str(mount.status("payments")["LastHook"]))
    names.answer()
    mount.write("payments", "rotate")
    until(lambda: mount.status("payments")["LastHook"]["Result"] == "ok")


def test_a_read_only_mount_reloads(start_mount, emulator):
    said = re.compile(SAID.pattern + r"|aapfs: reload: .*\n")
    first = start_mount(emulator.url)
    first.write("payments", PASSWORD)
    first.leave()
    mount = start_mount(emulator.url, "-o", "ro", expected_errors=said, defaults="owner = nobody", **first.kept)
    path = mount / "payments/client_key.json"
    assert attributes(path)[0] == NOBODY
    configure(mount, "defaults: owner = daemon")
    reloads(mount)
    assert attributes(path)[0] == DAEMON
    configure(mount, "defaults: owner = no-such-user")
    done = reload(mount)
    assert done.returncode == 1 and done.stderr.startswith("aapfs: reload: Invalid argument: ")
    assert "owner: no such user; right is a user's name or number" in done.stderr
    mount.process.send_signal(signal.SIGHUP)
    until(lambda: "aapfs: reload: " in mount.errors())
    refused = run_aapfs("reload", "-m", mount.path, user=12345, group=12345, extra_groups=[])
    assert refused.returncode == 1 and "Permission denied" in refused.stderr
    assert attributes(path)[0] == DAEMON
    assert attributes(mount.state / ".requests") == (0, 0, 0o600)


def test_a_read_only_view_of_a_mount_says_where_its_control_is(mount, tmp_path):
    view = tmp_path / "view"
    view.mkdir()
    subprocess.run(["mount", "--bind", mount.path, view], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", view], check=True)
    try:
        done = run_aapfs("reload", "-m", view)
        assert done.returncode == 1 and "where only this view of the mount is read-only, use another one" in done.stderr
        assert not (mount.state / ".requests").exists()
    finally:
        subprocess.run(["umount", view], check=True)


def test_a_read_only_mount_is_upgraded(start_mount, emulator, installed):
    said = re.compile(SAID.pattern + r"|aapfs: upgrade: .*; everything is as before\n")
    mount = start_mount(emulator.url, "-o", "ro", binary=installed.path, expected_errors=said)
    installed.install(b"#!/bin/sh\nexit 1\n")
    done = upgrade(mount)
    assert done.returncode == 1 and "the installed program ended (status 1) before it stood by" in done.stderr
    assert mount.status()["Version"] == "0.1.0"
    for version, program in (("0.1.1", NEXT), ("0.1.0", AAPFS)):
        installed.install(program)
        done = upgrade(mount)
        assert (done.returncode, done.stderr) == (0, ""), mount.errors()
        assert mount.status()["Version"] == version
        assert os.stat(f"/proc/{mount.process.pid}/exe").st_ino == os.stat(installed.path).st_ino
        reloads(mount)
    mount.leave()
    assert not (mount.state / ".requests").exists()


def test_a_read_only_mount_that_ends_meanwhile_lets_nobody_wait(start_mount, emulator, names):
    mount = start_mount(emulator.url, "-o", "ro", expected_errors=SAID, env=names.env)
    configure(mount, "defaults: owner = daemon")
    names.hang()
    asking = [subprocess.Popen([AAPFS, "reload", "-m", mount.path], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    until(names.asked)
    mount.process.terminate()
    said = "".join(process.communicate(timeout=10)[1] for process in asking)
    assert "the supervisor ended before it had answered" in said and all(process.returncode == 1 for process in asking)


def test_what_asks_kms_nothing_is_not_held_up_by_what_failed_there(start_mount, start_emulator):
    emulator = start_emulator()
    mount = start_mount(emulator.url, creation_guard="1h", expected_errors="aapfs: reloaded\n")
    emulator.stop()
    for _ in range(2):  # the second one is told of the first
        assert result_of(mount, "sync", ".aapfs") == errno.ECONNREFUSED
    reloads(mount)
    mount.write(".aapfs", "rotate-due")
    mount.write(".aapfs", "adopt-state")
