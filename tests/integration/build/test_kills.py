"""G10: `kill -9` at any moment of a build, by the dozen: the store verifies, and nothing stays."""

import os
import random
import signal
import subprocess

import pytest

from dockyard.base.aio.now import pause
from helpers.buildbench import PROGRAM, Bench
from helpers.leaks import left_behind
from helpers.program import eventually

pytestmark = [pytest.mark.root, pytest.mark.long]

DOCKERFILE = (
    "FROM busybox AS one\nARG N\nCOPY many /m/\nRUN echo $N > /n; find /m | sort > /list\n"
    "FROM busybox AS two\nARG N\nWORKDIR /d/$N\nADD many /w/\nRUN cat /w/* | wc -c > /w/size\n"
    "FROM scratch\nCOPY --from=one / /one/\nCOPY --from=two /w /two/\n"
)


@pytest.mark.parametrize("seed", range(2))
def test_g10_kills_by_the_dozen(bench: Bench, seed: int) -> None:
    chance = random.Random(seed)
    bench.write({f"many/{number}": str(number) * 3000 for number in range(150)})
    bench.build(DOCKERFILE, "--build-arg", "N=0")
    first = bench.image.id
    env = {**os.environ, "DOCKYARD_ROOT": str(bench.base / "data")}
    ended = 0
    for number in range(1, 16):
        words = ["-t", "out", "--network", "none", "--build-arg", f"N={number}"]
        process = subprocess.Popen(
            [PROGRAM, "build", *words, "-o", f"type=oci,dest={bench.base}/out.tar", "--load",
             str(bench.context)], env=env, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        pause(chance.uniform(0.1, 1.2))  # wherever that is: each place is as good
        process.send_signal(signal.SIGKILL)
        ended += process.wait(20) == 0
        eventually(lambda: left_behind(bench.base / "data") == [])
        done = subprocess.run([PROGRAM, "image", "verify"], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        if not ended:
            assert bench.image.id == first
        names = {path.name for path in bench.base.iterdir() if path.name.startswith("out.tar")}
        for name in names - {"out.tar"}:  # a part has another name until it is whole
            (bench.base / name).unlink()
        if "out.tar" in names:
            check = ["skopeo", "inspect", "--raw", f"oci-archive:{bench.base}/out.tar"]
            subprocess.run(check, check=True, capture_output=True)
    bench.build(DOCKERFILE, "--build-arg", "N=last")
    assert bench.said("one/n") == "last\n"
    assert {path.name for path in (bench.base / "data/images/ingest").iterdir()} == {"lock"}
