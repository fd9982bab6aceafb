"""Turns what a schema can't say of a resource kind into one value: names, scope, rules, columns.

An object is a JSON-shaped dict. ``default``, ``prepare_for_create`` and ``prepare_for_update``
fill in the object they are given: it must be the caller's own, never one that is stored or handed
out. ``validate`` and ``cells`` only read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dockyard.cluster.meta import errors
from dockyard.cluster.meta.fielderrors import FieldError
from dockyard.cluster.meta.names import NameRule, subdomain_name
from dockyard.cluster.meta.objectmeta import validate_metadata

Object = dict[str, Any]

ALL_VERBS = (
    "create", "delete", "deletecollection", "get", "list", "patch", "update", "watch",
)  # fmt: skip
READ_WRITE = ("get", "patch", "update")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of ``kubectl get``; priority 1 shows with ``-o wide`` only."""

    name: str
    type: str = "string"
    format: str = ""
    priority: int = 0
    description: str = ""


@dataclass(frozen=True, slots=True)
class Subresource:
    """What stands behind an object's path: ``status``, ``scale``, ``binding``, ``log``."""

    name: str
    verbs: tuple[str, ...]
    kind: str = ""
    """The kind of its body; empty: that of its parent."""
    group: str = ""
    version: str = ""
    """Group and version of its body where they are not its parent's."""


STATUS = Subresource("status", READ_WRITE)
SCALE = Subresource("scale", READ_WRITE, "Scale", "autoscaling", "v1")

NAME_COLUMNS = (Column("Name", format="name"), Column("Created At", "date"))


def _nothing(obj: Object) -> None:
    return None


def _same(obj: Object) -> Object:
    return obj


def _no_update(obj: Object, old: Mapping[str, Any]) -> None:
    return None


def _no_faults(obj: Mapping[str, Any]) -> list[FieldError]:
    return []


def _no_update_faults(obj: Mapping[str, Any], old: Mapping[str, Any]) -> list[FieldError]:
    return []


def _name_cells(obj: Mapping[str, Any], now: float) -> list[Any]:
    metadata = obj.get("metadata", {})
    return [metadata.get("name", ""), metadata.get("creationTimestamp")]


def _no_fields(obj: Mapping[str, Any]) -> dict[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of one group and version, as the API serves it."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[Subresource, ...] = ()
    definition: str = ""
    """Its name among the schema's definitions: ``io.k8s.api.core.v1.Pod``."""

    has_generation: bool = False
    """``metadata.generation`` counts the changes of everything but metadata and status."""
    keeps_status: bool = False
    """Its creator may set its status (a kubelet registers its Node with it)."""
    name_rule: NameRule = subdomain_name
    fill_defaults: Callable[[Object], None] = _nothing
    on_create: Callable[[Object], None] = _nothing
    """What else a new object is stripped of or given, after status and generation."""
    on_update: Callable[[Object, Mapping[str, Any]], None] = _no_update
    check: Callable[[Mapping[str, Any]], list[FieldError]] = _no_faults
    """Faults of an object by itself."""
    check_update: Callable[[Mapping[str, Any], Mapping[str, Any]], list[FieldError]] = (
        _no_update_faults
    )
    """Faults of the change from ``old``, besides those of the object by itself."""
    check_status: Callable[[Mapping[str, Any], Mapping[str, Any]], list[FieldError]] = (
        _no_update_faults
    )
    hub: tuple[str, str] | None = None
    """Group and version under which its objects are stored, where they are not its own."""
    to_hub: Callable[[Object], Object] = _same
    from_hub: Callable[[Object], Object] = _same
    """Conversions to and from the stored version; they answer new objects."""
    columns: tuple[Column, ...] = NAME_COLUMNS
    cells: Callable[[Mapping[str, Any], float], list[Any]] = _name_cells
    """One row of ``columns``: object, seconds since the epoch."""
    fields: Callable[[Mapping[str, Any]], dict[str, str]] = _no_fields
    """What field selectors see besides ``metadata.name`` and ``metadata.namespace``."""
    field_names: frozenset[str] = field(default_factory=frozenset)
    """The names that ``fields`` answers."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular_name(self) -> str:
        return self.singular or self.kind.lower()

    @property
    def list_kind(self) -> str:
        return f"{self.kind}List"

    @property
    def has_status(self) -> bool:
        return self.subresource("status") is not None

    def subresource(self, name: str) -> Subresource | None:
        return next((each for each in self.subresources if each.name == name), None)

    def default(self, obj: Object) -> None:
        """Fill in what the API fills in for an object that leaves it out."""
        self.fill_defaults(obj)

    def prepare_for_create(self, obj: Object) -> None:
        """Strip what a creator may not set (status), start the generation.

        Comes after :func:`~dockyard.cluster.meta.objectmeta.stamp`: a Job's selector is its uid.
        """
        self.fill_defaults(obj)
        if self.has_status and not self.keeps_status:
            obj.pop("status", None)
        metadata = obj.setdefault("metadata", {})
        metadata.pop("generation", None)
        if self.has_generation:
            metadata["generation"] = 1
        self.on_create(obj)

    def prepare_for_update(
        self, obj: Object, old: Mapping[str, Any], subresource: str = ""
    ) -> None:
        """Keep the half that this request may not touch; count a change of the other one.

        A request for ``status`` changes status alone; any other one changes everything else.
        """
        metadata, before = obj["metadata"], old["metadata"]
        if subresource == "status":
            _keep_all_but_status(obj, old)
            return
        self.fill_defaults(obj)
        if self.has_status:
            obj.pop("status", None)
            if "status" in old:
                obj["status"] = old["status"]
        self.on_update(obj, old)
        metadata.pop("generation", None)
        if self.has_generation or "generation" in before:
            generation = int(before.get("generation", 0))
            metadata["generation"] = generation + _substance_changed(obj, old)

    def validate(
        self, obj: Mapping[str, Any], old: Mapping[str, Any] | None = None, subresource: str = ""
    ) -> list[FieldError]:
        """The faults of an object with its defaults; with ``old``: of the change."""
        if subresource == "status" and old is not None:
            return self.check_status(obj, old)
        faults = validate_metadata(obj.get("metadata", {}), self.namespaced, self.name_rule, old)
        if old is not None:
            faults += self.check_update(obj, old)
        return faults + self.check(obj)

    def require_valid(
        self, obj: Mapping[str, Any], old: Mapping[str, Any] | None = None, subresource: str = ""
    ) -> None:
        """Raise :class:`~dockyard.cluster.meta.errors.Invalid` for any fault."""
        faults = self.validate(obj, old, subresource)
        if faults:
            raise errors.invalid(
                self.kind, obj.get("metadata", {}).get("name", ""), faults, self.group
            )

    def selectable(self, obj: Mapping[str, Any]) -> dict[str, str]:
        """The fields that a field selector may name, with this object's values."""
        metadata = obj.get("metadata", {})
        found = {"metadata.name": metadata.get("name", "")}
        if self.namespaced:
            found["metadata.namespace"] = metadata.get("namespace", "")
        found.update(self.fields(obj))
        return found

    @property
    def selectable_names(self) -> frozenset[str]:
        own = {"metadata.name", "metadata.namespace"} if self.namespaced else {"metadata.name"}
        return self.field_names | own

    def row(self, obj: Mapping[str, Any], now: float) -> Sequence[Any]:
        """The cells of this object, one for each of ``columns``."""
        return self.cells(obj, now)


_STATUS_MAY_CHANGE = ("labels", "annotations", "resourceVersion", "managedFields")


def _keep_all_but_status(obj: Object, old: Mapping[str, Any]) -> None:
    """Status comes from ``obj``, with what controllers note in metadata; the rest from ``old``."""
    status, metadata = obj.get("status"), obj["metadata"]
    kept = dict(old["metadata"])
    for name in _STATUS_MAY_CHANGE:
        kept.pop(name, None)
        if name in metadata:
            kept[name] = metadata[name]
    obj.clear()
    obj.update(old)
    obj["metadata"] = kept
    obj.pop("status", None)
    if status is not None:
        obj["status"] = status


_NOT_SUBSTANCE = frozenset({"metadata", "status", "apiVersion", "kind"})


def _substance_changed(obj: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    names = (obj.keys() | old.keys()) - _NOT_SUBSTANCE
    return any(obj.get(name) != old.get(name) for name in names)
