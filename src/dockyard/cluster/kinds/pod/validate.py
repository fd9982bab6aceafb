"""Turns a pod spec into its faults: what the schema lets pass and no node could run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds import checks
from dockyard.cluster.kinds.pod import affinity, containers, volumes
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta.fielderrors import FieldError
from dockyard.cluster.meta.names import (
    label_name,
    label_value,
    qualified_name,
    subdomain_name,
)
from dockyard.cluster.meta.objectmeta import validate_labels

RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
PREEMPTION_POLICIES = ("Never", "PreemptLowerPriority")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
OPERATORS = ("Equal", "Exists")
MAX_NAMESERVERS = 3


def validate_spec(spec: Mapping[str, Any], path: str) -> list[FieldError]:
    """Faults of a pod spec with its defaults."""
    known, faults = volumes.validate(spec.get("volumes") or (), f"{path}.volumes")
    faults += containers.validate_all(spec, path, known)
    faults += checks.one_of(spec.get("restartPolicy"), f"{path}.restartPolicy", RESTART_POLICIES)
    faults += checks.one_of(spec.get("dnsPolicy"), f"{path}.dnsPolicy", DNS_POLICIES)
    faults += validate_labels(spec.get("nodeSelector"), f"{path}.nodeSelector")
    faults += affinity.validate(spec.get("affinity") or {}, f"{path}.affinity")
    faults += _tolerations(spec.get("tolerations") or (), f"{path}.tolerations")
    faults += _dns(spec, path)
    faults += _names(spec, path)
    faults += checks.not_negative(spec, path, "terminationGracePeriodSeconds")
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= 2**31 - 1:
        faults.append(
            field.invalid(
                f"{path}.activeDeadlineSeconds",
                deadline,
                "must be between 1 and 2147483647, inclusive",
            )
        )
    policy = spec.get("preemptionPolicy")
    if policy:
        faults += checks.one_of(policy, f"{path}.preemptionPolicy", PREEMPTION_POLICIES)
    faults += _security(spec.get("securityContext") or {}, f"{path}.securityContext")
    faults += _spread(
        spec.get("topologySpreadConstraints") or (), f"{path}.topologySpreadConstraints"
    )
    if spec.get("hostNetwork"):
        faults += _host_ports(spec, path)
    return faults


def _names(spec: Mapping[str, Any], path: str) -> list[FieldError]:
    faults: list[FieldError] = []
    for name, rule in (
        ("serviceAccountName", subdomain_name),
        ("nodeName", subdomain_name),
        ("priorityClassName", subdomain_name),
        ("runtimeClassName", subdomain_name),
        ("hostname", label_name),
        ("subdomain", label_name),
        ("schedulerName", qualified_name),
    ):
        faults += checks.named(spec.get(name, ""), f"{path}.{name}", rule, optional=True)
    for index, each in enumerate(spec.get("imagePullSecrets") or ()):
        if not each.get("name"):
            faults.append(field.required(f"{path}.imagePullSecrets[{index}].name"))
    for index, each in enumerate(spec.get("hostAliases") or ()):
        at = f"{path}.hostAliases[{index}]"
        faults += checks.address(each.get("ip", ""), f"{at}.ip")
        for number, host in enumerate(each.get("hostnames") or ()):
            faults += checks.named(host, f"{at}.hostnames[{number}]", subdomain_name)
    for index, each in enumerate(spec.get("readinessGates") or ()):
        faults += checks.named(
            each.get("conditionType", ""),
            f"{path}.readinessGates[{index}].conditionType",
            qualified_name,
        )
    return faults


def _tolerations(tolerations: Any, path: str) -> list[FieldError]:
    faults: list[FieldError] = []
    for index, each in enumerate(tolerations):
        at = f"{path}[{index}]"
        key, operator, effect = each.get("key", ""), each.get("operator", ""), each.get("effect")
        if key:
            faults += [field.invalid(f"{at}.key", key, why) for why in qualified_name(key)]
        if not key and operator != "Exists":
            faults.append(
                field.invalid(
                    f"{at}.operator",
                    operator,
                    "operator must be Exists when `key` is empty, which means "
                    '"match all values and all keys"',
                )
            )
        if "tolerationSeconds" in each and effect != "NoExecute":
            faults.append(
                field.invalid(
                    f"{at}.effect",
                    effect or "",
                    "effect must be 'NoExecute' when `tolerationSeconds` is set",
                )
            )
        if operator in {"", "Equal"}:
            value = each.get("value", "")
            faults += [field.invalid(f"{at}.operator", value, why) for why in label_value(value)]
        elif operator == "Exists":
            if each.get("value"):
                faults.append(
                    field.invalid(
                        f"{at}.operator",
                        dict(each),
                        "value must be empty when `operator` is 'Exists'",
                    )
                )
        else:
            faults.append(field.not_supported(f"{at}.operator", operator, OPERATORS))
        if effect:
            faults += checks.one_of(effect, f"{at}.effect", EFFECTS)
    return faults


def _dns(spec: Mapping[str, Any], path: str) -> list[FieldError]:
    config = spec.get("dnsConfig")
    if spec.get("dnsPolicy") == "None" and not (config or {}).get("nameservers"):
        return [
            field.required(
                f"{path}.dnsConfig" if config is None else f"{path}.dnsConfig.nameservers",
                "must provide at least one DNS nameserver when `dnsPolicy` is None",
            )
        ]
    if not config:
        return []
    servers = config.get("nameservers") or ()
    faults: list[FieldError] = []
    if len(servers) > MAX_NAMESERVERS:
        faults.append(
            field.invalid(
                f"{path}.dnsConfig.nameservers",
                list(servers),
                f"must not have more than {MAX_NAMESERVERS} nameservers",
            )
        )
    for index, server in enumerate(servers):
        faults += checks.address(server, f"{path}.dnsConfig.nameservers[{index}]")
    for index, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            faults.append(field.required(f"{path}.dnsConfig.options[{index}]", "must not be empty"))
    return faults


_ID_RANGE = "must be between 0 and 2147483647, inclusive"


def user_ids(context: Mapping[str, Any], path: str, *names: str) -> list[FieldError]:
    """User and group ids are 31 bits."""
    return [
        field.invalid(f"{path}.{name}", context[name], _ID_RANGE)
        for name in names
        if name in context and not 0 <= context[name] < 2**31
    ]


def _security(context: Mapping[str, Any], path: str) -> list[FieldError]:
    faults = user_ids(context, path, "runAsUser", "runAsGroup", "fsGroup")
    for index, group in enumerate(context.get("supplementalGroups") or ()):
        if not 0 <= group < 2**31:
            faults.append(field.invalid(f"{path}.supplementalGroups[{index}]", group, _ID_RANGE))
    return faults


def _spread(constraints: Any, path: str) -> list[FieldError]:
    faults: list[FieldError] = []
    for index, each in enumerate(constraints):
        at = f"{path}[{index}]"
        if each.get("maxSkew", 0) <= 0:
            faults.append(
                field.invalid(f"{at}.maxSkew", each.get("maxSkew", 0), "must be greater than zero")
            )
        faults += checks.named(each.get("topologyKey", ""), f"{at}.topologyKey", qualified_name)
        faults += checks.one_of(
            each.get("whenUnsatisfiable"),
            f"{at}.whenUnsatisfiable",
            ("DoNotSchedule", "ScheduleAnyway"),
        )
        faults += checks.label_selector(each.get("labelSelector"), f"{at}.labelSelector")
    return faults


def _host_ports(spec: Mapping[str, Any], path: str) -> list[FieldError]:
    faults: list[FieldError] = []
    for number, container in enumerate(spec.get("containers") or ()):
        for index, port in enumerate(container.get("ports") or ()):
            if port.get("hostPort") not in (None, 0, port.get("containerPort")):
                faults.append(
                    field.invalid(
                        f"{path}.containers[{number}].ports[{index}].hostPort",
                        port["hostPort"],
                        "must match `containerPort` when `hostNetwork` is true",
                    )
                )
    return faults
