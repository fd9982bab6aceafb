"""Turns manifests at a registry into what is about them: signatures, SBOMs, whatever there is.

OCI distribution-spec 1.1, "Listing Referrers"; what is about a referrer counts too.
"""

from collections.abc import Iterator

from dockyard.base.errors import Invalid
from dockyard.base.oci.descriptor import Descriptor, parse_descriptor
from dockyard.base.oci.digest import Digest
from dockyard.node.image.registry.client import RegistryClient
from dockyard.node.image.trust.attachments import referrers

MOST = 256
"""Of one image; a stranger can add as many as he likes."""
DEEPEST = 4


def every_referrer(
    client: RegistryClient, subjects: list[Digest], what: str
) -> Iterator[tuple[Digest, Descriptor, str]]:
    """Each once: its subject, its descriptor, its artifact type; the nearest first."""
    seen: set[str] = set(subjects)
    for _ in range(DEEPEST):
        fresh: list[Digest] = []
        for subject in subjects:
            for value in referrers(client, subject)[0]:
                entry = parse_descriptor(value, f"{what}: referrer of {subject}")
                if entry.digest in seen:
                    continue
                seen.add(entry.digest)
                if len(seen) > MOST:
                    raise Invalid(f"{what}: more than {MOST} referrers; refused")
                yield subject, entry, str(value.get("artifactType") or "")
                fresh.append(entry.digest)
        if not fresh:
            return
        subjects = fresh
