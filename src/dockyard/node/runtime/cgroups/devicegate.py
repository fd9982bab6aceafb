"""Turns a device policy into a program that is attached to a group of version 2, and replaces it.

Attached before anything is in the group: a container's first instruction is under it.
"""

from __future__ import annotations

import errno
import os

from dockyard.base.errors import Unsupported
from dockyard.base.linux import bpf, cgroupfs
from dockyard.node.runtime.cgroups.devicefilter import compile_filter
from dockyard.node.runtime.cgroups.devicerules import Policy

NO_BPF = (errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.EACCES)


def close(path: str, policy: Policy) -> None:
    """Put the policy into force. The one before it stays in force until this one is.

    Without a right to bpf(2) (rootless) there is no filter: such a container's user can make no
    device nodes, and opens those of the host that its user may open.
    """
    group = os.open(f"{cgroupfs.layout().v2}/{path}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if os.geteuid() != 0:
            return
        _replace(group, policy)
    except OSError as error:
        if error.errno not in NO_BPF:
            raise
        raise Unsupported(
            f"cgroup: {path}: devices: this kernel takes no device filter ({error}); without one a"
            " container would open every device: only a privileged one starts"
        ) from error
    finally:
        os.close(group)


def _replace(group: int, policy: Policy) -> None:
    before: list[int] = []
    try:
        if not policy.everything:
            before = bpf.device_programs(group)
            program = bpf.load_device_program(compile_filter(policy))
            try:
                bpf.attach_device_program(group, program)
            finally:
                os.close(program)
        else:
            try:
                before = bpf.device_programs(group)
            except OSError as error:  # what allows everything needs no filter
                if error.errno not in NO_BPF:
                    raise
        for old in before:
            bpf.detach_device_program(group, old)
    finally:
        for old in before:
            os.close(old)
