"""Turns the steps of a build into what a person sees: plain lines, a live list, or nothing."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Protocol

from dockyard.base.aio import now
from dockyard.cli.common import printable

if TYPE_CHECKING:
    from dockyard.node.build.stage import Vertex

LONGEST_TAIL = 1 << 16
_RUNNING, _DONE, _CACHED, _FAILED = range(4)
_SHOWN_OUTPUT = 6
_TICK = 0.1


class Display(Protocol):
    """A report (``node.build.stage.Report``) that has an end."""

    def step(self, name: str) -> Vertex: ...

    def note(self, text: str) -> None: ...

    def close(self, *, failed: bool) -> None: ...


def display_for(kind: str) -> Display:
    """``plain``, ``tty``, ``quiet``, ``rawjson`` or ``auto``; it goes to standard error."""
    if kind == "auto":
        kind = "tty" if sys.stderr.isatty() else "plain"
    if kind == "tty":
        return Live()
    if kind == "rawjson":
        from dockyard.cli.buildrawjson import RawJson

        return RawJson()
    return Quiet() if kind == "quiet" else Plain()


class Plain:
    """BuildKit's ``--progress=plain``: each line says which step it is of."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._last = 0

    def step(self, name: str) -> PlainStep:
        with self._lock:
            self._count += 1
            number = self._count
        found = PlainStep(self, number)
        self.write(number, printable(name))
        return found

    def note(self, text: str) -> None:
        with self._lock:
            print(text, file=sys.stderr, flush=True)

    def close(self, *, failed: bool) -> None:
        pass

    def write(self, number: int, text: str) -> None:
        with self._lock:
            if self._last and self._last != number:
                print(file=sys.stderr)
            self._last = number
            print(f"#{number} {text}", file=sys.stderr, flush=True)


class PlainStep:
    """One step's lines."""

    def __init__(self, plain: Plain, number: int) -> None:
        self._plain = plain
        self._number = number
        self._began = now.monotonic()
        self._rest = b""
        self._cached = False

    @property
    def _seconds(self) -> float:
        return now.monotonic() - self._began

    def cached(self) -> None:
        self._cached = True

    def output(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_TAIL:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._say(line)

    def done(self) -> None:
        self._flush()
        text = "CACHED" if self._cached else f"DONE {self._seconds:.1f}s"
        self._plain.write(self._number, text)

    def failed(self, reason: str) -> None:
        self._flush()
        self._plain.write(self._number, f"ERROR: {printable(reason.splitlines()[0])}")

    def _flush(self) -> None:
        if self._rest:
            self._say(self._rest)
            self._rest = b""

    def _say(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip("\r").rpartition("\r")[2]
        shown = "".join(each if each.isprintable() or each == "\t" else f"\\x{ord(each):02x}"
                        for each in text)  # fmt: skip
        self._plain.write(self._number, f"{self._seconds:.3f} {shown}")


class Quiet:
    """Shows what the failing step printed, and nothing else."""

    def __init__(self) -> None:
        self._steps: list[Tail] = []

    def step(self, name: str) -> Tail:
        found = Tail()
        self._steps.append(found)
        return found

    def note(self, text: str) -> None:
        pass

    def close(self, *, failed: bool) -> None:
        if failed:
            for step in self._steps:
                if step.state == _FAILED:
                    sys.stderr.buffer.write(step.tail)
            sys.stderr.flush()


class Tail:
    """The end of what a step printed."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.tail = b""
        self.state = _RUNNING
        self.began = now.monotonic()
        self.ended = 0.0

    def cached(self) -> None:
        self.state = _CACHED

    def output(self, data: bytes) -> None:
        self.tail = (self.tail + data)[-LONGEST_TAIL:]

    def done(self) -> None:
        self.ended = now.monotonic()
        self.state = _CACHED if self.state == _CACHED else _DONE

    def failed(self, reason: str) -> None:
        self.ended = now.monotonic()
        self.state = _FAILED


class Live:
    """A list that is drawn anew on a terminal while the build goes on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: list[Tail] = []
        self._notes: list[str] = []
        self._drawn = 0
        self._began = now.monotonic()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._draw_until_end, daemon=True)

    def step(self, name: str) -> Tail:
        with self._lock:
            found = Tail(printable(name))
            self._steps.append(found)
            if not self._thread.is_alive() and not self._end.is_set():
                self._thread.start()
        return found

    def note(self, text: str) -> None:
        with self._lock:
            self._notes.append(printable(text))

    def close(self, *, failed: bool) -> None:
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
        self._draw()
        if failed:
            for step in self._steps:
                if step.state == _FAILED and step.tail:
                    print(f"------\n > {step.name}:", file=sys.stderr)
                    for line in step.tail.decode(errors="replace").splitlines()[-20:]:
                        print(printable(line), file=sys.stderr)
                    print("------", file=sys.stderr)

    def _draw_until_end(self) -> None:
        while not self._end.wait(_TICK):
            self._draw()

    def _draw(self) -> None:
        with self._lock:
            try:
                columns, rows = os.get_terminal_size(sys.stderr.fileno())
            except OSError:
                columns, rows = 0, 0
            columns, rows = columns or 80, rows or 24  # a terminal that nobody gave a size has 0
            lines = self._lines(rows - 2)
            out = f"\x1b[{self._drawn}A" if self._drawn else ""
            out += "".join(f"{line[: columns - 1]}\x1b[K\n" for line in lines) + "\x1b[J"
            sys.stderr.write(out)
            sys.stderr.flush()
            self._drawn = len(lines)

    def _lines(self, most: int) -> list[str]:
        current = now.monotonic()
        finished = sum(step.state != _RUNNING for step in self._steps)
        word = " FINISHED" if self._end.is_set() else ""
        head = f"[+] Building {current - self._began:.1f}s ({finished}/{len(self._steps)}){word}"
        lines = list(self._notes)
        for step in self._steps:
            mark = "CACHED " if step.state == _CACHED else "ERROR " if step.state == _FAILED else ""
            seconds = (step.ended or current) - step.began
            lines.append(f" => {mark}{step.name}  {seconds:.1f}s")
            if step.state == _RUNNING:
                tail = step.tail.decode(errors="replace").splitlines()[-_SHOWN_OUTPUT:]
                lines += [f" => => # {printable(line)}" for line in tail]
        return [head, *lines[-most:]]
