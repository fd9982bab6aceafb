"""Turns the build arguments that steer the builder itself (``BUILDKIT_...``) into choices
(Dockerfile reference, "BuildKit built-in build args")."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.errors import Invalid, Unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping

OWN_SYNTAX = re.compile(r"(docker\.io/)?docker/dockerfile(-upstream)?(:|@|$)")
"""Frontends whose language is the one that is understood here."""
HOSTNAME = "buildkitsandbox"
CHECK = "BUILDKIT_DOCKERFILE_CHECK"
EPOCH = "SOURCE_DATE_EPOCH"
_BUILT_IN = "dockerfile.v0"
_ATTEST = "BUILDKIT_ATTEST_"
_KNOWN = frozenset(
    (
        "BUILDKIT_CACHE_MOUNT_NS", "BUILDKIT_CONTEXT_KEEP_GIT_DIR", "BUILDKIT_INLINE_CACHE",
        "BUILDKIT_MULTI_PLATFORM", "BUILDKIT_SANDBOX_HOSTNAME", "BUILDKIT_SYNTAX", CHECK, EPOCH,
    )
)  # fmt: skip
_WITHOUT_EFFECT = {
    "BUILDKIT_BUILD_NAME": "builds are kept in no history here",
    "BUILDKIT_SBOM_SCAN_CONTEXT": "only what the image has is listed",
    "BUILDKIT_SBOM_SCAN_STAGE": "only what the image has is listed",
}
_GONE = {"BUILDKIT_DISABLE_FILEOP": "support for it was removed in BuildKit 0.11"}
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


class Wishes(NamedTuple):
    """What they ask for."""

    cache_space: str = ""
    """Cache mounts of one space are apart from those of another."""
    keeps_git: bool = False
    """Whether a context from git has its ``.git``."""
    inline_cache: bool = False
    """Whether the image says which step made which of its layers."""
    is_index: bool = False
    """An index also of one platform."""
    hostname: str = HOSTNAME
    """Of RUN."""
    any_syntax: bool = False
    """Whether ``# syntax=`` was overruled."""
    attestations: tuple[tuple[str, str], ...] = ()
    """Kind and its parameters: ``BUILDKIT_ATTEST_SBOM=...``."""
    notes: tuple[str, ...] = ()
    """What was asked for in vain."""


def wishes(given: Mapping[str, str]) -> Wishes:
    """Raises :class:`Invalid` or :class:`Unsupported` with the argument's name."""
    for name in given:
        if name in _GONE:
            raise Unsupported(f"build: --build-arg {name}: {_GONE[name]}")
    hostname = given.get("BUILDKIT_SANDBOX_HOSTNAME") or HOSTNAME
    if _LABEL.fullmatch(hostname) is None:
        raise Invalid(
            f"build: --build-arg BUILDKIT_SANDBOX_HOSTNAME={hostname[:80]}: a host's name of "
            "letters, digits, - and . is expected, 64 characters at most"
        )
    syntax = given.get("BUILDKIT_SYNTAX", "")
    if syntax and syntax != _BUILT_IN and OWN_SYNTAX.match(syntax) is None:
        raise Unsupported(
            f"build: --build-arg BUILDKIT_SYNTAX={syntax[:200]}: other frontends: not implemented; "
            f"{_BUILT_IN} names the one that is here"
        )
    return Wishes(
        cache_space=given.get("BUILDKIT_CACHE_MOUNT_NS", ""),
        keeps_git=_switch(given, "BUILDKIT_CONTEXT_KEEP_GIT_DIR"),
        inline_cache=_switch(given, "BUILDKIT_INLINE_CACHE"),
        is_index=_switch(given, "BUILDKIT_MULTI_PLATFORM"),
        hostname=hostname,
        any_syntax=bool(syntax),
        attestations=tuple(
            (name.removeprefix(_ATTEST).lower(), value)
            for name, value in given.items()
            if name.startswith(_ATTEST)
        ),
        notes=tuple(
            f"[Warning] build-arg {name}: {reason}; it has no effect"
            for name, reason in _WITHOUT_EFFECT.items()
            if name in given
        ),
    )


def is_own(name: str) -> bool:
    """Whether a build argument needs no ARG to be of use."""
    return name in _KNOWN or name in _WITHOUT_EFFECT or name.startswith(_ATTEST)


def truth(text: str) -> bool | None:
    """A switch as docker's programs read it (Go's ``strconv.ParseBool``); None for other text."""
    return True if text in _TRUE else False if text in _FALSE else None


def _switch(given: Mapping[str, str], name: str) -> bool:
    text = given.get(name)
    if text is None:
        return False
    found = truth(text)
    if found is None:
        raise Invalid(f"build: --build-arg {name}={text[:40]}: true or false is expected")
    return found
