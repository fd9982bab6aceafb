"""Turns single instructions into warnings: rules that need no knowledge of variables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dockyard.node.build.checks.warning import Warning
from dockyard.node.build.words import json_list, split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dockyard.node.build.plan import Plan, StagePlan
    from dockyard.node.build.source import Line

_SECRET = re.compile(
    r"(?:_|^)(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_|$)",
    re.IGNORECASE,
)
_PUBLIC = re.compile(r"(?:_|^)public(?:_|$)", re.IGNORECASE)
_ONCE = ("CMD", "ENTRYPOINT", "HEALTHCHECK")
RESERVED = ("context", "scratch")


def warn(rule: str, detail: str, line: Line) -> Warning:
    return Warning(rule, detail, line.number, line.last)


def of_file(plan: Plan) -> Iterator[Warning]:
    """Rules about the file as a whole."""
    for first, last in plan.dockerfile.gaps:
        yield Warning("NoEmptyContinuation", "Empty continuation line", first, last)
    lines = plan.dockerfile.lines
    lower = sum(line.written == line.written.lower() for line in lines)
    upper = sum(line.written == line.written.upper() for line in lines)
    wanted = "lowercase" if lower > upper else "uppercase"
    for line in lines:
        right = line.written.lower() if wanted == "lowercase" else line.written.upper()
        if line.written != right:
            yield warn(
                "ConsistentInstructionCasing",
                f"Command '{line.written}' should match the case of the command majority "
                f"({wanted})",
                line,
            )


def of_names(plan: Plan) -> Iterator[Warning]:
    """Rules about FROM and the names of stages."""
    seen: set[str] = set()
    for stage in plan.stages:
        start = stage.start
        line, name = start.line, start.name
        if name:
            yield from _casing(line, start.keyword)
            if name != name.lower():
                detail = f"Stage name '{name}' should be lowercase"
                yield warn("StageNameCasing", detail, line)
            if name.lower() in RESERVED:
                detail = "Stage name should not use the same name as reserved stage"
                yield warn("ReservedStageName", f'{detail} "{name}"', line)
            if name.lower() in seen:
                detail = f'Duplicate stage name "{name.lower()}", stage names should be unique'
                yield warn("DuplicateStageName", detail, line)
            seen.add(name.lower())
        yield from _described("build stage", name, line)
        platform = start.platform
        if platform in ("$TARGETPLATFORM", "${TARGETPLATFORM}"):
            detail = f"Setting platform to predefined {platform} in FROM is redundant as this is "
            yield warn("RedundantTargetPlatform", f"{detail}the default behavior", line)
        elif platform and "$" not in platform and platform.split("/")[-1] not in name.lower():
            detail = f'FROM --platform flag should not use constant value "{platform}"'
            yield warn("FromPlatformFlagConstDisallowed", detail, line)


def _casing(line: Line, keyword: str) -> Iterator[Warning]:
    start = line.written
    same = (start == start.lower()) == (keyword == keyword.lower())
    if not same or keyword not in (keyword.lower(), keyword.upper()):
        detail = f"'{keyword}' and '{start}' keywords' casing do not match"
        yield warn("FromAsCasing", detail, line)


def of_stage(stage: StagePlan) -> Iterator[Warning]:
    """Rules about what stands in one stage."""
    last: dict[str, Line] = {}
    has_shell = False
    for step in stage.steps:
        line = step.line
        keyword = line.keyword
        has_shell |= keyword == "SHELL"
        if keyword in _ONCE:
            if keyword in last:  # the earlier one is the one that has no effect
                detail = (
                    f"Multiple {keyword} instructions should not be used in the same stage "
                    "because only the last one will be used"
                )
                yield warn("MultipleInstructionsDisallowed", detail, last[keyword])
            last[keyword] = line
        yield from of_line(line, has_shell)


def of_line(line: Line, has_shell: bool) -> Iterator[Warning]:
    keyword = line.keyword
    if keyword in ("CMD", "ENTRYPOINT") and json_list(line) is None and not has_shell:
        detail = f"JSON arguments recommended for {keyword} to prevent unintended behavior related "
        yield warn("JSONArgsRecommended", f"{detail}to OS signals", line)
    elif keyword == "MAINTAINER":
        detail = "Maintainer instruction is deprecated in favor of using label"
        yield warn("MaintainerDeprecated", detail, line)
    elif keyword in ("ENV", "LABEL") and "=" not in split(line)[0]:
        detail = f'"{keyword} key=value" should be used instead of legacy "{keyword} key value" '
        yield warn("LegacyKeyValueFormat", f"{detail}format", line)
    elif keyword == "EXPOSE":
        for word in split(line):
            if ":" in word:
                detail = "EXPOSE instruction should not define an IP address or host-port mapping"
                yield warn("ExposeInvalidFormat", f"{detail}, found '{word}'", line)
            protocol = word.partition("/")[2]
            if protocol != protocol.lower() and "$" not in word:
                detail = f"Defined protocol '{word}' in EXPOSE instruction should be lowercase"
                yield warn("ExposeProtoCasing", detail, line)
    if keyword in ("ARG", "ENV"):
        for name in _defined(line):
            if _SECRET.search(name) and not _PUBLIC.search(name):
                detail = "Do not use ARG or ENV instructions for sensitive data"
                yield warn("SecretsUsedInArgOrEnv", f'{detail} ({keyword} "{name}")', line)
    if keyword == "ARG":
        names = _defined(line)
        yield from _described("argument", names[0] if len(names) == 1 else "", line)


def _defined(line: Line) -> list[str]:
    words = split(line)
    if line.keyword == "ENV" and "=" not in words[0]:
        return [words[0]]
    return [word.partition("=")[0] for word in words]


def _described(what: str, name: str, line: Line) -> Iterator[Warning]:
    if not name or not line.comment:
        return
    words = line.comment[-1].split()
    if words and words[0].lower() != name.lower():
        detail = f"Comment for {what} should follow the format: `# {name} <description>`"
        yield warn("InvalidDefinitionDescription", detail, line)
