"""Turns ``--format`` and rows into what is printed: lines, JSON, or a table of Go templates."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from dockyard.cli.common import table
from dockyard.cli.gotemplate.evaluate import evaluate, plain
from dockyard.cli.gotemplate.parse import parse

FIELD = re.compile(r"\{\{\s*\.?(?:\w+\s+)?\.?(\w+)[^}]*\}\}")
LABEL = re.compile(r'\{\{\s*\.Label\s+"([^"]*)"\s*\}\}')
"""A column of one label is headed by its name."""


def expand(template: str, value: Any) -> str:
    """One value as a template shows it. Raises :class:`Invalid` for what is no template."""
    return compiled(template)(value)


def compiled(template: str) -> Callable[[Any], str]:
    """A function of a value; ``json`` alone is the value as JSON."""
    if template == "json":
        return lambda value: json.dumps(plain(value), separators=(",", ":"))
    nodes = parse(template.replace("\\t", "\t").replace("\\n", "\n"))
    return lambda value: evaluate(nodes, value)


def listed(form: str, rows: Iterable[dict[str, Any]], headings: dict[str, str]) -> str:
    """Rows as ``--format`` wants them; ``table`` and a template is a table with a heading."""
    if form.startswith("table"):
        template = form.removeprefix("table").strip()
        show = compiled(template)
        cells = [show(row).split("\t") for row in rows]
        heads = [_heading(column, headings) for column in template.replace("\\t", "\t").split("\t")]
        width = max(map(len, [heads, *cells]))
        whole = [row + [""] * (width - len(row)) for row in [heads, *cells]]
        return table(whole[0], whole[1:]) + "\n"
    show = compiled(form)
    return "".join(f"{show(row)}\n" for row in rows)


def _heading(column: str, headings: dict[str, str]) -> str:
    column = LABEL.sub(lambda match: match[1], column)
    return FIELD.sub(lambda match: headings.get(match[1], match[1].upper()), column)
