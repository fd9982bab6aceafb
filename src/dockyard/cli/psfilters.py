"""Turns ``--filter`` words into a choice among containers. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from dockyard.base.errors import Invalid
from dockyard.node.engine.config import Container

Test = Callable[[Container, str], bool]
HEALTH = ("starting", "healthy", "unhealthy", "none")
STATUSES = ("created", "running", "paused", "exited", "removing", "restarting", "dead")


def chosen(
    containers: list[Container], words: list[str], health: dict[str, str] | None = None
) -> list[Container]:
    """Those that pass: any value of a key will do, but every label must be there. ``health`` is
    that of those that have a check, by id."""
    values: dict[str, list[str]] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise Invalid(f"invalid filter '{word}': bad format, KEY=VALUE")
        if key == "health" and value not in HEALTH:
            raise Invalid(f"invalid filter 'health={value}'; one of {', '.join(HEALTH)}")
        if key not in TESTS and key not in BOUNDS and key != "health":
            raise Invalid(
                f"invalid filter '{key}'; one of {', '.join(sorted({*TESTS, *BOUNDS, 'health'}))}"
            )
        if key == "status" and value not in STATUSES:
            raise Invalid(f"invalid filter 'status={value}'; one of {', '.join(STATUSES)}")
        values.setdefault(key, []).append(value)
    for key, wanted in values.items():
        if key == "health":
            containers = [each for each in containers
                          if ((health or {}).get(each.id) or "none") in wanted]  # fmt: skip
        elif key in BOUNDS:
            containers = BOUNDS[key](containers, wanted[-1])
        else:
            enough = all if key == "label" else any
            containers = [
                container for container in containers
                if enough(TESTS[key](container, value) for value in wanted)
            ]  # fmt: skip
    return containers


def _name(container: Container, value: str) -> bool:
    try:
        return re.search(value, container.name) is not None or f"/{container.name}" == value
    except re.error:
        return value in container.name


def _label(container: Container, value: str) -> bool:
    labels = dict(container.config.labels)
    name, has_value, wanted = value.partition("=")
    return name in labels and (not has_value or labels[name] == wanted)


def _exited(container: Container, value: str) -> bool:
    if not value.isdecimal():
        raise Invalid(f"invalid filter 'exited={value}': not a number")
    return container.status == "exited" and str(container.exit_code) == value


def _ancestor(container: Container, value: str) -> bool:
    if not container.config.image:
        return value == container.config.rootfs
    from dockyard.base.oci.reference import parse_reference

    if container.image_id.removeprefix("sha256:").startswith(value.removeprefix("sha256:")):
        return True
    try:
        return parse_reference(value) == parse_reference(container.config.image)
    except Invalid:
        return False


def _volume(container: Container, value: str) -> bool:
    return any(value in (mount.source, mount.target) for mount in container.config.mounts)


def _publish(container: Container, value: str) -> bool:
    numbers, protocol = _ports(value, "publish")
    return any(port.host_port in numbers and port.protocol == protocol for port in container.ports)


def _expose(container: Container, value: str) -> bool:
    numbers, protocol = _ports(value, "expose")
    config = container.config
    found = {(port.container_port, port.protocol) for port in (*container.ports, *config.ports)}
    for text in config.exposed:
        number, _, kind = text.partition("/")
        found.add((int(number), kind))
    return any(number in numbers and kind == protocol for number, kind in found)


def _ports(text: str, key: str) -> tuple[range, str]:
    """``80``, ``80/udp`` or ``8000-8010/tcp``."""
    numbers, _, protocol = text.partition("/")
    first, _, last = numbers.partition("-")
    if not first.isdecimal() or not (last or first).isdecimal():
        raise Invalid(f"invalid filter '{key}={text}'; a port, or the first and last of several")
    return range(int(first), int(last or first) + 1), protocol or "tcp"


def _position(containers: list[Container], value: str) -> int:
    """Where a container stands in the list, whose first is the newest."""
    for index, container in enumerate(containers):
        if container.name == value or (value and container.id.startswith(value)):
            return index
    raise Invalid(f"No such container: {value}")


TESTS: dict[str, Test] = {
    "ancestor": _ancestor,
    "exited": _exited,
    "expose": _expose,
    "is-task": lambda _, value: value in ("false", "0"),
    "isolation": lambda _, value: value in ("", "default"),
    "id": lambda container, value: container.id.startswith(value),
    "label": _label,
    "name": _name,
    "network": lambda container, value: container.config.network == value,
    "owner": lambda container, value: container.owner == value,
    "publish": _publish,
    "restart-policy": lambda container, value: container.config.restart.name == value,
    "status": lambda container, value: container.status == value,
    "volume": _volume,
}
BOUNDS: dict[str, Callable[[list[Container], str], list[Container]]] = {
    "before": lambda found, value: found[_position(found, value) + 1 :],
    "since": lambda found, value: found[: _position(found, value)],
}
