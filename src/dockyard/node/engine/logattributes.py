"""Turns ``--log-opt labels, env, tag`` into what each line of a log says of its container. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from dockyard.base.errors import Invalid
from dockyard.node.engine.config import Container

NAMES = ("labels", "labels-regex", "env", "env-regex", "tag")
SHORT = 12
MEMBER = re.compile(r"\{\{\s*\.([A-Za-z]+)\s*\}\}")


def of(container: Container) -> str:
    """JSON; empty where nothing is asked for, or there."""
    config, options = container.config, dict(container.config.log.options)
    variables = dict(entry.partition("=")[::2] for entry in config.env)
    found = {
        **_chosen(options, "labels", dict(config.labels)),
        **_chosen(options, "env", variables),
    }
    if tag := options.get("tag"):
        found["tag"] = _tag(tag, container)
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")) if found else ""


def check(options: Mapping[str, str]) -> None:
    """Raises :class:`Invalid` for a pattern or a tag that says nothing."""
    for name in ("labels-regex", "env-regex"):
        try:
            re.compile(options.get(name, ""))
        except re.error as error:
            raise Invalid(f"--log-opt {name}={options[name]}: {error}") from None
    _tag(options.get("tag", ""), None)


def _chosen(options: Mapping[str, str], name: str, values: Mapping[str, str]) -> dict[str, str]:
    words = [word for word in options.get(name, "").split(",") if word]
    pattern = options.get(f"{name}-regex", "")
    return {
        key: value
        for key, value in values.items()
        if key in words or (pattern and re.search(pattern, key))
    }


def _tag(template: str, container: Container | None) -> str:
    """A Go template of the members that Docker documents for a tag."""
    values = {
        name: "" for name in ("ID", "FullID", "Name", "ImageID", "ImageFullID", "ImageName")
    } | {"DaemonName": "dockyard"}
    if container is not None:
        image = container.image_id.rpartition(":")[2]
        values |= {
            "ID": container.id[:SHORT], "FullID": container.id, "Name": container.name,
            "ImageID": image[:SHORT], "ImageFullID": container.image_id,
            "ImageName": container.config.image,
        }  # fmt: skip

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise Invalid(f"--log-opt tag={template}: .{match[1]}: one of {', '.join(values)}")
        return values[match[1]]

    text = MEMBER.sub(value, template)
    if "{{" in MEMBER.sub("", template):
        raise Invalid(
            f"--log-opt tag={template}: only members such as {{{{.Name}}}} are implemented"
        )
    return text
