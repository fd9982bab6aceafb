"""Turns a Dockerfile into stages and what each of them needs. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.errors import NotFound
from dockyard.base.oci.platform import host_platform, parse_platform
from dockyard.node.build.expand import expand
from dockyard.node.build.instructions.arg import Arg
from dockyard.node.build.instructions.from_ import From
from dockyard.node.build.instructions.table import parse_step
from dockyard.node.build.parse import Dockerfile, parse_dockerfile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dockyard.base.oci.platform import Platform
    from dockyard.node.build.stage import Step

MOST_STAGES = 500
STAGE_NAME = re.compile(r"[a-z][a-z0-9_.-]*")


class StagePlan(NamedTuple):
    """One stage. ``steps`` begin with its FROM."""

    number: int
    name: str
    """In lower case; empty without one."""
    start: From
    steps: tuple[Step, ...]

    @property
    def shown(self) -> str:
        return self.name or f"stage-{self.number}"


class Plan(NamedTuple):
    """A whole file, checked."""

    dockerfile: Dockerfile
    globals: tuple[Arg, ...]
    stages: tuple[StagePlan, ...]

    def stage(self, word: str, before: int | None = None) -> StagePlan | None:
        """By name or number, among those that stand before another; the last of a name."""
        seen = self.stages[:before]
        for stage in reversed(seen):
            if stage.name and stage.name == word.lower():
                return stage
        if word.isascii() and word.isdecimal() and len(word) < 6 and int(word) < len(seen):
            return seen[int(word)]
        return None

    def target(self, word: str) -> StagePlan:
        """What ``--target`` names; the last stage where it names none."""
        if not word:
            return self.stages[-1]
        found = self.stage(word)
        if found is None:
            names = ", ".join(stage.shown for stage in self.stages)
            raise NotFound(f"build: target stage {word!r} could not be found; there are {names}")
        return found


def make_plan(data: bytes, name: str, *, any_syntax: bool = False) -> Plan:
    """Raises :class:`DockerfileInvalid` or :class:`DockerfileUnsupported` with the line."""
    dockerfile = parse_dockerfile(data, name, any_syntax=any_syntax)
    before: list[Arg] = []
    stages: list[StagePlan] = []
    for line in dockerfile.lines:
        step = parse_step(line)
        if isinstance(step, From):
            if len(stages) == MOST_STAGES:
                raise line.invalid(f"more than {MOST_STAGES} stages")
            if step.name and not STAGE_NAME.fullmatch(step.name.lower()):
                reason = "name can't start with a number or contain symbols"
                raise line.invalid(f"invalid name for build stage: {step.name!r}, {reason}")
            stages.append(StagePlan(len(stages), step.name.lower(), step, (step,)))
        elif stages:
            stages[-1] = stages[-1]._replace(steps=(*stages[-1].steps, step))
        elif isinstance(step, Arg):
            before.append(step)
        else:
            raise line.invalid("no build stage in current context; only ARG may stand before FROM")
    if not stages:
        raise dockerfile.lines[-1].invalid("no FROM in the file; it names the base image")
    return Plan(dockerfile, tuple(before), tuple(stages))


def predefined(target: Platform, stage: str) -> dict[str, str]:
    """ARGs that need no value (reference, "Automatic platform ARGs in the global scope")."""
    found: dict[str, str] = {"TARGETSTAGE": stage or "default"}
    for prefix, platform in (("BUILD", host_platform()), ("TARGET", target)):
        found |= {
            f"{prefix}PLATFORM": str(platform),
            f"{prefix}OS": platform.os,
            f"{prefix}ARCH": platform.architecture,
            f"{prefix}VARIANT": platform.variant,
        }
    return found


def outer_args(
    plan: Plan, given: Mapping[str, str], automatic: Mapping[str, str]
) -> dict[str, str]:
    """The ARGs that stand before the first FROM, with their values."""
    found = dict(automatic)
    found |= {name: given[name] for name in automatic if name in given}
    for step in plan.globals:
        for name, default in step.pairs:
            value = given.get(name)
            if value is None and default is not None:
                value = expand(default, found, step.line)
            if value is not None:
                found[name] = value
    return found


def platform_of(stage: StagePlan, outer: Mapping[str, str], default: Platform) -> Platform:
    """What a stage is built for."""
    word = stage.start.platform
    if word is None:
        return default
    text = expand(word, outer, stage.start.line)
    if not text:
        raise stage.start.line.invalid(f"--platform={word}: is empty; os/architecture is expected")
    return parse_platform(text)


def needed(
    plan: Plan,
    target: StagePlan,
    outer: Mapping[str, str],
    replaced: Callable[[str], bool] = lambda name: False,
) -> list[StagePlan]:
    """The stages that a target needs, itself last. Those that nothing needs are left out.

    ``replaced``: whether a named context stands for a stage: then that needs nothing.
    """
    found: dict[int, StagePlan] = {}

    def visit(stage: StagePlan) -> None:
        if stage.number in found:
            return
        for word in () if stage.name and replaced(stage.name) else _wanted(stage, outer):
            other = plan.stage(word, stage.number)
            if other is not None:
                visit(other)
        found[stage.number] = stage

    visit(target)
    return [found[number] for number in sorted(found)]


def _wanted(stage: StagePlan, outer: Mapping[str, str]) -> list[str]:
    """The words that may name another stage."""
    words = [expand(stage.start.image, outer, stage.start.line)]
    for step in stage.steps:
        words += getattr(step, "wants", ())
    return words
