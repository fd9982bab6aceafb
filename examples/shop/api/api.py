"""Turns HTTP requests into products and orders in Redis; drains when it is told to stop.

    GET  /products       the list
    POST /orders         {"product": id, "quantity": n} -> 201 and the order
    GET  /orders/ID      one order
    GET  /version        which version answers, from which pod
    GET  /healthz        the process is alive
    GET  /readyz         it wants traffic: no, once it drains

On SIGTERM it stops being ready and says ``Connection: close`` with every answer, goes on serving
for DRAIN_SECONDS (until every proxy has heard that this endpoint leaves), then lets requests in
flight end.
"""

import json
import os
import signal
import socket
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from resp import Redis, connect

VERSION = os.environ.get("SHOP_VERSION", "0")
DRAIN_SECONDS = float(os.environ.get("DRAIN_SECONDS", "3"))
LARGEST_BODY = 64 * 1024

draining = threading.Event()
local = threading.local()


def database() -> Redis:
    """This thread's connection."""
    if not hasattr(local, "redis"):
        local.redis = connect()
    found: Redis = local.redis
    return found


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        if self.path == "/products":
            pairs = database()("HGETALL", "products")
            products = [json.loads(text) for text in pairs[1::2]]
            self.answer(200, sorted(products, key=lambda product: str(product["id"])))
        elif self.path.startswith("/orders/"):
            order = database()("HGET", "orders", self.path.removeprefix("/orders/"))
            self.answer(200, json.loads(order)) if order else self.answer(404, "no such order")
        elif self.path == "/version":
            self.answer(200, {"version": VERSION, "pod": socket.gethostname()})
        elif self.path == "/healthz":
            self.answer(200, "ok")
        elif self.path == "/readyz":
            ready = not draining.is_set() and database()("PING") == "PONG"
            self.answer(200, "ok") if ready else self.answer(503, "draining")
        else:
            self.answer(404, "no such page")

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        if self.path != "/orders" or not 0 < length <= LARGEST_BODY:
            self.close_connection = True
            self.answer(404 if self.path != "/orders" else 413, "not an order")
            return
        try:
            wanted = json.loads(self.rfile.read(length))
            number, quantity = str(wanted["product"]), int(wanted.get("quantity", 1))
        except (ValueError, KeyError, TypeError, AttributeError):
            self.answer(400, "not an order")
            return
        product = database()("HGET", "products", number)
        if product is None:
            self.answer(404, "no such product")
            return
        order = {
            "id": uuid.uuid4().hex,
            "product": json.loads(product)["name"],
            "quantity": quantity,
            "served_by": VERSION,
        }
        database()("HSET", "orders", str(order["id"]), json.dumps(order))
        self.answer(201, order)

    def answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if draining.is_set():
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the shop is put under load."""


class Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    request_queue_size = 128


def main() -> None:
    server = Server(("0.0.0.0", 8080), Handler)

    def drain() -> None:
        draining.wait()
        print(f"draining for {DRAIN_SECONDS:g} s", flush=True)
        threading.Event().wait(DRAIN_SECONDS)
        server.shutdown()

    threading.Thread(target=drain, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: draining.set())
    print(f"shop api {VERSION} serves on :8080", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    print("drained", flush=True)


if __name__ == "__main__":
    main()
