"""``dockyard system``: what lies on the disk in docker's table, and what runs with the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dockyard.cli import common, imageview, sizes

if TYPE_CHECKING:
    from collections.abc import Callable

    from dockyard.base.oci.digest import Digest
    from dockyard.node.engine.engine import Engine

_HEADS = {"Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE",
          "Reclaimable": "RECLAIMABLE"}  # fmt: skip
_RUNNING = ("running", "paused", "restarting")


def run(argv: list[str]) -> int:
    return common.second_word("system", VERBS, argv)


def _df(argv: list[str]) -> int:
    parser = common.Parser("system df", "[OPTIONS]", "Show what takes space on the disk.",
                           "  dockyard system df\n  dockyard system df -v\n")  # fmt: skip
    parser.flag("-v", "--verbose", help="each image, container and volume")
    parser.add_argument("--format", default="", metavar="TEMPLATE", help="a Go template")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    words = parser.parse_args(argv)
    found = Usage(common.engine())
    rows = found.rows()
    if words.output == "json":
        imageview.print_json(rows)
    elif words.format:
        from dockyard.cli.template import listed

        print(listed(words.format, rows, _HEADS), end="")
    elif words.verbose:
        print(found.verbose())
    else:
        print(common.table(list(_HEADS.values()), [[row[key] for key in _HEADS] for row in rows]))
    return 0


class Usage:
    """What there is, measured once."""

    def __init__(self, engine: Engine) -> None:
        from dockyard.base.oci.instance import root_path
        from dockyard.node.engine import tree
        from dockyard.node.volume.local import LocalVolumes

        self._store = imageview.open_store()
        self._images = self._store.list()
        self._used = {image.digest: len(self._store.holders(image)) for image in self._images}
        self._layers: dict[Digest, tuple[int, list[Digest]]] = {}
        for image in self._images:
            for layer, size in zip(image.layers, self._store.unpacked(image), strict=True):
                _, users = self._layers.setdefault(layer.chain_id, (size, []))
                users.append(image.digest)
        self._containers = [(each, engine.size(each.id)) for each in engine.list()]
        self._volumes: list[tuple[str, int, int]] = []
        mounted = [
            mount.source
            for each, _ in self._containers
            for mount in each.config.mounts
            if mount.kind == "volume"
        ]
        volumes = LocalVolumes(root_path())
        for volume in volumes.list():
            size = tree.size(volumes.path(volume.name))
            self._volumes.append((volume.name, mounted.count(volume.name), size))
        self._cached = self._store.cached()
        self._cache_sizes = self._store.unpacked_layers(self._cached)

    def rows(self) -> list[dict[str, str]]:
        """The table of `docker system df`."""
        whole = sum(size for size, _ in self._layers.values())
        free = sum(
            size
            for size, users in self._layers.values()
            if not any(self._used[digest] for digest in users)
        )
        running = [size for each, size in self._containers if each.status in _RUNNING]
        all_containers = sum(size for _, size in self._containers)
        volumes = sum(size for _, _, size in self._volumes)
        active = [size for _, links, size in self._volumes if links]
        cache = sum(self._cache_sizes)
        used = sum(1 for number in self._used.values() if number)
        return [
            _row("Images", len(self._images), used, whole, free),
            _row("Containers", len(self._containers), len(running), all_containers,
                 all_containers - sum(running)),
            _row("Local Volumes", len(self._volumes), len(active), volumes, volumes - sum(active)),
            _row("Build Cache", len(self._cached), 0, cache, cache),
        ]  # fmt: skip

    def verbose(self) -> str:
        """The tables of `docker system df -v`."""
        return "\n\n".join((
            "Images space usage:\n\n" + self._of_images(),
            "Containers space usage:\n\n" + self._of_containers(),
            "Local Volumes space usage:\n\n" + common.table(
                ["VOLUME NAME", "LINKS", "SIZE"],
                [[name, str(links), sizes.decimal(size)] for name, links, size in self._volumes],
            ),
            f"Build cache usage: {sizes.decimal(sum(self._cache_sizes), 4)}",
        ))  # fmt: skip

    def _of_images(self) -> str:
        from dockyard.base.oci.reference import parse_reference

        rows = []
        for image in self._images:
            shared = sum(
                self._layers[layer.chain_id][0]
                for layer in image.layers
                if len(self._layers[layer.chain_id][1]) > 1
            )
            tail = [image.id.short, imageview.age(image.config.created),
                    sizes.decimal(image.size), sizes.decimal(shared),
                    sizes.decimal(image.size - shared), str(self._used[image.digest])]  # fmt: skip
            names = [parse_reference(name) for name in image.names]
            heads = [[name.familiar_name, name.tag or "<none>"] for name in names]
            rows += [[*head, *tail] for head in heads or [["<none>", "<none>"]]]
        return common.table(["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE",
                             "UNIQUE SIZE", "CONTAINERS"], rows)  # fmt: skip

    def _of_containers(self) -> str:
        from dockyard.base.aio import now
        from dockyard.cli.ps import row

        rows = []
        for each, size in self._containers:
            shown: dict[str, Any] = row(each, now.wall(), False)
            keys = ("ID", "Image", "Command", "LocalVolumes")
            rows.append([*(shown[key] for key in keys), sizes.decimal(size),
                         shown["RunningFor"], shown["Status"], shown["Names"]])  # fmt: skip
        return common.table(["CONTAINER ID", "IMAGE", "COMMAND", "LOCAL VOLUMES", "SIZE",
                             "CREATED", "STATUS", "NAMES"], rows)  # fmt: skip


def _row(kind: str, total: int, active: int, size: int, free: int) -> dict[str, str]:
    part = f" ({free * 100 // size}%)" if size else ""
    shown = f"{sizes.decimal(free, 4)}{part}"
    return {"Type": kind, "TotalCount": str(total), "Active": str(active),
            "Size": sizes.decimal(size, 4), "Reclaimable": shown}  # fmt: skip


def _with_machine(verb: str) -> Callable[[list[str]], int]:
    def run(argv: list[str]) -> int:
        from dockyard.cli import machine

        found: Callable[[list[str]], int] = getattr(machine, verb)
        return found(argv)

    return run


def _events(argv: list[str]) -> int:
    from dockyard.cli import events

    return events.run(argv)


VERBS: common.Verbs = {
    "df": (_df, "Show what takes space on the disk"),
    "events": (_events, "Show what happens to containers"),
    "start": (_with_machine("start"), "Start what restart policies start with the machine"),
    "stop": (_with_machine("stop"), "Stop all containers before the machine ends"),
    "unit": (_with_machine("unit"), "Print a unit of systemd that does both"),
}
