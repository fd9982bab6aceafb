"""Turns SELinux and AppArmor labels into those of the next program, where the kernel has them."""

from __future__ import annotations

import os

from dockyard.base.errors import Unsupported
from dockyard.base.oci.runtimespec import Process, Spec

SELINUX = "/sys/fs/selinux/enforce"
APPARMOR = "/sys/module/apparmor/parameters/enabled"
UNCONFINED = "unconfined"


def check(process: Process, mount_label: str = "") -> None:
    """Refuse what this kernel has not, before anything is done."""
    for member, label in (("process.selinuxLabel", process.selinux),
                          ("linux.mountLabel", mount_label)):  # fmt: skip
        if label and not os.path.exists(SELINUX):
            raise Unsupported(
                f"config: {member}: {label!r}: SELinux is not enabled on this machine"
            )
    if process.apparmor not in ("", UNCONFINED) and not has_apparmor():
        raise Unsupported(
            f"config: process.apparmorProfile: {process.apparmor!r}:"
            " AppArmor is not enabled on this machine"
        )


def check_spec(spec: Spec) -> None:
    """As :func:`check`, for a container."""
    check(spec.process, spec.mount_label)


def has_apparmor() -> bool:
    """Whether the kernel has AppArmor, and it is on."""
    try:
        with open(APPARMOR) as file:
            return file.read(1) == "Y"
    except OSError:
        return False


def apply(process: Process) -> None:
    """From the next program on; while /proc is the host's."""
    if process.selinux:
        _write("/proc/self/attr/exec", process.selinux)
    if process.apparmor and has_apparmor():
        own = "/proc/self/attr/apparmor/exec"  # since Linux 5.8; where several modules share
        path = own if os.path.exists(own) else "/proc/self/attr/exec"
        _write(path, f"exec {process.apparmor}")


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        raise type(error)(error.errno, f"{path}: {text}: {error.strerror}") from error
    finally:
        os.close(descriptor)
