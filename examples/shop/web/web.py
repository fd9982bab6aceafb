"""Turns the shop's API into a page for people, and passes ``/api/...`` on to it.

GETs go over kept connections and may be tried once more on a fresh one. A POST goes over a fresh
connection and is never sent twice: an order is an order.
"""

import html
import http.client
import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template
from typing import Any

API = os.environ.get("API_ADDRESS", "api:80")
PAGE = Template(Path("page.html").read_text())
local = threading.local()


def fetch(path: str) -> tuple[int, bytes]:
    """GET from the API, over this thread's kept connection."""
    for attempt in (1, 2):
        connection = getattr(local, "connection", None) or http.client.HTTPConnection(
            API, timeout=10
        )
        local.connection = None
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        except (http.client.HTTPException, OSError):
            connection.close()
            if attempt == 2:
                raise
            continue
        if not response.will_close:
            local.connection = connection
        return response.status, body
    raise AssertionError("unreachable")


def send(path: str, body: bytes) -> tuple[int, bytes]:
    """POST to the API, once."""
    connection = http.client.HTTPConnection(API, timeout=10)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self.answer(200, b"ok", "text/plain")
        elif self.path.startswith("/api/"):
            self.relay(lambda: fetch(self.path.removeprefix("/api")))
        elif self.path == "/":
            self.page()
        else:
            self.answer(404, b"no such page", "text/plain")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path.startswith("/api/"):
            self.relay(lambda: send(self.path.removeprefix("/api"), body))
        else:
            self.answer(404, b"no such page", "text/plain")

    def page(self) -> None:
        products = json.loads(fetch("/products")[1])
        version = json.loads(fetch("/version")[1])["version"]
        items = "".join(
            f"<li><span>{html.escape(product['name'])}</span><b>{product['price']:.2f}</b></li>"
            for product in products
        )
        text = PAGE.substitute(products=items, version=html.escape(version))
        self.answer(200, text.encode(), "text/html; charset=utf-8")

    def relay(self, call: Any) -> None:
        try:
            status, body = call()
        except (http.client.HTTPException, OSError) as error:
            self.answer(502, json.dumps(f"api: {error}").encode(), "application/json")
            return
        self.answer(status, body, "application/json")

    def answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the shop is put under load."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    server = Server(("0.0.0.0", 8080), Handler)
    signal.signal(
        signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start()
    )
    print("shop web serves on :8080", flush=True)
    server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
