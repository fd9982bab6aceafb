"""Turns the containers of a network into the names that they know each other by, in /etc/hosts.

Docker has a name server for that. Without a daemon whoever starts, ends or renames a container
writes the others' files: on a network of the user's each knows all, elsewhere those that it has
links to.
"""

from __future__ import annotations

import os

from dockyard.node.engine.config import Container
from dockyard.node.engine.parts import Parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


PREDEFINED = ("bridge", "host", "none")
FIRST = "# names on this network, written by dockyard"
LAST = "# end of names"
LARGEST = 1 << 20
"""Of a file that the container itself may have written."""
SHORT = 12
LOCK = "names"


def start(parts: Parts, container: Container, address: str) -> None:
    """Before its program begins: what it knows of the others."""
    if _knows(container) and address:
        others = _alive(parts, container.config.network)
        here = container._replace(address=address)
        _write(parts, container.id, lines(here, [*others, here]))


def changed(parts: Parts, container: Container, *, gone: bool = False) -> None:
    """Others know it by another address or name from now on, or no more: it is ``gone``."""
    network = container.config.network
    mine = network not in PREDEFINED
    if not mine and not (network == "bridge" and os.path.exists(_marker(parts))):
        return
    with parts.locks.hold(LOCK):
        alive = [each for each in _alive(parts, network) if not gone or each.id != container.id]
        for each in alive:
            if mine or each.config.links:
                _write(parts, each.id, lines(each, alive))


def linked(parts: Parts, container: Container) -> None:
    """One with links is about to be made."""
    if container.config.links:
        with open(_marker(parts), "w"):
            pass


def lines(own: Container, alive: Iterable[Container]) -> list[str]:
    """What a container knows. Pure."""
    everyone = own.config.network not in PREDEFINED
    aliases: dict[str, list[str]] = {}
    for other, alias in own.config.links:
        aliases.setdefault(other, []).append(alias)
    found = []
    for each in sorted(alive, key=lambda each: each.created):
        if not everyone and each.id not in aliases:
            continue
        shared = each.config.aliases if everyone else ()
        names = (*aliases.get(each.id, ()), each.name, *shared, each.id[:SHORT])
        found.append(f"{each.address}\t{' '.join(dict.fromkeys(names))}")
    return found


def merged(text: str, names: list[str]) -> str:
    """The file's text with other names; whatever else somebody wrote into it stays. Pure."""
    before, _, rest = text.partition(f"{FIRST}\n")
    after = rest.partition(f"{LAST}\n")[2]
    if before and not before.endswith("\n"):
        before += "\n"
    block = "".join(f"{line}\n" for line in (FIRST, *names, LAST)) if names else ""
    return before + block + after


def _knows(container: Container) -> bool:
    return container.config.network not in PREDEFINED or bool(container.config.links)


def _alive(parts: Parts, network: str) -> list[Container]:
    return [each for each in parts.database.all()
            if each.alive and each.address and each.config.network == network]  # fmt: skip


def _marker(parts: Parts) -> str:
    """There where some container has links, so that others need not look for one."""
    return os.path.join(parts.places.run_root, "links")


def _write(parts: Parts, container_id: str, names: list[str]) -> None:
    """In place: the file is mounted in the container."""
    path = os.path.join(parts.places.state(container_id), "hosts")
    try:
        with open(path, "r+b") as file:
            text = file.read(LARGEST).decode(errors="surrogateescape")
            fresh = merged(text, names).encode(errors="surrogateescape")
            file.seek(0)
            file.write(fresh)
            file.truncate()
    except FileNotFoundError:  # it is being removed, or brings files of its own
        return
