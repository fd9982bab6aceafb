"""Turns a health check that somebody asks for into what a monitor runs, and back."""

from __future__ import annotations

import json
from typing import Any

from dockyard.base.oci.users import User
from dockyard.interfaces.ociruntime import HealthCheck
from dockyard.node.engine import event, spec
from dockyard.node.engine.config import Container, ContainerConfig, HealthSpec
from dockyard.node.engine.parts import Parts

SHELL = ("/bin/sh", "-c")
INTERVAL, TIMEOUT, RETRIES, START_INTERVAL = 30.0, 30.0, 3, 5.0
"""Docker's."""
NANO = 1_000_000_000
NONE = ("NONE",)


def merged(asked: HealthSpec | None, of_image: str) -> HealthSpec | None:
    """The caller's wishes, and the image's where there is none. Pure."""
    found = _of_image(json.loads(of_image)) if of_image else None
    if asked is None or found is None:
        return asked if asked and asked.test else found
    if asked.test == NONE:
        return asked
    return HealthSpec._make(mine or theirs for mine, theirs in zip(asked, found, strict=True))


def _of_image(said: dict[str, Any]) -> HealthSpec:
    return HealthSpec(
        tuple(map(str, said.get("Test") or ())),
        (said.get("Interval") or 0) / NANO,
        (said.get("Timeout") or 0) / NANO,
        said.get("Retries") or 0,
        (said.get("StartPeriod") or 0) / NANO,
        (said.get("StartInterval") or 0) / NANO,
    )


def check(config: ContainerConfig, user: User, hostname: str) -> HealthCheck | None:
    """What the monitor runs: with the rights of the container's own program. Pure."""
    wanted = config.health
    if wanted is None or not wanted.test or wanted.test == NONE:
        return None
    kind, *words = wanted.test
    capabilities = spec.capabilities_of(config)
    process = {
        "args": [*SHELL, *words] if kind == "CMD-SHELL" else words,
        "env": spec.environment(config, hostname, user.home),
        "cwd": config.workdir or "/",
        **spec.confinement(config, user, capabilities),
    }
    return HealthCheck(
        process,
        wanted.interval or INTERVAL,
        wanted.timeout or TIMEOUT,
        wanted.retries or RETRIES,
        wanted.start_period,
        wanted.start_interval or START_INTERVAL,
    )


def describe(wanted: HealthSpec) -> dict[str, Any]:
    """The wishes as Docker's API has them, times in nanoseconds."""
    times = {
        "Interval": wanted.interval, "Timeout": wanted.timeout,
        "StartPeriod": wanted.start_period, "StartInterval": wanted.start_interval,
    }  # fmt: skip
    found: dict[str, Any] = {"Test": list(wanted.test)}
    found |= {name: round(seconds * NANO) for name, seconds in times.items() if seconds}
    return found | ({"Retries": wanted.retries} if wanted.retries else {})


def is_checked(container: Container) -> bool:
    """Whether it has a check at all."""
    wanted = container.config.health
    return wanted is not None and bool(wanted.test) and wanted.test != NONE


def read(parts: Parts, container: Container) -> dict[str, Any] | None:
    """What its monitor has written; None for a container that has no check, or has never run."""
    if not is_checked(container):
        return None
    try:
        with open(f"{parts.places.state(container.id)}/health.json") as file:
            found: dict[str, Any] = json.load(file)
    except (FileNotFoundError, ValueError):
        return None
    return found


def news(parts: Parts, container: Container) -> list[event.Event]:
    """What has changed of its health since somebody wrote it down last."""
    said = read(parts, container)
    return [event.of(container, f"health_status: {status}", time)
            for time, status in (said or {}).get("Changes", ())
            if time > container.health_seen]  # fmt: skip


def note(parts: Parts, container: Container) -> None:
    """Write that down."""
    if not news(parts, container):
        return
    with parts.locks.hold(container.id):
        latest = parts.database.get(container.id)
        told = news(parts, latest) if latest else []
        if latest is not None and told:
            parts.database.update(latest._replace(health_seen=told[-1].time), *told)
