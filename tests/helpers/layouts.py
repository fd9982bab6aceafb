"""Writes OCI layouts of what images are not: indexes of several platforms, artifacts, referrers.

By the words of the image specification, and none of the code under test.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from dockyard.base.oci.platform import host_platform

KIND = "application/vnd.oci.image"
EMPTY = "application/vnd.oci.empty.v1+json"
NAME = "org.opencontainers.image.ref.name"
HERE = host_platform().architecture
OTHER = "arm64" if HERE != "arm64" else "amd64"

Described = dict[str, Any]


class Layout:
    """Blobs, and an index.json of those that were named."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.entries: list[Described] = []

    def put(self, data: bytes, kind: str) -> Described:
        digest = hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    def document(self, value: Described, kind: str) -> Described:
        whole = {"schemaVersion": 2, "mediaType": f"{KIND}.{kind}.v1+json", **value}
        return self.put(json.dumps(whole).encode(), whole["mediaType"])

    def image(self, architecture: str, layer: bytes, **more: Any) -> Described:
        """A manifest's descriptor, with its platform."""
        config = {
            "architecture": architecture, "os": "linux", "config": {"Cmd": ["sh"], **more},
            "rootfs": {"type": "layers",
                       "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }  # fmt: skip
        found = self.document({
            "config": self.put(json.dumps(config).encode(), f"{KIND}.config.v1+json"),
            "layers": [self.put(gzip.compress(layer, mtime=0), f"{KIND}.layer.v1.tar+gzip")],
        }, "manifest")  # fmt: skip
        return {**found, "platform": {"architecture": architecture, "os": "linux"}}

    def index(self, *manifests: Described, **more: Any) -> Described:
        return self.document({"manifests": list(manifests), **more}, "index")

    def artifact(self, kind: str, data: bytes, subject: Described | None = None) -> Described:
        """manifest.md, "Guidelines for Artifact Usage": an empty configuration, and a type."""
        value: Described = {
            "artifactType": kind, "config": self.put(b"{}", EMPTY),
            "layers": [{**self.put(data, "text/plain"),
                        "annotations": {"org.opencontainers.image.title": "note.txt"}}],
            "annotations": {"made": "by hand"},
        }  # fmt: skip
        if subject is not None:
            value["subject"] = {key: subject[key] for key in ("mediaType", "digest", "size")}
        return self.document(value, "manifest")

    def name(self, described: Described, name: str = "") -> None:
        """One of index.json."""
        marks = {"annotations": {NAME: name}} if name else {}
        self.entries.append({**described, **marks})

    def files(self) -> dict[str, bytes]:
        index = {"schemaVersion": 2, "mediaType": f"{KIND}.index.v1+json",
                 "manifests": self.entries}  # fmt: skip
        return {
            "oci-layout": json.dumps({"imageLayoutVersion": "1.0.0"}).encode(),
            "index.json": json.dumps(index).encode(),
            **{f"blobs/sha256/{digest}": data for digest, data in self.blobs.items()},
        }

    def write(self, path: Path) -> Path:
        """As a tar."""
        with tarfile.open(path, "w") as tar:
            for name, data in self.files().items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
        return path
