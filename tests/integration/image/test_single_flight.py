"""Two clients that want the same layers: each comes once (G10)."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from dockyard.node.image.registry.hosts import Hosts
from dockyard.node.image.store import ImageStore
from helpers import own_registry
from helpers.machine import Machine
from helpers.scripted_http import Asked, Reply, serve
from helpers.tars import file, tar

pytestmark = pytest.mark.root


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    path = tmp_path / "root.tar"
    path.write_bytes(tar(file("big", bytes(range(256)) * 4000), file("b", b"b")))
    return path


def test_g10_processes_and_threads_fetch_a_layer_once(tmp_path: Path, tree: Path) -> None:
    """The registry's answers wait until all have asked for the manifest."""
    first = Machine(tmp_path / "one")
    with own_registry.serve(tmp_path / "r") as registry:
        name = f"{registry.address}/app:1"
        first.run("image", "import", str(tree), name)
        first.run("push", "-q", name)
        began = threading.Barrier(3, timeout=30)

        def answer(asked: Asked) -> Reply:
            if asked.path.endswith("/manifests/1"):
                began.wait()
            reply = own_registry.ask(
                registry.url, asked.method, asked.path, accept=asked.headers.get("accept", "*/*")
            )
            kept = ("Content-Type", "Docker-Content-Digest")
            headers = tuple((key, value) for key in kept if (value := reply.headers.get(key)))
            return Reply(reply.status, reply.body, headers)

        with serve(answer) as (address, saw):
            name = f"{address}/app:1"
            root = tmp_path / "two"
            second = Machine(root)
            processes = [
                subprocess.Popen([second.program, "pull", name], env=second.env, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                for _ in range(2)
            ]  # fmt: skip
            ImageStore(root, hosts=Hosts(cert_dirs=())).pull(name)
            for process in processes:
                out, err = process.communicate(timeout=60)
                assert (process.returncode, err) == (0, ""), out
            layers = {asked.path for asked in saw if "/blobs/" in asked.path}
            store = ImageStore(root)
            (layer,) = store.resolve(name).layers
            assert f"/v2/app/blobs/{layer.digest}" in layers
            asked_for = [asked.path for asked in saw if asked.path.endswith(layer.digest)]
            assert len(asked_for) == 1
    assert {path.name for path in (root / "images/ingest").iterdir()} <= {"lock"}
    assert "damage" not in second.run("image", "verify")


def test_g10_who_waits_goes_on_where_the_other_was_killed(tmp_path: Path, tree: Path) -> None:
    """The first gets half a layer and is killed; the second, who waited, fetches it."""
    one = Machine(tmp_path / "one")
    with own_registry.serve(tmp_path / "r") as registry:
        name = f"{registry.address}/app:1"
        one.run("image", "import", str(tree), name)
        one.run("push", "-q", name)
        asked_for, killed = threading.Event(), threading.Event()

        def answer(asked: Asked) -> Reply:
            reply = own_registry.ask(
                registry.url, asked.method, asked.path, accept=asked.headers.get("accept", "*/*")
            )
            if "/blobs/" in asked.path and len(reply.body) > 2000 and not asked_for.is_set():
                asked_for.set()
                killed.wait(30)
            kept = ("Content-Type", "Docker-Content-Digest")
            headers = tuple((key, value) for key in kept if (value := reply.headers.get(key)))
            return Reply(reply.status, reply.body, headers)

        with serve(answer) as (address, _):
            two = Machine(tmp_path / "two")
            name = f"{address}/app:1"
            first = subprocess.Popen([two.program, "pull", "-q", name], env=two.env)
            assert asked_for.wait(30)
            second = subprocess.Popen([two.program, "pull", name], env=two.env, text=True,
                                      stdout=subprocess.PIPE)  # fmt: skip
            assert second.stdout is not None
            told = ""
            while "Waiting" not in told:
                line = second.stdout.readline()
                assert line, told
                told += line
            first.kill()
            first.wait()
            killed.set()
            told += second.stdout.read()
            assert second.wait(30) == 0, told
            assert "Pull complete" in told
