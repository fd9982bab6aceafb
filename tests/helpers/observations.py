"""What a container runtime might say of one pod."""

from __future__ import annotations

from typing import Any

from dockyard.cluster.kubelet.observed import Observed, observe
from dockyard.interfaces.cri import EXITED, READY, RUNNING, ContainerStatus, PodSandboxStatus


def pod(*names: str, policy: str = "Always", init: tuple[str, ...] = (), **metadata: Any) -> Any:
    def containers(found: tuple[str, ...]) -> list[dict[str, str]]:
        return [{"name": each, "image": "nginx:1"} for each in found]

    spec: dict[str, Any] = {"containers": containers(names or ("c",)), "restartPolicy": policy}
    if init:
        spec["initContainers"] = containers(init)
    return {"metadata": {"name": "p", "namespace": "n", "uid": "u", **metadata}, "spec": spec}


def sandbox(attempt: int = 0, state: str = READY) -> PodSandboxStatus:
    return PodSandboxStatus(
        f"s{attempt}", "p", "n", "u", attempt, state, float(attempt), "10.0.0.1"
    )


def ran(
    name: str, attempt: int = 0, code: int | None = None, *, box: int = 0, state: str = "",
    **more: Any,
) -> ContainerStatus:  # fmt: skip
    """A container that runs, or (with a code) has ended."""
    state = state or (RUNNING if code is None else EXITED)
    return ContainerStatus(
        id=f"{name}{attempt}", sandbox_id=f"s{box}", pod_uid="u", name=name, attempt=attempt,
        state=state, created_at=float(attempt), started_at=1.0, finished_at=5.0,
        exit_code=code or 0, reason="", message="", image="nginx:1", image_ref="", log_path="",
        **more,
    )  # fmt: skip


def seen(*containers: ContainerStatus, boxes: tuple[PodSandboxStatus, ...] = ()) -> Observed:
    return observe(boxes or (sandbox(),), containers)
