"""``kill -9`` at any moment of a pull or a load: the store verifies, and the next one finishes."""

import random
import subprocess
from pathlib import Path

import pytest

from dockyard.node.image.store import ImageStore
from helpers import registry_server
from helpers.machine import Machine, archive
from helpers.tars import file, folder, tar

pytestmark = [pytest.mark.root, pytest.mark.long]

KILLS = 50


def cut(machine: Machine, chance: random.Random, longest: float, *words: str) -> None:
    """Run a command, and kill it at some moment unless it is quicker."""
    process = subprocess.Popen(
        [machine.program, *words], env=machine.env,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        process.wait(chance.uniform(0.05, longest))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def whole(root: Path) -> None:
    """Whatever is listed is all there and as it should be."""
    damage = ImageStore(root).verify()
    assert not any(damage.values()), damage


@pytest.mark.parametrize("seed", [1, 2])
def test_g10_kills_by_the_hundred(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    layers = [
        tar(folder(f"d{n}"), *(file(f"d{n}/f{k}", chance.randbytes(9000)) for k in range(300)))
        for n in range(3)
    ]
    packed = archive(tmp_path / "a.tar", *layers)
    source = Machine(tmp_path / "source")
    with registry_server.serve(tmp_path / "registry") as registry:
        name = f"{registry.address}/app:1"
        source.run("image", "load", "-qi", str(packed))
        source.run("tag", "plain:1", name)
        source.run("push", "-q", name)
        machine = Machine(tmp_path / "one")
        for number in range(KILLS):
            cut(machine, chance, 1.2, *(("pull", "-q", name) if number % 3 else
                                        ("image", "load", "-qi", str(packed))))  # fmt: skip
            whole(machine.root)
            if number % 10 == 9:
                machine.run("image", "prune", "-af")
        machine.run("pull", "-q", name)
        whole(machine.root)
        machine.run("image", "prune", "-af")
        left = [path for path in (machine.root / "images").rglob("*") if path.is_file()]
        assert {path.name for path in left} <= {
            "images.db", "images.db-wal", "images.db-shm", "use.lock", "lock",
        }  # fmt: skip
