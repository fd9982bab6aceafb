"""Turns a monitor whose container runs into the same one in an interpreter of its own.

A monitor that is a fork of a command carries what that had loaded, and what starting took: 6 MB.
Once its container has run for a while and nobody is in the middle of anything, it executes Python
anew with what it needs, and goes on: 3 MB. Process, children and open files stay. The code of its
modules comes along, so that no installation in between can break it. A launchpad's monitor shares
its memory with others, and stays as it is.
"""

from __future__ import annotations

import marshal
import os
import sys

from dockyard.node.runtime.made import Held, Made, Rest
from dockyard.node.runtime.monitor import Monitor, look_after
from dockyard.node.runtime.streams import Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MODULES = tuple(
    f"dockyard{name}"
    for name in (
        "", ".base", ".base.aio", ".base.aio.now", ".base.errors", ".base.jsontext",
        ".base.later", ".base.linux",
        ".base.linux.cloneflags", ".base.linux.oomscore", ".base.linux.passing",
        ".base.record", ".base.suppress",
        ".interfaces", ".interfaces.startfailed", ".node", ".node.runtime",
        ".node.runtime.cgroups", ".node.runtime.cgroups.light", ".node.runtime.child",
        ".node.runtime.connection", ".node.runtime.handshake", ".node.runtime.logs",
        ".node.runtime.loop", ".node.runtime.made", ".node.runtime.messages",
        ".node.runtime.monitor", ".node.runtime.settled", ".node.runtime.streams",
        ".node.runtime.wire",
    )
)  # fmt: skip
"""What comes along; the rest is found as always."""

_SOURCES = os.path.abspath(f"{os.path.dirname(__file__)}/../../..")
_BOOT = """
import marshal, posix, sys
data = b""
while piece := posix.read(int(sys.argv[2]), 1 << 20):
    data += piece
posix.close(int(sys.argv[2]))
modules, state = marshal.loads(data)
del data, piece
class Memory:
    def find_spec(self, name, path=None, target=None):
        if name not in modules:
            return None
        origin, package, _ = modules[name]
        spec = type(sys.__spec__)(name, self, origin=origin, is_package=package)
        spec.has_location = True
        if package:
            spec.submodule_search_locations.append(origin.rpartition("/")[0])
        return spec
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        exec(modules.pop(module.__name__)[2], module.__dict__)
sys.meta_path.insert(0, Memory())
sys.path.insert(0, sys.argv[1])
from dockyard.node.runtime.settled import resume
sys.meta_path.pop(0)
resume(state)
"""


def execute(monitor: Monitor) -> None:
    """Returns where somebody is in the middle of something, or the program cannot be executed."""
    state = _state(monitor)
    if state is None or not sys.executable:
        return
    try:
        packed = marshal.dumps(({name: _module(name) for name in MODULES}, state))
        memory = os.memfd_create("dockyard-monitor", 0)
    except (OSError, ImportError, AttributeError):
        return
    kept = [memory, *(descriptor for descriptor in state[1] if descriptor >= 0)]
    try:
        view = memoryview(packed)
        while view:
            view = view[os.write(memory, view) :]
        os.lseek(memory, 0, os.SEEK_SET)
        for descriptor in kept:
            os.set_inheritable(descriptor, True)
        words = ["-I", "-S", "-c", _BOOT, _SOURCES, str(memory), monitor.made.id]
        os.execv(sys.executable, [sys.executable, *words])  # noqa: S606 - itself
    except OSError:
        for descriptor in kept:
            os.set_inheritable(descriptor, False)
        os.close(memory)


def _module(name: str) -> tuple[str, bool, Any]:
    __import__(name)
    spec: Any = sys.modules[name].__spec__
    return spec.origin, spec.submodule_search_locations is not None, spec.loader.get_code(name)


def _state(monitor: Monitor) -> tuple[Any, ...] | None:
    """Plain values; None where there is something that cannot be told in them."""
    made = monitor.made
    if monitor.status != "running" or monitor.busy() or made.rest:
        return None
    streams = monitor.session.at_rest()
    if streams is None:
        return None
    descriptors = (monitor.listener.fileno(), *streams)
    return tuple(made), descriptors, monitor.known()


def resume(state: tuple[Any, ...]) -> None:
    """Go on, in the process that was executed."""
    import gc

    gc.disable()
    _forbid_looking()
    values, descriptors, known = state
    for descriptor in descriptors:
        if descriptor >= 0:
            os.set_inheritable(descriptor, False)
    listener, in_, out, err, terminal = descriptors
    made = Made(*values)

    def again(made: Made, held: Held) -> Monitor:
        found = Monitor(made, held, terminal)
        found.go_on(*known)
        return found

    held = Held(listener, Streams(in_, out, err))
    look_after(made, held, lambda: Rest(-1, -1), again)


def _forbid_looking() -> None:
    """PR_SET_DUMPABLE, which ends with an exec. `ctypes` would bring 0.3 MB for this one call."""
    import _ctypes

    number, off = 4, 0
    call = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]
    if _ctypes.call_function(call, (number, off, 0, 0, 0)) != 0:
        raise OSError("prctl(PR_SET_DUMPABLE, 0): refused")
