"""Version 2 alone: one configuration under runc, crun and this runtime; the limits are the same."""

import json
import subprocess
from pathlib import Path

from inside.boxes import GROUPS, MEGABYTE, ROOT, loop_device, prepare_v2

from dockyard.base.oci.defaultspec import default_spec

SCRIPT = "import sys; from dockyard.node.runtime.oci_cli import main; sys.exit(main())"
OURS = ("python3", "-S", "-B", "-c", SCRIPT)
PEERS = {"runc": ("runc",), "crun": ("crun",), "ours": OURS}
BUNDLE = Path("/tmp/bundle")
ENVIRONMENT = {"PYTHONPATH": "/opt", "PATH": "/bin:/usr/bin:/usr/sbin"}


def prepare() -> None:
    prepare_v2()
    BUNDLE.mkdir()


def call(peer: str, *words: str) -> tuple[int, str]:
    log = BUNDLE / "log"
    with log.open("w") as file:
        done = subprocess.run([*PEERS[peer], *words], stdout=file, stderr=file, cwd=BUNDLE,
                              stdin=subprocess.DEVNULL, timeout=60, env=ENVIRONMENT)  # fmt: skip
    return done.returncode, log.read_text()


def files(peer: str, names: tuple[str, ...], resources: dict, change: dict | None) -> dict:
    """What the files hold under one runtime, after an update if there is one."""
    spec = default_spec(args=["sleep", "600"], env=["PATH=/bin"], cwd="/", root=str(ROOT),
                        cgroup="/peers/c")  # fmt: skip
    spec["ociVersion"] = "1.0.2"  # the last that crun of Debian 12 knows
    del spec["linux"]["seccomp"]  # crun of Debian 12 reads its errno differently
    spec["linux"]["resources"].update(resources)
    (BUNDLE / "config.json").write_text(json.dumps(spec))
    code, said = call(peer, "run", "-d", "c")
    assert code == 0, (peer, said)
    try:
        if change is not None:
            (BUNDLE / "update.json").write_text(json.dumps(change))
            code, said = call(peer, "update", "-r", str(BUNDLE / "update.json"), "c")
            assert code == 0, (peer, said)
        return {name: (GROUPS / "peers/c" / name).read_text() for name in names}
    finally:
        call(peer, "delete", "-f", "c")
        assert not (GROUPS / "peers/c").exists(), peer


def same(names: str, resources: dict, change: dict | None = None, peers: str = "runc crun") -> None:
    ours = files("ours", tuple(names.split()), resources, change)
    for peer in peers.split():
        assert files(peer, tuple(names.split()), resources, change) == ours, peer


def test_memory() -> None:
    memory = {"limit": 64 * MEGABYTE, "swap": 96 * MEGABYTE, "reservation": 16 * MEGABYTE}
    same("memory.max memory.swap.max memory.low", {"memory": memory})


def test_memory_without_limit() -> None:
    same("memory.max memory.swap.max", {"memory": {"limit": -1, "swap": -1}})


def test_memory_updated() -> None:
    before = {"memory": {"limit": 64 * MEGABYTE, "swap": 64 * MEGABYTE}}
    after = {"memory": {"limit": 96 * MEGABYTE, "swap": 128 * MEGABYTE}}
    same("memory.max memory.swap.max", before, after)


def test_processor() -> None:
    cpu = {"shares": 512, "quota": 20000, "period": 50000, "cpus": "0", "mems": "0"}
    same("cpu.weight cpu.max cpuset.cpus cpuset.mems", {"cpu": cpu})


def test_shares() -> None:
    for shares in (2, 100, 1024, 4096, 262144):
        same("cpu.weight", {"cpu": {"shares": shares}}, peers="runc")


def test_a_quota_alone() -> None:
    same("cpu.max", {"cpu": {"quota": 30000}})


def test_pids() -> None:
    same("pids.max", {"pids": {"limit": 77}})
    same("pids.max", {"pids": {"limit": -1}})


def test_weights() -> None:
    for weight in (10, 500, 1000):
        same("io.weight", {"blockIO": {"weight": weight}})


def test_throttles() -> None:
    major, minor = loop_device()
    device = {"major": major, "minor": minor}
    block = {
        "throttleReadBpsDevice": [{**device, "rate": 1000000}],
        "throttleWriteIOPSDevice": [{**device, "rate": 300}],
    }
    same("io.max", {"blockIO": block})


def test_huge_pages() -> None:
    sizes = [{"pageSize": "2MB", "limit": 4 * MEGABYTE}]
    same("hugetlb.2MB.max", {"hugepageLimits": sizes})


def test_unified() -> None:
    same("memory.high cpu.weight", {"unified": {"memory.high": "50003968", "cpu.weight": "77"}})
