"""Certificates of the server and of its clients, and that new ones are taken while it serves."""

from __future__ import annotations

import hashlib
import http.client
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from dockyard.base.pki import authority
from helpers import own_registry
from helpers.own_registry import ask, basic, until


class Pki:
    """An authority, with files for a server and its clients."""

    def __init__(self, base: Path) -> None:
        self.base = base
        now = time.time()
        self.authority = authority.new_authority("test", now)
        (base / "ca.crt").write_bytes(self.authority.pair.certificate)
        self.server("first")
        self._write("alice", self.authority.client("alice", (), now))

    def server(self, name: str) -> None:
        """Another certificate in the same place."""
        pair = self.authority.server(name, ["127.0.0.1", "localhost"], time.time())
        self._write("server", pair)

    def _write(self, name: str, pair: authority.Pair) -> None:
        (self.base / f"{name}.crt").write_bytes(pair.certificate)
        (self.base / f"{name}.key").write_bytes(pair.key)

    def flags(self) -> list[str]:
        base = self.base
        return ["--tls-cert", f"{base}/server.crt", "--tls-key", f"{base}/server.key"]

    def context(self, client: str = "") -> ssl.SSLContext:
        found = ssl.create_default_context(cafile=str(self.base / "ca.crt"))
        if client:
            found.load_cert_chain(self.base / f"{client}.crt", self.base / f"{client}.key")
        return found


def test_a_client_certificate_is_who_one_is(tmp_path: Path, rules: Path) -> None:
    pki = Pki(tmp_path)
    flags = [*pki.flags(), "--tls-client-ca", str(tmp_path / "ca.crt"), "--access", str(rules)]
    with own_registry.serve(tmp_path / "root", *flags) as server:
        assert server.url.startswith("https://")
        known = pki.context("alice")
        assert ask(server.url, "GET", "/v2/", context=known).status == 200
        digest = "sha256:" + hashlib.sha256(b"x" * 3_000_000).hexdigest()
        for name, status in (("team/a", 201), ("other/a", 403)):
            path = f"/v2/{name}/blobs/uploads/?digest={digest}"
            reply = ask(server.url, "POST", path, b"x" * 3_000_000, context=known)
            assert reply.status == status
        found = ask(server.url, "GET", f"/v2/team/a/blobs/{digest}", context=known)
        assert found.body == b"x" * 3_000_000
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(server.url, "GET", "/v2/", context=pki.context())


def test_a_certificate_or_a_password(tmp_path: Path, users: Path) -> None:
    """With both ways in, either will do; with neither, nobody comes in."""
    pki = Pki(tmp_path)
    flags = [*pki.flags(), "--tls-client-ca", str(tmp_path / "ca.crt"), "--htpasswd", str(users)]
    with own_registry.serve(tmp_path / "root", *flags) as server:
        assert ask(server.url, "GET", "/v2/", context=pki.context("alice")).status == 200
        plain = pki.context()
        assert ask(server.url, "GET", "/v2/", context=plain).status == 401
        shown = basic("bob")
        assert ask(server.url, "GET", "/v2/", context=plain, authorization=shown).status == 200
        wrong = basic("bob", "x")
        known = pki.context("alice")
        assert ask(server.url, "GET", "/v2/", context=known, authorization=wrong).status == 401


def test_g23_a_new_certificate_is_taken_without_a_break(tmp_path: Path) -> None:
    """By SIGHUP, at once; an open connection goes on with the old one."""
    pki = Pki(tmp_path)
    with own_registry.serve(tmp_path / "root", *pki.flags()) as server:

        def name() -> str:
            address = server.address.split(":")
            pem = ssl.get_server_certificate((address[0], int(address[1])))
            told = subprocess.run(["openssl", "x509", "-noout", "-subject"], input=pem,
                                  capture_output=True, text=True, check=True)  # fmt: skip
            return told.stdout.strip().rpartition(" ")[2]

        assert name() == "first"
        held = http.client.HTTPSConnection(server.address, context=pki.context(), timeout=20)
        held.request("GET", "/v2/")
        held.getresponse().read()
        (tmp_path / "server.crt").write_text("no certificate")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "stays as it is" in server.log.read_text())
        assert name() == "first"
        pki.server("second")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: name() == "second")
        held.request("GET", "/v2/")
        assert held.getresponse().status == 200
        held.close()


def test_g23_new_authorities_of_clients_are_taken_without_a_break(tmp_path: Path) -> None:
    """Whom the old one signed is out at once, with a resumed session too; who is in, stays."""
    pki = Pki(tmp_path)
    clients = tmp_path / "clients.crt"
    clients.write_bytes((tmp_path / "ca.crt").read_bytes())
    later = authority.new_authority("later", time.time())
    pair = later.client("carol", (), time.time())
    (tmp_path / "carol.crt").write_bytes(pair.certificate)
    (tmp_path / "carol.key").write_bytes(pair.key)
    flags = [*pki.flags(), "--tls-client-ca", str(clients), "--log-requests"]
    with own_registry.serve(tmp_path / "root", *flags) as server:

        def comes_in(context: ssl.SSLContext) -> bool:
            try:
                return ask(server.url, "GET", "/v2/", context=context).status == 200
            except (ssl.SSLError, ConnectionError):
                return False

        alice, carol = pki.context("alice"), pki.context("carol")
        assert comes_in(alice) and not comes_in(carol)
        held = http.client.HTTPSConnection(server.address, context=alice, timeout=20)
        held.request("GET", "/v2/")
        held.getresponse().read()
        kept = held.sock.session
        clients.write_text("no certificate")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "stays as it is" in server.log.read_text())
        assert comes_in(alice)
        clients.write_bytes(later.pair.certificate)
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "loaded anew" in server.log.read_text())
        assert comes_in(carol) and not comes_in(alice)
        address = server.address.split(":")
        with (
            pytest.raises((ssl.SSLError, ConnectionError)),
            socket.create_connection((address[0], int(address[1])), 20) as line,
            alice.wrap_socket(line, server_hostname="127.0.0.1", session=kept) as resumed,
        ):
            resumed.sendall(b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n")
            if not resumed.recv(1):
                raise ConnectionError("closed")
        held.request("GET", "/v2/")
        assert held.getresponse().status == 200
        held.close()
