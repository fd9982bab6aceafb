"""Turns a seccomp profile in Docker's form into ``linux.seccomp`` of the OCI runtime specification.

Docker's has conditions (capabilities, architectures, the kernel's version) and a map of
architectures; the specification's has neither. https://docs.docker.com/engine/security/seccomp/
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, NamedTuple

from dockyard.base.errors import Invalid

ARCHITECTURES = {"x86_64": ("SCMP_ARCH_X86_64", "amd64"), "aarch64": ("SCMP_ARCH_AARCH64", "arm64")}
"""By machine, as uname(2) has it: libseccomp's name, and that in conditions."""
KEPT = ("defaultAction", "defaultErrnoRet", "flags", "listenerPath", "listenerMetadata")


class Machine(NamedTuple):
    """What conditions ask for."""

    name: str
    kernel: tuple[int, int]


def parse(text: str) -> dict[str, Any]:
    """The profile of a document. Raises :class:`Invalid`."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"Decoding seccomp profile failed: {error}") from None
    if not isinstance(found, dict) or not isinstance(found.get("defaultAction"), str):
        raise Invalid("Decoding seccomp profile failed: no object with a defaultAction")
    if found.get("architectures") and found.get("archMap"):
        raise Invalid("both 'architectures' and 'archMap' are specified in the seccomp profile, "
                      "use either 'architectures' or 'archMap'")  # fmt: skip
    return found


def convert(
    profile: dict[str, Any], capabilities: Collection[str], machine: Machine
) -> dict[str, Any]:
    """What of it holds for a container with these capabilities on this machine. Pure."""
    try:
        return _convert(profile, capabilities, machine)
    except (TypeError, AttributeError, ValueError, KeyError) as error:
        raise Invalid(f"seccomp profile: {error}: not of the form that Docker documents") from None


def _convert(
    profile: dict[str, Any], capabilities: Collection[str], machine: Machine
) -> dict[str, Any]:
    native, short = ARCHITECTURES.get(machine.name, ("", machine.name))
    found = {name: profile[name] for name in KEPT if profile.get(name) is not None}
    wanted = list(profile.get("architectures") or ())
    for entry in profile.get("archMap") or ():
        if entry["architecture"] == native:
            wanted += [native, *(entry.get("subArchitectures") or ())]
    if wanted:
        found["architectures"] = wanted
    rules = []
    for call in profile.get("syscalls") or ():
        if not _holds(call, capabilities, short, machine.kernel):
            continue
        names = [*([call["name"]] if call.get("name") else ()), *(call.get("names") or ())]
        rule = {"names": names, "action": call["action"]}
        rule |= {key: call[key] for key in ("errnoRet", "args") if call.get(key) is not None}
        if names:
            rules.append(rule)
    return {**found, "syscalls": rules}


def _holds(
    call: dict[str, Any], capabilities: Collection[str], machine: str, kernel: tuple[int, int]
) -> bool:
    needs, bars = call.get("includes") or {}, call.get("excludes") or {}
    if any(name in capabilities for name in bars.get("caps") or ()):
        return False
    if machine in (bars.get("arches") or ()):
        return False
    if bars.get("minKernel") and kernel >= _version(bars["minKernel"]):
        return False
    if needs.get("arches") and machine not in needs["arches"]:
        return False
    if needs.get("minKernel") and kernel < _version(needs["minKernel"]):
        return False
    return all(name in capabilities for name in needs.get("caps") or ())


def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int(minor.partition(".")[0] or 0)


def this_machine() -> Machine:
    """The one that this process runs on."""
    import os

    found = os.uname()
    digits = found.release.partition("-")[0].partition("+")[0]
    return Machine(found.machine, _version(digits))
