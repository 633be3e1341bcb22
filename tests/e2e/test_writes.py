"""Writes that are cut, interrupted, repeated or race: never a command from a piece, never a second key."""
import ctypes
import errno
import mmap
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time

import pytest

from parts.harness import AAPFS, PASSWORD, result_of, run_aapfs, until
from parts.kms import wait_for_request
from parts.log import KILLED

libc = ctypes.CDLL(None, use_errno=True)


def test_a_write_that_does_not_begin_at_zero(mount, emulator):
    control = os.open(mount / "payments/control", os.O_WRONLY)
    for offset in (1, 4090, 4096, 1 << 40):
        with pytest.raises(OSError) as raised:
            os.pwrite(control, f"{PASSWORD}\n".encode(), offset)
        assert raised.value.errno == errno.EINVAL
    os.close(control)
    assert emulator.count("CreateClientKey") == 0


def test_a_write_across_a_page_is_no_command(mount, emulator):
    """The kernel cuts a write at 4096: neither its head nor its tail is a command."""
    control = os.open(mount / "payments/control", os.O_WRONLY)
    for text in (b" " * 4090 + f"{PASSWORD}\n".encode(),
                 b'{"Password":"abcdefg1"}' + b" " * 4100,
                 f"{PASSWORD}\n".encode() * 500):
        with pytest.raises(OSError) as raised:
            os.write(control, text)
        assert raised.value.errno == errno.EINVAL
    os.close(control)
    assert emulator.count("CreateClientKey") == 0
    assert mount.last_error()["Errno"] == "EINVAL"


def test_a_buffer_over_a_page_that_is_not_there(mount, emulator):
    """The kernel copies what it can; a head without its end must have no effect."""
    page = mmap.PAGESIZE
    area = mmap.mmap(-1, 2 * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    assert libc.mprotect(address + page, page, 0) == 0
    command = f"{PASSWORD}\n".encode()
    head = len(command) - 1
    ctypes.memmove(address + page - head, command, head)
    control = os.open(mount / "payments/control", os.O_WRONLY)
    libc.write.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
    assert libc.write(control, address + page - head, len(command)) == -1
    assert ctypes.get_errno() in (errno.EFAULT, errno.EINVAL)
    os.close(control)
    libc.mprotect(address + page, page, 3)
    assert emulator.count("CreateClientKey") == 0


def test_a_buffer_over_a_page_that_has_to_be_read_in(mount, emulator, tmp_path):
    """A page of a file that no memory holds yet: the whole command counts, once, or none of it."""
    page = mmap.PAGESIZE
    command = f"{PASSWORD}\n".encode()
    source = tmp_path / "source"
    head = 5
    source.write_bytes(b" " * (page - head) + command + b" " * page)
    descriptor = os.open(source, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    area = mmap.mmap(descriptor, 2 * page, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    area[page - head]  # the first page is there, the second one is not
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    control = os.open(mount / "payments/control", os.O_WRONLY)
    libc.write.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
    result = libc.write(control, address + page - head, len(command))
    os.close(control)
    assert result in (len(command), -1)
    assert emulator.count("CreateClientKey") == (result == len(command))


WRITER = """
import os, signal, sys
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
control = os.open(sys.argv[1], os.O_WRONLY)
print(os.write(control, sys.argv[2].encode()))
"""


@pytest.mark.core
def test_interrupted_and_repeated_by_python_itself(start_mount, emulator):
    mount = start_mount(emulator.url, request_timeout="5s")
    emulator.set_faults("CreateClientKey delay=700")
    done = subprocess.run([sys.executable, "-c", WRITER, mount / "payments/control", PASSWORD + "\n"],
                          capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{len(PASSWORD) + 1}\n", "")
    assert emulator.count("CreateClientKey") == 1
    assert mount.status("payments")["ClientKeyId"] == mount.key_id()


def test_an_error_reaches_the_repeated_write(start_mount, emulator):
    mount = start_mount(emulator.url, request_timeout="5s")
    emulator.set_faults("CreateClientKey delay=400")
    done = subprocess.run([sys.executable, "-c", WRITER.replace(
        "print(os.write(control, sys.argv[2].encode()))",
        "\ntry: os.write(control, sys.argv[2].encode())\nexcept OSError as e: print(e.errno)"),
        mount / "payments/control", "delete KAAP.unknown\n"], capture_output=True, text=True)
    assert done.stdout == f"{errno.ENOENT}\n"


@pytest.mark.full
def test_interrupted_for_good_goes_on_in_the_background(start_mount, emulator):
    mount = start_mount(emulator.url, request_timeout="5s")
    emulator.set_faults("CreateClientKey delay=500 x1")
    watch = subprocess.Popen(["inotifywait", "-q", "-e", "moved_to", mount / "payments"],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    writer = subprocess.Popen(["/bin/sh", "-c", 'printf "%s\\n" "$1" > "$2"', "sh", PASSWORD,
                               mount / "payments/control"])
    wait_for_request(emulator)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    watch.communicate(timeout=20)
    assert emulator.count("CreateClientKey") == 1
    assert mount.status("payments")["State"] == "active"


def write_and_interrupt(mount, aap, command, when):
    """A signal interrupts the write after WHEN() has returned; Python does not repeat it. What it ended with."""
    def stop(*_):
        raise InterruptedError("by the test")
    before = signal.signal(signal.SIGUSR1, stop)
    main = threading.get_ident()

    def interrupt():
        when()
        signal.pthread_kill(main, signal.SIGUSR1)
    thread = threading.Thread(target=interrupt)
    try:
        thread.start()
        with pytest.raises(InterruptedError, match="by the test"):
            mount.write(aap, command)
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)


def test_the_end_of_an_interrupted_write_shows_though_its_worker_dies(start_mount, emulator):
    mount = start_mount(emulator.url, request_timeout="5s", expected_errors=KILLED)
    emulator.set_faults("CreateClientKey delay=1000 x1")
    write_and_interrupt(mount, "payments", PASSWORD, lambda: wait_for_request(emulator))
    assert mount.last_error() is None
    mount.kill("aapfs-worker")
    failure = until(mount.last_error)
    assert (failure["Code"], failure["Errno"]) == ("Interrupted", "EIO") and "Orphans" in failure["Message"]
    mount.write("payments", PASSWORD)
    assert mount.last_error() is None and emulator.count("CreateClientKey") == 2
    assert mount.status("payments")["ClientKeyId"] == mount.key_id()


def test_a_command_that_is_stopped_and_continued_gets_the_result(start_mount, emulator):
    """The kernel interrupts the write of a process that is stopped, whether it handles signals or not."""
    mount = start_mount(emulator.url, request_timeout="5s")
    emulator.set_faults("CreateClientKey delay=700 x1")
    with subprocess.Popen([AAPFS, "create", "-m", mount.path, "--password-file", "-", "payments"], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as command:
        command.stdin.write(PASSWORD + "\n")
        command.stdin.close()
        wait_for_request(emulator)
        command.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, command.pid, os.WSTOPPED)
        command.send_signal(signal.SIGCONT)
        printed, said = command.stdout.read(), command.stderr.read()
    assert (command.returncode, printed, said) == (0, mount.key_id() + "\n", "")
    assert emulator.count("CreateClientKey") == 1


@pytest.mark.full
def test_a_write_that_is_interrupted_and_repeated_for_ever_leaves_room_for_others(start_mount, emulator):
    mount = start_mount(emulator.url, request_timeout="20s")
    emulator.set_faults("CreateClientKey delay=4000 x1")
    quick = WRITER.replace("0.1, 0.1", "0.1, 0.001")  # more often than there are slots
    with subprocess.Popen([sys.executable, "-c", quick, mount / "payments/control", PASSWORD + "\n"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as writer:
        wait_for_request(emulator)
        until(lambda: mount.status()["Requests"]["WRITE"] > 1200)
        mount.write("orders", PASSWORD)
        assert writer.communicate() == (f"{len(PASSWORD) + 1}\n", "")
    assert emulator.count("CreateClientKey") == 2


def test_two_writers_at_once_make_two_keys_one_after_the_other(start_mount, emulator):
    mount = start_mount(emulator.url, request_timeout="5s")
    emulator.set_faults("CreateClientKey delay=100")
    results = []

    def write(password):
        mount.write("payments", password)
        results.append(mount.key_id())

    threads = [threading.Thread(target=write, args=[f"{PASSWORD}-{number}"]) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert emulator.count("CreateClientKey") == 2
    assert len(os.listdir(mount / "payments/keys")) == 2
    assert mount.key_id() in results


def test_two_descriptors_writing_the_same_bytes_are_two_commands(mount, emulator):
    mount.write("payments", PASSWORD)
    mount.write("payments", PASSWORD)
    assert emulator.count("CreateClientKey") == 2


@pytest.mark.core
def test_a_connection_that_drops_after_the_work_is_not_sent_again(mount, emulator):
    mount.sync()  # leaves a connection that could be used again
    emulator.set_faults("CreateClientKey reset-after")
    with pytest.raises(ConnectionResetError):
        mount.write("payments", PASSWORD)
    assert emulator.count("CreateClientKey") == 1
    assert not os.path.exists(mount / "payments/client_key.json")


def test_shells_and_tools_write_it(mount, emulator, tmp_path):
    control = mount / "payments/control"
    source = tmp_path / "password"
    source.write_text(PASSWORD + "\n")
    for command in (f"echo '{PASSWORD}' > {control}", f"cat {source} > {control}", f"cp {source} {control}",
                    f"dd if={source} of={control} status=none",
                    f"echo '{PASSWORD}' | tee {control} > /dev/null"):
        before = emulator.count("CreateClientKey")
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), command
        assert emulator.count("CreateClientKey") == before + 1, command


def test_appending_is_refused_with_a_word(mount, emulator):
    """It would begin at byte 4096, the size of the file."""
    done = subprocess.run(["bash", "-c", f"echo '{PASSWORD}' >> {mount.path}/payments/control"])
    assert done.returncode == 1
    assert "begin at 0" in mount.last_error()["Message"]
    assert emulator.count("CreateClientKey") == 0


def test_aapfs_create_rotate_and_delete(mount, emulator, tmp_path):
    source = tmp_path / "password"
    source.write_text(PASSWORD + "\n")

    def aapfs(*words, **more):
        return run_aapfs(words[0], "-m", mount.path, *words[1:], **more)

    done = aapfs("rotate", "payments", "--password-file", source)
    assert done.returncode == 1 and "no key to rotate" in done.stderr
    done = aapfs("create", "payments", "--password-file", source)
    assert (done.returncode, done.stdout, done.stderr) == (0, mount.key_id() + "\n", "")
    old = mount.key_id()
    done = aapfs("rotate", "--password-file", "-", "payments", input=PASSWORD + "\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, mount.key_id() + "\n", "")
    assert mount.key_id() != old
    done = aapfs("create", "payments", "--password-file", "-", input="short\n")
    assert done.returncode == 1 and "too short" in done.stderr
    assert emulator.count("CreateClientKey") == 2
    done = aapfs("delete", "payments", mount.key_id())
    assert done.returncode == 1 and "busy" in done.stderr
    done = aapfs("delete", "payments", old)
    assert (done.returncode, done.stderr) == (0, "")
    assert os.listdir(mount / "payments/keys") == [mount.key_id()]
    emulator.set_faults("CreateClientKey denied")
    done = aapfs("rotate", "--password-file", "-", "payments", input=PASSWORD + "\n")
    assert done.returncode == 1
    assert done.stderr == ("aapfs: payments: Permission denied: Forbidden.NoPermission: "
                           "This operation is forbidden by permission system.\n")
    assert aapfs("create", "nothing", "--password-file", "-", input="x").returncode == 1
    assert aapfs("create").returncode == 2


def on_a_terminal(mount, *answers, command="create"):
    """(exit status, what a terminal showed), with the lines that are typed at each prompt."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(AAPFS, ["aapfs", command, "-m", str(mount.path), "payments"])
    shown, seen = b"", 0
    try:
        while part := os.read(terminal, 1000):
            shown += part
            if shown[seen:].endswith(b": "):
                seen = len(shown)
                os.write(terminal, answers[0])
                answers = answers[1:]
    except OSError:
        pass  # the other end is closed
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode()


def without_a_terminal(mount, *words):
    done = run_aapfs(words[0], "-m", mount.path, *words[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    return done.returncode, done.stdout, done.stderr


def passwords_sent(emulator):
    queries = [dict(record["Query"]) for record in emulator.records() if ["x-acs-action", "CreateClientKey"] in record["Headers"]]
    return [query["Password"] for query in queries]


def test_create_asks_twice_without_echo(mount):
    status, shown = on_a_terminal(mount, PASSWORD.encode() + b"\n", PASSWORD.encode() + b"\n")
    assert status == 0
    assert PASSWORD not in shown and "client key: " in shown and "Again: " in shown
    assert mount.key_id() in shown


def test_rotate_asks_and_enter_alone_is_the_kept_password(mount, emulator):
    mount.write("payments", PASSWORD)
    other = b"Another-Horse2\n"
    assert on_a_terminal(mount, other, other, command="rotate")[0] == 0
    status, shown = on_a_terminal(mount, b"\n", command="rotate")
    assert status == 0 and shown.endswith(mount.key_id() + "\r\n")
    assert "(Enter alone: the kept one): " in shown and "Again" not in shown
    assert passwords_sent(emulator) == [PASSWORD, "Another-Horse2", "Another-Horse2"]
    assert on_a_terminal(mount, b"\4", command="rotate")[0] == 1  # the end of the file is not Enter
    assert on_a_terminal(mount, b"\n", b"\n")[0] == 1  # nor is there a kept one for create
    assert len(passwords_sent(emulator)) == 3


# a shell with jobs that leaves the terminal as its jobs do
AT_A_SHELL = """trap : INT QUIT; "$1" create -m "$2" payments; stty -a; fg; echo "=$?"; exit"""


@pytest.mark.parametrize("key", [b"\3", b"\x1c", b"\x1a"], ids=["interrupt", "quit", "stop"])
def test_a_question_that_is_left_leaves_the_terminal_as_it_was(mount, key):
    child, terminal = pty.fork()
    if child == 0:
        os.execvp("dash", ["dash", "-mc", AT_A_SHELL, "sh", str(AAPFS), str(mount.path)])
    shown = b""

    def read_until(*texts, press=b""):
        nonlocal shown
        end = time.monotonic() + 30
        while not all(text in shown for text in texts):
            assert time.monotonic() < end, shown
            if select.select([terminal], [], [], 2)[0]:
                shown += os.read(terminal, 4096)
            else:
                os.write(terminal, press)

    read_until(b"client key: ")
    os.write(terminal, key)
    # pressed again where it did nothing: the shell may have had the terminal for a moment more
    read_until(b" echo ", b" icanon ", press=key)
    if key == b"\x1a":
        read_until(b"new client key: ", b"extproc")
        shown = shown[shown.index(b"extproc"):]
        for prompt in (b"client key: ", b"Again: "):
            read_until(prompt)
            os.write(terminal, PASSWORD.encode() + b"\n")
        read_until(b"=0")
        assert PASSWORD.encode() not in shown and mount.key_id().encode() in shown
    os.close(terminal)
    os.waitpid(child, 0)


def test_rotate_without_a_terminal_takes_the_kept_password(mount, emulator):
    mount.write("payments", PASSWORD)
    assert without_a_terminal(mount, "rotate", "payments") == (0, mount.key_id() + "\n", "")
    assert passwords_sent(emulator) == [PASSWORD, PASSWORD]
    assert without_a_terminal(mount, "create", "payments") == (
        1, "", "aapfs: no terminal to ask for the password; give --password-file FILE or -\n")
    assert without_a_terminal(mount, "rotate", "orders") == (
        1, "", "aapfs: orders: there is no key to rotate; make one by: aapfs create orders\n")


def test_a_password_that_looks_like_a_command(mount, emulator, tmp_path):
    """A typo costs none of the three keys; who means it says so, and `aapfs create` always does."""
    for typo in ("retry-chek", "rotate-now", "delete-all", "Rotate-Now 2027-12-01T00:00:00Z 2028-12-01T00:00:00Z"):
        assert result_of(mount, typo) == errno.EINVAL
        assert "commands here: rotate, reloaded, retry-check, delete" in mount.last_error()["Message"]
        assert typo not in mount.last_error()["Message"]
    assert emulator.count("CreateClientKey") == 0
    source = tmp_path / "password"
    source.write_text("retry-chek\n")
    assert without_a_terminal(mount, "create", "payments", "--password-file", source)[0] == 0
    mount.write("payments", "rotate")  # with the same one, which is kept
    mount.write("payments", b'{"Password":"rotate-now"}')
    assert without_a_terminal(mount, "rotate", "payments")[0] == 0
    assert passwords_sent(emulator) == ["retry-chek", "retry-chek", "rotate-now", "rotate-now"]


def test_an_aap_that_is_not_there_is_explained_before_a_password_is_asked_for(start_mount, emulator, tmp_path):
    mount = start_mount(emulator.url, env={"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "wrong"})
    for command in ("create", "rotate"):
        status, shown = on_a_terminal(mount, command=command)
        assert status == 1 and shown.startswith("aapfs: payments: KMS was never listed: SignatureDoesNotMatch: ")
        assert shown.endswith("; see aapfs check\r\n") and "Password" not in shown
    (tmp_path / "key").write_text('{"KeyId": "KAAP.1", "PrivateKeyData": "QUJD"}')
    for words in (["delete", "payments", "KAAP.1"], ["adopt", "payments", tmp_path / "key", tmp_path / "key"]):
        status, _, errors = without_a_terminal(mount, *words)
        assert status == 1 and errors.startswith("aapfs: payments: KMS was never listed: SignatureDoesNotMatch: ")


def test_an_aap_that_kms_does_not_list_is_explained(mount, tmp_path):
    listed = mount.status()["LastSync"]
    for command in ("create", "rotate"):
        assert without_a_terminal(mount, command, "nothing") == (
            1, "", f"aapfs: nothing: there is no such AAP here; KMS was listed at {listed}; to list it again: "
            f"echo sync > {mount.path}/.aapfs/control\n")
    assert without_a_terminal(mount, "create", "../aap") == (1, "", f"aapfs: {mount.path}/../aap: not a name that an AAP has here\n")
    done = run_aapfs("create", "-m", tmp_path, "payments", start_new_session=True)
    assert (done.returncode, done.stderr) == (1, f"aapfs: {tmp_path}/.aapfs/status: not there: is aapfs mounted?\n")
    done = run_aapfs("create", "-m", tmp_path / "no", "payments", start_new_session=True)
    assert (done.returncode, done.stderr) == (1, f"aapfs: {tmp_path}/no/payments: No such file or directory\n")
