"""Turns a Dockerfile's bytes into its instructions (Dockerfile reference, "Format")."""

import re
from typing import NamedTuple

from dockyard.node.build.heredoc import MOST, Heredoc, find_words
from dockyard.node.build.ownargs import OWN_SYNTAX
from dockyard.node.build.source import DockerfileInvalid, DockerfileUnsupported, Line, Source

LARGEST = 1 << 20
_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.*)$")
_DIRECTIVES = ("syntax", "escape", "check")
_INSTRUCTION = re.compile(r"([A-Za-z]+)(?:\s+(.*))?$", re.DOTALL)
_FLAG = re.compile(r"--([a-z][a-z-]*)(?:=((?:\"[^\"]*\"|'[^']*'|[^\s\"'])*))?(?:\s+|$)")
_WITH_HEREDOCS = ("RUN", "COPY", "ADD")
_WITHOUT_FLAGS = ("ONBUILD",)


class Dockerfile(NamedTuple):
    """What a file says."""

    source: Source
    lines: tuple[Line, ...]
    check: str
    """The value of the directive ``check``."""
    gaps: tuple[int, ...]
    """The last lines of instructions that go on after an empty line."""


class _Joined(NamedTuple):
    text: str
    last: int
    gap: bool


def parse_dockerfile(data: bytes, name: str, *, any_syntax: bool = False) -> Dockerfile:
    """All instructions in order. Raises :class:`DockerfileInvalid` with the place.

    ``any_syntax``: whatever frontend the directive names, this one reads the file.
    """
    if len(data) > LARGEST:
        raise DockerfileInvalid(f"{name}: more than {LARGEST} bytes; that is no Dockerfile")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DockerfileInvalid(f"{name}: byte {error.start}: not UTF-8") from error
    if "\0" in text:
        raise DockerfileInvalid(f"{name}: has a NUL: not a Dockerfile")
    source = Source(name, tuple(line.rstrip("\r") for line in text.split("\n")))
    directives = _directives(source, any_syntax)
    escape = directives.get("escape", "\\")
    found: list[Line] = []
    gaps: list[int] = []
    comment: list[str] = []
    at = len(directives)
    while at < len(source.lines):
        line = source.lines[at].strip()
        if not line or line.startswith("#"):
            text = line[1:].strip()
            comment.append(text)
            if not text:  # an empty one is no part of the next
                comment = []
            at += 1
            continue
        joined = _join(source, at, escape)
        made = instruction(source, joined.text, at + 1, joined.last + 1, escape)
        made, last = _heredocs(made, joined.last)
        found.append(made._replace(comment=tuple(comment)))
        if joined.gap:
            gaps.append(joined.last + 1)
        comment = []
        at = last + 1
    if not found:
        raise DockerfileInvalid(f"{name}: no instruction in it; a Dockerfile begins with FROM")
    return Dockerfile(source, tuple(found), directives.get("check", ""), tuple(gaps))


def _directives(source: Source, any_syntax: bool) -> dict[str, str]:
    """The directives at the top, one a line; anything else there ends them."""
    seen: dict[str, str] = {}
    for number, line in enumerate(source.lines, 1):
        match = _DIRECTIVE.match(line.strip())
        if match is None or match[1].lower() not in _DIRECTIVES:
            break
        key, value = match[1].lower(), match[2]
        if key in seen:
            reason = f"only one {key} parser directive can be used"
            raise DockerfileInvalid(source.show(number, number, reason))
        if key == "escape" and value not in ("\\", "`"):
            reason = f"directive escape: {value!r}: a backslash or a backtick is expected"
            raise DockerfileInvalid(source.show(number, number, reason))
        if key == "syntax" and not (any_syntax or OWN_SYNTAX.match(value)):
            reason = f"directive syntax: {value}: other frontends: not implemented"
            raise DockerfileUnsupported(source.show(number, number, reason))
        seen[key] = value
    return seen


def _join(source: Source, at: int, escape: str) -> _Joined:
    """The instruction that begins at index ``at``."""
    parts: list[str] = []
    last = at
    gap = empty = False
    continued = re.compile(re.escape(escape) + r"[ \t]*$")
    for index in range(at, len(source.lines)):
        line = source.lines[index]
        bare = line.strip()
        if parts and (not bare or bare.startswith("#")):
            empty |= not bare
            continue  # comments and empty lines inside an instruction are left out
        gap |= empty
        last = index
        match = continued.search(line)
        parts.append(line[: match.start()] if match else line)
        if match is None:
            break
    return _Joined("".join(parts).strip(), last, gap)


def instruction(source: Source, text: str, number: int, last: int, escape: str) -> Line:
    """One instruction of its whole text; ``ONBUILD`` has one inside."""
    match = _INSTRUCTION.match(text)
    if match is None:
        shown = text.split()[0][:40] if text.split() else ""
        reason = f"{shown!r}: an instruction is expected (FROM, RUN, COPY, ...)"
        raise DockerfileInvalid(source.show(number, last, reason))
    keyword, rest = match[1].upper(), (match[2] or "").strip()
    flags: list[tuple[str, str]] = []
    at = 0
    while keyword not in _WITHOUT_FLAGS and (flag := _FLAG.match(rest, at)):
        flags.append((flag[1], _unquoted(flag[2] or "")))
        at = flag.end()
    rest = rest[at:]
    return Line(source, number, last, keyword, tuple(flags), rest, escape, (), match[1])


def _unquoted(value: str) -> str:
    if "'" not in value and '"' not in value:
        return value
    return re.sub(r"\"([^\"]*)\"|'([^']*)'", lambda match: match[1] or match[2] or "", value)


def _heredocs(line: Line, last: int) -> tuple[Line, int]:
    """The instruction with its documents, and the index of the last line that they take."""
    keyword = line.keyword
    if keyword == "ONBUILD":
        keyword = line.rest.partition(" ")[0].upper()
    if keyword not in _WITH_HEREDOCS or "<<" not in line.rest or line.rest.startswith("["):
        return line, last
    found: list[Heredoc] = []
    for wanted in find_words(line.rest):
        if len(found) == MOST:
            raise line.invalid(f"more than {MOST} here-documents")
        taken: list[str] = []
        while True:
            last += 1
            if last >= len(line.source.lines):
                raise line.invalid(f"unterminated heredoc: no line is {wanted.name!r}")
            text = line.source.lines[last]
            if (text.lstrip("\t") if wanted.strips else text) == wanted.name:
                break
            taken.append(text + "\n")
        found.append(wanted._replace(text="".join(taken)))
    return line._replace(heredocs=tuple(found), last=last + 1), last


def with_documents(line: Line, text: str) -> Line:
    """An ONBUILD instruction with the documents that were stored behind its first line."""
    lines = tuple(text.split("\n"))
    if len(lines) == 1:
        return line
    inner = line._replace(source=Source(line.source.name, lines))
    return _heredocs(inner, 0)[0]._replace(source=line.source, last=line.last)
