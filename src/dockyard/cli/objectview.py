"""Turns objects and Tables of the API into what is printed: columns, YAML, JSON, a template."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from dockyard.base.errors import Invalid
from dockyard.cluster.client.catalog import Entry
from dockyard.cluster.meta import jsonpath

PADDING, NARROWEST = 3, 6
FORMS = "json, yaml, name, wide, jsonpath=TEMPLATE"
Object = Mapping[str, Any]


def printer(form: str) -> Callable[[Entry, Object], str] | None:
    """What prints an object in a form; None for the forms that are tables. Raises Invalid."""
    kind, _, template = form.partition("=")
    if form in ("", "wide"):
        return None
    if form == "json":
        return lambda _, obj: to_json(obj, indent=4) + "\n"
    if form == "yaml":
        return lambda _, obj: to_yaml(obj)
    if form == "name":
        return lambda entry, obj: f"{entry.qualified}/{obj['metadata']['name']}\n"
    if kind in ("jsonpath", "jsonpath-as-json") and template:
        if kind != "jsonpath":
            raise Invalid(f"-o {kind}: is not implemented; there is: {FORMS}")
        show = jsonpath.parse(template)
        return lambda _, obj: show(obj)
    raise Invalid(f"unable to match a printer suitable for the output format {form!r}, allowed "
                  f"formats are: {FORMS}")  # fmt: skip


def bare(entry: Entry, obj: Object) -> dict[str, Any]:
    """An object as it is shown: with its kind, without who manages which field."""
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return {
        "apiVersion": entry.resource.api_version, "kind": entry.kind, **obj, "metadata": metadata,
    }  # fmt: skip


_NUMBER = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?\Z")
"""What other readers of YAML take for a number, though PyYAML does not."""


def to_json(obj: Object, indent: int | None = None) -> str:
    """JSON as Go's encoder writes it: keys in order, nothing in it that HTML would read."""
    separators = (",", ": ") if indent else (",", ":")
    text = json.dumps(obj, indent=indent, sort_keys=True, ensure_ascii=False, separators=separators)
    for character in "<>&\u2028\u2029":  # they stand in strings only
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


class _Dumper(yaml.SafeDumper):
    """Double quotes where there must be some, as sigs.k8s.io/yaml has them."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    if "\n" in value and all(line == line.rstrip() for line in value.split("\n")):
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|")
    resolved = dumper.resolve(yaml.ScalarNode, value, (True, False))  # type: ignore[no-untyped-call]
    plain = resolved == "tag:yaml.org,2002:str" and not _NUMBER.match(value)
    style = None if plain and value and value not in "yYnN" else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(obj: Object) -> str:
    """A YAML document."""
    return yaml.dump(dict(obj), Dumper=_Dumper, width=2**31, allow_unicode=True)


class Columns:
    """Prints lines in columns that are wide enough for all lines so far."""

    def __init__(self) -> None:
        self._widths: list[int] = []

    def lines(self, rows: Sequence[Sequence[str]]) -> str:
        """The rows as text; the last column is as wide as it is."""
        for row in rows:
            self._widths += [NARROWEST] * (len(row) - len(self._widths))
            for index, cell in enumerate(row[:-1]):
                self._widths[index] = max(self._widths[index], len(cell) + PADDING)
        return "".join(
            "".join(cell.ljust(width) for cell, width in zip(row[:-1], self._widths, strict=False))
            + f"{row[-1]}\n"
            for row in rows
        )


class TableView:
    """One kind's tables: which columns are shown, and with which names in front."""

    def __init__(self, *, wide: bool, namespaces: bool, labels: bool, prefix: str = "") -> None:
        self._wide, self._namespaces, self._labels = wide, namespaces, labels
        self._prefix = prefix
        self._shown: list[int] = []
        self._name = -1

    def head(self, table: Object) -> list[str]:
        """The headings; a watch sends the columns with its first table only."""
        columns = table["columnDefinitions"]
        self._shown = [index for index, column in enumerate(columns)
                       if self._wide or not column.get("priority")]  # fmt: skip
        names = [index for index, column in enumerate(columns) if column.get("format") == "name"]
        self._name = names[0] if names else -1
        found = ["NAMESPACE"] if self._namespaces else []
        found += [columns[index]["name"].upper() for index in self._shown]
        return [*found, "LABELS"] if self._labels else found

    def rows(self, table: Object) -> list[list[str]]:
        """The lines of a table."""
        found = []
        for row in table.get("rows") or ():
            metadata = (row.get("object") or {}).get("metadata", {})
            line = [metadata.get("namespace", "")] if self._namespaces else []
            for index in self._shown:
                text = cell(row["cells"][index])
                line.append(f"{self._prefix}{text}" if index == self._name else text)
            if self._labels:
                labels = metadata.get("labels") or {}
                line.append(",".join(f"{k}={labels[k]}" for k in sorted(labels)) or "<none>")
            found.append(line)
        return found


def cell(value: Any) -> str:
    """One cell: its first line, with nothing in it that would steer a terminal (F24)."""
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    for end in "\f\n\r":
        if end in text:
            text = text[: text.index(end)] + "..."
    return "".join(c if c.isprintable() else f"^{chr(ord(c) ^ 64)}" if ord(c) < 128 else "?"
                   for c in text)  # fmt: skip
