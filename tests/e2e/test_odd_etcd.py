"""fs/fleet's interface against an etcd that lies: nothing that it says wrongly is told, and the next answer is taken."""
import base64
import threading

import pytest

from parts.etcd import PREFIX, Client, good
from parts.odd_etcd import Liar, event, header, result

pytestmark = pytest.mark.long  # until a mount uses it


@pytest.fixture
def lie():
    started = []

    def begin(**says):
        liar = Liar(**says)
        started.append(liar)
        client = Client(endpoints=[liar.url])
        started.append(client)
        return liar, client

    yield begin
    for one in started:
        one.stop()


CREATED = result(header=header(100), created=True)


@pytest.mark.parametrize("line", [
    "garbage", "{}", "[]", result(), result(header=header(100), events=[event("b/a", 100)]),
    result(header=header(100), events=[event(PREFIX + "a", 9)]),
    result(header=header(100), events=[{**event(PREFIX + "a", 100), "type": "MOVE"}]),
    result(header=header(100), events=[event(PREFIX + "a", 101), event(PREFIX + "a", 100)]),
    result(header={"revision": 100}), "{" * 200000, "\0"],
    ids=lambda line: str(line)[:40].replace("\0", "NUL"))
def test_a_line_that_is_none_ends_the_stream_and_tells_nothing(lie, line):
    def says(body, count):
        yield CREATED
        yield line if count == 1 else result(header=header(101), events=[event(PREFIX + "a", 101)])
        threading.Event().wait(20)

    liar, client = lie(watch=says)
    tag = client.watch(50)
    assert client.next(tag)["errno"] == "EBADMSG"
    assert client.next(tag)["what"] == "goes on"
    assert client.next(tag, "changed")["entry"]["mod"] == 101
    assert [body["create_request"]["start_revision"] for _, body in liar.asked] == ["51", "51"]


def test_a_line_without_an_end_is_not_read_for_ever(lie):
    def says(body, count):
        yield CREATED
        for _ in range(64 if count == 1 else 0):
            yield '{"result":' + " " * (1 << 20)
        yield result(header=header(101), events=[event(PREFIX + "a", 101)])
        threading.Event().wait(20)

    _, client = lie(watch=says)
    tag = client.watch(50)
    assert client.next(tag)["errno"] in ("EBADMSG", "EMSGSIZE")
    assert client.next(tag, "changed")["entry"]["mod"] == 101


def test_fragments_count_when_the_last_has_come(lie):
    def says(body, count):
        yield CREATED
        yield result(header=header(101), fragment=True, events=[event(PREFIX + "a", 101)])
        if count > 1:
            yield result(header=header(101), events=[event(PREFIX + "b", 101)])
            threading.Event().wait(20)

    liar, client = lie(watch=says)
    tag = client.watch(50)
    assert client.next(tag, "reached")["revision"] == 101
    assert [body["create_request"]["start_revision"] for _, body in liar.asked] == ["51", "51"]


def test_progress_is_taken_from_the_watch_alone(lie):
    def says(body, count):
        yield CREATED
        yield result(header=header(200), watch_id="-1")
        yield result(header=header(150))
        yield result(header=header(152), events=[event(PREFIX + "a", 151)])
        threading.Event().wait(20)

    _, client = lie(watch=says)
    tag = client.watch(50)
    assert client.next(tag)["revision"] == 150
    assert client.next(tag, "changed")["entry"]["mod"] == 151


def test_a_store_that_was_put_back_is_noticed(lie):
    def says(body, count):
        yield result(header=header(40), created=True)  # behind what was seen
        threading.Event().wait(20)

    _, client = lie(watch=says, kv_range=[{"header": header(40)}])
    assert client.next(client.watch(50), "lost", seconds=20)
    # a member that lags is none
    lagging, client = lie(watch=lambda body, count: [result(header=header(40), created=True)] if count == 1 else (
        line for line in (CREATED, result(header=header(101), events=[event(PREFIX + "a", 101)]))),
        kv_range=[{"header": header(100)}])
    tag = client.watch(50)
    assert client.next(tag, "changed", "lost")["what"] == "changed"
    # and another store, however far it is
    def other(body, count):
        yield result(header=header(1000, str(count)), created=True)

    _, client = lie(watch=other)
    client.next(client.watch(50), "lost")


def test_answers_that_are_none_are_asked_for_elsewhere(lie):
    key = PREFIX + "a"
    answers = ["garbage", "[]", '{"header":{"revision":"x"}}', '{"header":{"revision":"7"},"kvs":[{"key":"YQ=="}]}']

    def says(body, count):
        return [answers[count - 1]] if count <= len(answers) else [{"header": header(7), "kvs": [event(key, 7)["kv"]]}]

    liar, client = lie(kv_range=says)
    found, ended = client.get(key)
    assert good(ended) and found[key]["mod"] == 7
    assert len(liar.asked) == len(answers) + 1
    # to the last
    liar, client = lie(kv_range=["garbage"])
    _, ended = client.get(key, timeout_ms=1500)
    assert (ended["errno"], ended["text"]) == ("EBADMSG", f"{liar.url}: its answer cannot be read")
    # however large
    liar, client = lie(kv_range=["x" * (1 << 20)] * 40)
    _, ended = client.get(key)
    assert (ended["errno"], ended["text"]) == ("EMSGSIZE", f"{liar.url}: its answer is too large")


def test_a_read_in_parts_past_a_compaction_says_so(lie):
    def says(body, count):
        if count > 1:
            return [{"error": "etcdserver: mvcc: required revision has been compacted", "code": 11}]
        return [{"header": header(7), "kvs": [event(PREFIX + "a", 7)["kv"]], "more": True}]

    liar, client = lie(kv_range=says)
    found, ended = client.get(PREFIX, prefix=True)
    assert list(found) == [PREFIX + "a"] and ended["errno"] == "ESTALE"
    assert liar.asked[1][1]["revision"] == "7"
    assert base64.b64decode(liar.asked[1][1]["key"]) == PREFIX.encode() + b"a\0"


def test_a_lease_is_no_longer_than_was_asked_for(lie):
    granted = {"header": header(7), "ID": "5", "TTL": "1000000000000"}
    _, client = lie(lease_grant=[granted], lease_keepalive=[result(**granted)], lease_revoke=[{"header": header(7)}])
    lease = client.tell("lease", ttl_s=2, timeout_ms=2000)
    client.next(lease, "granted")
    client.tell("left", lease)
    assert 0 < client.next(lease)["left_ms"] <= 2000
    # of another lease, or of none
    for answer in ({"header": header(7), "ID": "6", "TTL": "2"}, {"header": header(7), "TTL": "2"}):
        _, client = lie(lease_grant=[granted], lease_keepalive=[result(**answer)])
        lease = client.tell("lease", ttl_s=1, timeout_ms=2000)
        client.next(lease, "granted")
        assert client.next(lease)["what"] == "lost"
