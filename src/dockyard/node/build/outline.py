"""Turns a plan into what a person may choose: its targets, and the arguments, secrets and agents of
one of them. Pure.

As BuildKit's frontend has it: the comment above a FROM or ARG describes it where it begins with its
name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.errors import DockyardError
from dockyard.node.build import mountflags
from dockyard.node.build import plan as plans
from dockyard.node.build.expand import expand
from dockyard.node.build.instructions.arg import Arg
from dockyard.node.build.instructions.run import Run
from dockyard.node.build.mountflags import parse_mount

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dockyard.base.oci.platform import Platform
    from dockyard.node.build.plan import Plan, StagePlan
    from dockyard.node.build.source import Line


class Target(NamedTuple):
    """One stage."""

    name: str
    """As it was written; empty without one."""
    description: str
    default: bool
    base: str
    platform: str
    line: Line


class Argument(NamedTuple):
    """One build argument, and the value that it would have."""

    name: str
    description: str
    value: str
    line: Line


class Need(NamedTuple):
    """A secret or an agent that a RUN mounts."""

    name: str
    required: bool
    line: Line


class Outline(NamedTuple):
    """What one target takes, in the order of the file."""

    name: str
    description: str
    arguments: tuple[Argument, ...]
    secrets: tuple[Need, ...]
    agents: tuple[Need, ...]


def targets(plan: Plan) -> tuple[Target, ...]:
    last = len(plan.stages) - 1
    return tuple(
        Target(
            stage.start.name,
            described(stage.start.line, stage.name),
            stage.number == last,
            stage.start.image,
            stage.start.platform or "",
            stage.start.line,
        )
        for stage in plan.stages
    )


def outline(plan: Plan, target: StagePlan, given: Mapping[str, str], platform: Platform) -> Outline:
    automatic = plans.predefined(platform, target.name)
    outer = plans.outer_args(plan, given, automatic)
    stages = plans.needed(plan, target, outer)
    arguments: dict[str, Argument] = {}
    used = {
        name for stage in stages for word in (stage.start.image, stage.start.platform or "")
        for name in mentioned(word, stage.start.line)
    }  # fmt: skip
    for arg in reversed(plan.globals):  # what a used one is made of is used
        for name, default in reversed(arg.pairs):
            if name in used:
                used.update(mentioned(default or "", arg.line))
                arguments[name] = _argument(arg, name, outer.get(name, ""))
    secrets: dict[str, Need] = {}
    agents: dict[str, Need] = {}
    for stage in stages:
        variables: dict[str, str] = {}
        for step in stage.steps:
            if isinstance(step, Arg):
                for name, default in step.pairs:
                    value = outer.get(name, "")
                    if default is not None:
                        value = _quiet(default, variables, step.line)
                    variables[name] = given.get(name, value)
                    if name not in automatic:
                        arguments.setdefault(name, _argument(step, name, variables[name]))
            elif isinstance(step, Run):
                _mounts(step, secrets, agents)
    return Outline(
        target.start.name,
        described(target.start.line, target.name),
        tuple(sorted(arguments.values(), key=lambda each: each.line.number)),
        tuple(sorted(secrets.values(), key=lambda each: each.line.number)),
        tuple(sorted(agents.values(), key=lambda each: each.line.number)),
    )


def described(line: Line, name: str) -> str:
    """What the comment above says behind the name."""
    for text in line.comment if name else ():
        if text.startswith(f"{name} "):
            return text[len(name) + 1 :]
    return ""


class _Asked(dict[str, str]):
    """Variables that are all unset, and remember who was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, key: str, default: object = None) -> str:
        self.names.add(key)
        return ""

    def __contains__(self, key: object) -> bool:
        self.names.add(str(key))
        return False


def mentioned(word: str, line: Line) -> set[str]:
    """The variables in a word."""
    asked = _Asked()
    _quiet(word, asked, line)
    return asked.names


def _quiet(word: str, variables: Mapping[str, str], line: Line) -> str:
    """The value; a word that asks in vain (``${x:?}``) has none."""
    try:
        return expand(word, variables, line)
    except DockyardError:
        return ""


def _argument(step: Arg, name: str, value: str) -> Argument:
    return Argument(name, described(step.line, name), value, step.line)


def _mounts(step: Run, secrets: dict[str, Need], agents: dict[str, Need]) -> None:
    for text in step.mounts:
        mount = parse_mount(text, step.line)
        if mount.kind == mountflags.SECRET:
            secrets.setdefault(mount.id, Need(mount.id, mount.required, step.line))
        elif mount.kind == mountflags.SSH:
            agents.setdefault(mount.id, Need(mount.id, mount.required, step.line))
