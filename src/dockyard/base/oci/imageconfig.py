"""Turns an image's configuration document into a checked :class:`ImageConfig`, and back.

OCI image-spec, config.md; Docker's is the same with ``Healthcheck``, ``Shell`` and ``OnBuild``.
Values are plain words for the engine to merge: nothing in here ever steers Dockyard itself.
"""

from __future__ import annotations

from dockyard.base import jsontext
from dockyard.base.errors import Invalid
from dockyard.base.oci.digest import Digest, parse_digest
from dockyard.base.oci.platform import Platform, platform_from_json, refuse_windows
from dockyard.base.oci.strictjson import decode_object, encode
from dockyard.base.typed import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


LARGEST = 4 << 20
_NUMBERS = ("Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")
_STEP_KEYS = "dockyard.buildcache"
_MOST_STEP_KEYS = 10_000


class History(NamedTuple):
    """How one layer (or none) came to be."""

    created: str
    created_by: str
    empty_layer: bool
    comment: str = ""

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"created": self.created, "created_by": self.created_by}
        if self.comment:
            found["comment"] = self.comment
        return found | {"empty_layer": True} if self.empty_layer else found


class ImageConfig(NamedTuple):
    """What an image says about running it. Tuples: two containers can't share a change (B14)."""

    platform: Platform
    diff_ids: tuple[Digest, ...] = ()
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    stop_signal: str = ""
    shell: tuple[str, ...] = ()
    onbuild: tuple[str, ...] = ()
    """Instructions that a build on top of this image must run first."""
    healthcheck: str = ""
    """Docker's ``Healthcheck`` object as JSON text; empty where there is none."""
    created: str = ""
    author: str = ""
    history: tuple[History, ...] = ()
    step_keys: tuple[tuple[str, int], ...] = ()
    """A build's cache in its image: a hash of all that a step depended on, and its layer's place
    in ``diff_ids``. No member of the specification, which lets images have others."""

    def to_json(self) -> dict[str, Any]:
        """The document, its keys in the specification's order."""
        run: dict[str, Any] = {
            "User": self.user,
            "ExposedPorts": {port: {} for port in self.exposed_ports},
            "Env": list(self.env),
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.cmd),
            "Volumes": {path: {} for path in self.volumes},
            "WorkingDir": self.working_dir,
            "Labels": dict(self.labels),
            "StopSignal": self.stop_signal,
            "Shell": list(self.shell),
            "OnBuild": list(self.onbuild),
            "Healthcheck": jsontext.loads(self.healthcheck) if self.healthcheck else None,
        }
        found: dict[str, Any] = {"created": self.created} if self.created else {}
        if self.author:
            found["author"] = self.author
        return found | {
            **self.platform.to_json(),
            "config": {key: value for key, value in run.items() if value},
            "rootfs": {"type": "layers", "diff_ids": list(self.diff_ids)},
            "history": [step.to_json() for step in self.history],
            **({_STEP_KEYS: dict(self.step_keys)} if self.step_keys else {}),
        }

    def encode(self) -> bytes:
        return encode(self.to_json())


def parse_config(data: bytes, what: str) -> ImageConfig:
    """A checked configuration; an image for ``windows`` is refused here, by name."""
    value = decode_object(data, what, limit=LARGEST)
    platform = platform_from_json(value, what)
    if not platform.os or not platform.architecture:
        raise Invalid(f"{what}: os and architecture are required")
    refuse_windows(platform, what)
    root = _object(value, "rootfs", what)
    if root.get("type") != "layers":
        raise Invalid(f"{what}: rootfs.type: {str(root.get('type'))[:40]!r}: must be 'layers'")
    run = _object(value, "config", what)
    return ImageConfig(
        platform=platform,
        diff_ids=tuple(
            parse_digest(item, f"{what}: rootfs.diff_ids")
            for item in _strings(root, "diff_ids", what)
        ),
        env=tuple(_assignment(item, what) for item in _strings(run, "Env", what)),
        entrypoint=_strings(run, "Entrypoint", what),
        cmd=_strings(run, "Cmd", what),
        user=_string(run, "User", what),
        working_dir=_string(run, "WorkingDir", what),
        exposed_ports=tuple(sorted(_object(run, "ExposedPorts", what))),
        volumes=tuple(sorted(_object(run, "Volumes", what))),
        labels=_labels(run, what),
        stop_signal=_string(run, "StopSignal", what),
        shell=_strings(run, "Shell", what),
        onbuild=_strings(run, "OnBuild", what),
        healthcheck=_healthcheck(_object(run, "Healthcheck", what), what),
        created=_string(value, "created", what),
        author=_string(value, "author", what),
        history=tuple(_history(item, what) for item in _list(value, "history", what)),
        step_keys=_step_keys(value, what),
    )


def _step_keys(value: dict[str, Any], what: str) -> tuple[tuple[str, int], ...]:
    found = _object(value, _STEP_KEYS, what)
    layers = len(value.get("rootfs", {}).get("diff_ids") or ())
    right = all(type(place) is int and 0 <= place < layers for place in found.values())
    if not right or len(found) > _MOST_STEP_KEYS:
        raise Invalid(f"{what}: {_STEP_KEYS}: layers' places are expected")
    return tuple(sorted(found.items()))


def _history(item: Any, what: str) -> History:
    if not isinstance(item, dict):
        raise Invalid(f"{what}: history: a list of objects is expected")
    return History(
        _string(item, "created", what),
        _string(item, "created_by", what),
        item.get("empty_layer") is True,
        _string(item, "comment", what),
    )


def _assignment(item: str, what: str) -> str:
    name, equals, _ = item.partition("=")
    if not name or not equals or "\0" in item:
        raise Invalid(f"{what}: Env: {item[:80]!r}: NAME=VALUE is expected")
    return item


def _labels(run: dict[str, Any], what: str) -> tuple[tuple[str, str], ...]:
    found = _object(run, "Labels", what)
    if not all(isinstance(item, str) for item in found.values()):
        raise Invalid(f"{what}: Labels: an object of texts is expected")
    return tuple(sorted(found.items()))


def _healthcheck(value: dict[str, Any], what: str) -> str:
    """Docker's ``HealthConfig`` as JSON: a command, times in nanoseconds and a count."""
    _strings(value, "Test", f"{what}: Healthcheck")
    for key in _NUMBERS:
        found = value.get(key)
        if found is not None and (type(found) is not int or abs(found) >= 1 << 63):
            raise Invalid(f"{what}: Healthcheck: {key}: {str(found)[:80]!r}: a number is expected")
    return encode(value).decode() if value else ""


def _object(value: dict[str, Any], key: str, what: str) -> dict[str, Any]:
    found = value.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Invalid(f"{what}: {key}: an object is expected")
    return found


def _list(value: dict[str, Any], key: str, what: str) -> list[Any]:
    found = value.get(key)
    if not isinstance(found, list | None):
        raise Invalid(f"{what}: {key}: a list is expected")
    return found or []


def _string(value: dict[str, Any], key: str, what: str) -> str:
    found = value.get(key)
    if found is None:
        return ""
    if not isinstance(found, str) or "\0" in found:
        raise Invalid(f"{what}: {key}: text without NUL is expected")
    return found


def _strings(value: dict[str, Any], key: str, what: str) -> tuple[str, ...]:
    found = value.get(key)
    if found is None:
        return ()
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise Invalid(f"{what}: {key}: a list of texts is expected")
    if any("\0" in item for item in found):
        raise Invalid(f"{what}: {key}: a NUL")
    return tuple(found)
