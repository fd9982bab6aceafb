"""How fast the API is, against kube-apiserver over etcd: the same load generators for both.

GET, LIST and create come from Debian's wrk (keep-alive, TLS), watches from :mod:`watchers`. Where
our time goes is the server's CPU time a request, as the kernel counts it, in user and kernel mode.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import kubeapi
import place
from kubeapi import TOKEN, Api, must
from measure import Sample, sample
from rows import Row

GOAL_GET = 3.0
SECONDS, ROUNDS = 4, 5
SIZE = 1100
"""Bytes of the object that is asked for, whole, as each server sends it."""
PODS = 1000
WATCHERS, CHANGES = 100, 100
MAPS = "/api/v1/namespaces/default/configmaps"
CREATE = """
local number = 0
request = function()
  number = number + 1
  local body = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"NAME-' .. number ..
    '"},"data":{"a":"PADDING"}}'
  return wrk.format("POST", nil, {["Authorization"]="Bearer TOKEN",
    ["Content-Type"]="application/json"}, body)
end
"""
TICKS = os.sysconf("SC_CLK_TCK")


def wrk(api: Api, path: str, connections: int, script: Path | None = None) -> float:
    """Requests a second; every answer has to be a good one."""
    words = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "-H",
             f"Authorization: Bearer {TOKEN}", *(["-s", str(script)] if script else []),
             api.url + path]  # fmt: skip
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        raise RuntimeError(f"{api.name}: {path}: {told}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", told)
    assert found is not None, told
    return float(found[1])


def cpu(api: Api) -> tuple[float, float]:
    """Seconds of CPU that the server has had, in user and in kernel mode (proc(5), stat)."""
    fields = Path(f"/proc/{api.pids[0]}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS


def rate(
    what: str, ours: Api, peer: Api, once: Callable[[Api], float], goal: float | None = None
) -> Row:
    """Both by turns; a row of things a second."""
    found: dict[Api, list[float]] = {ours: [], peer: []}
    spent, done = [0.0, 0.0], 0.0
    for number in range(ROUNDS + 1):
        for api in (ours, peer):
            before = cpu(api)
            got = once(api)
            if not number:
                continue  # the first one warms up
            found[api].append(got)
            if api is ours:
                spent = [s + a - b for s, a, b in zip(spent, cpu(api), before, strict=True)]
                done += got * SECONDS
    mine, theirs = sample(found[ours]), sample(found[peer])
    return _row(what, mine, theirs, goal, _profile(spent, done))


def _profile(spent: list[float], done: float) -> str:
    user, kernel = (1e6 * seconds / done for seconds in spent)
    if user + kernel > 10_000:
        return f"{user / 1000:.1f} ms of CPU each in user mode, {kernel / 1000:.1f} in the kernel"
    return f"{user:.0f} us of CPU each in user mode, {kernel:.0f} in the kernel"


def _row(what: str, mine: Sample, theirs: Sample, goal: float | None, profile: str) -> Row:
    return Row(what, mine.median, theirs.median, mine.median / theirs.median, goal, "/s",
               at_least=True, noise=max(mine.spread, theirs.spread), profile=profile)  # fmt: skip


def one_object(api: Api) -> str:
    """The path of a ConfigMap whose answer has SIZE bytes: the servers add fields of their own."""
    path, padding = f"{MAPS}/one", 100
    with api.connection() as connection:
        while True:
            body = {"metadata": {"name": "one"}, "data": {"a": "x" * padding}}
            must(connection, "POST", MAPS, body)
            size = len(must(connection, "GET", path))
            if size == SIZE:
                return path
            must(connection, "DELETE", path)
            padding += SIZE - size


def many_pods(api: Api) -> str:
    """The path of a namespace's pods; none of them is anybody's to run."""
    container = {"name": "c", "image": "nginx:1", "ports": [{"containerPort": 80}],
                 "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
                 "env": [{"name": f"NAME_{n}", "value": "value"} for n in range(10)]}  # fmt: skip
    spec = {"schedulerName": "nobody", "containers": [container]}
    path = "/api/v1/namespaces/pods/pods"
    with api.connection() as connection:
        must(connection, "POST", "/api/v1/namespaces", {"metadata": {"name": "pods"}})
        for number in range(PODS):
            metadata = {"name": f"pod-{number:04}", "labels": {"app": "web", "n": str(number)}}
            must(connection, "POST", path, {"metadata": metadata, "spec": spec})
    return path


class Creating:
    """Creates of ConfigMaps with names that nobody has had."""

    def __init__(self, folder: Path) -> None:
        self._script, self._runs = folder / "create.lua", 0

    def __call__(self, api: Api) -> float:
        self._runs += 1
        text = CREATE.replace("NAME", f"run-{self._runs}").replace("TOKEN", TOKEN)
        self._script.write_text(text.replace("PADDING", "x" * 500))
        return wrk(api, MAPS, 16, self._script)


def fan_out(api: Api) -> float:
    """Events a second that reach watchers, of changes that one client makes as fast as it can."""
    script = Path(__file__).with_name("watchers.py")
    words = [sys.executable, str(script), str(api.port), TOKEN, str(WATCHERS), str(CHANGES)]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return float(json.loads(told)["events_a_second"])


def run() -> list[Row]:
    """The rows."""
    with place.folder() as base, ExitStack() as stack:
        peer = stack.enter_context(kubeapi.kubernetes(base / "peer"))
        ours = stack.enter_context(kubeapi.dockyard(base / "ours"))
        (one,) = {one_object(api) for api in (ours, peer)}
        (pods,) = {many_pods(api) for api in (ours, peer)}
        creating = Creating(base)
        events = rate(f"events to {WATCHERS} watchers", ours, peer, fan_out)
        return [
            rate("GET of 1.1 kB, 32 connections", ours, peer, lambda a: wrk(a, one, 32), GOAL_GET),
            rate(f"LIST of {PODS:,} pods, 4 connections", ours, peer, lambda a: wrk(a, pods, 4)),
            rate("create of 0.6 kB, 16 connections", ours, peer, creating),
            events._replace(profile=""),  # their number in a run is given, not its seconds
        ]
