"""Turns a pod spec into one with everything filled in that its author left to the API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

FILE_MODE = 0o644
TOKEN_SECONDS = 3600

Spec = dict[str, Any]


def default_pod(pod: dict[str, Any]) -> None:
    """A Pod: what its spec and template share, and what only a pod itself gets."""
    spec = pod.setdefault("spec", {})
    default_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    if spec.get("hostNetwork"):
        for container in all_containers(spec):
            for port in container.get("ports") or ():
                if not port.get("hostPort"):
                    port["hostPort"] = port.get("containerPort", 0)
    for container in all_containers(spec):
        resources = container["resources"]
        limits = resources.get("limits")
        if limits:
            requests = resources.setdefault("requests", {})
            for name, amount in limits.items():
                requests.setdefault(name, amount)


def default_spec(spec: Spec) -> None:
    """A pod spec, of a pod or of a template."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("securityContext", {})
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        # The old name of the field is still written, for old readers.
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for container in all_containers(spec):
        _container(container)
    for volume in spec.get("volumes") or ():
        _volume(volume)


def all_containers(spec: Spec) -> Iterator[Spec]:
    """Init, normal and ephemeral containers."""
    for name in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(name) or ()


def pull_policy(image: str) -> str:
    """``Always`` for what may move: the tag ``latest``, spelt out or not."""
    if "@" in image:
        name, _, digest = image.partition("@")
        moving = name.rpartition("/")[2].partition(":")[2] == "latest" and bool(digest)
    else:
        tag = image.rpartition("/")[2].partition(":")[2]
        moving = tag in {"", "latest"}
    return "Always" if moving else "IfNotPresent"


def _container(container: Spec) -> None:
    container.setdefault("resources", {})
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = pull_policy(container.get("image", ""))
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for variable in container.get("env") or ():
        source = variable.get("valueFrom")
        if source:
            _field_reference(source.get("fieldRef"))
            resource = source.get("resourceFieldRef")
            if resource is not None:
                resource.setdefault("divisor", "0")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name in container:
            _probe(container[name])
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict):
            _http_get(hook.get("httpGet"))


def _probe(probe: Spec) -> None:
    probe.setdefault("timeoutSeconds", 1)
    probe.setdefault("periodSeconds", 10)
    probe.setdefault("successThreshold", 1)
    probe.setdefault("failureThreshold", 3)
    for name in ("timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        if probe[name] == 0:
            probe[name] = _PROBE_ZERO[name]
    _http_get(probe.get("httpGet"))
    if "grpc" in probe:
        probe["grpc"].setdefault("service", "")


_PROBE_ZERO = {
    "timeoutSeconds": 1,
    "periodSeconds": 10,
    "successThreshold": 1,
    "failureThreshold": 3,
}


def _http_get(action: Spec | None) -> None:
    if action is not None:
        action["path"] = action.get("path") or "/"
        action["scheme"] = action.get("scheme") or "HTTP"


def _field_reference(reference: Spec | None) -> None:
    if reference is not None:
        reference.setdefault("apiVersion", "v1")


def _volume(volume: Spec) -> None:
    if len(volume) == 1 and "name" in volume:
        volume["emptyDir"] = {}
    for name in ("secret", "configMap", "projected", "downwardAPI"):
        if name in volume:
            volume[name].setdefault("defaultMode", FILE_MODE)
    for item in volume.get("downwardAPI", {}).get("items") or ():
        _field_reference(item.get("fieldRef"))
    for source in volume.get("projected", {}).get("sources") or ():
        for item in source.get("downwardAPI", {}).get("items") or ():
            _field_reference(item.get("fieldRef"))
        if "serviceAccountToken" in source:
            source["serviceAccountToken"].setdefault("expirationSeconds", TOKEN_SECONDS)
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")
    template = volume.get("ephemeral", {}).get("volumeClaimTemplate")
    if template:
        template.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
    image = volume.get("image")
    if image is not None and not image.get("pullPolicy"):
        image["pullPolicy"] = pull_policy(image.get("reference", ""))
