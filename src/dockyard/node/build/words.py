"""Turns the rest of an instruction's line into words: quoted, escaped, or a JSON list."""

import json

from dockyard.base.oci.strictjson import whole_pairs
from dockyard.node.build.source import Line

_QUOTES = "\"'"


def split(line: Line) -> list[str]:
    """Words between blanks; quotes and escapes keep blanks and stay in the word, to be taken off
    by :func:`dockyard.node.build.expand.expand`."""
    words: list[str] = []
    word = ""
    quote = ""
    text = line.rest
    at = 0
    while at < len(text):
        char = text[at]
        if char == line.escape and quote != "'" and at + 1 < len(text):
            word += text[at : at + 2]
            at += 2
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in _QUOTES:
            quote = char
        elif char.isspace():
            if word:
                words.append(word)
            word = ""
            at += 1
            continue
        word += char
        at += 1
    if quote:
        raise line.invalid(f"a {quote} is not closed")
    return [*words, word] if word else words


def json_list(line: Line) -> tuple[str, ...] | None:
    """The exec form, ``["program", "argument"]``; None where the line is not one: then it is in
    shell form, as docker has it."""
    if not line.rest.startswith("["):
        return None
    try:
        found = json.loads(whole_pairs(line.rest))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        return None
    if any("\0" in item for item in found):
        raise line.invalid("a NUL in an argument")
    return tuple(found)


def assignments(line: Line) -> list[tuple[str, str]]:
    """``NAME=value ...``, values not yet expanded; also the old ``NAME value`` for ENV."""
    words = split(line)
    if "=" not in words[0] and line.keyword in ("ENV", "LABEL"):
        name, _, value = line.rest.partition(" ")
        if not value.strip():
            raise line.invalid(f"{name[:40]!r}: NAME=value is expected")
        return [(name, value.strip())]
    found = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise line.invalid(f"{word[:40]!r}: NAME=value is expected")
        found.append((name, value))
    return found
