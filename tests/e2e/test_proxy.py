"""KMS through an HTTP proxy, with a certificate of one's own."""
import errno

import pytest

from parts.credentials import Program
from parts.harness import PASSWORD, result_of
from parts.proxy import HOST, Proxy
from parts.watch import wait_until


@pytest.fixture
def emulator(start_emulator, certificate):
    return start_emulator("--tls-cert", certificate[0], "--tls-key", certificate[1])


@pytest.fixture
def proxy(emulator):
    proxy = Proxy(emulator.port)
    yield proxy
    proxy.listener.close()


def url(emulator):
    return f"https://{HOST}:{emulator.port}"


def made(proxy):
    return sum("CONNECT" in head for head in proxy.asked)


def test_a_configured_proxy_and_certificate(start_mount, emulator, proxy, certificate):
    mount = start_mount(url(emulator), settings=f"proxy = {proxy.url}\nca_file = {certificate[0]}")
    mount.write("payments", PASSWORD)
    assert mount.key_id()
    assert proxy.asked and all(head.startswith(f"CONNECT {HOST}:{emulator.port} HTTP/1.1\r\n") for head in proxy.asked)
    assert not any(word in head for head in proxy.asked for word in ("authorization", "x-acs-", PASSWORD))
    # what the proxy refuses was never at KMS: no key may have been made
    proxy.status = 403
    asked = made(proxy)
    wait_until(mount.path, (mount / "payments/control").exists)
    assert result_of(mount, PASSWORD) == errno.ECONNREFUSED and made(proxy) > asked
    assert mount.status("payments")["Orphans"] == [] and "secret" not in str(mount.last_error())
    assert (mount.last_error()["Code"], mount.last_error()["Message"]) == ("Network.Proxy", "the proxy answered 403")


@pytest.mark.full
def test_what_a_proxy_refuses_is_told_and_only_repeated_where_that_may_help(tmp_path):
    proxy = Proxy(1)
    program = Program(tmp_path, endpoint=f"https://{HOST}", provider="environment", timeout_ms=5000, https_proxy=proxy.url,
                      ALIBABA_CLOUD_ACCESS_KEY_ID="id", ALIBABA_CLOUD_ACCESS_KEY_SECRET="secret")
    for status, attempts in ((403, 1), (407, 1), (502, 4), (302, 4)):
        proxy.status = status
        proxy.asked.clear()
        assert f"the proxy answered {status}" in program.ask("list 5000")
        assert made(proxy) == attempts
    program.stop()
    proxy.listener.close()


def test_the_environments_proxy(start_mount, emulator, proxy, certificate):
    mount = start_mount(url(emulator), settings=f"ca_file = {certificate[0]}",
                        env={"https_proxy": proxy.url.replace("//", "//user:secret@"), "no_proxy": "other.test"})
    mount.write("payments", PASSWORD)
    assert any("Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=" in head for head in proxy.asked)


def test_a_host_that_no_proxy_names(start_mount, emulator, proxy, certificate):
    mount = start_mount(url(emulator), settings=f"proxy = {proxy.url}\naaps = payments", env={"no_proxy": "a.test, example.test"})
    wait_until(mount.path, (mount / "payments/control").exists)
    assert result_of(mount, PASSWORD) == errno.EHOSTUNREACH and proxy.asked == []


def test_this_machine_is_reached_without_it(start_mount, start_emulator, proxy):
    emulator = start_emulator()
    mount = start_mount(emulator.url, settings=f"proxy = {proxy.url}", env={"https_proxy": proxy.url, "ALL_PROXY": proxy.url})
    mount.write("payments", PASSWORD)
    assert mount.key_id() and proxy.asked == []


@pytest.mark.full
def test_a_proxy_that_is_none(start_mount, emulator, certificate):
    """One that does not listen, and one in the environment that cannot be read."""
    mount = start_mount(url(emulator), settings=f"proxy = http://127.0.0.1:1\nca_file = {certificate[0]}\naaps = payments")
    wait_until(mount.path, (mount / "payments/control").exists)
    assert result_of(mount, PASSWORD) == errno.ECONNREFUSED
    mount.stop()
    with pytest.raises(AssertionError) as failed:
        start_mount(url(emulator), settings="aaps = payments", env={"https_proxy": "http://us:secret@h/path"})
    assert "proxy: not a URL of a proxy; right is http://HOST:PORT" in str(failed.value)
    assert "secret" not in str(failed.value)
