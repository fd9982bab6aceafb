"""Filters, scores and words of the default profile (kubernetes pkg/scheduler)."""

import random
from collections.abc import Mapping
from typing import Any

import pytest

from dockyard.cluster.meta.jsonvalues import copied
from dockyard.cluster.scheduler.frame import Frame
from dockyard.cluster.scheduler.framework import Event, Placement, Unschedulable
from dockyard.cluster.scheduler.plugins.volume_binding import VolumeBinding
from dockyard.cluster.scheduler.podinfo import PodInfo, pod_info, pod_requests
from dockyard.cluster.scheduler.profile import default_framework
from helpers.apiobjects import obj
from helpers.apiobjects import pod as api_pod


class Volumes:
    """Claims, volumes and classes of a test."""

    def __init__(self, *found: Mapping[str, Any]) -> None:
        self._found = {(each["kind"], each["metadata"]["name"]): each for each in found}

    def claim(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        return self._found.get(("PersistentVolumeClaim", name))

    def volume(self, name: str) -> Mapping[str, Any] | None:
        return self._found.get(("PersistentVolume", name))

    def storage_class(self, name: str) -> Mapping[str, Any] | None:
        return self._found.get(("StorageClass", name))


def node(name: str = "n", cpu: str = "4", memory: str = "8Gi", **rest: Any) -> dict[str, Any]:
    return obj(
        "v1",
        "Node",
        name,
        metadata={"labels": rest.pop("labels", {})},
        spec=rest,
        status={"allocatable": {"cpu": cpu, "memory": memory, "pods": "110"}},
    )


def pod(name: str = "p", cpu: str = "", **spec: Any) -> PodInfo:
    container: dict[str, Any] = {"name": "c", "image": "x"}
    if cpu:
        container["resources"] = {"requests": {"cpu": cpu}}
    if ports := spec.pop("ports", None):
        container["ports"] = ports
    found = api_pod(name, containers=[container], **spec)
    found["metadata"]["uid"] = f"uid-{name}"
    return pod_info(copied(found))


def frame(*nodes: dict[str, Any], **placed: PodInfo) -> Frame:
    found = Frame()
    for each in nodes:
        found.set_node(each)
    for where, one in placed.items():
        found.place(one, where)
    return found


def decide(one: PodInfo, found: Frame, volumes: Volumes | None = None) -> Placement | Unschedulable:
    framework = default_framework(VolumeBinding(volumes or Volumes()))
    return framework.decide(one, found, random.Random(1))


def refusal(one: PodInfo, found: Frame, volumes: Volumes | None = None) -> str:
    decision = decide(one, found, volumes)
    assert isinstance(decision, Unschedulable), decision
    return decision.message


HELPLESS = "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
VICTIMS = "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."


def test_no_nodes() -> None:
    assert refusal(pod(), Frame()) == "no nodes available to schedule pods"


def test_a_node_that_is_full_and_one_that_is_too_small() -> None:
    full = frame(node("n", cpu="1"), n=pod("other", cpu="800m"))
    assert refusal(pod(cpu="500m"), full) == (
        f"0/1 nodes are available: 1 Insufficient cpu. {VICTIMS}"
    )
    assert refusal(pod(cpu="2"), frame(node("n", cpu="1"))) == (
        f"0/1 nodes are available: 1 Insufficient cpu. {HELPLESS}"
    )


def test_reasons_are_counted_and_sorted() -> None:
    found = frame(
        node("a", cpu="100m"),
        node("b", taints=[{"key": "x", "value": "y", "effect": "NoSchedule"}]),
        node("c", unschedulable=True),
    )
    assert refusal(pod(cpu="1"), found) == (
        "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {x: y}, "
        "1 node(s) were unschedulable. preemption: 0/3 nodes are available: 3 Preemption is not "
        "helpful for scheduling."
    )


def test_a_pod_that_may_not_evict_says_so() -> None:
    found = frame(node("n", cpu="1"), n=pod("other", cpu="1"))
    assert refusal(pod(cpu="1", preemptionPolicy="Never"), found) == (
        "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to "
        "preemptionPolicy=Never."
    )


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"key": "x", "operator": "Equal", "value": "y", "effect": "NoSchedule"}, True),
        ({"key": "x", "value": "y"}, True),
        ({"key": "x", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "x", "value": "z"}, False),
        ({"key": "x", "operator": "Exists", "effect": "NoExecute"}, False),
    ],
)
def test_tolerations(toleration: dict[str, Any], tolerated: bool) -> None:
    found = frame(node(taints=[{"key": "x", "value": "y", "effect": "NoSchedule"}]))
    decision = decide(pod(tolerations=[toleration]), found)
    assert isinstance(decision, Placement) is tolerated


def test_soft_taints_are_avoided() -> None:
    soft = [{"key": "x", "effect": "PreferNoSchedule"}]
    found = frame(node("a", taints=soft), node("b"), node("c", taints=soft))
    assert decide(pod(), found) == decide(pod(), found)
    decision = decide(pod(), found)
    assert isinstance(decision, Placement)
    assert decision.node == "b"


@pytest.mark.parametrize(
    ("expression", "nodes"),
    [
        ({"key": "zone", "operator": "In", "values": ["a", "b"]}, {"na", "nb"}),
        ({"key": "zone", "operator": "NotIn", "values": ["a"]}, {"nb", "nc"}),
        ({"key": "zone", "operator": "Exists"}, {"na", "nb"}),
        ({"key": "zone", "operator": "DoesNotExist"}, {"nc"}),
        ({"key": "cores", "operator": "Gt", "values": ["4"]}, {"nb"}),
        ({"key": "cores", "operator": "Lt", "values": ["5"]}, {"na"}),
    ],
)
def test_node_affinity(expression: dict[str, Any], nodes: set[str]) -> None:
    found = frame(
        node("na", labels={"zone": "a", "cores": "4"}),
        node("nb", labels={"zone": "b", "cores": "8"}),
        node("nc", labels={"cores": "many"}),
    )
    required = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    taken = set()
    for name in ("na", "nb", "nc"):
        decision = decide(pod(affinity=affinity, nodeName=name), found)
        if isinstance(decision, Placement):
            taken.add(decision.node)
    assert taken == nodes


def test_a_node_selector_and_its_words() -> None:
    found = frame(node("n", labels={"disk": "hdd"}))
    assert refusal(pod(nodeSelector={"disk": "ssd"}), found) == (
        f"0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. {HELPLESS}"
    )
    assert isinstance(decide(pod(nodeSelector={"disk": "hdd"}), found), Placement)


def test_host_ports() -> None:
    taken = pod("other", ports=[{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}])
    found = frame(node("n"), n=taken)
    wanted = [{"containerPort": 80, "hostPort": 80, "protocol": "TCP", "hostIP": "127.0.0.1"}]
    assert refusal(pod(ports=wanted), found).startswith(
        "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."
    )
    wanted[0]["protocol"] = "UDP"
    assert isinstance(decide(pod(ports=wanted), found), Placement)


def test_the_emptier_node_wins() -> None:
    found = frame(node("a"), node("b"), a=pod("x", cpu="2"))
    decision = decide(pod(cpu="1"), found)
    assert isinstance(decision, Placement)
    assert (decision.node, decision.feasible) == ("b", 2)


def test_requests_of_a_pod() -> None:
    def container(cpu: str, **rest: Any) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": cpu}}, **rest}

    spec = {
        "containers": [container("200m"), container("300m")],
        "initContainers": [container("100m", restartPolicy="Always"), container("1")],
        "overhead": {"cpu": "10m"},
    }
    # The sidecar counts with the containers (600m) and beside the later init container (1100m).
    assert pod_requests(spec) == {"cpu": 1110, "pods": 1}


def claim(mode: str = "", **status: Any) -> dict[str, Any]:
    found = obj("v1", "PersistentVolumeClaim", "data", spec={"storageClassName": "local"})
    return {**found, **status} if not mode else found


def storage(mode: str, provisioner: str = "dockyard.io/local-path") -> dict[str, Any]:
    return obj(
        "storage.k8s.io/v1", "StorageClass", "local",
        volumeBindingMode=mode, provisioner=provisioner,
    )  # fmt: skip


WITH_CLAIM: dict[str, Any] = {
    "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
}


@pytest.mark.parametrize(
    ("volumes", "words"),
    [
        (Volumes(), 'persistentvolumeclaim "data" not found'),
        (
            Volumes(claim(), storage("Immediate")),
            "pod has unbound immediate PersistentVolumeClaims",
        ),
    ],
)
def test_a_claim_that_stops_its_pod(volumes: Volumes, words: str) -> None:
    assert refusal(pod(**WITH_CLAIM), frame(node()), volumes) == (
        f"0/1 nodes are available: {words}. {HELPLESS}"
    )


def test_a_claim_that_waits_for_its_first_consumer() -> None:
    volumes = Volumes(claim(), storage("WaitForFirstConsumer"))
    one = pod(**WITH_CLAIM)
    assert isinstance(decide(one, frame(node()), volumes), Placement)
    assert [each["metadata"]["name"] for each in VolumeBinding(volumes).unbound(one)] == ["data"]


def test_nobody_makes_volumes_for_the_class() -> None:
    volumes = Volumes(claim(), storage("WaitForFirstConsumer", "kubernetes.io/no-provisioner"))
    assert "1 node(s) didn't find available persistent volumes to bind" in refusal(
        pod(**WITH_CLAIM), frame(node()), volumes
    )


def test_a_bound_volume_ties_its_pod() -> None:
    bound = claim()
    bound["spec"]["volumeName"] = "pv"
    bound["status"] = {"phase": "Bound"}
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}
    volume = obj(
        "v1",
        "PersistentVolume",
        "pv",
        spec={"nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}},
    )
    volumes = Volumes(bound, volume)
    decision = decide(pod(**WITH_CLAIM), frame(node("a"), node("b")), volumes)
    assert isinstance(decision, Placement)
    assert decision.node == "b"
    assert "1 node(s) had volume node affinity conflict" in refusal(
        pod(**WITH_CLAIM), frame(node("a")), volumes
    )


def test_what_wakes_a_pod_is_what_refused_it() -> None:
    decision = decide(pod(cpu="9"), frame(node()))
    assert isinstance(decision, Unschedulable)
    assert decision.wakes == {Event.NODE, Event.POD_GONE}
    decision = decide(pod(**WITH_CLAIM), frame(node()))
    assert isinstance(decision, Unschedulable)
    assert Event.VOLUME in decision.wakes


def test_rows_are_reused_and_grow() -> None:
    found = Frame()
    for number in range(200):
        found.set_node(node(f"n{number}"))
    found.place(pod("x", cpu="4"), "n7")
    found.remove_node("n7")
    found.set_node(node("new"))
    assert len(found) == 200
    assert isinstance(decide(pod(cpu="4", nodeName="new"), found), Placement)
    found.set_node(node("n7"))
    assert refusal(pod(cpu="4", nodeName="n7"), found).startswith("0/201 nodes are available: ")
    found.remove_pod("uid-x")
    assert isinstance(decide(pod(cpu="4", nodeName="n7"), found), Placement)


MOST = "9223372036854775807"


def test_the_largest_quantities_fit_into_a_frame() -> None:
    """Quantities end at 2^63 - 1; as thousandths of a CPU, or several together, they do not fit."""
    found = frame(node(cpu=MOST, memory=MOST))
    assert isinstance(decide(pod("one", cpu=MOST), found), Placement)
    for number in range(3):
        found.place(pod(f"p{number}", cpu=MOST), "n")
    assert isinstance(decide(pod("one", cpu="1"), found), Unschedulable)
    for number in range(3):
        found.remove_pod(f"uid-p{number}")
    assert isinstance(decide(pod("one", cpu=MOST), found), Placement)
