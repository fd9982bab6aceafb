"""``dockyard build``: turns a folder with a Dockerfile into an image."""

from __future__ import annotations

import os
import sys

from dockyard.base.errors import Invalid
from dockyard.base.oci.instance import data_root
from dockyard.base.oci.reference import parse_reference
from dockyard.cli import common, imageview


def run(argv: list[str]) -> int:
    from dockyard.node.build.builder import Request, build
    from dockyard.node.build.runner import ContainerRunner
    from dockyard.node.build.stage import Options
    from dockyard.node.image.progress import Silent
    from dockyard.node.image.store import ImageStore
    from dockyard.node.runtime.launcher import ForkLauncher
    from dockyard.node.runtime.local import LocalRuntime

    words = _parser().parse_args(argv)
    quiet = words.quiet or words.output == "json"
    report = Quiet() if quiet else Steps()
    root = str(data_root())
    for name in words.tag:
        parse_reference(name)
    options = Options(_build_args(words.build_arg), words.no_cache, words.pull, words.network)
    runtime = LocalRuntime(ForkLauncher(os.path.join(root, "cache")))
    progress = Silent() if quiet else imageview.Lines()
    try:
        image = build(
            ImageStore(root),
            ContainerRunner(runtime, root, report),
            Request(words.context, words.file, tuple(words.tag), options),
            report,
            progress,
        )
    except BaseException:
        report.failed()
        raise
    if words.output == "json":
        imageview.print_json(imageview.summary(image))
    elif quiet:
        print(image.id)
    else:
        print(f"Successfully built {image.id.short}")
        for name in words.tag:
            print(f"Successfully tagged {imageview.familiar(name)}")
    return 0


def _parser() -> common.Parser:
    parser = common.Parser(
        "build",
        "[OPTIONS] DIR",
        "Build an image from a Dockerfile.",
        "  dockyard build -t shop/api:1 --build-arg VERSION=1 examples/shop/api",
    )
    parser.add_argument("context", metavar="DIR")
    parser.add_argument("-f", "--file", metavar="DOCKERFILE", help="default: DIR/Dockerfile")
    parser.add_argument("-t", "--tag", metavar="NAME", action="append", default=[])
    parser.add_argument("--build-arg", metavar="NAME[=VALUE]", action="append", default=[])
    parser.add_argument("--no-cache", action="store_true", help="run every step")
    parser.add_argument("--pull", action="store_true", help="fetch the base even if it is here")
    parser.add_argument("--network", choices=("none", "host"), default="none", help="for RUN")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only the image's ID")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    return parser


def _build_args(words: list[str]) -> dict[str, str]:
    """``NAME=value``, or ``NAME`` for what the environment has; unset ones are left out."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name:
            raise Invalid(f"build: --build-arg {word!r}: NAME=VALUE is expected")
        if equals:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
    return found


class Steps:
    """Shows each step and what it prints."""

    def step(self, number: int, total: int, text: str) -> None:
        print(f"Step {number}/{total} : {text}", flush=True)

    def cached(self) -> None:
        print(" ---> Using cache", flush=True)

    def output(self, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def failed(self) -> None:
        pass


class Quiet(Steps):
    """Shows what the failing step printed, and nothing else."""

    _LONGEST = 1 << 16

    def __init__(self) -> None:
        self._tail = b""

    def step(self, number: int, total: int, text: str) -> None:
        self._tail = b""

    def cached(self) -> None:
        pass

    def output(self, data: bytes) -> None:
        self._tail = (self._tail + data)[-self._LONGEST :]

    def failed(self) -> None:
        sys.stderr.buffer.write(self._tail)
        sys.stderr.flush()
