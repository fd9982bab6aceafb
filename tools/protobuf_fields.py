"""Turns the API's published Go types into the table of protobuf fields that the package carries.

    python tools/protobuf_fields.py K8S_IO_API K8S_IO_APIMACHINERY > \
        src/dockyard/cluster/kinds/protobuf.tsv

The arguments are checkouts of the two modules. Numbers of fields never change and are never given
twice, so the newest release serves every older one. A line is one message: its name, then
``name:number:type`` for each field. A type is a letter (see ``kinds/protobuf.py``) or a message's
name; before it ``*`` (a pointer), ``[`` (a list), ``{`` (a map by string); behind the name ``!``
(written even when empty) or ``^`` (its fields stand in the outer object).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

STRUCT = re.compile(r"^type (\w+) struct ?\{(\}|.*?^\})", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"^type (\w+) =? ?([\w.\[\]*]+)$", re.MULTILINE)
FIELD = re.compile(r'^\s*(?:(\w+)\s+)?([\w.\[\]*]+)\s+`json:"([^"]*)".*protobuf:"\w+,(\d+),[^"]*"')
GROUP = re.compile(r'^(?:const )?\s*GroupName = "([^"]*)"', re.MULTILINE)
SCALARS = {
    "string": "s", "bool": "b", "int32": "i", "int64": "i", "int": "i", "uint8": "i",
    "float64": "f", "[]byte": "y", "byte": "y",
    "metav1.Time": "T", "Time": "T", "metav1.MicroTime": "M", "MicroTime": "M",
    "metav1.Duration": "D", "Duration": "D", "resource.Quantity": "Q",
    "intstr.IntOrString": "I", "runtime.RawExtension": "R", "metav1.FieldsV1": "F",
    "FieldsV1": "F",
}  # fmt: skip
META = "meta.v1"
NOT_SENT = ("admission", "apidiscovery", "apiserverinternal", "extensions", "imagepolicy")
"""Groups whose objects no client creates."""


class Package:
    """One group's version: its messages, and the names it gives to other types."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.structs = dict(STRUCT.findall(text))
        self.named = dict(NAMED.findall(STRUCT.sub("", text)))
        imports = re.findall(r'^\s*(\w+ )?"k8s\.io/(?:api|apimachinery/pkg/apis)/(\w+)/(\w+)"',
                             text, re.MULTILINE)  # fmt: skip
        self.imports = {
            (alias.strip() or version): f"{group}.{version}" for alias, group, version in imports
        }


def resolve(kind: str, here: Package, packages: dict[str, Package]) -> str:
    """The table's word for a Go type."""
    if kind in SCALARS:
        return SCALARS[kind]
    if kind.startswith("*"):
        return "*" + resolve(kind[1:], here, packages).lstrip("*")
    if kind.startswith("[]"):
        return "[" + resolve(kind[2:], here, packages).lstrip("*")
    if kind.startswith("map["):
        return "{" + resolve(kind.partition("]")[2], here, packages)
    if "." in kind:
        alias, name = kind.split(".")
        if name in ("UID", "NodeName"):
            return "s"
        return resolve(name, packages[here.imports[alias]], packages)
    if kind in here.structs:
        return f"{here.name}.{kind}"
    word = resolve(here.named[kind], here, packages)
    # a named list or map is a message of its own: {items}
    return f"@{word}" if word.startswith("[") else word


def fields(name: str, here: Package, packages: dict[str, Package]) -> list[str]:
    """``name:number:type`` of each field of a message."""
    found = []
    for line in here.structs[name].splitlines():
        match = FIELD.match(line)
        if match is None or match[3] == "-":
            continue
        go_name, kind, json, number = match.groups()
        tag, *options = json.split(",")
        word = resolve(kind, here, packages)
        inline = "inline" in options or not tag
        mark = "^" if inline else "" if "omitempty" in options or "omitzero" in options else "!"
        found.append(f"{tag or (go_name or kind).rpartition('.')[2]}{mark}:{number}:{word}")
    return found


def main(api: Path, machinery: Path) -> None:
    packages, groups = {}, {}
    folders = [(META, machinery / "pkg/apis/meta/v1")]
    folders += [
        (f"{path.parent.parent.name}.{path.parent.name}", path.parent)
        for path in sorted(api.glob("*/v*/generated.proto"))
        if path.parent.parent.name not in NOT_SENT
    ]
    for name, folder in folders:
        sources = [path for path in sorted(folder.glob("*.go")) if "_test" not in path.name
                   and not path.name.startswith(("generated", "zz_"))]  # fmt: skip
        text = "\n".join(path.read_text() for path in sources)
        packages[name] = Package(name, text)
        if group := GROUP.search(text):
            groups[name] = group[1]
    for name, package in packages.items():
        version = name.partition(".")[2]
        group = groups.get(name, "")
        print(f"# {group + '/' if group else ''}{version}\t{name}")
        for struct in sorted(package.structs):
            found = fields(struct, package, packages)
            if found:
                print(f"{name}.{struct}\t" + "\t".join(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
