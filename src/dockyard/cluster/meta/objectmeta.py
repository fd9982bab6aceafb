"""Turns an object's metadata into its faults, and a new object's metadata into a stamped one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta.fielderrors import FieldError
from dockyard.cluster.meta.names import NameRule, label_name, label_value, qualified_name

ANNOTATIONS_LIMIT = 256 * 1024
"""Bytes of all annotations of one object."""
NAME_LIMIT = 63
_SUFFIX = 5
GENERATED_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels, so that no words come out, and nothing that looks like another letter."""


def generate_name(base: str, chance: int) -> str:
    """``base`` with five characters drawn from ``chance`` (at least 24 random bits)."""
    suffix = ""
    for _ in range(_SUFFIX):
        chance, index = divmod(chance, len(GENERATED_ALPHABET))
        suffix += GENERATED_ALPHABET[index]
    return base[: NAME_LIMIT - _SUFFIX] + suffix


def stamp(
    obj: dict[str, Any], *, uid: str, created: str, namespace: str = "", chance: int = 0
) -> None:
    """What the server writes into a new object's metadata; the client's own try is dropped.

    ``created`` is RFC 3339 with whole seconds; ``chance`` makes a name from ``generateName``.
    """
    metadata = obj["metadata"]
    for name in ("resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
        metadata.pop(name, None)
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = generate_name(metadata["generateName"], chance)
    metadata["uid"] = uid
    metadata["creationTimestamp"] = created
    if namespace:
        metadata["namespace"] = namespace


_SERVERS_OWN = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")


def carry_over(obj: dict[str, Any], old: Mapping[str, Any]) -> None:
    """Before an update is validated: what only the server writes, where the client left it out."""
    metadata, before = obj["metadata"], old["metadata"]
    for name in _SERVERS_OWN:
        if name in before and not metadata.get(name):
            metadata[name] = before[name]
    for name in ("deletionTimestamp", "deletionGracePeriodSeconds"):
        if name not in before:
            metadata.pop(name, None)
    metadata.pop("selfLink", None)


def validate_metadata(
    metadata: Mapping[str, Any],
    namespaced: bool,
    name_rule: NameRule,
    old: Mapping[str, Any] | None = None,
) -> list[FieldError]:
    """Faults of ``metadata``, or of its change from the ``old`` object's."""
    faults: list[FieldError] = []
    path = "metadata"
    name = metadata.get("name", "")
    if not name:
        faults.append(field.required(f"{path}.name", "name or generateName is required"))
    elif old is None:
        faults += [field.invalid(f"{path}.name", name, why) for why in name_rule(name)]
    if namespaced:
        namespace = metadata.get("namespace", "")
        if not namespace:
            faults.append(field.required(f"{path}.namespace"))
        elif old is None:
            faults += [
                field.invalid(f"{path}.namespace", namespace, why) for why in label_name(namespace)
            ]
    elif metadata.get("namespace"):
        faults.append(field.forbidden(f"{path}.namespace", "not allowed on this type"))
    faults += validate_labels(metadata.get("labels"), f"{path}.labels")
    faults += validate_annotations(metadata.get("annotations"), f"{path}.annotations")
    faults += _owners(metadata.get("ownerReferences") or (), f"{path}.ownerReferences")
    faults += _finalizers(metadata.get("finalizers") or (), f"{path}.finalizers")
    if old is not None:
        faults += _metadata_update(metadata, old["metadata"], path)
    return faults


def validate_labels(labels: Mapping[str, str] | None, path: str) -> list[FieldError]:
    """Faults of a map of labels."""
    faults: list[FieldError] = []
    for key, value in (labels or {}).items():
        faults += [field.invalid(path, key, why) for why in qualified_name(key)]
        faults += [field.invalid(path, value, why) for why in label_value(value)]
    return faults


def validate_annotations(annotations: Mapping[str, str] | None, path: str) -> list[FieldError]:
    """Faults of a map of annotations: its keys, its size."""
    faults: list[FieldError] = []
    size = 0
    for key, value in (annotations or {}).items():
        faults += [field.invalid(path, key, why) for why in qualified_name(key.lower())]
        size += len(key.encode()) + len(value.encode())
    if size > ANNOTATIONS_LIMIT:
        faults.append(field.too_long(path, ANNOTATIONS_LIMIT))
    return faults


def _owners(owners: Any, path: str) -> list[FieldError]:
    faults: list[FieldError] = []
    controller = ""
    for index, owner in enumerate(owners):
        at = f"{path}[{index}]"
        faults += [
            field.invalid(f"{at}.{name}", owner.get(name, ""), "must not be empty")
            for name in ("apiVersion", "kind", "name", "uid")
            if not owner.get(name)
        ]
        if owner.get("controller"):
            if controller:
                faults.append(
                    field.invalid(
                        path,
                        owners,
                        "Only one reference can have Controller set to true. Found "
                        f'"true" in references for {controller} and {owner.get("name")}',
                    )
                )
            controller = owner.get("name", "")
    return faults


def _finalizers(finalizers: Any, path: str) -> list[FieldError]:
    faults: list[FieldError] = []
    for index, name in enumerate(finalizers):
        at = f"{path}[{index}]"
        faults += [field.invalid(at, name, why) for why in qualified_name(name)]
        if "/" not in name and name not in {"kubernetes", "orphan", "foregroundDeletion"}:
            faults.append(
                field.invalid(
                    at, name, "name is neither a standard finalizer name nor is it fully qualified"
                )
            )
    return faults


def _metadata_update(
    metadata: Mapping[str, Any], before: Mapping[str, Any], path: str
) -> list[FieldError]:
    faults: list[FieldError] = []
    for name in ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp"):
        faults += field.immutable(f"{path}.{name}", metadata.get(name), before.get(name))
    if before.get("deletionTimestamp"):
        had = set(before.get("finalizers") or ())
        more = [each for each in metadata.get("finalizers") or () if each not in had]
        if more:
            faults.append(
                field.forbidden(
                    f"{path}.finalizers",
                    "no new finalizers can be added if the object is being deleted, found new "
                    f"finalizers {more}",
                )
            )
    return faults
