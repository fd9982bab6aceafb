"""`features`: turns what this runtime knows into features.md's document."""

from __future__ import annotations

import json
from typing import Any

from dockyard.base.linux import capabilities, seccomp
from dockyard.base.oci import mountoptions, runtimespec
from dockyard.base.version import VERSION
from dockyard.node.runtime.oci.flags import Values
from dockyard.node.runtime.oci.verb import PROGRAM, SPEC_VERSION, Globals, Verb

HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def act(found: Globals, values: Values, arguments: list[str]) -> int:
    """Print it."""
    print(json.dumps(document(), indent=4))
    return 0


def document() -> dict[str, Any]:
    """The tables that the runtime itself goes by."""
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": SPEC_VERSION,
        "hooks": list(HOOKS),
        "mountOptions": list(mountoptions.NAMES),
        "linux": {
            "namespaces": sorted(runtimespec.NAMESPACES),
            "capabilities": list(capabilities.NUMBERS),
            "cgroup": {
                "v1": True, "v2": True, "systemd": True, "systemdUser": False, "rdma": True,
            },
            "seccomp": {
                "enabled": True,
                "actions": sorted(seccomp.ACTIONS),
                "operators": sorted(seccomp.OPERATORS),
                "archs": sorted(seccomp.ARCHITECTURES),
                "knownFlags": sorted(seccomp.FLAGS),
                "supportedFlags": sorted(seccomp.FLAGS),
            },
            "apparmor": {"enabled": True},
            "selinux": {"enabled": True},
            "intelRdt": {"enabled": True},
            "mountExtensions": {"idmap": {"enabled": True}},
        },
        "annotations": {
            "io.dockyard.version": VERSION,
            f"io.dockyard.{PROGRAM}.checkpoint.enabled": "false",
        },
    }  # fmt: skip


VERB = Verb(
    summary="show the enabled features",
    usage="",
    act=act,
    text="",
    description="""Prints what this runtime knows as JSON (features.md of the specification).""",
    least=0,
    most=0,
)
