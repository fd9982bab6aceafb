"""`ps`: turns a container's processes into the lines that ps(1) has for them."""

from __future__ import annotations

import json
import subprocess

from dockyard.base.errors import DockyardError, Invalid, NotFound
from dockyard.node.runtime.cgroups import group
from dockyard.node.runtime.oci import state
from dockyard.node.runtime.oci.flags import Flag, Values
from dockyard.node.runtime.oci.verb import ID, Globals, Verb


def act(found: Globals, values: Values, arguments: list[str]) -> int:
    """Print them."""
    if values["format"] not in ("table", "json"):
        raise Invalid(f"invalid format option: {values['format']!r}; table or json")
    made = state.load(found.root, arguments[0])
    pids = sorted(group.pids(made.cgroup))
    if values["format"] == "json":
        print(json.dumps(pids or None, separators=(",", ":")))
        return 0
    print("\n".join(chosen(_of_host(arguments[1:] or ["-ef"]), set(pids))))
    return 0


def _of_host(options: list[str]) -> str:
    try:
        done = subprocess.run(["ps", *options], capture_output=True, text=True)
    except FileNotFoundError:
        raise NotFound("ps: not installed on this machine; --format json needs none") from None
    if done.returncode:
        raise DockyardError(f"ps: exit status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def chosen(text: str, pids: set[int]) -> list[str]:
    """The heading and the lines of these processes. ps(1) pads columns, the last one excepted."""
    heading, *lines = text.splitlines() or [""]
    if "PID" not in heading.split():
        raise Invalid("couldn't find PID field in ps output; choose columns with PID")
    index = heading.split().index("PID")
    found = [heading]
    for line in lines:
        words = line.split()
        if index < len(words) and words[index].isdecimal() and int(words[index]) in pids:
            found.append(line)
    return found


VERB = Verb(
    summary="ps displays the processes running inside a container",
    usage=f"{ID} [ps options]",
    act=act,
    text="",
    flags=(Flag(("format", "f"), "table or json", "text", "table", '"table"'),),
    most=None,
    ordered=True,
)
