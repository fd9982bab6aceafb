"""Turns a folder into a running API server: ours, and Debian's kube-apiserver over etcd.

The peer is built once, in ${XDG_CACHE_HOME:-~/.cache}/dockyard-bench, by peers/build_kubernetes.sh.
Both listen on 127.0.0.1 with TLS and know one bearer token of ``system:masters``.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import place

TOKEN = "bench-token"
TOKENS = f"{TOKEN},bench,1,system:masters\n"
SECONDS = 120
"""How long a server may take until it is ready."""


class Api(NamedTuple):
    """A server that answers."""

    name: str
    port: int
    pids: tuple[int, ...]

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @contextmanager
    def connection(self) -> Iterator[http.client.HTTPSConnection]:
        """A connection that is kept open."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        found = http.client.HTTPSConnection("127.0.0.1", self.port, context=context)
        try:
            yield found
        finally:
            found.close()


def call(
    connection: http.client.HTTPSConnection, method: str, path: str, body: Any = None
) -> tuple[int, bytes]:
    """One request: status and body."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def must(
    connection: http.client.HTTPSConnection, method: str, path: str, body: Any = None
) -> bytes:
    """As :func:`call`, and it has to work."""
    status, answer = call(connection, method, path, body)
    if status >= 300:
        raise RuntimeError(f"{method} {path}: {status}: {answer[:300]!r}")
    return answer


def cache() -> Path:
    """Where the peer's programs are."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("PEERS") or Path(root) / "dockyard-bench")


def built(program: str) -> Path:
    """The peer's program; built if it is not there yet."""
    found = cache() / "bin" / program
    if not found.exists():
        print("bench: building kube-apiserver, once: about 10 minutes", file=sys.stderr)
        script = place.PROJECT / "bench" / "peers" / "build_kubernetes.sh"
        done = subprocess.run(
            ["nice", "-n", "19", str(script)], capture_output=True, text=True,
            env={**os.environ, "PEERS": str(cache())},
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{script.name}: {(done.stdout + done.stderr)[-2000:]}")
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], folder: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process with its output in a file; ended and reaped afterwards."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until_ready(api: Api, process: subprocess.Popen[bytes], log: Path) -> None:
    """Ask until it says so."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), api.connection() as connection:
            if call(connection, "GET", "/readyz")[0] == 200:
                return
        time.sleep(0.1)
    raise RuntimeError(f"{api.name}: is not ready: {log.read_text()[-2000:]}")


@contextmanager
def dockyard(folder: Path) -> Iterator[Api]:
    """``dockyard server``."""
    folder.mkdir()
    (folder / "tokens.csv").write_text(TOKENS)
    port = free_port()
    command = [str(place.BIN / "dockyard"), "server", "--data-dir", str(folder / "data"),
               "--address", f"127.0.0.1:{port}", "--token-auth-file", "tokens.csv"]  # fmt: skip
    with running(command, folder, "server") as process:
        api = Api("dockyard", port, (process.pid,))
        until_ready(api, process, folder / "server.log")
        yield api


@contextmanager
def kubernetes(folder: Path) -> Iterator[Api]:
    """kube-apiserver and its etcd, as a control plane of one machine has them."""
    program = built("kube-apiserver")
    folder.mkdir()
    (folder / "tokens.csv").write_text(TOKENS)
    subprocess.run(
        ["openssl", "genrsa", "-out", "sa.key", "2048"], cwd=folder, check=True,
        capture_output=True,
    )  # fmt: skip
    port, clients, peers = free_port(), free_port(), free_port()
    etcd = ["/usr/bin/etcd", "--data-dir", "etcd", "--quota-backend-bytes", "8000000000",
            "--listen-client-urls", f"http://127.0.0.1:{clients}",
            "--advertise-client-urls", f"http://127.0.0.1:{clients}",
            "--initial-advertise-peer-urls", f"http://127.0.0.1:{peers}",
            "--initial-cluster", f"default=http://127.0.0.1:{peers}",
            "--listen-peer-urls", f"http://127.0.0.1:{peers}"]  # fmt: skip
    command = [
        str(program), "--etcd-servers", f"http://127.0.0.1:{clients}", "--secure-port", str(port),
        "--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1", "--cert-dir", "certs",
        "--token-auth-file", "tokens.csv", "--service-account-key-file", "sa.key",
        "--service-account-signing-key-file", "sa.key",
        "--service-account-issuer", "https://kubernetes.default.svc",
        "--service-cluster-ip-range", "10.0.0.0/16", "--authorization-mode", "RBAC",
        "--disable-admission-plugins", "ServiceAccount",
        "--max-requests-inflight", "4000", "--max-mutating-requests-inflight", "2000",
    ]  # fmt: skip
    with ExitStack() as stack:
        store = stack.enter_context(running(etcd, folder, "etcd"))
        process = stack.enter_context(running(command, folder, "kube-apiserver"))
        api = Api("kube-apiserver", port, (process.pid, store.pid))
        until_ready(api, process, folder / "kube-apiserver.log")
        yield api
