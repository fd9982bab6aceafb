"""Turns steps into an image's configuration and layers, one after the other.

What a step may use is handed to it here: the stage it changes, and the tools of the whole build.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from dockyard.base.oci.imageconfig import History, ImageConfig
from dockyard.node.build.expand import expand

if TYPE_CHECKING:
    from dockyard.base.oci.digest import Digest
    from dockyard.node.build.context import Context
    from dockyard.node.build.source import Line
    from dockyard.node.image.image import Layer
    from dockyard.node.image.progress import Progress
    from dockyard.node.image.store import ImageStore

DEFAULT_SHELL = ("/bin/sh", "-c")
PROXIES = frozenset(
    name
    for word in ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
    for name in (word, word.upper())
)
"""Build arguments that need no ARG, and are no part of the cache's key (reference, "Predefined
ARGs")."""


class Options(NamedTuple):
    """What the caller of a build chose."""

    build_args: dict[str, str]
    no_cache: bool = False
    pull: bool = False
    network: str = "none"
    """``none`` or ``host``, for RUN."""


class Report(Protocol):
    """Told what a build does."""

    def step(self, number: int, total: int, text: str) -> None: ...

    def cached(self) -> None: ...

    def output(self, data: bytes) -> None:
        """What a RUN prints."""

    def note(self, text: str) -> None: ...


class Runner(Protocol):
    """Executes RUN's program."""

    def run(self, request: RunRequest) -> int:
        """Its exit code; ``request.upper`` has what it changed."""


class RunRequest(NamedTuple):
    """A program to run on layers."""

    args: tuple[str, ...]
    env: tuple[str, ...]
    user: str
    cwd: str
    lower: tuple[str, ...]
    upper: str
    workspace: str
    network: str


class Tools(NamedTuple):
    """What all steps share."""

    store: ImageStore
    context: Context
    runner: Runner
    options: Options
    report: Report
    progress: Progress
    created: str
    """The time of everything this build makes, RFC 3339."""


class Step(Protocol):
    """One instruction, parsed. Its module has ``parse(line) -> Step``."""

    @property
    def line(self) -> Line: ...

    def apply(self, stage: Stage) -> None: ...


class Stage:
    """What the instructions so far have made."""

    def __init__(self, tools: Tools, config: ImageConfig) -> None:
        self.tools = tools
        self.config = config
        self.layers: tuple[Layer, ...] = ()
        self.args: dict[str, str] = {}
        self.outer: dict[str, str] = {}
        """ARGs from before FROM: seen by FROM, and by an ARG that asks for them."""
        self.begun = False
        self.has_cmd = False
        self.used: set[str] = set()
        """Build arguments that some ARG declared."""

    @property
    def chain(self) -> Digest | None:
        return self.layers[-1].chain_id if self.layers else None

    @property
    def shell(self) -> tuple[str, ...]:
        return self.config.shell or DEFAULT_SHELL

    @property
    def env(self) -> dict[str, str]:
        pairs = (item.partition("=") for item in self.config.env)
        return {name: value for name, _, value in pairs}

    def expand(self, word: str, line: Line) -> str:
        """With the variables seen here: the environment goes before ARGs of the same name."""
        return expand(word, self.args | self.env, line)

    def record(self, created_by: str, layer: Layer | None = None) -> None:
        """One more step of the image's history; ``layer`` where it changed files."""
        step = History(self.tools.created, created_by, layer is None)
        self.config = self.config._replace(history=(*self.config.history, step))
        if layer is not None:
            self.layers = (*self.layers, layer)

    def key(self, kind: str, **inputs: Any) -> str:
        """What the result of a step that changes files depends on, all of it (E05)."""
        parts = {"kind": kind, "format": 1, "parent": self.chain, **inputs}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def recall(self, key: str) -> Layer | None:
        """The layer that the same step made before."""
        if self.tools.options.no_cache:
            return None
        found = self.tools.store.recall(key)
        if found is not None:
            self.tools.report.cached()
        return found
