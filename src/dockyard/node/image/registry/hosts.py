"""Turns what the user configured about registries into rules: credentials, trust, plain HTTP."""

from __future__ import annotations

from dockyard.base.typed import NamedTuple

CERT_DIRS = ("/etc/dockyard/certs.d", "/etc/containers/certs.d", "/etc/docker/certs.d")

REGISTRIES = ("/etc/dockyard/registries.conf", "/etc/containers/registries.conf")


class Credentials(NamedTuple):
    """Who we are to one registry. ``token`` is a bearer token that is sent as it is; ``refresh``
    an identity token, for which the token server gives one."""

    username: str = ""
    password: str = ""
    token: str = ""
    refresh: str = ""

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r})"


class Hosts(NamedTuple):
    """How registries are reached.

    ``insecure``: ``host[:port]`` that may speak plain HTTP or show any certificate; loopback hosts
    always may. ``cert_dirs``: folders with ``<host[:port]>/*.crt`` to trust, and ``*.cert`` with
    ``*.key`` to show (docker's certs.d). ``auth_file``: docker's config.json; None means where
    docker has it. ``registries``: containers-registries.conf(5) files; the first that exists
    counts, with its ``.d`` folder.
    """

    insecure: frozenset[str] = frozenset()
    cert_dirs: tuple[str, ...] = CERT_DIRS
    auth_file: str | None = None
    registries: tuple[str, ...] = REGISTRIES
