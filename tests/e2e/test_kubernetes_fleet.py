"""examples/kubernetes/fleet: what its manifests and README name fits together, and makes a fleet of a real etcd."""
import json
import os
import re
import shlex
import ssl
import subprocess
import urllib.request

import pytest

from parts.etcd import free_ports, need_etcd
from parts.harness import AAPFS, PASSWORD, ROOT, environment, make_state_key, run_aapfs, until
from parts.manifests import EXAMPLES, commands, of_kind, pod

README = EXAMPLES / "fleet/README.md"
MEMBERS = [f"etcd-{number}.etcd.aapfs-etcd.svc" for number in range(3)]


def daemon():
    return of_kind("fleet/aapfs.yaml", "DaemonSet")


def etcd():
    return of_kind("fleet/etcd.yaml", "StatefulSet")


def configuration(folder="fleet/"):
    return of_kind(f"{folder}aapfs.yaml", "ConfigMap")["data"]["aapfs.conf"]


def section():
    return re.search(r"^\[fleet\]\n.*?\n\n", configuration(), re.S | re.M)[0]


def fleet():
    return dict(line.split(" = ") for line in section().splitlines() if " = " in line)


def secrets():
    """The files of each Secret that the README makes, by its namespace and name."""
    lines = "".join(commands(README)).replace("\\\n", " ").splitlines()
    made = [shlex.split(line)[2:] for line in lines if line.startswith("kubectl -n") and " create secret generic " in line]
    return {(words[0], words[4]): {word.removeprefix("--from-file=") for word in words[5:]} for words in made}


def test_all_else_is_as_without_a_fleet():
    more, plain = daemon(), of_kind("aapfs.yaml", "DaemonSet")
    spec, container = pod(more), pod(more)["containers"][0]
    spec["volumes"] = [volume for volume in spec["volumes"] if volume["name"] not in ("fleet-key", "etcd-client")]
    container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] not in ("fleet-key", "etcd-client")]
    assert more == plain
    assert configuration().replace(section(), "") == configuration("")
    for kind in ("Namespace", "ServiceAccount"):
        assert of_kind("fleet/aapfs.yaml", kind) == of_kind("aapfs.yaml", kind)


def test_etcd_has_no_rights():
    """Its namespace refuses pods that are not restricted: each of the things that it asks for."""
    spec, namespace = pod(etcd()), of_kind("fleet/etcd.yaml", "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    context = spec["securityContext"]
    assert context["runAsNonRoot"] and context["runAsUser"] == context["runAsGroup"] == context["fsGroup"] > 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"} and spec["automountServiceAccountToken"] is False
    container, = spec["containers"]
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                            "capabilities": {"drop": ["ALL"]}}
    assert container["resources"]["requests"] and container["resources"]["limits"]["memory"]
    assert {tuple(volume)[1] for volume in spec["volumes"]} == {"secret"}
    assert spec["volumes"][0]["secret"]["defaultMode"] == 0o440
    writable = [mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert writable == [claim["metadata"]["name"] for claim in etcd()["spec"]["volumeClaimTemplates"]]


def test_members_are_called_the_same_everywhere():
    service, budget, members = (of_kind("fleet/etcd.yaml", kind) for kind in ("Service", "PodDisruptionBudget", "StatefulSet"))
    labels = members["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == budget["spec"]["selector"]["matchLabels"] == labels
    assert pod(members)["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] == [
        {"labelSelector": {"matchLabels": labels}, "topologyKey": "kubernetes.io/hostname"}]
    assert budget["spec"]["maxUnavailable"] == 1 and service["spec"]["publishNotReadyAddresses"]
    name, namespace = members["metadata"]["name"], members["metadata"]["namespace"]
    assert service["metadata"]["name"] == members["spec"]["serviceName"]
    assert {document["metadata"]["namespace"] for document in (service, budget)} == {namespace}
    assert MEMBERS == [f"{name}-{number}.{members['spec']['serviceName']}.{namespace}.svc" for number in range(members["spec"]["replicas"])]
    ports = {port["name"]: port["port"] for port in service["spec"]["ports"]}
    words = dict(word.split("=", 1) for word in pod(members)["containers"][0]["command"] if "=" in word)
    assert words["--initial-cluster"] == ",".join(f"{member.split('.')[0]}=https://{member}:{ports['peer']}" for member in MEMBERS)
    clients = [f"https://{member}:{ports['client']}" for member in MEMBERS]
    given = {entry["name"]: entry.get("value") for entry in pod(members)["containers"][0]["env"]}
    assert fleet()["etcd"].split(", ") == given["ETCDCTL_ENDPOINTS"].split(",") == clients
    assert "names=" + ",".join(f"DNS:{member}" for member in MEMBERS) + "\n" in commands(README)[0]


def test_files_are_in_the_secrets():
    made, spec = secrets(), pod(daemon())
    assert made["aapfs-etcd", "etcd-tls"] == {word.rsplit("/", 1)[1] for word in pod(etcd())["containers"][0]["command"]
                                              if "=/etc/etcd/tls/" in word}
    volumes = {volume["name"]: volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume}
    assert {("aapfs", name) for name in volumes.values()} | {("aapfs-etcd", "etcd-tls")} == set(made)
    mounts = {mount["mountPath"]: mount for mount in spec["containers"][0]["volumeMounts"]}
    for key in ("ca_file", "certificate", "certificate_key", "password_file"):
        directory, name = os.path.split(fleet()[key])
        assert name in made["aapfs", volumes[mounts[directory]["name"]]] and "subPath" not in mounts[directory]
    key = mounts[fleet()["fleet_key"]]
    assert made["aapfs", volumes[key["name"]]] == {key["subPath"]} == {os.path.basename(fleet()["fleet_key"])}


def test_aapfs_takes_the_configuration(tmp_path):
    def said(text):
        text = text.replace(" /var/lib/", f" {tmp_path}/").replace(" /etc/", f" {tmp_path}/")
        (tmp_path / "aapfs.conf").write_text(text)
        return run_aapfs("-f", "-c", tmp_path / "aapfs.conf", tmp_path / "none").stderr

    for folder, key in (("aapfs-state", "state.key"), ("aapfs-fleet", "fleet.key")):
        (tmp_path / folder).mkdir()
        make_state_key(tmp_path / folder / key)
    assert "none: No such file or directory" in said(configuration())
    newcomers, = re.findall(r"^```ini\n(\[fleet\]\n.*?)^```$", (ROOT / "README.md").read_text(), re.S | re.M)
    assert "none: No such file or directory" in said(configuration().replace(section(), newcomers + "\n")
                                                     .replace("/etc/aapfs/fleet.key", "/etc/aapfs-fleet/fleet.key"))
    assert "unknown key" in said(configuration().replace("certificate =", "certificates ="))
    assert "without password_file" in said(configuration().replace("password_file =", "# password_file ="))


class Cluster:
    """The StatefulSet's members as processes, one an address of loopback; and kubectl, which knows of no more than they need."""

    def __init__(self, directory):
        self.directory, self.processes = directory, []
        self.ports = dict(zip(("2379", "2380", "2381"), free_ports(3)))
        self.secrets = directory / "secrets"
        self.container, = pod(etcd())["containers"]
        exports = "".join(f"export {entry['name']}={self.here(entry['value'])}\n" for entry in self.container["env"] if "value" in entry)
        (directory / "kubectl").write_text(f"""#!/bin/bash
set -e
printf '%s\\n' "$*" >> {directory}/said
case "$*" in
    *" create secret generic "*)
        mkdir -p {self.secrets}/$6/..data
        for word in "${{@:7}}"; do
            file=${{word#--from-file=}}
            install -m 0400 $file {self.secrets}/$6/..data/
            ln -s ..data/$file {self.secrets}/$6/$file
        done ;;
    "-n aapfs-etcd exec -i etcd-0 -- "*)
        {exports}
        exec timeout 60 "${{@:7}}" ;;
    "-n aapfs exec -i daemonset/aapfs -- "*) words=("${{@:7}}"); exec timeout 60 "${{words[@]//\\/run\\/aapfs/$HOST}}" ;;
esac
""")
        (directory / "kubectl").chmod(0o755)

    def here(self, text):
        """TEXT with what is there instead in this test."""
        for number, member in enumerate(MEMBERS):
            text = text.replace(f"DNS:{member}", f"IP:127.0.0.{number + 1}").replace(member, f"127.0.0.{number + 1}")
        for port, other in self.ports.items():
            text = re.sub(rf":{port}\b", f":{other}", text)
        text = text.replace("/etc/aapfs-fleet/", f"{self.secrets}/aapfs-fleet-key/..data/")
        return text.replace("/etc/aapfs-etcd/", f"{self.secrets}/aapfs-etcd-client/").replace("/etc/etcd/tls", f"{self.secrets}/etcd-tls")

    def run(self, block, host=""):
        subprocess.run(["bash", "-euo", "pipefail", "-c", self.here(block)], cwd=self.directory, check=True, timeout=120,
                       env=environment(HOST=str(host), PATH=f"{self.directory}:{AAPFS.parent}:{os.environ['PATH']}"))

    def start(self):
        for number in range(3):
            words = [self.here(word.replace("$(POD_NAME)", f"etcd-{number}")).replace("0.0.0.0", f"127.0.0.{number + 1}")
                     .replace("/var/lib/etcd", f"{self.directory}/data{number}") for word in self.container["command"]]
            with open(self.directory / f"etcd-{number}.log", "wb") as log:
                self.processes.append(subprocess.Popen([*words, "--unsafe-no-fsync"], stdout=log, stderr=log))
        until(lambda: all(self.is_ready(number) for number in range(3)))

    def is_ready(self, number):
        asked = self.container["readinessProbe"]["httpGet"]
        try:
            with urllib.request.urlopen(f"http://127.0.0.{number + 1}:{self.ports[str(asked['port'])]}{asked['path']}", timeout=5) as answer:
                return json.load(answer)["health"] == "true"
        except OSError:
            return False

    def peers(self, certificate):
        """What a member says of the others to one that has CERTIFICATE."""
        context = ssl.create_default_context(cafile=self.directory / "peer-ca.crt")
        context.load_cert_chain(self.directory / f"{certificate}.crt", self.directory / f"{certificate}.key")
        with urllib.request.urlopen(f"https://127.0.0.1:{self.ports['2380']}/members", timeout=10, context=context) as answer:
            return json.load(answer)

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path)
    yield made
    made.stop()


@pytest.mark.full
def test_the_readme_makes_a_fleet(cluster, emulator, start_mount, tmp_path):
    need_etcd()
    certificates, store, users, nodes, key = commands(README)
    cluster.run(certificates)
    assert b"CN" not in b"".join(subprocess.check_output(["openssl", "x509", "-noout", "-subject", "-in", tmp_path / f"{name}.crt"])
                                 for name in ("server", "client"))
    cluster.run(store)
    cluster.start()
    assert len(cluster.peers("peer")) == 3
    with pytest.raises(OSError):
        cluster.peers("client")
    cluster.run(users)
    cluster.run(nodes)
    hosts = []
    for number in range(2):
        (tmp_path / f"node{number}").mkdir()
        hosts.append(start_mount(emulator.url, directory=tmp_path / f"node{number}", sections=cluster.here(section())))
    for host in hosts:
        until(lambda: host.status()["Fleet"]["Connected"], why=lambda: str(host.status()["Fleet"]))
    (tmp_path / "password").write_text(PASSWORD + "\n")
    cluster.run(key, hosts[0].directory)
    until(lambda: os.path.exists(hosts[1] / "payments/client_key_id"))
    assert hosts[0].key_id() == hosts[1].key_id() and emulator.count("CreateClientKey") == 1
    assert all(cluster.is_ready(number) for number in range(3))  # the kubelet is nobody's user
    # the role goes no further than the prefix
    control = f"kubectl -n aapfs-etcd exec -i etcd-0 -- etcdctl --user aapfs:{(tmp_path / 'etcd-password').read_text().strip()} put "
    cluster.run(control + "aapfs/x y")
    with pytest.raises(subprocess.CalledProcessError):
        cluster.run(control + "other/x y")
    said = [line.split() for line in (tmp_path / "said").read_text().splitlines()]
    applied = {word for line in said if line[0] == "apply" for word in line[1:] if word != "-f"}
    assert {"etcd.yaml", "aapfs.yaml"} <= applied and all((README.parent / path).exists() for path in applied)
