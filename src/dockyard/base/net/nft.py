"""Turns nftables commands into one kernel transaction, through libnftables (libnftables(3)).

A command text is applied whole or not at all. Whoever writes one puts only parsed values into it
(numbers, addresses, names of ours), never somebody's words.
"""

from __future__ import annotations

import ctypes
import json
import threading
from typing import Any

from dockyard.base.errors import DockyardError, Unsupported

_JSON, _HANDLE = 1 << 4, 1 << 3


class RuleError(DockyardError):
    """The kernel or the library refused a ruleset; nothing of it was applied."""


class Nft:
    """A libnftables context. Safe to call from several threads, one at a time."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libnftables.so.1")
        except OSError as error:
            raise Unsupported(
                "nftables: libnftables.so.1 is not installed; install libnftables1"
            ) from error
        self._library.nft_ctx_new.restype = ctypes.c_void_p
        self._library.nft_ctx_get_output_buffer.restype = ctypes.c_char_p
        self._library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        self._context = ctypes.c_void_p(self._library.nft_ctx_new(0))
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)
        self._lock = threading.Lock()

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
        code = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        output = self._library.nft_ctx_get_output_buffer(self._context) or b""
        problem = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if code:
            lines = problem.decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise RuleError(f"nftables: {lines[0]}")
        return str(output.decode())

    def tables(self) -> list[str]:
        """Names of all tables."""
        return [item["table"]["name"] for item in self.ask("list tables") if "table" in item]

    def delete_table(self, family: str, name: str) -> None:
        """Remove a table; one that is not there is fine."""
        self.run(f"add table {family} {name}\ndelete table {family} {name}\n")
