"""`dockyard run` and `exec` as whole processes, against docker and podman."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import place
from docker import Docker, dockerd
from measure import Timed, against, by_turns, output, process
from netns import network
from profiles import of_python
from rows import Row

from dockyard.base.oci.instance import RUN_ROOT, instance_id

ROUNDS = 25
OURS = str(place.BIN / "dockyard")
IMAGE = "dybench"
GOAL_DOCKER, GOAL_PODMAN, GOAL_BRIDGE, GOAL_EXEC = 0.2, 0.4, 0.4, 0.6


class Dockyard:
    """Our command line on a data root of its own."""

    def __init__(self, root: Path) -> None:
        self.env = {"DOCKYARD_ROOT": str(root)}

    def __call__(self, *words: str) -> str:
        return output(OURS, *words, env=self.env)

    def timed(self, *words: str) -> Timed:
        """A command line that can be measured."""
        return process(OURS, *words, env=self.env)

    def profile(self, *words: str) -> str:
        """Where its time goes."""
        return of_python(OURS, *words, env=self.env)


class Podman:
    """Podman with everything below one folder."""

    def __init__(self, base: Path) -> None:
        self._words = [
            "podman", "--root", str(base / "podman"), "--runroot", str(base / "podman-run"),
            "--tmpdir", str(base / "podman-tmp"), "--cgroup-manager=cgroupfs", "--runtime=runc",
            "--events-backend=file",
        ]  # fmt: skip
        self.run_flags = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]

    def __call__(self, *words: str) -> str:
        return output(*self._words, *words)

    def timed(self, *words: str) -> Timed:
        """A command line that can be measured."""
        return process(*self._words, *words)


@contextmanager
def image_tar(base: Path) -> Iterator[Path]:
    """The one image that all of them get."""
    tree = place.busybox_tree(base / "tree")
    path = base / "image.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(tree, arcname=".")
    yield path


@contextmanager
def dockyard(base: Path, image: Path) -> Iterator[Dockyard]:
    """Ours with the image, and without a container in the end."""
    ours = Dockyard(base / "dockyard")
    ours("image", "import", str(image), IMAGE)
    try:
        yield ours
    finally:
        if left := ours("ps", "-aq").split():
            ours("rm", "-f", *left)
        shutil.rmtree(f"{RUN_ROOT}/{instance_id(base / 'dockyard')}", ignore_errors=True)


def run() -> list[Row]:
    """Everything in a network namespace of its own: no bridge or rule is left on the host."""
    with (
        place.folder() as base,
        network(),
        image_tar(base) as image,
        dockerd(base) as docker,
        dockyard(base, image) as ours,
    ):
        podman = Podman(base)
        docker("import", str(image), IMAGE)
        podman("import", "-q", str(image), IMAGE)
        rows = [*_without_network(ours, docker, podman), _with_bridge(ours, docker)]
        return [*rows, _exec(ours, docker)]


def _without_network(ours: Dockyard, docker: Docker, podman: Podman) -> list[Row]:
    words = ["run", "--rm", "--network", "none"]
    found = by_turns(
        {
            "ours": ours.timed(*words, IMAGE, "/bin/true"),
            "docker": docker.timed(*words, IMAGE, "/bin/true"),
            "podman": podman.timed(*words, *podman.run_flags, IMAGE, "/bin/true"),
        },
        ROUNDS,
    )
    what = "`dockyard run --rm --network none`, against {}"
    profile = ours.profile(*words, IMAGE, "/bin/true")
    return [
        against(what.format("docker"), found["ours"], found["docker"], GOAL_DOCKER, profile),
        against(what.format("podman"), found["ours"], found["podman"], GOAL_PODMAN),
    ]


def _with_bridge(ours: Dockyard, docker: Docker) -> Row:
    words = ["run", "--rm", IMAGE, "/bin/true"]
    found = by_turns({"ours": ours.timed(*words), "docker": docker.timed(*words)}, ROUNDS)
    return against("`dockyard run --rm` with its bridge, against docker", found["ours"],
                   found["docker"], GOAL_BRIDGE, ours.profile(*words))  # fmt: skip


def _exec(ours: Dockyard, docker: Docker) -> Row:
    name = f"dybench-{os.getpid()}"
    words = ["exec", name, "/bin/true"]
    begin = ["run", "-d", "--network", "none", "--name", name, IMAGE, "/bin/sleep", "1000"]
    ours(*begin)
    docker(*begin)
    found = by_turns({"ours": ours.timed(*words), "docker": docker.timed(*words)}, ROUNDS)
    profile = ours.profile(*words)
    docker("rm", "-f", name)
    return against("`dockyard exec`, against `docker exec`", found["ours"], found["docker"],
                   GOAL_EXEC, profile)  # fmt: skip
