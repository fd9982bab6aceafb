"""Turns a command for a running container into an OCI ``process``."""

from __future__ import annotations

from dockyard.base.errors import Invalid
from dockyard.base.typed import NamedTuple
from dockyard.node.engine import etcfiles, identity, oomscore, spec
from dockyard.node.engine.config import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Command(NamedTuple):
    """What ``exec`` runs. Empty means: as the container's own program."""

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    terminal: bool = False
    size: tuple[int, int] | None = None
    stdin: bool = False
    privileged: bool = False


def describe(command: Command, container: Container) -> dict[str, Any]:
    """The ``process`` object: the container's own confinement, another program."""
    if not command.args:
        raise Invalid("exec: no command; name a program")
    if command.workdir and not command.workdir.startswith("/"):
        raise Invalid(f"exec: --workdir {command.workdir}: Cwd must be an absolute path")
    config = container.config
    user = identity.inside(command.user or config.user, container.pid, config.group_names)
    capabilities = spec.capabilities_of(config, privileged=command.privileged)
    return {
        "args": list(command.args),
        "env": spec.environment(
            config._replace(env=(*config.env, *command.env)),
            etcfiles.hostname(container),
            user.home,
            terminal=command.terminal,
        ),
        "cwd": command.workdir or config.workdir or "/",
        **spec.console(command.terminal, command.size),
        **spec.confinement(config, user, capabilities),
        "oomScoreAdj": oomscore.allowed(config.oom_score_adj),
    }
