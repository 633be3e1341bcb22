"""credentials_load, and what stands in credentials."""
import json
import subprocess
import time
import urllib.request

from parts.harness import ACCESS_KEY_ID, ACCESS_KEY_SECRET, BUILD, environment

ARN = "acs:ram::123456:role/reader"
KEY = {"access_key_id": ACCESS_KEY_ID, "access_key_secret": ACCESS_KEY_SECRET}
DEAD = "http://127.0.0.1:1"  # nothing listens there


class Program:
    """credentials_load with commands one after the other."""

    def __init__(self, home, endpoint=DEAD, provider="default", metadata=DEAD, sts=DEAD, proxy="-", timeout_ms=2000, **env):
        clean = environment(ALIBABA_CLOUD_ACCESS_KEY_ID=None, ALIBABA_CLOUD_ACCESS_KEY_SECRET=None, HOME=str(home))
        self.process = subprocess.Popen(
            [BUILD / "tests/programs/credentials_load", endpoint, provider, metadata, sts, proxy, str(timeout_ms)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**clean, **{name: str(value) for name, value in env.items()}})

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n")

    def use(self, provider, metadata=DEAD, sts=DEAD):
        """Another source, in the same process: quicker than another one."""
        assert self.ask(f"source\t{provider}\t{metadata}\t{sts}") == "ok"
        return self

    def get(self):
        """(errno or 0, access key id or reason)"""
        words = self.ask("get").split(" ", 1)
        return (0, words[1].split()[0]) if words[0] == "0" else (words[0], words[1])

    def until(self, command, good, seconds=10):
        """Asks until the answer is as it should be."""
        end = time.monotonic() + seconds
        while not good(answer := self.ask(command)):
            assert time.monotonic() < end, answer
            time.sleep(0.02)
        return answer

    def stop(self):
        self.process.stdin.close()
        errors = self.process.stderr.read()
        assert self.process.wait(20) == 0, errors
        return errors


def write(path, text, mode=0o600):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def write_profiles(home, *profiles, current=None, mode=0o600):
    file = {"current": current or profiles[0]["name"], "profiles": profiles}
    return write(home / ".aliyun/config.json", json.dumps(file), mode)


def write_section(home, *lines, name="default", mode=0o600):
    return write(home / ".alibabacloud/credentials", "\n".join([f"[{name}]", *lines]) + "\n", mode)


def session_of(emulator):
    with urllib.request.urlopen(emulator.url + "/_credentials", timeout=10) as answer:
        return json.load(answer)
