"""Turns a plan and what is known of its bases into warnings about variables and names."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.errors import DockyardError, Invalid
from dockyard.base.oci.reference import parse_reference
from dockyard.node.build import plan as plans
from dockyard.node.build.checks import lines
from dockyard.node.build.checks.lines import warn
from dockyard.node.build.checks.warning import Warning
from dockyard.node.build.expand import expand
from dockyard.node.build.instructions.add import Add, is_remote
from dockyard.node.build.instructions.arg import Arg
from dockyard.node.build.instructions.copy import Copy
from dockyard.node.build.instructions.env import Env
from dockyard.node.build.instructions.from_ import SCRATCH
from dockyard.node.build.instructions.run import Run
from dockyard.node.build.nearest import nearest
from dockyard.node.build.stage import PROXIES
from dockyard.node.build.words import json_list, split

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from dockyard.base.oci.imageconfig import ImageConfig
    from dockyard.base.oci.platform import Platform
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
        return super().get(key, "") if key in self else ""

    def __contains__(self, key: object) -> bool:
        found = super().__contains__(key)
        if not found:
            self.missed.append(str(key))
        return found


class _State(NamedTuple):
    """Where a stage has come to."""

    variables: dict[str, str]
    workdir: bool = False
    """Whether the file has set one: what the base says may change."""
    has_shell: bool = False
    unknown: bool = False
    """Whether the base is not here: then its variables are not known."""


def of_plan(plan: Plan, known: Known, built: Collection[int]) -> Iterator[Warning]:
    """``built``: the numbers of the stages whose steps are looked at."""
    automatic = plans.predefined(known.platform, "")
    outer = plans.outer_args(plan, known.given, automatic)
    defaults = plans.outer_args(plan, {}, automatic)
    ends: dict[int, _State] = {}
    for stage in plan.stages:
        yield from _of_from(plan, stage, outer, defaults)
        if stage.number not in built:
            continue
        state = _begin(plan, stage, outer, ends, known)
        yield from _platform(plan, stage, outer, known)
        for step in stage.steps[1:]:
            found, state = _of_step(step, state, outer, known)
            yield from found
        ends[stage.number] = state


def _of_from(
    plan: Plan, stage: StagePlan, outer: Mapping[str, str], defaults: Mapping[str, str]
) -> Iterator[Warning]:
    start = stage.start
    declared = {name: "" for step in plan.globals for name, _ in step.pairs}
    for word in (start.image, start.platform or ""):
        seen = Recording(declared | {**outer})
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
            line = start.line
            yield Warning("InvalidDefaultArgInFrom", f"{detail} name", line.number, line.last)


def _begin(
    plan: Plan,
    stage: StagePlan,
    outer: Mapping[str, str],
    ends: Mapping[int, _State],
    known: Known,
) -> _State:
    word = expand(stage.start.image, outer, stage.start.line)
    other = plan.stage(word, stage.number)
    if other is not None and other.number in ends:
        return ends[other.number]
    if word == SCRATCH:
        return _State({"PATH": ""})
    config = known.base(word)
    if config is None:
        return _State({"PATH": ""}, unknown=True)
    pairs = (item.partition("=") for item in config.env)
    return _State({name: value for name, _, value in pairs}, has_shell=bool(config.shell))


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
        detail += f'"{wanted}" for current build'
        yield Warning("InvalidBaseImagePlatform", detail, line.number, line.last)


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
    if isinstance(step, Arg):
        for name, default in step.pairs:
            value = outer.get(name) if default is None else expand(default, variables, line)
            variables.setdefault(name, known.given.get(name, value or ""))
    elif isinstance(step, Env):
        for name, text in step.pairs:
            variables[name] = expand(text, state.variables, line)
    elif line.keyword == "WORKDIR":
        path = expand(line.rest, state.variables, line)
        if not state.workdir and not path.startswith("/"):
            detail = f'Relative workdir "{path}" can have unexpected results if the base image '
            found.append(warn("WorkdirRelativePath", f"{detail}changes", line))
        state = state._replace(workdir=True)
    elif line.keyword == "SHELL":
        state = state._replace(has_shell=True)
    elif line.keyword in ("CMD", "ENTRYPOINT") and not state.has_shell:
        found += lines.of_shell_form(line)
    elif line.keyword == "EXPOSE":
        for word in split(line):
            found += lines.of_port(expand(word, state.variables, line), line)
    elif isinstance(step, Copy | Add):
        found += _ignored(step, state.variables, line, known.ignore)
    return found, state._replace(variables=variables)


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
        return [*step.sources, step.target, step.manners.owner or "", step.manners.mode or ""]
    if isinstance(step, Run):
        return list(step.mounts)
    if line.keyword in _EXPANDED:
        listed = json_list(line)
        return list(listed) if listed is not None else split(line)
    return []


def _ignored(
    step: Copy | Add, seen: Mapping[str, str], line: Line, ignore: Ignore
) -> Iterator[Warning]:
    """Not where something is let in again: what a folder hides may then hold what is wanted."""
    if (isinstance(step, Copy) and step.origin) or ignore.takes_back:
        return
    for source in step.sources:
        word = expand(source, seen, line)
        if is_remote(word):
            continue
        path = posixpath.normpath(word).strip("/")
        state, hidden = ignore.start, False
        if path in ("", "."):
            hidden = ignore.hides_all
        else:
            parts = path.split("/")
            for number in range(1, len(parts) + 1):
                hidden, state = ignore.decide("/".join(parts[:number]), state)
        if hidden:
            shown = posixpath.normpath(word)
            detail = f'Attempting to {line.keyword.capitalize()} file "{shown}" that is excluded by'
            yield warn("CopyIgnoredFile", f"{detail} .dockerignore", line)


def _meant(name: str, known: Mapping[str, str], mark: str = "") -> str:
    near = nearest(name, known)
    return f" (did you mean {mark}{near}?)" if near else ""
