"""Turns steps into an image's configuration and layers, one after the other.

What a step may use is handed to it here: the stage it changes, and the tools of the whole build.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from dockyard.base.oci.imageconfig import History, ImageConfig
from dockyard.node.build.expand import expand
from dockyard.node.build.facts import Facts
from dockyard.node.build.limits import Limits
from dockyard.node.build.ownargs import HOSTNAME, Wishes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dockyard.base.oci.digest import Digest
    from dockyard.base.oci.platform import Platform
    from dockyard.node.build.files import Files
    from dockyard.node.build.source import Line
    from dockyard.node.image.image import Image, Layer
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
INSECURE, HOST_NETWORK = "security.insecure", "network.host"
GATEWAY = "host-gateway"
"""Stands for this machine's address among hosts."""
ENTITLEMENTS = (HOST_NETWORK, INSECURE)


class Secret(NamedTuple):
    """What ``--secret`` gives. Its value is never shown."""

    value: bytes

    def __repr__(self) -> str:
        return "Secret(...)"


class Options(NamedTuple):
    """What the caller of a build chose."""

    build_args: Mapping[str, str]
    no_cache: bool = False
    pull: bool = False
    network: str = "default"
    """``default``, ``none`` or ``host``, for RUN."""
    allow: frozenset[str] = frozenset()
    """Of :data:`ENTITLEMENTS`: what instructions may ask for."""
    secrets: Mapping[str, Secret] = {}
    ssh: Mapping[str, str] = {}
    """Identifier -> an agent's socket."""
    hosts: tuple[tuple[str, str], ...] = ()
    """Name and address, for the steps' /etc/hosts."""
    uncached: frozenset[str] = frozenset()
    """Stages whose steps are not taken from the cache."""
    shm_bytes: int = 64 << 20
    cache_folder: str = ""
    """Where RUN's cache mounts are kept."""
    limits: Limits = Limits()
    wishes: Wishes = Wishes()


class Vertex(Protocol):
    """Told how one step goes."""

    def cached(self) -> None: ...

    def output(self, data: bytes) -> None:
        """What a program prints."""

    def done(self) -> None: ...

    def failed(self, reason: str) -> None: ...


class Report(Protocol):
    """Told what a build does, from several threads."""

    def step(self, name: str) -> Vertex: ...

    def note(self, text: str) -> None: ...


class Runner(Protocol):
    """Executes RUN's program."""

    def run(self, request: RunRequest, vertex: Vertex) -> int:
        """Its exit code; ``request.upper`` has what it changed."""

    def cancel(self) -> None:
        """End all that runs, and start nothing more."""


class Bind(NamedTuple):
    """Something of the host in a container: an OCI mount."""

    target: str
    kind: str
    source: str
    options: tuple[str, ...]


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
    insecure: bool = False
    binds: tuple[Bind, ...] = ()
    hosts: tuple[tuple[str, str], ...] = ()
    shm_bytes: int = 64 << 20
    driver: str = "overlay2"
    """How the root is made (:class:`~dockyard.interfaces.ociruntime.Overlay`)."""
    hostname: str = HOSTNAME
    limits: Limits = Limits()


class Origin(NamedTuple):
    """Where ``--from`` leads."""

    files: Files
    identity: str
    """The same for the same content; empty where nobody knows before it was read."""
    lowers: tuple[str, ...]
    """Directories that make it up, topmost first."""


class Origins(Protocol):
    """Finds what instructions name: contexts, stages, images."""

    def context(self) -> Origin:
        """What COPY sees without ``--from``."""

    def named(self, word: str, stage: Stage, line: Line) -> Origin:
        """A named context, a stage by name or number, or an image."""

    def base(self, word: str, stage: Stage, line: Line) -> Stage | Image:
        """As :meth:`named`, for FROM."""


class Imported(Protocol):
    """The cache that ``--cache-from`` names."""

    def fetch(self, key: str, below: tuple[Layer, ...]) -> Layer | None:
        """The layer of a key, brought into the store; None where it is not there."""


class Tools(NamedTuple):
    """What all steps share."""

    store: ImageStore
    origins: Origins
    runner: Runner
    options: Options
    report: Report
    progress: Progress
    created: str
    """The time of everything this build makes, RFC 3339."""
    epoch: int | None
    """``SOURCE_DATE_EPOCH``: no file is younger."""
    imported: tuple[Imported, ...] = ()
    used_keys: dict[str, Layer] = {}
    """The keys of all results, for ``--cache-to``."""
    facts: Facts = Facts()


class Step(Protocol):
    """One instruction, parsed. Its module has ``parse(line) -> Step``."""

    @property
    def line(self) -> Line: ...

    def apply(self, stage: Stage) -> None: ...


class Stage:
    """What the instructions so far have made."""

    def __init__(
        self, tools: Tools, platform: Platform, outer: Mapping[str, str], *, number: int, name: str
    ) -> None:
        self.tools = tools
        self.config = ImageConfig(platform)
        self.number = number
        self.name = name
        self.layers: tuple[Layer, ...] = ()
        self.args: dict[str, str] = {}
        self.outer = outer
        """ARGs from before FROM and predefined ones: seen by an ARG that asks for them."""
        self.has_cmd = False
        self.used: set[str] = set()
        """Build arguments that some ARG declared."""
        self.triggers: tuple[str, ...] = ()
        """The base's ONBUILD instructions, to run first."""
        self.vertex: Vertex | None = None

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

    @property
    def variables(self) -> dict[str, str]:
        """What is seen here: the environment goes before ARGs of the same name."""
        return self.args | self.env

    def expand(self, word: str, line: Line) -> str:
        return expand(word, self.variables, line)

    def record(self, created_by: str, layer: Layer | None = None) -> None:
        """One more step of the image's history; ``layer`` where it changed files."""
        step = History(self.tools.created, created_by, layer is None)
        self.config = self.config._replace(history=(*self.config.history, step))
        if layer is not None:
            self.layers = (*self.layers, layer)

    def key(self, kind: str, **inputs: Any) -> str:
        """What the result of a step that changes files depends on, all of it (E05)."""
        parts = {
            "kind": kind,
            "format": 2,
            "parent": self.chain,
            "platform": str(self.config.platform),
            "epoch": self.tools.epoch,
            **inputs,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def recall(self, key: str) -> Layer | None:
        """The layer that the same step made before, here or where ``--cache-from`` says."""
        options = self.tools.options
        if options.no_cache or self.name.lower() in options.uncached:
            return None
        found = self.tools.store.recall(key)
        for cache in self.tools.imported:
            if found is None:
                found = cache.fetch(key, self.layers)
        if found is not None:
            self.tools.used_keys[key] = found
        return found

    def remember(self, key: str, layer: Layer) -> None:
        self.tools.store.remember(key, layer)
        self.tools.used_keys[key] = layer

    def was_cached(self) -> None:
        if self.vertex is not None:
            self.vertex.cached()
