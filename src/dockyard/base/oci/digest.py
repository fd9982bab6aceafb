"""Turns digest text into a checked :class:`Digest`, which may stand in a path.

OCI image-spec, descriptor.md, "Digests": ``algorithm ":" encoded``. Only registered algorithms,
and exactly their length: nothing else ever becomes part of a file name.
"""

from __future__ import annotations

from dockyard.base.errors import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    import hashlib

_LENGTHS = {"sha256": 64, "sha512": 128}
HEX = frozenset("0123456789abcdef")


class Digest(str):
    """``sha256:<64 hex>`` or ``sha512:<128 hex>``, known to be well formed."""

    __slots__ = ()

    @property
    def algorithm(self) -> str:
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        return self.partition(":")[2]

    @property
    def short(self) -> str:
        """The twelve digits that Docker shows."""
        return self.hex[:12]

    def hasher(self) -> hashlib._Hash:
        """A fresh hash of this digest's algorithm."""
        import hashlib

        return hashlib.new(self.algorithm)


def parse_digest(text: object, what: str = "digest") -> Digest:
    """A digest; :class:`Invalid` where it is none."""
    if not isinstance(text, str):
        raise Invalid(f"{what}: a digest is text, not {type(text).__name__}")
    algorithm, _, encoded = text.partition(":")
    length = _LENGTHS.get(algorithm)
    if length is None:
        raise Invalid(f"{what}: {text[:80]!r}: its algorithm is not sha256 or sha512")
    if len(encoded) != length or not HEX.issuperset(encoded):
        raise Invalid(f"{what}: {text[:140]!r}: not the lower-case hex digits of a {algorithm}")
    return Digest(text)


def digest_of(data: bytes) -> Digest:
    """The SHA-256 of some bytes."""
    return hash_document("sha256", data)


def hash_document(algorithm: str, data: bytes) -> Digest:
    """The digest of a few kilobytes, by CPython's own code: OpenSSL's, which is faster with
    layers, takes 2 ms to load."""
    try:
        from _sha256 import sha256  # type: ignore[import-not-found]
        from _sha512 import sha512  # type: ignore[import-not-found]
    except ImportError:
        from hashlib import sha256, sha512
    hasher = (sha256 if algorithm == "sha256" else sha512)(data)
    return Digest(f"{algorithm}:{hasher.hexdigest()}")
