"""Turns a module's source into the modules of its own package that it imports before all else.

What is imported in a function, below a condition (``TYPE_CHECKING``) or in a ``try`` is not among
them: it may never be asked for. Read line by line, as our sources are written: ``ast`` takes 50 ms
for a hundred modules, of somebody's first command. ``tests/house`` holds one against the other.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterator


def needs(source: str, package: str, known: Container[str]) -> tuple[str, ...]:
    """Those of ``known`` below ``package``, each after the packages that it is in."""
    found: dict[str, None] = {}
    for name in _imported(source):
        parts = name.split(".")
        if parts[0] == package:
            above = (".".join(parts[:end]) for end in range(1, len(parts) + 1))
            found.update(dict.fromkeys(one for one in above if one in known))
    return tuple(found)


def _imported(source: str) -> Iterator[str]:
    """What may be a module's name in each statement that begins at the margin."""
    lines = iter(source.splitlines())
    in_text = False
    for line in lines:
        begins = not in_text
        in_text ^= line.count('"""') % 2 == 1
        if not begins or not line.startswith(("from ", "import ")):
            continue
        said = _code(line)
        while "(" in said and ")" not in said:
            said += f" {_code(next(lines, ')'))}"
        first, *rest = said.replace("(", " ").replace(")", " ").split(None, 1)
        if first == "import":
            yield from _names("".join(rest))
        else:
            module, _, names = "".join(rest).partition(" import ")
            if not module.startswith("."):
                yield module.strip()
                yield from (f"{module.strip()}.{name}" for name in _names(names))


def _code(line: str) -> str:
    """Without what is said about it."""
    return line.partition("#")[0]


def _names(text: str) -> Iterator[str]:
    """``a, b as c`` are ``a`` and ``b``."""
    for part in text.split(","):
        if words := part.split():
            yield words[0]
