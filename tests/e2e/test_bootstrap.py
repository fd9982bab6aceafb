"""Base images from the host's packages: they run what they are for, and come out the same twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dockyard.base.oci.instance import run_dir
from dockyard.node.network.bridges import BridgeNetworks

pytestmark = pytest.mark.root

PROGRAM = Path(sys.executable).parent / "dockyard"


def dockyard(root: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [PROGRAM, *words],
        env={**os.environ, "DOCKYARD_ROOT": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("packages")


def test_python_and_redis_in_one_image(tmp_path: Path, packages: Path) -> None:
    words = ("image", "bootstrap", "debian", "--packages", "python3,redis-server",
             "--package-cache", str(packages), "-t", "base:1")  # fmt: skip
    one, two = tmp_path / "one", tmp_path / "two"
    first = dockyard(one, *words)
    assert first.returncode == 0, first.stderr
    assert dockyard(two, *words).stdout == first.stdout  # the same packages, the same image
    (told,) = json.loads(dockyard(one, "images", "--output", "json").stdout)
    assert told["Size"] < 80_000_000

    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(
        "FROM base:1\n"
        "RUN python3 -c 'import http.server, json, sqlite3, ssl; print(ssl.OPENSSL_VERSION)'\n"
        "RUN redis-server --version && ls /bin/sh && grep PRETTY /etc/os-release\n"
    )
    built = dockyard(one, "build", "-t", "app", str(context))
    BridgeNetworks(str(one)).teardown()
    assert built.returncode == 0, built.stderr + built.stdout
    assert "OpenSSL 3" in built.stderr
    assert "Redis server v=" in built.stderr
    assert "Debian" in built.stderr
    assert {path.name for path in run_dir(one).iterdir()} <= {"root"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("debian", "--packages", "no-such-package-here"), "no-such-package-here: apt knows none"),
        (("debian", "--packages", "--option"), "flag needs an argument: --packages"),
        (("debian", "--packages=-o=x"), "'-o=x' is no package's name"),
        (("busybox", "--packages", "python3"), "takes no packages"),
        (("plan9",), "no such base image; there are busybox, debian"),
        (("debian:plan9",), "debian:plan9: this host's packages make debian:latest"),
        (("busybox:1",), "busybox:1: this host's packages make busybox:latest"),
    ],
)
def test_mistakes(tmp_path: Path, packages: Path, words: tuple[str, ...], told: str) -> None:
    done = dockyard(tmp_path, "image", "bootstrap", *words, "--package-cache", str(packages))
    assert done.returncode != 0
    assert told in done.stderr
    assert "Traceback" not in done.stderr
