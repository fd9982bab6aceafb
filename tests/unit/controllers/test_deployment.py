"""Deployments with their ReplicaSets and pods, over the real API on a turned clock."""

from pathlib import Path
from typing import Any

from dockyard.cluster.client.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from dockyard.cluster.meta.errors import Forbidden
from helpers.controllers import Cluster, with_controllers

BOTH = ("deployment", "replicaset")
REVISION = "deployment.kubernetes.io/revision"


def deployment(image: str = "nginx:1", **spec: Any) -> dict[str, Any]:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": image}]}}  # fmt: skip
    spec = {"selector": {"matchLabels": labels}, "template": template, **spec}
    return {"metadata": {"name": "web"}, "spec": spec}


def image(name: str) -> list[dict[str, Any]]:
    return [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": name}]


async def sets(cluster: Cluster) -> dict[str, Any]:
    """ReplicaSets by the image of their template."""
    return {each["spec"]["template"]["spec"]["containers"][0]["image"]: each
            for each in await cluster.list(REPLICA_SETS)}  # fmt: skip


async def condition(cluster: Cluster, kind: str) -> tuple[str, str, str]:
    found = await cluster.get(DEPLOYMENTS, "web")
    for each in found["status"].get("conditions") or ():
        if each["type"] == kind:
            return each["status"], each["reason"], each["message"]
    return "", "", ""


async def finish(cluster: Cluster) -> None:
    """Let a rollout come to its end."""
    for _ in range(40):
        await cluster.run_pods()
        await cluster.end_pods()


def test_a_new_deployment(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(DEPLOYMENTS, deployment(replicas=3))
        found = await cluster.get(DEPLOYMENTS, "web")
        assert found["metadata"]["annotations"][REVISION] == "1"
        (made,) = (await sets(cluster)).values()
        digest = made["metadata"]["labels"]["pod-template-hash"]
        assert made["metadata"]["name"] == f"web-{digest}"
        assert made["spec"]["selector"]["matchLabels"] == {
            "app": "web", "pod-template-hash": digest,
        }  # fmt: skip
        owner = made["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["controller"], owner["blockOwnerDeletion"]) == (
            "Deployment", True, True,
        )  # fmt: skip
        assert made["metadata"]["annotations"] == {
            REVISION: "1",
            "deployment.kubernetes.io/desired-replicas": "3",
            "deployment.kubernetes.io/max-replicas": "4",
        }
        names = await cluster.names(app="web")
        assert len(names) == 3
        assert all(name.startswith(f"web-{digest}-") for name in names)
        name = made["metadata"]["name"]
        assert await condition(cluster, "Available") == (
            "False", "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        )  # fmt: skip
        assert await condition(cluster, "Progressing") == (
            "True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.',
        )  # fmt: skip
        await cluster.run_pods()
        assert await condition(cluster, "Available") == (
            "True", "MinimumReplicasAvailable", "Deployment has minimum availability.",
        )  # fmt: skip
        assert await condition(cluster, "Progressing") == (
            "True", "NewReplicaSetAvailable",
            f'ReplicaSet "{name}" has successfully progressed.',
        )  # fmt: skip
        status = (await cluster.get(DEPLOYMENTS, "web"))["status"]
        del status["conditions"]
        assert status == {"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3,
                          "readyReplicas": 3, "availableReplicas": 3}  # fmt: skip
        assert await cluster.events("web") == [
            ("Normal", "ScalingReplicaSet", f"Scaled up replica set {name} from 0 to 3")
        ]

    with_controllers(tmp_path, BOTH, test)


def test_a_rolling_update_stays_within_its_bounds(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        rolling = {"rollingUpdate": {"maxSurge": 2, "maxUnavailable": 1}}
        await cluster.create(DEPLOYMENTS, deployment(replicas=6, strategy=rolling))
        await cluster.run_pods()
        await cluster.patch(DEPLOYMENTS, "web", image("nginx:2"))
        steps = 0
        while True:
            pods = await cluster.pods()
            ready = [each for each in pods if each["status"].get("phase") == "Running"]
            assert len(pods) <= 8
            assert len(ready) >= 5
            waiting = [each for each in pods if each not in ready]
            if not waiting:
                break
            await cluster.run_pods([waiting[0]["metadata"]["name"]])  # one at a time
            await cluster.end_pods()
            steps += 1
        assert steps >= 6
        found = await sets(cluster)
        assert (found["nginx:1"]["spec"]["replicas"], found["nginx:2"]["spec"]["replicas"]) == (
            0,
            6,
        )
        assert found["nginx:2"]["metadata"]["annotations"][REVISION] == "2"
        assert (await condition(cluster, "Progressing"))[1] == "NewReplicaSetAvailable"

    with_controllers(tmp_path, BOTH, test)


def test_pods_that_never_become_ready_stop_a_rollout(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(DEPLOYMENTS, deployment(replicas=10, progressDeadlineSeconds=60))
        await cluster.run_pods()
        await cluster.patch(DEPLOYMENTS, "web", image("broken:1"))
        found = await sets(cluster)
        name = found["broken:1"]["metadata"]["name"]
        assert (found["nginx:1"]["spec"]["replicas"], found["broken:1"]["spec"]["replicas"]) == (
            8, 5,
        )  # fmt: skip
        assert (await condition(cluster, "Available"))[0] == "True"
        await cluster.clock.advance(58)
        assert (await condition(cluster, "Progressing"))[1] == "ReplicaSetUpdated"
        await cluster.clock.advance(5)
        assert await condition(cluster, "Progressing") == (
            "False", "ProgressDeadlineExceeded", f'ReplicaSet "{name}" has timed out progressing.',
        )  # fmt: skip
        await cluster.clock.advance(600)
        assert (await condition(cluster, "Progressing"))[1] == "ProgressDeadlineExceeded"
        await cluster.run_pods()  # it was only slow
        await finish(cluster)
        assert (await condition(cluster, "Progressing"))[1] == "NewReplicaSetAvailable"

    with_controllers(tmp_path, BOTH, test)


def test_pods_that_come_and_go_are_no_progress(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(DEPLOYMENTS, deployment(replicas=1, progressDeadlineSeconds=60,
                                                     minReadySeconds=30))  # fmt: skip
        (name,) = await cluster.names()
        for _ in range(7):  # it is ready for 5 of every 10 seconds, and never for 30
            await cluster.say(name, "Running")
            await cluster.clock.advance(5)
            await cluster.say(name, "Running", ready=False)
            await cluster.clock.advance(5)
        before = await condition(cluster, "Progressing")
        await cluster.clock.advance(70)
        assert (await condition(cluster, "Progressing"))[1] == "ProgressDeadlineExceeded", before

    with_controllers(tmp_path, BOTH, test)


def test_a_complete_rollout_is_not_asked_again(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(DEPLOYMENTS, deployment(replicas=2, progressDeadlineSeconds=60))
        await cluster.run_pods()
        (first, _) = await cluster.names()
        await cluster.say(first, "Running", ready=False)
        await cluster.clock.advance(300)
        assert (await condition(cluster, "Progressing"))[1] == "NewReplicaSetAvailable"
        assert (await condition(cluster, "Available"))[0] == "False"

    with_controllers(tmp_path, BOTH, test)


def test_rollback_as_kubectl_does_it(tmp_path: Path) -> None:
    """``kubectl rollout undo`` puts an old set's template into the Deployment."""

    async def test(cluster: Cluster) -> None:
        wish = deployment(replicas=2)
        wish["metadata"]["annotations"] = {"kubernetes.io/change-cause": "first"}
        await cluster.create(DEPLOYMENTS, wish)
        await finish(cluster)
        patch = [*image("nginx:2"),
                 {"op": "replace", "path": "/metadata/annotations/kubernetes.io~1change-cause",
                  "value": "second"}]  # fmt: skip
        await cluster.patch(DEPLOYMENTS, "web", patch)
        await finish(cluster)
        found = await sets(cluster)
        causes = {name: each["metadata"]["annotations"]["kubernetes.io/change-cause"]
                  for name, each in found.items()}  # fmt: skip
        assert causes == {"nginx:1": "first", "nginx:2": "second"}
        template = found["nginx:1"]["spec"]["template"]
        del template["metadata"]["labels"]["pod-template-hash"]
        undo = [{"op": "replace", "path": "/spec/template", "value": template}]
        await cluster.patch(DEPLOYMENTS, "web", undo)
        await finish(cluster)
        found = await sets(cluster)
        assert len(found) == 2  # the old set is the new one again
        annotations = found["nginx:1"]["metadata"]["annotations"]
        assert annotations[REVISION] == "3"
        assert annotations["deployment.kubernetes.io/revision-history"] == "1"
        assert found["nginx:1"]["spec"]["replicas"] == 2
        assert found["nginx:2"]["spec"]["replicas"] == 0
        deployed = await cluster.get(DEPLOYMENTS, "web")
        assert deployed["metadata"]["annotations"][REVISION] == "3"

    with_controllers(tmp_path, BOTH, test)


def test_history_is_limited(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(DEPLOYMENTS, deployment(replicas=1, revisionHistoryLimit=2))
        for number in range(2, 7):
            await finish(cluster)
            await cluster.patch(DEPLOYMENTS, "web", image(f"nginx:{number}"))
        await finish(cluster)
        assert sorted(await sets(cluster)) == ["nginx:4", "nginx:5", "nginx:6"]

    with_controllers(tmp_path, BOTH, test)


def test_a_paused_deployment_is_scaled_but_not_rolled(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(DEPLOYMENTS, deployment(replicas=2))
        await finish(cluster)
        await cluster.patch(DEPLOYMENTS, "web", {"spec": {"paused": True}})
        assert await condition(cluster, "Progressing") == (
            "Unknown", "DeploymentPaused", "Deployment is paused",
        )  # fmt: skip
        await cluster.patch(DEPLOYMENTS, "web", image("nginx:2"))
        await cluster.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 5}})
        found = await sets(cluster)
        assert list(found) == ["nginx:1"]
        assert found["nginx:1"]["spec"]["replicas"] == 5
        await cluster.patch(DEPLOYMENTS, "web", {"spec": {"paused": False}})
        await finish(cluster)
        assert (await sets(cluster))["nginx:2"]["spec"]["replicas"] == 5
        assert (await condition(cluster, "Progressing"))[1] == "NewReplicaSetAvailable"

    with_controllers(tmp_path, BOTH, test)


def test_scaling_in_the_middle_of_a_rollout_is_proportional(tmp_path: Path) -> None:
    """The documentation's example: 10 replicas, maxSurge 3, maxUnavailable 2, scaled to 15."""

    async def test(cluster: Cluster) -> None:
        rolling = {"rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
        await cluster.create(DEPLOYMENTS, deployment(replicas=10, strategy=rolling))
        await cluster.run_pods()
        await cluster.patch(DEPLOYMENTS, "web", image("broken:1"))
        sizes = {name: each["spec"]["replicas"] for name, each in (await sets(cluster)).items()}
        assert sizes == {"nginx:1": 8, "broken:1": 5}
        await cluster.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 15}})
        sizes = {name: each["spec"]["replicas"] for name, each in (await sets(cluster)).items()}
        assert sizes == {"nginx:1": 11, "broken:1": 7}

    with_controllers(tmp_path, BOTH, test)


def test_recreate_waits_until_the_old_pods_are_gone(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(DEPLOYMENTS, deployment(replicas=3, strategy={"type": "Recreate"}))
        for name in await cluster.names():
            await cluster.place_pod(name)  # a pod that was never placed goes at once
        await cluster.run_pods()
        await cluster.patch(DEPLOYMENTS, "web", image("nginx:2"))
        assert await cluster.pods() == []
        assert len(await cluster.list(PODS)) == 3  # on their way out
        assert list(await sets(cluster)) == ["nginx:1"]
        assert (await condition(cluster, "Available"))[0] == "False"
        leaving = await cluster.list(PODS)
        for pod in leaving[:2]:
            await cluster.client.delete(PODS, pod["metadata"]["name"], "default", grace=0)
        await cluster.settle()
        assert await cluster.pods() == []
        await cluster.end_pods()
        pods = await cluster.pods()
        assert [each["spec"]["containers"][0]["image"] for each in pods] == ["nginx:2"] * 3

    with_controllers(tmp_path, BOTH, test)


def test_a_set_that_an_older_deployment_has_left_is_adopted(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(DEPLOYMENTS, deployment(replicas=2))
        await cluster.run_pods()
        before = {each["metadata"]["uid"] for each in await cluster.pods()}
        await cluster.delete(DEPLOYMENTS, "web", propagation="Orphan")
        await cluster.clock.advance(1)
        again = await cluster.create(DEPLOYMENTS, deployment(replicas=2))
        await cluster.clock.advance(1)
        (found,) = await cluster.list(REPLICA_SETS)
        assert found["metadata"]["ownerReferences"][0]["uid"] == again["metadata"]["uid"]
        assert {each["metadata"]["uid"] for each in await cluster.pods()} == before

    with_controllers(tmp_path, (*BOTH, "garbagecollector"), test)


def test_a_set_whose_labels_are_changed_is_let_go(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(DEPLOYMENTS, deployment(replicas=1))
        (found,) = await cluster.list(REPLICA_SETS)
        name = found["metadata"]["name"]
        await cluster.patch(REPLICA_SETS, name, {"metadata": {"labels": {"app": "mine"}}})
        await cluster.clock.advance(1)
        let_go = await cluster.get(REPLICA_SETS, name)
        assert not let_go["metadata"].get("ownerReferences")

    with_controllers(tmp_path, BOTH, test)


def test_a_name_that_is_taken(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(DEPLOYMENTS, deployment(replicas=1))
        (found,) = await cluster.list(REPLICA_SETS)
        await cluster.delete(DEPLOYMENTS, "web")
        strange = {"metadata": {"ownerReferences": None, "labels": {"app": "x"}}}
        await cluster.patch(REPLICA_SETS, found["metadata"]["name"], strange)
        await cluster.create(DEPLOYMENTS, deployment(replicas=1))
        await cluster.clock.advance(1)
        assert (await cluster.get(DEPLOYMENTS, "web"))["status"]["collisionCount"] == 1
        assert len(await cluster.list(REPLICA_SETS)) == 2

    with_controllers(tmp_path, BOTH, test)


def test_what_pods_are_refused_for_is_said(tmp_path: Path) -> None:
    """ReplicaFailure: a quota, or an admission that says no."""

    async def test(cluster: Cluster) -> None:
        refuse(cluster)
        await cluster.create(DEPLOYMENTS, deployment(replicas=2))
        await cluster.clock.advance(1)
        status, reason, message = await condition(cluster, "ReplicaFailure")
        assert (status, reason) == ("True", "FailedCreate")
        assert "exceeded quota" in message
        (found,) = await cluster.list(REPLICA_SETS)
        said = await cluster.events(found["metadata"]["name"])
        assert said[0][:2] == ("Warning", "FailedCreate")
        assert said[0][2].startswith("Error creating: ")
        cluster.client.transport = cluster.server.local
        await cluster.clock.advance(120)
        assert len(await cluster.pods()) == 2
        assert await condition(cluster, "ReplicaFailure") == ("", "", "")

    with_controllers(tmp_path, BOTH, test)


def refuse(cluster: Cluster) -> None:
    """No pod may be made, until the transport is put back."""
    local = cluster.server.local

    class Refusing:
        async def call(self, request: Any) -> Any:
            if request.verb == "create" and request.resource == PODS:
                raise Forbidden("pods is forbidden: exceeded quota: q")
            return await local.call(request)

        watch = staticmethod(local.watch)
        close = staticmethod(local.close)

    cluster.client.transport = Refusing()


def test_a_change_of_min_ready_seconds_makes_no_new_set(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(DEPLOYMENTS, deployment(replicas=1))
        await cluster.run_pods()
        await cluster.patch(DEPLOYMENTS, "web", {"spec": {"minReadySeconds": 20}})
        (found,) = await cluster.list(REPLICA_SETS)
        assert found["spec"]["minReadySeconds"] == 20
        await cluster.clock.advance(21)
        assert (await cluster.get(DEPLOYMENTS, "web"))["status"]["availableReplicas"] == 1

    with_controllers(tmp_path, BOTH, test)
