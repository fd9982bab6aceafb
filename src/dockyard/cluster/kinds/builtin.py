"""The list of built-in kinds of release 1.33: a new kind is a file and a line here.

Within a group the preferred version stands first; groups are in the order of discovery.
"""

from __future__ import annotations

from dataclasses import replace

from dockyard.cluster.kinds import (
    configmap,
    cronjob,
    daemonset,
    deployment,
    endpoints,
    endpointslice,
    event,
    horizontalpodautoscaler,
    ingress,
    ingressclass,
    job,
    lease,
    namespace,
    node,
    persistentvolume,
    persistentvolumeclaim,
    replicaset,
    secret,
    serviceaccount,
    statefulset,
    storageclass,
)
from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.kinds.plain import (
    admissionregistration,
    apiextensions,
    apiregistration,
    apps,
    authentication,
    authorization,
    certificates,
    core,
    flowcontrol,
    networking,
    policy,
    rbac,
    runtimeclass,
    scheduling,
    storage,
)
from dockyard.cluster.kinds.pod import kind as pod
from dockyard.cluster.kinds.service import kind as service

_DECLARED: tuple[Kind, ...] = (
    *core.KINDS,
    *configmap.KINDS,
    *endpoints.KINDS,
    *event.KINDS[:1],
    *namespace.KINDS,
    *node.KINDS,
    *persistentvolumeclaim.KINDS,
    *persistentvolume.KINDS,
    *pod.KINDS,
    *secret.KINDS,
    *serviceaccount.KINDS,
    *service.KINDS,
    *apiregistration.KINDS,
    *apps.KINDS,
    *daemonset.KINDS,
    *deployment.KINDS,
    *replicaset.KINDS,
    *statefulset.KINDS,
    *event.KINDS[1:],
    *authentication.KINDS,
    *authorization.KINDS,
    *horizontalpodautoscaler.KINDS,
    *cronjob.KINDS,
    *job.KINDS,
    *certificates.KINDS,
    *ingressclass.KINDS,
    *ingress.KINDS,
    *networking.KINDS,
    *policy.KINDS,
    *rbac.KINDS,
    *storageclass.KINDS,
    *storage.KINDS,
    *admissionregistration.KINDS,
    *apiextensions.KINDS,
    *scheduling.KINDS,
    *lease.KINDS,
    *runtimeclass.KINDS,
    *endpointslice.KINDS,
    *flowcontrol.KINDS,
)

_PACKAGES = {
    "": "io.k8s.api.core",
    "apiextensions.k8s.io": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions",
    "apiregistration.k8s.io": "io.k8s.kube-aggregator.pkg.apis.apiregistration",
}
"""Where the schemas have a group's definitions; else ``io.k8s.api.<first part of the group>``."""


def _definition(kind: Kind) -> str:
    package = _PACKAGES.get(kind.group) or f"io.k8s.api.{kind.group.partition('.')[0]}"
    return f"{package}.{kind.version}.{kind.kind}"


KINDS: tuple[Kind, ...] = tuple(
    each if each.definition else replace(each, definition=_definition(each)) for each in _DECLARED
)
