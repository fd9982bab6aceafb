"""StorageClasses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds import checks
from dockyard.cluster.kinds.columns import AGE, NAME, age, name, text
from dockyard.cluster.kinds.kind import Column, Kind
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta.fielderrors import FieldError
from dockyard.cluster.meta.names import qualified_name

DEFAULT_ANNOTATIONS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)


def is_default(obj: Mapping[str, Any]) -> bool:
    """Is it the class of claims that name none?"""
    annotations = obj.get("metadata", {}).get("annotations") or {}
    return any(annotations.get(each) == "true" for each in DEFAULT_ANNOTATIONS)


def _default(obj: dict[str, Any]) -> None:
    obj.setdefault("reclaimPolicy", "Delete")
    obj.setdefault("volumeBindingMode", "Immediate")


def _check(obj: Mapping[str, Any]) -> list[FieldError]:
    faults = checks.named(obj.get("provisioner", "").lower(), "provisioner", qualified_name)
    faults += checks.one_of(obj.get("reclaimPolicy"), "reclaimPolicy", ("Delete", "Retain"))
    return faults + checks.one_of(
        obj.get("volumeBindingMode"), "volumeBindingMode", ("Immediate", "WaitForFirstConsumer")
    )


def _check_update(obj: Mapping[str, Any], old: Mapping[str, Any]) -> list[FieldError]:
    faults = [
        field.forbidden(part, f"updates to {part} are forbidden.")
        for part in ("parameters", "provisioner", "reclaimPolicy")
        if obj.get(part) != old.get(part)
    ]
    return faults + field.immutable(
        "volumeBindingMode", obj.get("volumeBindingMode"), old.get("volumeBindingMode")
    )


def _cells(obj: Mapping[str, Any], now: float) -> list[Any]:
    return [
        f"{name(obj)} (default)" if is_default(obj) else name(obj),
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", ""),
        obj.get("volumeBindingMode", ""),
        bool(obj.get("allowVolumeExpansion")),
        age(obj, now),
    ]


KINDS = (
    Kind(
        "storage.k8s.io",
        "v1",
        "StorageClass",
        "storageclasses",
        namespaced=False,
        short_names=("sc",),
        fill_defaults=_default,
        check=_check,
        check_update=_check_update,
        columns=(
            NAME,
            text("Provisioner", "Who makes its volumes."),
            text("ReclaimPolicy", "What becomes of a volume when its claim goes."),
            text("VolumeBindingMode", "When a claim gets its volume."),
            Column("AllowVolumeExpansion", "boolean", description="May a volume grow?"),
            AGE,
        ),
        cells=_cells,
    ),
)
