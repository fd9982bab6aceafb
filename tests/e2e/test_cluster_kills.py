"""kill -9 of each part of a cluster while a Deployment serves requests (G07, G08).

What runs goes on: the pids of containers and their restart counts are compared before and after. A
Service is asked all the time, through the kernel's rules, which no process of ours is part of.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.cluster import Cluster

pytestmark = pytest.mark.root
WHOLE_SECONDS = 10.0
SERVE = "mkdir -p /www; hostname > /www/index.html; exec httpd -f -p 8080 -h /www"


def children(pid: int) -> list[int]:
    """Processes that this one has started, or adopted."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


def command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


class Asker:
    """Asks a URL all the time; ``failures`` says when nobody answered."""

    def __init__(self, url: str) -> None:
        self.url, self.asked = url, 0
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            self.asked += 1
            try:
                with urllib.request.urlopen(self.url, timeout=2) as answer:
                    answer.read()
            except OSError as error:
                self.failures.append(f"{time.monotonic():.2f}: {error}")

    def __enter__(self) -> Asker:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture(scope="module")
def shop(cluster: Cluster) -> Iterator[Cluster]:
    """Three pods behind a Service."""
    cluster.kubectl("create", "deployment", "web", "--image=localhost/busybox:1", "--replicas=3",
                    "--", "sh", "-c", SERVE)  # fmt: skip
    cluster.kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080")
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    yield cluster
    cluster.kubectl("delete", "deployment,service", "web")


def running(cluster: Cluster) -> dict[str, tuple[int, int]]:
    """Pod -> (pid of its program, how often it was restarted)."""
    found = {}
    for pod in cluster.get("pods", "-l", "app=web")["items"]:
        status = pod["status"]["containerStatuses"][0]
        inspected = cluster.dockyard(
            "inspect", "--format", "{{.State.Pid}}",
            status["containerID"].removeprefix("dockyard://"),
        )  # fmt: skip
        found[pod["metadata"]["name"]] = (int(inspected), status["restartCount"])
    return found


def ready(cluster: Cluster) -> int:
    pods = cluster.get("pods", "-l", "app=web")["items"]
    return sum(
        each["status"] == "True"
        for pod in pods
        for each in pod["status"]["conditions"]
        if each["type"] == "Ready"
    )


def is_whole(cluster: Cluster, name: str) -> bool:
    """Three pods are ready, a new one runs, and a command can be run in it."""
    if ready(cluster) != 3:
        return False
    done = cluster.kubectl.run("run", name, "--image=localhost/busybox:1", "--", "sleep", "600")
    if done.returncode and "AlreadyExists" not in done.stderr:
        return False
    return cluster.kubectl.run("exec", name, "--", "true").returncode == 0


def process(cluster: Cluster, which: str) -> int:
    """A part's pid."""
    processes: dict[str, int] = cluster.status()["processes"]
    if which in processes:
        return processes[which]
    (launchpad,) = [
        pid for pid in children(processes["agent"]) if "launchpad" in command(pid)
    ]  # fmt: skip
    return launchpad


@pytest.mark.parametrize("which", ["control", "agent", "launchpad"])
def test_g08_a_part_is_killed_and_no_container_notices(shop: Cluster, which: str) -> None:
    before = running(shop)
    shop.kubectl("create", "configmap", f"stored-before-{which}", "--from-literal=a=1")
    address = shop.get("service", "web")["spec"]["clusterIP"]
    victim = process(shop, which)
    with Asker(f"http://{address}/") as asker:
        os.kill(victim, signal.SIGKILL)
        began = time.monotonic()
        shop.eventually(lambda: is_whole(shop, f"after-{which}"), "whole", WHOLE_SECONDS)
        took = time.monotonic() - began
        shop.eventually(lambda: process(shop, which) != victim, f"another {which}")
    assert asker.asked > 10 and asker.failures == [], f"{asker.asked} asked, whole in {took:.1f} s"
    assert running(shop) == before
    assert shop.get("configmap", f"stored-before-{which}")["data"] == {"a": "1"}
    shop.kubectl("delete", "pod", f"after-{which}", "--now")


def test_g08_a_monitor_is_killed_and_only_its_container_starts_again(shop: Cluster) -> None:
    before = running(shop)
    name, (pid, restarts) = sorted(before.items())[0]
    monitor = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    assert monitor not in shop.status()["processes"].values()
    os.kill(monitor, signal.SIGKILL)
    shop.eventually(
        lambda: running(shop)[name][1] == restarts + 1 and ready(shop) == 3, "restarted",
        WHOLE_SECONDS,
    )  # fmt: skip
    after = running(shop)
    assert after.pop(name)[0] != before.pop(name)[0]
    assert after == before


def test_g08_everything_is_killed_at_once(shop: Cluster) -> None:
    """Control plane, agent and launchpad together; then a reboot of all but the containers."""
    before = running(shop)
    address = shop.get("service", "web")["spec"]["clusterIP"]
    victims = [process(shop, which) for which in ("control", "agent", "launchpad")]
    with Asker(f"http://{address}/") as asker:
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        shop.eventually(lambda: is_whole(shop, "after-all"), "whole", WHOLE_SECONDS)
    assert asker.failures == []
    assert running(shop) == before


def test_the_supervisor_is_killed_and_up_goes_on(shop: Cluster) -> None:
    """Its programs end with it; `dockyard up` finds all that ran."""
    before = running(shop)
    supervisor = process(shop, "supervisor")
    parts = [process(shop, which) for which in ("control", "agent")]
    os.kill(supervisor, signal.SIGKILL)
    for pid in parts:
        shop.eventually(lambda pid=pid: has_ended(pid), "it ended")  # type: ignore[misc]
    shop.up()
    shop.eventually(lambda: is_whole(shop, "after-supervisor"), "whole", WHOLE_SECONDS)
    assert running(shop) == before


def test_down_keeps_the_data_and_up_brings_it_back(shop: Cluster) -> None:
    shop.kubectl("create", "configmap", "kept", "--from-literal=a=1")
    uid = shop.get("namespace", "default")["metadata"]["uid"]
    shop.dockyard("down")
    done = subprocess.run(["pgrep", "-f", str(shop.root)], capture_output=True, text=True)
    assert done.stdout == "", "no process is left"
    shop.up()
    assert shop.get("configmap", "kept")["data"] == {"a": "1"}
    assert shop.get("namespace", "default")["metadata"]["uid"] == uid
    shop.eventually(lambda: ready(shop) == 3, "the pods run again")
