"""The examples for Kubernetes: each field is right by a table, and together they keep what the README promises."""
import errno
import os
import random
import signal
import subprocess

import pytest

from parts.harness import AAPFS, PASSWORD, ROOT, environment, make_state_key, run_aapfs, until
from parts.manifests import EXAMPLES, FILES, Schema, Wrong, commands, load, of_kind, pod, pods, read
from parts.processes import kill_all

CONSUMERS = ["consumer.yaml", "consumer-subpath.yaml"]


@pytest.fixture
def daemon():
    return of_kind("aapfs.yaml", "DaemonSet")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_every_field_is_right_by_the_table(path):
    assert read(path)


@pytest.mark.parametrize("text, reason", [
    ("kind: Pod\nkind: Pod\n", "line 2: kind is there twice"),
    ("{apiVersion: v1, kind: Namespace, metadata: {name: a, name: b}}", "name is there twice"),
    ("a: &x 1\nb: *x\n", "anchors"),
    ("1: x\n", "is no name"),
    ("a: on\n", "line 1: on is true or false"),
    ("a: [\n", "expected"),
    ("a: !!python/object:os.system x\n", "could not determine"),
    ("- x\n", "is no object"),
    ("{apiVersion: v1, kind: Namespaces, metadata: {name: a}}", "v1/Namespaces: unknown"),
    ("{apiVersion: apps/v1, kind: Pod, metadata: {name: a}, spec: {containers: []}}", "apps/v1/Pod: unknown"),
    ("{apiVersion: v1, kind: Namespace}", "metadata is missing"),
    ("{apiVersion: v1, kind: Namespace, metadata: {name: A_b}}", "Namespace.metadata.name: 'A_b' is no name"),
    ("{apiVersion: v1, kind: Namespace, metadata: {name: a, label: {}}}", "metadata.label: there is no such field"),
    ("{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {b: 1}}}", "labels.b: 1 is no string"),
    ("{apiVersion: v1, kind: Namespace, metadata: [a]}", "is no object"),
    ("{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: {name: b, image: c}}}", r"is no \[Container\]"),
    ("{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: b}]}}", "containers.0: image is missing"),
    ("{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [], hostNetwork: 'true'}}", "is no bool"),
    ("{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [], terminationGracePeriodSeconds: true}}",
     "is no int"),
    ("{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: b, image: c, volumeMounts: "
     "[{name: d, mountPath: /e, mountPropagation: Shared}]}]}}", "mountPropagation: 'Shared' is none of"),
    ("{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: b, image: c, resources: "
     "{limits: {memory: 1 GB}}}]}}", "is no quantity"),
    ("{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [], volumes: [{name: d, secret: "
     "{secretName: e, defaultMode: 400}}]}}", "400 is no octal"),
    ("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {selector: {}, ports: [{name: b, port: 65536}]}}", "65536 is no port"),
    ("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {clusterIP: none, selector: {}, ports: []}}", "'none' is none of None"),
    ("{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: b, image: c, volumeMounts: "
     "[{name: d, mountPath: e}]}]}}", "is no path"),
])
def test_the_parser_refuses(text, reason):
    with pytest.raises(Wrong, match=reason):
        for document in load(text):
            Schema().check_document(document)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_names_lead_somewhere(path):
    documents = read(path)
    kinds = {(document["kind"], document["metadata"]["name"]) for document in documents}
    for document in documents:
        if document["kind"] not in ("Pod", "DaemonSet", "Deployment", "StatefulSet"):
            continue
        spec = pod(document)
        assert all(len(volume) == 2 for volume in spec["volumes"])
        volumes = [volume["name"] for volume in spec["volumes"]]
        volumes += [claim["metadata"]["name"] for claim in document["spec"].get("volumeClaimTemplates", [])]
        mounts = [mount for container in spec["containers"] for mount in container["volumeMounts"]]
        assert sorted(volumes) == sorted({mount["name"] for mount in mounts})
        paths = [mount["mountPath"] for mount in mounts]
        assert len(set(paths)) == len(paths)
        probes = [container[name] for container in spec["containers"] for name in container if name.endswith("Probe")]
        assert all(("exec" in probe) != ("httpGet" in probe) for probe in probes)
        if "serviceAccountName" in spec:
            assert ("ServiceAccount", spec["serviceAccountName"]) in kinds
        for volume in spec["volumes"]:
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in kinds
        if document["kind"] != "Pod":
            wanted, labels = document["spec"]["selector"]["matchLabels"], document["spec"]["template"]["metadata"]["labels"]
            assert wanted.items() <= labels.items()


def test_the_mount_reaches_the_node_and_ends_with_its_process(daemon):
    spec, container = pod(daemon), pod(daemon)["containers"][0]
    assert container["securityContext"]["privileged"]
    shared = [mount for mount in container["volumeMounts"] if mount.get("mountPropagation") == "Bidirectional"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert [(mount["mountPath"], volumes[mount["name"]]["hostPath"]["path"]) for mount in shared] == [
        ("/run/aapfs", "/run/aapfs")]
    assert "lifecycle" not in container
    assert daemon["spec"]["updateStrategy"] == {"type": "OnDelete"}
    assert spec["priorityClassName"] == "system-node-critical" and spec["tolerations"] == [{"operator": "Exists"}]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["exec"]["command"] == ["stat", "/run/aapfs/aap/.aapfs/status"]


def test_the_credentials_are_what_the_chain_looks_for(daemon):
    container = pod(daemon)["containers"][0]
    name = container["envFrom"][0]["secretRef"]["name"]
    rrsa, key = (of_kind(f"credentials-{kind}.yaml", "Secret") for kind in ("rrsa", "secret"))
    assert rrsa["metadata"] == key["metadata"] == {"name": name, "namespace": daemon["metadata"]["namespace"]}
    assert set(key["stringData"]) == {"ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"}
    assert set(rrsa["stringData"]) == {"ALIBABA_CLOUD_ROLE_ARN", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
                                       "ALIBABA_CLOUD_OIDC_TOKEN_FILE", "ALIBABA_CLOUD_ROLE_SESSION_NAME"}
    known = "".join(path.read_text() for path in (ROOT / "kmsapi/credentials").glob("*.c"))
    assert all(f'"{variable}"' in known for variable in [*key["stringData"], *rrsa["stringData"]])
    tokens = [volume for volume in pod(daemon)["volumes"] if "projected" in volume]
    token = tokens[0]["projected"]["sources"][0]["serviceAccountToken"]
    place = [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == tokens[0]["name"]]
    assert [rrsa["stringData"]["ALIBABA_CLOUD_OIDC_TOKEN_FILE"]] == [f"{place[0]}/{token['path']}"]
    assert token["audience"] == "sts.aliyuncs.com"


@pytest.mark.parametrize("file", CONSUMERS)
def test_consumers_cannot_write(file):
    for spec in pods(file):
        assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] > 0
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False and context["capabilities"] == {"drop": ["ALL"]}
            assert "privileged" not in context
            assert all(mount["readOnly"] for mount in container["volumeMounts"])
            for probe in ("readinessProbe", "livenessProbe"):
                for word in container.get(probe, {"exec": {"command": []}})["exec"]["command"][1:]:
                    assert any(word.startswith(mount["mountPath"]) for mount in container["volumeMounts"])


def test_consumers_see_the_mount():
    mounts = pods("consumer.yaml")[0]["containers"][0]["volumeMounts"]
    assert {"name": "aapfs", "mountPath": "/run/aapfs", "mountPropagation": "HostToContainer", "readOnly": True} in mounts
    by_path = pods("consumer-subpath.yaml")[0]["containers"][0]["volumeMounts"]
    assert [mount["subPath"] for mount in by_path] == ["aap/orders", "aap/orders/client_key.json"]
    for mount in by_path:  # these stay with one key
        assert "current" not in mount["subPath"] and "keys" not in mount["subPath"]


def configuration():
    return of_kind("aapfs.yaml", "ConfigMap")["data"]["aapfs.conf"]


def test_groups_are_those_of_the_consumers():
    text = configuration()
    for file, aap in zip(CONSUMERS, ["payments", "orders"]):
        group = pods(file)[0]["securityContext"]["supplementalGroups"][0]
        assert f"[aap {aap}]\ngroup = {group}\n" in text


def test_aapfs_takes_the_configuration(daemon, tmp_path):
    def said(text):
        text = text.replace("/var/lib", f"{tmp_path}").replace("/etc", f"{tmp_path}")
        (tmp_path / "aapfs.conf").write_text(text)
        done = run_aapfs("-f", "-c", tmp_path / "aapfs.conf", tmp_path / "none")
        return done.stderr

    (tmp_path / "aapfs-state").mkdir()
    make_state_key(tmp_path / "aapfs-state/state.key")
    assert "none: No such file or directory" in said(configuration())
    assert "unknown key" in said(configuration().replace("region =", "regions ="))
    mounts = {mount["mountPath"]: mount for mount in pod(daemon)["containers"][0]["volumeMounts"]}
    assert "state = /var/lib/aapfs\n" in configuration() and "/var/lib/aapfs" in mounts
    assert "state_key = /etc/aapfs-state/state.key\n" in configuration()
    assert mounts["/etc/aapfs-state/state.key"]["subPath"] == "state.key"


def test_the_readmes_commands_name_what_the_manifests_do(daemon, mount, tmp_path):
    """There is no cluster: kubectl notes its words, and runs on this machine what it would run in a pod."""
    (tmp_path / "kubectl").write_text(f"""#!/bin/bash
printf '%s\\n' "$*" >> {tmp_path}/said
case "$*" in
    "-n aapfs get pods -o name") echo pod/aapfs-x7k2p; echo pod/aapfs-z9q4d ;;
    "-n aapfs exec -i pod/aapfs-x7k2p -- "*) exec "${{@:6}}" ;;
    "-n aapfs exec "*) cat > {tmp_path}/second ;;
    *) for word; do case $word in --from-file=*) test -s "${{word#*=}}"; esac; done
esac
""")
    (tmp_path / "kubectl").chmod(0o755)
    for path in EXAMPLES.glob("*.yaml"):
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "password").write_text(PASSWORD + "\n")
    first, second = commands(EXAMPLES / "README.md")
    for block in (first, second):
        subprocess.run(["bash", "-euo", "pipefail", "-c", block.replace("/run/aapfs/aap", str(mount.path))], cwd=tmp_path, check=True,
                       env=environment(PATH=f"{tmp_path}:{AAPFS.parent}:{os.environ['PATH']}"))
    assert mount.key_id().startswith("KAAP.")  # made by the command that is run in the pod
    assert (tmp_path / "second").read_text() == PASSWORD + "\n"
    said = [line.split() for line in (tmp_path / "said").read_text().splitlines()]
    applied = {word for line in said if line[0] == "apply" for word in line[1:] if word != "-f"}
    assert applied <= {path.name for path in FILES} and "aapfs.yaml" in applied
    namespace = daemon["metadata"]["namespace"]
    assert {line[1] for line in said if line[0] == "-n"} == {namespace}
    # its name, its namespace, and its only key, which is the file's name
    state_key, = [line for line in said if "aapfs-state-key" in line]
    volume, = [volume for volume in pod(daemon)["volumes"] if volume["name"] == "state-key"]
    mounted, = [mount for mount in pod(daemon)["containers"][0]["volumeMounts"] if mount["name"] == "state-key"]
    assert state_key == ["-n", namespace, "create", "secret", "generic", volume["secret"]["secretName"],
                         f"--from-file={mounted['subPath']}"]
    consumer = of_kind("consumer.yaml", "Deployment")
    volume, = [volume for volume in pod(consumer)["volumes"] if volume["name"] == "password"]
    given = {entry["name"]: entry["value"] for entry in pod(consumer)["containers"][0]["env"]}
    assert "namespace" not in consumer["metadata"]
    assert ["create", "secret", "generic", volume["secret"]["secretName"],
            f"--from-file={os.path.basename(given['CLIENT_KEY_PASSWORD_FILE'])}"] in said
    made, = [line for line in said if "pod/aapfs-x7k2p" in line]
    assert made[-1] == os.path.basename(given["CLIENT_KEY_DIRECTORY"])
    assert "/run/aapfs/aap" == os.path.dirname(given["CLIENT_KEY_DIRECTORY"])


def probe(spec, name, there, here):
    """The exit status of a container's probe; None: it did not answer, and the kubelet counts that as a failure."""
    command = [word.replace(there, str(here)) for word in spec["containers"][0][name]["exec"]["command"]]
    assert command != spec["containers"][0][name]["exec"]["command"]
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=1).returncode
    except subprocess.TimeoutExpired:
        return None


@pytest.mark.full
def test_what_the_probes_say(daemon, start_mount, emulator):
    mount = start_mount(emulator.url, settings_of_mount="settle = 1s")
    for aap in ("payments", "orders"):
        mount.write(aap, PASSWORD)

    def probes():
        own = {probe(pod(daemon), name, "/run/aapfs/aap", mount.path)
               for name in ("startupProbe", "readinessProbe", "livenessProbe")}
        return own, probe(pods("consumer.yaml")[0], "readinessProbe", "/run/aapfs/aap", mount.path), \
            probe(pods("consumer-subpath.yaml")[0], "livenessProbe", "/run/orders", mount / "orders")

    assert probes() == ({0}, 0, 0)
    with mount.stopped("aapfs-worker"):
        assert probes()[0] == {None}
    until(lambda: probes() == ({0}, 0, 0))
    kill_all(mount)
    try:
        until(lambda: probes() == ({1}, 1, 2), 20)
    finally:
        subprocess.run(["umount", "-l", mount.path], check=True)


class Node:
    """What the DaemonSet's container and a consumer's see, as mount namespaces of their own; the node is this machine."""

    def __init__(self, directory, words, text):
        self.shared = directory / "run"
        self.shared.mkdir()
        subprocess.run(["mount", "--bind", self.shared, self.shared], check=True)
        subprocess.run(["mount", "--make-rshared", self.shared], check=True)
        (directory / "bin").mkdir()
        (directory / "bin/aapfs").symlink_to(AAPFS)
        (directory / "aapfs.conf").write_text(text)
        self.words = [word.replace("/run/aapfs", str(self.shared)).replace("/etc/aapfs", str(directory))
                      for word in words]
        self.path = f"{directory}/bin:{os.environ['PATH']}"
        self.daemon = None

    def start(self):
        self.daemon = subprocess.Popen(["unshare", "--mount", "--propagation", "unchanged", *self.words],
                                       env=environment(PATH=self.path), start_new_session=True,
                                       stderr=subprocess.DEVNULL)

    def end(self):
        if self.daemon and self.daemon.poll() is None:
            os.killpg(self.daemon.pid, signal.SIGKILL)
            self.daemon.wait()
        for _ in range(3):
            subprocess.run(["umount", "-l", f"{self.shared}/aap"], stderr=subprocess.DEVNULL)
        subprocess.run(["umount", "-l", self.shared], check=True)

    def consumer(self):
        """A process in a namespace that gets what is mounted on the node, and gives nothing back."""
        process = subprocess.Popen(["unshare", "--mount", "--propagation", "slave", "sh", "-c", "echo; read -r _"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process.stdout.readline()
        return process


def answers(path, aap="payments"):
    """Whether a name that nobody has asked for is answered: what is cached is no proof."""
    try:
        os.stat(f"{path}/{aap}/{random.getrandbits(64):x}")
    except OSError as error:
        return error.errno == errno.ENOENT and os.path.exists(f"{path}/{aap}/status")


def test_a_consumer_sees_the_mount_that_a_killed_pod_is_replaced_by(daemon, emulator, tmp_path):
    state_key = make_state_key(tmp_path / "state.key")
    node = Node(tmp_path, pod(daemon)["containers"][0]["command"],
                f"[kms]\nendpoint = {emulator.url}\naaps = payments\n[mount]\nstate = {tmp_path}/state\n"
                f"state_key = {state_key}\n")
    consumer = node.consumer()  # there before the mount is
    try:
        node.start()
        until(lambda: answers(node.shared / "aap"))
        with open(f"{node.shared}/aap/payments/control", "w", encoding="ascii") as control:
            control.write(PASSWORD + "\n")
        seen = f"/proc/{consumer.pid}/root{node.shared}/aap"
        until(lambda: answers(seen))
        with open(f"{seen}/payments/client_key_id", encoding="ascii") as file:
            before = file.read()
        os.killpg(node.daemon.pid, signal.SIGKILL)
        node.daemon.wait()
        until(lambda: not answers(seen))
        node.start()  # over what is dead now
        until(lambda: answers(seen))
        with open(f"{seen}/payments/client_key_id", encoding="ascii") as file:
            assert file.read() == before
        node.daemon.send_signal(signal.SIGTERM)
        assert node.daemon.wait(30) == 0
        with pytest.raises(FileNotFoundError):
            os.stat(f"{seen}/payments")
    finally:
        node.end()
        consumer.communicate()


@pytest.mark.full
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_subpath_of_a_pod_that_is_replaced(daemon, emulator, tmp_path, end):
    """It stays with the mount that it was made from: its probe fails, and the container that is then started has the new one."""
    state_key = make_state_key(tmp_path / "state.key")
    node = Node(tmp_path, pod(daemon)["containers"][0]["command"],
                f"[kms]\nendpoint = {emulator.url}\naaps = orders\n[mount]\nstate = {tmp_path}/state\n"
                f"state_key = {state_key}\nsettle = 1s\n")
    directory, file = tmp_path / "orders", tmp_path / "clientKey.json"
    directory.mkdir()
    file.touch()
    spec, = pods("consumer-subpath.yaml")
    subpaths = [mount["subPath"] for mount in spec["containers"][0]["volumeMounts"]]

    def bind():
        for subpath, place in zip(subpaths, (directory, file)):
            subprocess.run(["mount", "--bind", node.shared / subpath, place], check=True)
            subprocess.run(["mount", "--make-private", place], check=True)

    def passes():
        return probe(spec, "livenessProbe", "/run/orders", directory) == 0

    def replace():
        if end == signal.SIGKILL:
            os.killpg(node.daemon.pid, end)
        else:
            node.daemon.send_signal(end)
        node.daemon.wait(30)
        node.start()
        until(lambda: answers(node.shared / "aap", "orders"))

    try:
        node.start()
        until(lambda: answers(node.shared / "aap", "orders"))
        with open(f"{node.shared}/aap/orders/control", "w", encoding="ascii") as control:
            control.write(PASSWORD + "\n")
        bind()
        assert passes()
        key = file.read_text()
        replace()
        until(lambda: not passes(), 20)
        # the kubelet starts the container again
        for place in (directory, file):
            subprocess.run(["umount", place], check=True)
        bind()
        assert passes() and file.read_text() == key
    finally:
        for place in (directory, file):
            subprocess.run(["umount", "-l", place], stderr=subprocess.DEVNULL)
        node.end()
