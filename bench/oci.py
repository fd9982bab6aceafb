"""`dockyard-oci run` and `exec` as whole processes, against runc, with the same config.json."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import place
from launchpad import overlay_bundle
from measure import against, by_turns, process, which
from profiles import of_python
from rows import Row

ROUNDS = 40
GOAL_RUN, GOAL_EXEC = 1.2, 1.2
OURS, RUNC = str(place.BIN / "dockyard-oci"), "runc"


def run() -> list[Row]:
    """Ours and runc by turns."""
    with place.folder() as base:
        lower = place.busybox_tree(base / "lower")
        return [_run(base, lower), _exec(base, lower)]


def _run(base: Path, lower: Path) -> Row:
    args = ["/bin/true"]
    with (
        overlay_bundle(base, lower, args, "ours-run") as ours,
        overlay_bundle(base, lower, args, "runc-run") as theirs,
    ):
        name = f"dybench-{os.getpid()}"
        our_words = [OURS, "--root", str(base / "ours"), "run", "--bundle", str(ours), name]
        ways = {
            "ours": process(*our_words),
            "runc": process(
                RUNC, "--root", str(base / "runc"), "run", "--bundle", str(theirs), name
            ),
        }
        found = by_turns(ways, ROUNDS)
        profile = of_python(*our_words)
    return against("`dockyard-oci run`, against `runc run`", found["ours"], found["runc"],
                   GOAL_RUN, profile)  # fmt: skip


def _exec(base: Path, lower: Path) -> Row:
    args = ["/bin/sleep", "1000"]
    name = f"dybench-{os.getpid()}"
    ours, theirs = [OURS, "--root", str(base / "ours")], [RUNC, "--root", str(base / "runc")]
    with (
        overlay_bundle(base, lower, args, "ours-exec") as our_bundle,
        overlay_bundle(base, lower, args, "runc-exec") as their_bundle,
    ):
        try:
            for words, bundle in ((ours, our_bundle), (theirs, their_bundle)):
                _call(*words, "run", "--detach", "--bundle", str(bundle), name)
            our_words = [*ours, "exec", name, "/bin/true"]
            ways = {
                "ours": process(*our_words),
                "runc": process(*theirs, "exec", name, "/bin/true"),
            }
            found = by_turns(ways, ROUNDS)
            profile = of_python(*our_words)
        finally:
            for words in (ours, theirs):
                _call(*words, "delete", "--force", name, check=False)
    return against("`dockyard-oci exec`, against `runc exec`", found["ours"], found["runc"],
                   GOAL_EXEC, profile)  # fmt: skip


def _call(*words: str, check: bool = True) -> None:
    null = subprocess.DEVNULL
    subprocess.run([which(words[0]), *words[1:]], stdin=null, stdout=null, check=check)
