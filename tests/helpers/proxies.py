"""Forward proxies that lead every name to one server: HTTP, in TLS if asked, and SOCKS 5."""

import contextlib
import http.client
import http.server
import select
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path


def _relay(one: socket.socket, other: socket.socket) -> None:
    ends = {one: other, other: one}
    while True:
        waiting = [end for end in ends if isinstance(end, ssl.SSLSocket) and end.pending()]
        for end in waiting or select.select(list(ends), [], [], 10)[0]:
            data = end.recv(65536)
            if not data:
                return
            ends[end].sendall(data)


class Proxy(http.server.BaseHTTPRequestHandler):
    """A forward proxy for plain HTTP that leads every name to one registry."""

    target = ""
    seen: list[tuple[str, str | None]] = []

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Proxy-Authorization")))
        path = "/" + self.path.split("/", 3)[3]
        upstream = http.client.HTTPConnection(self.target, timeout=10)
        upstream.request("GET", path, headers={"Accept": self.headers.get("Accept", "*/*")})
        answer = upstream.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for key in ("Content-Type", "Docker-Content-Digest"):
            if value := answer.headers.get(key):
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_CONNECT(self) -> None:
        self.seen.append((self.path, self.headers.get("Proxy-Authorization")))
        if self.headers.get("Proxy-Authorization") is None:
            self.send_response(407)
            self.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        host, port = self.target.split(":")
        with socket.create_connection((host, int(port)), 10) as upstream:
            self.send_response(200)
            self.end_headers()
            self.close_connection = True
            _relay(upstream, self.connection)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def proxy(target: str, tls: tuple[Path, Path] | None = None) -> Iterator[str]:
    """``tls``: certificate and key; then it is spoken to in TLS."""
    Proxy.target, Proxy.seen = target, []
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Proxy)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://me:pass@127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def socks_proxy(
    target: str, login: tuple[str, str] | None = None
) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """RFC 1928 and 1929: its address, and the names and ports that it was asked for."""
    seen: list[tuple[str, int]] = []

    class Handler(socketserver.StreamRequestHandler):
        rbufsize = 0

        def handle(self) -> None:
            offered = self.rfile.read(self.rfile.read(2)[1])
            method = 2 if login else 0
            if method not in offered:
                self.wfile.write(b"\x05\xff")
                return
            self.wfile.write(bytes((5, method)))
            if login:
                version = self.rfile.read(1)
                shown = tuple(self.rfile.read(self.rfile.read(1)[0]).decode() for _ in login)
                self.wfile.write(version + bytes((shown != login,)))
                if shown != login:
                    return
            assert self.rfile.read(4) == b"\x05\x01\x00\x03"  # a name
            name = self.rfile.read(self.rfile.read(1)[0]).decode()
            seen.append((name, int.from_bytes(self.rfile.read(2), "big")))
            host, port = target.split(":")
            with socket.create_connection((host, int(port)), 10) as upstream:
                self.wfile.write(b"\x05\x00\x00\x01" + bytes(6))
                _relay(upstream, self.connection)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def certificate(folder: Path, name: str, alternative: str) -> tuple[Path, Path]:
    """Of its own authority, and the key."""
    made = (folder / f"{name}.pem", folder / f"{name}.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-out", made[0], "-keyout", made[1], "-days", "2", "-subj", f"/CN={name}",
         "-addext", f"subjectAltName={alternative}"],
        check=True, capture_output=True,
    )  # fmt: skip
    return made
