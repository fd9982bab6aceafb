"""Turns a platform into whether this machine can run its programs: its own, or by binfmt_misc."""

import os

from dockyard.base.oci.platform import Platform, host_platform

_FOLDER = "/proc/sys/fs/binfmt_misc"
_EMULATORS = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "arm": "arm",
    "386": "i386",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "mips64le": "mips64el",
    "loong64": "loongarch64",
}


def runs(platform: Platform, folder: str = _FOLDER) -> bool:
    """An enabled handler of qemu's usual name counts."""
    if host_platform().runs(platform):
        return True
    name = _EMULATORS.get(platform.architecture)
    if platform.os != "linux" or name is None:
        return False
    try:
        with open(os.path.join(folder, f"qemu-{name}")) as file:
            return file.readline().strip() == "enabled"
    except OSError:
        return False
