"""G16: a second set of controllers works on the same API, as when a paused one wakes up."""

from pathlib import Path
from typing import Any

import pytest

from dockyard.base.aio.clock import TurnableClock, run_turnable
from dockyard.base.aio.tasks import Tasks
from dockyard.boot.workers import stored_kinds
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.events import Recorder
from dockyard.cluster.client.informer import Informers
from dockyard.cluster.client.resources import (
    CLAIMS,
    DEPLOYMENTS,
    JOBS,
    PODS,
    REPLICA_SETS,
    STATEFUL_SETS,
    VOLUMES,
)
from dockyard.cluster.controllers import manager
from dockyard.cluster.controllers.common import Context, Owner, index_owners
from dockyard.cluster.controllers.volumes import PersistentVolumes
from dockyard.cluster.meta.errors import Conflict
from helpers.apiserver import serving
from helpers.controllers import Cluster

NAMES = ("deployment", "replicaset", "statefulset", "job", "endpoints", "persistentvolume")
TEMPLATE = {"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "nginx:1"}]}}  # fmt: skip
SELECTOR = {"matchLabels": {"app": "web"}}


def twice(tmp_path: Path, test: Any) -> None:
    clock = TurnableClock()

    async def main() -> None:
        async with serving(tmp_path / "api", clock) as server, Tasks() as tasks:
            for _ in range(2):
                client = Client(server.local)
                informers = Informers(client, clock)
                context = Context(client, informers, clock, Recorder(client, clock, "t"), "/x")
                kinds = stored_kinds(server.plane.service.operations.registry)
                made = manager.controllers(context, kinds, "")
                informers.start(tasks)
                manager.start({name: made[name] for name in NAMES}, tasks)
            await clock.settle()
            await test(Cluster(server, clock, tasks, tmp_path))

    run_turnable(clock, main())


async def calm(cluster: Cluster) -> None:
    """Nothing changes any more."""
    await cluster.clock.advance(700)
    before = cluster.server.store.revision()
    await cluster.clock.advance(700)
    expired = await cluster.list(PODS)  # what a lease or an event's end writes is nobody's doing
    assert expired is not None
    after = [each["metadata"]["resourceVersion"] for each in expired]
    assert all(int(each) <= before for each in after)


def test_a_deployment_comes_to_rest(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        spec = {"replicas": 4, "selector": SELECTOR, "template": TEMPLATE}
        await cluster.create(DEPLOYMENTS, {"metadata": {"name": "web"}, "spec": spec})
        for _ in range(10):
            await cluster.run_pods()
            await cluster.clock.advance(5)
        assert len(await cluster.pods()) == 4
        image = [{"op": "replace", "path": "/spec/template/spec/containers/0/image",
                  "value": "nginx:2"}]  # fmt: skip
        await cluster.patch(DEPLOYMENTS, "web", image)
        for _ in range(20):
            await cluster.run_pods()
            await cluster.clock.advance(5)
        pods = await cluster.pods()
        assert [each["spec"]["containers"][0]["image"] for each in pods] == ["nginx:2"] * 4
        assert len(await cluster.list(REPLICA_SETS)) == 2
        await calm(cluster)

    twice(tmp_path, test)


def test_a_stateful_set_has_one_pod_of_each_name(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        spec = {"replicas": 3, "serviceName": "web", "selector": SELECTOR, "template": TEMPLATE}
        await cluster.create(STATEFUL_SETS, {"metadata": {"name": "web"}, "spec": spec})
        for _ in range(8):
            await cluster.run_pods()
            await cluster.clock.advance(5)
        assert await cluster.names() == ["web-0", "web-1", "web-2"]
        await calm(cluster)

    twice(tmp_path, test)


def test_a_job_counts_each_pod_once(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        pod = {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}
        spec = {"completions": 5, "parallelism": 2, "template": pod}
        await cluster.create(JOBS, {"metadata": {"name": "load"}, "spec": spec})
        for _ in range(20):
            for each in await cluster.pods():
                if each["status"].get("phase") == "Pending":
                    await cluster.say(each["metadata"]["name"], "Succeeded", ready=False)
            await cluster.clock.advance(5)
        status = (await cluster.get(JOBS, "load"))["status"]
        done = [each for each in await cluster.list(PODS) if each["status"]["phase"] == "Succeeded"]
        assert status["succeeded"] == len(done) >= 5
        assert status["conditions"][-1]["type"] == "Complete"
        await calm(cluster)

    twice(tmp_path, test)


def alone(tmp_path: Path, test: Any) -> None:
    """A test that is itself the stale one."""
    clock = TurnableClock()

    async def main() -> None:
        async with serving(tmp_path / "api", clock) as server, Tasks() as tasks:
            client = Client(server.local)
            informers = Informers(client, clock)
            context = Context(client, informers, clock, Recorder(client, clock, "t"), "/x")
            await test(context, tasks)

    run_turnable(clock, main())


def test_a_volume_is_not_taken_from_who_was_first(tmp_path: Path) -> None:
    """A stale writer gets a Conflict."""

    async def test(context: Context, tasks: Tasks) -> None:
        binder = PersistentVolumes(context)
        spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": "/d"}}  # fmt: skip
        seen = await context.client.create(VOLUMES, {"metadata": {"name": "pv"}, "spec": spec})
        wish = {"accessModes": ["ReadWriteOnce"], "storageClassName": "",
                "resources": {"requests": {"storage": "1Gi"}}}  # fmt: skip
        claims = [
            await context.client.create(
                CLAIMS, {"metadata": {"name": name, "namespace": "default"}, "spec": wish}
            )
            for name in ("first", "late")
        ]
        await binder._bind(claims[0], seen)
        with pytest.raises(Conflict):
            await binder._bind(claims[1], seen)
        volume = await context.client.get(VOLUMES, "pv")
        assert volume["spec"]["claimRef"]["name"] == "first"
        late = await context.client.get(CLAIMS, "late", "default")
        assert "volumeName" not in late["spec"]

    alone(tmp_path, test)


def test_a_set_that_is_gone_adopts_nobody(tmp_path: Path) -> None:
    """The copy still shows it; the API does not."""

    async def test(context: Context, tasks: Tasks) -> None:
        pods = context.informers.of(PODS)
        index_owners(pods)
        context.informers.start(tasks)
        spec = {"replicas": 1, "selector": SELECTOR, "template": TEMPLATE}
        ghost = await context.client.create(
            REPLICA_SETS, {"metadata": {"name": "web", "namespace": "default"}, "spec": spec}
        )
        await context.client.delete(REPLICA_SETS, "web", "default")
        metadata = {"name": "orphan", "namespace": "default", "labels": {"app": "web"}}
        await context.client.create(PODS, {"metadata": metadata, "spec": TEMPLATE["spec"]})
        await context.informers.synced()
        for stale in (ghost, {**ghost, "metadata": {**ghost["metadata"], "uid": "before"}}):
            owner = Owner(context, stale, REPLICA_SETS, "ReplicaSet", lambda pod: True)
            assert await owner.claim(pods) == []
        found = await context.client.get(PODS, "orphan", "default")
        assert "ownerReferences" not in found["metadata"]

    alone(tmp_path, test)
