"""A mount that has its credentials from the chain: each provider, sessions that end, none at all, and the region."""
import errno
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from parts.credentials import ARN, KEY, session_of, write, write_profiles
from parts.harness import AAPFS, ACCESS_KEY_ID, ACCESS_KEY_SECRET, INSIDE, PASSWORD, environment, result_of, run_aapfs, until
from parts.odd_server import answer_bytes, answer_session
from parts.processes import state_of
from parts.proxy import Proxy
from parts.users import NOBODY

NO_CREDENTIALS = dict(ALIBABA_CLOUD_ACCESS_KEY_ID=None, ALIBABA_CLOUD_ACCESS_KEY_SECRET=None,
                      ALIBABA_CLOUD_ECS_METADATA_DISABLED="true")


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home/.aliyun").mkdir(parents=True)
    return tmp_path / "home"


def write_profile(home, **members):
    return write_profiles(home, {"name": "mine", **members})


def script(home, text, name="helper"):
    return write(home / name, "#!/bin/sh\n" + text, 0o700)


def start(start_mount, url, home, provider="default", **parts):
    return start_mount(url, settings=f"credentials = {provider}", env={**NO_CREDENTIALS, "HOME": str(home), **parts.pop("env", {})},
                       **parts)


def write_refused(mount, number, aap="payments"):
    assert result_of(mount, PASSWORD, aap) == number
    return mount.last_error(aap)["Message"]


def systemd(home, emulator):
    for name, value in (("id", ACCESS_KEY_ID), ("secret", ACCESS_KEY_SECRET)):
        write(home / f"aapfs.access-key-{name}", value, 0o400)
    return "default", "systemd", dict(CREDENTIALS_DIRECTORY=str(home))


def role(home, emulator):
    write_profile(home, mode="RamRoleArn", ram_role_arn=ARN, sts_endpoint=emulator.url, **KEY)
    return "profile:mine", "profile, until 20", {}


def external(home, emulator):
    printed = json.dumps({"mode": "AK", **KEY})
    helper = script(home, f"test \"$1$2\" = \"it's; \\$HOME\" && test \"$HOME\" = {home} && "
                          f"test -z \"$AAPFS_MOUNT$ALIBABA_CLOUD_REGION_ID\" && echo '{printed}'\n", "a helper")
    write_profile(home, mode="External", process_command=f"'{helper}' \"it's\" '; $HOME'")
    return "default", "profile", {}


def uri(home, emulator):
    return f"uri:{emulator.url}/_credentials", "uri, until 20", {}


@pytest.mark.parametrize("set_up", [systemd, role, external, uri])
def test_a_mount_asks_each_provider(start_mount, emulator, home, set_up):
    provider, described, env = set_up(home, emulator)
    mount = start(start_mount, emulator.url, home, provider, env=env)
    assert mount.status()["Credentials"].startswith(described)
    mount.write("payments", PASSWORD)
    assert mount.key_id().startswith("KAAP.")


def test_a_mount_without_credentials_comes_up_says_why_and_works_once_there_are_some(start_mount, emulator, home):
    mount = start(start_mount, emulator.url, home)
    assert mount.status()["Credentials"] is None
    until(lambda: mount.last_error(".aapfs"))
    failure = mount.last_error(".aapfs")
    assert failure["Errno"] == "EACCES"
    for name in ("systemd (CREDENTIALS_DIRECTORY)", "environment (ALIBABA_CLOUD_ACCESS_KEY_ID)", "oidc (", f"profile ({home}",
                 "credentials file (", "ecs-ram-role (", "uri (ALIBABA_CLOUD_CREDENTIALS_URI)"):
        assert name in failure["Message"]
    write_profile(home, mode="AK", **KEY)
    until(lambda: not sync_fails(mount))
    mount.write("payments", PASSWORD)
    assert mount.status()["Credentials"] == "profile"


def test_a_secret_that_is_corrected_is_read_again(start_mount, emulator, home):
    write_profile(home, mode="AK", **{**KEY, "access_key_secret": "mistyped"})
    mount = start(start_mount, emulator.url, home)
    assert sync_fails(mount) and mount.last_error(".aapfs")["Code"] == "SignatureDoesNotMatch"
    write_profile(home, mode="AK", **KEY)
    until(lambda: not sync_fails(mount))  # not at once: who was just asked is left alone for a while
    mount.write("payments", PASSWORD)


def sync_fails(mount):
    try:
        mount.sync()
    except PermissionError:
        return True
    return False


def test_a_mount_with_keys_serves_them_without_credentials(start_mount, emulator, home):
    write_profile(home, mode="AK", **KEY)
    first = start(start_mount, emulator.url, home)
    first.write("payments", PASSWORD)
    key = first.key_id()
    first.stop()
    os.remove(home / ".aliyun/config.json")
    second = start(start_mount, emulator.url, home, **first.kept)
    assert second.key_id() == key
    began = time.monotonic()
    assert write_refused(second, errno.EACCES).startswith("no credentials: not set up: systemd")
    assert time.monotonic() - began < 1
    assert second.key_id() == key
    second.stop()


EXTERNALS = {
    "exit 3\n": "its process_command ended with status 3",
    "kill -9 $$\n": "its process_command was killed by signal 9",
    "head -c 70000 /dev/zero\n": "its process_command printed more than 65536 bytes",
    "printf '{}\\000'\n": "its process_command printed a NUL",
    "echo '{\"mode\": \"AK\", \"access_key_secret\": \"very-secret\"}'\n": "profile mine: ",
}


@pytest.mark.full
def test_a_program_that_prints_no_credentials_is_named_and_what_it_prints_is_not(start_mount, emulator, home):
    helper = script(home, "exit 3\n")
    write_profile(home, mode="External", process_command=str(helper))
    mount = start(start_mount, emulator.url, home)
    for text, reason in EXTERNALS.items():
        script(home, text)
        until(lambda: reason in sync_failure(mount))
        assert "very-secret" not in json.dumps(mount.last_error(".aapfs"))
    write_profile(home, mode="External", process_command="x" * 2000)
    until(lambda: "too long: 1000 bytes are the most" in sync_failure(mount))


def sync_failure(mount):
    with pytest.raises(PermissionError):
        mount.sync()
    return mount.last_error(".aapfs")["Message"]


@pytest.mark.full
def test_a_runner_that_dies_with_a_program_is_asked_again(start_mount, emulator, home):
    printed = json.dumps({"mode": "AK", **KEY})
    helper = script(home, f"test -e {home}/again && echo '{printed}' && exit\ntouch {home}/again\n"
                          f"echo $$ >{home}/pid\nexec sleep 600 >/dev/null\n")
    write_profile(home, mode="External", process_command=str(helper))
    mount = start(start_mount, emulator.url, home, expected_errors=None, ready_timeout=10)
    until(lambda: (home / "pid").exists() and (home / "pid").read_text().endswith("\n"))
    os.kill(mount.children()["aapfs-runner"], 9)
    until(lambda: not sync_fails(mount))
    os.kill(int((home / "pid").read_text()), 9)
    mount.write("payments", PASSWORD)


def test_a_mount_whose_program_runs_ends_at_once(start_mount, emulator, home):
    helper = script(home, f"echo $$ >{home}/pid\nexec sleep 600\n")
    write_profile(home, mode="External", process_command=str(helper))
    mount = start(start_mount, emulator.url, home)
    until(lambda: (home / "pid").exists() and (home / "pid").read_text().endswith("\n"))
    began = time.monotonic()
    mount.stop()
    assert time.monotonic() - began < 10  # the program ends after 600 s
    until(lambda: state_of(int((home / "pid").read_text())) in "ZX")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_check_that_is_interrupted_leaves_no_program(tmp_path, emulator, home, number):
    helper = script(home, f"echo $$ >{home}/pid\nexec sleep 600\n")
    write_profile(home, mode="External", process_command=str(helper))
    config = tmp_path / "check.conf"
    config.write_text(f"[kms]\nendpoint = {emulator.url}\ncredentials = profile:mine\n")
    check = subprocess.Popen([AAPFS, "check", "-c", config], env=environment(**{**NO_CREDENTIALS, "HOME": str(home)}),
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    until(lambda: (home / "pid").exists() and (home / "pid").read_text().endswith("\n"))
    os.killpg(check.pid, number)
    assert check.wait(20) == -number
    until(lambda: state_of(int((home / "pid").read_text())) in "ZX")


def test_runner_and_publisher_keep_no_secret_of_the_environment(start_mount, emulator):
    mount = start_mount(emulator.url, env={"https_proxy": "http://user:of-a-proxy@127.0.0.1:9"})
    children = mount.children()
    for name in ("aapfs-runner", "aapfs-publisher"):
        kept = pathlib.Path(f"/proc/{children[name]}/environ").read_bytes()
        assert b"PATH=" in kept and ACCESS_KEY_SECRET.encode() not in kept and b"of-a-proxy" not in kept


def test_sessions_are_renewed_under_load_and_in_the_middle_of_a_rotation(start_mount, start_emulator, home):
    emulator = start_emulator("--session-seconds", "2")
    mount = start(start_mount, emulator.url, home, f"uri:{emulator.url}/_credentials", request_timeout="10s")
    until = time.monotonic() + 2.1
    while time.monotonic() < until:
        mount.write("payments", PASSWORD)
        mount.write("orders", PASSWORD)
    assert emulator.count("CredentialsUri") >= 2
    emulator.set_faults("CreateClientKey delay=2200")  # its session ends meanwhile
    mount.write("payments", PASSWORD)
    emulator.set_faults()
    mount.write("payments", PASSWORD)


def test_a_provider_that_fails_later_leaves_the_session_that_holds(start_mount, emulator, home, odd):
    session = emulator_session(emulator)
    server = odd(answer_session(**session))
    mount = start(start_mount, emulator.url, home, f"uri:{server.url}/")
    server.answer = answer_bytes(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
    for _ in range(3):
        mount.write("payments", PASSWORD)


def emulator_session(emulator):
    session = session_of(emulator)
    return {name: session[name] for name in ("AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration")}


@pytest.mark.parametrize("how", ["configuration", "environment"])
def test_no_proxy_sees_a_local_credentials_uri(start_mount, emulator, home, how):
    proxy = Proxy(emulator.port)
    settings = f"\nproxy = {proxy.url}" if how == "configuration" else ""
    env = {} if settings else dict(http_proxy=proxy.url, https_proxy=proxy.url, all_proxy=proxy.url)
    mount = start(start_mount, emulator.url, home, f"uri:{emulator.url}/_credentials{settings}", env=env)
    mount.write("payments", PASSWORD)
    assert proxy.asked == []


@pytest.mark.parametrize("value, reason", [
    ("profiles", "profiles is no provider; right is one of default, environment, profile:NAME, oidc"),
    ("uri:ftp://x/", "uri: not a URL; right is uri:http://HOST/PATH or uri:https://HOST/PATH"),
])
def test_credentials_that_are_none_end_the_start(tmp_path, value, reason):
    config = tmp_path / "aapfs.conf"
    config.write_text(f"[kms]\ncredentials = {value}\n")
    done = run_aapfs("-f", "-c", config, tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"aapfs: configuration: {config}:2: credentials: {reason}")
    assert done.stderr.count("\n") == 1


# -- the region ------------------------------------------------------------------------------------

def test_the_region_is_that_of_option_configuration_environment_and_profile_in_this_order(start_mount, emulator, home):
    write_profile(home, mode="AK", region_id="cn-profile", **KEY)
    ways = [("", [], dict(ALIBABA_CLOUD_REGION_ID=None), "cn-profile"),
            ("", [], dict(ALIBABA_CLOUD_REGION_ID="cn-environment"), "cn-environment"),
            ("region = cn-configuration", [], dict(ALIBABA_CLOUD_REGION_ID="cn-environment"), "cn-configuration"),
            ("region = cn-configuration", ["--region", "cn-option"], {}, "cn-option")]
    for settings, options, env, region in ways:
        mount = start_mount(emulator.url, *options, settings=settings, env={**NO_CREDENTIALS, "HOME": str(home), **env})
        assert mount.status()["Region"] == region
        mount.write(".aapfs", "reload")  # goes on with it
        mount.stop("aapfs: reloaded\n")
        mount.expected_errors = "aapfs: reloaded\n"


def test_a_region_that_was_found_stays_when_the_profile_goes(start_mount, start_emulator, home):
    emulator = start_emulator("--region", "cn-profile")
    profile = write_profile(home, mode="AK", region_id="cn-profile", **KEY)
    mount = start(start_mount, emulator.url, home, env=dict(ALIBABA_CLOUD_REGION_ID=None),
                  expected_errors="aapfs: reloaded\n")
    profile.unlink()
    mount.write(".aapfs", "reload")
    assert mount.status()["Region"] == "cn-profile"
    mount.config.write_text(mount.config.read_text().replace("[kms]\n", "[kms]\nregion = cn-other\n", 1))
    with pytest.raises(OSError):
        mount.write(".aapfs", "reload")
    assert mount.last_error(".aapfs")["Message"].startswith("region: cannot change on a live mount")


@pytest.mark.parametrize("env, reason", [
    ({}, "no region: profile: {home}/.aliyun/config.json; ECS metadata: ALIBABA_CLOUD_ECS_METADATA_DISABLED is set; "
         "set one: --region cn-hangzhou, region in [kms] of aapfs.conf, or ALIBABA_CLOUD_REGION_ID\n"),
    (dict(ALIBABA_CLOUD_REGION_ID="a b"), "ALIBABA_CLOUD_REGION_ID: not a region id; right is one like cn-hangzhou\n"),
])
def test_a_start_without_a_region_says_so(tmp_path, home, env, reason):
    config = tmp_path / "aapfs.conf"
    config.write_text("[kms]\n")
    done = run_aapfs("-f", "-c", config, tmp_path,
                     env=environment(**{**NO_CREDENTIALS, "HOME": str(home), "ALIBABA_CLOUD_REGION_ID": None, **env}))
    assert (done.returncode, done.stderr) == (2, "aapfs: " + reason.format(home=home))


def vpc_asked(start_mount, home):
    """What a mount inside a VPC asks its proxy for; nobody here knows these names."""
    proxy = Proxy(1)
    proxy.status = 503
    mount = start_mount("", settings=f"network = vpc\nregion = cn-beijing\nproxy = {proxy.url}", env={**NO_CREDENTIALS, "HOME": str(home)})
    until(lambda: proxy.asked)
    assert mount.status()["Endpoint"] == "https://kms-vpc.cn-beijing.aliyuncs.com"
    mount.stop()
    return {line.split()[1] for line in proxy.asked}


def test_inside_a_vpc_kms_and_sts_are_asked_by_their_names_there(start_mount, home):
    write_profile(home, mode="AK", **KEY)
    assert vpc_asked(start_mount, home) == {"kms-vpc.cn-beijing.aliyuncs.com:443"}
    write_profile(home, mode="RamRoleArn", ram_role_arn=ARN, **KEY)
    assert vpc_asked(start_mount, home) == {"sts-vpc.cn-beijing.aliyuncs.com:443"}
    write_profile(home, mode="RamRoleArn", ram_role_arn=ARN, sts_region="cn-shanghai", **KEY)
    assert vpc_asked(start_mount, home) == {"sts-vpc.cn-shanghai.aliyuncs.com:443"}


@pytest.mark.full
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_reads_only_what_is_its_own_or_open(start_mount, emulator, home):
    path = write_profile(home, mode="AK", **KEY)
    os.chown(path.parent, NOBODY, NOBODY)
    path.parent.chmod(0o700)
    mount = start(start_mount, emulator.url, home)
    assert f"profile: {path}: it cannot be read as its user, without capabilities; chown it" in sync_failure(mount)
    path.parent.chmod(0o755)
    path.chmod(0o606)
    until(lambda: f"profile: {path}: others can write to it: refused; chmod go-w" in sync_failure(mount))
    path.chmod(0o600)
    until(lambda: not sync_fails(mount))


def test_region_and_credentials_come_from_ecs_past_every_proxy(tmp_path, pool_file):
    done = subprocess.run(["unshare", "--net", "--mount", sys.executable, "-m", "inside.metadata_network", tmp_path, pool_file],
                          capture_output=True, text=True, timeout=60, cwd=INSIDE.parent)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.full
def test_where_there_is_no_ecs_a_write_ends_within_two_seconds(tmp_path):
    """Where packets to the metadata service are lost."""
    done = subprocess.run(["unshare", "--net", "--mount", sys.executable, "-m", "inside.no_metadata_network", tmp_path],
                          capture_output=True, text=True, timeout=60, cwd=INSIDE.parent)
    assert (done.returncode, done.stderr) == (0, "")
