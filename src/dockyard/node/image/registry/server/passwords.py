"""Turns a user's name and password into yes or no, by a file of htpasswd(1) with bcrypt hashes.

The hash is the C library's (libxcrypt's ``crypt_rn``), through ctypes: it is what every login on
the machine uses. It takes as long for an unknown user as for a known one.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import hashlib
import hmac
import os
import re
import secrets
import threading
from collections.abc import Callable

from dockyard.base.errors import Invalid, Unsupported

_BCRYPT = re.compile(r"\$2[aby]\$\d{2}\$[./A-Za-z0-9]{53}")
_SCRATCH = 32768
"""sizeof(struct crypt_data), crypt_r(3)."""
_LONGEST_PASSWORD = 72
"""bcrypt looks at no more: two longer ones that begin alike would be the same."""
_REMEMBERED = 10_000
REMEMBER_SECONDS = 300.0
_NOBODY = "$2y$10$" + "abcdefghijklmnopqrstuu" + "0" * 31


class Passwords:
    """The users of one file, read again when it changes."""

    def __init__(self, path: str, monotonic: Callable[[], float]) -> None:
        self._path, self._monotonic = path, monotonic
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._hashes: dict[str, str] = {}
        self._salt = secrets.token_bytes(16)
        self._good: dict[bytes, float] = {}
        self._read()

    def known(self, user: str, password: str) -> bool:
        """Whether this was right a moment ago; quick."""
        self._read()
        return self._good.get(self._key(user, password), 0.0) > self._monotonic()

    def check(self, user: str, password: str) -> bool:
        """Blocks for some 50 ms: bcrypt is slow on purpose. What was right is remembered for a
        while, as a keyed hash."""
        if self.known(user, password):
            return True
        word = password.encode()
        if len(word) > _LONGEST_PASSWORD or b"\0" in word:
            return False
        expected = self._hashes.get(user)
        alike = next(iter(self._hashes.values()), _NOBODY)  # as slow as a user's
        right = hmac.compare_digest(_bcrypt(word, expected or alike), expected or "")
        if right and expected is not None:
            if len(self._good) >= _REMEMBERED:
                self._good.clear()
            self._good[self._key(user, password)] = self._monotonic() + REMEMBER_SECONDS
            return True
        return False

    def mark(self, user: str, salt: str) -> str:
        """Tells one password of a user from the next, to who has the file alone; empty: nobody."""
        self._read()
        hashed = self._hashes.get(user)
        return hashlib.sha256(f"{salt}\0{user}\0{hashed}".encode()).hexdigest() if hashed else ""

    def _key(self, user: str, password: str) -> bytes:
        pair = f"{user}\0{self._hashes.get(user)}\0{password}".encode()
        return hashlib.blake2b(pair, key=self._salt, digest_size=32).digest()

    def _read(self) -> None:
        with self._lock:
            try:
                state = os.stat(self._path)
                stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
                if stamp == self._stamp:
                    return
                with open(self._path, encoding="utf-8") as file:
                    hashes = parse_htpasswd(file.read(), self._path)
            except (OSError, UnicodeDecodeError) as error:
                raise Invalid(f"htpasswd: {self._path}: cannot be read: {error}") from error
            self._hashes, self._stamp = hashes, stamp


def parse_htpasswd(text: str, what: str) -> dict[str, str]:
    """User: bcrypt hash. Other hashes are refused: they are too quick to try."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        user, colon, hashed = entry.partition(":")
        if not colon or not user or _BCRYPT.fullmatch(hashed) is None:
            raise Invalid(
                f"htpasswd: {what}: line {number}: not USER:BCRYPT; make it with "
                "`htpasswd -nB USER`"
            )
        found[user] = hashed
    return found


def _bcrypt(word: bytes, setting: str) -> str:
    scratch = ctypes.create_string_buffer(_SCRATCH)
    found = _crypt()(word, setting.encode(), scratch, _SCRATCH)
    return found.decode() if found else ""


@functools.cache
def _crypt() -> Callable[..., bytes | None]:
    for name in ("libcrypt.so.1", "libcrypt.so.2", ctypes.util.find_library("crypt")):
        try:
            function = ctypes.CDLL(name).crypt_rn if name else None
        except (OSError, AttributeError):
            continue
        if function is not None:
            function.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int]
            function.restype = ctypes.c_char_p
            return function
    raise Unsupported("htpasswd: bcrypt needs libxcrypt (libcrypt.so): install Debian's libcrypt1")
