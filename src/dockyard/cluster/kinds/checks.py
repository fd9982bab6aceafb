"""Turns values that many kinds have (ports, counts, enumerations, selectors) into their faults."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from dockyard.base.errors import Invalid
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta import quantity
from dockyard.cluster.meta.fielderrors import FieldError
from dockyard.cluster.meta.names import label_value, port_name, qualified_name
from dockyard.cluster.meta.objectmeta import validate_labels

NOT_NEGATIVE = "must be greater than or equal to 0"
PORT_RANGE = "must be between 1 and 65535, inclusive"


def not_negative(spec: Mapping[str, Any], path: str, *names: str) -> list[FieldError]:
    """Counts that are there must be 0 or more."""
    return [
        field.invalid(f"{path}.{name}", spec[name], NOT_NEGATIVE)
        for name in names
        if (spec.get(name) or 0) < 0
    ]


def positive(spec: Mapping[str, Any], path: str, *names: str) -> list[FieldError]:
    """Counts that are there must be 1 or more."""
    return [
        field.invalid(f"{path}.{name}", spec[name], "must be greater than zero")
        for name in names
        if name in spec and spec[name] <= 0
    ]


def one_of(value: Any, path: str, supported: Sequence[str]) -> list[FieldError]:
    """A value of an enumeration; none at all is a missing one."""
    if value in (None, ""):
        return [field.required(path)]
    return [] if value in supported else [field.not_supported(path, value, supported)]


def needed(spec: Mapping[str, Any], path: str, *names: str) -> list[FieldError]:
    """Fields that must be there and not empty."""
    return [field.required(f"{path}.{name}") for name in names if spec.get(name) in (None, "", [])]


def named(
    value: str, path: str, rule: Callable[[str], list[str]], *, optional: bool = False
) -> list[FieldError]:
    """A name that must be there and follow its grammar."""
    if not value:
        return [] if optional else [field.required(path)]
    return [field.invalid(path, value, why) for why in rule(value)]


def port_number(value: Any, path: str) -> list[FieldError]:
    return [] if 0 < value < 65536 else [field.invalid(path, value, PORT_RANGE)]


def port_or_name(value: Any, path: str) -> list[FieldError]:
    """An IntOrString: a port number, or the name of a container's port."""
    if isinstance(value, int):
        return port_number(value, path)
    return [field.invalid(path, value, why) for why in port_name(value)]


def address(value: str, path: str) -> list[FieldError]:
    """An IP address without leading zeros (F20)."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return [
            field.invalid(
                path, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
            )
        ]
    return []


def distinct(values: Iterable[tuple[str, Any]]) -> list[FieldError]:
    """``(path, value)`` pairs whose values must differ; empty ones are passed over."""
    seen: set[Any] = set()
    faults: list[FieldError] = []
    for path, value in values:
        if value in (None, ""):
            continue
        if value in seen:
            faults.append(field.duplicate(path, value))
        seen.add(value)
    return faults


_VALUED = {"In": True, "NotIn": True, "Exists": False, "DoesNotExist": False}


def label_selector(selector: Mapping[str, Any] | None, path: str) -> list[FieldError]:
    """Faults of a ``metav1.LabelSelector``."""
    if not selector:
        return []
    faults = validate_labels(selector.get("matchLabels"), f"{path}.matchLabels")
    for index, each in enumerate(selector.get("matchExpressions") or ()):
        at = f"{path}.matchExpressions[{index}]"
        operator, values = each.get("operator", ""), each.get("values") or ()
        key = each.get("key", "")
        if operator not in _VALUED:
            faults.append(
                field.invalid(f"{at}.operator", operator, "not a valid selector operator")
            )
        elif _VALUED[operator] and not values:
            faults.append(
                field.required(
                    f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'"
                )
            )
        elif values and not _VALUED[operator]:
            faults.append(
                field.forbidden(
                    f"{at}.values",
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                )
            )
        faults += [field.invalid(f"{at}.key", key, why) for why in qualified_name(key)]
        for number, value in enumerate(values):
            faults += [
                field.invalid(f"{at}.values[{number}]", value, why) for why in label_value(value)
            ]
    return faults


def int_or_percent(value: Any, path: str) -> list[FieldError]:
    """A count that is not negative, or a percentage."""
    if isinstance(value, int):
        return [] if value >= 0 else [field.invalid(path, value, NOT_NEGATIVE)]
    if value.endswith("%") and value[:-1].isascii() and value[:-1].isdigit():
        return []
    return [
        field.invalid(
            path,
            value,
            "a valid percent string must be a numeric string followed by an ending '%' (e.g. "
            "'1%',  or '93%', regex used for validation is '[0-9]+%')",
        )
    ]


def scaled(value: Any, total: int, *, up: bool) -> int:
    """An int-or-percent of ``total``, rounded up or down."""
    if isinstance(value, int):
        return value
    share = int(value[:-1]) * total
    return -(-share // 100) if up else share // 100


def amount(value: str, path: str) -> list[FieldError]:
    """A quantity that is not negative."""
    try:
        if quantity.value_of(value) < 0:
            return [field.invalid(path, value, NOT_NEGATIVE)]
    except Invalid as error:
        return [field.invalid(path, value, str(error))]
    return []
