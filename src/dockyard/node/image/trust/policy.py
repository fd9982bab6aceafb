"""Turns ``policy.json`` into what is demanded of an image before it is taken.

containers-policy.json(5). As strict as the manual says: a file with an unknown or doubled member
lets nothing in. Pure but for :func:`find_policy`, which reads.
"""

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from dockyard.base.errors import Denied, Invalid
from dockyard.base.oci.reference import Reference
from dockyard.base.oci.strictjson import decode_object
from dockyard.node.image.trust.identity import Identity, parse_identity

LARGEST = 4 << 20
ACCEPT, REJECT, SIGSTORE = "insecureAcceptAnything", "reject", "sigstoreSigned"
_KEY_MEMBERS = ("keyPath", "keyPaths", "keyData", "keyDatas")
_BEYOND = (
    "fulcio", "pki", "rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData",
    "rekorPublicKeyDatas",
)  # fmt: skip
"""Members of sigstoreSigned that need a certificate authority or a log."""
_OTHERS = ("signedBy", "signedBaseLayer")
"""Types that the manual has and we cannot check: images that need them are refused."""


class Requirement(NamedTuple):
    """One demand. ``paths`` and ``datas`` (base64): of public keys; any one of them will do."""

    kind: str
    paths: tuple[str, ...] = ()
    datas: tuple[str, ...] = ()
    identity: Identity = Identity()
    beyond: str = ""
    """What of it is not implemented."""


Requirements = tuple[Requirement, ...]


class Ruling(NamedTuple):
    """What applies to one image, and where it is written."""

    requirements: Requirements
    source: str


class Policy(NamedTuple):
    """A file's whole content."""

    path: str
    default: Requirements
    transports: dict[str, dict[str, Requirements]]

    def for_image(self, name: Reference) -> Ruling:
        """The most specific scope's requirements, and no other's."""
        scopes = self.transports.get("docker", {})
        for scope in scopes_of(name):
            if scope in scopes:
                shown = f"docker: {scope}" if scope else "docker"
                return Ruling(scopes[scope], f"{self.path} ({shown})")
        return Ruling(self.default, f"{self.path} (default)")

    def for_archive(self, transport: str) -> Ruling:
        """Of an archive as a whole: the transport's own default, or the file's."""
        scopes = self.transports.get(transport, {})
        if "" in scopes:
            return Ruling(scopes[""], f"{self.path} ({transport})")
        return Ruling(self.default, f"{self.path} (default)")


def scopes_of(name: Reference) -> Iterator[str]:
    """From the image itself up to its registry, then wildcards of its domain, then all."""
    yield f"{name.name}@{name.digest}" if name.digest else str(name)
    path = name.name
    while path:
        yield path
        path = path.rpartition("/")[0]
    host = name.registry.partition(":")[0] if not name.registry.startswith("[") else ""
    while "." in host:
        host = host.partition(".")[2]
        yield f"*.{host}"
    yield ""


def find_policy(data_root: str) -> Policy | None:
    """The first policy there is: the data root's, the user's, the machine's; None without any."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    for folder in (data_root, os.path.join(home, "containers"), "/etc/containers"):
        path = os.path.join(folder, "policy.json")
        try:
            with open(path, "rb") as file:
                return parse_policy(file.read(LARGEST + 1), path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise Denied(f"policy: {path}: {error.strerror}; no image is taken without it") from (
                error
            )
    return None


def parse_policy(data: bytes, path: str) -> Policy:
    """The policy, or :class:`Invalid` with the member that is wrong."""
    what = f"policy: {path}"
    value = decode_object(data, what, limit=LARGEST)
    _only(value, ("default", "transports"), what)
    if "default" not in value:
        raise Invalid(f"{what}: `default` is required")
    transports: dict[str, dict[str, Requirements]] = {}
    for transport, scopes in _object(value.get("transports", {}), f"{what}: transports").items():
        where = f"{what}: {transport}"
        found = _object(scopes, where).items()
        transports[transport] = {
            scope: _requirements(rules, f"{where}: {scope}") for scope, rules in found
        }
    return Policy(path, _requirements(value["default"], f"{what}: default"), transports)


def _requirements(value: Any, what: str) -> Requirements:
    if not isinstance(value, list) or not value:
        raise Invalid(f"{what}: a list of at least one requirement is expected")
    return tuple(_requirement(_object(item, what), what) for item in value)


def _requirement(value: dict[str, Any], what: str) -> Requirement:
    kind = value.get("type")
    if kind in (ACCEPT, REJECT):
        _only(value, ("type",), f"{what}: {kind}")
        return Requirement(kind)
    if kind == SIGSTORE:
        return _sigstore(value, f"{what}: {kind}")
    if kind in _OTHERS:
        return Requirement(kind, beyond=f"`{kind}`")
    names = (ACCEPT, REJECT, SIGSTORE, *_OTHERS)
    raise Invalid(f"{what}: type {str(kind)[:40]!r}: one of {', '.join(names)} is expected")


def _sigstore(value: dict[str, Any], what: str) -> Requirement:
    _only(value, ("type", "signedIdentity", *_KEY_MEMBERS, *_BEYOND), what)
    identity = parse_identity(value.get("signedIdentity"), what)
    beyond = next((f"`{name}`" for name in _BEYOND if name in value), "")
    given = [name for name in _KEY_MEMBERS if name in value]
    if len(given) != 1 and not beyond:
        raise Invalid(f"{what}: exactly one of {', '.join(_KEY_MEMBERS)} is required")
    texts: dict[str, tuple[str, ...]] = {}
    for name in given:
        found = value[name] if name.endswith("s") else [value[name]]
        if not isinstance(found, list) or not found or not all(_is_text(each) for each in found):
            raise Invalid(f"{what}: {name}: text is expected")
        texts[name.removesuffix("s")] = tuple(found)
    return Requirement(
        SIGSTORE, texts.get("keyPath", ()), texts.get("keyData", ()), identity, beyond
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Invalid(f"{what}: an object is expected")
    return value


def _only(value: dict[str, Any], names: tuple[str, ...], what: str) -> None:
    for name in value:
        if name not in names:
            raise Invalid(f"{what}: unknown member {name[:80]!r}; only {', '.join(names)}")
