#!/usr/bin/env python3
"""Fetches Debian's cloud kernel into a folder, for the virtual machine that some tests boot.

    tools/guest_kernel.py FOLDER

It is unpacked, not installed: an installed kernel package changes the machine's boot. FOLDER gets
`vmlinuz` and `modules/`. Needs apt-get; refreshes the package lists if they are missing or stale.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = "linux-image-cloud-amd64"
MODULES = ("overlay", "loop", "bfq", "cls_cgroup")


def download(folder: Path) -> Path:
    """The package that the meta package stands for."""
    shown = subprocess.run(["apt-cache", "depends", PACKAGE], capture_output=True, text=True)
    found = re.search(r"Depends: (linux-image-\S+)", shown.stdout)
    if not found:
        raise RuntimeError(f"apt-cache depends {PACKAGE}: names no kernel")
    folder.chmod(0o777)  # apt-get fetches as a user of its own
    subprocess.run(["apt-get", "download", "-q", found[1]], cwd=folder, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    [package] = folder.glob("*.deb")
    return package


def unpack(package: Path, target: Path) -> None:
    """The kernel and the few modules that tests load, plain."""
    tree = package.parent / "tree"
    subprocess.run(["dpkg-deb", "-x", package, tree], check=True)
    fresh = target.with_name(f"{target.name}.{os.getpid()}")
    (fresh / "modules").mkdir(parents=True)
    [kernel] = (tree / "boot").glob("vmlinuz-*")
    shutil.copy(kernel, fresh / "vmlinuz")
    for name in MODULES:
        [module] = tree.rglob(f"{name}.ko*")
        if module.suffix == ".xz":
            import lzma

            (fresh / f"modules/{name}.ko").write_bytes(lzma.decompress(module.read_bytes()))
        else:
            shutil.copy(module, fresh / "modules")
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)


def main() -> None:
    target = Path(sys.argv[1]).resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            package = download(Path(folder))
        except (RuntimeError, subprocess.CalledProcessError):
            subprocess.run(["apt-get", "update", "-q"], check=True, stdout=subprocess.DEVNULL)
            package = download(Path(folder))
        unpack(package, target)


if __name__ == "__main__":
    main()
