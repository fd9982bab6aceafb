"""Turns what a rule has found into a warning, and warnings into docker's words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.errors import Invalid
from dockyard.node.build.ownargs import truth

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dockyard.node.build.source import Source

_DOCS = "https://docs.docker.com/go/dockerfile/rule/"
_WITHOUT_PAGE = ("InvalidBaseImagePlatform",)
ALL = "all"
EXPERIMENTAL = ("InvalidDefinitionDescription",)
RULES = (
    "ConsistentInstructionCasing", "CopyIgnoredFile", "DuplicateStageName",
    "ExposeInvalidFormat", "ExposeProtoCasing", "FromAsCasing",
    "FromPlatformFlagConstDisallowed", "InvalidBaseImagePlatform", "InvalidDefaultArgInFrom",
    "InvalidDefinitionDescription", "JSONArgsRecommended", "LegacyKeyValueFormat",
    "MaintainerDeprecated", "MultipleInstructionsDisallowed", "NoEmptyContinuation",
    "RedundantTargetPlatform", "ReservedStageName", "SecretsUsedInArgOrEnv", "StageNameCasing",
    "UndefinedArgInFrom", "UndefinedVar", "WorkdirRelativePath",
)  # fmt: skip


class Warning(NamedTuple):
    """One finding. Lines count from 1."""

    rule: str
    detail: str
    first: int
    last: int
    said: int = 0
    """The instruction whose comment may switch it off; 0: none may."""

    @property
    def url(self) -> str:
        if self.rule in _WITHOUT_PAGE:
            return ""
        words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", self.rule)
        return f"{_DOCS}{words.lower()}/"


class Wanted(NamedTuple):
    """What the directive ``check`` says: ``skip=A,B;error=true;experimental=C``."""

    skip: frozenset[str]
    experimental: frozenset[str]
    error: bool

    def keeps(self, warning: Warning) -> bool:
        if warning.rule in EXPERIMENTAL:
            return ALL in self.experimental or warning.rule in self.experimental
        return ALL not in self.skip and warning.rule not in self.skip

    def merged(self, other: Wanted) -> Wanted:
        """Both; whether warnings are errors is the file's word alone."""
        return Wanted(self.skip | other.skip, self.experimental | other.experimental, self.error)


def parse_wanted(text: str) -> Wanted:
    found: dict[str, str] = {}
    for part in text.strip().split(";", 2) if text.strip() else ():
        key, equals, value = part.partition("=")
        if not equals or key.strip() not in ("skip", "error", "experimental"):
            raise Invalid(f"check: {part.strip()[:80]!r}: skip=, error= or experimental=")
        found[key.strip()] = value.strip()
    error = truth(found.get("error", "false"))
    if error is None:
        raise Invalid(f"check: error={found['error'][:40]}: true or false is expected")
    return Wanted(_names(found.get("skip", "")), _names(found.get("experimental", "")), error)


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())


def report(warnings: Iterable[Warning], source: Source) -> str:
    """What ``docker build --check`` prints."""
    found = list(warnings)
    if not found:
        return "Check complete, no warnings found."
    count = f"{len(found)} warning{'s have' if len(found) > 1 else ' has'} been found!"
    parts = [f"Check complete, {count}"]
    for each in found:
        head = f"WARNING: {each.rule}" + (f" - {each.url}" if each.url else "")
        place = f"{source.name}:{each.first}\n{source.excerpt(each.first, each.last)}"
        parts.append(f"{head}\n{each.detail}\n\n{place}")
    return "\n\n".join(parts)


def brief(warnings: Iterable[Warning]) -> str:
    """What a build says of them at its end."""
    found = list(warnings)
    lines = [f" {len(found)} warning{'s' if len(found) > 1 else ''} found (use --check to expand):"]
    lines += [f" - {each.rule}: {each.detail} (line {each.first})" for each in found]
    return "\n".join(lines)
