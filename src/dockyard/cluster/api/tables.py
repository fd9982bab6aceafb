"""Turns rows into what ``Accept`` asks for beside plain objects: Table, PartialObjectMetadata."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import orjson

from dockyard.cluster.api.rows import Row
from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.meta import errors, table

TABLE, PARTIAL = "Table", "PartialObjectMetadata"
PLAIN = ("application/json", "application/*", "*/*")


@lru_cache(maxsize=256)
def form_of(accept: str) -> str:
    """``Table``, ``PartialObjectMetadata`` or nothing: the first that we can do, in their order."""
    if not accept or accept == "application/json":
        return ""
    for choice in accept.split(","):
        media, *parameters = (part.strip() for part in choice.split(";"))
        asked = dict(part.partition("=")[::2] for part in parameters)
        if media == "application/json" and "as" in asked:
            if asked["as"] in (TABLE, PARTIAL, PARTIAL + "List") and asked.get("v") == "v1":
                return TABLE if asked["as"] == TABLE else PARTIAL
        elif media in PLAIN:
            return ""
    raise errors.NotAcceptable(
        "only the following media types are accepted: application/json, "
        "application/json;as=Table;v=v1;g=meta.k8s.io"
    )


def include_of(options: Mapping[str, str]) -> str:
    """How much of each object a Table's rows carry. Raises BadRequest."""
    include = options.get("includeObject") or table.METADATA
    if include not in table.INCLUDE:
        raise errors.BadRequest(f'Invalid value: "{include}": includeObject')
    return include


def parts(form: str, kind: Kind, rows: Iterable[Row], include: str, now: float) -> list[bytes]:
    """Each row, encoded. A caller with many rows gives them in slices."""
    objects = (kind.from_hub(row.peek()) for row in rows)
    if form == PARTIAL:
        return [orjson.dumps(table.partial(obj)) for obj in objects]
    return [orjson.dumps(table.row(obj, kind.row(obj, now), include)) for obj in objects]


def opening(
    form: str, kind: Kind, list_head: Mapping[str, Any], *, definitions: bool = True
) -> bytes:
    """A Table, or a list of metadata, up to its first row; ``]}`` ends it."""
    metadata = list_head["metadata"]
    if form == PARTIAL:
        head: dict[str, Any] = {"kind": f"{PARTIAL}List", "apiVersion": "meta.k8s.io/v1",
                                "metadata": metadata}  # fmt: skip
        name = b"items"
    else:
        head = table.table(kind.columns, (), metadata=metadata, definitions=definitions)
        del head["rows"]
        name = b"rows"
    return b'%s,"%s":[' % (orjson.dumps(head)[:-1], name)


def one(
    form: str, kind: Kind, row: Row, options: Mapping[str, str], now: float,
    *, definitions: bool = True,
) -> bytes:  # fmt: skip
    """One object in that form."""
    encoded = parts(form, kind, [row], include_of(options), now)
    if form == PARTIAL:
        return encoded[0]
    head = {"metadata": {"resourceVersion": str(row.revision)}}
    return opening(form, kind, head, definitions=definitions) + encoded[0] + b"]}"
