"""Turns a plan and what is known of its bases into warnings about variables and names."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.errors import DockyardError, Invalid
from dockyard.base.oci.reference import parse_reference
from dockyard.node.build import plan as plans
from dockyard.node.build.checks.lines import warn
from dockyard.node.build.expand import expand
from dockyard.node.build.instructions.add import Add, is_remote
from dockyard.node.build.instructions.arg import Arg
from dockyard.node.build.instructions.copy import Copy
from dockyard.node.build.instructions.env import Env
from dockyard.node.build.instructions.from_ import SCRATCH
from dockyard.node.build.stage import PROXIES
from dockyard.node.build.words import json_list, split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dockyard.base.oci.imageconfig import ImageConfig
    from dockyard.base.oci.platform import Platform
    from dockyard.node.build.checks.warning import Warning
    from dockyard.node.build.ignore import Ignore
    from dockyard.node.build.plan import Plan, StagePlan
    from dockyard.node.build.source import Line
    from dockyard.node.build.stage import Step

_EXPANDED = ("EXPOSE", "LABEL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR")


class Known(NamedTuple):
    """What surrounds a check."""

    given: Mapping[str, str]
    """Build arguments."""
    platform: Platform
    ignore: Ignore
    base: Callable[[str], ImageConfig | None]
    """An image that is here; None for one that is not."""


class Recording(dict[str, str]):
    """Variables that remember what was asked for in vain."""

    def __init__(self, *args: Mapping[str, str]) -> None:
        super().__init__(*args)
        self.missed: list[str] = []

    def get(self, key: str, default: object = None) -> str:
        if key not in self:
            self.missed.append(key)
            return ""
        return self[key]


class _State(NamedTuple):
    """Where a stage has come to: variables, and whether a WORKDIR was absolute."""

    variables: dict[str, str]
    workdir: bool
    unknown: bool
    """Whether the base is not here: then its variables are not known."""


def of_plan(plan: Plan, known: Known) -> Iterator[Warning]:
    automatic = plans.predefined(known.platform, "")
    outer = plans.outer_args(plan, known.given, automatic)
    defaults = plans.outer_args(plan, {}, automatic)
    ends: dict[int, _State] = {}
    for stage in plan.stages:
        yield from _of_from(stage, outer, defaults)
        state = _begin(plan, stage, outer, ends, known)
        if state is None:
            continue
        yield from _platform(plan, stage, outer, known)
        for step in stage.steps[1:]:
            found, state = _of_step(step, state, outer, known)
            yield from found
        ends[stage.number] = state


def _of_from(
    stage: StagePlan, outer: Mapping[str, str], defaults: Mapping[str, str]
) -> Iterator[Warning]:
    start = stage.start
    for word in (start.image, start.platform or ""):
        seen = Recording(outer)
        expand(word, seen, start.line)
        for name in dict.fromkeys(seen.missed):
            detail = f"FROM argument '{name}' is not declared{_meant(name, seen)}"
            yield warn("UndefinedArgInFrom", detail, start.line)
    if "$" in start.image:
        word = expand(start.image, defaults, start.line)
        try:
            parse_reference(word)
        except Invalid:
            detail = f"Default value for ARG {start.image} results in empty or invalid base image"
            yield warn("InvalidDefaultArgInFrom", f"{detail} name", start.line)


def _begin(
    plan: Plan,
    stage: StagePlan,
    outer: Mapping[str, str],
    ends: Mapping[int, _State],
    known: Known,
) -> _State | None:
    word = expand(stage.start.image, outer, stage.start.line)
    other = plan.stage(word, stage.number)
    if other is not None and other.number in ends:
        above = ends[other.number]
        return above
    if word == SCRATCH:
        return _State({}, False, False)
    config = known.base(word)
    if config is None:
        return _State({"PATH": ""}, False, True)
    pairs = (item.partition("=") for item in config.env)
    return _State({name: value for name, _, value in pairs}, bool(config.working_dir), False)


def _platform(
    plan: Plan, stage: StagePlan, outer: Mapping[str, str], known: Known
) -> Iterator[Warning]:
    line = stage.start.line
    word = expand(stage.start.image, outer, line)
    if word == SCRATCH or plan.stage(word, stage.number) is not None:
        return
    try:
        wanted = plans.platform_of(stage, outer, known.platform)
    except DockyardError:
        return
    config = known.base(word)
    if config is not None and not wanted.runs(config.platform):
        detail = f'Base image {word} was pulled with platform "{config.platform}", expected '
        yield warn("InvalidBaseImagePlatform", f'{detail}"{wanted}" for current build', line)


def _of_step(
    step: Step, state: _State, outer: Mapping[str, str], known: Known
) -> tuple[list[Warning], _State]:
    line = step.line
    found: list[Warning] = []
    seen = Recording(state.variables)
    for word in _words(step):
        expand(word, seen, line)
    for name in dict.fromkeys(seen.missed):
        if name not in PROXIES and not (state.unknown and _common(name)):
            detail = f"Usage of undefined variable '${name}'{_meant(name, seen, '$')}"
            found.append(warn("UndefinedVar", detail, line))
    variables = dict(state.variables)
    workdir = state.workdir
    if isinstance(step, Arg):
        for name, default in step.pairs:
            value = None if default is None else expand(default, seen, line)
            value = known.given.get(name, value if value is not None else outer.get(name))
            variables.setdefault(name, value or "")
    elif isinstance(step, Env):
        for name, text in step.pairs:
            variables[name] = expand(text, seen, line)
    elif line.keyword == "WORKDIR":
        path = expand(line.rest, seen, line)
        if path.startswith("/"):
            workdir = True
        elif not workdir:
            detail = f'Relative workdir "{path}" can have unexpected results if the base image '
            found.append(warn("WorkdirRelativePath", f"{detail}changes", line))
    elif isinstance(step, Copy | Add):
        found += _ignored(step, seen, line, known.ignore)
    return found, _State(variables, workdir, state.unknown)


def _common(name: str) -> bool:
    """What many images set, in one that is not here to be asked."""
    return name in ("HOME", "PATH", "HOSTNAME", "LANG", "JAVA_HOME", "GOPATH", "PYTHON_VERSION")


def _words(step: Step) -> list[str]:
    """The words of an instruction in which variables are replaced."""
    line = step.line
    if isinstance(step, Arg):
        return [default for _, default in step.pairs if default is not None]
    if isinstance(step, Env):
        return [value for _, value in step.pairs]
    if isinstance(step, Copy | Add):
        return [*step.sources, step.target, step.manners.owner or ""]
    if line.keyword in _EXPANDED:
        listed = json_list(line)
        return list(listed) if listed is not None else split(line)
    return []


def _ignored(
    step: Copy | Add, seen: Mapping[str, str], line: Line, ignore: Ignore
) -> Iterator[Warning]:
    if isinstance(step, Copy) and step.origin:
        return
    for source in step.sources:
        word = expand(source, dict(seen), line)
        path = word.removeprefix("./").strip("/")
        if not path or path == "." or is_remote(word):
            continue
        state, hidden = ignore.start, False
        parts = path.split("/")
        for number in range(1, len(parts) + 1):
            hidden, state = ignore.decide("/".join(parts[:number]), state)
        if hidden:
            detail = f'Attempting to {line.keyword.capitalize()} file "{word}" that is excluded by'
            yield warn("CopyIgnoredFile", f"{detail} .dockerignore", line)


def _meant(name: str, known: Mapping[str, str], mark: str = "") -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.8)
    return f" (did you mean {mark}{close[0]}?)" if close else ""
