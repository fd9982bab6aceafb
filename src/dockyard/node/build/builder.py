"""Turns a Dockerfile and its context into an image."""

import os
from typing import NamedTuple

from dockyard.base.aio import now
from dockyard.base.errors import DockyardError, Invalid, NotFound
from dockyard.base.oci.imageconfig import ImageConfig
from dockyard.base.oci.platform import host_platform
from dockyard.node.build.context import Context
from dockyard.node.build.instructions.table import parse_step
from dockyard.node.build.parse import LARGEST, parse_dockerfile
from dockyard.node.build.stage import PROXIES, Options, Report, Runner, Stage, Step, Tools
from dockyard.node.image.image import Image
from dockyard.node.image.progress import Progress
from dockyard.node.image.store import ImageStore


class Request(NamedTuple):
    """What to build. ``dockerfile`` is a path; None: ``Dockerfile`` in the context."""

    context: str
    dockerfile: str | None
    names: tuple[str, ...]
    options: Options


def build(
    store: ImageStore,
    runner: Runner,
    request: Request,
    report: Report,
    progress: Progress,
) -> Image:
    """The image, under all names asked for.

    A Dockerfile is checked as a whole before its first step runs. Errors show file, line and its
    neighbours.
    """
    path = request.dockerfile or os.path.join(request.context, "Dockerfile")
    shown = os.path.relpath(path, request.context) if request.dockerfile is None else path
    steps = plan(read_dockerfile(path), shown)
    inside = os.path.relpath(os.path.realpath(path), os.path.realpath(request.context))
    with Context(request.context, inside) as context, store.adding():
        created = now.stamp(_epoch())
        tools = Tools(store, context, runner, request.options, report, progress, created)
        stage = Stage(tools, ImageConfig(host_platform()))
        for number, step in enumerate(steps, 1):
            report.step(number, len(steps), step.line.text)
            _apply(step, stage)
        _warn_unused(stage)
        return _finish(stage, request.names)


def read_dockerfile(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        raise NotFound(f"build: {path}: {error.strerror}; name the Dockerfile with -f") from error


def plan(data: bytes, name: str) -> list[Step]:
    """The steps of a Dockerfile, in order, checked. Pure."""
    lines = parse_dockerfile(data, name)
    steps = [parse_step(line) for line in lines]
    froms = [line for line in lines if line.keyword == "FROM"]
    for line in lines:
        if line.keyword == "FROM":
            break
        if line.keyword != "ARG":
            raise line.invalid("stands before FROM; only ARG may")
    else:
        raise lines[-1].invalid("no FROM in the file; it names the base image")
    if len(froms) > 1:
        raise froms[1].unsupported("more than one stage")
    return steps


def _apply(step: Step, stage: Stage) -> None:
    """An error that does not show the line yet gets it."""
    try:
        step.apply(stage)
    except DockyardError as error:
        line = step.line
        if f"{line.source.name}:{line.number}:" in str(error):
            raise
        shown = line.source.show(line.number, line.last, f"{line.keyword}: {error}")
        error.args = (shown, *error.args[1:])
        raise


def _warn_unused(stage: Stage) -> None:
    unused = sorted(set(stage.tools.options.build_args) - stage.used - PROXIES)
    if unused:
        stage.tools.report.note(f"warning: build arguments that no ARG declares: {unused}")


def _finish(stage: Stage, names: tuple[str, ...]) -> Image:
    """One that is here already and differs only in its times is taken: the same build is the same
    image."""
    store = stage.tools.store
    config = stage.config._replace(
        created=stage.tools.created, diff_ids=tuple(layer.diff_id for layer in stage.layers)
    )
    same = None
    if not stage.tools.options.no_cache:
        same = next((image for image in store.list() if _timeless(image.config) == _timeless(config)
                     and image.layers == stage.layers), None)  # fmt: skip
    image = same or store.create(config, stage.layers)
    for name in names:
        image = store.tag(image.id, name)
    return image


def _timeless(config: ImageConfig) -> ImageConfig:
    history = tuple(step._replace(created="") for step in config.history)
    return config._replace(created="", history=history)


def _epoch() -> float:
    """Now, or what ``SOURCE_DATE_EPOCH`` says (reproducible-builds.org)."""
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if text is None:
        return now.wall()
    if not text.isascii() or not text.isdecimal() or len(text) > 12:
        raise Invalid(f"SOURCE_DATE_EPOCH: {text[:40]!r}: seconds since 1970 are expected")
    return float(text)
