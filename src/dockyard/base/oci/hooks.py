"""Turns ``hooks`` of a specification into commands to execute at six points of a life."""

from __future__ import annotations

from dockyard.base.errors import Invalid
from dockyard.base.oci.fields import absolute, integer, items, mapping, text, texts
from dockyard.base.typed import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


class Hook(NamedTuple):
    """One command."""

    path: str
    args: tuple[str, ...]
    """With argument 0; the path alone where none was given."""
    env: tuple[str, ...] | None
    """None: not given; then it has its parent's, as with runc."""
    timeout: int | None
    """Seconds; None: as long as it takes."""


Hooks = dict[str, tuple[Hook, ...]]
"""Kind -> commands in their order; kinds without any are left out."""


def parse_hooks(document: Any) -> Hooks:
    """The commands of each kind. Unknown kinds are refused, not forgotten."""
    parent = mapping(document, "hooks")
    for name in parent:
        if name not in KINDS:
            raise Invalid(f"config: hooks.{name}: unknown; one of {', '.join(KINDS)}")
    found = {}
    for kind in KINDS:
        hooks = tuple(
            _hook(item, f"hooks.{kind}[{i}]") for i, item in enumerate(items(parent, kind, 256))
        )
        if hooks:
            found[kind] = hooks
    return found


def _hook(item: Any, where: str) -> Hook:
    hook = mapping(item, where)
    path = absolute(text(hook, "path", where), f"{where}.path")
    timeout = hook.get("timeout")
    env = tuple(texts(hook, "env", 65536))
    for entry in env:
        if "=" not in entry or entry.startswith("="):
            raise Invalid(f"config: {where}.env: {entry[:80]!r}: not NAME=value")
    return Hook(
        path,
        tuple(texts(hook, "args", 65536)) or (path,),
        env if hook.get("env") is not None else None,
        None if timeout is None else integer(hook, "timeout", where, 1, 2**31 - 1),
    )
