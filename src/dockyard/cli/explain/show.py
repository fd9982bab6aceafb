"""Turns recorded calls, one after the other, into lines: for people, or JSON. Pure but for memory.

Two calls need what came before: a process is named by who forked it, and what the first step of the
container's init executes in its turn is told by the monitor, who sees that it has succeeded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from dockyard.base.linux.recording import STARTED
from dockyard.cli.explain.meaning import Meaning, meaning
from dockyard.cli.explain.notation import text, texts

ROLES = ("dockyard", "monitor", "init")
"""By generation: the command, what it forks, and what that forks."""
ROOT = re.compile(r"^/\S*/containers/[0-9a-f]{64}/rootfs(?=/|$)")
ID = re.compile(r"[0-9a-f]{64}")
LONGEST = 160
BOLD, DIM, RED, GREEN, YELLOW, PLAIN = (f"\x1b[{code}m" for code in (1, 2, 31, 32, 33, 0))


class Call(NamedTuple):
    """One call, as it is shown."""

    pid: int
    process: str
    name: str
    args: list[str]
    result: str
    failed: bool
    paths: dict[str, str]
    meaning: Meaning


class Story:
    """What has happened so far."""

    def __init__(self, pid: int) -> None:
        """``pid``: of the command."""
        self._roles = {pid: 0}
        self._steps: dict[int, list[Any]] = {}
        self._early: dict[int, list[dict[str, Any]]] = {}
        """Of processes whose parents have not told of them yet: a child may be the faster."""

    def follow(self, pid: int, message: dict[str, Any]) -> Iterator[Call]:
        """The calls that can be told now."""
        if pid not in self._roles:
            self._early.setdefault(pid, []).append(message)
            return
        yield self.tell(pid, message)
        born = int(message.get("result") or 0) if message["call"].startswith("clone") else 0
        for later in self._early.pop(born, ()):
            yield from self.follow(born, later)

    def rest(self) -> Iterator[Call]:
        """Calls of processes that nobody has told of."""
        for pid, messages in self._early.items():
            for message in messages:
                yield self.tell(pid, message)

    def tell(self, pid: int, message: dict[str, Any]) -> Call:
        """The call that a message of a process tells of."""
        name, args = message["call"], message["args"]
        paths = message.get("paths", {})
        result, failed = _result(name, message)
        if name == STARTED:
            pid = args[0]
            name, args = "execve", self._executed(pid)
        elif name.startswith("clone") and not failed:
            self._roles[message["result"]] = self._role(pid) + 1
        elif name.startswith("exec"):
            self._steps[pid] = args
        return Call(pid, ROLES[min(self._role(pid), 2)], name, texts(name, args), result, failed,
                    paths, meaning(name, args, paths))  # fmt: skip

    def _role(self, pid: int) -> int:
        return self._roles.get(pid, 2)

    def _executed(self, pid: int) -> list[Any]:
        """By the first step, whose first argument is the program: base.linux.firststep."""
        _, (program, *words), environment = self._steps.get(pid, [None, ["?"], {"variables": 0}])
        return [program, words, environment]


def _result(name: str, message: dict[str, Any]) -> tuple[str, bool]:
    if "error" in message:
        return f"-1 {message['error']}", True
    result = message["result"]
    if name == "umask" and result is not None:
        return f"0{result:02o}", False
    return str(0 if result is None else result), False


def as_json(call: Call) -> str:
    """One line: an object."""
    document = {
        "pid": call.pid, "process": call.process, "call": call.name, "args": call.args,
        "result": call.result, "failed": call.failed, "paths": call.paths,
        "isolates": call.meaning.isolates or None, "man": list(call.meaning.pages),
    }  # fmt: skip
    return json.dumps(document)


class Lecture:
    """Lines for people. What a call isolates is said once, not for each of thirty alike; calls that
    only prepare others (they open a file, look for a path) are counted, unless ``full``."""

    def __init__(self, colour: bool, full: bool) -> None:
        self._colour, self._full = colour, full
        self._left_out = 0
        self._said = ""
        self._process = ""

    def lines(self, call: Call) -> Iterator[str]:
        """What there is to print about a call."""
        if not (self._full or call.meaning.isolates):
            self._left_out += 1
            return
        if call.process != self._process:
            self._process = call.process
            yield self._paint(YELLOW, f"{call.process} (process {call.pid})")
        known = call.meaning.isolates
        name = self._paint(BOLD if known else DIM, call.name)
        arguments = ", ".join(_shorter(each) for each in call.args)
        result = self._paint(RED if call.failed else DIM, f"= {call.result}")
        yield f"  {name}({arguments}) {result}{self._where(call)}"
        said = f"{known} {call.meaning.pages}"
        if known and said != self._said:
            self._said = said
            *others, last = known.split("; ")  # of several namespaces, one a line
            for each in others:
                yield f"      {self._paint(GREEN, each)}"
            pages = self._paint(DIM, " ".join(call.meaning.pages))
            yield f"      {self._paint(GREEN, last)}   {pages}"

    def end(self) -> Iterator[str]:
        """What there is to print when nothing more comes."""
        if self._left_out:
            yield self._paint(DIM, f"{self._left_out} more calls that only prepare these: "
                              "--explain=full")  # fmt: skip

    def _where(self, call: Call) -> str:
        """Where its descriptors lead."""
        found = [f"{number} is {_seen(path)}" for number, path in call.paths.items()]
        return self._paint(DIM, f"   ({', '.join(found)})") if found else ""

    def _paint(self, colour: str, words: str) -> str:
        return f"{colour}{words}{PLAIN}" if self._colour else words


def _seen(path: str) -> str:
    """``ROOT/proc`` for a path in the container's tree."""
    return _shorter(text(ROOT.sub("ROOT", path))[1:-1])


def _shorter(argument: str) -> str:
    """Without most of a container's id, and without the end of what is very long."""
    short = ID.sub(lambda found: f"{found[0][:12]}...", argument)
    return short if len(short) <= LONGEST else f"{short[: LONGEST - 3]}..."
