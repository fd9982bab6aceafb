"""Turns what a signature says into bytes to sign, and back: "simple signing".

containers/image, docs/containers-signature.5.md, and cosign's specs/SIGNATURE_SPEC.md: which
manifest, and by what name its signer knows it.
"""

from typing import Any, NamedTuple

from dockyard.base.errors import Invalid
from dockyard.base.oci.digest import Digest, parse_digest
from dockyard.base.oci.strictjson import decode_object, encode

TYPE = "cosign container image signature"
LARGEST = 1 << 20


class Claim(NamedTuple):
    """What somebody signed."""

    identity: str
    """The image's name, with or without a tag, as its signer wrote it."""
    digest: Digest
    """Of its manifest."""


def encode_claim(claim: Claim, creator: str, seconds: float) -> bytes:
    return encode(
        {
            "critical": {
                "identity": {"docker-reference": claim.identity},
                "image": {"docker-manifest-digest": claim.digest},
                "type": TYPE,
            },
            "optional": {"creator": creator, "timestamp": int(seconds)},
        }
    )


def parse_claim(data: bytes, what: str) -> Claim:
    """What bytes that a trusted key signed say; other members than these are refused."""
    value = decode_object(data, what, limit=LARGEST)
    if not {"critical"} <= set(value) <= {"critical", "optional"}:
        raise Invalid(f"{what}: `critical` and `optional` are its members")
    critical = _members(value["critical"], ("identity", "image", "type"), f"{what}: critical")
    identity = _members(critical["identity"], ("docker-reference",), f"{what}: identity")
    image = _members(critical["image"], ("docker-manifest-digest",), f"{what}: image")
    if critical["type"] != TYPE:
        raise Invalid(f"{what}: type: {str(critical['type'])[:80]!r}: {TYPE!r} is expected")
    name = identity["docker-reference"]
    if not isinstance(name, str):
        raise Invalid(f"{what}: docker-reference: a text is expected")
    return Claim(name, parse_digest(image["docker-manifest-digest"], what))


def _members(value: Any, names: tuple[str, ...], what: str) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != set(names):
        raise Invalid(f"{what}: an object of exactly {', '.join(names)} is expected")
    return value
