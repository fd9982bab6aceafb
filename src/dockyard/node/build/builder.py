"""Turns a Dockerfile and its context into an image, or into files."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.aio import now
from dockyard.base.errors import Invalid, NotFound, Unsupported
from dockyard.base.oci.platform import Platform, host_platform
from dockyard.node.build import plan as plans
from dockyard.node.build.facts import Facts
from dockyard.node.build.graph import Graph, unused_arguments
from dockyard.node.build.ownargs import EPOCH
from dockyard.node.build.parse import LARGEST
from dockyard.node.build.stage import Origin, Tools

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dockyard.base.oci.imageconfig import ImageConfig
    from dockyard.node.build.plan import Plan
    from dockyard.node.build.stage import Imported, Options, Report, Runner, Stage
    from dockyard.node.image.image import Image, Layer
    from dockyard.node.image.progress import Progress
    from dockyard.node.image.store import ImageStore


class Request(NamedTuple):
    """What to build."""

    dockerfile: bytes
    shown: str
    """The Dockerfile's name in messages."""
    options: Options
    target: str = ""
    platforms: tuple[Platform, ...] = ()
    names: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    keeps_keys: bool = False
    """Whether the image itself says which step made which layer: a cache in it."""


class Result(NamedTuple):
    """What was built, one a platform."""

    images: tuple[Image, ...]
    layers: tuple[tuple[Layer, ...], ...]
    keys: Mapping[str, Layer]
    """Every step's key and layer, for an exported cache."""
    facts: Facts
    epoch: int | None
    stages: tuple[Stage, ...]
    """All that were built."""

    @property
    def image(self) -> Image:
        return self.images[0]


def build(
    store: ImageStore,
    runner: Runner,
    request: Request,
    contexts: Callable[[str], Origin | str | None],
    report: Report,
    progress: Progress,
    imported: tuple[Imported, ...] = (),
) -> Result:
    """The images, the first of them under all names asked for.

    A Dockerfile is checked as a whole before its first step runs. Errors show file, line and its
    neighbours.
    """
    wishes = request.options.wishes
    plan = plans.make_plan(request.dockerfile, request.shown, any_syntax=wishes.any_syntax)
    for note in wishes.notes:
        report.note(note)
    target = plan.target(request.target)
    epoch = source_date(request.options.build_args, plan)
    created = now.stamp(now.wall() if epoch is None else float(epoch))
    keys: dict[str, Layer] = {}
    facts = Facts()
    images: list[Image] = []
    layers: list[tuple[Layer, ...]] = []
    stages: list[Stage] = []
    for platform in request.platforms or (host_platform(),):
        tools = Tools(
            store, _Nowhere(), runner, request.options, report, progress, created, epoch,
            imported, keys, facts,
        )  # fmt: skip
        with Graph(plan, platform, target, contexts, tools) as graph:
            stage = graph.build()
            stages += graph.stages
        labels = tuple(sorted((dict(stage.config.labels) | dict(request.labels)).items()))
        stage.config = stage.config._replace(labels=labels)
        if request.keeps_keys or wishes.inline_cache:
            places = {layer.chain_id: place for place, layer in enumerate(stage.layers)}
            found = [(key, places[layer.chain_id]) for key, layer in sorted(keys.items())
                     if layer.chain_id in places]  # fmt: skip
            stage.config = stage.config._replace(step_keys=tuple(found))
        images.append(_finish(store, stage, created, same_is_fine=not request.options.no_cache))
        layers.append(stage.layers)
    unused = unused_arguments(stages, plan, request.options.build_args)
    if unused:
        report.note(f"[Warning] One or more build-args {unused} were not consumed")
    for name in request.names:
        images[0] = store.tag(images[0].id, name)
    return Result(tuple(images), tuple(layers), keys, facts, epoch, tuple(stages))


def read_dockerfile(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        raise NotFound(f"build: {path}: {error.strerror}; name the Dockerfile with -f") from error


def _finish(store: ImageStore, stage: Stage, created: str, *, same_is_fine: bool) -> Image:
    """One that is here already and differs only in its times is taken: the same build is the same
    image. Not where the build's time is given."""
    diff_ids = tuple(layer.diff_id for layer in stage.layers)
    config = stage.config._replace(created=created, diff_ids=diff_ids)
    same = None
    if same_is_fine and stage.tools.epoch is None:
        same = next((image for image in store.list() if _timeless(image.config) == _timeless(config)
                     and image.layers == stage.layers), None)  # fmt: skip
    return same or store.create(config, stage.layers)


def _timeless(config: ImageConfig) -> ImageConfig:
    history = tuple(step._replace(created="") for step in config.history)
    return config._replace(created="", history=history)


def source_date(build_args: Mapping[str, str], plan: Plan) -> int | None:
    """What ``SOURCE_DATE_EPOCH`` says (reproducible-builds.org): the build argument, else the
    default of an ARG before the first FROM."""
    text = build_args.get(EPOCH)
    if text is None:
        text = plans.outer_args(plan, {}, {}).get(EPOCH)
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 11:
        raise Invalid(f"SOURCE_DATE_EPOCH: {text[:40]!r}: seconds since 1970 are expected")
    return int(text)


class _Nowhere:
    """Stands where the graph puts itself."""

    def context(self) -> Origin:
        raise Unsupported("build: no context")

    def named(self, word: str, stage: Stage, line: object) -> Origin:
        raise Unsupported(f"build: {word}: no context")

    def base(self, word: str, stage: Stage, line: object) -> Stage:
        raise Unsupported(f"build: {word}: no context")
