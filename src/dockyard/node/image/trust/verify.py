"""Turns signatures and keys into the claim that one of them proves, or why none does."""

from collections.abc import Iterable

from dockyard.base.errors import Invalid
from dockyard.base.oci.digest import Digest
from dockyard.node.image.trust.attachments import Signature
from dockyard.node.image.trust.keys import PublicKey, verifies
from dockyard.node.image.trust.payload import Claim, parse_claim


class Judged:
    """What was found while signatures were looked at; ``reasons`` has one line for each refused."""

    def __init__(self, keys: tuple[PublicKey, ...], digests: tuple[Digest, ...]) -> None:
        self._keys = keys
        self._digests = digests
        self.reasons: list[str] = []

    def claims(self, signatures: Iterable[Signature]) -> Iterable[Claim]:
        """What one of the keys signed about one of the digests. Nothing of a payload is believed
        before its signature is."""
        for found in signatures:
            if not any(verifies(key, found.proof, found.data) for key in self._keys):
                self.reasons.append("a signature by another key")
                continue
            try:
                claim = parse_claim(found.data, found.where)
            except Invalid as error:
                self.reasons.append(str(error))
                continue
            if claim.digest not in self._digests:
                self.reasons.append(f"a signature of another image, {claim.digest}")
                continue
            yield claim

    def why(self) -> str:
        """For an error."""
        if not self.reasons:
            return "it has no signature"
        return f"none of its signatures is accepted: {'; '.join(dict.fromkeys(self.reasons))[:600]}"
