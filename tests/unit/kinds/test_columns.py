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


# kubernetes pkg/printers/internalversion/printers.go, kube-aggregator's for API services
PLAIN: list[tuple[str, str, dict[str, Any], list[Any]]] = [
    ("policy/v1", "PodDisruptionBudget",
     {"spec": {"minAvailable": 22}, "status": {"disruptionsAllowed": 5}}, ["22", "N/A", 5, "3s"]),
    ("policy/v1", "PodDisruptionBudget", {"spec": {"maxUnavailable": "10%"}},
     ["N/A", "10%", 0, "3s"]),
    ("networking.k8s.io/v1", "NetworkPolicy", {"spec": {"podSelector": {}}}, ["<none>", "3s"]),
    ("networking.k8s.io/v1", "NetworkPolicy",
     {"spec": {"podSelector": {"matchLabels": {"a": "b"}}}}, ["a=b", "3s"]),
    ("networking.k8s.io/v1", "IPAddress",
     {"spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "web"}}},
     ["services/default/web"]),
    ("networking.k8s.io/v1", "ServiceCIDR", {"spec": {"cidrs": ["10.0.0.0/8", "fd00::/64"]}},
     ["10.0.0.0/8,fd00::/64", "3s"]),
    ("scheduling.k8s.io/v1", "PriorityClass", {"value": 7, "preemptionPolicy": "Never"},
     [7, False, "3s", "Never"]),
    ("node.k8s.io/v1", "RuntimeClass", {"handler": "kata"}, ["kata", "3s"]),
    ("rbac.authorization.k8s.io/v1", "RoleBinding",
     {"roleRef": {"kind": "Role", "name": "r"}, "subjects": [
         {"kind": "User", "name": "ann"}, {"kind": "User", "name": "bob"},
         {"kind": "Group", "name": "g"},
         {"kind": "ServiceAccount", "name": "sa", "namespace": "ns"}]},
     ["Role/r", "3s", "ann, bob", "g", "ns/sa"]),
    ("v1", "ResourceQuota",
     {"status": {"hard": {"requests.cpu": "2", "limits.cpu": "4", "pods": "9"},
                 "used": {"requests.cpu": "1", "pods": "3"}}},
     ["pods: 3/9, requests.cpu: 1/2", "limits.cpu: 0/4", "3s"]),
    ("v1", "ReplicationController",
     {"spec": {"replicas": 3, "selector": {"a": "b"},
               "template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}},
      "status": {"replicas": 2, "readyReplicas": 1}},
     [3, 2, 1, "3s", "c", "i", "a=b"]),
    ("v1", "PodTemplate",
     {"template": {"metadata": {"labels": {"a": "b"}},
                   "spec": {"containers": [{"name": "c", "image": "i"}]}}}, ["c", "i", "a=b"]),
    ("apps/v1", "ControllerRevision", {"revision": 4}, ["<none>", 4, "3s"]),
    ("certificates.k8s.io/v1", "CertificateSigningRequest",
     {"spec": {"signerName": "s/x", "username": "ann", "expirationSeconds": 3600},
      "status": {"conditions": [{"type": "Approved"}], "certificate": "eA=="}},
     ["3s", "s/x", "ann", "60m", "Approved,Issued"]),
    ("certificates.k8s.io/v1", "CertificateSigningRequest", {"spec": {}},
     ["3s", "<none>", "", "<none>", "Pending"]),
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", {"webhooks": [{}, {}]},
     [2, "3s"]),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy",
     {"spec": {"validations": [{}], "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}},
     [1, "v1/ConfigMap", "3s"]),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding",
     {"spec": {"policyName": "p", "paramRef": {"name": "x"}}}, ["p", "*/x", "3s"]),
    ("apiregistration.k8s.io/v1", "APIService",
     {"spec": {"service": {"namespace": "a", "name": "b"}},
      "status": {"conditions": [{"type": "Available", "status": "False", "reason": "Gone"}]}},
     ["a/b", "False (Gone)", "3s"]),
    ("flowcontrol.apiserver.k8s.io/v1", "FlowSchema",
     {"spec": {"priorityLevelConfiguration": {"name": "p"}, "matchingPrecedence": 10}},
     ["p", 10, "<none>", "3s", "?"]),
    ("flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration",
     {"spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 30, "limitResponse": {
         "queuing": {"queues": 64, "handSize": 6, "queueLengthLimit": 50}}}}},
     ["Limited", 30, 64, 6, 50, "3s"]),
    ("storage.k8s.io/v1", "CSIDriver", {"spec": {"tokenRequests": [{"audience": "a"}]}},
     [True, False, False, "a", False, "<none>", "3s"]),
    ("storage.k8s.io/v1", "CSINode", {"spec": {"drivers": [{}]}}, [1, "3s"]),
    ("storage.k8s.io/v1", "CSIStorageCapacity", {"storageClassName": "s"}, ["s", "<unset>"]),
    ("storage.k8s.io/v1", "VolumeAttachment",
     {"spec": {"attacher": "d", "nodeName": "n", "source": {"persistentVolumeName": "v"}},
      "status": {"attached": True}}, ["d", "v", "n", True, "3s"]),
]  # fmt: skip


@pytest.mark.parametrize(("version", "kind", "rest", "cells"), PLAIN)
def test_kinds_of_which_the_schema_says_nearly_all(
    version: str, kind: str, rest: dict[str, Any], cells: list[Any]
) -> None:
    given = obj(version, kind, "a", **rest)
    given["metadata"]["creationTimestamp"] = "2025-01-01T00:05:00Z"
    assert list(row(given).values()) == ["a", *cells]


def test_a_revision_names_its_controller() -> None:
    given = obj("apps/v1", "ControllerRevision", "a", revision=4)
    given["metadata"]["ownerReferences"] = [
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "controller": True}
    ]
    assert row(given)["Controller"] == "statefulset.apps/db"


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
