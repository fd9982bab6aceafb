"""Turns bytes that stream by into the kinds of secrets that they look like.

Only forms that their issuer fixed: a guess by entropy cries wolf. A literal is looked for first,
which is as fast as memory; the pattern only where that is there.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

OVERLAP = 8 << 10
"""Bytes of the last piece that are looked at again: no secret is missed at a seam."""


class _Form(NamedTuple):
    kind: str
    literal: bytes
    pattern: re.Pattern[bytes]


def _form(kind: str, literal: bytes, pattern: bytes) -> _Form:
    return _Form(kind, literal, re.compile(pattern))


_FORMS = (
    # a program that only knows the words has no base64 after them
    _form("private key", b"PRIVATE KEY",
          rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:\r?\n|\\n)"
          rb"(?:[A-Za-z-]{1,40}: [^\n]{0,200}\n){0,8}\s{0,4}[A-Za-z0-9+/=]{40}"),
    _form("AWS access key", b"AKIA", rb"(?<![A-Za-z0-9+/])AKIA[A-Z0-9]{16}(?![A-Za-z0-9+/])"),
    *(
        _form("GitHub token", word, rb"(?<![A-Za-z0-9_])gh[pousr]_[A-Za-z0-9]{36}(?![A-Za-z0-9])")
        for word in (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_")
    ),
    _form("GitHub token", b"github_pat_", rb"github_pat_[A-Za-z0-9_]{82}"),
    _form("GitLab token", b"glpat-", rb"(?<![A-Za-z0-9])glpat-[A-Za-z0-9_-]{20}"),
    _form("Slack token", b"xox", rb"(?<![A-Za-z0-9])xox[baprs]-[0-9]{6,}-[0-9A-Za-z-]{10,}"),
    _form("Google API key", b"AIza", rb"(?<![A-Za-z0-9_-])AIza[0-9A-Za-z_-]{35}(?![0-9A-Za-z_-])"),
    _form("npm token", b"npm_", rb"(?<![A-Za-z0-9_])npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
    _form("Stripe key", b"_live_", rb"(?<![A-Za-z0-9])[sr]k_live_[0-9A-Za-z]{24,}"),
    _form("PyPI token", b"pypi-AgEI", rb"pypi-AgEI[A-Za-z0-9_-]{50,}"),
)  # fmt: skip
_BY_NAME = (
    (re.compile(rb"(^|/)\.docker/config\.json$|(^|/)\.dockerc(fg|onfigjson)$"),
     re.compile(rb'"(?:auth|identitytoken)"\s*:\s*"[A-Za-z0-9+/=._-]{8,}"'),
     "registry credentials"),
    (re.compile(rb"(^|/)\.netrc$"), re.compile(rb"\bpassword\s+\S+"), "netrc password"),
    (re.compile(rb"(^|/)\.npmrc$"), re.compile(rb"_auth(?:Token)?\s*=\s*\S{8,}"),
     "npm credentials"),
    (re.compile(rb"(^|/)\.git-credentials$"), re.compile(rb"https?://[^\s:@]{1,255}:[^\s@]{1,1024}@"),
     "git credentials"),
    (re.compile(rb"(^|/)\.aws/credentials$"), re.compile(rb"aws_secret_access_key\s*=\s*\S+"),
     "AWS secret key"),
)  # fmt: skip
_TELLING = re.compile(r"passw(or)?d|secret|token|api_?key|private_?key|credential", re.IGNORECASE)


def looked_like(name: bytes, pieces: Iterable[bytes | memoryview]) -> list[str]:
    """The kinds of secrets in one file, each once. Reads all pieces."""
    forms = [(kind, pattern) for place, pattern, kind in _BY_NAME if place.search(name)]
    found: dict[str, None] = {}
    tail = b""
    for piece in pieces:
        window = tail + bytes(piece)
        for form in _FORMS:
            if form.kind not in found and form.literal in window and form.pattern.search(window):
                found[form.kind] = None
        for kind, pattern in forms:
            if pattern.search(window):
                found[kind] = None
        tail = window[-OVERLAP:]
    return list(found)


def telling_name(variable: str) -> bool:
    """Whether a variable's name says that its value is a secret."""
    return _TELLING.search(variable) is not None and not variable.upper().endswith("_FILE")
