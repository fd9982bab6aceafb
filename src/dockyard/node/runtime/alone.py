"""Turns a launch into a container and its monitor in one process: this one.

For a fork of a command that records its calls, or that had no time to fork ahead, and for
containers that another runtime makes. What :mod:`.spare` does in two processes.
"""

from __future__ import annotations

from _socket import socket as Plain

from dockyard.interfaces.ociruntime import Launch
from dockyard.node.runtime import maker, monitor


def carry_out(launch: Launch, attach: bool, cache: str, creator: Plain) -> None:
    """Be both, maker and monitor, to the container's end."""
    making: type[maker.Maker] = maker.Maker
    monitoring: type[monitor.Monitor] = monitor.Monitor
    if launch.runtime:
        from dockyard.node.runtime import external  # most containers are ours

        making, monitoring = external.ExternalMaker, external.ExternalMonitor
    try:
        made, held, rest = making(launch, cache).make(attach, creator)
    except BaseException as error:  # whatever it is: the creator must hear of it
        maker.refuse(creator, error)
        return
    monitor.look_after(made, held, lambda: rest, monitoring)
