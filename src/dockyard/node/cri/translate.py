"""Turns the CRI's values into the engine's, and back. Pure."""

from __future__ import annotations

import os
from typing import NamedTuple

from dockyard.interfaces import cni, cri
from dockyard.node.cri import etcfiles, subpath
from dockyard.node.engine.config import Container, ContainerConfig, LogSpec, MountSpec, Resources

KIND = "io.dockyard.cri.kind"
SANDBOX_ID = "io.dockyard.cri.sandbox"
ATTEMPT = "io.dockyard.cri.attempt"
POD_NAME = "io.kubernetes.pod.name"
POD_NAMESPACE = "io.kubernetes.pod.namespace"
POD_UID = "io.kubernetes.pod.uid"
CONTAINER_NAME = "io.kubernetes.container.name"
LABEL, ANNOTATION = "label:", "annotation:"
"""What goes before a caller's own labels and annotations, so that they cannot be taken for ours."""
LOG_BYTES, LOG_FILES = 10 * 2**20, 5
"""A log is rotated at 10 MiB, and five files are kept: the kubelet's defaults."""
STATES = {"creating": cri.CREATED, "created": cri.CREATED, "starting": cri.CREATED,
          "running": cri.RUNNING, "paused": cri.RUNNING}  # fmt: skip
START_ERROR, START_ERROR_CODE = "StartError", 128


class Member(NamedTuple):
    """What is always known of a container of ours, without asking."""

    id: str
    pod_uid: str
    sandbox_id: str
    """Its own id for a sandbox."""

    @property
    def is_sandbox(self) -> bool:
        return self.id == self.sandbox_id


def member(found: Container) -> Member:
    """Who a container of ours is."""
    labels = dict(found.config.labels)
    return Member(found.id, labels.get(POD_UID, ""), labels.get(SANDBOX_ID) or found.id)


def sandbox(config: cri.PodSandboxConfig) -> ContainerConfig:
    """A sandbox: the runtime's pause loop in the pod's namespaces."""
    labels = {KIND: "sandbox", ATTEMPT: str(config.attempt), **_pod_labels(config)}
    labels |= _own(config.labels, config.annotations)
    host = [kind for kind, is_hosts in (("ipc", config.host_ipc), ("pid", config.host_pid))
            if is_hosts]  # fmt: skip
    if config.host_network:
        host.append("uts")
    return ContainerConfig(
        rootfs="/",  # only its passwd is looked at: a paused container sees an empty root
        hostname="" if config.host_network else config.hostname,
        labels=tuple(labels.items()),
        network="host" if config.host_network else "none",
        sysctls=tuple(config.sysctls.items()),
        join=tuple((kind, "host") for kind in host if kind != "pid"),
        pause=True,
        own_etc=False,
    )


def _pod_labels(config: cri.PodSandboxConfig) -> dict[str, str]:
    return {POD_NAME: config.name, POD_NAMESPACE: config.namespace, POD_UID: config.uid}


def _own(labels: object, annotations: object) -> dict[str, str]:
    found: dict[str, str] = {}
    for prefix, values in ((LABEL, labels), (ANNOTATION, annotations)):
        found |= {f"{prefix}{key}": value for key, value in dict(values).items()}  # type: ignore[call-overload]
    return found


def container(
    config: cri.ContainerConfig, pod: cri.PodSandboxConfig, sandbox_id: str, etc: str
) -> ContainerConfig:
    """A container in a sandbox. ``etc``: the folder of the pod's files; sub-paths are resolved."""
    labels = {KIND: "container", SANDBOX_ID: sandbox_id, ATTEMPT: str(config.attempt),
              CONTAINER_NAME: config.name, **_pod_labels(pod)}  # fmt: skip
    labels |= _own(config.labels, config.annotations)
    own = {mount.container_path for mount in config.mounts}
    mounts = [MountSpec("bind", os.path.join(etc, name), f"/etc/{name}")
              for name in etcfiles.NAMES if f"/etc/{name}" not in own]  # fmt: skip
    mounts += [_mount(each) for each in config.mounts]
    security = config.security
    options = ["seccomp=unconfined"] if security.unconfined else []
    options += ["no-new-privileges"] if security.no_new_privileges else []
    return ContainerConfig(
        image=config.image,
        entrypoint=config.command or None,
        command=config.args,
        env=tuple(f"{name}={value}" for name, value in config.envs),
        workdir=config.working_dir,
        user=user_words(security),
        hostname="" if pod.host_network else pod.hostname,
        terminal=config.tty,
        open_stdin=config.stdin,
        stdin_once=config.stdin_once,
        labels=tuple(labels.items()),
        mounts=tuple(mounts),
        network="host" if pod.host_network else "none",
        resources=resources(config.resources),
        read_only=security.readonly_rootfs,
        privileged=security.privileged,
        cap_add=security.add_capabilities,
        cap_drop=security.drop_capabilities,
        security_opt=tuple(options),
        groups=security.groups,
        oom_score_adj=config.resources.oom_score_adj,
        log=LogSpec("cri", os.path.join(pod.log_directory, config.log_path), LOG_BYTES, LOG_FILES)
        if config.log_path else LogSpec(),
        join=tuple(_namespaces(pod, sandbox_id)),
        own_etc=False,
    )  # fmt: skip


def _namespaces(pod: cri.PodSandboxConfig, sandbox_id: str) -> list[tuple[str, str]]:
    """A pod's containers share the network, IPC and host name; what is the host's is the host's."""
    found = [("ipc", "host" if pod.host_ipc else sandbox_id),
             ("uts", "host" if pod.host_network else sandbox_id)]  # fmt: skip
    if not pod.host_network:
        found.append(("network", sandbox_id))
    if pod.host_pid:
        found.append(("pid", "host"))
    return found


def _mount(mount: cri.Mount) -> MountSpec:
    source = mount.host_path
    if not mount.sub_path:
        return MountSpec("bind", source, mount.container_path, mount.readonly)
    below = subpath.resolve(source, mount.sub_path)
    return MountSpec("bind", below, mount.container_path, mount.readonly, (subpath.NO_LINKS,))


def user_words(security: cri.SecurityContext) -> str:
    """As Docker writes them: ``1000:1000``; empty: what the image says."""
    user = "" if security.run_as_user is None else str(security.run_as_user)
    if security.run_as_group is None:
        return user
    return f"{user or '0'}:{security.run_as_group}"


def resources(wanted: cri.LinuxResources) -> Resources:
    """Limits as the engine has them."""
    return Resources(
        memory=wanted.memory_limit,
        cpu_shares=wanted.cpu_shares,
        cpu_quota=wanted.cpu_quota,
        cpu_period=wanted.cpu_period,
    )


def ports(config: cri.PodSandboxConfig) -> tuple[cni.PortMapping, ...]:
    """Ports of the host as the network is asked for them."""
    return tuple(
        cni.PortMapping(each.host_port, each.container_port, each.protocol.lower(), each.host_ip)
        for each in config.port_mappings
    )


def sandbox_status(found: Container, address: str) -> cri.PodSandboxStatus:
    """A sandbox as the CRI shows it."""
    labels = dict(found.config.labels)
    return cri.PodSandboxStatus(
        id=found.id,
        name=labels.get(POD_NAME, ""),
        namespace=labels.get(POD_NAMESPACE, ""),
        uid=labels.get(POD_UID, ""),
        attempt=int(labels.get(ATTEMPT) or 0),
        state=cri.READY if found.status == "running" else cri.NOT_READY,
        created_at=found.created,
        ip=address,
        labels=_given(labels, LABEL),
        annotations=_given(labels, ANNOTATION),
    )


def _given(labels: dict[str, str], prefix: str) -> dict[str, str]:
    return {key.removeprefix(prefix): value for key, value in labels.items()
            if key.startswith(prefix)}  # fmt: skip


def container_status(found: Container) -> cri.ContainerStatus:
    """A container as the CRI shows it. One whose start failed has ended, with ``StartError``."""
    labels = dict(found.config.labels)
    failed = found.status == "created" and bool(found.error)
    state = STATES.get(found.status, cri.EXITED)
    reason, code = "", found.exit_code
    if failed:
        state, reason, code = cri.EXITED, START_ERROR, found.exit_code or START_ERROR_CODE
    elif state == cri.EXITED:
        reason = "OOMKilled" if found.oom_killed else "Error" if code else "Completed"
    return cri.ContainerStatus(
        id=found.id,
        sandbox_id=labels.get(SANDBOX_ID, ""),
        pod_uid=labels.get(POD_UID, ""),
        name=labels.get(CONTAINER_NAME, ""),
        attempt=int(labels.get(ATTEMPT) or 0),
        state=state,
        created_at=found.created,
        started_at=found.started or (found.created if failed else 0.0),
        finished_at=found.finished or (found.created if failed else 0.0),
        exit_code=code,
        reason=reason,
        message=found.error,
        image=found.config.image,
        image_ref=found.image_id,
        log_path=found.config.log.path,
        labels=_given(labels, LABEL),
        annotations=_given(labels, ANNOTATION),
    )
