"""Turns a sealed text and its key into the plain text: NaCl's secretbox (XSalsa20 and Poly1305).

Private keys of cosign are sealed so, and no library here has Salsa20 (D. J. Bernstein, "The Salsa20
family of stream ciphers" and "Extending the Salsa20 nonce"). For texts of a few hundred bytes.
"""

import struct

from dockyard.base.errors import Invalid

KEY, NONCE, TAG = 32, 24, 16
_SIGMA = struct.unpack("<4I", b"expand 32-byte k")
_MASK = 0xFFFFFFFF
_COLUMNS = ((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11))
_ROWS = ((0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14))


def seal(plain: bytes, nonce: bytes, key: bytes) -> bytes:
    """Tag and ciphertext."""
    stream = _stream(32 + len(plain), nonce, key)
    sealed = _xor(plain, stream[32:])
    return _tag(stream[:32], sealed) + sealed


def unseal(sealed: bytes, nonce: bytes, key: bytes, what: str) -> bytes:
    """The plain text; :class:`Invalid` where the key is another one's or a bit was changed."""
    import hmac

    stream = _stream(32 + len(sealed), nonce, key)
    tag, body = sealed[:TAG], sealed[TAG:]
    if len(sealed) < TAG or not hmac.compare_digest(tag, _tag(stream[:32], body)):
        raise Invalid(f"{what}: the passphrase is not this key's, or the file is damaged")
    return _xor(body, stream[32:])


def _tag(key: bytes, sealed: bytes) -> bytes:
    from cryptography.hazmat.primitives.poly1305 import Poly1305

    return Poly1305.generate_tag(key, sealed)


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(left, right, strict=False))


def _stream(length: int, nonce: bytes, key: bytes) -> bytes:
    words = _rounds(_state(key, struct.unpack("<4I", nonce[:16])))
    inner = struct.pack("<8I", *(words[at] for at in (0, 5, 10, 15, 6, 7, 8, 9)))
    blocks = []
    for number in range(-(-length // 64)):
        counter = struct.unpack("<4I", nonce[16:] + struct.pack("<Q", number))
        state = _state(inner, counter)
        mixed = _rounds(state)
        sums = ((one + other) & _MASK for one, other in zip(mixed, state, strict=True))
        blocks.append(struct.pack("<16I", *sums))
    return b"".join(blocks)[:length]


def _state(key: bytes, middle: tuple[int, ...]) -> list[int]:
    words = struct.unpack("<8I", key)
    return [_SIGMA[0], *words[:4], _SIGMA[1], *middle, _SIGMA[2], *words[4:], _SIGMA[3]]


def _rounds(state: list[int]) -> list[int]:
    """Twenty rounds of Salsa20, without the sum at the end."""
    words = list(state)
    for _ in range(10):
        for a, b, c, d in (*_COLUMNS, *_ROWS):
            for to, one, other, bits in ((b, a, d, 7), (c, b, a, 9), (d, c, b, 13), (a, d, c, 18)):
                total = (words[one] + words[other]) & _MASK
                words[to] ^= (total << bits | total >> (32 - bits)) & _MASK
    return words
