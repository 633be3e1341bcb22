"""fs/fleet's interface against a real etcd of three members: what it does, and what becomes of it when members fail."""
import signal
import threading
import time

import pytest

from parts.etcd import PASSWORD, PREFIX, USER, Authority, Between, Client, encode, good, need_etcd
from parts.harness import until

need_etcd()

pytestmark = pytest.mark.long  # what mounts do with it every day is in test_fleet.py


@pytest.fixture
def cluster(etcd):
    """All of it runs, and nothing is in it."""
    etcd.start_revision = etcd.clear()
    yield etcd
    etcd.restore()


@pytest.fixture
def start(cluster):
    started = []

    def begin(**changed):
        started.append(Client(**{**cluster.options(), **changed}))
        return started[-1]

    yield begin
    for client in started:
        client.stop()


@pytest.fixture
def client(start):
    return start()


@pytest.fixture
def between(cluster):
    """A socat in front of each member."""
    all_of_them = [Between(member.port) for member in cluster.members]
    yield all_of_them
    for one in all_of_them:
        one.signal(signal.SIGCONT)
        one.stop()


def changes(client, tag, until_value):
    """What a watch tells, up to a change to UNTIL_VALUE, which ends it; its reached revisions must grow."""
    told, reached = [], 0
    while True:
        line = client.next(tag, "changed", "reached", "lost")
        assert line["what"] != "lost"
        if line["what"] == "reached":
            assert line["revision"] > reached
            reached = line["revision"]
            continue
        told.append((line["entry"]["key"].removeprefix(PREFIX), line["entry"]["value"], line["entry"]["mod"]))
        if line["entry"]["value"] == until_value:
            return told


# -- what it does -----------------------------------------------------------------------------------


def test_reads_and_commits(client):
    key = PREFIX + "a"
    assert client.get(key)[0] == {}
    made = good(client.commit([[key, "version", 0]], [[key, "one"]]))
    assert made["done"]
    found, ended = client.get(key)
    assert found == {key: {"key": key, "value": "one", "create": made["revision"], "mod": made["revision"], "version": 1, "lease": 0}}
    assert ended["revision"] == made["revision"]
    again = good(client.commit([[key, "version", 0]], [[key, "two"]]))
    assert not again["done"] and again["found"] == [found[key]]  # nothing is changed, and what is there is told
    changed = good(client.commit([[key, "mod", made["revision"]], [PREFIX + "b", "version", 0]],
                                 [[key, "two"], [PREFIX + "b", ""]]))
    assert changed["done"]
    found, _ = client.get(PREFIX, prefix=True)
    assert [(e["value"], e["mod"], e["create"]) for e in found.values()] == [
        ("two", changed["revision"], made["revision"]), ("", changed["revision"], changed["revision"])]
    # one of two comparisons does not hold: none of the changes is made
    refused = good(client.commit([[key, "create", made["revision"]], [PREFIX + "b", "mod", 1]], [[key, None], [PREFIX + "b", "x"]]))
    assert not refused["done"] and [e["value"] for e in refused["found"]] == ["two", ""]
    removed = good(client.commit([[key, "create", made["revision"]]], [[key, None]]))
    assert removed["done"]
    assert list(client.get(PREFIX, prefix=True)[0]) == [PREFIX + "b"]


def test_what_cannot_be_repeated_is_refused(client):
    key = PREFIX + "a"
    for compare, change in (([], [[key, "x"]]), ([[key, "version", 0]], []), ([[key, "version", 0]], [[PREFIX + "b", "x"]]),
                            ([[key, "version", 0]] * 9, [[key, "x"]]), ([["", "version", 0]], [["", "x"]]),
                            ([[key * 200, "version", 0]], [[key * 200, "x"]]), ([[key, "version", 0]], [[key, "x" * 131073]])):
        line = client.commit(compare, change)
        assert (line["what"], line["errno"]) == ("refused", "EINVAL")
    assert client.get(PREFIX, prefix=True)[0] == {}


def test_a_prefix_comes_in_parts_and_is_of_one_revision(client, cluster):
    names = [f"{PREFIX}many/{number:03}" for number in range(150)]
    for first in range(0, 150, 8):
        part = names[first:first + 8]
        good(client.commit([[name, "version", 0] for name in part], [[name, name[-3:] * 100] for name in part]))
    cluster.put(PREFIX + "many0", "outside")
    found, ended = client.get(PREFIX + "many/", prefix=True)
    assert list(found) == names and all(found[name]["value"] == name[-3:] * 100 for name in names)
    found, only = client.get(PREFIX + "many/", prefix=True, keys_only=True)
    assert list(found) == names and {entry["value"] for entry in found.values()} == {None}
    assert only["revision"] == ended["revision"]


def test_large_values_of_others_are_read_in_smaller_parts(client, cluster):
    for number in range(14):
        cluster.put(f"{PREFIX}large/{number:02}", "x" * 1_400_000)
    found, ended = client.get(PREFIX + "large/", prefix=True, timeout_ms=60000)
    good(ended)
    assert [len(entry["value"]) for entry in found.values()] == [1_400_000] * 14
    tag = client.watch(cluster.start_revision)
    sizes = [len(client.next(tag, "changed")["entry"]["value"]) for _ in range(14)]
    assert sizes == [1_400_000] * 14


def test_a_watch_tells_everything_in_its_order(start, cluster):
    first, second = start(), start(renew_ms=300)
    tag = second.watch(cluster.start_revision)
    cluster.put(PREFIX + "a", "1")
    good(first.commit([[PREFIX + "b", "version", 0]], [[PREFIX + "b", "2"], [PREFIX + "c", "3"]]))
    cluster.put("elsewhere", "no")
    found, _ = first.get(PREFIX + "a")
    good(first.commit([[PREFIX + "a", "mod", found[PREFIX + "a"]["mod"]]], [[PREFIX + "a", None]]))
    for number in range(200):  # while the watch is begun anew several times
        first.put(PREFIX + "n", str(number))
    told = changes(second, tag, "199")
    assert [(key, value) for key, value, _ in told] == [("a", "1"), ("b", "2"), ("c", "3"), ("a", None)] + [
        ("n", str(number)) for number in range(200)]
    late = start()
    assert changes(late, late.watch(told[3][2]), "199") == told[4:]
    second.tell("end-watch", tag)
    last = first.put(PREFIX + "n", "200")
    assert changes(late, late.watch(last - 1), "200") == [("n", "200", last)]
    assert not [line for line in second.kept if line["what"] == "changed"]


def test_a_lease_holds_its_keys(client, start, cluster):
    watcher = start()
    tag = watcher.watch(cluster.start_revision)
    lease = client.tell("lease", ttl_s=2, timeout_ms=5000)
    lease_id = client.next(lease, "granted")["id"]
    good(client.commit([[PREFIX + "lock", "version", 0]], [[PREFIX + "lock", "me", lease_id]]))
    assert watcher.next(tag, "changed")["entry"]["lease"] == lease_id
    client.tell("left", lease)
    assert 0 < client.next(lease, "left")["left_ms"] <= 2000
    with pytest.raises(AssertionError, match="says no"):  # longer than it would live by itself
        watcher.next(tag, "changed", seconds=4.5)
    client.tell("left", lease)
    assert client.next(lease)["left_ms"] > 0
    client.tell("end-lease", lease)
    gone = watcher.next(tag, "changed")["entry"]
    assert (gone["key"], gone["version"], gone["value"]) == (PREFIX + "lock", 0, None)
    # one that held it cannot make it again with that lease
    late = client.commit([[PREFIX + "lock", "version", 0]], [[PREFIX + "lock", "me", lease_id]])
    assert (late["errno"], late["done"], late["maybe_done"]) == ("ENOENT", False, False)


def test_a_lease_that_somebody_revokes_is_lost(client, cluster):
    lease = client.tell("lease", ttl_s=3, timeout_ms=5000)
    cluster.ask("lease/revoke", {"ID": str(client.next(lease, "granted")["id"])})
    lost = client.next(lease)
    assert (lost["what"], lost["errno"], lost["text"]) == ("lost", "ENOENT", "the lease has ended in etcd")
    client.tell("left", lease)
    assert client.next(lease)["left_ms"] == 0


def test_a_client_that_dies_leaves_its_lease_to_end(cluster, start):
    watcher, dying = start(), Client(**cluster.options())
    tag = watcher.watch(cluster.start_revision)
    lease_id = dying.next(dying.tell("lease", ttl_s=2, timeout_ms=5000), "granted")["id"]
    good(dying.commit([[PREFIX + "lock", "version", 0]], [[PREFIX + "lock", "me", lease_id]]))
    dying.process.kill()
    assert watcher.next(tag, "changed")["entry"]["version"] == 1
    assert watcher.next(tag, "changed")["entry"]["version"] == 0


def test_many_at_once_share_a_few_connections(client):
    names = [f"{PREFIX}at-once/{number:03}" for number in range(200)]
    tags = [client.tell("commit", compare=[[name, "version", 0]], change=[[name, "x"]], timeout_ms=30000) for name in names]
    assert all(good(client.next(tag))["done"] for tag in tags)
    assert list(client.get(PREFIX + "at-once/", prefix=True)[0]) == names
    assert client.connections() <= 10


# -- who we are -------------------------------------------------------------------------------------


def test_a_token_that_etcd_takes_back_is_renewed_and_the_password_read_again(start, cluster):
    client = start()
    tag = client.watch(cluster.start_revision)
    client.put(PREFIX + "a", "1")
    change_password(cluster, "Another-Password2")
    client.put(PREFIX + "a", "2")
    change_password(cluster, PASSWORD)
    client.put(PREFIX + "a", "3")
    assert [value for _, value, _ in changes(client, tag, "3")] == ["1", "2", "3"]


def change_password(cluster, password):
    """etcd forgets the user's tokens."""
    cluster.write_password(password)
    cluster.ask("auth/user/changepw", {"name": USER, "password": password})


def test_members_that_were_restarted_know_no_token(client, cluster):
    tag = client.watch(cluster.start_revision)
    client.put(PREFIX + "a", "1")
    for member in cluster.members:
        member.kill()
    cluster.restore()
    client.put(PREFIX + "a", "2", timeout_ms=30000)
    assert [value for _, value, _ in changes(client, tag, "2")] == ["1", "2"]


def wrong(start, cluster, **options):
    """How a read ends, and what a watch says, for somebody who is set up wrongly: the same one line."""
    client = start(**options)
    began = time.monotonic()
    _, ended = client.get(PREFIX, prefix=True, timeout_ms=20000)
    assert time.monotonic() - began < 10  # and not after the whole time
    tag = client.watch(cluster.start_revision)
    said = client.next(tag)
    assert (said["what"], said["errno"]) == ("interrupted", ended["errno"])
    assert "\n" not in ended["text"] and not ended["maybe_done"]
    return ended["errno"], ended["text"].split(": ", 1)[1] if ended["text"].startswith("https://") else ended["text"]


def test_a_wrong_password_or_user(start, cluster, tmp_path):
    other = tmp_path / "password"
    other.write_text("Wrong-Password1\n")
    other.chmod(0o600)
    refused = ("EACCES", "etcdserver: authentication failed, invalid user ID or password; see user and password_file")
    assert wrong(start, cluster, password_file=str(other)) == refused
    assert wrong(start, cluster, user="nobody") == refused
    assert wrong(start, cluster, user="", password_file="") == (
        "EACCES", "etcdserver: user name is empty; etcd wants a user; see user and password_file")
    other.chmod(0o640)
    assert wrong(start, cluster, password_file=str(other)) == (
        "EACCES", f"{other}: others may read or write it; chmod 0600, and chown it to this user")
    assert wrong(start, cluster, password_file="/nowhere") == ("EACCES", "/nowhere: there is no such file")
    # who corrects it need not start again
    client = start(password_file=str(other))
    tag = client.watch(cluster.start_revision)
    assert client.next(tag)["errno"] == "EACCES"
    other.write_text(PASSWORD + "\n")
    other.chmod(0o600)
    client.next(tag, "goes on")


def test_a_role_that_is_too_small(client, cluster):
    _, ended = client.get("elsewhere/", prefix=True)
    assert ended["errno"] == "EACCES" and ended["text"].endswith(
        ": etcdserver: permission denied; the user's role must read and write all keys of prefix")
    line = client.commit([["elsewhere", "version", 0]], [["elsewhere", "x"]])
    assert (line["errno"], line["maybe_done"]) == ("EACCES", False)
    assert client.next(client.watch(1, "elsewhere/"))["errno"] == "EACCES"


def test_wrong_certificates(start, cluster, tmp_path):
    stranger = Authority(tmp_path, "stranger")
    certificate, key = map(str, stranger.make("client"))
    number, text = wrong(start, cluster, certificate=certificate, certificate_key=key)
    assert number == "EPROTO" and text.startswith("etcd does not take the client certificate (alert ")
    number, text = wrong(start, cluster, certificate="", certificate_key="")
    assert number == "EPROTO" and text.startswith("etcd does not take the client certificate (alert ")
    number, text = wrong(start, cluster, ca_file=str(stranger.file))
    assert number == "EPROTO" and text.startswith("the server's certificate is not trusted; see ca_file: ")
    number, text = wrong(start, cluster, certificate="/nowhere", certificate_key="/nowhere")
    assert number == "EPROTO" and "/nowhere" in text
    number, text = wrong(start, cluster, ca_file="/nowhere")
    assert number == "EPROTO" and "/nowhere" in text
    named = list(map(str, cluster.authority.make("named", common_name="aapfs")))
    assert wrong(start, cluster, certificate=named[0], certificate_key=named[1]) == (
        "EACCES", "with users on, etcd takes no certificate that has a CommonName from us; right is one without")


def test_what_is_no_etcd(start, cluster, emulator):
    client = start(endpoints=[emulator.url], ca_file="", certificate="", certificate_key="", user="", password_file="")
    _, ended = client.get(PREFIX, timeout_ms=5000)
    assert (ended["errno"], ended["text"]) == (
        "EBADMSG", f"{emulator.url}: not an answer of etcd (HTTP 404); is its enable-grpc-gateway on?")
    client = start(endpoints=["https://127.0.0.1:1", "https://etcd.invalid:2379"])
    _, ended = client.get(PREFIX, timeout_ms=1000)
    assert ended["errno"] in ("ECONNREFUSED", "EHOSTUNREACH")
    assert not ended["maybe_done"]
    # a right one among them does
    client = start(endpoints=["https://127.0.0.1:1", "https://etcd.invalid:2379", cluster.members[1].url])
    client.put(PREFIX + "a", "1")


# -- faults -----------------------------------------------------------------------------------------


class Writer:
    """Counts a key up through its own client as long as it is told to, and knows what was acknowledged."""

    def __init__(self, client, key):
        self.client, self.key = client, key
        self.acknowledged, self.doubtful, self.failed = [], set(), []
        self.going = True
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        mod, number = 0, 0
        while self.going:
            number += 1
            line = self.client.commit([[self.key, "mod", mod]], [[self.key, str(number)]], timeout_ms=20000)
            if line["errno"] != "0":
                self.failed.append(line)
                return
            if not line["done"]:  # it must be our own, from a try whose answer was lost
                found = line["found"][0]
                if found["value"] != str(number):
                    self.failed.append(line)
                    return
                mod = found["mod"]
            else:
                mod = line["revision"]
            self.acknowledged.append((str(number), mod))

    def after(self, count):
        """Once COUNT more were acknowledged."""
        wanted = len(self.acknowledged) + count
        until(lambda: len(self.acknowledged) >= wanted or self.failed, 40)
        assert not self.failed, self.failed

    def stop(self):
        self.going = False
        self.thread.join(40)
        assert not self.failed, self.failed
        return self.acknowledged


def told(client, tag, writer_key, last):
    """What a watch has told of a key, up to LAST; a change that came twice is one, and none comes out of order."""
    all_of_it, mods = [], []
    while not all_of_it or all_of_it[-1][0] != last:
        line = client.next(tag, "changed", "lost", seconds=40)
        assert line["what"] == "changed"
        entry = line["entry"]
        if entry["key"] == writer_key and (not mods or entry["mod"] > mods[-1]):
            all_of_it.append((entry["value"], entry["mod"]))
        mods.append(entry["mod"])
    return all_of_it


def used_by(cluster, client):
    """The member that CLIENT has its connections to."""
    def find():
        ports = client.ports()
        return next((member for member in cluster.members if ports == {member.port}), None)
    return until(find, 20)


@pytest.mark.parametrize("who", ["used", "leader"])
def test_a_member_dies(cluster, start, who):
    writer_client, watcher, holder = start(), start(), start()
    lease = holder.tell("lease", ttl_s=8, timeout_ms=5000)
    holder.next(lease, "granted")
    tag = watcher.watch(cluster.start_revision)
    writer = Writer(writer_client, PREFIX + "n")
    writer.after(20)
    member = cluster.leader() if who == "leader" else used_by(cluster, writer_client)
    member.kill()
    writer.after(50)
    member.start()
    writer.after(20)
    acknowledged = writer.stop()
    assert told(watcher, tag, PREFIX + "n", acknowledged[-1][0]) == acknowledged
    holder.tell("left", lease)
    assert holder.next(lease)["left_ms"] > 0


def test_every_member_dies_in_turn(cluster, start):
    writer_client, watcher = start(), start(renew_ms=1000)
    tag = watcher.watch(cluster.start_revision)
    writer = Writer(writer_client, PREFIX + "n")
    for member in cluster.members:
        writer.after(10)
        member.kill()
        writer.after(10)
        cluster.restore()
    acknowledged = writer.stop()
    assert told(watcher, tag, PREFIX + "n", acknowledged[-1][0]) == acknowledged


def test_quorum_is_lost_and_comes_back(cluster, start):
    client, holder = start(), start()
    tag = client.watch(cluster.start_revision)
    lease = holder.tell("lease", ttl_s=2, timeout_ms=5000)
    holder.next(lease, "granted")
    client.put(PREFIX + "a", "1")
    for member in cluster.members[:2]:
        member.kill()
    # who reads from the last one alone gets nothing, however new it may be: it cannot know that it is
    _, ended = client.get(PREFIX + "a", timeout_ms=4000)
    assert ended["errno"] in ("EAGAIN", "ECONNREFUSED", "ETIMEDOUT") and not ended["maybe_done"], ended
    line = client.commit([[PREFIX + "b", "version", 0]], [[PREFIX + "b", "1"]], timeout_ms=2000)
    assert line["errno"] in ("EAGAIN", "ECONNREFUSED", "ETIMEDOUT") and not line["done"]
    assert client.next(tag, "interrupted")["errno"] in ("EAGAIN", "ECONNREFUSED", "ECONNRESET")
    lost = holder.next(lease, "lost")
    assert (lost["errno"], lost["text"]) == ("ETIMEDOUT", "the lease could not be renewed in its time")
    cluster.restore()
    client.next(tag, "goes on")
    client.put(PREFIX + "a", "2")
    assert ("a", "2") in [(key, value) for key, value, _ in changes(client, tag, "2")]


def test_compaction_past_a_watcher(cluster, start, between):
    client = start(endpoints=[one.url for one in between])
    tag = client.watch(cluster.start_revision)
    client.put(PREFIX + "a", "1")
    client.put(PREFIX + "gone", "1")
    changes(client, tag, "1")
    for one in between:
        one.stop()
    client.next(tag, "interrupted")
    removed = cluster.ask("kv/deleterange", {"key": encode(PREFIX + "gone")})
    cluster.compact(cluster.put(PREFIX + "a", "2"))
    assert removed["deleted"] == "1"
    for one in between:
        one.start()
    client.next(tag, "lost")
    client.tell("end-watch", tag)
    found, ended = client.get(PREFIX, prefix=True, keys_only=True)
    assert list(found) == [PREFIX + "a"] and found[PREFIX + "a"]["mod"] == ended["revision"]
    tag = client.watch(ended["revision"])
    client.put(PREFIX + "a", "3")
    assert [value for _, value, _ in changes(client, tag, "3")] == ["3"]


def test_a_stream_that_is_cut(cluster, start, between):
    client = start(endpoints=[one.url for one in between])
    tag = client.watch(cluster.start_revision)
    for number in range(4):
        client.put(PREFIX + "a", f"before {number}")
        changes(client, tag, f"before {number}")
        ports = client.ports()
        for one in between:
            if one.port in ports:
                one.stop()
                one.start()
        cluster.put(PREFIX + "a", f"after {number}")
        assert changes(client, tag, f"after {number}")[-1][1] == f"after {number}"


def test_a_stream_on_which_nothing_will_ever_come(cluster, start, between):
    """The way has stopped: everything is open, and takes what is sent."""
    client = start(endpoints=[one.url for one in between], renew_ms=2000)
    tag = client.watch(cluster.start_revision)
    client.put(PREFIX + "a", "1")
    changes(client, tag, "1")
    ports = client.ports()
    stopped = [one for one in between if one.port in ports]
    for one in stopped:
        one.signal(signal.SIGSTOP)
    cluster.put(PREFIX + "a", "2")
    changes(client, tag, "2")  # it is begun anew, nobody answers, another member does
    if len(stopped) < 3:
        client.put(PREFIX + "a", "3", timeout_ms=20000)
        changes(client, tag, "3")


def test_trouble_of_another_request_has_a_watch_begun_anew(cluster, start, between):
    client = start(endpoints=[one.url for one in between])  # by itself that would be after half a minute
    tag = client.watch(cluster.start_revision)
    client.put(PREFIX + "a", "1")
    changes(client, tag, "1")
    for one in between:
        if one.port in client.ports():
            one.signal(signal.SIGSTOP)
    began = time.monotonic()
    client.put(PREFIX + "a", "2", timeout_ms=20000)
    changes(client, tag, "2")
    assert time.monotonic() - began < 25


def test_a_host_that_is_cut_off_loses_its_lease_by_its_own_clock(cluster, start, between):
    client, other = start(endpoints=[one.url for one in between]), start()
    lease = client.tell("lease", ttl_s=3, timeout_ms=5000)
    lease_id = client.next(lease, "granted")["id"]
    good(client.commit([[PREFIX + "lock", "version", 0]], [[PREFIX + "lock", "me", lease_id]]))
    tag = other.watch(cluster.start_revision)
    assert other.next(tag, "changed")["entry"]["version"] == 1
    for one in between:
        one.signal(signal.SIGSTOP)
    client.tell("left", lease)
    left = client.next(lease, "left")
    lost = client.next(lease, "lost")
    gone = other.next(tag, "changed")
    assert gone["entry"]["version"] == 0
    assert lost["errno"] == "ETIMEDOUT"
    assert lost["ms"] >= left["ms"] + left["left_ms"]  # when its time was up,
    assert lost["ms"] <= gone["ms"]  # and before anybody else can have it: CLOCK_MONOTONIC is one for all
    line = client.commit([[PREFIX + "x", "version", 0]], [[PREFIX + "x", "1"]], timeout_ms=1500)
    assert line["errno"] == "ETIMEDOUT"
    for one in between:
        one.signal(signal.SIGCONT)
    client.put(PREFIX + "back", "1", timeout_ms=20000)


def test_a_commit_without_an_answer_is_ours_or_not_done(cluster, start, between):
    """Its answers are cut off, again and again: each is repeated, and none is carried out twice."""
    client = start(endpoints=[one.url for one in between])
    writer = Writer(client, PREFIX + "n")
    for _ in range(6):
        writer.after(10)
        for one in between:
            one.stop()
            one.start()
    acknowledged = writer.stop()
    reader = start()
    assert told(reader, reader.watch(cluster.start_revision), PREFIX + "n", acknowledged[-1][0]) == acknowledged
