"""Turns security contexts of a pod and a container into who a process is and what it may. Pure."""

from __future__ import annotations

from dockyard.base.errors import Unsupported
from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet.environment import ConfigError
from dockyard.interfaces.cri import SecurityContext


def security(pod: Object, spec: Object, image_user: str) -> SecurityContext:
    """The container's own settings over the pod's; ``image_user`` is the image's USER.

    Raises ConfigError where runAsNonRoot forbids the user that it would get.
    """
    shared, own = pod["spec"].get("securityContext") or {}, spec.get("securityContext") or {}
    merged = {**shared, **own}
    user = merged.get("runAsUser")
    if merged.get("runAsNonRoot"):
        _check_non_root(pod, spec, user, image_user)
    for option in ("seLinuxOptions", "windowsOptions"):
        if merged.get(option):
            raise Unsupported(f"securityContext: {option}: not implemented")
    profile = (merged.get("seccompProfile") or {}).get("type", "RuntimeDefault")
    if profile == "Localhost":
        raise Unsupported("securityContext: seccompProfile Localhost: not implemented")
    if merged.get("procMount", "Default") != "Default":
        raise Unsupported(f"securityContext: procMount {merged['procMount']}: not implemented")
    groups = [*(shared.get("supplementalGroups") or ())]
    if shared.get("fsGroup") is not None:
        groups.append(shared["fsGroup"])
    capabilities = own.get("capabilities") or {}
    privileged = bool(own.get("privileged"))
    return SecurityContext(
        run_as_user=user,
        run_as_group=merged.get("runAsGroup"),
        groups=tuple(groups),
        privileged=privileged,
        readonly_rootfs=bool(own.get("readOnlyRootFilesystem")),
        no_new_privileges=own.get("allowPrivilegeEscalation") is False and not privileged,
        add_capabilities=tuple(capabilities.get("add") or ()),
        drop_capabilities=tuple(capabilities.get("drop") or ()),
        unconfined=profile == "Unconfined" or privileged,
    )


def _check_non_root(pod: Object, spec: Object, user: int | None, image_user: str) -> None:
    """The kubelet's verifyRunAsNonRoot, and its words: judged on the uid that the process gets."""
    metadata = pod["metadata"]
    where = (f'(pod: "{metadata["name"]}_{metadata["namespace"]}({metadata["uid"]})", '
             f'container: {spec["name"]})')  # fmt: skip
    if user is not None:
        if user == 0:
            raise ConfigError(f"container's runAsUser breaks non-root policy {where}")
        return
    name = image_user.partition(":")[0]
    if name.isdecimal() and int(name):
        return
    if name and not name.isdecimal():
        raise ConfigError(
            f"container has runAsNonRoot and image has non-numeric user ({name}), "
            f"cannot verify user is non-root {where}"
        )
    raise ConfigError(f"container has runAsNonRoot and image will run as root {where}")
