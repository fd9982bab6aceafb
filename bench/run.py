"""Runs the benches named (all of them without a name) and writes RESULTS.md beside this file.

``run.py NAME...`` leaves the sections of the others as they are.
"""

from __future__ import annotations

import compileall
import datetime
import importlib
import os
import platform
import re
import sys
from pathlib import Path

import place
from measure import by_turns, process
from rows import Row, table

BENCHES = {
    "launchpad": "The runtime through its launchpad",
    "oci": "The runtime's command line",
    "cli": "The container command line",
    "memory": "Memory of what looks after a container",
    "many": "A thousand containers",
    "image": "Images and registries",
    "build": "The builder",
    "cluster": "A cluster on this machine",
    "apiserver": "The API server",
    "registry": "The registry server",
}
"""Module: title. Each has ``run() -> list[Row]``; this is their order."""
RESULTS = Path(__file__).with_name("RESULTS.md")
HEAD = """# Measured

Written by `make bench`; `bench/run.py NAME...` measures some sections again. Ours and its peer run
by turns in the same minutes on the same machine; numbers are medians, and the ratio is what
counts: hardware differs. Noise is the larger interquartile range of the two, as a part of its
median; "fastest" is the ratio of the best of each, which a busy machine disturbs least. Peers are
Debian 12's packages; kube-apiserver is built from Debian's source.
"""


def machine() -> str:
    """The class of machine: no name of it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    kernel = re.match(r"\d+\.\d+", platform.release())
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GB, {platform.machine()}, "
        f"Linux {kernel.group() if kernel else '?'}, Python {platform.python_version()}"
    )


def section(name: str, rows: list[Row], calm: str) -> str:
    """One bench's part of the results."""
    day = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"## {name}: {BENCHES[name]}\n\n{day}; {machine()}; {calm}.\n\n{table(rows)}\n"


def calmness() -> str:
    """How busy the machine is, and what a process costs on it now."""
    probe = by_turns({"true": process("/bin/true")}, 50)["true"]
    load = os.getloadavg()[0]
    return (
        f"load {load:.1f} before it; a process of `true` {probe.median:.2f} ms, "
        f"noise {probe.spread:.0%}{_precedence()}"
    )


def _precedence() -> str:
    """Whether somebody has put this run before others on the machine: cgroups(7), cpu.shares."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        shares = Path(f"/sys/fs/cgroup/cpu{path}/cpu.shares")
        if "cpu" in controllers.split(",") and path != "/" and shares.exists():
            return f", in a control group of {shares.read_text().strip()} cpu.shares"
    return ""


def kept() -> dict[str, str]:
    """The sections of an earlier run."""
    text = RESULTS.read_text() if RESULTS.exists() else ""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return {part[3:].partition(":")[0]: part.strip() + "\n" for part in parts}


def main(names: list[str]) -> int:
    """Exit code 0 where all could be measured, whether a goal is met or not."""
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"bench: {unknown[0]}: unknown; there are {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        print("bench: containers need root: run `sudo make bench`", file=sys.stderr)
        return 2
    place.need_packages()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a machine where caches are kept
    # What was edited since `make setup` is not compiled at every start of ours.
    compileall.compile_dir(place.PROJECT / "src", quiet=1)
    sections = kept()
    for name in names or list(BENCHES):
        calm = calmness()
        print(f"bench: {name} ...", file=sys.stderr)
        rows = importlib.import_module(name).run()
        print(table(rows))
        sections[name] = section(name, rows, calm)
        text = "\n".join([HEAD, *(sections[one] for one in BENCHES if one in sections)])
        RESULTS.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
