"""Turns an instruction's keyword into the module that knows it: the one visible list."""

import difflib
from collections.abc import Callable

from dockyard.node.build.instructions import (
    add,
    arg,
    cmd,
    copy,
    entrypoint,
    env,
    expose,
    from_,
    healthcheck,
    label,
    maintainer,
    onbuild,
    run,
    shell,
    stopsignal,
    user,
    volume,
    workdir,
)
from dockyard.node.build.source import Line
from dockyard.node.build.stage import Step

INSTRUCTIONS: dict[str, Callable[[Line], Step]] = {
    "FROM": from_.parse,
    "RUN": run.parse,
    "COPY": copy.parse,
    "ADD": add.parse,
    "ENV": env.parse,
    "ARG": arg.parse,
    "WORKDIR": workdir.parse,
    "USER": user.parse,
    "EXPOSE": expose.parse,
    "ENTRYPOINT": entrypoint.parse,
    "CMD": cmd.parse,
    "LABEL": label.parse,
    "VOLUME": volume.parse,
    "STOPSIGNAL": stopsignal.parse,
    "SHELL": shell.parse,
    "HEALTHCHECK": healthcheck.parse,
    "ONBUILD": onbuild.parse,
    "MAINTAINER": maintainer.parse,
}


def parse_step(line: Line) -> Step:
    """The line as a step; its errors show the line."""
    parse = INSTRUCTIONS.get(line.keyword)
    if parse is None:
        close = difflib.get_close_matches(line.keyword, INSTRUCTIONS, n=1)
        every = f"one of {', '.join(INSTRUCTIONS)} is expected"
        hint = f"did you mean {close[0]}?" if close else every
        raise line.invalid(f"no such instruction; {hint}")
    if not line.rest:
        raise line.invalid("nothing follows; at least one argument is expected")
    return parse(line)
