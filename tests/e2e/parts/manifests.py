"""Manifests read strictly: each key once, and each field as tests/data/kubernetes-fields.yaml has it; those of examples/kubernetes."""
import pathlib
import re

import yaml

TABLE = pathlib.Path(__file__).resolve().parents[2] / "data/kubernetes-fields.yaml"
EXAMPLES = pathlib.Path(__file__).resolve().parents[3] / "examples/kubernetes"
FILES = sorted(EXAMPLES.rglob("*.yaml"))


class Wrong(Exception):
    pass


class Octal(int):
    """A number that was written with a leading 0."""


class Loader(yaml.SafeLoader):
    """SafeLoader takes the last of two equal keys, and what YAML 1.1 makes of yes, no, on and off."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise Wrong("anchors are not used")
        return super().compose_node(parent, index)


def mapping(loader, node):
    seen = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise Wrong(f"line {key_node.start_mark.line + 1}: {key!r} is no name")
        if key in seen:
            raise Wrong(f"line {key_node.start_mark.line + 1}: {key} is there twice")
        seen[key] = loader.construct_object(value_node, deep=True)
    return seen


def boolean(loader, node):
    if node.value not in ("true", "false"):
        raise Wrong(f"line {node.start_mark.line + 1}: {node.value} is true or false to some, and a text to others")
    return node.value == "true"


def integer(loader, node):
    number = loader.construct_yaml_int(node)
    return Octal(number) if node.value.startswith("0") and node.value != "0" else number


Loader.add_constructor("tag:yaml.org,2002:map", mapping)
Loader.add_constructor("tag:yaml.org,2002:bool", boolean)
Loader.add_constructor("tag:yaml.org,2002:int", integer)


def load(text):
    try:
        return list(yaml.load_all(text, Loader))
    except yaml.YAMLError as error:
        raise Wrong(str(error)) from error


CHECKS = {
    "string": lambda value: isinstance(value, str),
    "int": lambda value: type(value) is int and 0 <= value < 2 ** 31,
    "port": lambda value: type(value) is int and 0 < value < 2 ** 16,
    "bool": lambda value: isinstance(value, bool),
    "octal": lambda value: isinstance(value, Octal) and value <= 0o777,
    "path": lambda value: isinstance(value, str) and value.startswith("/"),
    "name": lambda value: isinstance(value, str) and len(value) <= 253 and
    re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", value),
    "quantity": lambda value: re.fullmatch(r"[0-9]+(\.[0-9]+)?(m|[kMGT]|[KMGT]i)?", str(value)),
}


class Schema:
    def __init__(self):
        table = load(TABLE.read_text())[0]
        self.kinds, self.types = table["kinds"], table["types"]

    def check(self, value, kind, where):
        if kind in self.types:
            self.check_object(value, self.types[kind], where)
        elif kind[0] in "[{":
            self.check_many(value, kind, where)
        elif kind in CHECKS:
            if not CHECKS[kind](value):
                raise Wrong(f"{where}: {value!r} is no {kind}")
        elif value not in kind.split("|"):
            raise Wrong(f"{where}: {value!r} is none of {kind}")

    def check_many(self, value, kind, where):
        if not isinstance(value, list if kind[0] == "[" else dict):
            raise Wrong(f"{where}: {value!r} is no {kind}")
        for name, item in enumerate(value) if kind[0] == "[" else value.items():
            self.check(item, kind[1:-1], f"{where}.{name}")

    def check_object(self, value, fields, where):
        if not isinstance(value, dict):
            raise Wrong(f"{where}: {value!r} is no object")
        allowed = {field.rstrip("!"): kind for field, kind in fields.items()}
        for field in value:
            if field not in allowed:
                raise Wrong(f"{where}.{field}: there is no such field")
            self.check(value[field], allowed[field], f"{where}.{field}")
        for field in fields:
            if field.endswith("!") and field[:-1] not in value:
                raise Wrong(f"{where}: {field[:-1]} is missing")

    def check_document(self, document):
        if not isinstance(document, dict):
            raise Wrong(f"{document!r} is no object")
        kind = f"{document.get('apiVersion')}/{document.get('kind')}"
        if kind not in self.kinds:
            raise Wrong(f"{kind}: unknown")
        self.check(document, self.kinds[kind], document["kind"])


def read(path):
    """The documents of a manifest, each right by the table."""
    schema, documents = Schema(), load(pathlib.Path(path).read_text())
    for document in documents:
        schema.check_document(document)
    return documents


def of_kind(file, kind):
    """The one document of KIND in FILE, which is below EXAMPLES."""
    found = [document for document in read(EXAMPLES / file) if document["kind"] == kind]
    assert len(found) == 1
    return found[0]


def pod(document):
    return document["spec"] if document["kind"] == "Pod" else document["spec"]["template"]["spec"]


def pods(file):
    return [pod(document) for document in read(EXAMPLES / file)
            if document["kind"] in ("Pod", "DaemonSet", "Deployment", "StatefulSet")]


def commands(readme):
    """README's, as one script for each block."""
    blocks = re.findall(r"^```\n(\$ .*?)^```$", readme.read_text(), re.S | re.M)
    return ["".join(line[2:] + "\n" for line in block.splitlines()) for block in blocks]
