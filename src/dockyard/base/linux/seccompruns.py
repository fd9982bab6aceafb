"""Turns a filter into a shorter one with the same answers. Pure.

libseccomp asks for each number that a profile names, and the kernel compiles each question at every
start: 0.3 ms for Docker's profile. Most numbers have neighbours with the same answer: so runs of
them are looked for instead, by halves. What looks at arguments stays as it is.
"""

from __future__ import annotations

import struct

from dockyard.base.typed import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKED = struct.Struct("=HBBI")
LOAD, AND, JUMP, EQUAL, ABOVE, FROM, RETURN = 0x20, 0x54, 0x05, 0x15, 0x25, 0x35, 0x06
NUMBER, ARCHITECTURE = 0, 4
"""Offsets in struct seccomp_data (seccomp(2))."""
FAR = 250
"""A question's answers are at most 255 instructions away; a jump reaches everything."""
END = 1 << 32


class Instruction(NamedTuple):
    """``struct sock_filter``."""

    code: int
    yes: int
    no: int
    value: int


class Strange(Exception):
    """An instruction, or an order of them, that libseccomp does not make."""


def shorter(program: bytes) -> bytes:
    """The same filter; as it was where it cannot be read, or is short already."""
    before = [Instruction(*fields) for fields in _PACKED.iter_unpack(program)]
    try:
        after = _Writer(before).all()
    except (Strange, IndexError, RecursionError):
        return program
    if len(after) >= len(before):
        return program
    return b"".join(_PACKED.pack(*each) for each in after)


def _asked(program: list[Instruction], of: int) -> set[int]:
    """The values that are compared with what was loaded from an offset."""
    found: set[int] = set()
    seen: set[tuple[int, int]] = set()
    left = [(0, -1)]
    while left:
        place, loaded = left.pop()
        if (place, loaded) in seen:
            continue
        seen.add((place, loaded))
        each = program[place]
        if each.code == LOAD:
            left.append((place + 1, each.value))
        elif each.code == AND:
            left.append((place + 1, -1))
        elif each.code == JUMP:
            left.append((place + 1 + each.value, loaded))
        elif each.code in (EQUAL, ABOVE, FROM):
            if loaded == of:
                found.add(each.value)
            left += [(place + 1 + each.yes, loaded), (place + 1 + each.no, loaded)]
        elif each.code != RETURN:
            raise Strange(hex(each.code))
    return found


def _holds(code: int, loaded: int, value: int) -> bool:
    return {EQUAL: loaded == value, ABOVE: loaded > value, FROM: loaded >= value}[code]


def _answer(program: list[Instruction], architecture: int, number: int) -> int:
    """Where it is decided, or where an argument is looked at."""
    place, loaded = 0, -1
    while True:
        each = program[place]
        if each.code == LOAD and each.value in (NUMBER, ARCHITECTURE):
            loaded = number if each.value == NUMBER else architecture
            place += 1
        elif each.code == JUMP:
            place += 1 + each.value
        elif each.code in (LOAD, RETURN):
            return place
        elif loaded < 0:
            raise Strange("a question before anything was loaded")
        else:
            place += 1 + (each.yes if _holds(each.code, loaded, each.value) else each.no)


def _runs(
    program: list[Instruction], architecture: int, starts: list[int]
) -> Iterator[tuple[int, int]]:
    """Where each run of numbers begins, and its answer."""
    before: Instruction | int | None = None
    for start in starts:
        place = _answer(program, architecture, start)
        each = program[place]
        same: Instruction | int = each if each.code == RETURN else place
        if same != before:
            yield start, place
        before = same


class _Writer:
    """Writes from the end to the beginning: every jump leads to what is there already."""

    def __init__(self, program: list[Instruction]) -> None:
        self._program = program
        self._written: list[Instruction] = []
        self._labels: dict[int | Instruction, int] = {}

    def all(self) -> list[Instruction]:
        asked = _asked(self._program, NUMBER)
        starts = sorted(n for n in {0, *asked, *(k + 1 for k in asked)} if n < END)
        known = sorted(_asked(self._program, ARCHITECTURE))
        other = next(n for n in range(END) if n not in known)
        label = self._numbers(other, starts)
        for architecture in known:
            block = self._numbers(architecture, starts)
            label = self._ask(EQUAL, architecture, block, label)
        self._load(Instruction(LOAD, 0, 0, ARCHITECTURE), label)
        return self._written[::-1]

    def _numbers(self, architecture: int, starts: list[int]) -> int:
        runs = list(_runs(self._program, architecture, starts))
        if len(runs) == 1:
            return self._copy(runs[0][1])
        return self._load(Instruction(LOAD, 0, 0, NUMBER), self._halves(runs))

    def _halves(self, runs: list[tuple[int, int]]) -> int:
        if len(runs) == 1:
            return self._copy(runs[0][1])
        middle = len(runs) // 2
        above, below = self._halves(runs[middle:]), self._halves(runs[:middle])
        return self._ask(FROM, runs[middle][0], above, below)

    def _copy(self, place: int) -> int:
        """What the program does from there on."""
        each = self._program[place]
        key = each if each.code == RETURN else place
        label = self._labels.get(key, -1)
        if label >= 0 and (each.code != RETURN or self._away(label) < FAR):
            return label
        if each.code == RETURN:
            label = self._write(each)
        elif each.code == JUMP:
            label = self._copy(place + 1 + each.value)
        elif each.code in (LOAD, AND):
            label = self._load(each, self._copy(place + 1))
        else:
            yes, no = self._copy(place + 1 + each.yes), self._copy(place + 1 + each.no)
            label = self._ask(each.code, each.value, yes, no)
        self._labels[key] = label
        return label

    def _write(self, each: Instruction) -> int:
        self._written.append(each)
        return len(self._written) - 1

    def _away(self, label: int) -> int:
        """Instructions between the next one to be written and that one."""
        return len(self._written) - 1 - label

    def _load(self, each: Instruction, label: int) -> int:
        if self._away(label):
            self._write(Instruction(JUMP, 0, 0, self._away(label)))
        return self._write(each)

    def _near(self, label: int) -> int:
        if self._away(label) < FAR:
            return label
        return self._write(Instruction(JUMP, 0, 0, self._away(label)))

    def _ask(self, code: int, value: int, yes: int, no: int) -> int:
        if yes == no:
            return yes
        yes, no = self._near(yes), self._near(no)
        return self._write(Instruction(code, self._away(yes), self._away(no), value))
