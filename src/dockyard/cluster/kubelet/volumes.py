"""Turns a pod's volumes into paths of the host that its containers mount.

ConfigMaps and Secrets are written as the field does: files behind a link ``..data`` that is
swapped, so that a reader sees the old set or the new one, never a mix.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from dockyard.base.errors import Denied, Unsupported
from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet.environment import ConfigError, Lookup, contents, field

DATA = "..data"
Claims = Callable[[str], Object | None]
"""The PersistentVolume that a claim of the pod's namespace is bound to."""


class PodVolumes:
    """The volumes of one pod, below a folder of its own."""

    def __init__(self, folder: Path, pod: Object) -> None:
        self._folder, self._pod = folder / "volumes", pod

    def prepare(self, lookup: Lookup, claims: Claims, status: dict[str, str]) -> dict[str, str]:
        """Make (or bring up to date) every volume: host paths by volume name.

        Raises ConfigError for what is not there yet, Unsupported for what is not implemented.
        """
        return {
            volume["name"]: self._prepare(volume, lookup, claims, status)
            for volume in self._pod["spec"].get("volumes") or ()
        }

    def _prepare(
        self, volume: Object, lookup: Lookup, claims: Claims, status: dict[str, str]
    ) -> str:
        path = self._folder / volume["name"]
        if "configMap" in volume or "secret" in volume:
            kind, source = (
                ("configmaps", volume["configMap"])
                if "configMap" in volume
                else ("secrets", volume["secret"])
            )
            name = source.get("name") or source.get("secretName")
            obj = lookup(kind, name)
            if obj is None and not source.get("optional"):
                raise ConfigError(f'{kind[:-1]} "{name}" not found')
            data = contents(kind, obj) if obj else {}
            write_files(path, chosen(data, source, f"{kind[:-1]} {name}"),
                        source.get("defaultMode", 0o644))  # fmt: skip
            return str(path)
        if "downwardAPI" in volume:
            source = volume["downwardAPI"]
            files = {
                item["path"]: field(item["fieldRef"]["fieldPath"], self._pod, status).encode()
                for item in source.get("items") or ()
                if "fieldRef" in item
            }
            write_files(path, files, source.get("defaultMode", 0o644))
            return str(path)
        if "emptyDir" in volume:
            if (volume["emptyDir"] or {}).get("medium"):
                raise Unsupported(f"volume {volume['name']}: emptyDir in memory: not implemented")
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o777)
            return str(path)
        if "hostPath" in volume:
            return host_path(volume["hostPath"])
        if "persistentVolumeClaim" in volume:
            claim = volume["persistentVolumeClaim"]["claimName"]
            bound = claims(claim)
            if bound is None:
                raise ConfigError(f'persistentvolumeclaim "{claim}" is not bound')
            if "hostPath" not in bound["spec"]:
                raise Unsupported(f"volume {volume['name']}: not a hostPath: not implemented")
            return host_path(bound["spec"]["hostPath"], mode=0o777)
        kind = next((key for key in volume if key != "name"), "nothing")
        raise Unsupported(f"volume {volume['name']}: {kind}: not implemented")

    def remove(self) -> None:
        """Remove what was made here; links are not followed, other people's paths stay."""
        if self._folder.parent.is_dir():
            shutil.rmtree(self._folder.parent)


def chosen(data: dict[str, bytes], source: Object, what: str) -> dict[str, bytes]:
    """The keys that ``items`` names, under their paths; all of them where it names none."""
    items = source.get("items")
    if not items:
        return data
    found = {}
    for item in items:
        if item["key"] not in data:
            if source.get("optional"):
                continue
            raise ConfigError(f"references non-existent config key: {item['key']} of {what}")
        found[item["path"]] = data[item["key"]]
    return found


def write_files(folder: Path, files: dict[str, bytes], mode: int) -> None:
    """Files behind ``..data``; written only if something is different."""
    for name in files:
        parts = name.split("/")
        if name.startswith("/") or ".." in parts or parts[0].startswith(".."):
            raise Denied(f"volume: {name!r}: climbs out of its folder")
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / DATA
    if link.is_dir() and _read(link) == files:
        return
    fresh = folder / f"..{secrets.token_hex(8)}"
    fresh.mkdir()
    for name, data in files.items():
        path = fresh / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(mode)
    old = folder / link.readlink() if link.is_symlink() else None
    new_link = folder / "..data_tmp"
    new_link.unlink(missing_ok=True)
    new_link.symlink_to(fresh.name)
    new_link.replace(link)
    tops = {name.split("/")[0] for name in files}
    for name in tops:
        visible = folder / name
        if not visible.is_symlink():
            visible.symlink_to(f"{DATA}/{name}")
    for entry in folder.iterdir():
        if entry.is_symlink() and entry.name != DATA and entry.name not in tops:
            entry.unlink()
    if old is not None:
        shutil.rmtree(old)


def _read(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def host_path(source: Object, mode: int = 0o755) -> str:
    """A path of the host, made or checked as its type says."""
    path, kind = Path(source["path"]), source.get("type") or ""
    if kind == "DirectoryOrCreate" and not path.exists():
        path.mkdir(parents=True)
        path.chmod(mode)
    elif kind == "FileOrCreate" and not path.exists():
        path.touch(0o644)
    checks = {"Directory": path.is_dir, "DirectoryOrCreate": path.is_dir, "File": path.is_file,
              "FileOrCreate": path.is_file, "Socket": path.is_socket,
              "CharDevice": path.is_char_device, "BlockDevice": path.is_block_device}  # fmt: skip
    if kind in checks and not checks[kind]():
        raise ConfigError(f"hostPath type check failed: {path} is not a {kind}")
    return os.fspath(path)
