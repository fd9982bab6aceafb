"""The registry server against Debian's docker-registry: manifests, a large blob, memory.

Each has its storage on the same disk and one image; wrk and a reader of the socket are the load.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import place
from measure import BAD_START, Sample, sample, which
from rows import Row

SECONDS, ROUNDS, BLOB_ROUNDS = 3, 7, 9
BLOB = 238 * 1000 * 1000
LAYERS = 5
PUSHES, PUSH_MB = 6, 60
OCI = "application/vnd.oci.image.manifest.v1+json"
GOAL_MANIFEST, GOAL_BLOB, GOAL_MEMORY = 8.0, 1.0, 1.5
START_SECONDS = 30
TICKS = os.sysconf("SC_CLK_TCK")


class Server(NamedTuple):
    """A registry that listens on the loopback."""

    name: str
    port: int
    pid: int

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Content-Type": kind, "Accept": OCI} if kind else {"Accept": OCI}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        found = answer.read()
        if answer.status not in (200, 201, 202):
            raise RuntimeError(f"{self.name}: {method} {path}: {answer.status} {found[:200]!r}")
        location = answer.headers.get("Location", "")
        connection.close()
        return found if method == "GET" else location.encode()

    def push(self, data: bytes) -> dict[str, object]:
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        location = self.ask("POST", "/v2/app/blobs/uploads/").decode()
        path = re.sub(r"^http://[^/]*", "", location)
        join = "&" if "?" in path else "?"
        self.ask("PUT", f"{path}{join}digest={digest}", data, "application/octet-stream")
        return {"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": len(data),
                "digest": digest}  # fmt: skip

    def memory(self) -> float:
        """Resident and not shared with anybody, in MB (proc_pid_smaps_rollup, Pss)."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
        assert found is not None
        return int(found[1]) / 1000

    def peak(self) -> float:
        """The most that was resident, in MB (proc_pid_status, VmHWM)."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"^VmHWM:\s+(\d+) kB", text, re.MULTILINE)
        assert found is not None
        return int(found[1]) / 1000

    def cpu(self) -> float:
        """Seconds of CPU that it has had (proc(5), stat)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(name: str, words: list[str], port: int, log: Path) -> Iterator[Server]:
    """A server, until the block ends."""
    with log.open("wb") as out:
        process = subprocess.Popen(words, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{name}: {log.read_text()[-2000:]}") from error
                time.sleep(0.05)
        yield Server(name, port, process.pid)
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def docker_registry(base: Path) -> Iterator[Server]:
    """Debian's, with its logs off as far as they go."""
    base.mkdir()
    port = free_port()
    config = {"version": "0.1", "log": {"level": "error", "accesslog": {"disabled": True}},
              "storage": {"filesystem": {"rootdirectory": str(base / "data")}},
              "http": {"addr": f"127.0.0.1:{port}"}}  # fmt: skip
    (base / "config.yml").write_text(json.dumps(config))
    words = [which("docker-registry"), "serve", str(base / "config.yml")]
    with running("docker-registry", words, port, base / "log") as found:
        yield found


@contextmanager
def dockyard(base: Path) -> Iterator[Server]:
    """Ours, as a user starts it."""
    base.mkdir()
    port = free_port()
    words = [str(place.BIN / "dockyard"), "registry", "serve", "--root", str(base / "data"),
             "--address", f"127.0.0.1:{port}"]  # fmt: skip
    with running("dockyard", words, port, base / "log") as found:
        yield found


def image(server: Server, blob: bytes) -> str:
    """Push an image whose first layer is large; the path of that."""
    layers = [server.push(blob), *(server.push(os.urandom(1000)) for _ in range(LAYERS - 1))]
    value = {"schemaVersion": 2, "mediaType": OCI, "config": server.push(b"{}"), "layers": layers}
    server.ask("PUT", "/v2/app/manifests/v1", json.dumps(value).encode(), OCI)
    return f"/v2/app/blobs/{layers[0]['digest']}"


def manifests(server: Server) -> float:
    """GETs a second by tag; every answer has to be a good one."""
    words = ["wrk", "-t1", "-c32", f"-d{SECONDS}s", "-H", f"Accept: {OCI}",
             f"http://127.0.0.1:{server.port}/v2/app/manifests/v1"]  # fmt: skip
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        raise RuntimeError(f"{server.name}: {told}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", told)
    assert found is not None, told
    return float(found[1])


def side_by_side(server: Server) -> None:
    """Several large pushes at once."""
    blobs = [os.urandom(1 << 20) * PUSH_MB + bytes([number]) for number in range(PUSHES)]
    with ThreadPoolExecutor(PUSHES) as pool:
        list(pool.map(server.push, blobs))


def download(server: Server, path: str) -> float:
    """GB/s of one connection whose reader only counts."""
    buffer = bytearray(1 << 20)
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        began = time.perf_counter()
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        total = 0
        while size := client.recv_into(buffer):
            total += size
        took = time.perf_counter() - began
    if total < BLOB:
        raise RuntimeError(f"{server.name}: {path}: {total} bytes")
    return total / took / 1e9


def turns(ours: Server, peer: Server, once: object, rounds: int) -> tuple[Sample, Sample, float]:
    """Both by turns; and the microseconds of CPU a thing that ours took."""
    assert callable(once)
    found: dict[str, list[float]] = {ours.name: [], peer.name: []}
    spent = done = 0.0
    for number in range(rounds + BAD_START):
        for server in (ours, peer):
            before = server.cpu()
            got = once(server)
            if number >= BAD_START:
                found[server.name].append(got)
                if server is ours:
                    spent, done = spent + server.cpu() - before, done + got * SECONDS
    return sample(found[ours.name]), sample(found[peer.name]), 1e6 * spent / done


def row(what: str, mine: Sample, theirs: Sample, goal: float, unit: str, profile: str = "") -> Row:
    """More is better."""
    return Row(what, mine.median, theirs.median, mine.median / theirs.median, goal, unit,
               at_least=True, noise=max(mine.spread, theirs.spread), profile=profile)  # fmt: skip


def run() -> list[Row]:
    """The rows."""
    with place.folder() as base, ExitStack() as stack:
        peer = stack.enter_context(docker_registry(base / "peer"))
        ours = stack.enter_context(dockyard(base / "ours"))
        blob = os.urandom(1 << 20) * (BLOB // (1 << 20) + 1)
        (path,) = {image(server, blob[:BLOB]) for server in (ours, peer)}
        del blob
        gets = turns(ours, peer, manifests, ROUNDS)
        blobs = turns(ours, peer, lambda server: download(server, path), BLOB_ROUNDS)
        rows = [
            row("GET of a manifest by tag, 32 connections", gets[0], gets[1], GOAL_MANIFEST, "/s",
                f"{gets[2]:.0f} us of CPU each"),
            row("GET of a 238 MB blob, one connection", blobs[0], blobs[1], GOAL_BLOB, "GB/s"),
        ]  # fmt: skip
        mine, theirs = ours.memory(), peer.memory()
        what = "memory of the server after all this (PSS)"
        rows.append(Row(what, mine, theirs, mine / theirs, GOAL_MEMORY, "MB"))
        for server in (ours, peer):
            side_by_side(server)
        what = f"most memory, after {PUSHES} pushes of {PUSH_MB} MB side by side too (VmHWM)"
        mine, theirs = ours.peak(), peer.peak()
        return [*rows, Row(what, mine, theirs, mine / theirs, GOAL_MEMORY, "MB")]
