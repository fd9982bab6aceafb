"""Turns checked names into the paths under which a registry keeps things.

A repository's own folders begin with ``_``, which no part of a name does.
"""

from __future__ import annotations

from dockyard.base.oci.digest import Digest
from dockyard.node.image.registry.server.names import Repository, Tag

BLOBS, REPOSITORIES, UPLOADS = "blobs", "repositories", "uploads"
LINKS, MANIFESTS, TAGS, REFERRERS = "_blobs", "_manifests", "_tags", "_referrers"


def blob(digest: Digest) -> str:
    """The bytes of a blob or manifest, once for all repositories."""
    return f"{BLOBS}/{digest.algorithm}/{digest.hex[:2]}/{digest.hex}"


def repository(name: str) -> str:
    return f"{REPOSITORIES}/{name}"


def links(name: Repository) -> str:
    """The folder of a repository's blobs, by algorithm."""
    return f"{REPOSITORIES}/{name}/{LINKS}"


def link(name: Repository, digest: Digest) -> str:
    """An empty file: the repository has this blob."""
    return f"{REPOSITORIES}/{name}/{LINKS}/{digest.algorithm}/{digest.hex}"


def manifests(name: Repository) -> str:
    return f"{REPOSITORIES}/{name}/{MANIFESTS}"


def manifest(name: Repository, digest: Digest) -> str:
    """What a repository knows of a manifest: its type and size."""
    return f"{REPOSITORIES}/{name}/{MANIFESTS}/{digest.algorithm}/{digest.hex}"


def tags(name: Repository) -> str:
    return f"{REPOSITORIES}/{name}/{TAGS}"


def tag(name: Repository, word: Tag) -> str:
    """The digest that a tag stands for."""
    return f"{REPOSITORIES}/{name}/{TAGS}/{word}"


def referrers(name: Repository, subject: Digest) -> str:
    return f"{REPOSITORIES}/{name}/{REFERRERS}/{subject.algorithm}/{subject.hex}"


def referrer(name: Repository, subject: Digest, digest: Digest) -> str:
    """The descriptor of a manifest that has a subject."""
    return f"{referrers(name, subject)}/{digest.algorithm}-{digest.hex}"


def upload(identifier: str) -> str:
    """What has come of a blob."""
    return f"{UPLOADS}/{identifier}"


def session(identifier: str) -> str:
    """Whose upload it is, since when."""
    return f"{UPLOADS}/{identifier}.json"
