"""Turns a data root into its authority, certificates and kubeconfigs: made once, kept in files.

``pki/ca.crt`` is the one thing everybody trusts. Keys are 0600 in a folder that is 0700.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path

from dockyard.base.pki.authority import Authority, Pair, new_authority
from dockyard.boot.layout import Layout, Settings

ADMIN = ("kubernetes-admin", ("system:masters",))
CONTEXT = "dockyard"


def ensure(layout: Layout, settings: Settings, now: float) -> None:
    """Make what is missing. The kubeconfig comes last: who finds it finds everything."""
    layout.pki.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = _authority(layout, now)
    hosts = [
        "localhost", "127.0.0.1", settings.node_name, settings.node_address,
        settings.api_service_address, "kubernetes", "kubernetes.default",
        "kubernetes.default.svc", f"kubernetes.default.svc.{settings.domain}",
    ]  # fmt: skip
    node = f"system:node:{settings.node_name}"
    wanted: dict[str, Callable[[], Pair]] = {
        "apiserver": lambda: authority.server("kube-apiserver", hosts, now),
        "kubelet": lambda: authority.server(
            node, ["kubelet", settings.node_name, settings.node_address, "127.0.0.1"], now
        ),
        "apiserver-client": lambda: authority.client("system:apiserver", (), now),
        "node": lambda: authority.client(node, ("system:nodes",), now),
        "admin": lambda: authority.client(*ADMIN, now),
    }
    for name, make in wanted.items():
        if not (layout.pki / f"{name}.crt").exists():
            write_pair(layout.pki, name, make())
    text = kubeconfig(layout, settings, "admin", ADMIN[0])
    if not layout.kubeconfig.exists() or layout.kubeconfig.read_text() != text:
        _write(layout.kubeconfig, text.encode())


def _authority(layout: Layout, now: float) -> Authority:
    certificate, key = layout.pki / "ca.crt", layout.pki / "ca.key"
    if certificate.exists() and key.exists():
        return Authority(Pair(certificate.read_bytes(), key.read_bytes()))
    authority = new_authority("dockyard", now)
    write_pair(layout.pki, "ca", authority.pair)
    return authority


def write_pair(folder: Path, name: str, pair: Pair) -> None:
    """The key first, so that a certificate is never without."""
    _write(folder / f"{name}.key", pair.key)
    _write(folder / f"{name}.crt", pair.certificate)


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_name(f"{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def kubeconfig(layout: Layout, settings: Settings, name: str, user: str) -> str:
    """A kubeconfig (JSON is YAML) with everything in it."""

    def embedded(file: str) -> str:
        return base64.b64encode((layout.pki / file).read_bytes()).decode()

    cluster = {"server": settings.api_url, "certificate-authority-data": embedded("ca.crt")}
    credentials = {
        "client-certificate-data": embedded(f"{name}.crt"),
        "client-key-data": embedded(f"{name}.key"),
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "clusters": [{"name": CONTEXT, "cluster": cluster}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": user}}],
    }
    return json.dumps(document, indent=2) + "\n"


def server_context(layout: Layout, name: str, *, require_client: bool) -> ssl.SSLContext:
    """TLS for a server of ours; clients may (or must) show a certificate of our authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(layout.pki / f"{name}.crt", layout.pki / f"{name}.key")
    context.load_verify_locations(layout.pki / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED if require_client else ssl.CERT_OPTIONAL
    return context


def client_context(layout: Layout, name: str) -> ssl.SSLContext:
    """TLS for a client of ours, as one of its users."""
    context = ssl.create_default_context(cafile=str(layout.pki / "ca.crt"))
    context.load_cert_chain(layout.pki / f"{name}.crt", layout.pki / f"{name}.key")
    return context


def missing(layout: Layout, names: Iterable[str]) -> list[str]:
    """Certificates that are not there yet."""
    return [name for name in names if not (layout.pki / f"{name}.crt").exists()]
