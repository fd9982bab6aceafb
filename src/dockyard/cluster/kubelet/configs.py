"""Turns a pod's specification into what the CRI is asked for. Pure."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from dockyard.base.errors import Denied, Unsupported
from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet.environment import expand
from dockyard.cluster.kubelet.status import qos_class
from dockyard.cluster.meta import quantity
from dockyard.interfaces import cri

PERIOD = 100_000
BEST_EFFORT_SCORE = 1000


class Dns(NamedTuple):
    """The cluster's DNS, and the node's own for pods that want that."""

    server: str
    domain: str
    node: cri.DnsConfig


def sandbox(pod: Object, attempt: int, logs: str, dns: Dns) -> cri.PodSandboxConfig:
    """A pod's sandbox."""
    metadata, spec = pod["metadata"], pod["spec"]
    sysctls = (spec.get("securityContext") or {}).get("sysctls") or ()
    return cri.PodSandboxConfig(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        attempt=attempt,
        hostname=(spec.get("hostname") or metadata["name"])[:63].rstrip("-."),
        log_directory=logs,
        dns=dns_config(pod, dns),
        host_network=bool(spec.get("hostNetwork")),
        sysctls={each["name"]: each["value"] for each in sysctls},
    )


def dns_config(pod: Object, dns: Dns) -> cri.DnsConfig:
    """What /etc/resolv.conf says, by the pod's dnsPolicy and dnsConfig."""
    spec, namespace = pod["spec"], pod["metadata"]["namespace"]
    policy = spec.get("dnsPolicy", "ClusterFirst")
    if policy == "None":
        found = cri.DnsConfig()
    elif policy == "Default" or (policy == "ClusterFirst" and spec.get("hostNetwork")):
        found = dns.node
    else:
        domains = (f"{namespace}.svc.{dns.domain}", f"svc.{dns.domain}", dns.domain)
        found = cri.DnsConfig((dns.server,), (*domains, *dns.node.searches), ("ndots:5",))
    own = spec.get("dnsConfig") or {}
    options = tuple(
        f"{each['name']}:{each['value']}" if each.get("value") else each["name"]
        for each in own.get("options") or ()
    )
    return cri.DnsConfig(
        (*found.servers, *(own.get("nameservers") or ())),
        (*found.searches, *(own.get("searches") or ())),
        (*found.options, *options),
    )


def container(
    pod: Object,
    spec: Object,
    attempt: int,
    environment: Mapping[str, str],
    volumes: Mapping[str, str],
    image_user: str,
) -> cri.ContainerConfig:
    """One container. ``volumes``: host paths by volume name."""
    return cri.ContainerConfig(
        name=spec["name"],
        attempt=attempt,
        image=spec["image"],
        command=tuple(expand(word, environment) for word in spec.get("command") or ()),
        args=tuple(expand(word, environment) for word in spec.get("args") or ()),
        working_dir=spec.get("workingDir", ""),
        envs=tuple(environment.items()),
        mounts=tuple(_mount(each, volumes) for each in spec.get("volumeMounts") or ()),
        log_path=f"{spec['name']}/{attempt}.log",
        stdin=bool(spec.get("stdin")),
        stdin_once=bool(spec.get("stdinOnce")),
        tty=bool(spec.get("tty")),
        resources=resources(pod, spec),
        security=security(pod, spec, image_user),
    )


def _mount(mount: Object, volumes: Mapping[str, str]) -> cri.Mount:
    for unknown in ("subPath", "subPathExpr", "mountPropagation"):
        if mount.get(unknown) not in (None, "", "None"):
            raise Unsupported(f"volumeMounts: {unknown}: not implemented")
    return cri.Mount(
        os.path.normpath(mount["mountPath"]), volumes[mount["name"]], bool(mount.get("readOnly"))
    )


def resources(pod: Object, spec: Object) -> cri.LinuxResources:
    """Limits for the control group, and who is killed first when memory runs out."""
    section = spec.get("resources", {})
    requests, limits = section.get("requests") or {}, section.get("limits") or {}
    cpu = quantity.milli(requests.get("cpu", "0"))
    cpu_limit = quantity.milli(limits.get("cpu", "0"))
    return cri.LinuxResources(
        cpu_shares=max(2, cpu * 1024 // 1000) if cpu else 2,
        cpu_quota=max(1000, cpu_limit * PERIOD // 1000) if cpu_limit else 0,
        cpu_period=PERIOD if cpu_limit else 0,
        memory_limit=quantity.whole(limits.get("memory", "0")),
        oom_score_adj=oom_score(pod, quantity.whole(requests.get("memory", "0"))),
    )


def oom_score(pod: Object, memory_request: int) -> int:
    """By the pod's class; what may not be lowered here stays at 0."""
    kind = qos_class(pod["spec"])
    if kind == "Guaranteed":
        return 0  # -997 needs CAP_SYS_RESOURCE, and 0 is below every other pod's
    if kind == "BestEffort":
        return BEST_EFFORT_SCORE
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(999, max(2, 1000 - 1000 * memory_request // pages))


def security(pod: Object, spec: Object, image_user: str) -> cri.SecurityContext:
    """The container's own settings over the pod's. runAsNonRoot is judged on the uid it gets."""
    shared, own = pod["spec"].get("securityContext") or {}, spec.get("securityContext") or {}
    merged = {**shared, **own}
    user = merged.get("runAsUser")
    if merged.get("runAsNonRoot"):
        name = image_user.partition(":")[0]
        if user == 0 or (user is None and name in ("", "0", "root")):
            raise Denied("container has runAsNonRoot and image will run as root")
        if user is None and not name.isdecimal():
            raise Denied(f"container has runAsNonRoot and image has non-numeric user ({name}), "
                         "cannot verify user is non-root")  # fmt: skip
    capabilities = own.get("capabilities") or {}
    profile = (merged.get("seccompProfile") or {}).get("type", "RuntimeDefault")
    if profile == "Localhost":
        raise Unsupported("seccompProfile: Localhost: not implemented")
    groups = [*(shared.get("supplementalGroups") or ())]
    if shared.get("fsGroup") is not None:
        groups.append(shared["fsGroup"])
    return cri.SecurityContext(
        run_as_user=user,
        run_as_group=merged.get("runAsGroup"),
        groups=tuple(groups),
        privileged=bool(own.get("privileged")),
        readonly_rootfs=bool(own.get("readOnlyRootFilesystem")),
        no_new_privileges=own.get("allowPrivilegeEscalation") is False,
        add_capabilities=tuple(capabilities.get("add") or ()),
        drop_capabilities=tuple(capabilities.get("drop") or ()),
        unconfined=profile == "Unconfined",
    )
