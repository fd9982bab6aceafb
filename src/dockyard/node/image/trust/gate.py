"""Turns the policy and a manifest that came into leave to fetch the rest, or a refusal."""

import base64
import binascii
from itertools import chain
from typing import TYPE_CHECKING

from dockyard.base.errors import DockyardError, Invalid, Unsupported
from dockyard.base.oci.digest import Digest
from dockyard.base.oci.reference import Reference
from dockyard.node.image.registry.client import RegistryClient
from dockyard.node.image.trust.policy import (
    ACCEPT,
    REJECT,
    Requirement,
    Ruling,
    find_policy,
)
from dockyard.node.image.trust.refusal import PolicyRefused, SignatureRefused

if TYPE_CHECKING:
    from dockyard.node.image.trust.keys import PublicKey


def admit(
    data_root: str, client: RegistryClient, name: Reference, digests: tuple[Digest, ...]
) -> None:
    """Nothing, or :class:`PolicyRefused`. ``digests``: of the manifest and, where it came out of
    an index, of that: who signed the index signed what it names."""
    policy = find_policy(data_root)
    if policy is None:
        return
    ruling = policy.for_image(name)
    for requirement in ruling.requirements:
        _check(requirement, ruling, client, name, digests)


def admit_archive(data_root: str, transport: str, what: str) -> None:
    """An archive carries no signatures: what demands one refuses it."""
    policy = find_policy(data_root)
    if policy is None:
        return
    ruling = policy.for_archive(transport)
    for requirement in ruling.requirements:
        if requirement.kind != ACCEPT:
            raise PolicyRefused(f"{what}: refused by {ruling.source}: {requirement.kind}")


def _check(
    requirement: Requirement,
    ruling: Ruling,
    client: RegistryClient,
    name: Reference,
    digests: tuple[Digest, ...],
) -> None:
    if requirement.kind == ACCEPT:
        return
    refused = f"image {name}: refused by {ruling.source}"
    if requirement.kind == REJECT:
        raise PolicyRefused(f"{refused}: images of there are rejected")
    if requirement.beyond:
        raise PolicyRefused(f"{refused}: {requirement.beyond}: not implemented, so nothing is "
                            "accepted by it; use sigstoreSigned with a key")  # fmt: skip
    from dockyard.node.image.trust.attachments import find
    from dockyard.node.image.trust.verify import Judged

    judged = Judged(_keys(requirement, refused), digests)
    wrong: list[str] = []
    found = chain.from_iterable(find(client, digest) for digest in dict.fromkeys(digests))
    try:
        for claim in judged.claims(found):
            if requirement.identity.accepts(name, claim.identity):
                return
            wrong.append(f"a signature for {claim.identity[:300]!r}, which "
                         f"{requirement.identity.kind} does not allow")  # fmt: skip
    except (Invalid, Unsupported) as error:
        wrong.append(str(error))
    judged.reasons.extend(wrong)
    raise SignatureRefused(f"{refused}: a signature is required, and {judged.why()}")


def _keys(requirement: Requirement, refused: str) -> "tuple[PublicKey, ...]":
    from dockyard.node.image.trust.keys import load_public, read_file

    try:
        pems = [(read_file(path), path) for path in requirement.paths]
        given = [base64.b64decode(data, validate=True) for data in requirement.datas]
        pems += [(pem, "keyData") for pem in given]
        return tuple(load_public(pem, f"key: {where}") for pem, where in pems)
    except (binascii.Error, ValueError, DockyardError) as error:
        raise PolicyRefused(f"{refused}: {error}") from error
