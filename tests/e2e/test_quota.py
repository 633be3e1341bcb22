"""KMS gives an AAP three client keys, whoever made them: places are found, or named with what frees them."""
import errno
import json
import os
import random
import re
import time

import pytest

from parts.harness import PASSWORD, WITH_STOPS, result_of, run_aapfs, until
from parts.kms import delete_key, keys_of, make_key
from parts.log import FREED
from parts.rotations import SAID as SAID_OF_ROTATIONS
from parts.times import DAY, moment_of, text_of

SAID = re.compile(f"{SAID_OF_ROTATIONS.pattern}|{FREED}")


@pytest.fixture
def emulator(start_emulator):
    return start_emulator(limits=())  # KMS's own


@pytest.fixture
def start(start_mount, emulator):
    def start_one(defaults="", **parts):
        parts.setdefault("expected_errors", SAID)
        parts.setdefault("max_keys", 3)
        return start_mount(emulator.url, defaults=defaults, settings="requests_per_second = 100", **parts)

    return start_one


def make(emulator, aap="payments"):
    return make_key(emulator, aap)["ClientKeyId"]


def lose_a_key(mount, emulator):
    """One that is made and whose answer is lost: the id of the Orphan."""
    emulator.set_faults("CreateClientKey reset-after")
    known = set(mount.status("payments")["Orphans"])
    assert result_of(mount, PASSWORD) == errno.ECONNRESET
    emulator.set_faults()
    [orphan] = until(lambda: set(mount.status("payments")["Orphans"]) - known)
    return orphan


def run_status(mount, *words):
    return run_aapfs("status", "-m", mount.path, *words)


@pytest.mark.parametrize("max_keys", [3, 8])  # more than KMS gives: its refusal tells
def test_two_lost_answers_are_made_room_of(start, emulator, max_keys):
    mount = start(max_keys=max_keys)
    mount.write("payments", PASSWORD)
    first, orphans = mount.key_id(), [lose_a_key(mount, emulator) for _ in range(2)]
    mount.write("payments", PASSWORD)
    second, kept = mount.key_id(), mount.status("payments")["Orphans"]
    assert second != first and len(kept) == 1 and kept[0] in orphans
    assert set(keys_of(emulator)) == {first, second, *kept}  # no more than needed
    mount.write("payments", PASSWORD)
    assert set(keys_of(emulator)) == {first, second, mount.key_id()}
    freed = re.findall(FREED, mount.errors())
    assert [(aap, whose) for aap, _, whose in freed] == [("payments", "made here, lost")] * 2
    assert {key for _, key, _ in freed} == set(orphans)


def test_what_fills_the_places_is_named_with_what_frees_it(start, emulator):
    mount = start(defaults="rotate_at = never")
    keys = {make(emulator): "made elsewhere; delete-foreign"}
    for whose in ("made here, superseded, in use; delete", "made here, current"):
        mount.write("payments", PASSWORD)
        keys[mount.key_id()] = whose
    mount.sync()
    made, deleted = emulator.count("CreateClientKey"), emulator.count("DeleteClientKey")
    for command in (PASSWORD, "rotate"):
        assert result_of(mount, command) == errno.EDQUOT
    assert (emulator.count("CreateClientKey"), emulator.count("DeleteClientKey")) == (made, deleted)
    for text in (mount.last_error()["Message"], mount.status("payments")["Note"]):
        assert text.startswith("no place") and all(f"{key} ({whose})" in text for key, whose in keys.items()), text
    assert mount.last_error()["Code"] == "MaxKeys"
    [superseded] = mount.status("payments")["Superseded"]
    mount.write("payments", f"delete {superseded}")
    mount.write("payments", PASSWORD)
    assert mount.last_error() is None and "no place for another" not in (mount.status("payments")["Note"] or "")


def test_a_key_that_was_deleted_elsewhere_leaves_a_place(start, emulator):
    """Nothing is freed, nor refused, by a list that is no longer true."""
    mount = start()
    mount.write("payments", PASSWORD)
    lost, stranger = lose_a_key(mount, emulator), make(emulator)
    mount.sync()
    assert mount.status("payments")["Foreign"] == [stranger]
    delete_key(emulator, stranger)
    mount.write("payments", PASSWORD)
    assert lost in keys_of(emulator) and mount.status("payments")["Foreign"] == []
    assert emulator.count("DeleteClientKey") == 1  # the stranger's own
    # so with the orphan itself
    delete_key(emulator, lost)
    mount.write("payments", PASSWORD)
    assert len(keys_of(emulator)) == 3 and emulator.count("DeleteClientKey") == 2


def test_a_place_that_somebody_took_meanwhile(start, emulator):
    mount = start()
    mount.write("payments", PASSWORD)
    lost, stranger = lose_a_key(mount, emulator), make(emulator)
    made = emulator.count("CreateClientKey")
    mount.write("payments", PASSWORD)  # KMS says that there is none: asked again when one is freed
    assert emulator.count("CreateClientKey") == made + 2
    assert set(keys_of(emulator)) == {*mount.status("payments")["Superseded"], mount.key_id(), stranger}
    assert lost not in keys_of(emulator)
    # and where none can be
    mount.write("payments", f"delete {mount.status('payments')['Superseded'][0]}")
    another, made = make(emulator), emulator.count("CreateClientKey")
    assert result_of(mount, PASSWORD) == errno.EDQUOT
    error = mount.last_error()
    assert error["Code"] == "Rejected.LimitExceeded" and error["RequestId"] and error["HttpStatus"] == 400
    assert all(key in error["Message"] for key in (mount.key_id(), stranger, another))
    assert emulator.count("CreateClientKey") == made + 1


def test_a_deletion_that_fails_sends_nothing(start, emulator):
    mount = start()
    mount.write("payments", PASSWORD)
    orphans = {lose_a_key(mount, emulator) for _ in range(2)}
    made = emulator.count("CreateClientKey")
    emulator.set_faults("DeleteClientKey denied")
    assert result_of(mount, PASSWORD) == errno.EDQUOT
    error = mount.last_error()
    assert "cannot be deleted: Forbidden.NoPermission" in error["Message"] and all(key in error["Message"] for key in orphans)
    emulator.set_faults("ListClientKeys unavailable")  # by what is known for an hour nothing is deleted
    assert result_of(mount, PASSWORD) in (errno.EAGAIN, errno.ETIMEDOUT)
    emulator.set_faults("ListClientKeys denied")  # better knowledge will not come
    mount.write("payments", PASSWORD)
    assert emulator.count("CreateClientKey") == made + 1 and len(keys_of_without_faults(emulator)) == 3


def keys_of_without_faults(emulator):
    emulator.set_faults()
    return keys_of(emulator)


def test_keys_made_elsewhere_leave_no_place_for_the_next_rotation(start, emulator):
    mount = start(defaults="on_rotate = none")
    for aap in ("payments", "orders"):
        mount.write(aap, PASSWORD)
    make(emulator)
    mount.sync()
    assert mount.status("payments")["Note"] is None and run_status(mount).returncode == 0
    others = [*mount.status("payments")["Foreign"], make(emulator)]
    mount.sync()
    status, shown = mount.status("payments"), run_status(mount)
    assert status["State"] == "active" and status["Note"].startswith("no place for the next rotation, keys were made elsewhere")
    assert all(f"{key} (made elsewhere; delete-foreign)" in status["Note"] for key in others)
    assert shown.returncode == 1 and shown.stdout.splitlines()[-1] == f"payments: {status['Note']}"
    assert run_status(mount, "orders").returncode == 0
    mount.write("payments", f"delete-foreign {others[0]}")
    until(lambda: mount.status("payments")["Note"] is None)
    assert run_status(mount).returncode == 0


def test_a_scheduled_key_takes_the_place_of_the_next_rotation(start, emulator):
    """To make a place for a rotation that does not come nobody is told to delete it."""
    mount = start()
    mount.write("payments", PASSWORD)
    now = emulator.now()
    mount.write("payments", f"{PASSWORD} {text_of(now + 30 * DAY)} {text_of(now + 400 * DAY)}")
    stranger = make(emulator)
    mount.sync()
    status = mount.status("payments")
    assert status["Foreign"] == [stranger] and len(status["Scheduled"]) == 1
    assert moment_of(status["NextRotation"]) > now + 30 * DAY
    assert status["Note"] is None and run_status(mount).returncode == 0


FAULTS = ("throttle", "unavailable", "internal", "reset-before", "reset-after", "truncate", "garbage", "expired-clock",
          "short-page", "denied")
# and of creations more, whose answers are what makes orphans
ONE_IN_TEN = ["CreateClientKey reset-after 0.3", *(f"* {fault} {0.1 / len(FAULTS):.3f}" for fault in FAULTS)]


class Year:
    """Many AAPs, one call in ten failing, a stranger who makes keys and deletes them, and what is right of all that."""

    def __init__(self, emulator, mount, aaps, account, chance):
        self.emulator, self.mount, self.aaps, self.account, self.chance = emulator, mount, aaps, account, chance
        self.strange = {aap: [] for aap in aaps}  # the stranger's keys now
        self.all_strange, self.ends, self.shown, self.judged = set(), {}, {}, 0
        self.poked = 0
        self.deleted = {"expired": 0, "lost": 0, "superseded": 0}

    def now(self):
        return self.emulator.now()

    def listed(self):
        """What KMS has, by its own file: no fault comes between."""
        keys = {aap: set() for aap in self.aaps}
        for key, told in json.loads(self.account.read_text())["ClientKeys"].items():
            keys[told["AapName"]].add(key)
            self.ends[key] = moment_of(told["NotAfter"])
        return keys

    def come(self, most):
        """The stranger; he leaves what is above MOST."""
        listed = self.listed()
        for aap, his in self.strange.items():
            while his and (len(his) > most or self.chance.random() < 0.4):
                delete_key(self.emulator, his.pop(self.chance.randrange(len(his))))
            if len(his) < most and len(listed[aap]) < 3 and self.chance.random() < 0.6:
                his.append(make(self.emulator, aap))
                self.all_strange.add(his[-1])

    def may_go(self, aap, key, current):
        """Whether the rules let aapfs delete it; why."""
        if key in self.all_strange or key == current:
            return None
        if key not in self.shown:
            return "lost"
        if self.ends[key] <= self.now():
            return "expired"
        return "superseded" if aap.endswith("none") else None

    def look(self):
        """Each AAP has a valid key; those that are due and for which there is a place, or could be, are returned."""
        listed, waiting = self.listed(), []
        for aap in self.aaps:
            status = self.mount.status(aap)
            current = status["ClientKeyId"]
            if current not in listed[aap]:
                listed = self.listed()  # it came just now
            self.shown.update(dict.fromkeys([current, *status["Superseded"]], aap))
            assert current in listed[aap] and self.ends[current] > self.now(), (aap, status)
            assert set(self.strange[aap]) <= listed[aap], aap
            if status["State"] in ("due", "failing") and \
                    (len(listed[aap]) < 3 or any(self.may_go(aap, key, current) for key in listed[aap])):
                waiting.append((aap, status, self.mount.last_error(aap), listed[aap]))
        return waiting

    def judge(self):
        asked = [dict(record["Query"])["ClientKeyId"] for record in self.emulator.records()
                 if ["x-acs-action", "DeleteClientKey"] in record["Headers"]]
        listed = set().union(*self.listed().values())
        for key in asked[self.judged:]:
            if key in self.all_strange or key in listed:  # his own, or it did not happen
                continue
            aap = self.shown.get(key, "")
            why = self.may_go(aap, key, None)
            assert why, (aap, key)
            self.deleted[why] += 1
        self.judged = len(asked)

    def go_to(self, day, most):
        self.emulator.set_faults()
        self.emulator.move_clock(day * DAY)
        self.come(most)
        self.emulator.set_faults(*ONE_IN_TEN)
        result_of(self.mount, "sync", ".aapfs")
        time.sleep(1.5)  # a time that KMS goes on telling is believed after a second
        result_of(self.mount, "sync", ".aapfs")
        until(self.is_settled, 60, lambda: str(self.look()))
        self.judge()

    def is_settled(self):
        """Days have passed at KMS for what waits seconds here for its next attempt."""
        if time.monotonic() > self.poked + 2:
            self.poked = time.monotonic()
            result_of(self.mount, "rotate-due", ".aapfs")
        return not self.look()


@pytest.mark.long
def test_a_year_with_faults_and_a_stranger(start_emulator, start_mount, tmp_path):
    seed = int(os.environ.get("AAPFS_SEED", random.getrandbits(32)))
    print("AAPFS_SEED =", seed)
    aaps = [f"aap-{number}-{'none' if number % 2 else 'empty'}" for number in range(50)]
    account = tmp_path / "account.json"
    emulator = start_emulator("--account", account, limits=(), aaps=aaps)
    mount = start_mount(emulator.url, binary=WITH_STOPS, max_keys=3, request_timeout="5s", expected_errors=re.compile(".*"),
                        settings="requests_per_second = 100",
                        sections="".join(f"[aap {aap}]\non_rotate = none\n" for aap in aaps if aap.endswith("none")))
    for aap in aaps:
        mount.write(aap, PASSWORD)
    year = Year(emulator, mount, aaps, account, random.Random(seed))
    firsts = {aap: mount.key_id(aap) for aap in aaps}
    # the rotations are due from day 219 to 241; whatever comes, the stranger does not hold two places of an AAP to the end
    for day in (20, 60, 100, 150, 200, *range(216, 250, 4)):
        year.go_to(day, 2)
    for day in (260, 280, 300, 330, 360, 367, 400, 430):
        year.go_to(day, 1)
    assert all(mount.key_id(aap) != first for aap, first in firsts.items())
    print(f"deleted: {year.deleted}; the stranger made {len(year.all_strange)}; {emulator.counts()}")
    assert year.deleted["expired"] >= len(aaps) // 2
