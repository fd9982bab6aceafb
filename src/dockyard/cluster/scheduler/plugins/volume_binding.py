"""Turns a pod's claims into a stop, into refusals of nodes, and into what is to be bound first.

A claim that is bound ties the pod to where its volume can be reached. One whose class waits for its
first consumer gets its volume only when the pod has a node: the scheduler names the node in the
claim and binds the pod when the claim is bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from dockyard.cluster.scheduler.frame import Frame
from dockyard.cluster.scheduler.framework import Event, Refusal
from dockyard.cluster.scheduler.plugins.node_affinity import matches_any
from dockyard.cluster.scheduler.podinfo import PodInfo

SELECTED_NODE = "volume.kubernetes.io/selected-node"
BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
CONFLICT = "node(s) had volume node affinity conflict"
NO_VOLUMES = "node(s) didn't find available persistent volumes to bind"

Object = Mapping[str, Any]


class Volumes(Protocol):
    """The claims, volumes and classes that there are."""

    def claim(self, namespace: str, name: str) -> Object | None: ...
    def volume(self, name: str) -> Object | None: ...
    def storage_class(self, name: str) -> Object | None: ...


class VolumeBinding:
    """Stops pods whose claims are missing or unbound; refuses nodes out of a volume's reach."""

    wakes = frozenset({Event.NODE, Event.VOLUME})

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes

    def stop(self, pod: PodInfo) -> str:
        for name in pod.claims:
            claim = self._volumes.claim(pod.namespace, name)
            if claim is None:
                return f'persistentvolumeclaim "{name}" not found'
            if claim["metadata"].get("deletionTimestamp"):
                return f'persistentvolumeclaim "{name}" is being deleted'
            if claim.get("status", {}).get("phase") == "Lost":
                volume = claim.get("spec", {}).get("volumeName", "")
                return (
                    f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume '
                    f'"{volume}"'
                )
            if not is_bound(claim) and not self._waits(claim):
                return "pod has unbound immediate PersistentVolumeClaims"
        return ""

    def refuse(self, pod: PodInfo, frame: Frame) -> Sequence[Refusal]:
        refusals = []
        for name in pod.claims:
            claim = self._volumes.claim(pod.namespace, name)
            if claim is None:
                continue
            if is_bound(claim):
                volume = self._volumes.volume(claim["spec"]["volumeName"])
                required = ((volume or {}).get("spec", {}).get("nodeAffinity") or {}).get(
                    "required"
                )
                if required:
                    away = ~matches_any(required.get("nodeSelectorTerms", ()), frame)
                    refusals.append(Refusal(away, CONFLICT, evictions_help=False))
            elif self._class_of(claim).get("provisioner") == NO_PROVISIONER:
                everywhere = np.ones_like(frame.alive)
                refusals.append(Refusal(everywhere, NO_VOLUMES, evictions_help=False))
        return refusals

    def unbound(self, pod: PodInfo) -> list[Object]:
        """The claims that must be told the node, and be bound, before the pod is."""
        claims = (self._volumes.claim(pod.namespace, name) for name in pod.claims)
        return [claim for claim in claims if claim is not None and not is_bound(claim)]

    def _waits(self, claim: Object) -> bool:
        return self._class_of(claim).get("volumeBindingMode") == "WaitForFirstConsumer"

    def _class_of(self, claim: Object) -> Object:
        name = claim.get("spec", {}).get("storageClassName")
        found = self._volumes.storage_class(name) if name else None
        return found or {}


def is_bound(claim: Object) -> bool:
    """Has the claim its volume, for good?"""
    annotations = claim["metadata"].get("annotations") or {}
    named = bool(claim.get("spec", {}).get("volumeName"))
    phase = claim.get("status", {}).get("phase")
    return named and (BIND_COMPLETED in annotations or phase == "Bound")


def selected_node(claim: Object) -> str:
    """The node that a claim has been told."""
    annotations = claim["metadata"].get("annotations") or {}
    return str(annotations.get(SELECTED_NODE, ""))
