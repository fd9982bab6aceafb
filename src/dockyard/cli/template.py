"""Turns a Go template of the simple sort (``{{.State.Pid}}``, ``{{json .Config}}``) into text."""

from __future__ import annotations

import json
import re
from typing import Any

from dockyard.base.errors import Invalid

ACTION = re.compile(r"\{\{\s*(.*?)\s*\}\}")
FIELD = re.compile(r"(json\s+)?((?:\.[A-Za-z0-9_]+)+|\.)")
INDEX = re.compile(r'index\s+((?:\.[A-Za-z0-9_]+)+)\s+"([^"]*)"')


def expand(template: str, value: Any) -> str:
    """The text. Raises :class:`Invalid` for what is not implemented, or not there."""
    text = template.replace("\\t", "\t").replace("\\n", "\n")
    return ACTION.sub(lambda match: _action(match[1], value), text)


def _action(action: str, value: Any) -> str:
    if match := FIELD.fullmatch(action):
        found = _field(match[2], value)
        return json.dumps(found) if match[1] else _print(found)
    if match := INDEX.fullmatch(action):
        found = _field(match[1], value)
        return _print(found.get(match[2], "") if isinstance(found, dict) else "")
    raise Invalid(f"template: {{{{{action}}}}}: not implemented; fields, json and index are")


def _field(path: str, value: Any) -> Any:
    for name in path.strip(".").split(".") if path != "." else ():
        if not isinstance(value, dict) or name not in value:
            raise Invalid(f"template: {path}: no such field")
        value = value[name]
    return value


def _print(value: Any) -> str:
    """As Go's text/template prints it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "<nil>"
    if isinstance(value, list):
        return "[" + " ".join(map(_print, value)) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{k}:{_print(v)}" for k, v in sorted(value.items())) + "]"
    return str(value)
