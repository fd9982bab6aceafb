"""Turns a container into the JSON text of its row, and back. Members are stored by their names, so
that a row outlives the version that wrote it.
"""

from __future__ import annotations

from dockyard.base import jsontext
from dockyard.node.engine.config import (
    Container,
    ContainerConfig,
    DeviceLimit,
    DeviceSpec,
    HealthSpec,
    LogSpec,
    MountSpec,
    PortSpec,
    Resources,
    RestartPolicy,
    Ulimit,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def encode(container: Container) -> str:
    """The row's text."""
    return jsontext.dumps(_plain(container))


def decode(text: str) -> Container:
    """The container of a row; members that this version does not know are left out."""
    found = jsontext.loads(text)
    found["config"] = _config(found["config"])
    found["ports"] = _ports(found["ports"])
    found["args"], found["own_volumes"] = tuple(found["args"]), tuple(found["own_volumes"])
    return Container(**_known(Container, found))


def _plain(value: Any) -> Any:
    if hasattr(value, "_fields"):
        return {name: _plain(getattr(value, name)) for name in value._fields}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _known(kind: Any, found: dict[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in kind._fields if name in found}


def _config(found: dict[str, Any]) -> ContainerConfig:
    # what JSON gives as lists of words becomes tuples of words
    for name, value in found.items():
        if isinstance(value, list):
            found[name] = tuple(tuple(item) if isinstance(item, list) else item for item in value)
    found["mounts"] = tuple(
        MountSpec(**{**_known(MountSpec, mount), "options": tuple(mount["options"])})
        for mount in found["mounts"]
    )
    found["ports"] = _ports(found["ports"])
    limits = _known(Resources, found["resources"])
    limits["blkio_devices"] = tuple(
        DeviceLimit(**_known(DeviceLimit, each)) for each in limits.get("blkio_devices", ())
    )
    found["resources"] = Resources(**limits)
    log = LogSpec(**_known(LogSpec, found["log"]))
    found["log"] = log._replace(options=tuple((name, value) for name, value in log.options))
    if policy := found.get("restart"):
        found["restart"] = RestartPolicy(**_known(RestartPolicy, policy))
    if health := found.get("health"):
        found["health"] = HealthSpec(**{**_known(HealthSpec, health),
                                        "test": tuple(health["test"])})  # fmt: skip
    found["ulimits"] = tuple(Ulimit(**_known(Ulimit, each)) for each in found.get("ulimits", ()))
    found["devices"] = tuple(
        DeviceSpec(**_known(DeviceSpec, each)) for each in found.get("devices", ())
    )
    return ContainerConfig(**_known(ContainerConfig, found))


def _ports(found: list[dict[str, Any]]) -> tuple[PortSpec, ...]:
    return tuple(PortSpec(**_known(PortSpec, port)) for port in found)
