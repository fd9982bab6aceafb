"""Writes an OCI archive of a busybox: one layer, as the image specification has it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path

from helpers import rootfs

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
PREFIX = "application/vnd.oci.image"


def write_archive(path: Path, name: str) -> None:
    """To a file, with a name that ``ctr images import`` and skopeo understand."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        tar.add(rootfs.make(path.parent / "image-tree"), ".")
    blobs: dict[str, bytes] = {}

    def put(data: bytes, kind: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    layer = put(gzip.compress(plain.getvalue(), 1), f"{PREFIX}.layer.v1.tar+gzip")
    config = put(json.dumps({
        "architecture": MACHINES[platform.machine()], "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
        "rootfs": {"type": "layers",
                   "diff_ids": [f"sha256:{hashlib.sha256(plain.getvalue()).hexdigest()}"]},
    }).encode(), f"{PREFIX}.config.v1+json")  # fmt: skip
    manifest = put(json.dumps({
        "schemaVersion": 2, "mediaType": f"{PREFIX}.manifest.v1+json", "config": config,
        "layers": [layer],
    }).encode(), f"{PREFIX}.manifest.v1+json")  # fmt: skip
    manifest["annotations"] = {
        "io.containerd.image.name": name, "org.opencontainers.image.ref.name": name,
    }  # fmt: skip
    files = {
        "oci-layout": json.dumps({"imageLayoutVersion": "1.0.0"}).encode(),
        "index.json": json.dumps({"schemaVersion": 2, "manifests": [manifest]}).encode(),
        **{f"blobs/sha256/{digest}": data for digest, data in blobs.items()},
    }
    with tarfile.open(path, "w") as tar:
        for member, data in files.items():
            entry = tarfile.TarInfo(member)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
