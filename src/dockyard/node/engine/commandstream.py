"""Turns a command's streams into the same, and its end into an event."""

from __future__ import annotations

import os

from dockyard.node.engine.parts import Parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockyard.interfaces.ociruntime import Frame, Stream
    from dockyard.node.engine.config import Container

CRI = "cri"
"""Its commands are probes, mostly: nobody wants to read of each."""


def told(parts: Parts, container: Container, args: tuple[str, ...], stream: Stream) -> Stream:
    """Streams that tell of the command's beginning and end."""
    if container.owner == CRI:
        return stream
    identity, line = os.urandom(32).hex(), " ".join(args)
    for verb in ("create", "start"):
        parts.tell(container, f"exec_{verb}: {line}", execID=identity)
    return CommandStream(parts, container, identity, stream)


class CommandStream:
    """The streams of a command whose end is told of once."""

    def __init__(self, parts: Parts, container: Container, identity: str, stream: Stream) -> None:
        self._parts, self._container, self._identity = parts, container, identity
        self._stream = stream
        self.fileno, self.write, self.resize = stream.fileno, stream.write, stream.resize
        self.close_stdin, self.signal = stream.close_stdin, stream.signal
        self.exit_code, self.close = stream.exit_code, stream.close

    def read(self) -> Frame | None:
        frame = self._stream.read()
        if frame is None and self._identity:
            code = self._stream.exit_code()
            shown = {} if code is None else {"exitCode": str(code)}
            self._parts.tell(self._container, "exec_die", execID=self._identity, **shown)
            self._identity = ""
        return frame
