"""Turns the packed schema cache of a release into its OpenAPI definitions.

The cache is made when the package is built (``tools/build_schemas.py``) from the published
definitions; it is data of the package: ``schemas/<release>.json.zst``.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

import orjson
import zstandard

from dockyard.base.errors import Unsupported

DEFAULT_RELEASE = "1.33"
_ROOM = "dockyard.cluster.kinds"
_LARGEST = 16 * 1024 * 1024


def releases() -> list[str]:
    """The releases whose schemas came with this package, oldest first."""
    folder = resources.files(_ROOM) / "schemas"
    names = [each.name for each in folder.iterdir()] if folder.is_dir() else []
    found = [name.removesuffix(".json.zst") for name in names if name.endswith(".json.zst")]
    return sorted(found, key=lambda release: [int(part) for part in release.split(".")])


def load_definitions(release: str) -> dict[str, Any]:
    """Every definition of a release, by name; about 8 ms."""
    packed = resources.files(_ROOM) / "schemas" / f"{release}.json.zst"
    if release not in releases():
        have = ", ".join(releases()) or "none"
        raise Unsupported(f"API schemas: release {release}: not in this package, which has {have}")
    data = zstandard.ZstdDecompressor().decompress(packed.read_bytes(), max_output_size=_LARGEST)
    found = orjson.loads(data)
    assert isinstance(found, dict)
    return found
