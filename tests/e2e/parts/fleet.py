"""Hosts that share the keys of their AAPs: mounts with states of their own, on one KMS and one etcd."""
import contextlib
import errno
import re
import signal
import threading
import time

from parts.etcd import PREFIX, USER, Between
from parts.harness import PASSWORD, make_state_key, result_of, until

# what a host may say of an etcd that it cannot ask
ETCD = re.compile(r"aapfs: the fleet's etcd.*\n")
SHARED = ("client_key.json", "client_key_id", "not_after", "private_key.pem", "certificate.pem")


class Link:
    """A host's own network, to KMS and to each member of etcd: cut, and there again."""

    def __init__(self, cluster, emulator):
        self.members = [Between(member.port) for member in cluster.members]
        self.kms = Between(emulator.port)

    @property
    def endpoints(self):
        return [one.url for one in self.members]

    @property
    def url(self):
        return self.kms.url.replace("https:", "http:")

    def cut(self, kms=False):
        for one in [*self.members, *([self.kms] if kms else [])]:
            one.signal(signal.SIGSTOP)

    def mend(self):
        for one in [*self.members, self.kms]:
            one.signal(signal.SIGCONT)

    def stop(self):
        self.mend()
        for one in [*self.members, self.kms]:
            one.stop()


class Fleet:
    """What its hosts have in common, and they, in the order of their start."""

    def __init__(self, start_mount, cluster, emulator, directory):
        self.start_mount, self.cluster, self.emulator, self.directory = start_mount, cluster, emulator, directory
        self.key = make_state_key(directory / "fleet-key")
        self.hosts, self.links = [], []

    def section(self, endpoints=None, fleet_key=None, etcd=None):
        words = {"etcd": ",".join(endpoints or [member.url for member in self.cluster.members]), "prefix": PREFIX.rstrip("/"),
                 "fleet_key": fleet_key or self.key, "ca_file": self.cluster.authority.file, "certificate": self.cluster.client[0],
                 "certificate_key": self.cluster.client[1], "user": USER, "password_file": self.cluster.password_file, **(etcd or {})}
        return "[fleet]\n" + "".join(f"{name} = {value}\n" for name, value in words.items())

    def start(self, link=False, fleet_key=None, sections="", url=None, **parts):
        """One more. LINK: with a network of its own, host.link."""
        place = self.directory / f"host{len(self.hosts)}"
        place.mkdir()
        place.chmod(0o755)
        own = Link(self.cluster, self.emulator) if link else None
        if own:
            self.links.append(own)
        fleet = self.section(own.endpoints if own else None, fleet_key)
        host = self.start_mount(url or (own.url if own else self.emulator.url), directory=place, sections=fleet + sections, **parts)
        host.link = own
        self.hosts.append(host)
        return host

    def start_again(self, host, **parts):
        """HOST, which has ended, on the state that it left."""
        url = host.link.url if host.link else self.emulator.url
        fleet = self.section(host.link.endpoints if host.link else None)
        again = self.start_mount(url, directory=host.directory, sections=fleet, **host.kept, **parts)
        again.link = host.link
        self.hosts[self.hosts.index(host)] = again
        return again

    def shown(self, host, aap="payments"):
        """What HOST shows of the key; None: it has none."""
        with contextlib.suppress(FileNotFoundError):
            return tuple(host.read(aap, name) for name in SHARED)

    def write(self, host, aap="payments"):
        """A key by a person, who writes again while the host before still has the AAP's lock. Its id."""
        result = until(lambda: (number := result_of(host, PASSWORD, aap)) != errno.EBUSY and (number,))
        assert result == (0,), result
        return host.key_id(aap)

    def key_id(self, host, aap="payments"):
        """That HOST shows; None: it has no key."""
        with contextlib.suppress(FileNotFoundError):
            return host.key_id(aap)

    def await_one(self, aap="payments", key_id=None, hosts=None, seconds=60):
        """Until all HOSTS show the same, of that KEY_ID if it is given. What they show."""
        hosts = hosts or self.hosts

        def one():
            shown = {self.shown(host, aap) for host in hosts}
            first = next(iter(shown))
            return len(shown) == 1 and first and (not key_id or first[1].strip() == key_id) and first

        return until(one, seconds, lambda: str([self.key_id(host, aap) for host in hosts]))

    def end(self):
        for link in self.links:
            link.stop()


class Readers:
    """Threads that read a key over and over on every host, and what was wrong of what they saw."""

    def __init__(self, hosts, aap="payments"):
        self.hosts, self.aap = hosts, aap
        self.ending, self.wrong, self.reads = threading.Event(), [], 0
        self.seen = {host.path: [] for host in hosts}  # client key ids, in their order
        self.threads = [threading.Thread(target=self.run, args=(host,)) for host in hosts]
        for thread in self.threads:
            thread.start()

    def run(self, host):
        seen = self.seen[host.path]
        while not self.ending.wait(0.02):
            try:
                key_id = host.key_id(self.aap)
                host.read(self.aap, "client_key.json")
            except OSError as error:
                self.wrong.append((time.time(), host.path.parent.name, str(error)))
                continue
            if not seen or seen[-1] != key_id:
                seen.append(key_id)
            self.reads += 1

    def end(self):
        """No read failed; and no host went back to a key that another one had followed."""
        self.ending.set()
        for thread in self.threads:
            thread.join()
        assert not self.wrong, self.wrong[:5]
        for path, seen in self.seen.items():
            assert len(set(seen)) == len(seen), (path, seen)
        return self.reads
