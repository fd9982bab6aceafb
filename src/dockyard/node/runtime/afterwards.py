"""Turns poststop hooks into a file beside a container's socket, and that file into their processes.

Whoever sees the container's end runs them: its monitor, or, where that was killed, whoever removes
what it has left or starts the container again. Whoever takes the file away does; so they run once.
"""

from __future__ import annotations

import contextlib
import json
import os

from dockyard.base.errors import DockyardError
from dockyard.base.oci.hooks import parse_hooks
from dockyard.base.oci.runtimespec import Spec
from dockyard.interfaces.ociruntime import Launch
from dockyard.node.runtime import hooks, wire


def keep(launch: Launch, spec: Spec) -> None:
    """Write down what is to be run."""
    if not spec.hooks.get("poststop"):
        return
    who = hooks.identity(launch.id, launch.state_dir, spec)
    wanted = {"poststop": launch.spec["hooks"]["poststop"]}
    path = wire.poststop_path(launch.run_dir)
    fresh = f"{path}.new"
    with open(fresh, "w") as file:
        json.dump({"who": who._asdict(), "hooks": wanted}, file)
    os.replace(fresh, path)


def run(run_dir: str) -> None:
    """Each of them, where they have not run. What fails there changes nothing, and the rest run
    (runtime.md, "Lifecycle")."""
    path = wire.poststop_path(run_dir)
    try:
        with open(path) as file:
            found = json.load(file)
        os.unlink(path)
    except FileNotFoundError:
        return
    who = hooks.Identity(**found["who"])
    said = hooks.state(who, "stopped", 0)
    for hook in parse_hooks(found["hooks"])["poststop"]:
        with contextlib.suppress(DockyardError, OSError):
            hooks.run_outside({"poststop": (hook,)}, "poststop", said, who.bundle)
