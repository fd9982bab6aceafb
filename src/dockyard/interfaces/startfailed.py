"""Turns why a program could not be executed into an error with the exit code that a shell has."""

from __future__ import annotations

from dockyard.base.errors import DockyardError


class StartFailed(DockyardError):
    """The program could not be executed; ``exit_code`` is 126, 127 or 125, as shells have it."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
