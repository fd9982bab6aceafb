"""The smallest valid object of every built-in kind that is stored, as kube-apiserver takes it."""

from __future__ import annotations

from typing import Any

from dockyard.cluster.meta.jsonvalues import copied

REQUEST = (
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIRk1HNENBUUF3RERFS01BZ0dBMVVF"
    "QXd3QllUQlpNQk1HQnlxR1NNNDlBZ0VHQ0NxR1NNNDlBd0VIQTBJQQpCSmd2YTRKMCs4NmxabTFVUm1K"
    "RGJZMjR4TEJBTFk2aFhSZTltRWpDMlo4aDMxUWFMYUxoYUU2Qmp3aDdyYUJnClpxeWZwUVdUZ1ozb09t"
    "TUdNRStYTzVDZ0FEQUtCZ2dxaGtqT1BRUURBZ05IQURCRUFpQmFUblZ2VXNxdnZ5TWMKN1FXUStGakhs"
    "ajNmOXFyeE1sdWtxYVNZd1lZaEZBSWdBbEdESTlMR2hSM1ZlU3pZK1A1QlpEaGJ3RU9RSE1pNApHODd4"
    "NEloNTkzWT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg=="
)
"""A PKCS#10 request in PEM, in base64, as the API has it."""
LABELS = {"app": "a"}
SELECTOR = {"matchLabels": LABELS}
CONTAINER = {"name": "c", "image": "nginx"}
POD: dict[str, Any] = {"metadata": {"labels": LABELS}, "spec": {"containers": [CONTAINER]}}
ONCE: dict[str, Any] = {"spec": {"containers": [CONTAINER], "restartPolicy": "Never"}}
WORKLOAD: dict[str, Any] = {"spec": {"selector": SELECTOR, "template": POD}}
ROLE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "a"}
SCALED = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}
WEBHOOK: dict[str, Any] = {
    "name": "a.example.org",
    "clientConfig": {"url": "https://hooks.example.org/a"},
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
}
MATCHED = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"],
           "resources": ["deployments"]}  # fmt: skip
OWN_NAMES = {
    "apiregistration.k8s.io/v1|apiservices": "v1.example.org",
    "apiextensions.k8s.io/v1|customresourcedefinitions": "things.example.org",
    "networking.k8s.io/v1|ipaddresses": "10.78.0.99",
}
"""Kinds whose objects cannot have any name."""
BODIES: dict[str, dict[str, Any]] = {
    "v1|configmaps": {},
    "v1|endpoints": {},
    "v1|events": {"involvedObject": {"kind": "Pod", "name": "a", "namespace": "default"}},
    "v1|limitranges": {"spec": {"limits": [{"type": "Container"}]}},
    "v1|namespaces": {},
    "v1|nodes": {},
    "v1|persistentvolumeclaims": {
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    },
    "v1|persistentvolumes": {
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                 "hostPath": {"path": "/data"}}
    },
    "v1|pods": {"spec": POD["spec"]},
    "v1|podtemplates": {"template": POD},
    "v1|replicationcontrollers": {"spec": {"selector": LABELS, "template": POD}},
    "v1|resourcequotas": {"spec": {"hard": {"pods": "1"}}},
    "v1|secrets": {},
    "v1|serviceaccounts": {},
    "v1|services": {"spec": {"ports": [{"port": 80}]}},
    "apiregistration.k8s.io/v1|apiservices": {
        "spec": {"group": "example.org", "version": "v1", "groupPriorityMinimum": 100,
                 "versionPriority": 10, "service": {"name": "a", "namespace": "default"},
                 "insecureSkipTLSVerify": True}
    },
    "apps/v1|controllerrevisions": {"revision": 1, "data": {"spec": {}}},
    "apps/v1|daemonsets": WORKLOAD,
    "apps/v1|deployments": WORKLOAD,
    "apps/v1|replicasets": WORKLOAD,
    "apps/v1|statefulsets": WORKLOAD,
    "events.k8s.io/v1|events": {
        "eventTime": "2025-01-01T00:00:00.000000Z", "reportingController": "example.org/a",
        "reportingInstance": "a-1", "action": "Tested", "reason": "Test", "type": "Normal",
        "regarding": {"kind": "Pod", "name": "a", "namespace": "default"},
    },
    "autoscaling/v2|horizontalpodautoscalers": {
        "spec": {"maxReplicas": 3, "scaleTargetRef": SCALED}
    },
    "autoscaling/v1|horizontalpodautoscalers": {
        "spec": {"maxReplicas": 3, "scaleTargetRef": SCALED}
    },
    "batch/v1|cronjobs": {
        "spec": {"schedule": "0 * * * *", "jobTemplate": {"spec": {"template": ONCE}}}
    },
    "batch/v1|jobs": {"spec": {"template": ONCE}},
    "certificates.k8s.io/v1|certificatesigningrequests": {
        "spec": {"request": REQUEST, "signerName": "example.org/a", "usages": ["client auth"]}
    },
    "networking.k8s.io/v1|ingressclasses": {"spec": {"controller": "example.org/a"}},
    "networking.k8s.io/v1|ingresses": {
        "spec": {"defaultBackend": {"service": {"name": "a", "port": {"number": 80}}}}
    },
    "networking.k8s.io/v1|ipaddresses": {
        "spec": {"parentRef": {"resource": "services", "name": "a", "namespace": "default"}}
    },
    "networking.k8s.io/v1|networkpolicies": {"spec": {"podSelector": {}}},
    "networking.k8s.io/v1|servicecidrs": {"spec": {"cidrs": ["10.79.0.0/24"]}},
    "policy/v1|poddisruptionbudgets": {"spec": {"minAvailable": 1, "selector": SELECTOR}},
    "rbac.authorization.k8s.io/v1|clusterrolebindings": {"roleRef": ROLE},
    "rbac.authorization.k8s.io/v1|clusterroles": {},
    "rbac.authorization.k8s.io/v1|rolebindings": {"roleRef": ROLE},
    "rbac.authorization.k8s.io/v1|roles": {},
    "storage.k8s.io/v1|csidrivers": {"spec": {}},
    "storage.k8s.io/v1|csinodes": {"spec": {"drivers": []}},
    "storage.k8s.io/v1|csistoragecapacities": {"storageClassName": "a"},
    "storage.k8s.io/v1|storageclasses": {"provisioner": "example.org/a"},
    "storage.k8s.io/v1|volumeattachments": {
        "spec": {"attacher": "example.org", "nodeName": "a",
                 "source": {"persistentVolumeName": "a"}}
    },
    "admissionregistration.k8s.io/v1|mutatingwebhookconfigurations": {"webhooks": [WEBHOOK]},
    "admissionregistration.k8s.io/v1|validatingadmissionpolicies": {
        "spec": {"matchConstraints": {"resourceRules": [MATCHED]},
                 "validations": [{"expression": "object.spec.replicas <= 5"}]}
    },
    "admissionregistration.k8s.io/v1|validatingadmissionpolicybindings": {
        "spec": {"policyName": "a", "validationActions": ["Deny"]}
    },
    "admissionregistration.k8s.io/v1|validatingwebhookconfigurations": {"webhooks": [WEBHOOK]},
    "apiextensions.k8s.io/v1|customresourcedefinitions": {
        "spec": {
            "group": "example.org", "scope": "Namespaced",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing",
                      "listKind": "ThingList"},
            "versions": [{"name": "v1", "served": True, "storage": True,
                          "schema": {"openAPIV3Schema": {"type": "object"}}}],
        }
    },
    "scheduling.k8s.io/v1|priorityclasses": {"value": 100},
    "coordination.k8s.io/v1|leases": {"spec": {}},
    "node.k8s.io/v1|runtimeclasses": {"handler": "runc"},
    "discovery.k8s.io/v1|endpointslices": {"addressType": "IPv4", "endpoints": []},
    "flowcontrol.apiserver.k8s.io/v1|flowschemas": {
        "spec": {"priorityLevelConfiguration": {"name": "a"}, "matchingPrecedence": 500}
    },
    "flowcontrol.apiserver.k8s.io/v1|prioritylevelconfigurations": {
        "spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}}
    },
}  # fmt: skip


def minimal(group_version: str, plural: str, kind: str) -> dict[str, Any]:
    """The object; its name is ``a`` where that can be."""
    key = f"{group_version}|{plural}"
    head = {"apiVersion": group_version, "kind": kind}
    metadata = {"name": OWN_NAMES.get(key, "a")}
    found: dict[str, Any] = copied({**head, "metadata": metadata, **BODIES[key]})
    return found
