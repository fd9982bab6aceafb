"""Turns digest text into a checked :class:`Digest`, which may stand in a path.

OCI image-spec, descriptor.md, "Digests": ``algorithm ":" encoded``. Only registered algorithms,
and exactly their length: nothing else ever becomes part of a file name.
"""

import hashlib
import re

from dockyard.base.errors import Invalid

_FORMS = {
    "sha256": re.compile(r"[a-f0-9]{64}"),
    "sha512": re.compile(r"[a-f0-9]{128}"),
}


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

    def hasher(self) -> "hashlib._Hash":
        """A fresh hash of this digest's algorithm."""
        return hashlib.new(self.algorithm)


def parse_digest(text: object, what: str = "digest") -> Digest:
    """A digest; :class:`Invalid` where it is none."""
    if not isinstance(text, str):
        raise Invalid(f"{what}: a digest is text, not {type(text).__name__}")
    algorithm, _, encoded = text.partition(":")
    form = _FORMS.get(algorithm)
    if form is None:
        raise Invalid(f"{what}: {text[:80]!r}: its algorithm is not sha256 or sha512")
    if form.fullmatch(encoded) is None:
        raise Invalid(f"{what}: {text[:140]!r}: not the lower-case hex digits of a {algorithm}")
    return Digest(text)


def digest_of(data: bytes) -> Digest:
    """The SHA-256 of some bytes."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())
