"""Turns keys and a policy into what skopeo and we both read, and skopeo's answer into a value."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PROGRAM = Path(sys.executable).parent / "dockyard"
PASSPHRASE = "correct horse"


class Machine:
    """One data root, with a policy of its own, and the command line on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.env = {
            **os.environ,
            "DOCKYARD_ROOT": str(root),
            "DOCKER_CONFIG": str(root / "cfg"),
            "XDG_CONFIG_HOME": str(root / "xdg"),
            "COSIGN_PASSWORD": PASSPHRASE,
        }

    def try_run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, *map(str, words)],
            env=self.env, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def run(self, *words: str | Path) -> str:
        done = self.try_run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *words: str | Path) -> str:
        """What it says of a command that fails as a user's mistake does."""
        done = self.try_run(*words)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr

    def policy(self, value: Any) -> Path:
        path = self.root / "policy.json"
        path.write_text(json.dumps(value))
        return path

    def nothing_here(self) -> bool:
        """No image, no layer, no blob, nothing on its way."""
        images = self.root / "images"
        folders = [images / "layers", images / "blobs" / "sha256"]
        files = [path for folder in folders if folder.exists() for path in folder.iterdir()]
        growing = [path.name for path in (images / "ingest").glob("*") if path.name != "lock"]
        return json.loads(self.run("images", "--output", "json")) == [] and files + growing == []

    def keys(self, name: str) -> tuple[Path, Path]:
        """A pair of ours: private, public."""
        prefix = self.root / name
        self.run("image", "generate-key-pair", "--output-key-prefix", prefix)
        return prefix.with_suffix(".key"), prefix.with_suffix(".pub")


def signed_by(public: Path, **more: Any) -> list[dict[str, Any]]:
    """The requirement of containers-policy.json(5)."""
    return [{"type": "sigstoreSigned", "keyPath": str(public), **more}]


def skopeo(folder: Path, policy: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """skopeo with a policy, which looks for signatures in registries."""
    attachments = folder / "registries.d"
    attachments.mkdir(exist_ok=True)
    (attachments / "default.yaml").write_text("default-docker:\n  use-sigstore-attachments: true\n")
    return subprocess.run(
        ["skopeo", "--policy", str(policy), "--registries.d", str(attachments), *words],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


DISABLED = "Debian-local change: sigstore disabled"
"""Debian 12's skopeo and podman find and parse sigstore signatures, then refuse to verify any."""


def skopeo_takes(folder: Path, policy: Path, name: str) -> str:
    """Empty, or why skopeo refuses to copy the image."""
    done = skopeo(folder, policy, "copy", "--src-tls-verify=false", f"docker://{name}",
                  f"dir:{folder / 'taken'}")  # fmt: skip
    if done.returncode == 0:
        return ""
    return "not verified here" if DISABLED in done.stderr else done.stderr


def openssl_verifies(public: Path, proof: bytes, data: bytes, folder: Path) -> bool:
    """Whether a third program finds that the key's owner signed these bytes."""
    (folder / "proof").write_bytes(proof)
    (folder / "data").write_bytes(data)
    done = subprocess.run(
        ["openssl", "dgst", "-sha256", "-verify", public, "-signature", folder / "proof",
         folder / "data"],
        capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode == 0 and done.stdout == "Verified OK\n"
