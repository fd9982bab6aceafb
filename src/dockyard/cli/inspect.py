"""``dockyard inspect``: all that is known of containers, images, volumes or networks, in Docker's
shape."""

from __future__ import annotations

import json
import sys
from typing import Any

from dockyard.base.errors import DockyardError, NotFound
from dockyard.cli import common

EXAMPLES = """  dockyard inspect web
  dockyard inspect --format '{{.State.Status}} {{.State.Pid}}' web
  dockyard inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' web
  dockyard inspect -f '{{json .Mounts}}' web
"""


def run(argv: list[str]) -> int:
    """Print JSON, or what a template picks from it."""
    parser = common.Parser("inspect", "[OPTIONS] NAME|ID [NAME|ID...]",
                           "Show all that is known of containers, images, volumes or networks.",
                           EXAMPLES)  # fmt: skip
    parser.add_argument("-f", "--format", default="", metavar="TEMPLATE",
                        help="a Go template, or `json`")  # fmt: skip
    parser.add_argument("--type", choices=tuple(KINDS), default="", help="only of this kind")
    parser.flag("-s", "--size", help="with the bytes of a container's changes and root")
    parser.add_argument("names", nargs="+", metavar="NAME|ID")
    options = parser.parse_args(argv)
    found: list[dict[str, Any]] = []
    failed = 0
    for name in options.names:
        try:
            found.append(_find(name, options.type))
            if options.size and "HostConfig" in found[-1]:
                own, whole = common.engine().sizes(found[-1]["Id"])
                found[-1] |= {"SizeRw": own, "SizeRootFs": whole}
        except DockyardError as error:
            print(f"dockyard: {error}", file=sys.stderr)
            failed = 1
    show(found, options.format)
    return failed


def show(found: list[dict[str, Any]], form: str) -> None:
    """Print what was found: a list, or each as the template says."""
    if form:
        from dockyard.cli.template import compiled

        shown = compiled(form)
        print("".join(f"{shown(each)}\n" for each in found), end="")
    else:
        print(json.dumps(found, indent=4))


def _find(name: str, kind: str) -> dict[str, Any]:
    """The first thing of that name, in Docker's order."""
    for each in (kind,) if kind else KINDS:
        try:
            return KINDS[each](name)
        except NotFound:
            continue
    raise NotFound(f"No such {kind or 'object'}: {name}")


def _container(name: str) -> dict[str, Any]:
    return common.engine().inspect(name)


def _image(name: str) -> dict[str, Any]:
    from dockyard.cli.image import described
    from dockyard.cli.imageview import open_store

    return described(open_store(), name)


def _volume(name: str) -> dict[str, Any]:
    from dockyard.cli.volume import describe, volumes

    return describe(volumes().find(name))


def _network(name: str) -> dict[str, Any]:
    from dockyard.cli.network import describe, find

    return describe(find(name))


KINDS = {"container": _container, "image": _image, "network": _network, "volume": _volume}
