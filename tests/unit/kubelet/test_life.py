"""A pod's life in the whole kubelet: it runs, crashes, is deleted; kubelets come and go."""

from pathlib import Path
from typing import Any

import pytest

from dockyard.interfaces import cri
from helpers.kubelets import ADDRESS, Place, on_a_node, with_kubelet


def test_a_pod_runs_and_says_so(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        await place.create()
        assert place.cri.calls == ["sandbox web/0", "start c/0"]
        status = await place.status()
        assert status["phase"] == "Running"
        assert (status["podIP"], status["hostIP"]) == ("10.0.0.1", ADDRESS)
        assert status["podIPs"] == [{"ip": "10.0.0.1"}]
        assert status["startTime"] == "2026-01-01T00:00:00Z"
        container = status["containerStatuses"][0]
        assert container["state"] == {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
        assert (container["ready"], container["started"], container["restartCount"]) == (
            True, True, 0,
        )  # fmt: skip
        assert container["imageID"] == "sha256:nginx:1"
        assert container["containerID"] == f"dockyard://{place.cri.newest('c').id}"
        assert await place.conditions() == dict.fromkeys(
            ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady",
             "PodScheduled"), "True",
        )  # fmt: skip
        assert await place.events() == [
            ("Normal", "Pulled", 'Container image "nginx:1" already present on machine'),
            ("Normal", "Created", "Created container: c"),
            ("Normal", "Started", "Started container c"),
        ]

    with_kubelet(tmp_path, test)


def test_a_crash_backs_off_and_the_pause_doubles(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        uid = (await place.create())["metadata"]["uid"]
        place.cri.exit("c", 1)
        await place.clock.settle()
        assert place.cri.running() == ["c/1"]  # the first time at once
        pauses = (10, 20, 40, 80, 160, 300, 300)
        words = ("10s", "20s", "40s", "1m20s", "2m40s", "5m0s", "5m0s")
        for number, (pause, word) in enumerate(zip(pauses, words, strict=True), start=2):
            place.cri.exit("c", 1)
            await place.clock.settle()
            assert await place.waits() == (
                "CrashLoopBackOff",
                f"back-off {word} restarting failed container=c pod=web_default({uid})",
            )
            assert (await place.status())["phase"] == "Running"
            await place.clock.advance(pause - 0.1)
            assert place.cri.running() == []
            await place.clock.advance(0.2)
            assert place.cri.running() == [f"c/{number}"]
            assert await place.restarts() == number
        last = (await place.status())["containerStatuses"][0]["lastState"]["terminated"]
        assert (last["exitCode"], last["reason"]) == (1, "Error")
        assert ("Warning", "BackOff",
                f"Back-off restarting failed container c in pod web_default({uid})"
                ) in await place.events()  # fmt: skip
        # ten quiet minutes and a bit, and it is as if nothing had been
        await place.clock.advance(601)
        place.cri.exit("c", 1)
        await place.clock.settle()
        assert place.cri.running() == ["c/9"]

    with_kubelet(tmp_path, test)


def test_attempts_that_nobody_asks_about_are_removed(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        await place.create()
        for _ in range(4):
            place.cri.exit("c", 1)
            await place.clock.advance(300)
        assert sorted(each.attempt for each in place.cri.containers.values()) == [3, 4]

    with_kubelet(tmp_path, test)


def test_deletion_gives_the_grace_and_leaves_nothing(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        place.cri.stubborn.add("c")
        await place.create(terminationGracePeriodSeconds=20)
        (place.pods_folder / "volumes").mkdir(parents=True, exist_ok=True)
        await place.delete()
        assert place.cri.calls[-1] == "stop c/0 20"
        assert (await place.conditions())["Ready"] == "True"  # it serves until it is gone
        await place.clock.advance(19.9)
        assert not await place.is_gone()
        await place.clock.advance(0.2)
        assert await place.is_gone()
        assert place.cri.calls[-2:] == ["stop sandbox 0", "remove sandbox 0"]
        assert not place.cri.sandboxes
        assert not place.cri.containers
        assert [each.name for each in place.pods_folder.iterdir()] == ["volumes"]
        assert (await place.events())[-1] == ("Normal", "Killing", "Stopping container c")

    with_kubelet(tmp_path, test)


def test_a_shorter_grace_that_comes_later_wins(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        place.cri.stubborn.add("c")
        await place.create(terminationGracePeriodSeconds=600)
        await place.delete()
        await place.clock.advance(5)
        await place.delete(grace=10)
        assert place.cri.calls[-1] == "stop c/0 10"
        await place.clock.advance(10.1)
        assert await place.is_gone()

    with_kubelet(tmp_path, test)


def test_a_forced_deletion_still_ends_what_runs(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        place.cri.stubborn.add("c")
        await place.create(terminationGracePeriodSeconds=600)
        await place.delete(grace=0)
        assert await place.is_gone()  # from the API, at once
        assert place.cri.calls[-1] == "stop c/0 2"
        await place.clock.advance(2.1)
        assert not place.cri.sandboxes
        assert not place.cri.containers

    with_kubelet(tmp_path, test)


def test_a_pod_of_the_same_name_is_another_one(tmp_path: Path) -> None:
    """F18: at most one pod with an identity."""

    async def test(place: Place) -> None:
        place.cri.stubborn.add("c")
        await place.create()
        await place.delete(grace=0)
        second = await place.create()
        await place.clock.advance(30)
        status = await place.status()
        assert status["phase"] == "Running"
        assert [each.uid for each in place.cri.sandboxes.values()] == [second["metadata"]["uid"]]

    with_kubelet(tmp_path, test)


def test_a_new_kubelet_starts_nothing_twice(tmp_path: Path) -> None:
    """G08: killed and started again; containers, addresses and restart counts are as before."""

    async def test(place: Place) -> None:
        spec: dict[str, Any] = {
            "containers": [{"name": "c", "image": "nginx:1",
                            "readinessProbe": {"exec": {"command": ["ready"]}}}]
        }  # fmt: skip
        async with place.kubelet():
            await place.create(**spec)
            before = await place.status()
            assert (await place.conditions())["Ready"] == "True"
        calls = list(place.cri.calls)
        for _ in range(3):
            async with place.kubelet():
                await place.clock.advance(120)
                assert await place.status() == before
        assert place.cri.calls == calls

    on_a_node(tmp_path, test)


def test_what_ended_while_no_kubelet_looked_is_seen(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        async with place.kubelet():
            await place.create()
            await place.create("gone")
            await place.create("job", restartPolicy="Never")
        sandboxes = {each.name: key for key, each in place.cri.sandboxes.items()}
        for each in list(place.cri.containers.values()):
            if each.sandbox_id in (sandboxes["web"], sandboxes["job"]):
                place.cri._exit(each.id, 3)
        await place.delete("gone", grace=0)
        async with place.kubelet():
            await place.clock.settle()
            assert await place.restarts() == 1
            assert (await place.status("job"))["phase"] == "Failed"
            assert sandboxes["gone"] not in place.cri.sandboxes  # nobody knows it any more

    on_a_node(tmp_path, test)


def test_a_runtime_that_has_forgotten_everything(tmp_path: Path) -> None:
    """After a reboot: pods run again, and what may not run twice has failed."""

    async def test(place: Place) -> None:
        async with place.kubelet():
            await place.create()
            await place.create("once", restartPolicy="Never")
        place.cri.lose_everything()
        async with place.kubelet():
            assert place.cri.running() == ["c/1"]
            assert await place.restarts() == 1
            last = (await place.status())["containerStatuses"][0]["lastState"]["terminated"]
            assert (last["exitCode"], last["reason"]) == (137, "ContainerStatusUnknown")
            once = await place.status("once")
            assert once["phase"] == "Failed"

    on_a_node(tmp_path, test)


def test_a_sandbox_that_dies_is_made_again(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        await place.create()
        place.cri.sandbox_dies()
        await place.clock.settle()
        assert place.cri.running() == ["c/1"]
        assert "sandbox web/1" in place.cri.calls
        status = await place.status()
        assert (status["phase"], status["podIP"]) == ("Running", "10.0.0.3")
        changed = "Pod sandbox changed, it will be killed and re-created."
        assert ("Normal", "SandboxChanged", changed) in await place.events()
        for _ in range(3):  # dead sandboxes do not pile up
            await place.clock.advance(700)
            place.cri.sandbox_dies()
            await place.clock.settle()
        assert len(place.cri.sandboxes) == 2

    with_kubelet(tmp_path, test)


def test_a_sandbox_that_cannot_be_made(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        place.cri.failing["sandbox"] = cri.SandboxFailed("no address is left in 10.0.0.0/24")
        await place.create()
        assert await place.waits() == ("ContainerCreating", "")
        status = await place.status()
        assert status["phase"] == "Pending"
        assert (await place.conditions())["PodReadyToStartContainers"] == "False"
        assert ("Warning", "FailedCreatePodSandBox",
                "Failed to create pod sandbox: no address is left in 10.0.0.0/24",
                ) in await place.events()  # fmt: skip
        del place.cri.failing["sandbox"]
        await place.clock.advance(10)
        assert place.cri.running() == ["c/0"]

    with_kubelet(tmp_path, test)


@pytest.mark.parametrize(
    ("policy", "code", "phase", "reason"),
    [
        ("Never", 0, "Succeeded", "Completed"),
        ("OnFailure", 0, "Succeeded", "Completed"),
        ("Never", 1, "Failed", "Error"),
    ],
)
def test_a_pod_of_a_job_ends(
    tmp_path: Path, policy: str, code: int, phase: str, reason: str
) -> None:
    async def test(place: Place) -> None:
        await place.create(restartPolicy=policy)
        await place.clock.advance(30)
        place.cri.exit("c", code)
        await place.clock.settle()
        status = await place.status()
        assert status["phase"] == phase
        ended = status["containerStatuses"][0]["state"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (code, reason)
        assert ended["startedAt"] == "2026-01-01T00:00:00Z"
        assert ended["finishedAt"] == "2026-01-01T00:00:30Z"
        assert status["podIP"] == "10.0.0.1"
        assert place.cri.calls[-1] == "stop sandbox 0"
        assert place.cri.containers  # its log can still be read
        calls = list(place.cri.calls)
        await place.clock.advance(300)
        assert place.cri.calls == calls
        await place.delete()
        assert await place.is_gone()
        assert not place.cri.sandboxes

    with_kubelet(tmp_path, test)


def test_a_new_kubelet_lets_what_has_ended_be(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        async with place.kubelet():
            await place.create(restartPolicy="Never")
            place.cri.exit("c", 0)
            await place.clock.settle()
            before = await place.status()
        place.cri.lose_everything()
        calls = list(place.cri.calls)
        async with place.kubelet():
            await place.clock.advance(120)
            assert await place.status() == before
        assert place.cri.calls == calls

    on_a_node(tmp_path, test)


def test_memory_that_ran_out(tmp_path: Path) -> None:
    """G11: the status says OOMKilled."""

    async def test(place: Place) -> None:
        await place.create(restartPolicy="Never")
        place.cri.exit("c", 137, "OOMKilled")
        await place.clock.settle()
        ended = (await place.state())["terminated"]
        assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)

    with_kubelet(tmp_path, test)


def test_init_containers_run_one_after_the_other(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        inits = [{"name": name, "image": "nginx:1"} for name in ("one", "two")]
        await place.create(initContainers=inits)
        assert place.cri.running() == ["one/0"]
        status = await place.status()
        assert status["phase"] == "Pending"
        assert await place.waits() == ("PodInitializing", "")
        initialized = next(c for c in status["conditions"] if c["type"] == "Initialized")
        assert (initialized["status"], initialized["reason"], initialized["message"]) == (
            "False", "ContainersNotInitialized", "containers with incomplete status: [one two]",
        )  # fmt: skip
        place.cri.exit("one", 1)
        await place.clock.settle()
        assert place.cri.running() == ["one/1"]
        place.cri.exit("one", 0)
        await place.clock.settle()
        assert place.cri.running() == ["two/0"]
        place.cri.exit("two", 0)
        await place.clock.settle()
        assert place.cri.running() == ["c/0"]
        assert (await place.conditions())["Initialized"] == "True"
        place.cri.exit("c", 1)
        await place.clock.settle()
        assert place.cri.running() == ["c/1"]  # and no init container again

    with_kubelet(tmp_path, test)


def test_a_runtime_that_hangs_up_is_listened_to_again(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        await place.create()
        place.cri.hang_up()
        await place.clock.advance(1)
        place.cri.exit("c", 1)
        await place.clock.settle()
        assert place.cri.running() == ["c/1"]

    with_kubelet(tmp_path, test)
