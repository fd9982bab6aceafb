"""Turns the CRI's values into the engine's, and back. Pure, but for the files of a pod's /etc."""

from __future__ import annotations

import contextlib
import os
import shutil

from dockyard.interfaces import cri
from dockyard.node.engine.config import Container, ContainerConfig, LogSpec, MountSpec, Resources

KIND = "io.dockyard.cri.kind"
SANDBOX_ID = "io.dockyard.cri.sandbox"
ATTEMPT = "io.dockyard.cri.attempt"
POD_NAME = "io.kubernetes.pod.name"
POD_NAMESPACE = "io.kubernetes.pod.namespace"
POD_UID = "io.kubernetes.pod.uid"
CONTAINER_NAME = "io.kubernetes.container.name"
ETC = ("hosts", "hostname", "resolv.conf")
SHARED = ("network", "ipc", "uts")
"""Namespaces that a pod's containers have in common."""
HOSTS = """# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
"""


def sandbox(config: cri.PodSandboxConfig) -> ContainerConfig:
    """A sandbox: the runtime's pause loop in the pod's namespaces."""
    labels = {
        **config.labels,
        KIND: "sandbox",
        ATTEMPT: str(config.attempt),
        POD_NAME: config.name,
        POD_NAMESPACE: config.namespace,
        POD_UID: config.uid,
    }
    return ContainerConfig(
        rootfs="/",  # only its passwd is looked at: a paused container sees an empty root
        hostname=config.hostname,
        labels=tuple(labels.items()),
        network="host" if config.host_network else "none",
        sysctls=tuple(config.sysctls.items()),
        pause=True,
        own_etc=False,
        oom_score_adj=None,
    )


def container(
    config: cri.ContainerConfig, pod: cri.PodSandboxConfig, sandbox_id: str, etc: str
) -> ContainerConfig:
    """A container in a sandbox."""
    labels = {**config.labels, KIND: "container", SANDBOX_ID: sandbox_id,
              ATTEMPT: str(config.attempt), CONTAINER_NAME: config.name,
              POD_NAME: pod.name, POD_NAMESPACE: pod.namespace, POD_UID: pod.uid}  # fmt: skip
    own = {mount.container_path for mount in config.mounts}
    mounts = [MountSpec("bind", m.host_path, m.container_path, m.readonly) for m in config.mounts]
    mounts += [MountSpec("bind", os.path.join(etc, name), f"/etc/{name}")
               for name in ETC if f"/etc/{name}" not in own]  # fmt: skip
    security, resources = config.security, config.resources
    options = ["seccomp=unconfined"] if security.unconfined else []
    options += ["no-new-privileges"] if security.no_new_privileges else []
    user = "" if security.run_as_user is None else str(security.run_as_user)
    if security.run_as_group is not None:
        user = f"{user or '0'}:{security.run_as_group}"
    shared = SHARED if not pod.host_network else ("ipc", "uts")
    return ContainerConfig(
        image=config.image,
        entrypoint=config.command or None,
        command=config.args,
        env=tuple(f"{name}={value}" for name, value in config.envs),
        workdir=config.working_dir,
        user=user,
        hostname=pod.hostname,
        terminal=config.tty,
        open_stdin=config.stdin,
        stdin_once=config.stdin_once,
        labels=tuple(labels.items()),
        mounts=tuple(mounts),
        network="host" if pod.host_network else "none",
        resources=Resources(
            memory=resources.memory_limit,
            cpu_shares=resources.cpu_shares,
            cpu_quota=resources.cpu_quota,
            cpu_period=resources.cpu_period,
        ),
        read_only=security.readonly_rootfs,
        privileged=security.privileged,
        cap_add=security.add_capabilities,
        cap_drop=security.drop_capabilities,
        security_opt=tuple(options),
        groups=security.groups,
        oom_score_adj=resources.oom_score_adj,
        log=LogSpec("cri", os.path.join(pod.log_directory, config.log_path), 10 * 2**20, 5),
        join=tuple((kind, sandbox_id) for kind in shared),
        own_etc=False,
    )


def label(found: Container, name: str) -> str:
    """A label; empty where it is missing."""
    return dict(found.config.labels).get(name, "")


def is_sandbox(found: Container) -> bool:
    """Whether this is a pod's sandbox."""
    return label(found, KIND) == "sandbox"


def sandbox_of(found: Container) -> str:
    """The sandbox that a container is in."""
    return label(found, SANDBOX_ID)


def sandbox_status(found: Container, address: str) -> cri.PodSandboxStatus:
    """A sandbox as the CRI shows it."""
    return cri.PodSandboxStatus(
        id=found.id,
        name=label(found, POD_NAME),
        namespace=label(found, POD_NAMESPACE),
        uid=label(found, POD_UID),
        attempt=int(label(found, ATTEMPT) or 0),
        state=cri.READY if found.status == "running" else cri.NOT_READY,
        created_at=found.created,
        ip=address,
    )


def container_status(found: Container) -> cri.ContainerStatus:
    """A container as the CRI shows it."""
    state = {"created": cri.CREATED, "running": cri.RUNNING, "paused": cri.RUNNING}.get(
        found.status, cri.EXITED
    )
    reason = ""
    if state == cri.EXITED:
        reason = "OOMKilled" if found.oom_killed else "Error" if found.exit_code else "Completed"
    return cri.ContainerStatus(
        id=found.id,
        sandbox_id=sandbox_of(found),
        pod_uid=label(found, POD_UID),
        name=label(found, CONTAINER_NAME),
        attempt=int(label(found, ATTEMPT) or 0),
        state=state,
        created_at=found.created,
        started_at=found.started,
        finished_at=found.finished,
        exit_code=found.exit_code,
        reason=reason,
        message=found.error,
        image=found.config.image,
        image_ref=found.image_id,
        log_path=found.config.log.path,
    )


def write_etc(folder: str, config: cri.PodSandboxConfig, address: str) -> None:
    """The files that all containers of a pod see in /etc."""
    os.makedirs(folder, 0o755, exist_ok=True)
    hosts = HOSTS + (f"{address}\t{config.hostname}\n" if address else "")
    lines = [f"nameserver {server}" for server in config.dns.servers]
    if config.dns.searches:
        lines.append(f"search {' '.join(config.dns.searches)}")
    if config.dns.options:
        lines.append(f"options {' '.join(config.dns.options)}")
    texts = (hosts, f"{config.hostname}\n", "".join(f"{line}\n" for line in lines))
    for name, text in zip(ETC, texts, strict=True):
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)


def remove_etc(folder: str) -> None:
    """Remove them; a folder that is gone is fine."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)
