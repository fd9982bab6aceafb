"""Start to reaped through the launchpad, against crun and runc, with the same config.json."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import place
from apart import apart
from measure import Timed, against, by_turns, process
from rows import Row

from dockyard.base.oci.defaultspec import default_spec
from dockyard.interfaces.ociruntime import Launch, Overlay
from dockyard.node.runtime.launcher import LaunchpadLauncher
from dockyard.node.runtime.local import LocalRuntime, wait_for_monitor

ROUNDS = 60
GOAL_CRUN, GOAL_RUNC = 0.7, 0.25
KERNEL = (
    "side by side: maker (specification, cgroups of nine hierarchies) and init (overlay, mounts), "
    "then init (rights, seccomp, exec) and monitor and client; "
    "docs/decisions/013 and 015 have the steps"
)
STEPS = ("create", "start", "run and reap", "delete")


def config(args: list[str], root: Path, cgroup: str) -> dict[str, Any]:
    """The configuration that all get: Docker's default walls."""
    document = default_spec(
        args=args, env=["PATH=/usr/bin:/bin"], cwd="/", root=str(root), cgroup=cgroup
    )
    return {**document, "ociVersion": "1.0.2"}  # the newest that crun 1.8 knows


@contextmanager
def overlay_bundle(base: Path, lower: Path, args: list[str], name: str) -> Iterator[Path]:
    """A bundle for a runtime's command line, its overlay mounted beforehand, as engines do."""
    bundle = base / name
    for part in ("rootfs", "upper", "work"):
        (bundle / part).mkdir(parents=True)
    options = f"lowerdir={lower},upperdir={bundle}/upper,workdir={bundle}/work"
    target = str(bundle / "rootfs")
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, target], check=True)
    try:
        document = config(args, bundle / "rootfs", f"/dybench-{os.getpid()}-{name}")
        (bundle / "config.json").write_text(json.dumps(document))
        yield bundle
    finally:
        subprocess.run(["umount", target], check=True)


class OurWay:
    """One container through a warm launchpad, again and again, with the time of each step."""

    def __init__(self, runtime: LocalRuntime, base: Path, lower: Path, args: list[str]) -> None:
        self._runtime = runtime
        for part in ("rootfs", "upper", "work", "state"):
            (base / part).mkdir(parents=True)
        document = config(args, base / "rootfs", f"/dybench-{os.getpid()}-ours")
        overlay = Overlay((str(lower),), str(base / "upper"), str(base / "work"))
        self._launch = Launch(
            f"bench{os.getpid()}", document, str(base / "state"), str(base / "run"), overlay
        )
        self.steps: dict[str, list[float]] = {name: [] for name in STEPS}

    def once(self) -> float:
        """Start to reaped, and everything removed."""
        runtime, launch = self._runtime, self._launch
        marks = [time.perf_counter()]
        runtime.create(launch)
        marks.append(time.perf_counter())
        runtime.start(launch.run_dir)
        marks.append(time.perf_counter())
        ended = runtime.wait(launch.run_dir, launch.state_dir, 10)
        marks.append(time.perf_counter())
        runtime.delete(launch.run_dir, launch.spec["linux"]["cgroupsPath"])
        marks.append(time.perf_counter())
        if ended is None or ended.code != 0:
            raise RuntimeError(f"launchpad: ended as {ended}")
        wait_for_monitor(launch.run_dir)
        for name, before, after in zip(STEPS, marks, marks[1:], strict=False):
            self.steps[name].append((after - before) * 1000)
        return (marks[-1] - marks[0]) * 1000

    def profile(self) -> str:
        """The median of each step."""
        parts = []
        for name, values in self.steps.items():
            parts.append(f"{name} {sorted(values)[len(values) // 2]:.1f} ms")
        return ", ".join(parts)


def run() -> list[Row]:
    """Ours, crun and runc by turns."""
    with place.folder() as base:
        lower = place.busybox_tree(base / "lower")
        launcher = LaunchpadLauncher(str(base / "cache"))
        launcher.start()
        args = ["/bin/true"]
        try:
            ours = OurWay(LocalRuntime(launcher), base / "ours", lower, args)
            with (
                overlay_bundle(base, lower, args, "crun") as for_crun,
                overlay_bundle(base, lower, args, "runc") as for_runc,
                apart() as beside,  # sees what is mounted by now
            ):
                ways: dict[str, Timed] = {
                    "ours": ours.once,
                    "crun": _peer(beside.timed, "crun", for_crun, base),
                    "runc": _peer(process, "runc", for_runc, base),
                }
                found = by_turns(ways, ROUNDS)
        finally:
            launcher.close()
    what = "start to reaped through the launchpad, against `{} run`"
    return [
        against(what.format("crun"), found["ours"], found["crun"], GOAL_CRUN, ours.profile()),
        against(what.format("runc"), found["ours"], found["runc"], GOAL_RUNC, KERNEL),
    ]


def _peer(start: Any, program: str, bundle: Path, base: Path) -> Timed:
    words = [program, "--root", str(base / f"{program}-root"), "run", "--bundle", str(bundle)]
    timed: Timed = start(*words, f"dybench-{os.getpid()}")
    return timed
