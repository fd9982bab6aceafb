"""Turns single instructions into warnings: rules that need no knowledge of variables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dockyard.base.errors import Invalid
from dockyard.base.oci.platform import parse_platform
from dockyard.node.build.checks.warning import Warning
from dockyard.node.build.words import json_list, split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dockyard.node.build.plan import Plan, StagePlan
    from dockyard.node.build.source import Line
    from dockyard.node.build.stage import Step

_SECRET = re.compile(
    r"(?:_|^)(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_|$)",
    re.IGNORECASE,
)
_PUBLIC = re.compile(r"(?:_|^)(?:public|file|version)(?:_|$)", re.IGNORECASE)
_ONCE = ("CMD", "ENTRYPOINT", "HEALTHCHECK")
RESERVED = ("context", "scratch")


def warn(rule: str, detail: str, line: Line, said: Line | None = None) -> Warning:
    """``said``: the instruction that made it one, where it is not the one that is shown."""
    return Warning(rule, detail, line.number, line.last, (said or line).number)


def _of_all(rule: str, detail: str, line: Line) -> Warning:
    """One about a line among others: no comment of its own switches it off."""
    return Warning(rule, detail, line.number, line.last)


def of_file(plan: Plan) -> Iterator[Warning]:
    """Rules about the file as a whole."""
    for last in plan.dockerfile.gaps:
        yield Warning("NoEmptyContinuation", "Empty continuation line", last, last)
    lines = [step.line for stage in plan.stages for step in stage.steps]
    lower = sum(line.written == line.written.lower() for line in lines)
    upper = sum(line.written == line.written.upper() for line in lines)
    wanted = "lowercase" if lower > upper else "uppercase"
    for line in lines:
        right = line.written.lower() if wanted == "lowercase" else line.written.upper()
        if line.written != right:
            detail = f"Command '{line.written}' should match the case of the command majority "
            yield _of_all("ConsistentInstructionCasing", f"{detail}({wanted})", line)


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
                yield _of_all("ReservedStageName", f'{detail} "{name.lower()}"', line)
            if name.lower() in seen:
                detail = f'Duplicate stage name "{name.lower()}", stage names should be unique'
                yield _of_all("DuplicateStageName", detail, line)
            seen.add(name.lower())
        yield from _described(line, (name.lower(),) if name else ())
        platform = start.platform
        if platform in ("$TARGETPLATFORM", "${TARGETPLATFORM}"):
            detail = f"Setting platform to predefined {platform} in FROM is redundant as this is "
            yield warn("RedundantTargetPlatform", f"{detail}the default behavior", line)
        elif platform and "$" not in platform:
            yield from _constant(platform, name.lower(), line)


def _constant(text: str, name: str, line: Line) -> Iterator[Warning]:
    try:
        platform = parse_platform(text)
    except Invalid:
        return  # the build says what is wrong with it
    if platform.os not in name and platform.architecture not in name:
        detail = f'FROM --platform flag should not use constant value "{text}"'
        yield warn("FromPlatformFlagConstDisallowed", detail, line)


def _casing(line: Line, keyword: str) -> Iterator[Warning]:
    """A FROM in mixed case is another rule's concern."""
    start = line.written
    if start == start.lower():
        same = keyword == keyword.lower()
    else:
        same = keyword == keyword.upper() or start != start.upper()
    if not same:
        detail = f"'{keyword}' and '{start}' keywords' casing do not match"
        yield warn("FromAsCasing", detail, line)


def of_words(stage: StagePlan) -> Iterator[Warning]:
    """Rules that look at the words alone, whether the stage is built or not."""
    for step in stage.steps:
        if step.line.keyword == "MAINTAINER":
            detail = "Maintainer instruction is deprecated in favor of using label"
            yield warn("MaintainerDeprecated", detail, step.line)
        elif step.line.keyword == "ARG":
            yield from of_comment(step)


def of_comment(step: Step) -> Iterator[Warning]:
    """Of an ARG: what stands above describes it, or is taken for that."""
    yield from _described(step.line, tuple(_defined(step.line)))


def of_stage(stage: StagePlan) -> Iterator[Warning]:
    """Rules about what stands in one stage."""
    last: dict[str, Line] = {}
    for step in stage.steps:
        line = step.line
        keyword = line.keyword
        if keyword in _ONCE:
            if keyword in last:  # the earlier one is the one that has no effect
                detail = (
                    f"Multiple {line.written} instructions should not be used in the same stage "
                    "because only the last one will be used"
                )
                yield warn("MultipleInstructionsDisallowed", detail, last[keyword], line)
            last[keyword] = line
        yield from _of_line(line)


def _of_line(line: Line) -> Iterator[Warning]:
    keyword = line.keyword
    if keyword in ("ENV", "LABEL") and "=" not in split(line)[0]:
        said = line.written
        detail = f'"{said} key=value" should be used instead of legacy "{said} key value" '
        yield warn("LegacyKeyValueFormat", f"{detail}format", line)
    if keyword in ("ARG", "ENV"):
        for name in _defined(line):
            if _SECRET.search(name) and not _PUBLIC.search(name):
                detail = "Do not use ARG or ENV instructions for sensitive data"
                yield warn("SecretsUsedInArgOrEnv", f'{detail} ({keyword} "{name}")', line)


def of_port(word: str, line: Line) -> Iterator[Warning]:
    """Of one word of EXPOSE, variables replaced."""
    ports, _, protocol = word.partition("/")
    if protocol != protocol.lower():
        detail = f"Defined protocol '{word}' in EXPOSE instruction should be lowercase"
        yield warn("ExposeProtoCasing", detail, line)
    if ":" in ports:
        detail = "EXPOSE instruction should not define an IP address or host-port mapping"
        yield warn("ExposeInvalidFormat", f"{detail}, found '{word}'", line)


def of_shell_form(line: Line) -> Iterator[Warning]:
    """Of a CMD or ENTRYPOINT, where nobody has chosen a shell."""
    if json_list(line) is None:
        detail = f"JSON arguments recommended for {line.written} to prevent unintended behavior "
        yield warn("JSONArgsRecommended", f"{detail}related to OS signals", line)


def _defined(line: Line) -> list[str]:
    words = split(line)
    if line.keyword == "ENV" and "=" not in words[0]:
        return [words[0]]
    return [word.partition("=")[0] for word in words]


def _described(line: Line, names: tuple[str, ...]) -> Iterator[Warning]:
    if not names or not line.comment:
        return
    if line.comment[-1].split(" ")[0] not in names:
        shown = names[0] if len(names) == 1 else "<arg_key>"
        detail = f"Comment for {line.keyword} should follow the format: `# {shown} <description>`"
        yield warn("InvalidDefinitionDescription", detail, line)
