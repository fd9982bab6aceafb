"""Turns places in a Dockerfile into messages that show them."""

from typing import NamedTuple

from dockyard.base.errors import Invalid, Unsupported

_NEIGHBOURS = 2


class DockerfileInvalid(Invalid):
    """A Dockerfile that breaks its grammar, or asks for what can't be."""


class DockerfileUnsupported(Unsupported):
    """A Dockerfile that asks for what is not implemented."""


class Source(NamedTuple):
    """A Dockerfile's text."""

    name: str
    lines: tuple[str, ...]

    def show(self, first: int, last: int, reason: str) -> str:
        """``name:line: reason`` and the lines with their neighbours; lines count from 1."""
        shown = []
        for number in range(max(first - _NEIGHBOURS, 1), last + _NEIGHBOURS + 1):
            if number <= len(self.lines):
                mark = ">" if first <= number <= last else " "
                shown.append(f"{mark} {number:3} | {self.lines[number - 1]}")
        return f"{self.name}:{first}: {reason}\n" + "\n".join(shown)


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

    def options(self, *known: str) -> dict[str, str]:
        """The flags by name; one that is not ``known`` is refused."""
        found = dict(self.flags)
        for key in found:
            if key not in known:
                raise self.unsupported(f"--{key}")
        return found
