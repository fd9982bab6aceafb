"""Turns a command for a running container into an OCI ``process``."""

from __future__ import annotations

from typing import Any, NamedTuple

from dockyard.base.errors import Invalid
from dockyard.base.oci import defaultspec
from dockyard.base.oci.users import resolve_user
from dockyard.node.engine import layerfile, spec
from dockyard.node.engine.config import Container
from dockyard.node.engine.roots import Root


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


def describe(command: Command, container: Container, root: Root) -> dict[str, Any]:
    """The ``process`` object: the container's own confinement, another program."""
    if not command.args:
        raise Invalid("exec: no command; name a program")
    config, image = container.config, root.image
    files = (layerfile.read_file(root.layers, f"/etc/{name}") for name in ("passwd", "group"))
    user = resolve_user(command.user or config.user or (image.user if image else ""), *files)
    chosen = defaultspec.capability_set(
        list(config.cap_add), list(config.cap_drop), config.privileged or command.privileged
    )
    held = [] if user.uid else chosen
    hostname = config.hostname or container.id[: spec.SHORT]
    process: dict[str, Any] = {
        "args": list(command.args),
        "env": spec.environment(
            config._replace(env=(*config.env, *command.env), terminal=command.terminal),
            image, hostname, user.home,
        ),
        "cwd": command.workdir or config.workdir or (image.working_dir if image else "") or "/",
        "terminal": command.terminal,
        "user": {"uid": user.uid, "gid": user.gid,
                 "additionalGids": sorted({*user.groups, *config.groups})},
        "capabilities": {"bounding": chosen, "effective": held, "permitted": held},
    }  # fmt: skip
    if command.size:
        process["consoleSize"] = {"height": command.size[0], "width": command.size[1]}
    return process
