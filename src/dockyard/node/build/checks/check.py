"""Turns a Dockerfile into docker's warnings about it, in the order of its lines."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from dockyard.base.errors import Invalid
from dockyard.node.build import plan as plans
from dockyard.node.build.checks import lines, variables
from dockyard.node.build.checks.warning import Wanted, Warning, parse_wanted
from dockyard.node.build.ownargs import CHECK

if TYPE_CHECKING:
    from dockyard.node.build.checks.variables import Known
    from dockyard.node.build.plan import Plan

_COMMENT = re.compile(r"check\s*=\s*(\S.*)", re.IGNORECASE)


class Violated(Invalid):
    """Warnings where the directive ``check`` has ``error=true``."""


def check(plan: Plan, known: Known, target: str = "", *, whole: bool = True) -> list[Warning]:
    """The warnings that are wanted. Pure, apart from ``known.base``.

    Without a ``target`` all stages are looked at; in a build (not ``whole``) those that it builds.
    """
    wanted = parse_wanted(known.given.get(CHECK, plan.dockerfile.check))
    if target or not whole:
        automatic = plans.predefined(known.platform, "")
        outer = plans.outer_args(plan, known.given, automatic)
        built = {stage.number for stage in plans.needed(plan, plan.target(target), outer)}
    else:
        built = {stage.number for stage in plan.stages}
    found = [*lines.of_file(plan), *lines.of_names(plan)]
    for step in plan.globals:
        found += lines.of_comment(step)
    for stage in plan.stages:
        found += lines.of_words(stage)
        if stage.number in built:
            found += lines.of_stage(stage)
    found += variables.of_plan(plan, known, built)
    own = _own(plan, wanted)
    kept = [each for each in found if own.get(each.said, wanted).keeps(each)]
    return sorted(dict.fromkeys(kept), key=lambda each: (each.first, each.rule))


def _own(plan: Plan, wanted: Wanted) -> dict[int, Wanted]:
    """What single instructions say in a comment above: ``# check=skip=RULE``."""
    found = {}
    for line in plan.dockerfile.lines:
        for comment in line.comment:
            match = _COMMENT.fullmatch(comment)
            if match is not None:
                with contextlib.suppress(Invalid):  # as docker: a comment like others
                    found[line.number] = wanted.merged(parse_wanted(match[1].split()[0]))
                break
    return found


def refuse(plan: Plan, known: Known, found: list[Warning]) -> None:
    """Raise :class:`Violated` where warnings are errors."""
    if found and parse_wanted(known.given.get(CHECK, plan.dockerfile.check)).error:
        rules = ", ".join(sorted({each.rule for each in found}))
        raise Violated(f"build: lint violation found for rules: {rules}")
