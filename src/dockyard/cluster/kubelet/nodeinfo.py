"""Turns /proc and the like into what a Node object says of its machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from dockyard.base.version import VERSION
from dockyard.interfaces.cri import RuntimeCondition

MOST_PODS = 110
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
EVICTION_MEMORY = 100 * 1024 * 1024
EVICTION_DISK = 0.10
"""Less than this much (or this part) free is pressure: the kubelet's default thresholds."""
SPARE_PIDS = 0.05


class Machine(NamedTuple):
    """What is measured again and again."""

    memory_available: int
    disk_free: float
    """The part of the data root's file system that is free."""
    pids_free: float


def architecture() -> str:
    """As GOARCH has it."""
    return MACHINES.get(platform.machine(), platform.machine())


def labels(node: str) -> dict[str, str]:
    """What every node of ours is labelled with."""
    return {
        "kubernetes.io/hostname": node, "kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture(), "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": architecture(), "node-role.kubernetes.io/control-plane": "",
    }  # fmt: skip


def memory_total() -> int:
    """Bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def capacity(folder: Path) -> dict[str, str]:
    """The node's; ``folder``: where containers are kept."""
    disk = os.statvfs(folder)
    return {
        "cpu": str(os.cpu_count() or 1),
        "memory": f"{memory_total() // 1024}Ki",
        "ephemeral-storage": f"{disk.f_blocks * disk.f_frsize // 1024}Ki",
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "pods": str(MOST_PODS),
    }


def measure(folder: Path) -> Machine:
    """What is free now."""
    disk = os.statvfs(folder)
    found = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0]) * 1024
    tasks = int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])
    most = int(Path("/proc/sys/kernel/pid_max").read_text())
    return Machine(
        found.get("MemAvailable", memory_total()),
        disk.f_bavail / max(1, disk.f_blocks),
        1 - tasks / most,
    )


def unready(runtime: Iterable[RuntimeCondition]) -> str:
    """Why pods can't run, in the kubelet's words; empty: they can. Pure."""
    what = {"RuntimeReady": "container runtime not ready",
            "NetworkReady": "container runtime network not ready"}  # fmt: skip
    return "; ".join(
        f"{what.get(each.kind, each.kind)}: {each.kind}=false reason:{each.reason} "
        f"message:{each.message}"
        for each in runtime if not each.status
    )  # fmt: skip


def conditions(machine: Machine, unready: str) -> list[tuple[str, bool, str, str]]:
    """(type, value, reason, message). ``unready``: why pods can't run; empty: they can. Pure."""
    memory = machine.memory_available < EVICTION_MEMORY
    disk = machine.disk_free < EVICTION_DISK
    pids = machine.pids_free < SPARE_PIDS
    return [
        ("MemoryPressure", memory,
         "KubeletHasInsufficientMemory" if memory else "KubeletHasSufficientMemory",
         f"kubelet has {'insufficient' if memory else 'sufficient'} memory available"),
        ("DiskPressure", disk, "KubeletHasDiskPressure" if disk else "KubeletHasNoDiskPressure",
         f"kubelet has {'' if disk else 'no '}disk pressure"),
        ("PIDPressure", pids,
         "KubeletHasInsufficientPID" if pids else "KubeletHasSufficientPID",
         f"kubelet has {'insufficient' if pids else 'sufficient'} PID available"),
        ("Ready", not unready, "KubeletNotReady" if unready else "KubeletReady",
         unready or "kubelet is posting ready status"),
    ]  # fmt: skip


def node_info(release: str, runtime: tuple[str, str]) -> dict[str, Any]:
    """``status.nodeInfo``."""
    return {
        "machineID": _line("/etc/machine-id"),
        "systemUUID": _line("/sys/class/dmi/id/product_uuid"),
        "bootID": _line("/proc/sys/kernel/random/boot_id"),
        "kernelVersion": platform.release(),
        "osImage": _os_release().get("PRETTY_NAME", "Linux"),
        "containerRuntimeVersion": "://".join(runtime),
        "kubeletVersion": f"v{release}.0+dockyard-{VERSION}",
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": architecture(),
    }


def _line(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:  # a machine without it
        return ""


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}
