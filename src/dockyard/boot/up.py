"""Turns a data root into a running cluster: settings, a detached supervisor, and a Ready node."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

from dockyard.base.aio.now import monotonic, parse_stamp, pause, wall
from dockyard.base.errors import Conflict, Invalid, Unavailable
from dockyard.boot import claims, credentials, layout, supervisor
from dockyard.boot.layout import Layout, Settings
from dockyard.cluster.kinds.schemas import releases
from dockyard.node.network import machine

QUEUE = "clusters.lock"
READY_SECONDS = 60.0
POLL_SECONDS = 0.05
MOST_ENDINGS = 4
"""A program may end once or twice, when the other is not there yet."""


def up(place: Layout, overrides: dict[str, Any]) -> Settings:
    """Start the cluster and wait until its node is Ready. Raises Conflict if it runs already."""
    if pid := supervisor.holder(str(place.lock)):
        raise Conflict(
            f"up: {place.data_root}: pid {pid} runs this cluster already; "
            f"stop it with `dockyard down{place.flag}`"
        )
    settings = layout.load(place)
    if settings is None:
        with machine.alone(QUEUE):  # until its ports and blocks can be seen by the next one
            settings = _choose(overrides)
            layout.save(place, settings)
            _start(place, settings)
        return settings
    if overrides:
        raise Conflict(
            f"up: {place.config}: the cluster is there already and keeps its settings; "
            f"`dockyard down --purge{place.flag}` forgets them"
        )
    if why := claims.conflict(place.instance, settings, claims.found()):
        raise Conflict(f"up: {place.config}: its addresses overlap {why}; stop that one first")
    _start(place, settings)
    return settings


def _choose(overrides: dict[str, Any]) -> Settings:
    """Settings of a new cluster, apart from those of all that run here."""
    host = layout.look_at_host()
    taken = tuple(block for claim in claims.found() for block in claim.blocks)
    chosen = layout.choose(layout.replace(host, routes=(*host.routes, *taken)))
    try:
        settings = layout.replace(chosen, **overrides)
    except (TypeError, ValueError) as error:
        raise Invalid(f"up: settings: {error}") from error
    if settings.release not in releases():
        raise Invalid(
            f"up: settings: kubernetesVersion {settings.release}: not one of "
            f"{', '.join(releases())}"
        )
    if why := claims.conflict("", settings, claims.found()):
        raise Conflict(f"up: settings: addresses overlap {why}; choose others")
    return settings


def _start(place: Layout, settings: Settings) -> None:
    place.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [sys.executable, "-m", supervisor.__name__, str(place.data_root),
               str(place.logs), str(place.lock)]  # fmt: skip
    began = int(wall())
    with (place.logs / "supervisor.log").open("ab") as log:
        said = log.tell()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            cwd="/",
        )  # fmt: skip
    deadline = monotonic() + READY_SECONDS
    state = ""
    while monotonic() < deadline:
        if process.poll() is not None:
            raise Unavailable(f"up: the supervisor ended: {last_words(place)}")
        if _endings(place, said) >= MOST_ENDINGS:
            raise Unavailable(
                f"up: its programs end as soon as they start; logs are in {place.logs}: "
                f"{last_words(place)}; `dockyard down{place.flag}` stops it"
            )
        state = node_state(place, settings, began)
        if state == "Ready":
            return
        pause(POLL_SECONDS)
    raise Unavailable(
        f"up: not ready after {READY_SECONDS:.0f} s: node {settings.node_name}: "
        f"{state or 'the API does not answer'}; logs are in {place.logs}: {last_words(place)}"
    )


def _endings(place: Layout, said: int) -> int:
    """How often a program has ended since the supervisor's log had that length."""
    with (place.logs / "supervisor.log").open() as log:
        log.seek(said)
        return log.read().count(" ended with ")


def last_words(place: Layout) -> str:
    """The last line of each log."""
    found = []
    for path in sorted(place.logs.glob("*.log")):
        lines = path.read_text(errors="replace").strip().splitlines()
        if lines:
            found.append(f"{path.stem}: {lines[-1]}")
    return "; ".join(found) or "no log is there"


def ask(place: Layout, settings: Settings, path: str) -> Any:
    """GET from the API as the administrator; None where it does not answer (yet)."""
    if not place.kubeconfig.exists():
        return None
    try:
        context = credentials.client_context(place, "admin")
        connection = http.client.HTTPSConnection(
            "127.0.0.1", settings.api_port, timeout=5, context=context
        )
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
    except (OSError, ssl.SSLError, http.client.HTTPException):
        return None
    return json.loads(body) if response.status == 200 else None


def node_state(place: Layout, settings: Settings, since: float = 0) -> str:
    """``Ready``, ``NotReady``, or nothing: where its kubelet has not reported ``since`` then."""
    node = ask(place, settings, f"/api/v1/nodes/{settings.node_name}")
    if node is None:
        return ""
    for condition in node.get("status", {}).get("conditions") or ():
        if condition["type"] == "Ready" and parse_stamp(condition["lastHeartbeatTime"]) >= since:
            return "Ready" if condition["status"] == "True" else "NotReady"
    return "NotReady"


def programs(pid: int) -> dict[str, int]:
    """The supervisor's programs by name: (``control`` and ``agent``) -> pid."""
    found = {}
    children = Path(f"/proc/{pid}/task/{pid}/children")
    for child in children.read_text().split() if children.exists() else ():
        words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        for word in words:
            name = os.fsdecode(word)
            if name.startswith("dockyard.boot."):
                found[name.rpartition(".")[2]] = int(child)
    return found
