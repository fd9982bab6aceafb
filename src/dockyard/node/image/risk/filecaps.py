"""Turns the attribute ``security.capability`` into names (capabilities(7), "File capabilities").

``struct vfs_cap_data`` of linux/capability.h: a revision and flag, then permitted and inheritable.
"""

import struct

from dockyard.base.linux.capabilities import NAMES

_EFFECTIVE = 1
_WORDS = {0x01000000: 1, 0x02000000: 2, 0x03000000: 2}


def names_of(value: bytes) -> list[str]:
    """``CAP_NET_RAW`` ...; empty where the attribute grants none or the kernel would refuse it."""
    if len(value) < 4:
        return []
    (magic,) = struct.unpack_from("<I", value)
    words = _WORDS.get(magic & 0xFF000000, 0)
    if not words or len(value) < 4 + 8 * words:
        return []
    pairs = struct.unpack_from(f"<{2 * words}I", value, 4)
    granted = sum(low << 32 * at for at, low in enumerate(pairs[::2]))
    granted |= sum(low << 32 * at for at, low in enumerate(pairs[1::2]))
    return [f"CAP_{name}" for number, name in enumerate(NAMES) if granted >> number & 1]


def effective(value: bytes) -> bool:
    """Whether the program has them from its start."""
    return bool(value[0] & _EFFECTIVE) if value else False
