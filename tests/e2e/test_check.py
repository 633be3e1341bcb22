"""aapfs check: every line of it, as ok, warning and error, and that it changes nothing."""
import json
import os
import re
import subprocess

import pytest

from parts.check import FOLLOWING, Checked, Place, check
from parts.harness import ACCESS_KEY_SECRET, IS_CONTAINED, PASSWORD, environment, make_state_key, run_aapfs
from parts.kms import ACCOUNT
from parts.odd_server import OddServer, answer_bytes
from parts.processes import kill_all
from parts.proxy import HOST, Proxy
from parts.store import disk, store_of, tmpfs
from parts.users import AS_NOBODY, NOBODY, program_for_others

READING = {"ListApplicationAccessPoints", "DescribeApplicationAccessPoint", "ListClientKeys", "GetClientKey"}


@pytest.fixture
def place(tmp_path, emulator):
    return Place(tmp_path, emulator.url)


@pytest.mark.core
def test_everything_is_well_and_nothing_is_changed(start_mount, emulator):
    mount = start_mount(emulator.url, defaults=FOLLOWING)
    mount.write("payments", PASSWORD)
    before, counts, key = disk(mount), emulator.counts(), mount.key_id()
    listing = sorted((path, path.lstat().st_mtime_ns) for path in mount.path.rglob("*") if ".aapfs" not in path.parts)
    checked = check(mount.config, mount.path)
    assert checked.status == 0 and checked.only("warning") == checked.only("error") == []
    assert disk(mount) == before
    assert sorted((path, path.lstat().st_mtime_ns) for path in mount.path.rglob("*") if ".aapfs" not in path.parts) == listing
    after = emulator.counts()
    assert {name for name in after if after[name] != counts.get(name)} == READING
    for subject, text in (("configuration", str(mount.config)), ("validity", "[defaults]: 1 calendar year"), ("endpoint", emulator.url),
                          ("proxy", "none"), ("name", "127.0.0.1 is an address"), ("connection", "to 127.0.0.1"),
                          ("credentials", "environment; access key LTAI...Only"), ("account", f"{ACCOUNT} in cn-hangzhou"),
                          ("ListApplicationAccessPoints", "permitted; 2 AAPs"), ("DescribeApplicationAccessPoint", "permitted"),
                          ("ListClientKeys", "permitted; payments has 1"), ("GetClientKey", "permitted"),
                          ("mount point", f"{mount.path}: aapfs is mounted there and answers"),
                          ("state key", f"{mount.state_key}: mode 0600, the one that the keys are sealed with"),
                          ("on_rotate", "given for every AAP"),
                          ("CreateClientKey, DeleteClientKey", "not tried: that would make or delete a key")):
        assert checked.of("ok", subject) == [text], subject
    states = checked.of("ok", "state")
    assert f"{mount.state}: keys of the account {ACCOUNT} in cn-hangzhou" in states
    assert f"{mount.state}: in use by aapfs, process {mount.process.pid}" in states
    assert re.fullmatch(r"KMS's is [+-]0\.\d s from this machine's", checked.of("ok", "clock")[0])
    # and what was mounted goes on
    mount.write("payments", PASSWORD)
    assert mount.key_id() != key


def test_before_the_first_start_nothing_is_made(place, tmp_path):
    place.state.rmdir()
    place.key = place.directory / "none.key"
    checked = place.check()
    assert checked.of("ok", "state") == [f"{place.state}: not there yet; the first start makes it"]
    assert "openssl rand -hex 32" in checked.of("error", "state key")[0]
    assert not place.state.exists() and not place.key.exists() and os.listdir(place.mountpoint) == []
    with tmpfs(tmp_path / "disk", "1m"):
        subprocess.run(["mount", "-o", "remount,ro", tmp_path / "disk"], check=True)
        place.state = tmp_path / "disk" / "aapfs" / "state"
        assert f"cannot be made: {tmp_path}/disk: Read-only" in place.check().of("error", "state")[0]


def test_a_users_own_first_start(place, tmp_path):
    """Whose key is made by the first start: not by this."""
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    config = tmp_path / "users.conf"
    config.write_text(f"[kms]\nendpoint = {place.url}\n[defaults]\n{FOLLOWING}\n")
    config.chmod(0o644)
    checked = Checked(run_aapfs("check", "-c", config, "-m", place.mountpoint, program=program_for_others(tmp_path), **AS_NOBODY,
                                env=environment(HOME=str(home), XDG_STATE_HOME=None, XDG_CONFIG_HOME=None)))
    assert checked.of("ok", "state") == [f"{home}/.local/state/aapfs: not there yet; the first start makes it"]
    assert checked.of("ok", "state key") == [f"{home}/.config/aapfs/state.key: not there yet; the first start makes it"]
    assert checked.status == 0 and os.listdir(home) == []


def test_a_wrong_configuration(place):
    checked = place.check(settings="nothing = 1")
    assert checked.status == 2 and len(checked.lines) == 1
    assert f"{place.directory}/check.conf:4: " in checked.of("error", "configuration")[0]
    assert run_aapfs("check", "more").returncode == 2
    gone = check(place.directory / "gone.conf", place.mountpoint)
    assert gone.status == 2 and "No such file" in gone.of("error", "configuration")[0]


# -- the configuration ----------------------------------------------------------------------------


def test_settings_that_are_hardly_meant(place):
    lengths = {"gone": "6y", "days": "365d", "leap": "366d", "five": "5y", "most": "1826d", "more": "1827d", "one": "1d", "short": "90s"}
    checked = place.check(defaults="validity = 30d", sections="[aap payments]\non_rotate = true\nvalidity = 2y\n" +
                          "".join(f"[aap {name}]\nvalidity = {length}\n" for name, length in lengths.items()))
    assert sorted(text.split(";")[0] for text in checked.of("warning", "validity")) == sorted([
        "[defaults]: 30 days", "[aap gone]: 6 calendar years", "[aap days]: 365 days", "[aap more]: 1827 days",
        "[aap one]: 1 day", "[aap short]: 90 s"])
    assert sorted(checked.of("ok", "validity")) == sorted([
        "[aap payments]: 2 calendar years", "[aap leap]: 366 days", "[aap five]: 5 calendar years", "[aap most]: 1826 days"])
    assert checked.of("warning", "on_rotate")[0].startswith("orders: it is empty")
    assert checked.of("warning", "owner") == []
    assert checked.of("warning", "AAPs")[0].startswith("[aap days]: KMS has no such AAP")
    assert checked.status == 0
    checked = place.check(defaults="owner = 1000", sections="[aap payments]\nowner = 1001\n[aap orders]\nowner = 0\n")
    assert [line.split(" can ")[0] for line in checked.of("warning", "owner")] == ["[defaults]: user 1000", "[aap payments]: user 1001"]


def test_the_password_file(place):
    password = place.directory / "password"
    settings = f"{FOLLOWING}\npassword_source = file:{password}"
    assert f"{password}: No such file" in place.check(defaults=settings).of("error", "password")[0]
    password.write_text(PASSWORD + "\n")
    password.chmod(0o644)
    assert "alone can read" in place.check(defaults=settings).of("error", "password")[0]
    password.chmod(0o600)
    assert place.check(defaults=settings).of("ok", "password") == [f"[defaults]: {password} has one"]
    password.write_text("short\n")
    assert place.check(defaults=settings).of("error", "password")
    password.write_text(PASSWORD + "\r\n")
    assert "carriage return (CRLF, as on Windows)" in place.check(defaults=settings).of("error", "password")[0]


def test_what_a_first_key_needs(place):
    password = place.directory / "password"
    settings = f"{FOLLOWING}\nfirst_key = file:{password}"
    said = place.check(defaults=settings).of("error", "password")
    assert f"first_key: {password}: No such file" in said[0] and "no first key is made by itself before that" in said[0]
    password.write_text(PASSWORD + "\n")
    password.chmod(0o600)
    assert place.check(defaults=settings).of("ok", "password") == [f"[defaults]: {password} has one"]
    said = place.check(defaults=f"{FOLLOWING}\nfirst_key = generate\nexpose_password = yes").of("ok", "first_key")
    assert "the file password" in said[0] and "aapfs export" in said[0]


def test_the_kernels_limit_of_a_request(place):
    """With a file of ours over the kernel's, in a mount namespace of its own."""
    limit = place.directory / "limit"
    wrap = ["unshare", "--mount", "sh", "-c", f'mount --bind {limit} /proc/sys/fs/fuse/max_request_timeout && exec "$@"', "sh"]
    if not os.path.exists("/proc/sys/fs/fuse/max_request_timeout"):
        pytest.skip("this kernel has no such limit")
    assert place.check().of("ok", "request_timeout")
    for seconds, kind in ((4, "error"), (5, "ok"), (0, "ok")):
        limit.write_text(f"{seconds}\n")
        assert len(place.check(wrap=wrap).of(kind, "request_timeout")) == 1, seconds


# -- state and mount ------------------------------------------------------------------------------


def test_a_state_directory_that_cannot_be_used(place, tmp_path):
    place.state.chmod(0o755)
    assert "its mode is 0755; chmod 0700" in place.check().of("error", "state")[0]
    place.state.chmod(0o700)
    os.chown(place.state, NOBODY, NOBODY)
    assert "it belongs to the user 65534" in place.check().of("error", "state")[0]
    os.chown(place.state, 0, 0)
    (place.state / "cn-beijing-1234567890").mkdir()
    assert "of the region cn-beijing" in place.check().of("error", "state")[0]
    (place.state / "cn-beijing-1234567890").rmdir()
    place.state.rmdir()
    place.state.write_text("")
    assert "Not a directory" in place.check().of("error", "state")[0]


def test_room_on_the_disk(place):
    place.state.rmdir()
    with tmpfs(place.state, "8m") as resize:
        assert "MiB" not in place.check().of("warning", "state")[0]
        resize("32m")
        assert place.check().of("ok", "state")[0] == f"{place.state}: 32 MiB are free"
        (place.state / "full").write_bytes(bytes(4096))
        resize("4k")
        assert "the disk is full" in place.check().of("error", "state")[0]
        subprocess.run(["mount", "-o", "remount,ro,size=32m", place.state], check=True)
        assert "read-only" in place.check().of("error", "state")[0]


def test_the_state_key(place):
    place.key.chmod(0o644)
    assert "chmod 0600" in place.check().of("error", "state key")[0]
    place.key.chmod(0o600)
    assert place.check().of("ok", "state key") == [f"{place.key}: mode 0600"]
    place.key.write_text("no key\n")
    assert "64 hexadecimal digits" in place.check().of("error", "state key")[0]


def test_another_state_key_and_another_account(start_mount, emulator, start_emulator, tmp_path):
    mount = start_mount(emulator.url, defaults=FOLLOWING)
    mount.write("payments", PASSWORD)
    text = mount.config.read_text()
    other_key = tmp_path / "other.conf"
    other_key.write_text(text.replace(str(mount.state_key), str(make_state_key(tmp_path / "other.key"))))
    assert "key" in check(other_key, mount.path).of("error", "state key")[0]
    other_key.write_text(text.replace(str(mount.state_key), f"{tmp_path}/gone.key"))
    assert "it is missing, and keys in" in check(other_key, mount.path).of("error", "state key")[0]
    other = start_emulator("--account-id", "1000000000000001")
    other_account = tmp_path / "account.conf"
    other_account.write_text(text.replace(emulator.url, other.url))
    assert check(other_account, mount.path).of("error", "account")[0].startswith(
        f"the credentials are of the account 1000000000000001, the keys in the state directory of {ACCOUNT}")
    assert store_of(mount).exists()


@pytest.mark.full
def test_the_mount_point(place, start_mount):
    assert place.check().of("ok", "mount point") == [f"{place.mountpoint}: nothing is mounted there"]
    place.mountpoint.rmdir()
    assert "make an empty directory" in place.check().of("warning", "mount point")[0]
    place.mountpoint.write_text("")
    assert "Not a directory" in place.check().of("error", "mount point")[0]
    place.mountpoint.unlink()
    with tmpfs(place.mountpoint, "1m"):
        assert "another filesystem" in place.check().of("warning", "mount point")[0]
    mount = start_mount(place.url)
    with mount.stopped("aapfs-worker"):
        assert "did not answer within a second" in check(mount.config, mount.path).of("error", "mount point")[0]
    kill_all(mount)
    assert "has lost its daemon" in check(mount.config, mount.path).of("error", "mount point")[0]
    subprocess.run(["umount", "-l", mount.path], check=True)


def test_binds_that_stay_with_a_key(mount, tmp_path):
    mount.write("payments", PASSWORD)
    whole, of_key = tmp_path / "whole", tmp_path / "of \x1b key"
    whole.mkdir()
    of_key.mkdir()
    container = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", f"mount --bind {mount.path}/payments {whole} && "
         f'mount --bind {mount.path}/payments/current "$1" && echo ready && exec sleep 1000', "sh", of_key],
        stdout=subprocess.PIPE)
    try:
        assert container.stdout.readline() == b"ready\n"
        binds = check(mount.config, mount.path).of("warning", "binds")
        ours = [text for text in binds if str(tmp_path) in text]
        assert ours == [f"{tmp_path}/of ? key, as the process {container.pid} sees it, shows /payments/keys/{mount.key_id()} and "
                        f"stays with that key for ever; bind the AAP's directory instead: /payments of the mount"]
    finally:
        container.kill()
        container.wait()
        container.stdout.close()


# -- the network ----------------------------------------------------------------------------------


def test_ways_to_kms_that_lead_nowhere(place):
    refused = place.check(url="http://127.0.0.1:1")
    assert refused.of("error", "connection") and refused.of("ok", "name") and not refused.of("ok", "account")
    unknown = place.check(url="https://kms.nowhere.invalid")
    assert unknown.of("error", "name")[0].startswith("kms.nowhere.invalid: ") and not unknown.of("error", "connection")
    proxied = place.check(url=f"https://{HOST}", settings="proxy = http://127.0.0.1:1")
    assert proxied.of("ok", "proxy") == ["127.0.0.1:1"] and proxied.of("error", "connection")
    assert place.check(url=f"https://{HOST}", env={"https_proxy": "http://us:secret@h/path"}).of("error", "endpoint")
    assert "secret" not in proxied.text


def test_tls_and_a_proxy(tmp_path, start_emulator, certificate):
    emulator = start_emulator("--tls-cert", certificate[0], "--tls-key", certificate[1])
    place, proxy = Place(tmp_path, f"https://{HOST}:{emulator.port}"), Proxy(emulator.port)
    through = {"settings": f"proxy = {proxy.url}\nca_file = {certificate[0]}"}
    good = place.check(**through)
    assert good.status == 0 and f"certificate by CN = {HOST}, until " in good.of("ok", "TLS")[0]
    assert good.of("ok", "account") and good.of("ok", "proxy") == [proxy.url[7:]]
    untrusted = place.check(env={"https_proxy": proxy.url.replace("//", "//user:secret@")})
    assert "certificate" in untrusted.of("error", "TLS")[0] and "ca_file" in untrusted.of("error", "TLS")[0]
    assert untrusted.of("ok", "proxy") == [f"{proxy.url[7:]}, from the environment"] and "secret" not in untrusted.text
    for path, reason in ((tmp_path / "none.pem", "No such file"), (tmp_path / "check.conf", "no certificate in PEM")):
        wrong = place.check(settings=f"proxy = {proxy.url}\nca_file = {path}")
        assert reason in wrong.of("error", "ca_file")[0] and str(path) in wrong.of("error", "ca_file")[0]
        assert not wrong.of("error", "TLS") and wrong.of("ok", "connection")
    proxy.status = 403
    assert "the proxy answered 403" in place.check(**through).of("error", "connection")[0]
    proxy.listener.close()


# -- credentials ----------------------------------------------------------------------------------


def test_credentials(place):
    none = {"ALIBABA_CLOUD_ACCESS_KEY_ID": None, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": None, "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true"}
    missing = place.check(env=none)
    assert "no credentials: not set up: " in missing.of("error", "credentials")[0] and not missing.of("ok", "account")
    place.check(settings="credentials = environment", env=none).of("error", "credentials")[0].index("environment")
    wrong = place.check(env={"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "another-secret"})
    assert wrong.of("error", "ListApplicationAccessPoints")[0].startswith("SignatureDoesNotMatch: ")
    assert "another-secret" not in wrong.text and not wrong.of("ok", "ListClientKeys")
    profile = place.directory / ".aliyun" / "config.json"
    profile.parent.mkdir()
    profile.write_text('{"current": "a", "profiles": [{"name": "a", "mode": "AK", "access_key_id": "LTAI5tTestOnly", '
                       f'"access_key_secret": "{ACCESS_KEY_SECRET}"}}]}}')
    profile.chmod(0o600)
    assert place.check(env=none).of("ok", "credentials") == ["profile; access key LTAI...Only"]
    profile.chmod(0o620)
    assert f"{profile}: others may write it" in place.check().of("warning", "credentials")[0]
    os.chown(profile, NOBODY, NOBODY)
    profile.chmod(0o600)
    assert f"{profile}: it belongs to another user" in place.check().of("warning", "credentials")[0]
    if os.geteuid() == 0:
        assert "cannot be read as its user, without capabilities" in place.check(env=none).of("error", "credentials")[0]
    profile.unlink()
    section = place.directory / ".alibabacloud" / "credentials.ini"
    section.parent.mkdir()
    section.write_text(f"[default] # mine\ntype = access_key\naccess_key_id = LTAI5tTestOnly # x\naccess_key_secret = {ACCESS_KEY_SECRET}\n")
    section.chmod(0o600)
    assert place.check(env=none).of("ok", "credentials") == ["credentials file; access key LTAI...Only"]
    section.chmod(0o620)
    assert f"{section}: others may write it" in place.check().of("warning", "credentials")[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_the_worker_may_not_read(place):
    """It is root without capabilities, and so is this: what only they open is no good."""
    others = place.directory / "others"
    others.mkdir()
    profile, password = others / "config.json", others / "password"
    profile.write_text(json.dumps({"current": "a", "profiles": [
        {"name": "a", "mode": "AK", "access_key_id": "LTAI5tTestOnly", "access_key_secret": ACCESS_KEY_SECRET}]}))
    password.write_text(PASSWORD + "\n")
    for file in (profile, password):
        file.chmod(0o600)
    parts = {"settings": "credentials = profile:a", "defaults": f"{FOLLOWING}\npassword_source = file:{password}",
             "env": {"ALIBABA_CLOUD_CONFIG_FILE": str(profile)}}
    assert place.check(**parts).status == 0
    os.chown(others, NOBODY, NOBODY)
    others.chmod(0o700)
    checked = place.check(**parts)
    assert {subject for subject, _ in checked.only("error")} == {"credentials", "password"}
    assert str(profile) in checked.of("error", "credentials")[0]


def test_a_session_and_until_when(place, emulator):
    checked = place.check(env={"ALIBABA_CLOUD_ACCESS_KEY_ID": None, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": None,
                               "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true",
                               "ALIBABA_CLOUD_CREDENTIALS_URI": emulator.url + "/_credentials"})
    assert re.fullmatch(r"uri, until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ; access key STS\.\.\.\..{4}, of a session",
                        checked.of("ok", "credentials")[0])
    assert checked.status == 0


def test_a_program_that_prints_credentials(place):
    """Run as for a mount, by a runner."""
    program = place.directory / "program"
    program.write_text('#!/bin/sh\necho \'{"mode": "AK", "access_key_id": "LTAI5tTestOnly", "access_key_secret": "' +
                       ACCESS_KEY_SECRET + '"}\'\n')
    program.chmod(0o700)
    profile = place.directory / "config.json"
    profile.write_text(json.dumps({"current": "a", "profiles": [{"name": "a", "mode": "External", "process_command": str(program)}]}))
    profile.chmod(0o600)
    env = {"ALIBABA_CLOUD_CONFIG_FILE": str(profile)}
    checked = place.check(settings="credentials = profile:a", env=env)
    assert checked.of("ok", "credentials") == ["profile; access key LTAI...Only"] and checked.status == 0
    program.write_text("#!/bin/sh\nexit 3\n")
    assert "3" in place.check(settings="credentials = profile:a", env=env).of("error", "credentials")[0]


def test_where_the_region_comes_from(place):
    nowhere = {"ALIBABA_CLOUD_REGION_ID": None, "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true"}
    missing = place.check(env=nowhere)
    assert missing.status == 2 and "region cn-hangzhou" in missing.of("error", "region")[0]
    found = place.check(env={"ALIBABA_CLOUD_REGION_ID": "cn-hangzhou"})
    assert found.of("ok", "region") == ["cn-hangzhou, by ALIBABA_CLOUD_REGION_ID"] and found.status == 0
    profile = place.directory / "config.json"
    profile.write_text('{"current": "a", "profiles": [{"name": "a", "mode": "AK", "access_key_id": "LTAI5tTestOnly", '
                       f'"access_key_secret": "{ACCESS_KEY_SECRET}", "region_id": "cn-hangzhou"}}]}}')
    profile.chmod(0o600)
    env = {**nowhere, "ALIBABA_CLOUD_CONFIG_FILE": str(profile)}
    for settings in ("", "credentials = profile:a"):
        assert place.check(settings=settings, env=env).of("ok", "region") == ["cn-hangzhou, by the profile"]
    profile.write_text(profile.read_text().replace("cn-hangzhou", "a b"))
    wrong = place.check(env=env).of("error", "region")
    assert wrong == ["the region by the profile: not a region id; right is one like cn-hangzhou"]


# -- what is permitted ----------------------------------------------------------------------------


@pytest.mark.full
def test_what_is_not_permitted(place, emulator):
    emulator.set_faults("ListApplicationAccessPoints denied")
    checked = place.check()
    assert "aaps = NAME" in checked.of("error", "ListApplicationAccessPoints")[0] and checked.status == 1
    named = place.check(settings="aaps = payments, orders")
    assert named.of("ok", "ListApplicationAccessPoints") == ["not permitted, and not needed: the configuration names the AAPs"]
    assert named.status == 0 and named.of("ok", "account")
    emulator.set_faults("ListClientKeys denied", "GetClientKey denied")
    checked = place.check()
    assert checked.status == 0
    for operation in ("ListClientKeys", "GetClientKey"):
        assert checked.of("warning", operation)[0].startswith("not permitted (Forbidden.")
    emulator.set_faults("DescribeApplicationAccessPoint denied")
    checked = place.check()
    assert checked.of("error", "DescribeApplicationAccessPoint") and not checked.of("ok", "account")
    emulator.set_faults("ListClientKeys internal", "GetClientKey internal")
    checked = place.check()
    for operation in ("ListClientKeys", "GetClientKey"):
        assert checked.of("error", operation)
    emulator.set_faults("DescribeApplicationAccessPoint denied")
    (place.state / f"cn-hangzhou-{ACCOUNT}").mkdir(mode=0o700)
    assert f"taken to be of the account {ACCOUNT}" in place.check().of("warning", "DescribeApplicationAccessPoint")[0]
    (place.state / f"cn-hangzhou-{ACCOUNT}").rmdir()
    emulator.set_faults("* reset-before")
    reset = place.check()
    assert reset.of("error", "ListApplicationAccessPoints") and reset.of("warning", "clock")[0].startswith("no answer told")
    emulator.set_faults("* unavailable")
    assert "try again later" in place.check().of("error", "ListApplicationAccessPoints")[0]
    emulator.set_faults()
    unknown = place.check(settings="aaps = payments, nobody")
    assert unknown.of("error", "DescribeApplicationAccessPoint")[0].startswith("nobody: KMS has no such AAP")


def test_something_that_is_not_kms(place):
    answer = json.dumps({"TotalCount": 1, "PageNumber": 1, "PageSize": 100, "RequestId": "\x1b[31m", "Arn": "acs:ram:else",
                         "Name": "payments", "AuthenticationMethod": "ClientKey", "Description": "", "Policies": "[]",
                         "ApplicationAccessPoints": {"ApplicationAccessPoint": [{"Name": "payments", "AuthenticationMethod": "ClientKey"}]}})
    server = OddServer(answer_bytes(answer))
    try:
        checked = place.check(url=server.url)
    finally:
        server.stop()
    assert "the AAP's Arn names none" in checked.of("error", "account")[0] and "\x1b" not in checked.text


def test_another_region_and_another_time(place, emulator, start_emulator):
    checked = place.check(settings="region = cn-beijing")
    assert checked.of("error", "region")[0].startswith("the endpoint is the region cn-hangzhou's, the configuration names cn-beijing")
    emulator.set_faults("* garbage")
    assert place.check().of("error", "ListApplicationAccessPoints")
    emulator.set_faults()
    emulator.move_clock(-300)
    assert re.match(r"KMS's is -(299|300|301) s", place.check().of("warning", "clock")[0])
    empty = start_emulator(aaps=())
    assert place.check(url=empty.url).of("warning", "AAPs")[0].startswith("there is none to show")


def test_keys_made_elsewhere_that_leave_no_place(start_mount, start_emulator, place):
    emulator = start_emulator(limits=())
    mounts = {}
    for host in ("one", "two", "three"):
        (place.directory / host).mkdir()
        mounts[host] = start_mount(emulator.url, defaults=FOLLOWING, max_keys=3, directory=place.directory / host)
    mounts["one"].write("payments", PASSWORD)
    mounts["two"].write("payments", PASSWORD)
    checked = check(mounts["one"].config, mounts["one"].path)
    assert checked.of("ok", "places") == ["2 AAPs have a place left for the next rotation"]
    mounts["three"].write("payments", PASSWORD)
    others = {mounts["two"].key_id(), mounts["three"].key_id()}
    for config, sections in ((mounts["one"].config, ""), (None, "[aap payments]\nrotate_at = never\n")):
        if config:
            [said] = (checked := check(config, mounts["one"].path)).of("warning", "places")
            assert checked.status == 0 and "payments: KMS gives it 3 client keys and has 2 that" in said
            assert "none is left for the next rotation" in said and all(other in said for other in others)
            assert mounts["one"].key_id() not in said and "aapfs delete payments ID --foreign" in said
            assert "aapfs deletes by itself what status names under Orphans" in said  # which --foreign would not
        else:
            place.url = emulator.url
            assert place.check(sections=sections).of("warning", "places") == []


def test_audit_says_when_callers_cannot_be_seen(place):
    audited = "audit = yes"
    assert "audit" not in {subject for _, subject, _ in place.check().lines}
    assert place.check(settings_of_mount=audited).of("warning" if IS_CONTAINED else "ok", "audit")
    line, = place.check(settings_of_mount=audited, wrap=["unshare", "--pid", "--fork", "--mount-proc"]).of("warning", "audit")
    assert "pid 0" in line and "hostPID: true" in line
    hidden = ["unshare", "--mount", "sh", "-c", 'mount -t proc -o hidepid=2,gid=12345 proc /proc && exec "$@"', "sh"]
    line, = place.check(settings_of_mount=audited, wrap=hidden).of("warning", "audit")
    assert ("hostPID" if IS_CONTAINED else "hidepid") in line
