"""Secrets."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds import checks
from dockyard.cluster.kinds.columns import AGE, NAME, age, name, number, text
from dockyard.cluster.kinds.configmap import LIMIT, check_frozen
from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta.fielderrors import FieldError
from dockyard.cluster.meta.names import config_key

_ACCOUNT = "kubernetes.io/service-account.name"
_NEEDED = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}
_JSON = ("kubernetes.io/dockercfg", "kubernetes.io/dockerconfigjson")
_BASIC = "kubernetes.io/basic-auth"


def _default(obj: dict[str, Any]) -> None:
    if not obj.get("type"):
        obj["type"] = "Opaque"
    plain = obj.pop("stringData", None)
    if plain:
        data = dict(obj.get("data") or {})
        for key, value in plain.items():
            data[key] = base64.b64encode(value.encode()).decode()
        obj["data"] = data


def _check(obj: Mapping[str, Any]) -> list[FieldError]:
    data = obj.get("data") or {}
    faults: list[FieldError] = []
    for key in data:
        faults += checks.named(key, f"data[{key}]", config_key)
    if sum(len(value) * 3 // 4 for value in data.values()) > LIMIT:
        faults.append(field.too_long("data", LIMIT))
    kind = obj.get("type", "")
    faults += [field.required(f"data[{key}]") for key in _NEEDED.get(kind, ()) if key not in data]
    if kind in _JSON and not faults and not _is_object(data[_NEEDED[kind][0]]):
        where = f"data[{_NEEDED[kind][0]}]"
        faults.append(field.invalid(where, "<secret contents redacted>", "must be a JSON object"))
    if kind == _BASIC and "username" not in data and "password" not in data:
        faults += [field.required(f"data[{key}]") for key in ("username", "password")]
    annotations = obj.get("metadata", {}).get("annotations") or {}
    if kind == "kubernetes.io/service-account-token" and not annotations.get(_ACCOUNT):
        faults.append(field.required(f"metadata.annotations[{_ACCOUNT}]"))
    return faults


def _is_object(text: str) -> bool:
    """Base64 of one."""
    try:
        return isinstance(json.loads(base64.b64decode(text)), dict)
    except (ValueError, RecursionError):
        return False


def _check_update(obj: Mapping[str, Any], old: Mapping[str, Any]) -> list[FieldError]:
    faults = field.immutable("type", obj.get("type"), old.get("type"))
    return faults + check_frozen(obj, old, "data")


def _cells(obj: Mapping[str, Any], now: float) -> list[Any]:
    return [name(obj), obj.get("type", ""), len(obj.get("data") or ()), age(obj, now)]


KINDS = (
    Kind(
        "",
        "v1",
        "Secret",
        "secrets",
        fill_defaults=_default,
        check=_check,
        check_update=_check_update,
        columns=(
            NAME,
            text("Type", "What its entries are for."),
            number("Data", "Entries that it holds."),
            AGE,
        ),
        cells=_cells,
        fields=lambda obj: {"type": obj.get("type", "")},
        field_names=frozenset({"type"}),
    ),
)
