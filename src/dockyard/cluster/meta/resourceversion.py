"""Turns the resourceVersion that a client sends into a revision, or into the refusal it earns."""

from __future__ import annotations

from dockyard.cluster.meta import errors
from dockyard.cluster.meta import fielderrors as field

LARGEST = 2**63 - 1


def parse(text: str | None, what: str = "resourceVersion") -> int | None:
    """None where none is given (or an empty one); 0 says "any"; BadRequest for anything else."""
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= LARGEST:
        return int(text)
    raise errors.BadRequest(f'Invalid value: "{text}": {what} must be a number that a server gave')


def of_object(metadata: dict[str, object]) -> int | None:
    """The revision that an update is based on; 422 if it is not one of ours."""
    text = metadata.get("resourceVersion")
    if text in (None, ""):
        return None
    digits = text if isinstance(text, str) and text.isascii() and text.isdigit() else "x" * 20
    if len(digits) < 20 and int(digits) <= LARGEST:
        return int(digits)
    fault = field.invalid("metadata.resourceVersion", text, "must be specified for an update")
    raise errors.invalid("", str(metadata.get("name", "")), [fault])
