"""What the API fills in, as kubernetes pkg/apis/*/v1/defaults.go and the documentation say."""

from typing import Any

import pytest

from dockyard.cluster.kinds.pod.defaults import pull_policy
from helpers.apiobjects import created, deployment, obj, pod


def test_a_pod() -> None:
    found = created(
        pod(
            containers=[
                {
                    "name": "c",
                    "image": "nginx",
                    "ports": [{"containerPort": 80}],
                    "env": [
                        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
                    ],
                    "resources": {"limits": {"cpu": "1"}},
                    "readinessProbe": {"httpGet": {"port": 80}},
                }
            ],
            volumes=[{"name": "v"}, {"name": "s", "secret": {"secretName": "x"}}],
        )
    )
    spec = found["spec"]
    assert {key: spec[key] for key in spec if key not in {"containers", "volumes"}} == {
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "terminationGracePeriodSeconds": 30,
        "securityContext": {},
        "enableServiceLinks": True,
        "priority": 0,
        "preemptionPolicy": "PreemptLowerPriority",
    }
    assert spec["containers"] == [
        {
            "name": "c",
            "image": "nginx",
            "imagePullPolicy": "Always",
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "ports": [{"containerPort": 80, "protocol": "TCP"}],
            "env": [
                {
                    "name": "IP",
                    "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}},
                }
            ],
            "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}},
            "readinessProbe": {
                "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
                "timeoutSeconds": 1,
                "periodSeconds": 10,
                "successThreshold": 1,
                "failureThreshold": 3,
            },
        }
    ]
    assert spec["volumes"] == [
        {"name": "v", "emptyDir": {}},
        {"name": "s", "secret": {"secretName": "x", "defaultMode": 420}},
    ]
    assert found["status"] == {"phase": "Pending", "qosClass": "Burstable"}


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.27", "IfNotPresent"),
        ("localhost:5000/nginx", "Always"),
        ("localhost:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:" + "0" * 64, "IfNotPresent"),
        ("nginx:1@sha256:" + "0" * 64, "IfNotPresent"),
    ],
)
def test_pull_policy(image: str, policy: str) -> None:
    assert pull_policy(image) == policy


@pytest.mark.parametrize(
    ("resources", "qos"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
    ],
)
def test_quality_of_service(resources: dict[str, Any], qos: str) -> None:
    found = created(pod(containers=[{"name": "c", "image": "x", "resources": resources}]))
    assert found["status"]["qosClass"] == qos


def test_a_deployment() -> None:
    found = created(deployment())
    spec = found["spec"]
    assert found["metadata"]["generation"] == 1
    assert spec["replicas"] == 1
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
    }
    assert spec["revisionHistoryLimit"] == 10
    assert spec["progressDeadlineSeconds"] == 600
    assert spec["template"]["spec"]["restartPolicy"] == "Always"
    # Only pods get these, never templates.
    assert "enableServiceLinks" not in spec["template"]["spec"]


def test_a_service() -> None:
    found = created(obj("v1", "Service", spec={"ports": [{"port": 80}], "selector": {"a": "b"}}))
    assert found["spec"] == {
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "selector": {"a": "b"},
        "sessionAffinity": "None",
        "type": "ClusterIP",
        "internalTrafficPolicy": "Cluster",
    }
    assert found["status"] == {"loadBalancer": {}}


def test_a_load_balancer() -> None:
    found = created(
        obj(
            "v1",
            "Service",
            spec={"type": "LoadBalancer", "ports": [{"port": 80}], "sessionAffinity": "ClientIP"},
        )
    )["spec"]
    assert found["externalTrafficPolicy"] == "Cluster"
    assert found["allocateLoadBalancerNodePorts"] is True
    assert found["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}


def test_a_job() -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}}
    found = created(obj("batch/v1", "Job", spec={"template": template}))
    spec, uid = found["spec"], found["metadata"]["uid"]
    assert {key: spec[key] for key in spec if key not in {"template", "selector"}} == {
        "completions": 1,
        "parallelism": 1,
        "backoffLimit": 6,
        "completionMode": "NonIndexed",
        "suspend": False,
        "podReplacementPolicy": "TerminatingOrFailed",
    }
    assert spec["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    assert spec["template"]["metadata"]["labels"] == {
        "batch.kubernetes.io/controller-uid": uid,
        "controller-uid": uid,
        "batch.kubernetes.io/job-name": "a",
        "job-name": "a",
    }


def test_a_stateful_set() -> None:
    found = created(
        obj(
            "apps/v1",
            "StatefulSet",
            spec={
                "serviceName": "db",
                "selector": {"matchLabels": {"a": "b"}},
                "template": {
                    "metadata": {"labels": {"a": "b"}},
                    "spec": {
                        "containers": [
                            {
                                "name": "c",
                                "image": "x:1",
                                "volumeMounts": [{"name": "data", "mountPath": "/d"}],
                            }
                        ]
                    },
                },
                "volumeClaimTemplates": [
                    {
                        "metadata": {"name": "data"},
                        "spec": {
                            "accessModes": ["ReadWriteOnce"],
                            "resources": {"requests": {"storage": "1Gi"}},
                        },
                    }
                ],
            },
        )
    )
    spec = found["spec"]
    assert spec["podManagementPolicy"] == "OrderedReady"
    assert spec["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
    assert spec["persistentVolumeClaimRetentionPolicy"] == {
        "whenDeleted": "Retain",
        "whenScaled": "Retain",
    }
    claim = spec["volumeClaimTemplates"][0]
    assert claim["kind"] == "PersistentVolumeClaim"
    assert claim["spec"]["volumeMode"] == "Filesystem"


def test_a_secret_takes_plain_text() -> None:
    found = created(obj("v1", "Secret", data={"a": "YQ=="}, stringData={"b": "hi"}))
    assert found["data"] == {"a": "YQ==", "b": "aGk="}
    assert found["type"] == "Opaque"
    assert "stringData" not in found


def test_a_namespace() -> None:
    found = created(obj("v1", "Namespace", "shop"))
    assert found["metadata"]["labels"] == {"kubernetes.io/metadata.name": "shop"}
    assert found["spec"] == {"finalizers": ["kubernetes"]}
    assert found["status"] == {"phase": "Active"}


def test_claims_volumes_and_classes() -> None:
    claim = created(obj("v1", "PersistentVolumeClaim", spec={"accessModes": ["ReadWriteOnce"]}))
    assert claim["spec"]["volumeMode"] == "Filesystem"
    assert claim["status"] == {"phase": "Pending"}
    volume = created(obj("v1", "PersistentVolume", spec={"hostPath": {"path": "/x"}}))
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    found = created(obj("storage.k8s.io/v1", "StorageClass", provisioner="x"))
    assert (found["reclaimPolicy"], found["volumeBindingMode"]) == ("Delete", "Immediate")


def test_defaults_are_a_fixed_point() -> None:
    for given in (pod(), deployment()):
        found = created(given)
        again = created({**found, "metadata": {"name": "a", "namespace": "default"}})
        assert again["spec"] == found["spec"]


def test_an_object_without_a_spec_gets_one() -> None:
    for given in (obj("v1", "Pod"), obj("batch/v1", "Job"), obj("v1", "Service")):
        assert created(given)["spec"]
