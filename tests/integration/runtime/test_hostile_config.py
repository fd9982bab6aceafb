"""config.json as somebody hostile writes it: a clear error, and nothing made of it stays."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dockyard.base.linux import mounttable
from dockyard.base.oci.defaultspec import default_spec
from helpers.leaks import tree_hash

pytestmark = pytest.mark.root

OURS = str(Path(sys.executable).parent / "dockyard-oci")


class Attempt:
    """One `dockyard-oci run` that must fail, and what it may have left."""

    def __init__(self, folder: Path, lower: Path) -> None:
        self.folder, self.lower = folder, lower
        self.id = f"hostile{secrets.token_hex(4)}"
        self.cgroup = f"dockyard-hostile-tests/{self.id}"

    def spec(self) -> dict[str, Any]:
        found = default_spec(args=["true"], env=["PATH=/bin"], cwd="/", root=str(self.lower),
                             cgroup=self.cgroup)  # fmt: skip
        found["root"]["readonly"] = True
        return found

    def run(self, content: bytes) -> str:
        bundle = self.folder / "bundle"
        bundle.mkdir(exist_ok=True)
        (bundle / "config.json").write_bytes(content)
        before = tree_hash(self.lower)
        mounts = {row.point for row in mounttable.read()}
        done = subprocess.run(
            [OURS, "--root", str(self.folder / "state"), "run", "-b", str(bundle), self.id],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
            env={**os.environ, "PYTHONFAULTHANDLER": "1"},
        )  # fmt: skip
        assert done.returncode != 0, done.stdout
        assert "Traceback" not in done.stderr
        assert tree_hash(self.lower) == before
        left = {row.point for row in mounttable.read()} - mounts
        assert not [point for point in left if point.startswith(str(self.folder))]
        assert list(Path("/sys/fs/cgroup").glob(f"*/{self.cgroup}")) == []
        state = self.folder / "state"
        assert not state.exists() or [p for p in state.iterdir() if p.name != ".cache"] == []
        return done.stderr


@pytest.fixture
def attempt(tmp_path: Path, lower: Path) -> Attempt:
    return Attempt(tmp_path, lower)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "object"),
        (b'"x"', "object"),
        (b"\xff\xfe{}", "not JSON"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"process": {"args": ["x"], "args": ["y"]}}', "twice"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "not JSON"),
        (b'{"x": "' + b"a" * (17 << 20) + b'"}', "at most"),
    ],
    ids=range(11),
)
def test_a13_files_that_are_none(attempt: Attempt, content: bytes, text: str) -> None:
    assert text in attempt.run(content)


def change(path: str, value: Any) -> Any:
    def apply(spec: dict[str, Any]) -> None:
        *above, last = path.split("/")
        for name in above:
            spec = spec[name]
        spec[last] = value

    return apply


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("process/args", ["x" * 200_000], "args"),
        ("process/args", ["a\0b"], "NUL"),
        ("process/args", [""] * 70_000, "at most"),
        ("process/args", [], "empty"),
        ("process/env", ["novalue"], "NAME=value"),
        ("process/env", ["A=b\0C=d"], "NUL"),
        ("process/cwd", "relative", "absolute"),
        ("process/cwd", "/" + "d" * 5000, "absolute"),
        ("process/user", {"uid": 2**32 - 1}, "uid"),
        ("process/user", {"uid": 0, "additionalGids": [-1]}, "additionalGids"),
        ("process/rlimits", [{"type": "RLIMIT_NOFILE", "soft": 5, "hard": 4}], "above hard"),
        ("process/rlimits", [{"type": "RLIMIT_NOFILE", "soft": 2**64, "hard": 2**64}], "soft"),
        ("process/oomScoreAdj", 5000, "oomScoreAdj"),
        ("hostname", "h" * 65, "hostname"),
        ("hostname", "a\0b", "NUL"),
        ("root/path", "", ""),
        ("root/path", "/no/such/place", "/no/such/place"),
        ("linux/cgroupsPath", "/../../escape", "climbs"),
        ("linux/cgroupsPath", "a//b", "climbs"),
        ("linux/sysctl", {"kernel.core_pattern": "|/x"}, "sysctl"),
        ("linux/sysctl", {"net.ipv4.ip_forward": "1\n2"}, "sysctl"),
        ("linux/namespaces", [{"type": "mount"}] * 2, "twice"),
        ("linux/namespaces", [{"type": "mount"}, {"type": "pid", "path": "/etc/passwd"}], ""),
        ("linux/namespaces", [{"type": "mount"}, {"type": "network", "path": "/no"}], "/no"),
        ("linux/namespaces", [{"type": "nonsense"}], "one of mount"),
        ("linux/namespaces", [{"type": "mount", "path": "../x"}], "absolute"),
        ("linux/namespaces", [{"type": "user"}], "user without mount"),
        ("linux/resources", {"cpu": {"cpus": "0-" + "9" * 70_000}}, "cpus"),
        ("linux/resources", {"memory": {"limit": 2**70}}, "limit"),
        ("linux/maskedPaths", ["/../../etc/passwd\0"], "NUL"),
        ("linux/seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["VAX"]}, "VAX"),
        ("mounts", [{"destination": "/x", "type": "tmpfs"}] * 4097, "at most 4096"),
        ("mounts", [{"destination": "/tmp", "type": "nosuchfs", "source": "x"}], "nosuchfs"),
        ("mounts", [{"destination": "/../../../x", "type": "bind", "source": "/no"}], "/no"),
        ("mounts", [{"destination": "/..", "type": "tmpfs", "source": "x",
                     "options": ["nonsense=1"]}], "mount"),
        ("hooks", {"prestart": [{"path": "/bin/false"}]}, "prestart[0]"),
        ("annotations", {"": "x"}, "annotations"),
    ],
    ids=range(37),
)  # fmt: skip
def test_a13_values_that_are_none(attempt: Attempt, path: str, value: Any, text: str) -> None:
    spec = attempt.spec()
    change(path, value)(spec)
    assert text in attempt.run(json.dumps(spec).encode())


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "", ".", "..", "a b", "x" * 1025, "naïve", "a\nb"], ids=range(9)
)
def test_a13_ids_that_are_none(attempt: Attempt, name: str) -> None:
    attempt.id = name
    attempt.run(json.dumps(attempt.spec()).encode())
