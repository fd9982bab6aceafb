"""Every field of config.json has a test of its effect, or an error that names it."""

from __future__ import annotations

import ast
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dockyard.base.errors import DockyardError
from dockyard.base.oci import runtimespec
from dockyard.base.oci.defaultspec import default_spec

TESTS = Path(__file__).parents[2]
ROWS = [
    line.split(None, 1)
    for line in Path(__file__).with_name("spec-fields.txt").read_text().splitlines()
    if not line.startswith("#")
]
SHOWN = [(field, what) for field, what in ROWS if not what.startswith("refused ")]
REFUSED = [(field, what.removeprefix("refused ")) for field, what in ROWS
           if what.startswith("refused ")]  # fmt: skip


def document() -> dict[str, Any]:
    return default_spec(args=["true"], env=["A=b"], cwd="/", root="/root", cgroup="/a")


@cache
def functions_of(file: str) -> set[str]:
    folder, _, name = file.rpartition("/")
    path = TESTS / (folder or "integration/runtime") / f"test_{name}.py"
    return {node.name for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.FunctionDef)}  # fmt: skip


def test_no_field_stands_there_twice() -> None:
    fields = [field for field, _ in ROWS]
    assert len(fields) == len(set(fields))
    # the schema's leaves: config-schema.json and config-linux.json of 1.2.1 and 1.3
    assert len(fields) > 170


@pytest.mark.parametrize(("field", "where"), SHOWN, ids=[field for field, _ in SHOWN])
def test_a_field_has_a_test_of_its_effect(field: str, where: str) -> None:
    file, _, name = where.partition("::")
    assert name in functions_of(file), f"{field}: {where}"


@pytest.mark.parametrize(("field", "value"), REFUSED, ids=[field for field, _ in REFUSED])
def test_a_field_is_refused_by_name(field: str, value: str) -> None:
    spec = document()
    place: Any = spec
    *above, last = field.split(".")
    for name in above:
        place = place.setdefault(name, {})
    place[last] = json.loads(value)
    with pytest.raises(DockyardError, match=field.replace("[]", "")):
        runtimespec.parse(spec)


def leaves(value: Any, path: str = "") -> list[str]:
    if isinstance(value, dict):
        return [leaf for name, inner in value.items() for leaf in leaves(inner, f"{path}.{name}")]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in leaves(inner, f"{path}[]")]
    return [path.lstrip(".")]


def test_the_table_has_every_field_that_docker_sets() -> None:
    known = {field for field, _ in ROWS}
    for leaf in leaves(document()):
        assert leaf in known, leaf


WRONG = ("text", 7, [], {}, True, None, -1, 2**80, "\0", ["x", 5], {"": 1})


@pytest.mark.parametrize("field", sorted({field.split("[")[0] for field, _ in ROWS}))
def test_a13_any_other_type_is_an_error_or_harmless(field: str) -> None:
    """No value of any type makes it raise something else, or wait."""
    for value in WRONG:
        spec = document()
        place: Any = spec
        *above, last = field.split(".")
        for name in above:
            inner = place.get(name)
            place[name] = inner if isinstance(inner, dict) else {}
            place = place[name]
        place[last] = value
        try:
            runtimespec.parse(spec)
        except DockyardError as error:
            assert str(error).startswith("config")
