"""Who kubectl is, what it may do, and what it sends in protobuf: `create`, reviews."""

from __future__ import annotations

import json
import time

import pytest

from helpers.kubectl import Kubectl, Server


def test_who_am_i_and_what_may_i(kubectl: Kubectl) -> None:
    found = json.loads(kubectl("auth", "whoami", "-o", "json"))
    assert found["kind"] == "SelfSubjectReview"
    assert found["status"]["userInfo"]["username"] == "kubernetes-admin"
    assert found["status"]["userInfo"]["groups"] == ["system:masters", "system:authenticated"]
    lines = [line.split(None, 1) for line in kubectl("auth", "whoami").splitlines()]
    assert ["Username", "kubernetes-admin"] in lines
    assert kubectl("auth", "can-i", "delete", "nodes") == "yes\n"
    assert "[*]" in kubectl("auth", "can-i", "--list")


def test_nobody_may_nothing(server: Server, kubectl: Kubectl) -> None:
    told = kubectl.refused("--token=wrong", "--kubeconfig=/dev/null", "--server",
                           f"https://127.0.0.1:{server.port}", "--insecure-skip-tls-verify",
                           "get", "pods")  # fmt: skip
    assert "Unauthorized" in told


CREATED = {
    "namespace": ("namespace made", "namespace/made", "ns made", "{.status.phase}", "Active"),
    "configmap": ("configmap made --from-literal=a=b", "configmap/made", "cm made", "{.data.a}",
                  "b"),
    "secret": ("secret generic made --from-literal=a=b", "secret/made", "secret made",
               "{.data.a}", "Yg=="),
    "deployment": ("deployment made --image=nginx:1 --replicas=0 --port=80",
                   "deployment.apps/made", "deploy made",
                   "{.spec.replicas} {.spec.template.spec.containers[0].ports[0].containerPort}",
                   "0 80"),
    "job": ("job made --image=busybox:1 -- sleep 1", "job.batch/made", "job made",
            "{.spec.template.spec.containers[0].command[*]}", "sleep 1"),
    "cronjob": ("cronjob made --image=b:1 --schedule=0/5_*_*_*_*", "cronjob.batch/made",
                "cronjob made", "{.spec.schedule}", "0/5 * * * *"),
    "service": ("service clusterip made --tcp=80:8080", "service/made", "svc made",
                "{.spec.ports[0].targetPort} {.spec.type}", "8080 ClusterIP"),
    "ingress": ("ingress made --rule=a.example.org/x*=made:80", "ingress.networking.k8s.io/made",
                "ing made", "{.spec.rules[0].http.paths[0].pathType}", "Prefix"),
    "serviceaccount": ("serviceaccount made", "serviceaccount/made", "sa made",
                       "{.metadata.name}", "made"),
    "quota": ("quota made --hard=pods=2,cpu=500m", "resourcequota/made", "quota made",
              "{.spec.hard.cpu}", "500m"),
    "role": ("role made --verb=get --resource=pods", "role.rbac.authorization.k8s.io/made",
             "role made", "{.rules[0].verbs[0]}", "get"),
    "poddisruptionbudget": ("pdb made --selector=a=b --min-available=50%",
                            "poddisruptionbudget.policy/made", "pdb made",
                            "{.spec.minAvailable}", "50%"),
}  # fmt: skip


@pytest.mark.parametrize("kind", CREATED)
def test_create(kubectl: Kubectl, kind: str) -> None:
    command, named, what, path, wanted = CREATED[kind]
    words = [word.replace("_", " ") for word in command.split()]
    assert kubectl("create", *words) == f"{named} created\n"
    assert kubectl("get", *what.split(), "-o", f"jsonpath={path}") == wanted
    assert 'made" already exists' in kubectl.refused("create", *words)
    kubectl("delete", *what.split(), "--timeout=20s")


def test_every_namespace_keeps_its_account_and_the_clusters_authority(kubectl: Kubectl) -> None:
    kubectl("create", "namespace", "kept")
    read = ("-n", "kept", "get", "cm", "kube-root-ca.crt", "-o", "jsonpath={.data}")
    authority = kubectl("get", *read[3:])
    assert "BEGIN CERTIFICATE" in authority
    changes = (
        ("delete", "cm", "kube-root-ca.crt"),
        ("patch", "cm", "kube-root-ca.crt", "-p", '{"data": {"ca.crt": "mine"}}'),
        ("delete", "sa", "default"),
    )
    deadline = time.monotonic() + 20
    for words in changes:
        while kubectl.run(*read).stdout != authority:
            assert time.monotonic() < deadline
        kubectl("-n", "kept", *words)
    while kubectl.run("-n", "kept", "get", "sa", "default").returncode:
        assert time.monotonic() < deadline
    assert kubectl(*read) == authority
    kubectl("delete", "namespace", "kept", "--timeout=20s")


def test_what_is_created_and_breaks_a_rule_is_told(kubectl: Kubectl) -> None:
    told = kubectl.refused("create", "configmap", "B_ad")
    assert 'Invalid value: "B_ad"' in told
    told = kubectl.refused("create", "deployment", "bad", "--image=x", "--replicas=-2")
    assert "spec.replicas: Invalid value: -2" in told
    assert kubectl("get", "deploy,cm", "-o", "name").split() == ["configmap/kube-root-ca.crt"]
