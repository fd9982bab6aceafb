"""Turns images and transfers into what a person reads: docker's columns, ages, sizes and bars."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from dockyard.base.aio import now
from dockyard.base.oci.instance import data_root
from dockyard.cli import common

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from dockyard.node.image.image import Image
    from dockyard.node.image.progress import Progress
    from dockyard.node.image.registry.hosts import Credentials
    from dockyard.node.image.store import ImageStore

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def say_squashed() -> None:
    """Before an image is unpacked: what an ordinary user's has not."""
    if os.geteuid() != 0:
        print(
            "WARNING: without root all files of an image belong to the container's root: owners"
            " are squashed, devices left out",
            file=sys.stderr,
        )


def open_store(words: Namespace | None = None, *more: str) -> ImageStore:
    """The images of this data root, reached as the options of a registry verb say: for the
    registry of ``words.name`` and of those in ``more``."""
    from dockyard.node.image.registry.hosts import CERT_DIRS, Hosts
    from dockyard.node.image.store import ImageStore

    if words is None:
        return ImageStore(data_root())
    from dockyard.base.oci.reference import parse_reference

    named = {parse_reference(name).registry for name in (words.name, *more)}
    lax = frozenset(() if words.tls_verify else named)
    folders = (words.cert_dir,) if words.cert_dir else CERT_DIRS
    return ImageStore(data_root(), hosts=Hosts(lax, folders, words.authfile))


def add_registry_options(parser: common.Parser) -> None:
    """How a registry is reached; the names are podman's and skopeo's."""
    import argparse

    parser.add_argument("--creds", metavar="USER:PASSWORD", help="instead of config.json's")
    parser.add_argument("--authfile", metavar="FILE", help="docker's config.json elsewhere")
    parser.add_argument("--cert-dir", metavar="DIR", help="folder with HOST/*.crt to trust")
    parser.add_argument(
        "--tls-verify",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="--no-tls-verify allows plain HTTP and any certificate",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print only what was done")
    parser.add_argument("--output", choices=("text", "json"), default="text")


def add_content_trust(parser: common.Parser) -> None:
    """Docker's switch for Notary, which it leaves on by default."""
    parser.flag_on("--disable-content-trust", help="always so: policy.json asks for signatures")


def refuse_content_trust(words: Namespace) -> None:
    """Raises where Notary is asked for."""
    if not words.disable_content_trust:
        from dockyard.base.errors import Unsupported

        raise Unsupported("--disable-content-trust=false: Docker Content Trust is not implemented; "
                          "policy.json asks for signatures (docs/trust.md)")  # fmt: skip


def credentials(words: Namespace) -> Credentials | None:
    from dockyard.node.image.registry.credentials import parse_login

    return parse_login(words.creds) if words.creds else None


@contextlib.contextmanager
def progress_for(quiet: bool) -> Iterator[Progress]:
    """Bars on a terminal, lines elsewhere, nothing where asked so."""
    if quiet:
        from dockyard.node.image.progress import Silent

        yield Silent()
    elif not sys.stdout.isatty():
        yield Lines()
    else:
        bars = Bars()
        try:
            yield bars
        finally:
            bars.close()


class Lines:
    """One line for each change of state."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def note(self, text: str) -> None:
        with self._lock:
            print(text, flush=True)

    def status(self, part: str, text: str) -> None:
        self.note(f"{part}: {text}")

    def advance(self, part: str, text: str, done: int, total: int) -> None:
        pass


class Bars:
    """One bar a layer, drawn by rich. Its drawing thread ends with the last part."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bars: RichProgress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._open: set[str] = set()

    def note(self, text: str) -> None:
        with self._lock:
            print(text, flush=True)

    def status(self, part: str, text: str) -> None:
        with self._lock:
            moving = text in ("Pulling fs layer", "Preparing", "Waiting")
            if moving:
                self._open.add(part)
            self._show(part, text, None, None)
            if not moving:
                self._open.discard(part)
            if not self._open:
                self._stop()

    def advance(self, part: str, text: str, done: int, total: int) -> None:
        with self._lock:
            self._show(part, text, done, total)

    def close(self) -> None:
        """End the drawing, and its thread."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
            self._tasks.clear()

    def _show(self, part: str, text: str, done: int | None, total: int | None) -> None:
        if self._bars is None:
            from rich.progress import BarColumn, DownloadColumn, TextColumn
            from rich.progress import Progress as RichProgress

            self._bars = RichProgress(
                TextColumn("{task.fields[part]}: {task.description}"),
                BarColumn(),
                DownloadColumn(),
            )
            self._bars.start()
        if part not in self._tasks:
            self._tasks[part] = self._bars.add_task(text, total=total or 0, part=part)
        self._bars.update(self._tasks[part], description=text, completed=done, total=total)


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


def size(count: int) -> str:
    """``1.24MB``: decimal units, three digits, as docker's go-units."""
    amount = float(count)
    for unit in _UNITS:
        if amount < 1000 or unit == _UNITS[-1]:
            return f"{amount:.3g}{unit}"
        amount /= 1000
    raise AssertionError("the last unit returns")


def age(stamp: str) -> str:
    """``3 hours ago``, of an RFC 3339 time."""
    try:
        return f"{common.age(max(now.wall() - now.parse_stamp(stamp), 0))} ago"
    except ValueError:
        return "N/A"


def summary(image: Image) -> dict[str, Any]:
    """An image as ``--output json`` lists it."""
    return {
        "Id": image.id,
        "Digest": image.digest,
        "RepoTags": [familiar(name) for name in image.names],
        "RepoDigests": [familiar(name) for name in image.digests],
        "Created": image.config.created,
        "Size": image.size,
        "Layers": len(image.layers),
    }


def familiar(name: str) -> str:
    """``busybox:latest`` for ``docker.io/library/busybox:latest``."""
    from dockyard.base.oci.reference import parse_reference

    return parse_reference(name).familiar
