"""Turns a sandbox's settings into the files of /etc that all containers of a pod see."""

from __future__ import annotations

import os
import shutil

from dockyard.interfaces import cri

NAMES = ("hosts", "hostname", "resolv.conf")
HOSTS = """# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
"""
ALIASES = "\n# Entries added by HostAliases.\n"
HOST_NETWORK = "# Kubernetes-managed hosts file (host network).\n"


def contents(config: cri.PodSandboxConfig, address: str, node_hosts: str) -> dict[str, str]:
    """The files by name. ``node_hosts``: the node's own, for a pod in its network. Pure."""
    names = f"{config.hostname}.{config.domain}\t" if config.domain else ""
    if config.host_network:
        hosts = HOST_NETWORK + node_hosts
    else:
        hosts = HOSTS + (f"{address}\t{names}{config.hostname}\n" if address else "")
    if config.host_aliases:
        hosts += ALIASES
        hosts += "".join(f"{ip}\t{chr(9).join(known)}\n" for ip, known in config.host_aliases)
    lines = []
    if config.dns.searches:
        lines.append(f"search {' '.join(config.dns.searches)}\n")
    lines += [f"nameserver {server}\n" for server in config.dns.servers]
    if config.dns.options:
        lines.append(f"options {' '.join(config.dns.options)}\n")
    return {"hosts": hosts, "hostname": f"{config.hostname}\n", "resolv.conf": "".join(lines)}


def write(folder: str, config: cri.PodSandboxConfig, address: str) -> None:
    """Make the folder and its files."""
    node_hosts = ""
    if config.host_network:
        with open("/etc/hosts") as file:
            node_hosts = file.read()
    os.makedirs(folder, 0o755, exist_ok=True)
    for name, text in contents(config, address, node_hosts).items():
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)


def remove(folder: str) -> None:
    """A folder that is gone is fine."""
    if os.path.isdir(folder):
        shutil.rmtree(folder)
