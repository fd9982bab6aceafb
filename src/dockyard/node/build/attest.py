"""Turns what is known of a build into in-toto statements: its provenance (SLSA) and its packages.

Stored as BuildKit stores them (its docs/attestations): a manifest beside each image of an index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from dockyard.base.errors import Invalid, Unsupported
from dockyard.node.build.ownargs import truth

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dockyard.base.oci.digest import Digest

STATEMENT = "https://in-toto.io/Statement/v1"
SPDX = "https://spdx.dev/Document"
PROVENANCE = {"v1": "https://slsa.dev/provenance/v1", "v0.2": "https://slsa.dev/provenance/v0.2"}
_MODES = ("min", "max")
_KINDS = ("sbom", "provenance")


class Provenance(NamedTuple):
    """How much of a build's history is told."""

    mode: str = "max"
    """``min`` leaves out build arguments, secrets' names and the Dockerfile."""
    version: str = "v1"
    builder: str = ""
    """A URL that names who has built."""
    reproducible: bool = False
    inline_only: bool = False
    """Whether outputs that are no images go without it."""
    filename: str = "provenance.json"


class Attestations(NamedTuple):
    """What is to be stated of each image."""

    sbom: bool = False
    provenance: Provenance | None = None

    def __bool__(self) -> bool:
        return self.sbom or self.provenance is not None


class Statement(NamedTuple):
    """One statement about one image."""

    kind: str
    """The predicate's type."""
    filename: str
    """In outputs that are files."""
    document: dict[str, Any]


def parse(told: Sequence[Mapping[str, str]]) -> Attestations:
    """``type=KIND,key=value``; the last of a kind counts. Raises :class:`Invalid` with the key."""
    found = Attestations()
    for each in told:
        values = dict(each)
        kind = values.pop("type", "")
        if kind not in _KINDS:
            raise Invalid(f"build: --attest type={kind[:40]}: unknown attestation type; "
                          f"{' and '.join(_KINDS)} are known")  # fmt: skip
        on = not _switch(values, "disabled", kind)
        if kind == "sbom":
            if values.get("generator"):
                name = values["generator"][:80]
                raise Unsupported(f"build: --attest type=sbom,generator={name}: not implemented; "
                                  "the packages are listed without a generator")  # fmt: skip
            _refuse_rest(values, ("generator",), kind)
            found = found._replace(sbom=on)
        else:
            found = found._replace(provenance=_provenance(values) if on else None)
    return found


def _provenance(values: dict[str, str]) -> Provenance:
    mode = values.pop("mode", None) or "max"
    version = values.pop("version", None) or "v1"
    if mode not in _MODES:
        raise Invalid(f"build: --attest type=provenance,mode={mode[:40]}: min or max is expected")
    if version not in PROVENANCE:
        raise Invalid(f"build: --attest type=provenance,version={version[:40]}: "
                      f"{' or '.join(PROVENANCE)} is expected")  # fmt: skip
    filename = values.pop("filename", "") or "provenance.json"
    if "/" in filename or filename in (".", ".."):
        raise Invalid(f"build: --attest type=provenance,filename={filename[:80]}: a name without /")
    found = Provenance(
        mode,
        version,
        values.pop("builder-id", ""),
        _switch(values, "reproducible", "provenance"),
        _switch(values, "inline-only", "provenance"),
        filename,
    )
    _refuse_rest(values, (), "provenance")
    return found


def _switch(values: dict[str, str], name: str, kind: str) -> bool:
    text = values.pop(name, "false")
    found = truth(text)
    if found is None:
        raise Invalid(f"build: --attest type={kind},{name}={text[:40]}: true or false is expected")
    return found


def _refuse_rest(values: Mapping[str, str], known: tuple[str, ...], kind: str) -> None:
    for name in values:
        if name not in known:
            raise Invalid(f"build: --attest type={kind},{name[:40]}: unknown parameter")


def statement(kind: str, subjects: Sequence[str], digest: Digest, predicate: Any) -> dict[str, Any]:
    """in-toto's frame around a predicate (in-toto/attestation, spec/v1/statement.md)."""
    return {
        "_type": STATEMENT,
        "predicateType": kind,
        "subject": [
            {"name": name, "digest": {digest.algorithm: digest.hex}} for name in subjects or ("_",)
        ],
        "predicate": predicate,
    }
