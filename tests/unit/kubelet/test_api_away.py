"""A kubelet whose API is away, or answers late, or has moved on: G15 and the status it writes."""

from pathlib import Path

from dockyard.cluster.client.resources import CONFIG_MAPS, PODS
from dockyard.cluster.kubelet.statusmanager import difference
from helpers.kubelets import Place, with_kubelet

ENV = {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "cfg", "key": "x"}}}
CONFIG = {"metadata": {"name": "cfg", "namespace": "default"}, "data": {"x": "1"}}


def test_pods_go_on_and_are_told_about_afterwards(tmp_path: Path) -> None:
    """G15: an hour without the API; what crashes is started again with what was known."""

    async def test(place: Place) -> None:
        await place.client.create(CONFIG_MAPS, CONFIG)
        await place.create(containers=[{"name": "c", "image": "nginx:1", "env": [ENV]}])
        job = {"name": "j", "image": "nginx:1"}
        await place.create("job", containers=[job], restartPolicy="Never")
        place.line.cut()
        await place.clock.advance(600)
        place.cri.exit("c", 1)
        place.cri.exit("j", 0)
        await place.clock.advance(3000)
        assert place.cri.running() == ["c/1"]
        assert ("X", "1") in place.cri.configs[place.cri.newest("c").id].envs
        assert (await place.status("job"))["phase"] == "Running"  # nobody could say otherwise
        place.line.mend()
        await place.clock.advance(120)
        assert await place.restarts() == 1
        assert (await place.status("job"))["phase"] == "Succeeded"

    with_kubelet(tmp_path, test)


def test_a_pod_that_was_deleted_meanwhile(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        await place.create()
        place.line.cut()
        await place.delete()
        await place.clock.advance(300)
        assert place.cri.running() == ["c/0"]
        place.line.mend()
        await place.clock.advance(10)
        assert await place.is_gone()
        assert place.cri.sandboxes == {}

    with_kubelet(tmp_path, test)


def test_a_pod_that_was_replaced_meanwhile(tmp_path: Path) -> None:
    """F18: the old one ends, although nobody can say so of it any more."""

    async def test(place: Place) -> None:
        await place.create()
        place.line.cut()
        await place.delete(grace=0)
        second = await place.create()
        await place.clock.advance(300)
        place.line.mend()
        await place.clock.advance(10)
        assert [each.uid for each in place.cri.sandboxes.values()] == [second["metadata"]["uid"]]
        assert (await place.status())["phase"] == "Running"

    with_kubelet(tmp_path, test)


def test_a_config_that_is_unknown_while_the_api_is_away(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        await place.client.create(CONFIG_MAPS, CONFIG)
        place.cri.pull_seconds["slow:1"] = 5
        place.cri.registry["slow:1"] = place.cri.images["nginx:1"]
        init = {"name": "i", "image": "slow:1"}
        await place.create(
            initContainers=[init], containers=[{"name": "c", "image": "nginx:1", "env": [ENV]}]
        )
        await place.clock.advance(5)
        place.line.cut()
        place.cri.exit("i", 0)
        await place.clock.advance(60)
        assert place.cri.running() == ["c/0"]  # it was read when the pod began
        place.line.mend()
        await place.clock.advance(60)
        assert (await place.status())["phase"] == "Running"

    with_kubelet(tmp_path, test)


def test_a_quiet_pod_costs_nothing(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        await place.create()
        await place.clock.advance(1)
        count = len(place.line.requests)
        await place.clock.advance(3600)
        assert len(place.line.requests) == count

    with_kubelet(tmp_path, test)


def test_few_writes_bring_a_pod_up(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        await place.create()
        await place.clock.advance(5)
        writes = [each for each in place.line.requests if each.resource == PODS
                  and each.subresource == "status"]  # fmt: skip
        assert len(writes) <= 3
        assert all(each.body["metadata"]["uid"] for each in writes)

    with_kubelet(tmp_path, test)


def test_what_others_made_of_our_conditions_is_put_right(tmp_path: Path) -> None:
    """G15: while a node was silent its pods were taken out of their Services; now they serve."""

    async def test(place: Place) -> None:
        await place.create()
        conditions = (await place.status())["conditions"]
        for each in conditions:
            if each["type"] == "Ready":
                each["status"] = "False"
        theirs = {"type": "example.org/other", "status": "True"}
        patch = {"status": {"conditions": [*conditions, theirs]}}
        await place.client.patch(PODS, "web", patch, "default", "status")
        await place.clock.advance(1)
        found = await place.conditions()
        assert (found["Ready"], found["example.org/other"]) == ("True", "True")
        count = len(place.line.requests)
        await place.clock.advance(600)
        assert len(place.line.requests) == count  # and nobody goes on about it

    with_kubelet(tmp_path, test)


def test_only_what_differs_is_written() -> None:
    before = {"phase": "Pending", "podIP": "10.0.0.1", "hostIP": "a"}
    after = {"phase": "Running", "hostIP": "a"}
    assert difference(before, after) == {"phase": "Running", "podIP": None}
    assert difference(after, after) == {}
