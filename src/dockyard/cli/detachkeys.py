"""Turns what is typed into what the container gets, and finds the keys that mean: leave. Pure."""

from __future__ import annotations

from dockyard.base.errors import Invalid

DEFAULT = "ctrl-p,ctrl-q"
CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse_keys(text: str) -> bytes:
    """The bytes of ``ctrl-p,ctrl-q`` or ``ctrl-a,d``; each key is a letter or ``ctrl-`` one."""
    return bytes(_key(word, text) for word in text.split(",")) if text else b""


def _key(word: str, text: str) -> int:
    if len(word) == 1 and word.isascii():
        return ord(word)
    letter = word.removeprefix("ctrl-").lower()
    if word != letter and len(letter) == 1:
        if letter.isascii() and letter.isalpha():
            return ord(letter) - ord("a") + 1
        if letter in CONTROL:
            return CONTROL[letter]
    raise Invalid(f"invalid detach keys ({text}): a letter or ctrl-LETTER, separated by commas")


class Scanner:
    """Holds back the beginning of the keys until it is known whether they follow."""

    def __init__(self, keys: bytes) -> None:
        self._keys, self._held = keys, 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What goes to the container, and whether the keys were complete."""
        if not self._keys:
            return data, False
        out = bytearray()
        for byte in data:
            while self._held and byte != self._keys[self._held]:
                # not the keys after all: the shortest part that may still begin them stays
                kept = _overlap(self._keys[: self._held])
                out += self._keys[: self._held - kept]
                self._held = kept
            if byte == self._keys[self._held]:
                self._held += 1
                if self._held == len(self._keys):
                    return bytes(out), True
            else:
                out.append(byte)
        return bytes(out), False


def _overlap(part: bytes) -> int:
    """The longest proper beginning of ``part`` that is also its end."""
    return next((size for size in range(len(part) - 1, 0, -1)
                 if part.startswith(part[-size:])), 0)  # fmt: skip
