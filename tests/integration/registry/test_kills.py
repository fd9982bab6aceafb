"""A server that is killed, cut off, told to end, or without room (G01, G03, G10)."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from dockyard.boot.registry import Settings
from helpers import own_registry
from helpers.own_registry import Server, ask

OCI = "application/vnd.oci.image.manifest.v1+json"
DAY = 86_400.0


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def test_g01_what_was_acknowledged_outlives_a_kill(tmp_path: Path) -> None:
    """And an upload goes on where it was."""
    root = tmp_path / "root"
    with own_registry.serve(root) as server:
        config = b"{}"
        path = f"/v2/a/blobs/uploads/?digest={digest(config)}"
        assert ask(server.url, "POST", path, config).status == 201
        value = {"schemaVersion": 2, "mediaType": OCI, "layers": [],
                 "config": {"mediaType": "a/b", "size": 2, "digest": digest(config)}}  # fmt: skip
        assert ask(server.url, "PUT", "/v2/a/manifests/v1", json.dumps(value),
                   content_type=OCI).status == 201  # fmt: skip
        location = ask(server.url, "POST", "/v2/a/blobs/uploads/").header("Location")
        ask(server.url, "PATCH", location, b"first ")
        server.kill()
    with own_registry.serve(root) as server:
        assert json.loads(ask(server.url, "GET", "/v2/a/manifests/v1").body) == value
        assert ask(server.url, "GET", location).header("Range") == "0-5"
        whole = b"first second"
        reply = ask(server.url, "PUT", f"{location}?digest={digest(whole)}", b"second",
                    content_range="6-11")  # fmt: skip
        assert reply.status == 201
        assert ask(server.url, "GET", f"/v2/a/blobs/{digest(whole)}").body == whole


DELAYS = [0.0, 0.01, 0.03, 0.08, 0.2]
MANY = [pytest.param(number / 300, marks=pytest.mark.long) for number in range(1, 60)]


@pytest.mark.parametrize("delay", [*DELAYS, *MANY])
def test_g01_a_kill_at_any_moment_leaves_nothing_half(tmp_path: Path, delay: float) -> None:
    """Clients push while it dies; what is visible afterwards is whole."""
    root = tmp_path / "root"
    done: list[str] = []
    with own_registry.serve(root) as server:
        begun = threading.Event()

        def push() -> None:
            try:
                for number in range(1000):
                    data = b"%d " % number + os.urandom(200_000)
                    path = f"/v2/a/blobs/uploads/?digest={digest(data)}"
                    if ask(server.url, "POST", path, data).status == 201:
                        done.append(digest(data))
                    begun.set()
            except OSError:
                return
            except Exception:  # http.client's for an answer that breaks off
                return

        threads = [threading.Thread(target=push) for _ in range(3)]
        for thread in threads:
            thread.start()
        begun.wait(20)
        time.sleep(delay)
        server.kill()
        for thread in threads:
            thread.join()
    with own_registry.serve(root) as server:
        assert done
        for one in done:
            assert digest(ask(server.url, "GET", f"/v2/a/blobs/{one}").body) == one
    for path in (root / "blobs").rglob("*"):
        if path.is_file():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    assert list((root / "tmp").iterdir()) == []


def test_a_second_server_on_a_folder_is_refused(tmp_path: Path) -> None:
    with own_registry.serve(tmp_path / "root"):
        done = subprocess.run(
            [own_registry.PROGRAM, "registry", "serve", "--address", "127.0.0.1:0", "--root",
             tmp_path / "root"],
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert done.returncode == 1
        assert "another server uses this folder" in done.stderr


def test_a_broken_connection_keeps_what_has_come(tmp_path: Path) -> None:
    """G10: the client asks how far it was, and goes on."""
    with own_registry.serve(tmp_path / "root") as server:
        location = ask(server.url, "POST", "/v2/a/blobs/uploads/").header("Location")
        host, _, port = server.address.partition(":")
        with socket.create_connection((host, int(port)), 10) as client:
            head = f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n"
            client.sendall(head.encode() + b"x" * 1_500_000)
        until(lambda: size_of(server, location) == 1_500_000)
        data = b"x" * 1_500_000 + b"the rest"
        reply = ask(server.url, "PUT", f"{location}?digest={digest(data)}", b"the rest",
                    content_range="1500000-1500007")  # fmt: skip
        assert reply.status == 201


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_g10_a_push_that_is_cut_anywhere_leaves_the_whole_or_nothing(
    tmp_path: Path, method: str
) -> None:
    """Cut behind each of many bytes of head and body."""
    data = os.urandom(600_000)
    path = f"/v2/a/blobs/uploads/?digest={digest(data)}"
    with own_registry.serve(tmp_path / "root") as server:
        host, _, port = server.address.partition(":")
        for part in (10, 60, 200, 201, 300, 5000, 262_000, 262_400, 599_000, 600_000):
            if method == "PUT":
                location = ask(server.url, "POST", "/v2/a/blobs/uploads/").header("Location")
                path = f"{location}?digest={digest(data)}"
            head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
            with socket.create_connection((host, int(port)), 10) as client:
                client.sendall((head.encode() + data)[:part])
            until(lambda: b"connections 1\n" in ask(server.url, "GET", "/metrics").body)
            assert ask(server.url, "GET", f"/v2/a/blobs/{digest(data)}").status == 404
            if method == "PUT":
                # Its writer may still be on the way out: until then the upload is taken.
                until(partial(given_up, server, location))
        until(lambda: b"_uploads 0\n" in ask(server.url, "GET", "/metrics").body)
        assert list((tmp_path / "root/uploads").iterdir()) == []
        path = f"/v2/a/blobs/uploads/?digest={digest(data)}"
        assert ask(server.url, "POST", path, data).status == 201


def test_c01_two_who_write_to_one_upload(tmp_path: Path) -> None:
    """The second is told where the upload is, and changes nothing."""
    with own_registry.serve(tmp_path / "root") as server:
        location = ask(server.url, "POST", "/v2/a/blobs/uploads/").header("Location")
        host, _, port = server.address.partition(":")
        with socket.create_connection((host, int(port)), 20) as client:
            head = f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n"
            client.sendall(head.encode() + b"abc")
            until(lambda: ask(server.url, "PATCH", location, b"").status == 416)
            client.sendall(b"def")
            assert client.recv(1000).startswith(b"HTTP/1.1 202 ")
        assert size_of(server, location) == 6


def given_up(server: Server, location: str) -> bool:
    return ask(server.url, "DELETE", location).status == 204


def size_of(server: Server, location: str) -> int:
    return int(ask(server.url, "GET", location).header("Range").partition("-")[2]) + 1


def test_sigusr1_collects_and_tells(tmp_path: Path) -> None:
    with own_registry.serve(tmp_path / "root", "--gc-interval", "0") as server:
        server.process.send_signal(signal.SIGUSR1)
        until(lambda: b"collections_total 1" in ask(server.url, "GET", "/metrics").body)


def test_told_to_end_it_finishes_what_it_is_doing(tmp_path: Path) -> None:
    with own_registry.serve(tmp_path / "root") as server:
        location = ask(server.url, "POST", "/v2/a/blobs/uploads/").header("Location")
        host, _, port = server.address.partition(":")
        with socket.create_connection((host, int(port)), 20) as client:
            head = f"PUT {location}?digest={digest(b'slow')} HTTP/1.1\r\nHost: x\r\n"
            client.sendall(f"{head}Content-Length: 4\r\n\r\nsl".encode())
            until(lambda: size_busy(server))
            server.process.terminate()
            client.sendall(b"ow")
            assert client.recv(1000).startswith(b"HTTP/1.1 201 ")
        server.process.wait(20)
        assert server.process.returncode == 0


def size_busy(server: Server) -> bool:
    """Whether both connections are open: the upload's, and the one that asks."""
    return ask(server.url, "GET", "/metrics").body.count(b"connections 2") == 1


def test_g12_without_descriptors_it_goes_on_when_there_are_some(tmp_path: Path) -> None:
    """More clients than it may have files: who is in is answered, and later everybody is."""
    with own_registry.serve(tmp_path / "root") as server:
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (40, 40))
        host, _, port = server.address.partition(":")
        held = [socket.create_connection((host, int(port)), 20) for _ in range(80)]
        try:
            held[0].sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
            assert held[0].recv(1000).startswith(b"HTTP/1.1 200 ")
        finally:
            for client in held:
                client.close()
        assert ask(server.url, "GET", "/v2/").status == 200


@pytest.mark.root
def test_g03_a_full_disk_is_told_and_heals(tmp_path: Path) -> None:
    """On a small tmpfs: 507, nothing half, and reads and deletes go on."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "dockyard-test", small], check=True)
    try:
        with own_registry.serve(small / "root") as server:
            first, second = os.urandom(4_000_000), os.urandom(4_000_000)
            path = f"/v2/a/blobs/uploads/?digest={digest(first)}"
            assert ask(server.url, "POST", path, first).status == 201
            reply = ask(server.url, "POST", f"/v2/a/blobs/uploads/?digest={digest(second)}", second)
            assert reply.status == 507
            assert "disk is full" in json.loads(reply.body)["errors"][0]["message"]
            assert ask(server.url, "GET", f"/v2/a/blobs/{digest(first)}").body == first
            assert list((small / "root/uploads").iterdir()) == []
            assert ask(server.url, "DELETE", f"/v2/a/blobs/{digest(first)}").status == 202
            for left in (small / "root/blobs").rglob("*"):
                if left.is_file():
                    left.unlink()  # what the collector would do after its grace
            path = f"/v2/a/blobs/uploads/?digest={digest(second)}"
            assert ask(server.url, "POST", path, second).status == 201
    finally:
        subprocess.run(["umount", small], check=True)


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_settings_have_honest_defaults() -> None:
    """What the documentation says of them."""
    settings = Settings("x")
    assert (settings.host, settings.port) == ("127.0.0.1", 5000)
    assert settings.policy.grace == DAY == settings.upload_seconds
