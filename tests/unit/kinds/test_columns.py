"""The rows of kubectl get, in the words of kubernetes pkg/printers/internalversion."""

from typing import Any

import pytest

from dockyard.cluster.kinds.registry import registry
from dockyard.cluster.meta.age import human, seconds_of
from dockyard.cluster.meta.table import OBJECT, table
from helpers.apiobjects import created, deployment, kind_of, obj, pod

NOW = seconds_of("2025-01-01T00:05:03Z")


def row(given: dict[str, Any]) -> dict[str, Any]:
    kind = kind_of(given)
    cells = kind.row(given, NOW)
    assert len(cells) == len(kind.columns)
    return {column.name: cell for column, cell in zip(kind.columns, cells, strict=True)}


def status(name: str = "c", **rest: Any) -> dict[str, Any]:
    return {"name": name, "restartCount": 0, "ready": False, **rest}


RUNNING = {"running": {}}


@pytest.mark.parametrize(
    ("spec", "found", "ready", "word", "restarts"),
    [
        ({}, {"phase": "Pending"}, "0/1", "Pending", "0"),
        (
            {},
            {"phase": "Running", "containerStatuses": [status(ready=True, state=RUNNING)]},
            "1/1",
            "Running",
            "0",
        ),
        (
            {},
            {
                "phase": "Running",
                "containerStatuses": [
                    status(
                        restartCount=3,
                        state={"waiting": {"reason": "CrashLoopBackOff"}},
                        lastState={"terminated": {"finishedAt": "2025-01-01T00:05:00Z"}},
                    )
                ],
            },
            "0/1",
            "CrashLoopBackOff",
            "3 (3s ago)",
        ),
        (
            {},
            {
                "phase": "Pending",
                "containerStatuses": [status(state={"waiting": {"reason": "ImagePullBackOff"}})],
            },
            "0/1",
            "ImagePullBackOff",
            "0",
        ),
        (
            {},
            {
                "phase": "Succeeded",
                "containerStatuses": [
                    status(state={"terminated": {"reason": "Completed", "exitCode": 0}})
                ],
            },
            "0/1",
            "Completed",
            "0",
        ),
        (
            {},
            {
                "phase": "Failed",
                "containerStatuses": [status(state={"terminated": {"exitCode": 3}})],
            },
            "0/1",
            "ExitCode:3",
            "0",
        ),
        (
            {},
            {
                "phase": "Failed",
                "containerStatuses": [status(state={"terminated": {"signal": 9, "exitCode": 137}})],
            },
            "0/1",
            "Signal:9",
            "0",
        ),
        ({}, {"phase": "Failed", "reason": "Evicted"}, "0/1", "Evicted", "0"),
        (
            {"initContainers": [{"name": "i"}, {"name": "j"}]},
            {
                "phase": "Pending",
                "initContainerStatuses": [
                    status("i", state={"terminated": {"exitCode": 0}}),
                    status("j", state=RUNNING),
                ],
            },
            "0/1",
            "Init:1/2",
            "0",
        ),
        (
            {"initContainers": [{"name": "i"}]},
            {
                "phase": "Pending",
                "initContainerStatuses": [
                    status("i", restartCount=2, state={"terminated": {"reason": "Error"}})
                ],
            },
            "0/1",
            "Init:Error",
            "2",
        ),
        (
            {"initContainers": [{"name": "i"}]},
            {
                "phase": "Pending",
                "initContainerStatuses": [
                    status("i", state={"waiting": {"reason": "PodInitializing"}})
                ],
                "containerStatuses": [status(state={"waiting": {"reason": "PodInitializing"}})],
            },
            "0/1",
            "Init:0/1",
            "0",
        ),
        (
            {"initContainers": [{"name": "s", "restartPolicy": "Always"}]},
            {
                "phase": "Running",
                "initContainerStatuses": [status("s", started=True, ready=True, state=RUNNING)],
                "containerStatuses": [status(ready=True, state=RUNNING)],
            },
            "2/2",
            "Running",
            "0",
        ),
        (
            {"containers": [{"name": "c"}, {"name": "d"}]},
            {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [
                    status("c", state={"terminated": {"reason": "Completed", "exitCode": 0}}),
                    status("d", ready=True, state=RUNNING),
                ],
            },
            "1/2",
            "Running",
            "0",
        ),
    ],
)
def test_pods(
    spec: dict[str, Any], found: dict[str, Any], ready: str, word: str, restarts: str
) -> None:
    given = pod(**spec)
    given["metadata"]["creationTimestamp"] = "2025-01-01T00:00:00Z"
    given["status"] = found
    cells = row(given)
    assert (cells["Ready"], cells["Status"], cells["Restarts"]) == (ready, word, restarts)
    assert cells["Age"] == "5m3s"


def test_a_pod_that_goes() -> None:
    given = pod()
    given["metadata"]["deletionTimestamp"] = "2025-01-01T00:05:00Z"
    given["status"] = {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}]}
    cells = row(given)
    assert cells["Status"] == "Terminating"
    assert (cells["IP"], cells["Node"], cells["Nominated Node"]) == ("10.0.0.1", "<none>", "<none>")
    given["status"]["reason"] = "NodeLost"
    assert row(given)["Status"] == "Unknown"


def test_a_deployment() -> None:
    given = created(deployment(replicas=3))
    given["status"] = {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1}
    assert list(row(given).values()) == [
        "web", "2/3", 3, 1, "5m3s", "c", "nginx:1.27", "app=web",
    ]  # fmt: skip


IP = {"clusterIP": "10.0.0.1"}
NODE_PORT = {"type": "NodePort", **IP, "ports": [{"port": 80, "nodePort": 30080}]}


@pytest.mark.parametrize(
    ("spec", "given", "expected"),
    [
        ({"type": "ClusterIP", **IP}, [], "ClusterIP 10.0.0.1 <none> 80/TCP"),
        ({"type": "ClusterIP", "clusterIP": "None"}, [], "ClusterIP None <none> 80/TCP"),
        ({"type": "LoadBalancer", **IP}, [], "LoadBalancer 10.0.0.1 <pending> 80/TCP"),
        (
            {"type": "LoadBalancer", **IP},
            [{"ip": "1.2.3.4"}],
            "LoadBalancer 10.0.0.1 1.2.3.4 80/TCP",
        ),
        (NODE_PORT, [], "NodePort 10.0.0.1 <none> 80:30080/TCP"),
        (
            {"type": "ExternalName", "externalName": "x.y", "ports": []},
            [],
            "ExternalName <none> x.y <none>",
        ),
    ],
)
def test_services(spec: dict[str, Any], given: list[Any], expected: str) -> None:
    found = created(obj("v1", "Service", spec={"ports": [{"port": 80}], **spec}))
    found["status"] = {"loadBalancer": {"ingress": given}}
    assert list(row(found).values())[1:5] == expected.split()


def test_nodes() -> None:
    given = obj(
        "v1",
        "Node",
        "n",
        metadata={
            "labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "x"}
        },
        spec={"unschedulable": True},
        status={
            "conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": "10.0.0.9"}],
            "nodeInfo": {"kubeletVersion": "v1.33.0"},
        },
    )
    cells = row(given)
    assert cells["Status"] == "Ready,SchedulingDisabled"
    assert cells["Roles"] == "control-plane,x"
    assert (cells["Internal-IP"], cells["External-IP"]) == ("10.0.0.9", "<none>")
    given["status"]["conditions"] = []
    assert row(given)["Status"] == "Unknown,SchedulingDisabled"


def test_endpoints_show_three() -> None:
    addresses = [{"ip": f"10.0.0.{number}"} for number in range(5)]
    given = obj("v1", "Endpoints", subsets=[{"addresses": addresses, "ports": [{"port": 80}]}])
    assert row(given)["Endpoints"] == "10.0.0.0:80,10.0.0.1:80,10.0.0.2:80 + 2 more..."
    assert row(obj("v1", "Endpoints"))["Endpoints"] == "<none>"


def test_jobs() -> None:
    given = obj(
        "batch/v1",
        "Job",
        spec={"completions": 2, "template": {}},
        status={
            "succeeded": 2,
            "startTime": "2025-01-01T00:00:00Z",
            "completionTime": "2025-01-01T00:01:30Z",
            "conditions": [{"type": "Complete", "status": "True"}],
        },
    )
    cells = row(given)
    assert (cells["Status"], cells["Completions"], cells["Duration"]) == ("Complete", "2/2", "90s")
    assert cells["Age"] == "<unknown>"


def test_events() -> None:
    given = obj(
        "v1",
        "Event",
        "e",
        involvedObject={"kind": "Pod", "name": "web", "fieldPath": "spec.containers{c}"},
        type="Warning",
        reason="BackOff",
        message="Back-off\n",
        source={"component": "kubelet", "host": "n"},
        firstTimestamp="2025-01-01T00:00:00Z",
        lastTimestamp="2025-01-01T00:05:00Z",
        count=7,
    )
    assert list(row(given).values()) == [
        "3s", "Warning", "BackOff", "pod/web", "spec.containers{c}", "kubelet, n", "Back-off",
        "5m3s", 7, "e",
    ]  # fmt: skip


def test_volumes_and_claims() -> None:
    volume = obj(
        "v1",
        "PersistentVolume",
        spec={
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Delete",
            "claimRef": {"namespace": "shop", "name": "data"},
        },
        status={"phase": "Bound"},
    )
    assert list(row(volume).values())[1:8] == [
        "1Gi", "RWO,RWX", "Delete", "Bound", "shop/data", "", "<unset>",
    ]  # fmt: skip
    claim = obj("v1", "PersistentVolumeClaim", spec={}, status={"phase": "Pending"})
    assert list(row(claim).values())[1:5] == ["Pending", "", "", ""]


# apimachinery/pkg/util/duration/duration_test.go
@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-2, "<invalid>"), (-1, "0s"), (0, "0s"), (1, "1s"), (70, "70s"), (190, "3m10s"),
        (600, "10m"), (4200, "70m"), (47 * 60, "47m"), (10800, "3h"), (2820 * 60, "47h"),
        (3 * 3600 + 600, "3h10m"), (49 * 3600, "2d1h"), (48 * 3600, "2d"), (8 * 86400, "8d"),
        (47 * 86400, "47d"), (503 * 86400, "503d"), (782 * 86400, "2y52d"),
        (10 * 365 * 86400, "10y"),
    ],
)  # fmt: skip
def test_ages(seconds: int, shown: str) -> None:
    assert human(seconds) == shown


@pytest.mark.parametrize("kind", registry().kinds, ids=lambda each: f"{each.group}/{each.kind}")
def test_every_kind_shows_an_object_that_is_nearly_empty(kind: Any) -> None:
    bare = {"metadata": {"name": "a"}}
    assert len(kind.row(bare, NOW)) == len(kind.columns)
    assert kind.selectable(bare).keys() == kind.selectable_names
    document = table(kind.columns, [(bare, kind.row(bare, NOW))], include=OBJECT)
    assert document["kind"] == "Table"
    assert document["rows"][0]["object"] == bare
    assert [each["name"] for each in document["columnDefinitions"]] == [
        each.name for each in kind.columns
    ]
