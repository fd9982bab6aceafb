"""Turns requests for a part of an object into operations: scale, binding, eviction, finalize.

``status`` and ``ephemeralcontainers`` are plain updates that the kind splits. What is not listed
here is answered as not implemented.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from dockyard.cluster.api.operations import Operations
from dockyard.cluster.client.transport import MERGE_PATCH, Request, User
from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.meta import errors, selectors
from dockyard.cluster.meta import fielderrors as field

Object = dict[str, Any]
Answer = Callable[[Operations, Kind, Request, User], Awaitable[Object]]

SUCCESS: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}


async def scale(operations: Operations, kind: Kind, request: Request, user: User) -> Object:
    """autoscaling/v1 Scale of a workload."""
    current = operations.get(kind, request.namespace, request.name)
    if request.verb == "get":
        return _scale_of(current.object())
    body = request.body
    if request.verb == "patch":
        from dockyard.cluster.meta import jsonpatch, mergepatch

        document = _scale_of(current.object())
        apply = mergepatch.apply if request.patch_type == MERGE_PATCH else jsonpatch.apply
        if request.patch_type.startswith("application/strategic"):
            apply = mergepatch.apply
        body = apply(document, request.body)
    replicas = (body.get("spec") or {}).get("replicas", 0) if isinstance(body, dict) else None
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        why = "must be greater than or equal to 0"
        fault = field.invalid("spec.replicas", replicas, why)
        raise errors.invalid("Scale", request.name, [fault], "autoscaling")
    patch: Object = {"spec": {"replicas": replicas}}
    if revision := (body.get("metadata") or {}).get("resourceVersion"):
        patch["metadata"] = {"resourceVersion": revision}
    wanted = replace(request, verb="patch", subresource="", body=patch, patch_type=MERGE_PATCH)
    return _scale_of((await operations.patch(kind, wanted, user)).object())


def _scale_of(obj: Object) -> Object:
    metadata, spec = obj["metadata"], obj.get("spec", {})
    names = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    selector = spec.get("selector")
    if selector and not {"matchLabels", "matchExpressions"} & selector.keys():
        selector = {"matchLabels": selector}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in names if name in metadata},
        "spec": {"replicas": spec.get("replicas", 0)},
        "status": {
            "replicas": obj.get("status", {}).get("replicas", 0),
            "selector": selectors.format_label_selector(selector) if selector else "",
        },
    }


async def binding(operations: Operations, kind: Kind, request: Request, user: User) -> Object:
    """A pod gets its node, once: the scheduler's write."""
    body = request.body if isinstance(request.body, dict) else {}
    node = (body.get("target") or {}).get("name")
    if not node:
        fault = field.required("target.name")
        raise errors.invalid("Binding", request.name, [fault])
    pod = operations.get(kind, request.namespace, request.name).copy()
    if pod["metadata"].get("deletionTimestamp"):
        raise errors.conflict("pods", request.name, why="pod is being deleted, cannot be assigned "
                              "to a host")  # fmt: skip
    if bound := pod["spec"].get("nodeName"):
        why = f'pod {request.name} is already assigned to node "{bound}"'
        raise errors.conflict("pods/binding", request.name, why=why)
    pod["spec"]["nodeName"] = node
    for key, value in (body.get("metadata", {}).get("annotations") or {}).items():
        pod["metadata"].setdefault("annotations", {})[key] = value
    conditions = pod.setdefault("status", {}).setdefault("conditions", [])
    pod["status"]["conditions"] = [c for c in conditions if c["type"] != "PodScheduled"] + [
        {"type": "PodScheduled", "status": "True", "lastProbeTime": None,
         "lastTransitionTime": operations.stamp()}
    ]  # fmt: skip
    await operations.replace(kind, pod)
    return SUCCESS | {"code": 201}


async def eviction(operations: Operations, kind: Kind, request: Request, user: User) -> Object:
    """A pod is deleted, as its eviction asks."""
    body = request.body if isinstance(request.body, dict) else {}
    options = body.get("deleteOptions") or {}
    await operations.delete(kind, replace(request, verb="delete", subresource="", body=options),
                            user)  # fmt: skip
    return SUCCESS | {"code": 201}


async def finalize(operations: Operations, kind: Kind, request: Request, user: User) -> Object:
    """A namespace's own finalizers; the last one gone, it goes."""
    current = operations.get(kind, request.namespace, request.name).copy()
    wanted = request.body if isinstance(request.body, dict) else {}
    left = (wanted.get("spec") or {}).get("finalizers") or []
    current["spec"] = {**current.get("spec", {}), "finalizers": left}
    await operations.replace(kind, current)
    return current


TABLE: dict[tuple[str, str], Answer] = {
    ("deployments", "scale"): scale,
    ("replicasets", "scale"): scale,
    ("statefulsets", "scale"): scale,
    ("replicationcontrollers", "scale"): scale,
    ("pods", "binding"): binding,
    ("pods", "eviction"): eviction,
    ("namespaces", "finalize"): finalize,
}
PLAIN = frozenset({"status", "ephemeralcontainers"})
PROXIED = frozenset({"log", "exec", "attach", "portforward"})


def known(kind: Kind, request: Request) -> None:
    """Raise NotFound or MethodNotAllowed for a subresource that the kind does not have so."""
    name = request.subresource
    found = kind.subresource(name)
    if found is None:
        raise errors.no_such_path()
    if request.verb not in found.verbs:
        raise errors.method_not_allowed(f"{kind.plural}/{name}", request.verb, kind.group)


def find(kind: Kind, request: Request) -> Answer | None:
    """What answers a subresource; None for one that is a plain read or update of its parent."""
    known(kind, request)
    name = request.subresource
    if name in PLAIN:
        return None
    found = TABLE.get((kind.plural, name))
    if found is None:
        raise errors.ApiError(f"{kind.plural}/{name}: not implemented", code=501)
    return found
