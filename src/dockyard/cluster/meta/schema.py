"""Turns OpenAPI definitions into types that decode objects, compiled when first needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dockyard.cluster.meta import errors
from dockyard.cluster.meta.schematypes import (
    AnyValue,
    Array,
    Base64,
    Boolean,
    Integer,
    IntOrString,
    Map,
    Mismatch,
    Number,
    Quantity,
    SchemaType,
    String,
    Struct,
    Time,
    Where,
)

REF = "#/definitions/"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_SPECIAL: dict[str, Callable[[], SchemaType]] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": Quantity,
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": IntOrString,
    _META + "Time": lambda: Time(False),
    _META + "MicroTime": lambda: Time(True),
    _META + "FieldsV1": AnyValue,
    "io.k8s.apimachinery.pkg.runtime.RawExtension": AnyValue,
}
DEPTH = 96
"""Deepest nesting that an object may have; the deepest built-in kind needs 30."""


def too_deep(value: Any, limit: int = DEPTH) -> bool:
    """Is a JSON value nested deeper than ``limit``? No recursion: it may be a hostile one."""
    level = [value]
    for _ in range(limit + 1):
        below: list[Any] = []
        for each in level:
            if type(each) is dict:
                below.extend(each.values())
            elif type(each) is list:
                below.extend(each)
        if not below:
            return False
        level = below
    return True


class Schemas:
    """The definitions of one release, read when first asked for."""

    def __init__(self, load: Callable[[], Mapping[str, Any]]):
        self._load = load
        self._definitions: Mapping[str, Any] | None = None
        self._types: dict[str, SchemaType] = {}

    @property
    def definitions(self) -> Mapping[str, Any]:
        if self._definitions is None:
            self._definitions = self._load()
        return self._definitions

    def definition(self, name: str) -> Mapping[str, Any]:
        """One definition; the empty schema (anything goes) for a name that has none."""
        found: Mapping[str, Any] = self.definitions.get(name, {})
        return found

    def resolve(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a ``$ref`` points at, with the keywords that stand beside it."""
        reference = schema.get("$ref")
        if reference is None:
            return schema
        return {**self.definition(reference.removeprefix(REF)), **schema}

    def conform(self, name: str, obj: Any, kind: str, version: str) -> list[str]:
        """Hold ``obj`` against a definition; see :meth:`Registry.conform`."""
        if too_deep(obj):
            raise errors.BadRequest(
                f"{kind}: nested deeper than {DEPTH} levels: no {kind} needs that"
            )
        unknown: list[str] = []
        try:
            self.type_of(name).conform(obj, Where("", "", ""), unknown)
        except Mismatch as fault:
            raise errors.BadRequest(
                f'{kind} in version "{version}" cannot be handled as a {kind}: {fault}'
            ) from fault
        return unknown

    def type_of(self, name: str) -> SchemaType:
        """The compiled type of a definition."""
        found = self._types.get(name)
        if found is not None:
            return found
        special = _SPECIAL.get(name)
        if special is not None:
            found = special()
        else:
            schema = self.definition(name)
            if "properties" not in schema:
                found = self._compile(schema)
            else:
                package, _, last = name.rpartition(".")
                struct = Struct(f"{package.rpartition('.')[2]}.{last}")
                self._types[name] = struct  # a definition may contain itself
                struct.fields = {
                    key: self._compile(each) for key, each in schema["properties"].items()
                }
                return struct
        self._types[name] = found
        return found

    def _compile(self, schema: Mapping[str, Any]) -> SchemaType:
        reference = schema.get("$ref")
        if reference is not None:
            return self.type_of(reference.removeprefix(REF))
        match schema.get("type"):
            case "string":
                return Base64() if schema.get("format") == "byte" else String()
            case "integer":
                return Integer(64 if schema.get("format") == "int64" else 32)
            case "number":
                return Number()
            case "boolean":
                return Boolean()
            case "array":
                return Array(self._compile(schema.get("items", {})))
            case "object" if "additionalProperties" in schema:
                return Map(self._compile(schema["additionalProperties"]))
            case "object" if "properties" in schema:
                struct = Struct("struct")
                struct.fields = {
                    key: self._compile(each) for key, each in schema["properties"].items()
                }
                return struct
            case _:
                return AnyValue()
