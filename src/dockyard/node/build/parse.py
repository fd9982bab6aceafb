"""Turns a Dockerfile's bytes into its instructions (Dockerfile reference, "Format")."""

import re

from dockyard.node.build.source import DockerfileInvalid, DockerfileUnsupported, Line, Source

LARGEST = 1 << 20
_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.*?)\s*$")
_DIRECTIVES = ("syntax", "escape", "check")
_INSTRUCTION = re.compile(r"([A-Za-z]+)(?:\s+(.*))?$", re.DOTALL)
_FLAG = re.compile(r"--([a-z][a-z-]*)(?:=(\S*))?(?:\s+|$)")
_HEREDOC = re.compile(r"(?:^|\s)\d*<<-?[\"']?[A-Za-z_]")
_WITH_HEREDOCS = ("RUN", "COPY", "ADD")


def parse_dockerfile(data: bytes, name: str) -> list[Line]:
    """All instructions in order. Raises :class:`DockerfileInvalid` with the place."""
    if len(data) > LARGEST:
        raise DockerfileInvalid(f"{name}: {len(data)} bytes: at most {LARGEST} are accepted")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DockerfileInvalid(f"{name}: byte {error.start}: not UTF-8") from error
    if "\0" in text:
        raise DockerfileInvalid(f"{name}: has a NUL: not a Dockerfile")
    source = Source(name, tuple(line.rstrip("\r") for line in text.split("\n")))
    first, escape = _directives(source)
    found: list[Line] = []
    at = first
    while at < len(source.lines):
        line = source.lines[at].strip()
        if not line or line.startswith("#"):
            at += 1
            continue
        joined, last = _join(source, at, escape)
        found.append(_instruction(source, joined, at + 1, last + 1, escape))
        at = last + 1
    if not found:
        raise DockerfileInvalid(f"{name}: no instruction in it; a Dockerfile begins with FROM")
    return found


def _directives(source: Source) -> tuple[int, str]:
    """How many lines at the top are directives, and the escape character they set."""
    seen: dict[str, str] = {}
    for number, line in enumerate(source.lines):
        match = _DIRECTIVE.match(line.strip())
        if match is None or match[1].lower() not in _DIRECTIVES:
            break
        key, value = match[1].lower(), match[2]
        if key in seen:
            reason = f"directive {key}: stands there twice"
            raise DockerfileInvalid(source.show(number + 1, number + 1, reason))
        if key == "escape" and value not in ("\\", "`"):
            reason = f"directive escape: {value!r}: a backslash or a backtick is expected"
            raise DockerfileInvalid(source.show(number + 1, number + 1, reason))
        if key == "syntax" and not re.match(r"(docker\.io/)?docker/dockerfile(:|@|$)", value):
            reason = f"directive syntax: {value}: other frontends: not implemented"
            raise DockerfileUnsupported(source.show(number + 1, number + 1, reason))
        seen[key] = value
    return len(seen), seen.get("escape", "\\")


def _join(source: Source, at: int, escape: str) -> tuple[str, int]:
    """The instruction that begins at index ``at``, and the index of its last line."""
    parts: list[str] = []
    last = at
    continued = re.compile(re.escape(escape) + r"[ \t]*$")
    for index in range(at, len(source.lines)):
        line = source.lines[index]
        bare = line.strip()
        if parts and (not bare or bare.startswith("#")):
            continue  # comments and empty lines inside an instruction are left out
        last = index
        match = continued.search(line)
        parts.append(line[: match.start()] if match else line)
        if match is None:
            break
    return "".join(parts).strip(), last


def _instruction(source: Source, text: str, number: int, last: int, escape: str) -> Line:
    match = _INSTRUCTION.match(text)
    if match is None:
        shown = text.split()[0][:40]
        reason = f"{shown!r}: an instruction is expected (FROM, RUN, COPY, ...)"
        raise DockerfileInvalid(source.show(number, last, reason))
    keyword, rest = match[1].upper(), (match[2] or "").strip()
    flags: list[tuple[str, str]] = []
    while flag := _FLAG.match(rest):
        flags.append((flag[1], flag[2] or ""))
        rest = rest[flag.end() :]
    line = Line(source, number, last, keyword, tuple(flags), rest, escape)
    if keyword in _WITH_HEREDOCS and _HEREDOC.search(rest):
        raise line.unsupported("heredocs")
    if not rest:
        raise line.invalid("nothing follows; at least one argument is expected")
    return line
