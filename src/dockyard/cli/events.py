"""``dockyard events``: what has happened to containers, and what happens."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from dockyard.base.aio.now import wall
from dockyard.base.errors import Invalid
from dockyard.cli import common
from dockyard.cli.moments import moment
from dockyard.node.engine.event import Event, describe

EXAMPLES = """  dockyard events
  dockyard events --since 10m --until 0s --filter event=die
  dockyard events --filter container=web --format '{{.Action}} {{.Actor.Attributes.exitCode}}'
"""
Test = Callable[[Event, str], bool]


def run(argv: list[str]) -> int:
    """Print events until interrupted, or until a moment."""
    parser = common.Parser("events", "[OPTIONS]", "Show what happens to containers.",
                           EXAMPLES)  # fmt: skip
    add = parser.add_argument
    parser.many("-f", "--filter", metavar="KEY=VALUE",
                help="type, event, container, image, label, network, volume")  # fmt: skip
    add("--since", default="", metavar="TIME", help="also what happened since: a stamp, or 10m")
    add("--until", default="", metavar="TIME", help="and no longer than until then")
    add("--format", default="", metavar="TEMPLATE", help="a Go template, or `json`")
    options = parser.parse_args(argv)
    parser.check_filters(options.filter)
    passes = chooser(options.filter)
    show = _shower(options.format)
    now = wall()
    until = moment(options.until, now) if options.until else None
    for event in common.engine().events(since=moment(options.since, now), until=until):
        if passes(event):
            print(show(event), flush=True)
    return 0


def _shower(form: str) -> Callable[[Event], str]:
    if not form:
        return line
    if form in ("json", "{{json .}}"):
        return lambda event: json.dumps(describe(event), separators=(",", ":"))
    from dockyard.cli.gotemplate.evaluate import Words
    from dockyard.cli.template import compiled

    template = compiled(form)

    def show(event: Event) -> str:
        found = describe(event)
        aliases = {"Status": event.action, "ID": event.id, "Time": found["time"],
                   "TimeNano": found["timeNano"], "From": found.get("from", ""),
                   "Scope": "local"}  # fmt: skip
        actor = {**found["Actor"], "Attributes": Words(event.attributes)}
        return template({**found, **aliases, "Actor": actor})

    return show


def line(event: Event) -> str:
    """``STAMP container start ID (image=..., name=...)``, in this machine's time."""
    pairs = ", ".join(f"{name}={value}" for name, value in sorted(event.attributes.items()))
    text = f"{_stamp(event.time)} {event.kind} {event.action} {event.id} ({pairs})"
    return common.printable(text)


def _stamp(seconds: float) -> str:
    whole, part = divmod(round(seconds * 1e9), 1_000_000_000)
    local = time.localtime(whole)
    zone = time.strftime("%z", local)
    zone = f"{zone[:3]}:{zone[3:]}" if local.tm_gmtoff else "Z"
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}.{part:09d}{zone}"


def chooser(words: list[str]) -> Callable[[Event], bool]:
    """Whether an event passes: any value of a key will do, but every label must be there."""
    values: dict[str, list[str]] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise Invalid(f"invalid filter '{word}': bad format, KEY=VALUE")
        if key not in TESTS:
            raise Invalid(f"invalid filter '{key}'; one of {', '.join(sorted(TESTS))}")
        values.setdefault(key, []).append(value)
    return lambda event: all(
        (all if key == "label" else any)(TESTS[key](event, value) for value in wanted)
        for key, wanted in values.items()
    )


def _container(event: Event, value: str) -> bool:
    of = event.attributes.get("container", "") if event.kind != "container" else event.id
    name = event.attributes.get("name", "") if event.kind == "container" else ""
    return (event.kind == "container" and value in (name, event.id)) or (
        len(value) > 3 and of.startswith(value)
    )


def _label(event: Event, value: str) -> bool:
    name, has_value, wanted = value.partition("=")
    return name in event.attributes and (not has_value or event.attributes[name] == wanted)


def _named(kind: str) -> Test:
    return lambda event, value: event.kind == kind and value in (
        event.id, event.attributes.get("name", "")
    )  # fmt: skip


TESTS: dict[str, Test] = {
    "container": _container,
    "event": lambda event, value: event.action == value or event.action.startswith(f"{value}:"),
    "image": lambda event, value: event.attributes.get("image", "") in (value, f"{value}:latest"),
    "label": _label,
    "network": _named("network"),
    "scope": lambda _, value: value == "local",
    "type": lambda event, value: event.kind == value,
    "volume": _named("volume"),
}
