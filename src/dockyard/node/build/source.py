"""Turns places in a Dockerfile into messages that show them."""

from typing import NamedTuple

from dockyard.base.errors import Invalid, Unsupported
from dockyard.node.build.heredoc import Heredoc
from dockyard.node.build.nearest import nearest

_NEIGHBOURS = 2
"""Of one line; several have one."""
_RULE = "-" * 20


class DockerfileInvalid(Invalid):
    """A Dockerfile that breaks its grammar, or asks for what can't be."""


class DockerfileUnsupported(Unsupported):
    """A Dockerfile that asks for what is not implemented."""


class Source(NamedTuple):
    """A Dockerfile's text."""

    name: str
    lines: tuple[str, ...]

    def excerpt(self, first: int, last: int) -> str:
        """The lines with their neighbours, as BuildKit frames them; lines count from 1."""
        shown = [_RULE]
        around = _NEIGHBOURS if first == last else 1
        for number in range(max(first - around, 1), last + around + 1):
            if number <= len(self.lines):
                mark = ">>>" if first <= number <= last else "   "
                shown.append(f"{number:4} | {mark} {self.lines[number - 1]}".rstrip())
        return "\n".join([*shown, _RULE])

    def show(self, first: int, last: int, reason: str) -> str:
        """``name:line: reason`` and the lines."""
        return f"{self.name}:{first}: {reason}\n{self.excerpt(first, last)}"


class Line(NamedTuple):
    """One instruction, continuation lines joined."""

    source: Source
    number: int
    last: int
    keyword: str
    """In upper case."""
    flags: tuple[tuple[str, str], ...]
    rest: str
    escape: str
    heredocs: tuple[Heredoc, ...] = ()
    written: str = ""
    """The keyword as it was written."""
    comment: tuple[str, ...] = ()
    """The comment right above it."""

    @property
    def text(self) -> str:
        """As it is shown in progress and history."""
        flags = "".join(f" --{key}={value}" if value else f" --{key}" for key, value in self.flags)
        return f"{self.keyword}{flags} {self.rest}"

    def invalid(self, reason: str) -> DockerfileInvalid:
        """``reason`` says what was found and what is expected."""
        shown = f"{self.keyword}: {reason}"
        return DockerfileInvalid(self.source.show(self.number, self.last, shown))

    def unsupported(self, what: str) -> DockerfileUnsupported:
        shown = f"{self.keyword}: {what}: not implemented"
        return DockerfileUnsupported(self.source.show(self.number, self.last, shown))

    def options(self, *known: str, repeated: tuple[str, ...] = ()) -> dict[str, str]:
        """The flags by name. One that is not ``known`` is refused, as is a second of the same,
        those apart that may be ``repeated``: ask :meth:`all` for them."""
        found: dict[str, str] = {}
        for key, value in self.flags:
            if key not in known and key not in repeated:
                near = nearest(key, (*known, *repeated))
                hint = f" (did you mean {near}?)" if near else ""
                raise self.invalid(f"unknown flag: --{key}{hint}")
            if key in found and key not in repeated:
                raise self.invalid(f"duplicate flag specified: --{key}")
            found[key] = value
        return found

    def all(self, flag: str) -> list[str]:
        """The values of a flag that may be repeated."""
        return [value for key, value in self.flags if key == flag]


def switch(line: Line, options: dict[str, str], name: str, default: bool = False) -> bool:
    """A flag that is on or off: ``--link`` or ``--link=true``."""
    value = options.get(name)
    if value is None:
        return default
    if value.lower() in ("", "true", "1"):
        return True
    if value.lower() in ("false", "0"):
        return False
    raise line.invalid(f"--{name}={value}: true or false is expected")
