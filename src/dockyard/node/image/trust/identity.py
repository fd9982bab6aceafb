"""Turns a policy's ``signedIdentity`` into whether a signature's name is the one wanted.

containers-policy.json(5), "signedIdentity". Pure.
"""

from typing import Any, NamedTuple

from dockyard.base.errors import Invalid
from dockyard.base.oci.reference import Reference, parse_reference

_FIELDS = {
    "matchExact": (),
    "matchRepoDigestOrExact": (),
    "matchRepository": (),
    "exactReference": ("dockerReference",),
    "exactRepository": ("dockerRepository",),
    "remapIdentity": ("prefix", "signedPrefix"),
}


class Identity(NamedTuple):
    """A rule: its type and the values of its members, in the manual's order."""

    kind: str = "matchRepoDigestOrExact"
    values: tuple[str, ...] = ()

    def accepts(self, wanted: Reference, signed: str) -> bool:
        """Whether ``signed``, which is text of the signer's, may stand for ``wanted``."""
        try:
            name = parse_reference(signed)
        except Invalid:
            return False
        explicit = ":" in signed.rpartition("/")[2] or "@" in signed
        found = str(name) if explicit else name.name
        if self.kind == "exactReference":
            return found == str(parse_reference(self.values[0]))
        if self.kind == "exactRepository":
            return name.name == parse_reference(self.values[0]).name
        if self.kind == "matchRepository":
            return name.name == wanted.name
        if self.kind == "matchExact":
            return wanted.digest is None and found == str(wanted)
        if self.kind == "remapIdentity":
            wanted = parse_reference(self._remapped(wanted.name) + wanted.suffix)
        return name.name == wanted.name if wanted.digest else found == str(wanted)

    def _remapped(self, name: str) -> str:
        prefix, signed = self.values
        if name == prefix or name.startswith(prefix + "/"):
            return signed + name[len(prefix) :]
        return name


def parse_identity(value: Any, what: str) -> Identity:
    """Strict, as the manual says: another member, or one less, is an error."""
    if value is None:
        return Identity()
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise Invalid(f"{what}: signedIdentity: type {str(kind)[:40]!r}: one of "
                      f"{', '.join(_FIELDS)} is expected")  # fmt: skip
    names = _FIELDS[kind]
    if set(value) != {"type", *names} or not all(isinstance(value[name], str) for name in names):
        raise Invalid(f"{what}: signedIdentity: {kind}: takes exactly {', '.join(names) or 'type'}")
    values = tuple(value[name] for name in names)
    for text in values:
        parse_reference(f"{text}/name" if kind == "remapIdentity" else text)
    if (
        kind == "exactReference"
        and ":" not in values[0].rpartition("/")[2]
        and "@" not in (values[0])
    ):
        raise Invalid(f"{what}: signedIdentity: dockerReference: {values[0]!r}: has no tag")
    return Identity(kind, values)
