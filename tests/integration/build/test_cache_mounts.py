"""``RUN --mount=type=cache`` of builds at once: shared, private, locked, and races (E03)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from helpers.buildbench import MEET, Bench, building, cache, wait_for
from helpers.leaks import left_behind, tree_hash
from helpers.program import eventually

pytestmark = pytest.mark.root


def waits_for_a_lock(process: subprocess.Popen[str]) -> bool:
    """/proc/locks marks those that wait with an arrow (proc(5))."""
    found = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return any("->" in words and str(process.pid) in words for words in found)


def test_e03_a_locked_cache_is_one_step_s_at_a_time(bench: Bench) -> None:
    mount = "--mount=type=cache,id=one,target=/c,sharing=locked"
    step = f"FROM busybox\nRUN {MEET} {mount} echo %s >> /c/log; touch /meet/%s; {{}}\n"
    bench.build("FROM busybox\nRUN --mount=type=cache,id=meet,target=/m true\n")
    first = (step % ("a", "a")).format(f"{wait_for('go')}; echo a-ends >> /c/log")
    second = (step % ("b", "b")).format("true")
    with building(bench, "a", first) as one:
        eventually(lambda: (cache(bench, "meet") / "a").exists() or one.poll() is not None)
        with building(bench, "b", second) as other:
            eventually(lambda: waits_for_a_lock(other))
            assert not (cache(bench, "meet") / "b").exists()
            (cache(bench, "meet") / "go").touch()
    assert (cache(bench, "one") / "log").read_text() == "a\na-ends\nb\n"


def meeting(own: str, other: str, mount: str, then: str) -> str:
    begin = f"RUN {MEET} {mount} touch /c/{own} /meet/{own}"
    return f"FROM busybox\n{begin}; {wait_for(other)}; {then}\n"


def test_e03_a_shared_cache_is_written_by_two_builds_at_once(bench: Bench) -> None:
    mount = "--mount=type=cache,id=all,target=/c"
    with (
        building(bench, "a", meeting("a", "b", mount, "ls /c > /seen")),
        building(bench, "b", meeting("b", "a", mount, "ls /c > /seen")),
    ):
        pass
    for name in ("a", "b"):
        bench.name = name
        assert bench.said("seen") == "a\nb\n"


def test_e03_a_private_cache_is_another_one_for_each_build_at_once(bench: Bench) -> None:
    mount = "--mount=type=cache,id=own,target=/c,sharing=private"
    with (
        building(bench, "a", meeting("a", "b", mount, "ls /c > /seen")),
        building(bench, "b", meeting("b", "a", mount, "ls /c > /seen")),
    ):
        pass
    for name in ("a", "b"):
        bench.name = name
        assert bench.said("seen") == f"{name}\n"
    bench.name = "later"  # one of them is taken up again
    bench.build(f"FROM busybox\nRUN {mount} ls /c > /seen\n")
    assert bench.said("seen") in ("a\n", "b\n")


def test_e03_spaces_keep_caches_apart(bench: Bench) -> None:
    """BUILDKIT_CACHE_MOUNT_NS."""
    step = "FROM busybox\nARG N\nRUN --mount=type=cache,target=/c ls /c > /seen; touch /c/$N\n"
    for space, number, seen in (("x", "1", ""), ("y", "2", ""), ("x", "3", "1\n")):
        bench.build(step, "--build-arg", f"BUILDKIT_CACHE_MOUNT_NS={space}", "--build-arg",
                    f"N={number}")  # fmt: skip
        assert bench.said("seen") == seen


def test_e03_a_part_of_a_cache_that_is_swapped_for_a_link_leads_nowhere(bench: Bench) -> None:
    """One build swaps a folder of a cache for a link to a canary, again and again; another mounts
    that folder: it sees the folder or nothing."""
    canary = bench.base / "canary"
    canary.mkdir()
    (canary / "secret").write_text("canary")
    before = tree_hash(canary)
    bench.build(f"FROM busybox\nRUN {MEET} --mount=type=cache,id=k,target=/c mkdir -p /c/s\n")
    up = "../" * 12
    swap = (
        f"rm -rf /c/s; ln -s {canary} /c/s; rm -rf /c/s; ln -s {up}{canary} /c/s; "
        "rm -rf /c/s; mkdir /c/s; touch /c/s/ours"
    )
    mount = "--mount=type=cache,id=k,target=/c"
    first = f"FROM busybox\nRUN {MEET} {mount} while ! test -e /meet/stop; do {swap}; done\n"
    mounts = " ".join(f"--mount=type=cache,id=k,source=s,target=/x{number}" for number in range(6))
    steps = "cat /x*/secret; touch /x0/mark /x5/mark; true"
    bench.name = "second"
    with building(bench, "first", first):
        try:
            for _ in range(12):
                bench.write({"Dockerfile": f"FROM busybox\nRUN {mounts} {steps}\n"})
                done = bench.try_build("--no-cache")
                assert "canary\n" not in done.stdout + done.stderr
                refused = ("s: is not in cache k", "No such file or directory")  # it was gone again
                assert done.returncode == 0 or any(each in done.stderr for each in refused)
        finally:
            (cache(bench, "meet") / "stop").touch()
    assert tree_hash(canary) == before
    assert left_behind(bench.base / "data") == []


def test_e03_what_a_mount_lay_on_goes_without_following_links(bench: Bench) -> None:
    """CVE-2024-23652: a step puts a link where a mount's directory was made."""
    canary = bench.base / "canary"
    (canary / "deep").mkdir(parents=True)
    (canary / "deep/f").write_text("canary")
    (canary / "empty").mkdir()
    before = tree_hash(canary)
    bench.write({"one": "1"})
    bench.build(
        f"""
        FROM busybox
        RUN --mount=source=one,target=/a/deep/f mkdir /b; mv /a /b/a; ln -s {canary} /a
        RUN --mount=type=tmpfs,target=/m/empty mkdir /n; mv /m /n/m; ln -s {canary} /m
        RUN --mount=type=cache,target=/tmp/x mv /tmp /t; ln -s {canary} /tmp
        """
    )
    assert tree_hash(canary) == before
    assert left_behind(bench.base / "data") == []
