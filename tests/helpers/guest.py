"""A virtual machine for tests that need another kernel than this machine's: docs/cgroup-v2.md.

QEMU without hardware help (it works everywhere) boots Debian's cloud kernel from memory: busybox,
this machine's Python with its standard library, and `dockyard`. A script inside runs the cases of
one file and writes one line of JSON a case to the second serial port.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from helpers import rootfs

PROJECT = Path(__file__).resolve().parents[2]
INSIDE = PROJECT / "tests/guest/inside"
KERNEL = PROJECT / ".venv/guest"
EMULATOR = "qemu-system-x86_64"
SECONDS = 600
MEGABYTES = 1024
LEFT_OUT = {"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "pydoc_data",
            "lib2to3", "site-packages", "dist-packages", "__phello__"}  # fmt: skip
SYSTEMD = [file for name in ("systemd", "systemd-executor", "systemd-shutdown")
           if (file := Path("/usr/lib/systemd") / name).exists()]  # fmt: skip
PEERS = [Path(found) for name in ("runc", "crun") if (found := shutil.which(name))]
LEFT_AT_HOME = ("__pycache__", "cluster", "testing")
"""Of ``dockyard``: what no case asks for."""


class Outcome(NamedTuple):
    """How one case ended inside."""

    ok: bool
    text: str


def missing() -> str:
    """Why there can be no guest on this machine; empty where there can."""
    if os.uname().machine != "x86_64" or not shutil.which(EMULATOR) or not SYSTEMD:
        return "qemu-system-x86_64 is not installed"
    return ""


def boot(folder: Path, cases: str) -> dict[str, Outcome]:
    """Run the cases of ``inside/<cases>.py``; what each said. Raises with the console's end.

    A file whose name ends with ``systemd`` has that as the machine's first process.
    """
    init = "systemd" if cases.endswith("systemd") else "busybox"
    if not (KERNEL / "vmlinuz").exists():
        subprocess.run([sys.executable, PROJECT / "tools/guest_kernel.py", KERNEL], check=True)
    image, console, results = (folder / name for name in ("image", "console", "results"))
    image.write_bytes(_initramfs(_tree(folder / "tree")))
    command = [
        EMULATOR, "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", str(MEGABYTES),
        "-nodefaults", "-display", "none", "-no-reboot", "-kernel", KERNEL / "vmlinuz",
        "-initrd", image, "-serial", f"file:{console}", "-serial", f"file:{results}",
        "-append", f"console=ttyS0 panic=-1 loglevel=4 guest.cases={cases}"
        f" guest.init={init} systemd.unit=guest.service systemd.unified_cgroup_hierarchy=1",
    ]  # fmt: skip
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, check=True, timeout=SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise AssertionError(f"guest {cases}: {error}\n{_end(console)}\n{_end(results)}") from error
    finally:
        image.unlink()
    found = {}
    for line in results.read_text(errors="replace").splitlines():
        if line.startswith("{"):
            said = json.loads(line)
            found[said["case"]] = Outcome(said["ok"], said["text"])
    if not found:
        raise AssertionError(f"guest {cases}: no case has run\n{_end(console)}")
    return found


def names(cases: str) -> list[str]:
    """The cases of a file, which is not imported here: it is for the guest."""
    text = (INSIDE / f"{cases}.py").read_text()
    return re.findall(r"^def (test_\w+)\(", text, re.MULTILINE)


def _end(file: Path) -> str:
    return file.read_text(errors="replace")[-6000:] if file.exists() else ""


# what is inside


def _tree(folder: Path) -> Path:
    """The guest's root as a folder."""
    rootfs.make(folder)
    standard = Path(sysconfig.get_path("stdlib"))
    python = Path(os.path.realpath(sys.executable))
    _copy_tree(standard, folder / standard.relative_to("/"))
    left_out = shutil.ignore_patterns(*LEFT_AT_HOME)
    shutil.copytree(PROJECT / "src/dockyard", folder / "opt/dockyard", ignore=left_out)
    _copy_tree(INSIDE, folder / "opt/inside")
    shutil.copytree(KERNEL / "modules", folder / "opt/modules", dirs_exist_ok=True)
    _copy_file(python, folder)
    (folder / "bin/python3").symlink_to(python)
    programs = [Path("/usr/lib/x86_64-linux-gnu/libseccomp.so.2"), *SYSTEMD, *PEERS]
    extensions = (standard / "lib-dynload").glob("*.so")
    for file in (*_libraries([python, *programs, *extensions]), *programs):
        _copy_file(file, folder)
    unit = folder / "etc/systemd/system/guest.service"
    unit.parent.mkdir(parents=True)
    shutil.copy(INSIDE / "guest.service", unit)
    return folder


def _copy_tree(source: Path, target: Path) -> None:
    def skip(_: str, found: list[str]) -> list[str]:
        return [name for name in found if name in LEFT_OUT or name.endswith(".a")]

    shutil.copytree(source, target, ignore=skip, dirs_exist_ok=True)


def _copy_file(file: Path, root: Path) -> None:
    target = root / file.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(file, target)


def _libraries(files: Iterable[Path]) -> set[Path]:
    done = subprocess.run(["ldd", *files], capture_output=True, text=True)
    return {Path(found) for found in re.findall(r"(/\S+\.so[.\w]*) \(0x", done.stdout)}


def _initramfs(tree: Path) -> bytes:
    """The kernel unpacks it as its first root, which no container can leave by pivot_root(2): so
    it holds little more than the archive of the root that comes after."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(tree, ".")
    busybox = rootfs.BUSYBOX.read_bytes()
    entries = [
        ("bin", stat.S_IFDIR | 0o755, b""), ("dev", stat.S_IFDIR | 0o755, b""),
        ("new", stat.S_IFDIR | 0o755, b""), ("bin/busybox", stat.S_IFREG | 0o755, busybox),
        ("init", stat.S_IFREG | 0o755, (INSIDE / "init.sh").read_bytes()),
        ("root.tar", stat.S_IFREG | 0o600, archive.getvalue()), ("TRAILER!!!", 0, b""),
    ]  # fmt: skip
    return b"".join(_member(number, *entry) for number, entry in enumerate(entries, 1))


def _member(number: int, name: str, mode: int, data: bytes) -> bytes:
    """cpio's newc format (driver-api/early-userspace/buffer-format.rst of the kernel)."""
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = "070701" + "".join(f"{field:08X}" for field in fields) + name + "\0"
    return _padded(head.encode()) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
