"""Turns a Dockerfile into docker's warnings about it, in the order of its lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockyard.base.errors import Invalid
from dockyard.node.build.checks import lines, variables
from dockyard.node.build.checks.warning import Warning, parse_wanted

if TYPE_CHECKING:
    from dockyard.node.build.checks.variables import Known
    from dockyard.node.build.plan import Plan

_DIRECTIVE_ARG = "BUILDKIT_DOCKERFILE_CHECK"


class Violated(Invalid):
    """Warnings where the directive ``check`` has ``error=true``."""


def check(plan: Plan, known: Known) -> list[Warning]:
    """The warnings that are wanted. Pure, apart from ``known.base``."""
    wanted = parse_wanted(known.given.get(_DIRECTIVE_ARG, plan.dockerfile.check))
    found = [*lines.of_file(plan), *lines.of_names(plan)]
    for step in plan.globals:
        found += lines.of_line(step.line, False)
    for stage in plan.stages:
        found += lines.of_stage(stage)
    found += variables.of_plan(plan, known)
    kept = [each for each in found if wanted.keeps(each)]
    return sorted(dict.fromkeys(kept), key=lambda each: (each.first, each.rule))


def refuse(plan: Plan, known: Known, found: list[Warning]) -> None:
    """Raise :class:`Violated` where warnings are errors."""
    if found and parse_wanted(known.given.get(_DIRECTIVE_ARG, plan.dockerfile.check)).error:
        rules = ", ".join(sorted({each.rule for each in found}))
        raise Violated(f"build: lint violation found for rules: {rules}")
