"""Turns the newest calls that a profile names into instructions that stand before its filter.

A call that is newer than all of them was unknown to whoever wrote the profile. It fails with
ENOSYS, as on an older kernel, so that a C library falls back to what the profile does allow;
``defaultErrnoRet`` would read as a refusal of what the program wanted. runc does the same.
"""

from __future__ import annotations

import errno
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


X86_64 = 0xC000003E
X32_BIT = 0x4000_0000
"""Of the numbers of x32, which shares x86_64's architecture: they are left to the filter."""

_INSTRUCTION = struct.Struct("=HBBI")
_LOAD, _EQUAL, _ABOVE, _FROM, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x06
_NUMBER, _ARCHITECTURE = 0, 4
"""Offsets in struct seccomp_data (seccomp(2))."""
_ERRNO = 0x0005_0000


def preamble(newest: Mapping[int, int]) -> bytes:
    """The instructions. ``newest``: AUDIT_ARCH_* -> the highest number that is named. Pure."""
    blocks = [
        [(_LOAD, _NUMBER), *([(_FROM, X32_BIT)] if architecture == X86_64 else ()),
         (_ABOVE, number), (_RETURN, _ERRNO | errno.ENOSYS)]
        for architecture, number in newest.items()
    ]  # fmt: skip
    left = sum(len(block) + 1 for block in blocks)
    packed = [_INSTRUCTION.pack(_LOAD, 0, 0, _ARCHITECTURE)] if blocks else []
    for architecture, block in zip(newest, blocks, strict=True):
        left -= 1
        packed.append(_INSTRUCTION.pack(_EQUAL, 0, len(block), architecture))
        for code, value in block:
            left -= 1  # instructions between this one and the filter
            taken, other = {_FROM: (left, 0), _ABOVE: (0, left)}.get(code, (0, 0))
            packed.append(_INSTRUCTION.pack(code, taken, other, value))
    return b"".join(packed)
