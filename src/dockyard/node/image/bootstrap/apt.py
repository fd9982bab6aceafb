"""Turns package names into package files, through the host's own apt and its trust.

Only what programs need at run time: no maintainer script runs in an image, so what packages
depend on for their scripts' sake is left out (:data:`FOR_SCRIPTS`).
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from typing import NamedTuple

from dockyard.base.errors import Corrupt, Invalid, NotFound, Unavailable, Unsupported

FOR_SCRIPTS = frozenset(
    "adduser awk cdebconf debconf debconf-2.0 debianutils dpkg gawk init-system-helpers "
    "install-info libc-bin lsb-base mailcap mawk media-types mime-support netbase original-awk "
    "passwd perl perl-base procps sensible-utils systemd sysvinit-utils tar tzdata ucf "
    "usr-is-merged usrmerge".split()
)
"""Dependencies that only installing, removing or configuring needs."""

_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
_ROUNDS = 40
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")  # Debian Policy, section 5.6.7


class Package(NamedTuple):
    """The version that apt would install."""

    name: str
    version: str
    architecture: str
    sha256: str
    depends: tuple[tuple[str, ...], ...]
    """All of these, each one of several."""


def closure(names: tuple[str, ...], cache: str) -> list[Package]:
    """The packages and all they need to run, by name. ``cache``: a folder for apt's index."""
    if shutil.which("apt-cache") is None:
        raise Unsupported("packages: this host has no apt; use a Debian host, or `image import`")
    for name in names:
        if _NAME.fullmatch(name) is None:
            raise Invalid(f"packages: {name[:80]!r} is no package's name")
    found: dict[str, Package] = {}
    wanted = dict.fromkeys(names)
    for _ in range(_ROUNDS):
        missing = [name for name in wanted if name not in found]
        if not missing:
            return [found[name] for name in sorted(found)]
        found |= describe(missing, cache)
        unknown = [name for name in missing if name not in found]
        if unknown:
            raise NotFound(f"packages: {', '.join(unknown)}: apt knows none; run `apt-get update`?")
        wanted = dict.fromkeys(wanted)
        for name in missing:
            for choices in found[name].depends:
                choice = _choose(choices, wanted)
                if choice:
                    wanted[choice] = None
    raise Corrupt("packages: the dependencies have no end")


def fetch(packages: list[Package], cache: str) -> list[str]:
    """Paths of the package files, in the same order; what the cache lacks is downloaded."""
    os.makedirs(cache, 0o700, exist_ok=True)
    paths = [os.path.join(cache, f"{package.sha256}.deb") for package in packages]
    missing = [
        package for package, path in zip(packages, paths, strict=True) if not os.path.exists(path)
    ]
    if missing:
        _download(missing, cache)
    return paths


def describe(names: list[str], cache: str) -> dict[str, Package]:
    """What apt knows of these packages; a name that it does not know is left out."""
    os.makedirs(cache, 0o700, exist_ok=True)
    # container images of Debian switch apt's index off: then each question builds it anew
    index = f"Dir::Cache::pkgcache={os.path.abspath(cache)}/pkgcache.bin"
    words = ["apt-cache", "-o", index, "show", "--no-all-versions", *names]
    shown = _run(words, accept=(0, 100))
    found: dict[str, Package] = {}
    for stanza in shown.split("\n\n"):
        fields = _fields(stanza)
        if "Package" in fields and "SHA256" in fields:
            package = _package(fields)
            found.setdefault(package.name, package)
    return found


def _choose(choices: tuple[str, ...], wanted: dict[str, None]) -> str | None:
    if any(name in wanted or name in FOR_SCRIPTS for name in choices):
        return None
    return choices[0]


def _package(fields: dict[str, str]) -> Package:
    relations = ", ".join(fields[key] for key in ("Pre-Depends", "Depends") if fields.get(key))
    return Package(
        fields["Package"],
        fields["Version"],
        fields["Architecture"],
        fields["SHA256"],
        tuple(
            tuple(choice.split()[0].partition(":")[0] for choice in group.split("|"))
            for group in relations.split(",")
            if group.strip()
        ),
    )


def _fields(stanza: str) -> dict[str, str]:
    """deb822(5): continuation lines (descriptions, checksums of sources) are not needed."""
    found: dict[str, str] = {}
    for line in stanza.splitlines():
        key, colon, value = line.partition(": ")
        if colon and not line.startswith(" "):
            found[key] = value.strip()
    return found


def _download(packages: list[Package], cache: str) -> None:
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        names = [f"{item.name}:{item.architecture}={item.version}" for item in packages]
        names = [name.replace(":all=", "=") for name in names]
        _run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *names], cwd=folder)
        got = {_sha256(os.path.join(folder, name)): name for name in os.listdir(folder)}
        for package in packages:
            if package.sha256 not in got:
                raise Corrupt(
                    f"package: {package.name} {package.version}: what came is not what apt's list "
                    "promises; run `apt-get update`"
                )
            source = os.path.join(folder, got[package.sha256])
            os.rename(source, os.path.join(cache, f"{package.sha256}.deb"))


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _run(words: list[str], *, cwd: str | None = None, accept: tuple[int, ...] = (0,)) -> str:
    environment = _ENVIRONMENT | {
        key: value for key, value in os.environ.items() if key.lower().endswith("_proxy")
    }
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, env=environment)
    if done.returncode not in accept:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or ["no reason given"]
        raise Unavailable(f"{words[0]}: exit status {done.returncode}: {last[0]}")
    return done.stdout
