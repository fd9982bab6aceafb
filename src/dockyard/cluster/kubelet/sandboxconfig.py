"""Turns a pod into the sandbox that the CRI is asked for. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import NamedTuple

from dockyard.cluster.client.transport import Object
from dockyard.interfaces import cri

MOST_SEARCHES, LONGEST_SEARCH = 32, 2048
"""What resolv.conf(5) readers take: the rest is left out, as the kubelet does."""


class Dns(NamedTuple):
    """The cluster's DNS, and the node's own for pods that want that."""

    server: str
    domain: str
    node: cri.DnsConfig


def sandbox_config(
    pod: Object, attempt: int, logs: str, dns: Dns, host: str
) -> cri.PodSandboxConfig:
    """A pod's sandbox. ``host``: the node's name, which a pod in its network has too."""
    metadata, spec = pod["metadata"], pod["spec"]
    security = spec.get("securityContext") or {}
    subdomain = spec.get("subdomain")
    return cri.PodSandboxConfig(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        attempt=attempt,
        hostname=host if spec.get("hostNetwork") else hostname(pod),
        log_directory=logs,
        dns=dns_config(pod, dns),
        host_network=bool(spec.get("hostNetwork")),
        host_pid=bool(spec.get("hostPID")),
        host_ipc=bool(spec.get("hostIPC")),
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
        sysctls={each["name"]: each["value"] for each in security.get("sysctls") or ()},
        port_mappings=() if spec.get("hostNetwork") else tuple(_host_ports(pod)),
        host_aliases=tuple(
            (str(ipaddress.ip_address(each["ip"])), tuple(each.get("hostnames") or ()))
            for each in spec.get("hostAliases") or ()
        ),
        domain=f"{subdomain}.{metadata['namespace']}.svc.{dns.domain}" if subdomain else "",
    )


def _host_ports(pod: Object) -> Iterator[cri.PortMapping]:
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                yield cri.PortMapping(
                    int(port["hostPort"]), int(port["containerPort"]),
                    port.get("protocol", "TCP"), port.get("hostIP", ""),
                )  # fmt: skip


def hostname(pod: Object) -> str:
    """The pod's own, or its name, cut to what the kernel takes (63 characters)."""
    text: str = pod["spec"].get("hostname") or pod["metadata"]["name"]
    return text[:63].rstrip("-.")


def log_folder(pod: Object) -> str:
    """``<namespace>_<name>_<uid>``, below the folder of pods."""
    metadata = pod["metadata"]
    return f"{metadata['namespace']}_{metadata['name']}_{metadata['uid']}"


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
    searches = dict.fromkeys((*found.searches, *(own.get("searches") or ())))
    return cri.DnsConfig(
        tuple(dict.fromkeys((*found.servers, *(own.get("nameservers") or ())))),
        _searches(list(searches)),
        _options(found.options, own.get("options") or ()),
    )


def _searches(names: list[str]) -> tuple[str, ...]:
    kept: list[str] = []
    for name in names[:MOST_SEARCHES]:
        if len(" ".join([*kept, name])) > LONGEST_SEARCH:
            break
        kept.append(name)
    return tuple(kept)


def _options(base: tuple[str, ...], own: list[Object] | tuple[()]) -> tuple[str, ...]:
    """The pod's own replace those of the same name."""
    found = {option.partition(":")[0]: option for option in base}
    for each in own:
        name, value = each["name"], each.get("value")
        found[name] = f"{name}:{value}" if value else name
    return tuple(found.values())
