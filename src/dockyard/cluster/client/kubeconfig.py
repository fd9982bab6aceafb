"""Turns kubeconfig files into the way to one cluster: URL, TLS, token, namespace.

Several files are one, where the first that says something counts (kubernetes.io, "Organizing
Cluster Access Using kubeconfig Files"). Relative paths are relative to the file that names them.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dockyard.base.errors import DockyardError, Invalid, NotFound, Unsupported
from dockyard.cluster.meta.decodeyaml import decode_manifest

PATHS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
UNSUPPORTED = ("exec", "auth-provider", "username", "as", "proxy-url")


class Access(NamedTuple):
    """How to reach a cluster, and as whom."""

    server: str
    tls: ssl.SSLContext | None
    token: str
    namespace: str


def load(files: Sequence[Path], context: str = "") -> Access:
    """The current context, or one by name. Raises NotFound, Invalid, Unsupported."""
    merged = _merged(files)
    name = context or merged["current-context"]
    if not name:
        raise Invalid(f"kubeconfig: {_names(files)}: has no current-context; give --context")
    chosen = _named(merged, "contexts", name, files)
    cluster = _named(merged, "clusters", str(chosen.get("cluster", "")), files)
    user = _named(merged, "users", str(chosen["user"]), files) if chosen.get("user") else {}
    for field in UNSUPPORTED:
        if user.get(field) or cluster.get(field):
            raise Unsupported(f"kubeconfig: {_names(files)}: {field}: is not implemented; use a "
                              "client certificate or a token")  # fmt: skip
    server = str(cluster.get("server", ""))
    token = str(user.get("token") or "")
    if not token and user.get("tokenFile"):
        token = Path(user["tokenFile"]).read_text().strip()
    tls = _tls(cluster, user) if server.startswith("https://") else None
    return Access(server, tls, token, str(chosen.get("namespace") or "default"))


def _names(files: Sequence[Path]) -> str:
    return os.pathsep.join(map(str, files))


def _merged(files: Sequence[Path]) -> dict[str, Any]:
    found: dict[str, Any] = {"current-context": "", "contexts": {}, "clusters": {}, "users": {}}
    read = False
    for path in files:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        read = True
        try:
            documents = decode_manifest(data)
        except DockyardError as error:
            raise Invalid(f"kubeconfig: {path}: {error}") from error
        for document in documents:
            if not isinstance(document, dict):
                raise Invalid(f"kubeconfig: {path}: is no object")
            found["current-context"] = found["current-context"] or document.get("current-context")
            for plural in ("contexts", "clusters", "users"):
                for each in document.get(plural) or ():
                    value = each.get(plural[:-1]) or {}
                    _anchor(value, path.parent)
                    found[plural].setdefault(str(each.get("name")), value)
    if not read:
        raise NotFound(f"kubeconfig: {_names(files)}: is missing; `dockyard up` makes a cluster, "
                       "KUBECONFIG names another one's")  # fmt: skip
    return found


def _anchor(value: dict[str, Any], folder: Path) -> None:
    for field in PATHS:
        if value.get(field):
            value[field] = str(folder / value[field])


def _named(merged: dict[str, Any], plural: str, name: str, files: Sequence[Path]) -> dict[str, Any]:
    found = merged[plural].get(name)
    if found is None:
        known = ", ".join(merged[plural]) or "none"
        raise NotFound(f"kubeconfig: {_names(files)}: {plural[:-1]} {name!r}: is missing; "
                       f"there is: {known}")  # fmt: skip
    return dict(found)


def _tls(cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext:
    authority = _data(cluster, "certificate-authority")
    try:
        context = ssl.create_default_context(cadata=authority.decode() if authority else None)
        if cluster.get("insecure-skip-tls-verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        certificate, key = _data(user, "client-certificate"), _data(user, "client-key")
        if certificate:
            _load_pair(context, certificate + b"\n" + key)
    except (ssl.SSLError, ValueError) as error:
        raise Invalid(f"kubeconfig: the certificates of {cluster.get('server')}: {error}") from (
            error
        )
    return context


def _load_pair(context: ssl.SSLContext, pem: bytes) -> None:
    """OpenSSL reads files only: this one is in memory, and nobody else's."""
    descriptor = os.memfd_create("client", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")


def _data(fields: dict[str, Any], name: str) -> bytes:
    """``NAME-data`` (base64), or what is in the file ``NAME``."""
    embedded = fields.get(f"{name}-data")
    if embedded:
        try:
            return base64.b64decode(embedded, validate=True)
        except (binascii.Error, TypeError) as error:
            raise Invalid(f"kubeconfig: {name}-data: is no base64: {error}") from error
    return Path(fields[name]).read_bytes() if fields.get(name) else b""
