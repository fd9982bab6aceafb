"""Turns a container's probes and hooks into their faults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds import checks
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta.fielderrors import FieldError

_ACTIONS = ("exec", "httpGet", "tcpSocket", "grpc")
_HOOKS = ("exec", "httpGet", "tcpSocket", "sleep")
_SCHEMES = ("HTTP", "HTTPS")


def validate(container: Mapping[str, Any], path: str) -> list[FieldError]:
    """Faults of the probes and of the lifecycle hooks."""
    faults: list[FieldError] = []
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(name)
        if probe is None:
            continue
        at = f"{path}.{name}"
        faults += _one(probe, at, _ACTIONS)
        faults += checks.not_negative(
            probe, at, "initialDelaySeconds", "timeoutSeconds", "periodSeconds",
            "successThreshold", "failureThreshold",
        )  # fmt: skip
        if name != "readinessProbe" and probe.get("successThreshold", 1) != 1:
            faults.append(
                field.invalid(f"{at}.successThreshold", probe["successThreshold"], "must be 1")
            )
        if name == "readinessProbe" and "terminationGracePeriodSeconds" in probe:
            faults.append(
                field.invalid(
                    f"{at}.terminationGracePeriodSeconds",
                    probe["terminationGracePeriodSeconds"],
                    "must not be set for readinessProbes",
                )
            )
    for name, hook in (container.get("lifecycle") or {}).items():
        if isinstance(hook, dict):
            faults += _one(hook, f"{path}.lifecycle.{name}", _HOOKS)
    return faults


def _one(handler: Mapping[str, Any], path: str, kinds: tuple[str, ...]) -> list[FieldError]:
    given = [name for name in kinds if name in handler]
    if not given:
        return [field.required(path, "must specify a handler type")]
    faults = [
        field.forbidden(f"{path}.{name}", "may not specify more than 1 handler type")
        for name in given[1:]
    ]
    name = given[0]
    action, at = handler[name], f"{path}.{name}"
    if name == "exec":
        faults += checks.needed(action, at, "command")
    elif name == "httpGet":
        faults += checks.needed(action, at, "path")
        faults += checks.port_or_name(action.get("port", 0), f"{at}.port")
        faults += checks.one_of(action.get("scheme"), f"{at}.scheme", _SCHEMES)
    elif name in {"tcpSocket", "grpc"}:
        faults += checks.port_or_name(action.get("port", 0), f"{at}.port")
    elif action.get("seconds", 0) <= 0:
        faults.append(field.invalid(f"{at}.seconds", action.get("seconds", 0), "must be positive"))
    return faults
