"""Pull and push of a large image at Debian's docker-registry, against docker and podman."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from pathlib import Path
from typing import NamedTuple

import place
from cli import Podman
from docker import Docker, dockerd, unmount_below
from measure import Sample, against, output, sample, which
from netns import network
from rows import Row
from sources import BYTES, chosen

ROUNDS = int(os.environ.get("DYBENCH_ROUNDS", "3"))
LAYERS = 5
OURS = str(place.BIN / "dockyard")
GOAL_DOCKER, GOAL_MEMORY, GOAL_SIZE = 0.4, 150.0, 1.1
PORT = 5000
DISK_BYTES = 8 << 30


def layer(path: Path, found: Iterator[tuple[Path, int]], size: float) -> int:
    """A tar of the next files up to a size; how many there are."""
    count = total = 0
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for file, length in found:
            tar.add(file, recursive=False)
            count, total = count + 1, total + length
            if total >= size:
                break
    return count


def archive(base: Path) -> tuple[Path, int]:
    """A docker-archive of the image, with plain layers as `docker save` has them."""
    found = chosen()
    names, diff_ids, count = [], [], 0
    path = base / "image.tar"
    with tarfile.open(path, "w") as out:
        for number in range(LAYERS):
            plain = base / "layer.tar"
            count += layer(plain, found, BYTES / LAYERS if number < LAYERS - 1 else inf)
            with plain.open("rb") as data:
                diff_ids.append("sha256:" + hashlib.file_digest(data, "sha256").hexdigest())
            names.append(f"{number}/layer.tar")
            out.add(plain, names[-1])
            plain.unlink()
        config = {
            "os": "linux",
            "architecture": "amd64",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
        manifest = [{"Config": "config.json", "RepoTags": ["bench:1"], "Layers": names}]
        for name, value in (("config.json", config), ("manifest.json", manifest)):
            entry, data = tarfile.TarInfo(name), json.dumps(value).encode()
            entry.size = len(data)
            out.addfile(entry, io.BytesIO(data))
    return path, count


@contextmanager
def registry(base: Path) -> Iterator[str]:
    """Debian's docker-registry; its address."""
    data = base / "registry"
    config = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(data)}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{PORT}"},
    }
    path = base / "registry.yml"
    path.write_text(json.dumps(config))  # JSON is YAML
    with (base / "registry.log").open("wb") as log:
        server = subprocess.Popen([which("docker-registry"), "serve", str(path)],
                                  stdout=log, stderr=log)  # fmt: skip
    try:
        address = f"127.0.0.1:{PORT}"
        deadline = time.monotonic() + 30
        while True:
            with suppress(RuntimeError):
                output("curl", "-sf", f"http://{address}/v2/")
                break
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((base / "registry.log").read_text()[-2000:])
            time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait()


class Cost(NamedTuple):
    """What one command took."""

    wall: float
    """Milliseconds."""
    cpu: float
    """Milliseconds of its own process; a daemon's are not in it."""
    memory: float
    """MB at most: getrusage(2), ru_maxrss."""


def cost(*command: str, env: dict[str, str] | None = None) -> Cost:
    """One command, from its start until it is reaped."""
    null = os.open(os.devnull, os.O_RDWR)
    began = time.perf_counter()
    pid = os.posix_spawn(
        which(command[0]), command, {**os.environ, **(env or {})},
        file_actions=[(os.POSIX_SPAWN_DUP2, null, number) for number in (0, 1)],
    )  # fmt: skip
    os.close(null)
    _, status, used = os.wait4(pid, 0)
    took = (time.perf_counter() - began) * 1000
    if status:
        raise RuntimeError(f"{' '.join(command)}: exit status {status >> 8}")
    return Cost(took, (used.ru_utime + used.ru_stime) * 1000, used.ru_maxrss / 1024)


def manifest_size(address: str, name: str) -> int:
    """Bytes of an image's layers at the registry."""
    raw = output("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{address}/{name}:1")
    return sum(item["size"] for item in json.loads(raw)["layers"])


@contextmanager
def disk(base: Path) -> Iterator[Path]:
    """A new ext4 file system for one pull: ext4 looks at every inode that was freed in the last
    minutes before it makes a file, so that who comes second on a used one pays for the first."""
    image = base / "disk.img"
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    output("mkfs.ext4", "-q", "-E", "lazy_itable_init=1,lazy_journal_init=1", str(image))
    place_of = base / "disk"
    place_of.mkdir()
    output("mount", "-o", "loop", str(image), str(place_of))
    try:
        yield place_of
    finally:
        unmount_below(place_of)
        output("umount", str(place_of))
        place_of.rmdir()
        image.unlink()


class Pulls:
    """One image into a store that is empty and on a disk of its own, each time."""

    def __init__(self, base: Path, image: str) -> None:
        self._base, self._image = base, image
        self.memory = 0.0

    def ours(self) -> float:
        """Our command line."""
        with disk(self._base) as at:
            found = cost(OURS, "pull", "-q", self._image, env={"DOCKYARD_ROOT": str(at / "root")})
        self.memory = max(self.memory, found.memory)
        return found.wall

    def docker(self) -> float:
        """Docker's, whose daemon has started before."""
        with disk(self._base) as at, dockerd(at) as docker:
            return docker.timed("pull", "-q", self._image)()

    def podman(self) -> float:
        """Podman's."""
        with disk(self._base) as at:
            return Podman(at).timed("pull", "-q", "--tls-verify=false", self._image)()


class Pushes:
    """An image of plain layers, to a registry that has nothing of it, each time."""

    def __init__(self, base: Path, docker: Docker, address: str, tar: Path) -> None:
        self._registry, self._docker, self._address = base / "registry", docker, address
        self._env = {"DOCKYARD_ROOT": str(base / "dockyard")}
        self.memory = 0.0
        output(OURS, "image", "load", "-qi", str(tar), env=self._env)
        output(OURS, "image", "tag", "bench:1", f"{address}/ours:1", env=self._env)
        docker("load", "-qi", str(tar))
        docker("tag", "bench:1", f"{address}/docker:1")

    def ours(self) -> float:
        """Our command line, which keeps nothing of what it packs."""
        shutil.rmtree(self._registry, ignore_errors=True)
        found = cost(OURS, "push", "-q", f"{self._address}/ours:1", env=self._env)
        self.memory = max(self.memory, found.memory)
        return found.wall

    def docker(self) -> float:
        """Docker's."""
        shutil.rmtree(self._registry, ignore_errors=True)
        return self._docker.timed("push", "-q", f"{self._address}/docker:1")()


def turns(*ways: Callable[[], float]) -> list[Sample]:
    """Every way once, then again."""
    found: list[list[float]] = [[] for _ in ways]
    for _ in range(ROUNDS):
        for number, way in enumerate(ways):
            found[number].append(way())
    return [sample(values) for values in found]


def run() -> list[Row]:
    """Push, then pull what docker has pushed."""
    with place.folder() as base, network(), registry(base) as address:
        tar, count = archive(base)
        with dockerd(base) as docker:
            pushes = Pushes(base, docker, address, tar)
            our_push, docker_push = turns(pushes.ours, pushes.docker)
            pushes.ours()
            our_size = manifest_size(address, "ours") / 1e6
            pushes.docker()
            size = manifest_size(address, "docker") / 1e6
        pulls = Pulls(base, f"{address}/docker:1")
        our_pull, docker_pull, podman_pull = turns(pulls.ours, pulls.docker, pulls.podman)
        what = f"{LAYERS} layers, {count} files, {tar.stat().st_size / 1e6:.0f} MB unpacked"
        return [
            against(f"pull and unpack ({what}), against docker", our_pull, docker_pull,
                    GOAL_DOCKER),
            against("the same, against podman", our_pull, podman_pull, None),
            Row("memory of the client that pulls", pulls.memory, None, None, GOAL_MEMORY, "MB"),
            against("push of the same, compressed anew, against docker", our_push, docker_push,
                    GOAL_DOCKER),
            Row("its size at the registry", our_size, size, our_size / size, GOAL_SIZE, "MB"),
            Row("memory of the client that pushes", pushes.memory, None, None, GOAL_MEMORY, "MB"),
        ]  # fmt: skip
