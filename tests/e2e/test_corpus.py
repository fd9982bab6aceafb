"""Small Dockerfiles, built by us and by `buildah bud` on one base: the same tree and settings."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.buildbench import Bench

CORPUS = Path(__file__).parent.parent / "corpus"
CASES = sorted(path.name for path in CORPUS.iterdir() if path.is_dir())
QUICK = (
    "copy-to-come",
    "cmd-then-entrypoint",
    "copy-dir",
    "copy-ignored",
    "copy-chown",
    "stages",
    "run-modes",
)
BUILDAH = shutil.which("buildah")
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(BUILDAH is None, reason="buildah is not installed"),
]
LATEST = 1_500_000_000
"""The context's files are all older."""
STUBS = ("etc/hostname", "etc/hosts", "etc/resolv.conf")
"""What buildah's mounts lay on, and leaves in the layer of a RUN; no reference has them there."""


class Peers:
    """Our store and buildah's, with the same base in both."""

    def __init__(self, base: Path) -> None:
        self.bench = Bench(base)
        self.root = base / "buildah"
        archive = base / "base.tar"
        self.bench.build("FROM busybox\nRUN true\n", "-o", f"type=docker,dest={archive}",
                         "--load")  # fmt: skip
        self.bench.store.tag("out", "base")
        self.buildah("pull", "-q", f"docker-archive:{archive}")
        self.buildah("tag", "localhost/out:latest", "localhost/base:latest")

    def buildah(self, *words: str) -> str:
        places = ["--root", self.root / "root", "--runroot", self.root / "run",
                  "--storage-driver", "vfs"]  # fmt: skip
        done = subprocess.run(["buildah", *places, *words], capture_output=True, text=True,
                              timeout=120, check=False)  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def ours(self, context: Path) -> tuple[dict[str, list[Any]], dict[str, Any]]:
        out = self.bench.base / "ours"
        done = self.bench.try_build_at(str(context), "-o", f"type=local,dest={out}", "--load")
        assert done.returncode == 0, done.stderr
        return tree(out), self.bench.image.config.to_json()

    def theirs(self, context: Path) -> tuple[dict[str, list[Any]], dict[str, Any]]:
        words = ("--isolation", "chroot", "--format", "docker", "--pull-never", "-t", "made")
        image = self.buildah("bud", "-q", *words, str(context)).splitlines()[-1]
        container = self.buildah("from", "--pull-never", image)
        place = self.buildah("mount", container)
        told = json.loads(self.buildah("inspect", "--type", "image", image))
        found = tree(Path(place))
        self.buildah("rm", container)
        return found, told["Docker"]


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    yield Peers(tmp_path_factory.mktemp("corpus"))


def tree(top: Path) -> dict[str, list[Any]]:
    """Each path's type, mode, owner and content, and the time of what came from the context.
    Directory times are nobody's promise, and what a step makes has the time of its making."""
    found: dict[str, list[Any]] = {}
    for folder, folders, names in os.walk(top):
        for name in folders + names:
            path = Path(folder, name)
            told = path.lstat()
            item: list[Any] = [oct(told.st_mode), told.st_uid, told.st_gid]
            if path.is_symlink():
                item.append(str(path.readlink()))
            elif stat.S_ISREG(told.st_mode):
                item += [hashlib.sha256(path.read_bytes()).hexdigest(), told.st_nlink]
                item += [told.st_mtime] if told.st_mtime < LATEST else []
            item += [(each, os.getxattr(path, each, follow_symlinks=False))
                     for each in sorted(os.listxattr(path, follow_symlinks=False))]  # fmt: skip
            found[str(path.relative_to(top))] = item
    return found


def cases() -> list[Any]:
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in CASES]


@pytest.mark.parametrize("name", cases())
def test_both_builders_make_the_same(peers: Peers, name: str, tmp_path: Path) -> None:
    context = tmp_path / "context"
    shutil.copytree(CORPUS / name, context, symlinks=True)
    for number, path in enumerate(sorted(context.rglob("*"))):
        os.utime(path, (LATEST - 1000, LATEST - 1000 + number), follow_symlinks=False)
    allowed = set()
    if (context / "differs.txt").exists():
        told = (context / "differs.txt").read_text().splitlines()
        allowed = {line.split(":")[0] for line in told}
        (context / "differs.txt").unlink()
    shutil.rmtree(peers.bench.base / "ours", ignore_errors=True)
    our_tree, our_config = peers.ours(context)
    their_tree, their_config = peers.theirs(context)
    differences = {
        path: (our_tree.get(path), their_tree.get(path))
        for path in sorted({*our_tree, *their_tree})
        if our_tree.get(path) != their_tree.get(path)
        and path not in allowed
        and not (path in STUBS and path not in our_tree)
    }
    assert differences == {}
    assert settings(our_config, allowed) == settings(their_config, allowed)


def settings(document: dict[str, Any], allowed: set[str]) -> dict[str, Any]:
    """What a container is given, empty values apart; and who made the image."""
    config = {key: value for key, value in (document.get("config") or {}).items() if value}
    wanted = ("Env", "Cmd", "Entrypoint", "ExposedPorts", "Volumes", "Labels", "User", "WorkingDir",
              "StopSignal", "Shell", "OnBuild", "Healthcheck")  # fmt: skip
    found = {key: config[key] for key in wanted if key in config and key not in allowed}
    labels = dict(found.get("Labels", {}))
    labels.pop("io.buildah.version", None)
    found.pop("Labels", None)
    return found | ({"Labels": labels} if labels else {}) | {"author": document.get("author", "")}
