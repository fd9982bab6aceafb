"""What is done next, by the rules of the kubelet's computePodActions."""

import pytest

from dockyard.cluster.kubelet.observed import Observed, observe
from dockyard.cluster.kubelet.plan import HASH, Facts, Plan, Start, Wait, definition, plan
from dockyard.interfaces.cri import CREATED, NOT_READY
from helpers.observations import pod, ran, sandbox, seen


def started(found: Plan) -> list[tuple[str, int]]:
    return [(each.name, each.attempt) for each in found.starts]


def killed(found: Plan) -> list[str]:
    return [each.container.id for each in found.kills]


NEVER = Facts()


def test_a_new_pod_gets_a_sandbox_first() -> None:
    assert plan(pod(), Observed(), NEVER) == Plan(sandbox=0)


def test_then_its_containers_in_their_order() -> None:
    found = plan(pod("a", "b"), seen(), NEVER)
    assert found == Plan(starts=(Start("a", 0), Start("b", 0)))


def test_what_runs_is_let_be() -> None:
    assert plan(pod("a", "b"), seen(ran("a"), ran("b")), NEVER) == Plan()


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [("Always", 0, True), ("Always", 1, True), ("OnFailure", 0, False), ("OnFailure", 1, True),
     ("Never", 0, False), ("Never", 1, False)],
)  # fmt: skip
def test_restart_policy(policy: str, code: int, again: bool) -> None:
    found = plan(pod(policy=policy), seen(ran("c", 4, code)), NEVER)
    assert started(found) == ([("c", 5)] if again else [])


def test_back_off_is_asked_about_the_last_end() -> None:
    asked = []

    def left(name: str, finished: float) -> float:
        asked.append((name, finished))
        return 7.5

    found = plan(pod(), seen(ran("c", 0, 1)), Facts(left=left))
    assert found == Plan(waits=(Wait("c", 7.5),))
    assert found.due == 7.5
    assert asked == [("c", 5.0)]
    assert plan(pod(), seen(), Facts(left=left)).starts  # one that never ran has no back-off


def test_attempts_go_on_where_the_status_says() -> None:
    found = plan(pod("c", "d"), seen(ran("d", 1, 1)), Facts(restarts={"c": 3, "d": 9}))
    assert started(found) == [("c", 3), ("d", 2)]  # what the runtime knows is better


def test_one_that_was_made_and_never_started_is_made_again() -> None:
    made = ran("c", 2, state=CREATED)
    found = plan(pod(policy="Never"), seen(made, ran("c", 1, 1)), NEVER)
    assert found.starts == (Start("c", 2, after=ran("c", 1, 1), stale=("c2",)),)


@pytest.mark.parametrize("probe", ["Liveness", "Startup"])
@pytest.mark.parametrize("policy", ["Always", "OnFailure", "Never"])
def test_a_probe_that_has_failed_for_good(probe: str, policy: str) -> None:
    observed = seen(ran("c", 3), ran("c", 2, 0))
    found = plan(pod(policy=policy), observed, Facts({"c3": probe}))
    kill = found.kills[0]
    words = f"Container c failed {probe.lower()} probe"
    if policy == "Never":
        assert (kill.message, kill.probe, found.starts) == (words, probe, ())
    else:  # its own end is not waited for: the back-off counts from the one before
        assert (kill.message, kill.probe) == (f"{words}, will be restarted", probe)
        assert found.starts == (Start("c", 4, after=ran("c", 2, 0)),)


@pytest.mark.parametrize("policy", ["Always", "OnFailure", "Never"])
def test_a_definition_that_has_changed(policy: str) -> None:
    other = definition({"name": "c", "image": "nginx:0"})
    found = plan(pod(policy=policy), seen(ran("c", annotations={HASH: other})), NEVER)
    assert found.kills[0].message == "Container c definition changed, will be restarted"
    assert started(found) == [("c", 1)]
    same = definition({"name": "c", "image": "nginx:1", "resources": {"limits": {}}})
    assert plan(pod(), seen(ran("c", annotations={HASH: same})), NEVER) == Plan()


@pytest.mark.parametrize("how", ["deleted", "Succeeded", "Failed"])
def test_a_pod_that_is_ending(how: str) -> None:
    found = pod("a", "b", init=("i",))
    if how == "deleted":
        found["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    else:
        found["status"] = {"phase": how}
    ended = plan(found, seen(ran("a"), ran("b", 0, 1)), NEVER)
    assert [(each.container.id, each.message) for each in ended.kills] == [
        ("a0", "Stopping container a")
    ]
    assert (ended.sandbox, ended.starts, ended.waits) == (None, (), ())
    assert plan(found, Observed(), NEVER) == Plan()  # and no sandbox is made to end it in


def test_a_sandbox_that_has_died() -> None:
    observed = seen(ran("c"), boxes=(sandbox(0, NOT_READY),))
    found = plan(pod(), observed, NEVER)
    assert (found.sandbox, found.sandbox_changed, killed(found)) == (1, True, ["c0"])


@pytest.mark.parametrize(
    ("policy", "codes", "again"),
    [("Always", (0, 0), True), ("OnFailure", (0, 0), False), ("OnFailure", (0, 1), True),
     ("Never", (1, 1), False), ("Never", (), True), ("OnFailure", (), True)],
)  # fmt: skip
def test_a_new_sandbox_only_for_what_will_run(
    policy: str, codes: tuple[int, ...], again: bool
) -> None:
    containers = [ran(name, 0, code) for name, code in zip("ab", codes, strict=False)]
    observed = observe((sandbox(2, NOT_READY),), containers)
    found = plan(pod("a", "b", policy=policy), observed, NEVER)
    assert found.sandbox == (3 if again else None)


def test_a_second_sandbox_starts_what_may_run_again() -> None:
    boxes = (sandbox(1), sandbox(0, NOT_READY))
    observed = seen(ran("a", 0, 0), ran("b", 0, 137), boxes=boxes)
    assert started(plan(pod("a", "b", policy="OnFailure"), observed, NEVER)) == [("b", 1)]


def test_what_still_runs_in_an_old_sandbox_is_ended() -> None:
    boxes = (sandbox(1), sandbox(0, NOT_READY))
    assert killed(plan(pod(), seen(ran("c", 0, box=0), boxes=boxes), NEVER)) == ["c0"]


def test_old_attempts_and_empty_sandboxes_go() -> None:
    boxes = (sandbox(2), sandbox(1, NOT_READY), sandbox(0, NOT_READY))
    observed = seen(ran("c", 3, box=2), ran("c", 2, 1, box=1), ran("c", 1, 1, box=0),
                    ran("c", 0, 1, box=0), boxes=boxes)  # fmt: skip
    found = plan(pod(), observed, NEVER)
    assert [each.id for each in found.remove] == ["c1", "c0"]
    assert found.remove_sandboxes == ("s0",)


def test_init_containers_one_by_one() -> None:
    wish = pod("c", init=("i", "j"))
    assert plan(wish, seen(), NEVER).starts == (Start("i", 0, init=True),)
    assert plan(wish, seen(ran("i")), NEVER) == Plan()
    assert started(plan(wish, seen(ran("i", 0, 0)), NEVER)) == [("j", 0)]
    assert started(plan(wish, seen(ran("i", 0, 0), ran("j", 0, 0)), NEVER)) == [("c", 0)]
    running = seen(ran("i", 0, 0), ran("j", 0, 0), ran("c", 0, 1))
    assert started(plan(wish, running, NEVER)) == [("c", 1)]
    forgotten = seen(ran("c"))  # their remains may have been removed
    assert plan(wish, forgotten, NEVER) == Plan()


def test_an_init_container_that_fails() -> None:
    failed = seen(ran("i", 0, 1))
    facts = Facts(left=lambda name, finished: 10.0)
    for policy in ("Always", "OnFailure"):
        wish = pod("c", init=("i",), policy=policy)
        assert started(plan(wish, failed, NEVER)) == [("i", 1)]
        assert plan(wish, failed, facts).waits == (Wait("i", 10.0, init=True),)
    assert plan(pod("c", init=("i",), policy="Never"), failed, NEVER) == Plan()


def test_a_new_sandbox_initializes_again() -> None:
    boxes = (sandbox(1), sandbox(0, NOT_READY))
    observed = seen(ran("i", 0, 0), ran("c", 0, 137), boxes=boxes)
    found = plan(pod("c", init=("i",)), observed, Facts(left=lambda name, finished: 10.0))
    assert found.starts == (Start("i", 1, init=True, after=ran("i", 0, 0)),)  # without a pause
