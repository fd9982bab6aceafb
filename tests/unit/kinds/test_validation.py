"""What the API refuses, in kube-apiserver's words (kubernetes pkg/apis/*/validation)."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from dockyard.cluster.meta import errors
from dockyard.cluster.meta.jsonvalues import copied
from helpers.apiobjects import (
    created,
    deployment,
    faults_of,
    faults_of_update,
    kind_of,
    obj,
    pod,
    words,
)


def container(**rest: Any) -> dict[str, Any]:
    return pod(containers=[{"name": "c", "image": "x:1", **rest}])


def template(**spec: Any) -> dict[str, Any]:
    spec.setdefault("containers", [{"name": "c", "image": "x:1"}])
    return {"metadata": {"labels": {"app": "web"}}, "spec": spec}


def claim(**spec: Any) -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}} | spec
    return obj("v1", "PersistentVolumeClaim", spec=spec)


def service(**spec: Any) -> dict[str, Any]:
    return obj("v1", "Service", spec={"ports": [{"port": 80}], **spec})


def ingress(path: dict[str, Any]) -> dict[str, Any]:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    return obj(
        "networking.k8s.io/v1",
        "Ingress",
        spec={"rules": [{"http": {"paths": [{"backend": backend, **path}]}}]},
    )


GOOD: list[dict[str, Any]] = [
    pod(),
    deployment(),
    claim(),
    service(),
    service(clusterIP="None", ports=[]),
    service(type="ExternalName", externalName="example.com", ports=[]),
    ingress({"path": "/", "pathType": "Prefix"}),
    obj("v1", "ConfigMap", data={"a.txt": "x"}),
    obj("v1", "Node"),
    obj("coordination.k8s.io/v1", "Lease", spec={"holderIdentity": "a"}),
    obj("rbac.authorization.k8s.io/v1", "ClusterRole", "system:node"),
    obj(
        "batch/v1",
        "Job",
        spec={
            "template": {
                "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}
            }
        },
    ),
    obj(
        "batch/v1",
        "CronJob",
        spec={
            "schedule": "*/5 * * * *",
            "jobTemplate": {
                "spec": {
                    "template": {
                        "spec": {
                            "restartPolicy": "OnFailure",
                            "containers": [{"name": "c", "image": "x"}],
                        }
                    }
                }
            },
        },
    ),
    obj(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        addressType="IPv4",
        endpoints=[{"addresses": ["10.1.2.3"]}],
    ),
    obj(
        "v1",
        "PersistentVolume",
        spec={
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/x"},
        },
    ),
]


@pytest.mark.parametrize("given", GOOD, ids=lambda each: each["kind"])
def test_what_is_good(given: dict[str, Any]) -> None:
    assert words(faults_of(given)) == []


REFUSED = yaml.safe_load((Path(__file__).parents[2] / "golden/kinds/refused.yaml").read_text())


@pytest.mark.parametrize("case", REFUSED, ids=lambda each: each["refusal"].partition(":")[0])
def test_what_is_refused(case: dict[str, Any]) -> None:
    found = words(faults_of(case["object"]))
    assert any(each.startswith(case["refusal"]) for each in found), found


def test_an_invalid_object_is_a_422_with_its_causes() -> None:
    found = created(deployment(replicas=-1))
    with pytest.raises(errors.Invalid) as caught:
        kind_of(found).require_valid(found)
    assert caught.value.status() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'Deployment.apps "web" is invalid: spec.replicas: Invalid value: -1: must be '
        "greater than or equal to 0",
        "reason": "Invalid",
        "details": {
            "name": "web",
            "group": "apps",
            "kind": "Deployment",
            "causes": [
                {
                    "reason": "FieldValueInvalid",
                    "message": "Invalid value: -1: must be greater than or equal to 0",
                    "field": "spec.replicas",
                }
            ],
        },
        "code": 422,
    }


def changed(old: dict[str, Any], **spec: Any) -> dict[str, Any]:
    found: dict[str, Any] = copied(old)
    found["spec"].update(spec)
    return found


def test_a_pods_spec_is_fixed_but_for_its_image() -> None:
    old = created(pod())
    new = copied(old)
    new["spec"]["containers"][0]["image"] = "nginx:2"
    assert faults_of_update(old, new) == []
    new["spec"]["nodeSelector"] = {"a": "b"}
    assert words(faults_of_update(old, new))[0].startswith(
        "spec: Forbidden: pod updates may not change fields other than"
    )
    new = copied(old)
    new["spec"]["containers"].append({"name": "d", "image": "x"})
    assert words(faults_of_update(old, new)) == [
        "spec.containers: Forbidden: pod updates may not add or remove containers"
    ]


def test_a_selector_is_for_life() -> None:
    old = created(deployment())
    labels = {"app": "web", "x": "y"}
    new = changed(old, selector={"matchLabels": labels})
    new["spec"]["template"]["metadata"]["labels"] = labels
    assert words(faults_of_update(old, new)) == [
        'spec.selector: Invalid value: {"matchLabels":{"app":"web","x":"y"}}: field is immutable'
    ]


def test_a_service_keeps_its_address() -> None:
    old = created(service(clusterIP="10.0.0.1", clusterIPs=["10.0.0.1"]))
    assert faults_of_update(old, service(clusterIP="", ports=[{"port": 81}])) == []
    new = service(clusterIP="10.0.0.2", clusterIPs=["10.0.0.2"])
    assert words(faults_of_update(old, new)) == [
        'spec.clusterIPs[0]: Invalid value: "10.0.0.2": may not change once set'
    ]


def test_f20_every_address_of_a_service_is_one() -> None:
    """core/validation, ValidateServiceClusterIPsRelatedFields."""
    assert words(faults_of(service(clusterIP="10.0.0.1", clusterIPs=["10.0.0.1", "/"]))) == [
        'spec.clusterIPs[1]: Invalid value: "/": must be a valid IP address, '
        "(e.g. 10.9.8.7 or 2001:db8::ffff)"
    ]
    assert words(faults_of(service(clusterIPs=["10.0.0.1"]))) == [
        'spec.clusterIPs: Invalid value: ["10.0.0.1"]: must be empty when `clusterIP` is not '
        "specified"
    ]


def test_f10_what_the_server_owns_does_not_change() -> None:
    old = created(obj("v1", "ConfigMap"))
    new = copied(old)
    new["metadata"]["uid"] = "other"
    assert words(faults_of_update(old, new)) == [
        'metadata.uid: Invalid value: "other": field is immutable'
    ]


def test_an_immutable_config_map_stays() -> None:
    old = created(obj("v1", "ConfigMap", data={"a": "1"}, immutable=True))
    new = copied(old)
    new["data"] = {"a": "2"}
    assert words(faults_of_update(old, new)) == [
        "data: Forbidden: field is immutable when `immutable` is set"
    ]


def test_f05_status_and_spec_are_written_apart() -> None:
    old = {**created(deployment()), "status": {"replicas": 1}}
    kind = kind_of(old)
    new = changed(old, replicas=5)
    new["status"] = {"replicas": 9}
    through_status = copied(new)
    kind.prepare_for_update(through_status, old, "status")
    assert through_status["spec"]["replicas"] == 1
    assert through_status["status"] == {"replicas": 9}
    assert through_status["metadata"]["generation"] == 1
    kind.prepare_for_update(new, old)
    assert new["status"] == {"replicas": 1}
    assert new["metadata"]["generation"] == 2
    same = copied(old)
    same["metadata"]["labels"] = {"a": "b"}
    kind.prepare_for_update(same, old)
    assert same["metadata"]["generation"] == 1


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "169.254.169.254", "fe80::1", "0.0.0.0"])
def test_f20_nobody_sends_a_service_to_the_node_itself(address: str) -> None:
    family = "IPv6" if ":" in address else "IPv4"
    slices = obj(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        addressType=family,
        endpoints=[{"addresses": [address]}],
    )
    assert "may not be" in words(faults_of(slices))[0]
    subset = {"addresses": [{"ip": address}], "ports": [{"port": 80}]}
    assert "may not be" in words(faults_of(obj("v1", "Endpoints", subsets=[subset])))[0]
    assert "may not be" in words(faults_of(service(externalIPs=[address])))[0]


@pytest.mark.parametrize(
    "address", ["010.0.0.1", "10.0.0.1.", "1.2.3", "10.0.0.1/8", "::g", " 1.1.1.1"]
)
def test_f20_addresses_are_read_strictly(address: str) -> None:
    assert "must be a valid IP address" in words(faults_of(service(externalIPs=[address])))[0]


def test_an_ip_address_is_named_after_itself() -> None:
    def faults(name: str) -> list[str]:
        return words(faults_of(obj("networking.k8s.io/v1", "IPAddress", name)))

    assert faults("2001:db8::1") == faults("10.0.0.1") == []
    assert faults("2001:DB8::1")
    assert faults("web")
