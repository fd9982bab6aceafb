"""Turns rows into what ``Accept`` asks for beside plain objects: Table, PartialObjectMetadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def render(
    form: str,
    kind: Kind,
    rows: Sequence[Row],
    head: Mapping[str, Any] | None,
    options: Mapping[str, str],
    now: float,
    *,
    definitions: bool = True,
) -> bytes:
    """The rows in that form; ``head`` is that of a list, None for one object."""
    objects = [kind.from_hub(row.object()) for row in rows]
    if form == PARTIAL:
        items = [table.partial(obj) for obj in objects]
        if head is None:
            return orjson.dumps(items[0])
        return orjson.dumps({"kind": f"{PARTIAL}List", "apiVersion": "meta.k8s.io/v1",
                             "metadata": head["metadata"], "items": items})  # fmt: skip
    include = options.get("includeObject") or table.METADATA
    if include not in table.INCLUDE:
        raise errors.BadRequest(f'Invalid value: "{include}": includeObject')
    cells = [(obj, kind.row(obj, now)) for obj in objects]
    metadata = head["metadata"] if head else {"resourceVersion": str(rows[0].revision)}
    return orjson.dumps(
        table.table(kind.columns, cells, metadata=metadata, include=include,
                    definitions=definitions)
    )  # fmt: skip
