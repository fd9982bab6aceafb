"""Turns this machine into a running shop and back: the whole way through Dockyard, step by step.

    make demo

builds images, pushes them to a registry and pulls them back, starts a cluster, applies manifests
with kubectl, orders something, breaks things, rolls out version 2 under load, rolls back, and
cleans up. Exits non-zero if any of it did not happen.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from load import Load, Tally

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from stage import Failed, Registry, Stage  # noqa: E402 - the examples share it

BIN = Path(sys.executable).parent
HOST = "shop.localhost"
NAMES = ("shop/api:1", "shop/api:2", "shop/web:1", "shop/redis:7")


class Shop:
    """The demo's own view of the cluster: kubectl and the Ingress."""

    def __init__(self, stage: Stage, data: Path) -> None:
        self.stage, self.data = stage, data
        os.environ["DOCKYARD_ROOT"] = str(data)
        kubectl = shutil.which("kubectl", path=f"{BIN}:{os.environ.get('PATH', '')}")
        if kubectl is None:
            raise Failed("kubectl is not installed; `make setup` installs it on amd64")
        self.kubectl_path = kubectl

    def dockyard(self, *words: str | Path) -> str:
        return self.stage.run(BIN / "dockyard", *words)

    def kubectl(self, *words: str | Path) -> str:
        return self.stage.run(
            self.kubectl_path, "--kubeconfig", self.data / "cluster/kubeconfig", *words
        )

    def get(self, *words: str) -> Any:
        return json.loads(self.kubectl("get", "-n", "shop", *words, "-o", "json"))

    def ingress(self) -> tuple[str, int]:
        return "127.0.0.1", int(
            json.loads(self.dockyard("status", "--output", "json"))["ingress_port"]
        )

    def http(self, path: str, body: Any = None) -> Any:
        address, port = self.ingress()
        request = urllib.request.Request(
            f"http://{address}:{port}{path}",
            headers={"Host": HOST, "Content-Type": "application/json"},
            data=None if body is None else json.dumps(body).encode(),
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            text = response.read().decode()
            return json.loads(text) if "json" in response.headers["Content-Type"] else text

    def pods(self, app: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.get("pods", "-l", f"app={app}")["items"]
        return items

    def wait_for_rollout(self, *names: str) -> None:
        for name in names:
            self.kubectl("rollout", "status", "-n", "shop", name, "--timeout=120s")


def build_and_push(shop: Shop, registry: Registry) -> None:
    stage = shop.stage
    with stage.step("base images from this machine's Debian packages"):
        shop.dockyard(
            "image", "bootstrap", "debian", "--packages", "python3", "-t", "localhost/python:3.11"
        )
        shop.dockyard(
            "image", "bootstrap", "debian", "--packages", "redis-server", "-t", "localhost/redis:7"
        )
    with stage.step("dockyard build: api 1, api 2, web, redis"):
        builds = [
            ("shop/api:1", "--build-arg", "VERSION=1", HERE / "api"),
            ("shop/api:2", "--build-arg", "VERSION=2", HERE / "api"),
            ("shop/web:1", HERE / "web"),
            ("shop/redis:7", "-f", HERE / "redis.Dockerfile", HERE),
        ]
        for name, *words in builds:
            shop.dockyard("build", "-q", "-t", f"{registry.address}/{name}", *words)
    with stage.step(f"dockyard push to {registry.address}, rmi, pull back"):
        for name in NAMES:
            reference = f"{registry.address}/{name}"
            before = shop.dockyard("images", "-q", reference).strip()
            shop.dockyard("push", "-q", reference)
            shop.dockyard("rmi", reference)
            shop.dockyard("pull", "-q", reference)
            after = shop.dockyard("images", "-q", reference).strip()
            stage.check(bool(before) and before == after, f"{name}: {before} became {after}")


def start(shop: Shop, registry: Registry, folder: Path) -> None:
    stage = shop.stage
    with stage.step("dockyard up"):
        shop.dockyard("up")
    with stage.step("kubectl apply -f k8s/, until all is Ready"):
        for manifest in sorted((HERE / "k8s").glob("*.yaml")):
            text = manifest.read_text().replace("127.0.0.1:5000", registry.address)
            (folder / manifest.name).write_text(text)
        shop.kubectl("apply", "-f", folder)
        shop.wait_for_rollout("statefulset/redis", "deployment/api", "deployment/web")
        shop.kubectl(
            "wait", "-n", "shop", "--for=condition=complete", "job/load-products", "--timeout=120s"
        )
    stage.show(shop.kubectl("get", "-n", "shop", "deployments,statefulsets,jobs,pods,ingress"))


def break_things(shop: Shop) -> None:
    stage = shop.stage
    with stage.step("an order through the Ingress"):
        stage.until(lambda: "Anchor" in shop.http("/"), "the page lists the products")
        order = shop.http("/api/orders", {"product": "1", "quantity": 2})
        stage.check(order["product"] == "Anchor", f"ordered {order}")
    with stage.step("kill a pod (the database's): it comes back with the order"):
        before = shop.pods("redis")[0]["metadata"]["uid"]
        shop.kubectl("delete", "pod", "-n", "shop", "redis-0")
        stage.until(
            lambda: any(pod["metadata"]["uid"] != before for pod in shop.pods("redis")),
            "a new redis-0 is made",
        )
        shop.kubectl("wait", "-n", "shop", "--for=condition=Ready", "pod/redis-0", "--timeout=60s")
        stage.until(
            lambda: shop.http(f"/api/orders/{order['id']}") == order, "the order is still there"
        )
    with stage.step("kill a container (one of api's): it is started again"):
        pod = shop.pods("api")[0]["metadata"]["name"]
        label = f"label=io.kubernetes.pod.name={pod}"
        container = shop.dockyard("ps", "-q", "--no-trunc", "--filter", label).split()[0]
        shop.dockyard("kill", container)
        stage.until(lambda: restarts(shop, pod) == 1, f"{pod} has restarted once")
        shop.wait_for_rollout("deployment/api")
        stage.check(shop.http(f"/api/orders/{order['id']}") == order, "the order is gone")


def restarts(shop: Shop, pod: str) -> int:
    statuses = shop.get("pod", pod)["status"].get("containerStatuses") or [{"restartCount": 0}]
    return int(statuses[0]["restartCount"])


async def roll(shop: Shop, registry: Registry, rate: float) -> Tally:
    """Version 2 and back under load. kubectl runs in threads: the load must not wait for it."""
    stage = shop.stage
    async with Load(shop.ingress(), HOST, rate) as load:
        await asyncio.sleep(1)
        with stage.step(f"version 2 under {rate:g} requests/s"):
            await asyncio.to_thread(
                shop.kubectl, "set", "image", "-n", "shop", "deployment/api",
                f"api={registry.address}/shop/api:2",
            )  # fmt: skip
            await asyncio.to_thread(shop.wait_for_rollout, "deployment/api")
            await asyncio.sleep(1)
            found = await asyncio.to_thread(shop.http, "/version")
            stage.check(found["version"] == "2", f"version {found['version']} answers")
        with stage.step("kubectl rollout undo"):
            await asyncio.to_thread(shop.kubectl, "rollout", "undo", "-n", "shop", "deployment/api")
            await asyncio.to_thread(shop.wait_for_rollout, "deployment/api")
            await asyncio.sleep(1)
            found = await asyncio.to_thread(shop.http, "/version")
            stage.check(found["version"] == "1", f"version {found['version']} answers")
        await asyncio.sleep(5)  # the last pods of version 2 drain; they still count
    return load.tally


def judge(shop: Shop, tally: Tally, rate: float, seconds: float) -> None:
    stage = shop.stage
    stage.say(
        f"{tally.sent} requests, {tally.sent / seconds:.0f}/s, "
        f"p50 {tally.percentile(0.5):.0f} ms, p99 {tally.percentile(0.99):.0f} ms, "
        f"answered by version 1: {tally.versions['1']}, by version 2: {tally.versions['2']}"
    )
    for failure in tally.failures[:10]:
        stage.say(f"  {failure}")
    stage.check(not tally.failures, f"{len(tally.failures)} requests failed")
    stage.check(min(tally.versions["1"], tally.versions["2"]) > 0, "both versions answered")
    stage.check(tally.sent >= 0.9 * rate * seconds, "the load was lower than asked for")
    with stage.step(f"every one of the {len(tally.orders)} orders is stored"):
        for order in tally.orders[:: max(1, len(tally.orders) // 50)]:
            stage.check(shop.http(f"/api/orders/{order}")["id"] == order, f"{order} is lost")
    stage.say("0 failed requests")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data-dir", type=Path, help="keep the cluster's data there")
    options.add_argument("--rate", type=float, default=60, help="requests a second (default 60)")
    options.add_argument("--verbose", action="store_true", help="show each command")
    chosen = options.parse_args()
    stage = Stage(verbose=chosen.verbose)
    with tempfile.TemporaryDirectory(prefix="dockyard-shop-") as scratch:
        folder = Path(scratch)
        (folder / "k8s").mkdir()
        try:
            shop = Shop(stage, chosen.data_dir or folder / "data")
            with Registry(folder / "registry") as registry:
                try:
                    build_and_push(shop, registry)
                    start(shop, registry, folder / "k8s")
                    break_things(shop)
                    began = stage.elapsed()
                    tally = asyncio.run(roll(shop, registry, chosen.rate))
                    judge(shop, tally, chosen.rate, stage.elapsed() - began)
                finally:
                    with stage.step("dockyard down --purge"):
                        report = shop.dockyard("down", "--purge")
                    stage.show(report)
        except Failed as failure:
            stage.fail(str(failure))
            return 1
    stage.done()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
