"""Turns nftables commands into one kernel transaction, through libnftables (libnftables(3)).

A command text is applied whole or not at all. Whoever writes one puts only parsed values into it
(numbers, addresses, names of ours), never somebody's words.
"""

from __future__ import annotations

import ctypes
import json
import threading
from types import TracebackType
from typing import Any

from dockyard.base.errors import DockyardError, Unsupported

_JSON, _HANDLE = 1 << 4, 1 << 3
ABSENT = "No such file or directory"


class RuleError(DockyardError):
    """The kernel or the library refused a ruleset; nothing of it was applied."""


class Missing(RuleError):
    """What a command named (a table, a chain, an element) is not there."""


class Nft:
    """A libnftables context of this thread's network namespace; a context manager.

    Safe to call from several threads, one at a time.
    """

    def __init__(self) -> None:
        library = _library()
        self._library = library
        self._context = ctypes.c_void_p(library.nft_ctx_new(0))
        library.nft_ctx_buffer_output(self._context)
        library.nft_ctx_buffer_error(self._context)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Give back the library's memory and socket."""
        with self._lock:
            if self._context:
                self._library.nft_ctx_free(self._context)
                self._context = ctypes.c_void_p()

    def __enter__(self) -> Nft:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_context", None):
            self._library.nft_ctx_free(self._context)

    def run(self, commands: str) -> None:
        """Apply commands (nft(8)) in one transaction. Raises :class:`RuleError`."""
        with self._lock:
            self._library.nft_ctx_output_set_flags(self._context, 0)
            self._run(commands)

    def ask(self, command: str) -> list[dict[str, Any]]:
        """What a ``list`` command answers, as libnftables-json(5) has it."""
        with self._lock:
            self._library.nft_ctx_output_set_flags(self._context, _JSON | _HANDLE)
            text = self._run(command)
        found: list[dict[str, Any]] = json.loads(text)["nftables"] if text else []
        return found

    def _run(self, commands: str) -> str:
        if not self._context:
            raise RuleError("nftables: the context is closed")
        code = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        output = self._library.nft_ctx_get_output_buffer(self._context) or b""
        problem = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if code:
            raise refusal(problem.decode(errors="replace"))
        return str(output.decode())

    def tables(self) -> list[str]:
        """Names of all tables."""
        return [item["table"]["name"] for item in self.ask("list tables") if "table" in item]

    def delete_table(self, family: str, name: str) -> None:
        """Remove a table; one that is not there is fine."""
        self.run(f"add table {family} {name}\ndelete table {family} {name}\n")


def refusal(problem: str) -> RuleError:
    """The error that the library's complaint is: its first line, and the command if it shows it.

    The complaint is ``<where>: Error: <what>``, the command, and carets below its culprit.
    """
    lines = [line for line in problem.strip().splitlines() if line.strip()]
    if not lines:
        return RuleError("nftables: refused, no reason given")
    what = lines[0].partition("Error: ")[2] or lines[0]
    command = lines[1].strip() if len(lines) > 1 else ""
    text = f"nftables: {what}" + (f": {command[:200]}" if command else "")
    return Missing(text) if ABSENT in what else RuleError(text)


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError as error:
        raise Unsupported(
            "nftables: libnftables.so.1 is not installed; install libnftables1"
        ) from error
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_get_output_buffer.restype = ctypes.c_char_p
    library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
    return library
