"""A container's root for tests: a folder with Debian's static busybox and its applets."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
FOLDERS = ("bin", "dev", "etc", "proc", "root", "sys", "tmp", "var")


def make(folder: Path) -> Path:
    """Fill a folder (made if it is missing) and return it."""
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "tmp").chmod(0o1777)
    shutil.copy2(BUSYBOX, folder / "bin/busybox")
    names = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True)
    for name in names.stdout.split():
        link = folder / "bin" / name
        if not link.exists():
            link.symlink_to("/bin/busybox")
    (folder / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/:/bin/sh\n"
    )
    (folder / "etc/group").write_text("root:x:0:\napp:x:1000:\nextra:x:2000:app\n")
    return folder


def script(folder: Path, name: str, text: str, mode: int = 0o755) -> Path:
    """An executable file below a root."""
    path = folder / name.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path
