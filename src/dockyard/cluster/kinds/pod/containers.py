"""Turns the containers of a pod spec into their faults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.base.errors import Invalid
from dockyard.cluster.kinds import checks
from dockyard.cluster.kinds.pod import probes
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta import quantity
from dockyard.cluster.meta.fielderrors import FieldError
from dockyard.cluster.meta.names import (
    config_key,
    env_name,
    label_name,
    port_name,
    qualified_name,
)

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
MESSAGE_POLICIES = ("FallbackToLogsOnError", "File")
PROTOCOLS = ("SCTP", "TCP", "UDP")
_ENV_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef")
_FIELDS = frozenset({
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
    "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
})  # fmt: skip
_STANDARD = frozenset({"cpu", "memory", "ephemeral-storage"})
_MAP_FIELDS = ("metadata.labels['", "metadata.annotations['")


def validate_all(spec: Mapping[str, Any], path: str, volumes: set[str]) -> list[FieldError]:
    """Faults of the containers, of each and between them."""
    normal, init = spec.get("containers") or (), spec.get("initContainers") or ()
    if not normal:
        return [field.required(f"{path}.containers")]
    faults: list[FieldError] = []
    seen: set[str] = set()
    for group, found in (("initContainers", init), ("containers", normal)):
        for index, container in enumerate(found):
            at = f"{path}.{group}[{index}]"
            name = container.get("name", "")
            faults += checks.named(name, f"{at}.name", label_name)
            if name and name in seen:
                faults.append(field.duplicate(f"{at}.name", name))
            seen.add(name)
            faults += _container(container, at, volumes)
            if group == "initContainers":
                faults += _init(container, at)
            elif container.get("restartPolicy"):
                faults.append(
                    field.forbidden(f"{at}.restartPolicy", "may not be set for non-init containers")
                )
    faults += _host_ports(spec, path)
    return faults


def _init(container: Mapping[str, Any], path: str) -> list[FieldError]:
    policy = container.get("restartPolicy")
    if policy == "Always":
        return []
    faults: list[FieldError] = []
    if policy:
        faults.append(field.not_supported(f"{path}.restartPolicy", policy, ("Always",)))
    return faults + [
        field.forbidden(
            f"{path}.{name}", "may not be set for init containers without restartPolicy=Always"
        )
        for name in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")
        if name in container
    ]


def _container(container: Mapping[str, Any], path: str, volumes: set[str]) -> list[FieldError]:
    faults: list[FieldError] = []
    image = container.get("image", "")
    if not image:
        faults.append(field.required(f"{path}.image"))
    elif image != image.strip():
        faults.append(
            field.invalid(f"{path}.image", image, "must not have leading or trailing whitespace")
        )
    faults += checks.one_of(
        container.get("imagePullPolicy"), f"{path}.imagePullPolicy", PULL_POLICIES
    )
    faults += checks.one_of(
        container.get("terminationMessagePolicy"),
        f"{path}.terminationMessagePolicy",
        MESSAGE_POLICIES,
    )
    faults += _ports(container.get("ports") or (), f"{path}.ports")
    faults += _env(container.get("env") or (), f"{path}.env")
    faults += _env_from(container.get("envFrom") or (), f"{path}.envFrom")
    faults += _mounts(container.get("volumeMounts") or (), f"{path}.volumeMounts", volumes)
    faults += _devices(container.get("volumeDevices") or (), f"{path}.volumeDevices", volumes)
    faults += resources(container.get("resources") or {}, f"{path}.resources")
    faults += probes.validate(container, path)
    context = container.get("securityContext") or {}
    for name in ("runAsUser", "runAsGroup"):
        if name in context and not 0 <= context[name] < 2**31:
            faults.append(
                field.invalid(
                    f"{path}.securityContext.{name}",
                    context[name],
                    "must be between 0 and 2147483647, inclusive",
                )
            )
    if context.get("privileged") and context.get("allowPrivilegeEscalation") is False:
        faults.append(
            field.invalid(
                f"{path}.securityContext",
                dict(context),
                "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
            )
        )
    return faults


def _ports(ports: Any, path: str) -> list[FieldError]:
    faults = checks.distinct(
        (f"{path}[{i}].name", port.get("name")) for i, port in enumerate(ports)
    )
    for index, port in enumerate(ports):
        at = f"{path}[{index}]"
        if port.get("name"):
            faults += [
                field.invalid(f"{at}.name", port["name"], why) for why in port_name(port["name"])
            ]
        if not port.get("containerPort"):
            faults.append(field.required(f"{at}.containerPort"))
        else:
            faults += checks.port_number(port["containerPort"], f"{at}.containerPort")
        if port.get("hostPort"):
            faults += checks.port_number(port["hostPort"], f"{at}.hostPort")
        if port.get("hostIP"):
            faults += checks.address(port["hostIP"], f"{at}.hostIP")
        faults += checks.one_of(port.get("protocol"), f"{at}.protocol", PROTOCOLS)
    return faults


def _host_ports(spec: Mapping[str, Any], path: str) -> list[FieldError]:
    return checks.distinct(
        (
            f"{path}.containers[{number}].ports[{index}].hostPort",
            port.get("hostPort")
            and f"{port.get('protocol')}/{port.get('hostIP', '')}/{port['hostPort']}",
        )
        for number, container in enumerate(spec.get("containers") or ())
        for index, port in enumerate(container.get("ports") or ())
    )


def _env(variables: Any, path: str) -> list[FieldError]:
    faults: list[FieldError] = []
    for index, each in enumerate(variables):
        at = f"{path}[{index}]"
        faults += checks.named(each.get("name", ""), f"{at}.name", env_name)
        if "valueFrom" in each:
            faults += _env_source(each, f"{at}.valueFrom")
    return faults


def _env_source(variable: Mapping[str, Any], path: str) -> list[FieldError]:
    source = variable["valueFrom"]
    given = [name for name in _ENV_SOURCES if name in source]
    if not given:
        names = ", ".join(f"`{name}`" for name in _ENV_SOURCES[:-1])
        return [field.invalid(path, "", f"must specify one of: {names} or `{_ENV_SOURCES[-1]}`")]
    faults: list[FieldError] = []
    if len(given) > 1:
        faults.append(
            field.invalid(path, "", "may not have more than one field specified at a time")
        )
    if variable.get("value"):
        faults.append(field.invalid(path, "", "may not be specified when `value` is not empty"))
    if "fieldRef" in source:
        faults += field_reference(source["fieldRef"], f"{path}.fieldRef")
    for name in ("configMapKeyRef", "secretKeyRef"):
        if name in source:
            at = f"{path}.{name}"
            faults += checks.needed(source[name], at, "name")
            faults += checks.named(source[name].get("key", ""), f"{at}.key", config_key)
    if "resourceFieldRef" in source:
        faults += checks.needed(source["resourceFieldRef"], f"{path}.resourceFieldRef", "resource")
    return faults


def field_reference(reference: Mapping[str, Any], path: str) -> list[FieldError]:
    """A downward reference of an environment variable."""
    name = reference.get("fieldPath", "")
    if not name:
        return [field.required(f"{path}.fieldPath")]
    if name in _FIELDS or (name.startswith(_MAP_FIELDS) and name.endswith("']")):
        return []
    return [field.not_supported(f"{path}.fieldPath", name, sorted(_FIELDS))]


def _env_from(sources: Any, path: str) -> list[FieldError]:
    faults: list[FieldError] = []
    for index, each in enumerate(sources):
        at = f"{path}[{index}]"
        given = [name for name in ("configMapRef", "secretRef") if name in each]
        if not given:
            faults.append(
                field.invalid(at, "", "must specify one of: `configMapRef` or `secretRef`")
            )
        elif len(given) > 1:
            faults.append(
                field.invalid(at, "", "may not have more than one field specified at a time")
            )
        for name in given:
            faults += checks.needed(each[name], f"{at}.{name}", "name")
    return faults


def _mounts(mounts: Any, path: str, volumes: set[str]) -> list[FieldError]:
    faults: list[FieldError] = []
    points: set[str] = set()
    for index, mount in enumerate(mounts):
        at = f"{path}[{index}]"
        name, point = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            faults.append(field.required(f"{at}.name"))
        elif name not in volumes:
            faults.append(field.not_found(f"{at}.name", name))
        if not point:
            faults.append(field.required(f"{at}.mountPath"))
        elif point in points:
            faults.append(field.invalid(f"{at}.mountPath", point, "must be unique"))
        points.add(point)
        for part in ("subPath", "subPathExpr"):
            inner = mount.get(part, "")
            if inner.startswith("/"):
                faults.append(field.invalid(f"{at}.{part}", inner, "must be a relative path"))
            if ".." in inner.split("/"):
                faults.append(field.invalid(f"{at}.{part}", inner, "must not contain '..'"))
    return faults


def _devices(devices: Any, path: str, volumes: set[str]) -> list[FieldError]:
    faults: list[FieldError] = []
    for index, device in enumerate(devices):
        at = f"{path}[{index}]"
        faults += checks.needed(device, at, "name", "devicePath")
        if device.get("name") and device["name"] not in volumes:
            faults.append(field.not_found(f"{at}.name", device["name"]))
    return faults


def resources(found: Mapping[str, Any], path: str) -> list[FieldError]:
    """Faults of requests and limits: names, amounts, and limits below requests."""
    faults: list[FieldError] = []
    limits, requests = found.get("limits") or {}, found.get("requests") or {}
    for part, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            at = f"{path}.{part}"
            faults += _resource_name(name, at)
            faults += checks.amount(amount, f"{at}.{name}" if "/" not in name else f"{at}[{name}]")
    for name, amount in requests.items():
        try:
            over = name in limits and quantity.value_of(amount) > quantity.value_of(limits[name])
        except Invalid:
            continue  # said above
        if over:
            faults.append(
                field.invalid(
                    f"{path}.requests",
                    amount,
                    f"must be less than or equal to {name} limit of {limits[name]}",
                )
            )
    return faults


def _resource_name(name: str, path: str) -> list[FieldError]:
    faults = [field.invalid(path, name, why) for why in qualified_name(name)]
    if (
        not faults
        and "/" not in name
        and name not in _STANDARD
        and not name.startswith("hugepages-")
    ):
        faults.append(
            field.invalid(path, name, "must be a standard resource type or fully qualified")
        )
        faults.append(field.invalid(path, name, "must be a standard resource for containers"))
    return faults
