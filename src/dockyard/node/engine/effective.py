"""Turns a caller's wishes and an image's configuration into what a container really has. Pure.

The rules are Docker's (Engine API, ``POST /containers/create``): what the caller says wins; a new
entrypoint drops the image's command; variables, labels and ports are united.
"""

from __future__ import annotations

from dockyard.base.errors import Invalid
from dockyard.base.pattern import Pattern
from dockyard.node.engine.config import ContainerConfig, HealthSpec, MountSpec, PortSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockyard.base.oci.imageconfig import ImageConfig

EXPOSED = Pattern(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?")


def effective(config: ContainerConfig, image: ImageConfig | None) -> ContainerConfig:
    """Everything that is the image's to say is in the result."""
    merged = config if image is None else _merge(config, image)
    if merged.publish_all:
        asked = {(port.container_port, port.protocol) for port in merged.ports}
        more = [PortSpec(number, protocol, "0.0.0.0", 0)  # noqa: S104 - every address, as asked
                for number, protocol in map(_port, merged.exposed)
                if (number, protocol) not in asked]  # fmt: skip
        merged = merged._replace(ports=(*merged.ports, *more))
    return merged


def program(config: ContainerConfig) -> tuple[str, ...]:
    """What an effective configuration executes."""
    args = (*(config.entrypoint or ()), *config.command)
    if not args and not config.pause:
        raise Invalid("no command specified: neither the image nor the command line names one")
    return args


def _merge(config: ContainerConfig, image: ImageConfig) -> ContainerConfig:
    entrypoint, command = config.entrypoint, config.command
    if entrypoint is None:
        entrypoint, command = image.entrypoint or None, command or image.cmd
    named = {entry.partition("=")[0] for entry in config.env}
    covered = {mount.target.rstrip("/") for mount in config.mounts}
    return config._replace(
        entrypoint=entrypoint,
        command=command,
        env=(*config.env, *(each for each in image.env if each.partition("=")[0] not in named)),
        workdir=config.workdir or image.working_dir,
        user=config.user or image.user,
        labels=tuple({**dict(image.labels), **dict(config.labels)}.items()),
        mounts=(
            *config.mounts,
            *(MountSpec("volume", "", path) for path in image.volumes
              if path.rstrip("/") not in covered),
        ),
        exposed=_united(config.exposed, image.exposed_ports),
        stop_signal=config.stop_signal or image.stop_signal,
        health=_health(config, image),
    )  # fmt: skip


def _health(config: ContainerConfig, image: ImageConfig) -> HealthSpec | None:
    if config.health is None and not image.healthcheck:
        return None
    from dockyard.node.engine import health  # most containers do without

    return health.merged(config.health, image.healthcheck)


def _united(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    found = {f"{number}/{protocol}": None for number, protocol in map(_port, (*first, *second))}
    return tuple(found)


def exposed(text: str) -> list[str]:
    """``80``, ``80/udp`` or ``8000-8010`` as ``80/tcp`` and so on."""
    match = EXPOSED.fullmatch(text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if match is None or not 1 <= first <= last <= 65535:
        raise Invalid(f"invalid range format for --expose: {text}, error: ports are numbers from 1 "
                      "to 65535, with /tcp, /udp or /sctp")  # fmt: skip
    return [f"{number}/{match[3] or 'tcp'}" for number in range(first, last + 1)]


def _port(text: str) -> tuple[int, str]:
    number, _, protocol = exposed(text)[0].partition("/")
    return int(number), protocol
