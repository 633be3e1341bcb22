"""The credential chain of kmsapi, used alone, against real sockets and files."""
import email.utils
import itertools
import json
import os
import select
import shutil
import socket
import threading
import time
import urllib.parse
import urllib.request

import pytest

from parts.credentials import ARN, DEAD, KEY, Program, session_of, write, write_profiles, write_section
from parts.harness import ACCESS_KEY_ID, ACCESS_KEY_SECRET
from parts.odd_server import SESSION, answer_bytes, answer_session
from parts.starter import starter
from parts.times import moment_of, text_of


@pytest.fixture
def home(tmp_path):
    path = tmp_path / "home"
    path.mkdir()
    return path


@pytest.fixture
def start(home):
    yield from starter(lambda *words, **parts: Program(home, *words, **parts),
                       lambda program: program.process.stdin.closed or program.stop())


# -- every provider and mode ----------------------------------------------------------------------

def environment_key(home, emulator):
    return "environment", dict(ALIBABA_CLOUD_ACCESS_KEY_ID=ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET=ACCESS_KEY_SECRET)


def environment_session(home, emulator):
    session = session_of(emulator)
    return "environment", dict(ALIBABA_CLOUD_ACCESS_KEY_ID=session["AccessKeyId"],
                               ALIBABA_CLOUD_ACCESS_KEY_SECRET=session["AccessKeySecret"],
                               ALIBABA_CLOUD_SECURITY_TOKEN=session["SecurityToken"])


def systemd(home, emulator):
    write(home / "given/aapfs.access-key-id", ACCESS_KEY_ID + "\n", 0o400)
    write(home / "given/aapfs.access-key-secret", ACCESS_KEY_SECRET, 0o400)
    return "default", dict(CREDENTIALS_DIRECTORY=home / "given")


def oidc(home, emulator):
    token = write(home / "token", "oidc-token\n", 0o644)
    return "oidc", dict(ALIBABA_CLOUD_ROLE_ARN=ARN, ALIBABA_CLOUD_OIDC_PROVIDER_ARN="acs:ram::1:oidc-provider/p",
                        ALIBABA_CLOUD_OIDC_TOKEN_FILE=token)


def profile(**members):
    def set_up(home, emulator):
        write_profiles(home, {"name": "other", "mode": "AK", "access_key_id": "wrong", "access_key_secret": "wrong"},
                       {"name": "mine", **members}, {"name": "source", "mode": "AK", **KEY})
        return "profile:mine", {}
    return set_up


def profile_sts_token(home, emulator):
    session = session_of(emulator)
    return profile(mode="StsToken", access_key_id=session["AccessKeyId"], access_key_secret=session["AccessKeySecret"],
                   sts_token=session["SecurityToken"], sts_expiration=int(time.time()) + 3000)(home, emulator)


def profile_oidc(home, emulator):
    token = write(home / "token", "oidc-token", 0o644)
    return profile(mode="OIDC", ram_role_arn=ARN, oidc_provider_arn="acs:ram::1:oidc-provider/p",
                   oidc_token_file=str(token))(home, emulator)


def profile_uri(home, emulator):
    return profile(mode="CredentialsURI", credentials_uri=emulator.url + "/_credentials")(home, emulator)


def profile_login(home, emulator):
    session = session_of(emulator)
    return profile(mode="CloudSSO", access_key_id=session["AccessKeyId"], access_key_secret=session["AccessKeySecret"],
                   sts_token=session["SecurityToken"], sts_expiration=int(time.time()) + 3000)(home, emulator)


def profile_role_and_an_earlier_token(home, emulator):
    """A token that the CLI left beside a user's own key is not sent."""
    return profile(mode="RamRoleArn", ram_role_arn=ARN, sts_token="of-an-earlier-session", **KEY)(home, emulator)


def section_of_the_other_file(home, emulator):
    write(home / ".alibabacloud/credentials.ini",
          "\ufeff[mine]  # 我的，默认配置\r\nenable = true\r\ntype = access_key  # x\r\n"
          + "".join(f"{line}  # x\r\n" for line in SECTION_KEY))
    return "profile:mine", {}


def role_of_the_environment(home, emulator):
    return profile(mode="RamRoleArn", **KEY)(home, emulator)[0], dict(ALIBABA_CLOUD_ROLE_ARN=ARN)


def uri_of_the_environment(home, emulator):
    return (profile(mode="CredentialsURI", credentials_uri="")(home, emulator)[0],
            dict(ALIBABA_CLOUD_CREDENTIALS_URI=emulator.url + "/_credentials"))


def profile_external(home, emulator):
    printed = json.dumps({"mode": "AK", **KEY})
    script = write(home / "a helper.sh", f"#!/bin/sh\necho '{printed}' $1\n", 0o700)
    return profile(mode="External", process_command=f"'{script}' \"\"")(home, emulator)


def section(*lines, name="mine"):
    def set_up(home, emulator):
        write_section(home, *lines, "", "[another]", "type = none", name=name)
        return "profile:mine", {}
    return set_up


def section_oidc(home, emulator):
    token = write(home / "token", "oidc-token", 0o644)
    return section("type=oidc_role_arn", f"oidc_token_file_path={token}", "oidc_provider_arn=p", f"role_arn={ARN}")(
        home, emulator)


SECTION_KEY = (f"access_key_id = {ACCESS_KEY_ID}", f"access_key_secret={ACCESS_KEY_SECRET}")
WAYS = {
    "environment, a key": environment_key,
    "environment, a session": environment_session,
    "systemd": systemd,
    "oidc": oidc,
    "profile AK": profile(mode="AK", **KEY),
    "profile ak, as the CLI reads it": profile(mode="ak", **KEY),
    "profile StsToken": profile_sts_token,
    "profile RamRoleArn": profile(mode="RamRoleArn", ram_role_arn=ARN, ram_session_name="s", expired_seconds=900,
                                  policy="{}", external_id="x", **KEY),
    "profile EcsRamRole": profile(mode="EcsRamRole", ram_role_name="EmulatorRole"),
    "profile OIDC": profile_oidc,
    "profile ChainableRamRoleArn": profile(mode="ChainableRamRoleArn", source_profile="source", ram_role_arn=ARN),
    "profile CredentialsURI": profile_uri,
    "profile CloudSSO": profile_login,
    "profile RamRoleArn with an earlier token": profile_role_and_an_earlier_token,
    "profile RamRoleArn, its role in the environment": role_of_the_environment,
    "profile CredentialsURI, it in the environment": uri_of_the_environment,
    "section of credentials.ini": section_of_the_other_file,
    "profile External": profile_external,
    "section access_key": section("# words", "type = access_key", *SECTION_KEY),
    "section ecs_ram_role": section("type = ecs_ram_role", "role_name = EmulatorRole"),
    "section ram_role_arn": section("type=ram_role_arn", *SECTION_KEY, f"role_arn = {ARN}", "role_session_name = s"),
    "section oidc_role_arn": section_oidc,
    "ecs-ram-role": lambda home, emulator: ("ecs-ram-role", {}),
    "ecs-ram-role, named": lambda home, emulator: ("ecs-ram-role:EmulatorRole", {}),
    "ecs-ram-role, named in the environment":
        lambda home, emulator: ("ecs-ram-role", dict(ALIBABA_CLOUD_ECS_METADATA="EmulatorRole")),
    "uri": lambda home, emulator: (f"uri:{emulator.url}/_credentials", {}),
    "uri in the environment":
        lambda home, emulator: ("default", dict(ALIBABA_CLOUD_CREDENTIALS_URI=emulator.url + "/_credentials",
                                                ALIBABA_CLOUD_ECS_METADATA_DISABLED="True")),
}


def test_every_provider_and_mode_gets_a_request_through(start_emulator, start, home, tmp_path):
    emulator = start_emulator("--oidc-token-file", write(tmp_path / "right-token", "oidc-token"))
    for name, set_up in WAYS.items():
        for path in (".aliyun", ".alibabacloud"):
            shutil.rmtree(home / path, ignore_errors=True)
        provider, env = set_up(home, emulator)
        program = start(emulator.url, provider, emulator.url, emulator.url, **env)
        assert program.ask("list").startswith("ListClientKeys 0 - 1"), name
        assert program.ask("create").startswith("CreateClientKey 0 - 1"), name
        assert program.stop() == "", name
    records = [record for record in emulator.records() if "Action" in record["Url"]]
    assert all("OIDCToken" not in record["Url"] and "Secret" not in record["Url"] for record in records)


def test_a_name_that_is_no_provider_is_refused(home, start):
    for name in ("", "oidcs", "oidc:", "profile", "profile:", "uri", "environment:x", "ecs-ram-role:", "Default", ":"):
        program = start(provider=name)
        program.process.stdin.close()
        errors = program.process.stderr.read()
        assert program.process.wait(10) == 1
        assert "right is one of default, environment, profile:NAME" in errors and errors.count("\n") == 1


# -- the chain -------------------------------------------------------------------------------------

def answer_everything(handler):
    """STS, metadata and a credentials URI, each with an id of its own."""
    if handler.path.startswith("/latest/api/token"):
        answer = answer_bytes("a-token")
    elif handler.path.endswith("/security-credentials/"):
        answer = answer_bytes("a-role\n")
    elif handler.path.endswith("/a-role"):
        answer = answer_session(AccessKeyId="of-ecs")
    elif handler.path == "/uri":
        answer = answer_session(AccessKeyId="of-uri")
    else:
        answer = answer_bytes(json.dumps({"Credentials": {**SESSION, "AccessKeyId": "of-oidc"}}))
    answer(handler)


def set_up_chain(home, names, server):
    """The parts of a Program for which the providers NAMES are set up."""
    parts = {"sts": server.url}
    if "systemd" in names:
        write(home / "given/aapfs.access-key-id", "of-systemd", 0o400)
        write(home / "given/aapfs.access-key-secret", "secret", 0o400)
        parts["CREDENTIALS_DIRECTORY"] = home / "given"
    if "environment" in names:
        parts.update(ALIBABA_CLOUD_ACCESS_KEY_ID="of-environment", ALIBABA_CLOUD_ACCESS_KEY_SECRET="secret")
    if "oidc" in names:
        parts.update(oidc(home, None)[1])
    if "profile" in names:
        write_profiles(home, {"name": "p", "mode": "AK", "access_key_id": "of-profile", "access_key_secret": "secret"})
    if "file" in names:
        write_section(home, "type = access_key", "access_key_id = of-file", "access_key_secret = secret")
    if "ecs" in names:
        parts["metadata"] = server.url
    if "uri" in names:
        parts["ALIBABA_CLOUD_CREDENTIALS_URI"] = server.url + "/uri"
    return parts


ORDER = ["systemd", "environment", "oidc", "profile", "file", "ecs", "uri"]


@pytest.mark.parametrize("first,second", itertools.combinations(ORDER, 2), ids="-".join)
def test_of_two_providers_the_one_that_comes_first_wins(first, second, home, start, odd):
    assert start(**set_up_chain(home, {first, second}, odd(answer_everything))).get() == (0, f"of-{first}")


def test_of_all_providers_each_is_reached_when_those_before_it_are_broken(home, start, odd):
    server = odd(answer_everything)
    for number, name in enumerate(ORDER):
        parts = set_up_chain(home, set(ORDER), server)
        for broken in ORDER[:number]:
            if broken == "systemd":
                (home / "given/aapfs.access-key-secret").unlink()
            elif broken == "environment":
                parts["ALIBABA_CLOUD_ACCESS_KEY_ID"] = "with a space"
            elif broken == "oidc":
                (home / "token").unlink()
            elif broken == "profile":
                (home / ".aliyun/config.json").write_text("{")
            elif broken == "file":
                (home / ".alibabacloud/credentials").chmod(0o666)
            elif broken == "ecs":
                parts["metadata"] = DEAD
        program = start(**parts)
        assert program.get() == (0, f"of-{name}")
        described = {"file": "credentials file", "ecs": "ecs-ram-role, until 2099-01-02T03:04:0"}.get(name, name)
        assert program.ask("describe").startswith(described)
        for path in (home / "given", home / ".aliyun", home / ".alibabacloud"):
            shutil.rmtree(path)


def test_without_any_each_is_named_with_what_is_missing(home, start):
    error, reason = start().get()
    assert error == "EACCES"
    assert reason.replace("Couldn't", "Could not") == (  # as libcurl says it
        "no credentials: ecs-ram-role: 127.0.0.1: Could not connect to server; not set up: systemd (CREDENTIALS_DIRECTORY), "
        "environment (ALIBABA_CLOUD_ACCESS_KEY_ID), oidc (ALIBABA_CLOUD_ROLE_ARN), "
        f"profile ({home}/.aliyun/config.json), credentials file ({home}/.alibabacloud/credentials or credentials.ini), "
        "uri (ALIBABA_CLOUD_CREDENTIALS_URI)")


@pytest.mark.full
def test_a_provider_that_failed_is_asked_again(home, start):
    program = start()
    assert program.get()[0] == "EACCES"
    write_profiles(home, {"name": "p", "mode": "AK", **KEY})
    program.until("get", lambda answer: answer.startswith(f"0 {ACCESS_KEY_ID}"), 5)


def session_for(seconds, **parts):
    """An answer with a session that ends then, and no Date, so that this machine's clock counts."""
    def answer(handler):
        end = text_of(time.time() + seconds)
        answer_session(Expiration=end, **parts)(handler)
    return answer


@pytest.mark.full
def test_the_provider_that_answered_stays_until_it_fails(home, start, odd):
    short = [session_for(3, AccessKeyId=f"of-uri-{number}") for number in range(100)]
    server = odd(lambda handler: short[len(server.asked)](handler))
    program = start(ALIBABA_CLOUD_CREDENTIALS_URI=server.url + "/uri")
    assert program.get() == (0, "of-uri-1")
    write_profiles(home, {"name": "p", "mode": "AK", **KEY})  # comes first in the chain
    answer = program.until("now", lambda answer: not answer.startswith("0 of-uri-1 "), 20)
    assert answer.startswith("0 of-uri-2 ")  # renewed before it ended: nobody waits
    server.answer = answer_bytes("", "500 Oops")
    program.until("get", lambda answer: answer.startswith(f"0 {ACCESS_KEY_ID}"), 6)
    assert program.ask("describe") == "profile"


# -- sessions --------------------------------------------------------------------------------------

@pytest.mark.full
def test_sessions_are_renewed_under_load_and_no_request_fails(start_emulator, start, home, tmp_path):
    right = write(tmp_path / "right-token", "oidc-token")
    emulator = start_emulator("--session-seconds", "3", "--oidc-token-file", right)
    programs = [start(emulator.url, provider, emulator.url, emulator.url, **env)
                for provider, env in (oidc(home, emulator), ("ecs-ram-role", {}))]
    for program in programs:
        program.process.stdin.write("load 5000 8\n")
        program.process.stdin.flush()
    started = emulator.count("AssumeRoleWithOIDC")
    end = time.monotonic() + 5
    while emulator.count("AssumeRoleWithOIDC") == started and time.monotonic() < end:
        time.sleep(0.02)
    for path in (right, home / "token"):  # read again each time, at both ends
        path.write_text("another-token")
    for program in programs:
        done, failed, sessions = map(int, program.process.stdout.readline().split())
        print(done, failed, sessions)
        assert done > 100 and sessions >= 3 and failed == 0
        assert program.stop() == ""
    assert emulator.count("AssumeRoleWithOIDC") < 12


def test_a_session_that_ends_early_is_renewed_and_the_request_sent_once_more(start_emulator, start, home):
    emulator = start_emulator("--session-seconds", "300")
    program = start(emulator.url, "ecs-ram-role", emulator.url)
    assert program.ask("list").startswith("ListClientKeys 0 - 1")
    for number, command in enumerate(("list", "create", "list")):
        emulator.move_clock(400 * (number + 1))
        if number == 2:  # refused for good
            emulator.set_faults("ListClientKeys code=InvalidSecurityToken.MalFormed:400")
        time.sleep(0.25)  # only so long after the last fetch another is worth while
        answer = program.ask(command)
        assert answer.split()[1:4] == (["0", "-", "2"] if number < 2 else ["EACCES", "InvalidSecurityToken.MalFormed", "2"])
    assert emulator.count("Metadata.Session") == 4
    emulator.set_faults()
    assert emulator.count("CreateClientKey") == 2  # the first was refused
    assert program.ask("list").startswith("ListClientKeys 0")


def sts_whose_clock_is_ahead(seconds, refusal):
    """STS as it judges Timestamp: more than 15 minutes from its own clock are refused."""
    def answer(handler):
        asked = dict(urllib.parse.parse_qsl(handler.path.split("?", 1)[1]))
        now = time.time() + seconds
        date = f"Date: {email.utils.formatdate(now, usegmt=True)}\r\n"
        if abs(moment_of(asked["Timestamp"]) - now) > 900:
            answer_bytes(refusal, "400 Bad", date)(handler)
        else:
            answer_bytes(json.dumps({"Credentials": SESSION}), headers=date)(handler)
    return answer


@pytest.mark.parametrize("refusal", [
    '{"Code": "InvalidTimeStamp.Expired", "Message": "Specified time stamp is expired.", "RequestId": "x"}',
    """{"code": "IllegalTimestamp", "message": "The input parameter 'Timestamp' is not supplied."}""",
    "<Error><RequestId>x</RequestId><Code>IllegalTimestamp</Code><Message>m</Message></Error>"])
def test_a_wrong_clock_of_this_machine_is_learned_from_sts(start, odd, home, refusal):
    parts = oidc(home, None)[1]
    write_profiles(home, {"name": "p", "mode": "RamRoleArn", "ram_role_arn": ARN, **KEY})
    for provider in ("oidc", "profile:p"):
        server = odd(sts_whose_clock_is_ahead(7200, refusal))
        assert start(provider=provider, sts=server.url, **parts).get() == (0, "STS.odd")
        assert len(server.asked) == 2


def test_a_key_that_was_replaced_in_its_file_is_found(start_emulator, start, home):
    emulator = start_emulator()
    write_profiles(home, {"name": "p", "mode": "AK", "access_key_id": "old", "access_key_secret": "old"})
    program = start(emulator.url, "profile:p")
    assert program.ask("list").split()[:4] == ["ListClientKeys", "EACCES", "InvalidAccessKeyId.NotFound", "1"]
    write_profiles(home, {"name": "p", "mode": "AK", **KEY})
    answer = program.until("list", lambda answer: answer.startswith("ListClientKeys 0"), 5)
    assert answer.split()[3] == "2"


@pytest.mark.full
def test_the_same_wrong_key_is_not_sent_twice(start_emulator, start):
    emulator = start_emulator()
    program = start(emulator.url, "environment", ALIBABA_CLOUD_ACCESS_KEY_ID="old", ALIBABA_CLOUD_ACCESS_KEY_SECRET="old")
    end = time.monotonic() + 1.3  # beyond the time in which nothing is fetched again
    while time.monotonic() < end:
        assert program.ask("list").split()[:4] == ["ListClientKeys", "EACCES", "InvalidAccessKeyId.NotFound", "1"]
        time.sleep(0.05)


@pytest.mark.full
def test_a_renewal_that_fails_keeps_the_session_and_is_tried_again(start, odd, home):
    server = odd(session_for(4, AccessKeyId="first"))
    program = start(ALIBABA_CLOUD_CREDENTIALS_URI=server.url + "/x")
    assert program.get() == (0, "first")
    write_profiles(home, {"name": "p", "mode": "AK", **KEY})  # nor does another provider take over
    server.answer = answer_bytes("", "503 Busy")
    end = time.monotonic() + 8
    while len(server.asked) < 3 and time.monotonic() < end:
        assert program.ask("now").startswith("0 first")
        time.sleep(0.02)
    assert len(server.asked) >= 3 and program.ask("now").startswith("0 first")
    server.answer = answer_session(AccessKeyId="second")
    program.until("get", lambda answer: answer.startswith("0 second"), 5)


@pytest.mark.full
def test_a_session_that_ended_is_not_used(start, odd):
    server = odd(session_for(3, AccessKeyId="first"))
    program = start(provider=f"uri:{server.url}/x")
    assert program.get() == (0, "first")
    server.answer = answer_bytes("", "503 Busy")
    answer = program.until("get", lambda answer: not answer.startswith("0 first"), 6)
    assert answer == "EACCES no credentials: uri: answered with status 503"


def test_nothing_waits_for_a_provider(start_emulator, start, odd):
    go_on = threading.Event()

    def hold(handler):
        go_on.wait(10)
        answer_session()(handler)
    server = odd(hold)
    program = start(start_emulator().url, f"uri:{server.url}/x", timeout_ms=9000)
    began = time.monotonic()
    assert program.ask("now") == "EAGAIN credentials: uri has not answered yet"
    assert program.ask("list 200") == "ListClientKeys EACCES Credentials 0 credentials: uri has not answered yet"
    assert time.monotonic() - began < 2
    program.process.stdin.write("list 9000\n")  # waits for it
    program.process.stdin.flush()
    assert select.select([program.process.stdout], [], [], 0.3)[0] == []
    go_on.set()
    answer = program.process.stdout.readline()  # signed and sent, with a session that this KMS does not know
    assert answer.startswith("ListClientKeys EACCES InvalidAccessKeyId.NotFound")
    assert program.get() == (0, "STS.odd")
    held = start(provider=f"uri:{odd(lambda handler: go_on.wait(0) or time.sleep(3)).url}/x", timeout_ms=9000)
    assert held.ask("now").startswith("EAGAIN")
    began = time.monotonic()
    held.stop()
    assert time.monotonic() - began < 2.5  # nor does the end: the answer comes after 3 s


def test_an_operation_that_is_denied_says_so(start_emulator, start):
    emulator = start_emulator()
    emulator.set_faults("ListClientKeys denied")
    program = start(emulator.url, "ecs-ram-role", emulator.url)
    assert program.ask("list").split()[:4] == ["ListClientKeys", "EACCES", "Forbidden.NoPermission", "1"]


# -- ECS metadata ----------------------------------------------------------------------------------

def test_metadata_is_asked_with_a_token_and_without_only_where_it_may_be(start_emulator, start):
    emulator = start_emulator()

    def headers():
        return [{name.lower(): value for name, value in record["Headers"]} for record in emulator.records()
                if "security-credentials" in record["Url"]]
    assert start(provider="ecs-ram-role", metadata=emulator.url).get()[0] == 0
    assert len(headers()) == 2 and all("x-aliyun-ecs-metadata-token" in one for one in headers())
    emulator.set_faults("Metadata.Token code=NotFound:404")  # an older service
    assert start(provider="ecs-ram-role", metadata=emulator.url).get()[0] == 0
    assert all("x-aliyun-ecs-metadata-token" not in one for one in headers()[2:])
    asked = len(headers())
    error, reason = start(provider="ecs-ram-role", metadata=emulator.url, ALIBABA_CLOUD_IMDSV1_DISABLED="TRUE").get()
    assert (error, reason) == ("EACCES", "no credentials: ecs-ram-role: answered with status 404")
    assert len(headers()) == asked
    newer = start_emulator("--imdsv2-only", "--ram-role", "Another")
    assert start(provider="ecs-ram-role", metadata=newer.url).get()[0] == 0
    assert start(provider="ecs-ram-role:Wrong", metadata=newer.url).get()[0] == "EACCES"
    newer.set_faults("Metadata.Token code=NotFound:404")
    assert start(provider="ecs-ram-role", metadata=newer.url).get()[1].endswith("status 403")


def test_metadata_that_does_not_take_its_own_token_is_asked_without(start, odd):
    def refuse_token(handler):
        refused = handler.headers.get("X-aliyun-ecs-metadata-token")
        (answer_bytes("", "401 No") if refused else answer_everything)(handler)
    server = odd(refuse_token)
    assert start(provider="ecs-ram-role", metadata=server.url).get() == (0, "of-ecs")
    assert start(provider="ecs-ram-role", metadata=server.url, ALIBABA_CLOUD_IMDSV1_DISABLED="true").get()[0] == "EACCES"


class Silent:
    """Connections are accepted, and nobody ever answers."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def count(self):
        """How many connections there were; each made one request."""
        self.listener.setblocking(False)
        requests = []
        try:
            while True:
                with self.listener.accept()[0] as connection:
                    requests.append(connection.recv(10000).split(b"\r\n", 1)[0])
        except BlockingIOError:
            return requests


@pytest.mark.parametrize("token, requests", [
    (None, [b"PUT /latest/api/token HTTP/1.1", b"GET /latest/meta-data/ram/security-credentials/ HTTP/1.1"]),
    ("true", [b"PUT /latest/api/token HTTP/1.1"])])
def test_metadata_that_does_not_answer_is_asked_once_with_a_token_and_once_without(start, token, requests):
    silent = Silent()
    program = start(provider="ecs-ram-role", metadata=silent.url, timeout_ms=150, ALIBABA_CLOUD_IMDSV1_DISABLED=token or "")
    assert program.get() == ("EACCES", "no credentials: ecs-ram-role: 127.0.0.1: no answer in time")
    assert silent.count() == requests


@pytest.mark.full
def test_metadata_that_does_not_answer_costs_three_seconds(start, odd):
    """And half of that where it hangs later on, or the next of the chain has its turn."""
    def hang_after_the_token(handler):
        (answer_bytes("a-token") if handler.command == "PUT" else lambda _: time.sleep(2))(handler)
    silent, later = Silent(), odd(hang_after_the_token)
    for metadata, least, most in ((silent.url, 2.9, 5), (later.url, 1.4, 3)):
        program = start(provider="ecs-ram-role", metadata=metadata, timeout_ms=0)
        began = time.monotonic()
        assert program.get()[0] == "EACCES"
        assert least < time.monotonic() - began < most
    assert [asked[0] for asked in later.asked] == ["PUT", "GET"] and len(silent.count()) == 2


def test_metadata_that_is_switched_off_is_not_asked(start, odd):
    server = odd(answer_everything)
    error, reason = start(provider="ecs-ram-role", metadata=server.url, ALIBABA_CLOUD_ECS_METADATA_DISABLED="true").get()
    assert (error, server.asked) == ("EACCES", []) and "ALIBABA_CLOUD_ECS_METADATA_DISABLED" in reason


# -- what is wrong ---------------------------------------------------------------------------------

def slowly(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(100):
        handler.wfile.write(b"H")
        time.sleep(0.05)


def endless_headers(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(10000):
        handler.wfile.write(b"X-%d: %s\r\n" % (number, b"x" * 100))


MALFORMED = {
    "truncated": (answer_bytes(json.dumps(SESSION)[:50], length=200), "the answer broke off"),
    "cut JSON": (answer_bytes(json.dumps(SESSION)[:-5]), "not one JSON object"),
    "garbage": (answer_bytes(b"\xff\xfe\0 no JSON"), "not one JSON object"),
    "nothing": (answer_bytes(""), "not one JSON object"),
    "an array": (answer_bytes("[]"), "not one JSON object"),
    "two objects": (answer_bytes(json.dumps(SESSION) * 2), "not one JSON object"),
    "repeated members": (answer_bytes('{"Code": "Success", "Code": "Success"}'), "not one JSON object"),
    "deep": (answer_bytes("[" * 20000), "not one JSON object"),
    "a number for an id": (answer_session(AccessKeyId=7), "AccessKeyId is not a string"),
    "an object for a secret": (answer_session(AccessKeySecret={}), "AccessKeySecret is not a string"),
    "a number for a time": (answer_session(Expiration=4070908800), "Expiration is not a string"),
    "no id": (answer_session(AccessKeyId=...), "AccessKeyId is missing"),
    "no secret": (answer_session(AccessKeySecret=""), "AccessKeySecret is missing"),
    "no token": (answer_session(SecurityToken=None), "SecurityToken is missing"),
    "no such time": (answer_session(Expiration="2099-02-30T00:00:00Z"), "not a time"),
    "over": (answer_session(Expiration="2001-01-01T00:00:00Z"), "over already"),
    "a newline in the id": (answer_session(AccessKeyId="STS.odd\r\nx: y"), "not printable ASCII"),
    "a long token": (answer_session(SecurityToken="x" * 5000), "longer than 4096"),
    "a failure": (answer_session(Code="Fa\niled"), "its Code is Fa iled"),
    "huge": (answer_bytes("x" * 70000), "larger than any good one"),
    "huge headers": (endless_headers, "larger than any good one"),
    "slow": (slowly, "no answer in time"),
    "not HTTP": (lambda handler: handler.wfile.write(b"220 mail\r\n"), "127.0.0.1: "),
    "closed": (lambda handler: None, "127.0.0.1: "),
    "status 500": (answer_bytes(json.dumps(SESSION), "500 Oops"), "status 500"),
}
OF_STS = ["truncated", "garbage", "huge", "slow", "closed", "nothing", "an array"]


def check_refused(program, words):
    error, reason = program.get()
    assert error == "EACCES" and words in reason and "\n" not in reason and "odd-secret" not in reason


def test_a_uri_may_answer_with_an_access_key(start_emulator, start, odd):
    """As ack-ram-tool does: its SecurityToken is empty."""
    answer = {"Code": "Success", "AccessKeyId": ACCESS_KEY_ID, "AccessKeySecret": ACCESS_KEY_SECRET, "SecurityToken": "",
              "Expiration": "2999-01-02T11:04:05.25+08:00"}
    program = start(start_emulator().url, f"uri:{odd(answer_bytes(json.dumps(answer))).url}/x")
    assert program.ask("list").startswith("ListClientKeys 0 - 1")
    assert program.ask("describe").startswith("uri, until 2999-01-02T03:04:0")


@pytest.mark.full
def test_malformed_answers_are_refused(start, odd, home):
    server = odd()
    program = start(timeout_ms=250, **oidc(home, None)[1])
    for name, (answer, words) in MALFORMED.items():
        server.answer = answer
        check_refused(program.use(f"uri:{server.url}/secret-path"), words)
        server.answer = lambda handler: (answer if handler.path.endswith("/a-role") else answer_everything)(handler)
        check_refused(program.use("ecs-ram-role", server.url), words)
        server.answer = answer
        if name in OF_STS:
            check_refused(program.use("oidc", sts=server.url), words)
    assert program.stop() == ""


def test_an_odd_date_of_an_answer_is_named_or_passed_over(start, odd):
    """What is no time counts as none; one far ahead ends every session, and far back it would make one last for years."""
    def answer(date, seconds=3600):
        end = text_of(time.time() + seconds)
        return end, answer_bytes(json.dumps({**SESSION, "Expiration": end}), headers=f"Date: {date}\r\n")

    server, program = odd(), start()
    for date in ("yesterday", "", "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 01 Jan 99999 00:00:00 GMT",
                 "Sat, 01 Jan 2000 00:00:00 GMT"):
        end, server.answer = answer(date)
        assert program.use(f"uri:{server.url}/x").get() == (0, "STS.odd"), date
        until = moment_of(program.ask("describe").split(", until ")[1])
        assert abs(until - (time.time() + 3600)) < 60, date
    end, server.answer = answer("Thu, 01 Jan 2099 00:00:00 GMT")
    check_refused(program.use(f"uri:{server.url}/x"),
                  f"the session is over already: it ends at {end}, and by the answer's Date it is 2099-01-01T00:00:01Z")
    end, server.answer = answer("yesterday", -3600)
    check_refused(program.use(f"uri:{server.url}/x"), f"it ends at {end}, and by this machine's clock it is 20")


def test_sts_without_an_end_or_with_a_refusal_is_refused(start, odd, home):
    server, program = odd(), start(**oidc(home, None)[1])
    for credentials, words in (({**SESSION, "Expiration": None}, "no Expiration"), ([], "no Credentials"),
                               ({"AccessKeyId": "STS.odd"}, "AccessKeySecret is missing")):
        server.answer = answer_bytes(json.dumps({"Credentials": credentials}))
        check_refused(program.use("oidc", sts=server.url), words)
    refusal = {"Code": "NoPermission", "Message": "You may not.\nserver string to sign is:oidc-token", "RequestId": "x"}
    server.answer = answer_bytes(json.dumps(refusal), "403 Forbidden")
    assert program.use("oidc", sts=server.url).get()[1].strip() == "no credentials: oidc: STS refused: NoPermission: You may not. server"


def test_words_of_sts_that_tell_a_secret_are_left_out(start, odd, home):
    """A token longer than any password, in pieces and encoded, and the key and the token of a source profile."""
    token = "eyJhbGciOiJSUzI1NiJ9." + "QUJDREVGR0hJSktMTU5P" * 40 + ".SIGNATURE+/=="
    parts = oidc(home, None)[1]
    write(home / "token", token)
    session = {"access_key_id": "id", "access_key_secret": "SecretOfTheSourceProfile", "sts_token": "TokenOfTheSource+/Profile"}
    write_profiles(home, {"name": "p", "mode": "ChainableRamRoleArn", "source_profile": "s", "ram_role_arn": ARN},
                   {"name": "s", "mode": "StsToken", **session})
    server = odd()
    program = start(**parts)
    for provider, words in (("oidc", token), ("oidc", token[-30:]), ("oidc", token[:200]), ("oidc", urllib.parse.quote(token[-20:], "")),
                            ("profile:p", session["sts_token"]), ("profile:p", urllib.parse.quote(session["sts_token"], "")),
                            ("profile:p", session["access_key_secret"][:20])):
        server.answer = answer_bytes(json.dumps({"Code": "Invalid", "Message": f"wrong: {words}", "RequestId": "x"}), "400 Bad")
        reason = program.use(provider, sts=server.url).get()[1]
        assert "STS refused: Invalid, in words that tell a secret" in reason and words not in reason
        server.answer = answer_bytes(json.dumps({"Code": words, "Message": "", "RequestId": "x"}), "400 Bad")
        reason = program.use(provider, sts=server.url).get()[1]
        assert "STS refused with status 400, in words that tell a secret" in reason and words not in reason


THROTTLED = json.dumps({"Code": "Throttling.User", "Message": "Request was denied.", "RequestId": "x"})
PASSING = {
    "status 503": answer_bytes("", "503 Busy"),
    "status 429": answer_bytes("", "429 Slower"),
    "nothing": lambda handler: None,
    "a part": answer_bytes("{", length=100),
}
PASSING_OF_STS = {
    "Throttling": answer_bytes(THROTTLED, "400 Bad"),
    "Rejected.Throttling": answer_bytes(THROTTLED.replace("Throttling.User", "Rejected.Throttling"), "400 Bad"),
    "ServiceUnavailable": answer_bytes(json.dumps({"Code": "ServiceUnavailable", "Message": "m"}), "503 Busy"),
}


@pytest.mark.full
def test_what_fails_in_passing_is_asked_again_before_the_provider_fails(start, odd, home):
    program = start(**oidc(home, None)[1])
    write_profiles(home, {"name": "p", "mode": "RamRoleArn", "ram_role_arn": ARN, **KEY})

    def ask(provider, failure, failures, path="/"):
        """The answer, and how often PATH was asked, whose first answers are FAILURES times FAILURE."""
        def answer(handler):
            left = [asked for asked in server.asked if asked[1].startswith(path)]
            ours = handler.path.startswith(path) and len(left) <= failures
            (failure if ours else answer_everything)(handler)
        server = odd(answer)
        answered = program.use(provider.replace("SERVER", server.url), server.url, server.url).get()
        return answered[0], sum(asked[1].startswith(path) for asked in server.asked)

    for name, failure in {**PASSING, **PASSING_OF_STS}.items():
        for provider in ("oidc", "profile:p"):
            assert ask(provider, failure, 3) == (0, 4), name
    for name, failure in PASSING.items():
        assert ask("uri:SERVER/uri", failure, 3) == (0, 4), name
        assert ask("ecs-ram-role", failure, 3, "/latest/meta-data/ram/security-credentials/a-role") == (0, 4), name
    assert ask("oidc", PASSING_OF_STS["Throttling"], 99) == ("EACCES", 4)
    assert ask("uri:SERVER/uri", PASSING["status 503"], 99) == ("EACCES", 4)
    refusal = answer_bytes(json.dumps({"Code": "NoPermission", "Message": "m", "RequestId": "x"}), "403 Forbidden")
    for provider in ("oidc", "profile:p", "uri:SERVER/uri"):
        assert ask(provider, refusal, 99) == ("EACCES", 1)


def test_a_role_that_is_no_name_is_refused(start, odd):
    server, program = odd(), start()
    for role in ("", "a b", "../x", "a/b", "a\nb", "x" * 200, "é"):
        server.answer = lambda handler: answer_bytes("a-token" if "token" in handler.path else role)(handler)
        error, reason = program.use("ecs-ram-role", server.url).get()
        assert error == "EACCES" and "does not name one RAM role" in reason


def test_an_instance_without_a_role_is_told_so(start, odd):
    def answer_no_role(handler):
        (answer_everything if "token" in handler.path else answer_bytes("", "404 Not Found"))(handler)
    check_refused(start(provider="ecs-ram-role", metadata=odd(answer_no_role).url), "ecs-ram-role: this instance has no RAM role")


def test_no_redirect_is_followed(start, odd, home):
    server, target, program = odd(), odd(answer_everything), start(**oidc(home, None)[1])
    for status in (301, 302, 307, 308):
        server.answer = answer_bytes("", f"{status} Moved", f"Location: {target.url}/uri\r\n")
        check_refused(program.use(f"uri:{server.url}/x"), f"status {status}")
        check_refused(program.use("ecs-ram-role:a-role", server.url), f"status {status}")
        check_refused(program.use("oidc", sts=server.url), f"Http.{status}")
    assert target.asked == []


def test_a_uri_that_is_none_is_refused_and_not_shown(start):
    program = start()
    for uri in ("file:///etc/passwd", "ftp://h/x", "http://", "nonsense secret-part", "http://me:secret-part@127.0.0.1/x",
                "http://secret-part@127.0.0.1/"):
        error, reason = program.use(f"uri:{uri}").get()
        assert error == "EACCES" and "URL" in reason and "secret-part" not in reason and "passwd" not in reason


# -- files -----------------------------------------------------------------------------------------

def test_files_that_others_can_write_are_refused(start, home):
    profiles = write_profiles(home, {"name": "p", "mode": "AK", **KEY})
    section_file = write_section(home, "type = access_key", *SECTION_KEY, name="s")
    given = systemd(home, None)[1]
    token, oidc_parts = home / "token", oidc(home, None)[1]
    cases = [(profiles, "profile:p", {}), (section_file, "profile:s", {}), (token, "oidc", oidc_parts),
             (home / "given/aapfs.access-key-secret", "default", given)]
    for path, provider, env in cases:
        if provider == "default":  # else the next of the chain answers
            profiles.unlink()
            section_file.unlink()
        program = start(**env)
        usual = path.stat().st_mode & 0o777
        for mode in (0o602, 0o620, 0o666):
            path.chmod(mode)
            check_refused(program.use(provider), f"{path}: others can write to it: refused; chmod go-w")
        path.chmod(usual)
        os.chown(path, 1234, 0)
        check_refused(program.use(provider), f"{path}: belongs to another user: refused; chown it")
        os.chown(path, 0, 0)
        path.rename(path.with_suffix(".kept"))
        os.mkfifo(path, 0o600)
        check_refused(program.use(provider), f"{path}: not a regular file")
        path.unlink()
        write(path, "x" * 70000)
        check_refused(program.use(provider), f"{path}: larger than 64 KiB")
        write(path, "{}\0")
        check_refused(program.use(provider), f"{path}: holds a NUL")
        path.with_suffix(".kept").rename(path)


def test_a_profile_says_what_is_wrong_with_it(start, home, odd):
    wrong = [
        ({"mode": "CloudSSO"}, "holds no session; log in again: aliyun configure --profile p --mode CloudSSO"),
        ({"mode": "OAuth"}, "log in again: aliyun configure --profile p --mode OAuth"),
        ({"mode": "RsaKeyPair"}, "mode RsaKeyPair is not supported; these are: AK, StsToken"),
        ({"mode": "X" * 300}, "is not supported"),
        ({}, "mode is missing"),
        ({"mode": 7}, "mode is not a string"),
        ({"mode": "AK", "access_key_id": "x"}, "the access key secret: is missing"),
        ({"mode": "AK", "access_key_id": "a b", "access_key_secret": "odd-secret"}, "not printable ASCII"),
        ({"mode": "StsToken", **KEY}, "sts_token is missing"),
        ({"mode": "CloudSSO", "sts_token": "t", "sts_expiration": 1000000000, **KEY}, "ended at 2001-09-09T01:46:40Z; log in again"),
        ({"mode": "RamRoleArn", **KEY}, "the ARN of the role is missing"),
        ({"mode": "RamRoleArn", "ram_role_arn": ARN, "expired_seconds": 10, **KEY}, "900 to 43200"),
        ({"mode": "RamRoleArn", "ram_role_arn": ARN, "expired_seconds": "2h", **KEY}, "expired_seconds is not a whole number"),
        ({"mode": "RamRoleArn", "ram_role_arn": ARN, "enable_vpc": "yes", **KEY}, "enable_vpc is neither true nor false"),
        ({"mode": "OAuth", "sts_token": "t", "sts_expiration": "x", **KEY}, "sts_expiration is not a whole number"),
        ({"mode": "OIDC", "ram_role_arn": ARN}, "oidc_provider_arn is missing"),
        ({"mode": "OIDC", "ram_role_arn": ARN, "oidc_provider_arn": "p", "oidc_token_file": "/none"}, "/none does not exist"),
        ({"mode": "ChainableRamRoleArn", "ram_role_arn": ARN}, "source_profile is missing"),
        ({"mode": "ChainableRamRoleArn", "ram_role_arn": ARN, "source_profile": "nobody"}, "profile nobody is missing"),
        ({"mode": "ChainableRamRoleArn", "ram_role_arn": ARN, "source_profile": "p"}, "source profiles in a row"),
        ({"mode": "CredentialsURI"}, "credentials_uri is missing"),
        ({"mode": "External"}, "process_command is missing"),
        ({"mode": "External", "process_command": "'open"}, "no command line"),
        ({"mode": "External", "process_command": "/bin/false"}, "/bin/false: it failed"),
        ({"mode": "External", "process_command": "echo {}"}, "the access key id: is missing"),
    ]
    program = start()
    for members, words in wrong:
        write_profiles(home, {"name": "p", **members})
        check_refused(program.use("profile:p"), words)
    write_profiles(home, {"name": "p", "mode": "External", "process_command": "true"})
    check_refused(start(provider="profile:p", NO_RUN="1"), "mode External runs a program, which is not possible here")
    error, reason = program.use("profile:q").get()
    assert reason == ("no credentials: not set up: profile (profile q), "
                      f"credentials file ({home}/.alibabacloud/credentials or credentials.ini)")
    for text in ("[]", "{", '{"profiles": {}}', '{"current": 7}'):
        write(home / ".aliyun/config.json", text)
        assert program.use("default").get()[0] == "EACCES"


def test_a_section_says_what_is_wrong_with_it(start, home):
    program = start()
    for lines, words in ((("type = bearer",), "type bearer is not supported; these are: access_key, sts"), ((), "type (none)"),
                         (("type = access_key", "access_key_id = x"), "the access key secret: is missing"),
                         (("type = oidc_role_arn",), "oidc_provider_arn or oidc_token_file_path is missing"),
                         (("nonsense odd-secret",), "line 2: expected")):
        write_section(home, *lines, name="p")
        check_refused(program.use("profile:p"), words)


# -- proxies ---------------------------------------------------------------------------------------

@pytest.mark.full
def test_a_proxy_is_never_asked_for_what_is_near_or_what_it_could_read(start, odd, home):
    proxy, server = odd(answer_bytes("", "502 No")), odd(answer_everything)
    proxies = {name: proxy.url for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY")}
    for given in ("-", proxy.url):
        program = start(proxy=given, timeout_ms=200, **proxies)
        assert program.use("ecs-ram-role", server.url).get() == (0, "of-ecs")
        assert program.use(f"uri:{server.url}/uri").get() == (0, "of-uri")
        assert program.use(f"uri:{server.url.replace('127.0.0.1', 'localhost')}/uri").get() == (0, "of-uri")
        for host in ("169.254.7.7", "[fe80::1]", "[::1]:1", "[::ffff:127.0.0.1]:1", "0x7f.1:1", "x.localhost:1", "127.0.0.1.:1",
                     "localhost.:1", "100.100.100.200.", "far.invalid"):
            assert program.use(f"uri:http://{host}/x").get()[0] == "EACCES"
        assert program.use("ecs-ram-role", "-").get()[0] == "EACCES"  # 100.100.100.200
        assert proxy.asked == []  # it would read what far.invalid is asked and answers, as it is not https
        # and is for what is far
        assert program.use("uri:https://far.invalid/x").get()[0] == "EACCES"
        assert {asked[:2] for asked in proxy.asked} == {("CONNECT", "far.invalid:443")}
        proxy.asked.clear()


@pytest.mark.parametrize("members,host", [
    ({}, "sts.aliyuncs.com"),
    ({"sts_region": "cn-beijing"}, "sts.cn-beijing.aliyuncs.com"),
    ({"sts_region": "cn-beijing", "enable_vpc": True}, "sts-vpc.cn-beijing.aliyuncs.com"),
    ({"sts_endpoint": "sts.example"}, "sts.example"),
])
def test_sts_is_asked_where_the_profile_says(members, host, start, odd, home):
    proxy = odd(answer_bytes("", "502 No"))
    write_profiles(home, {"name": "p", "mode": "RamRoleArn", "ram_role_arn": ARN, **KEY, **members})
    assert start(provider="profile:p", sts="-", proxy=proxy.url).get()[0] == "EACCES"
    assert {asked[:2] for asked in proxy.asked} == {("CONNECT", f"{host}:443")}


def test_a_region_that_is_none_leads_nowhere(start, odd, home):
    proxy = odd(answer_bytes("", "502 No"))
    program = start(proxy=proxy.url)
    for members in ({"sts_region": "x/../@evil"}, {"sts_endpoint": "http://evil.example"}, {"sts_endpoint": "me@evil"}):
        write_profiles(home, {"name": "p", "mode": "RamRoleArn", "ram_role_arn": ARN, **KEY, **members})
        check_refused(program.use("profile:p", sts="-"), "the endpoint of STS: ")
    assert proxy.asked == []
