"""Turns an ordinary user's container into one that needs no root: a user namespace with ids.

subuid(5) and newuidmap(1) give the user a range of ids; without them the container has one, its
root's, which is the user outside. What that changes is said, not hidden.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from dockyard.base.errors import Denied
from dockyard.base.linux import userns
from dockyard.base.linux.openat2 import open_in_root

NOBODY = 65534
"""As whose an id shows that the namespace lacks: /proc/sys/kernel/overflowuid."""
TTY_GROUP = "gid=5"
Range = tuple[int, int, int]
"""First id inside, first id outside, how many."""


class Ids(NamedTuple):
    """What a user's containers have."""

    uids: tuple[Range, ...]
    gids: tuple[Range, ...]

    @property
    def single(self) -> bool:
        """Whether there is only the user's own."""
        return len(self.uids) == 1 or len(self.gids) == 1


def ids() -> Ids:
    """Of whoever runs this process."""
    uid, gid = os.geteuid(), os.getegid()
    maps = []
    for own, table, program in (
        (uid, "/etc/subuid", "newuidmap"), (gid, "/etc/subgid", "newgidmap"),
    ):  # fmt: skip
        ranges = _subordinate(table, {_name(uid), str(uid)}) if userns.tool(program) else []
        maps.append(tuple(_map(own, ranges)))
    if any(len(found) == 1 for found in maps):  # both or none: a uid without its gid is no user
        maps = [found[:1] for found in maps]
    return Ids(*maps)


def _map(own: int, ranges: list[tuple[int, int]]) -> Iterator[Range]:
    yield 0, own, 1
    inside = 1
    for first, count in ranges:
        yield inside, first, count
        inside += count


def _name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _subordinate(table: str, names: set[str]) -> list[tuple[int, int]]:
    """(first, count) of each line ``name:first:count`` that is this user's."""
    found = []
    try:
        with open(table) as file:
            for line in file:
                name, _, rest = line.strip().partition(":")
                first, _, count = rest.partition(":")
                if name in names and first.isdecimal() and count.isdecimal() and int(count):
                    found.append((int(first), int(count)))
    except OSError:
        return []
    return found


def outside(ranges: tuple[Range, ...], inside: int) -> int | None:
    """The id that one of the container's is on the host."""
    for first, other, count in ranges:
        if first <= inside < first + count:
            return other + inside - first
    return None


def adapt(document: dict[str, Any], own: Ids, owners: Iterable[tuple[str, int]]) -> list[str]:
    """Change a specification into one that this user may run. Returns what to tell them.

    ``owners``: (path, uid) of the trees that it starts from. Raises :class:`Denied` for a user
    whom the container cannot have.
    """
    linux, process = document["linux"], document["process"]
    user = process["user"]
    for kind, ranges, wanted in (
        ("uid", own.uids, [user["uid"]]),
        ("gid", own.gids, [user["gid"], *user.get("additionalGids", ())]),
    ):
        for number in wanted:
            if outside(ranges, number) is None:
                raise Denied(
                    f"user: {kind} {number}: without root a container has the ids that"
                    f" /etc/sub{kind} and new{kind}map give: this user's are {_shown(ranges)}"
                )
    linux["namespaces"].append({"type": "user"})
    for member, ranges in (("uidMappings", own.uids), ("gidMappings", own.gids)):
        linux[member] = [
            dict(zip(("containerID", "hostID", "size"), one, strict=True)) for one in ranges
        ]
    hosts_network = not any(one["type"] == "network" for one in linux["namespaces"])
    document["mounts"] = list(_mounts(document["mounts"], own, hosts_network))
    return list(_notes(own, owners))


def _mounts(mounts: list[Any], own: Ids, hosts_network: bool) -> Iterator[dict[str, Any]]:
    for mount in mounts:
        options = mount.get("options") or []
        if mount.get("type") == "devpts" and outside(own.gids, 5) is None:
            yield {**mount, "options": [option for option in options if option != TTY_GROUP]}
        elif hosts_network and mount.get("type") == "sysfs":
            # sysfs shows a network namespace, so only its owner may mount it
            kept = [option for option in options if option in ("nosuid", "noexec", "nodev")]
            yield {**mount, "type": "bind", "source": "/sys", "options": ["rbind", "rro", *kept]}
        elif hosts_network and mount["destination"].startswith("/sys/"):
            continue  # it came along
        else:
            yield mount


def _notes(own: Ids, owners: Iterable[tuple[str, int]]) -> Iterator[str]:
    if own.single:
        yield (
            "without newuidmap and a range in /etc/subuid the container has one user, its root:"
            f" files of all others are shown as nobody's ({NOBODY})"
        )
    for path, uid in owners:
        if not any(first <= uid < first + count for _, first, count in own.uids):
            yield (
                f"{path}: belongs to uid {uid}, who has no id in this container: squashed, such"
                f" files are shown as nobody's ({NOBODY})"
            )


def _shown(ranges: tuple[Range, ...]) -> str:
    return ", ".join(f"{first}-{first + count - 1}" if count > 1 else str(first)
                     for first, _, count in ranges)  # fmt: skip


def make_targets(upper: str, layers: tuple[str, ...], mounts: Iterable[tuple[str, str]]) -> None:
    """Make what (source, destination) are mounted on, where no layer has it.

    In a layer whose owner has no id in the container, nobody there can make anything; in the upper
    one the user can. The container may have left links in it: none leads out (openat2(2)).
    """
    root = os.open(upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for source, destination in mounts:
            path = os.path.normpath(destination).lstrip("/")
            if not any(os.path.lexists(f"{layer}/{path}") for layer in (upper, *layers)):
                _make(root, path, folder=os.path.isdir(source))
    finally:
        os.close(root)


def _make(root: int, path: str, *, folder: bool) -> None:
    above, _, name = path.rpartition("/")
    if above:
        try:
            parent = open_in_root(root, above, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            _make(root, above, folder=True)
            parent = open_in_root(root, above, os.O_RDONLY | os.O_DIRECTORY)
    else:
        parent = os.dup(root)
    try:
        if folder:
            os.mkdir(name, 0o755, dir_fd=parent)
        else:
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o644, dir_fd=parent))
    except FileExistsError:
        pass
    finally:
        os.close(parent)


def remove_tree(path: str) -> None:
    """Remove a folder in which the container's users have files, as their root."""
    from dockyard.node.engine import tree

    own = ids()
    code = userns.run_inside(own.uids, own.gids, lambda: tree.remove_tree(path))
    if code:
        raise Denied(f"{path}: cannot be removed, not as the root of its files' owners either")
