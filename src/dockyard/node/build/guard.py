"""Turns a builder's sudden death into the end of what it left running (E08).

A fork, made while the process has one thread, that waits for its parent to go.
"""

import contextlib
import os
import shutil
import signal

from dockyard.base.errors import DockyardError
from dockyard.base.linux.syscalls import close_range
from dockyard.base.oci.instance import instance_id, run_dir
from dockyard.interfaces.ociruntime import Runtime
from dockyard.node.build.limits import Limits
from dockyard.node.network.bridges import BridgeNetworks

_FINE = b"x"


class Guard:
    """Use ``with``: leaving the block tells the guard that all is well."""

    def __init__(self, runtime: Runtime, data_root: str, prefix: str, limits: Limits) -> None:
        self._runtime = runtime
        self._limits = limits
        self._data_root = data_root
        self._prefix = prefix

    def __enter__(self) -> "Guard":
        reading, self._writing = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.close(self._writing)
                self._watch(reading)
            finally:
                os._exit(0)
        os.close(reading)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            os.write(self._writing, _FINE)
        os.close(self._writing)
        os.waitpid(self._pid, 0)

    def _watch(self, reading: int) -> None:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        own = os.dup2(reading, 3)
        close_range(4)
        for standard in range(3):
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_RDWR), standard)
        if os.read(own, 1) != _FINE:
            self._clear()

    def _clear(self) -> None:
        top = run_dir(self._data_root)
        with contextlib.suppress(OSError):
            for name in os.listdir(top):
                if name.startswith(self._prefix):
                    self._end(os.path.join(top, name), name)

    def _end(self, place: str, name: str) -> None:
        with contextlib.suppress(DockyardError, OSError):
            self._runtime.signal(place, signal.SIGKILL, everyone=True)
        with contextlib.suppress(DockyardError, OSError):
            cgroup = self._limits.cgroup(instance_id(self._data_root), name)
            self._runtime.delete(place, cgroup)
        with contextlib.suppress(DockyardError, OSError):
            BridgeNetworks(self._data_root).detach(name)
        shutil.rmtree(place, ignore_errors=True)
