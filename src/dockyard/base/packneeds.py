"""Turns a module's source into the modules of its own package that it imports before all else.

What is imported in a function, below a condition (``TYPE_CHECKING``) or in a ``try`` is not among
them: it may never be asked for.
"""

from __future__ import annotations

import ast
from collections.abc import Container


def needs(source: str, package: str, known: Container[str]) -> tuple[str, ...]:
    """Those of ``known`` below ``package``, each after the packages that it is in."""
    found: dict[str, None] = {}
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Import):
            names = [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            inside = [f"{statement.module}.{alias.name}" for alias in statement.names]
            names = [statement.module, *inside]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == package:
                above = (".".join(parts[:end]) for end in range(1, len(parts) + 1))
                found.update(dict.fromkeys(one for one in above if one in known))
    return tuple(found)
