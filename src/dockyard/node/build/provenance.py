"""Turns a request and the facts of its build into a SLSA provenance predicate. Pure.

slsa.dev/spec/v1.1/provenance and v0.2, with the members that BuildKit's slsa-definitions.md names;
there is no ``buildConfig``: this builder has no LLB.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, NamedTuple

from dockyard.base.aio import now
from dockyard.base.version import VERSION
from dockyard.node.build.attest import PROVENANCE, Provenance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dockyard.node.build.facts import Material

_TYPES = {
    "v1": "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md",
    "v0.2": "https://mobyproject.org/buildkit@v1",
}
_EXTRA = "https://mobyproject.org/buildkit@v1#"


class Run(NamedTuple):
    """One build, as its caller asked for it and as it went."""

    dockerfile: bytes
    shown: str
    args: Mapping[str, str]
    """As BuildKit names them: ``build-arg:X``, ``label:X``, ``target``."""
    secrets: tuple[str, ...]
    agents: tuple[str, ...]
    contexts: tuple[str, ...]
    source: Material | None
    """What the main context was fetched from."""
    materials: tuple[Material, ...]
    hermetic: bool
    platform: str
    """Of the machine that built."""
    began: float
    ended: float
    id: str


def predicate(run: Run, wanted: Provenance) -> tuple[str, dict[str, Any]]:
    """The predicate's type, and the predicate."""
    made = _first(run, wanted) if wanted.version == "v1" else _second(run, wanted)
    return PROVENANCE[wanted.version], made


def _request(run: Run, wanted: Provenance) -> dict[str, Any]:
    found: dict[str, Any] = {
        "frontend": "dockerfile.v0",
        "args": dict(run.args) if wanted.mode == "max" else {},
        "locals": [{"name": name} for name in run.contexts],
    }
    if wanted.mode == "max":
        found["secrets"] = [{"id": name, "optional": True} for name in run.secrets]
        found["ssh"] = [{"id": name, "optional": True} for name in run.agents]
    return found


def _source(run: Run, path: str) -> dict[str, Any]:
    found: dict[str, Any] = {path: run.shown}
    return found if run.source is None else {**run.source.to_json(), **found}


def _metadata(run: Run, wanted: Provenance) -> dict[str, Any]:
    if wanted.mode != "max":
        return {}
    text = base64.b64encode(run.dockerfile).decode()
    return {"source": {"infos": [{"filename": run.shown, "language": "Dockerfile", "data": text}]}}


def _is_complete(run: Run) -> bool:
    """Whether all that went into the build is among its materials."""
    return not run.contexts


def _first(run: Run, wanted: Provenance) -> dict[str, Any]:
    return {
        "buildDefinition": {
            "buildType": _TYPES["v1"],
            "externalParameters": {
                "configSource": _source(run, "path"),
                "request": _request(run, wanted),
            },
            "internalParameters": {"builderPlatform": run.platform},
            "resolvedDependencies": [each.to_json() for each in run.materials],
        },
        "runDetails": {
            "builder": {"id": wanted.builder, "version": {"dockyard": VERSION}},
            "metadata": {
                "invocationId": run.id,
                "startedOn": now.stamp(run.began),
                "finishedOn": now.stamp(run.ended),
                "buildkit_hermetic": run.hermetic,
                "buildkit_reproducible": wanted.reproducible,
                "buildkit_completeness": {
                    "request": wanted.mode == "max",
                    "resolvedDependencies": _is_complete(run),
                },
                "buildkit_metadata": _metadata(run, wanted),
            },
        },
    }


def _second(run: Run, wanted: Provenance) -> dict[str, Any]:
    return {
        "builder": {"id": wanted.builder},
        "buildType": _TYPES["v0.2"],
        "invocation": {
            "configSource": _source(run, "entryPoint"),
            "parameters": _request(run, wanted),
            "environment": {"platform": run.platform},
        },
        "materials": [each.to_json() for each in run.materials],
        "metadata": {
            "buildInvocationID": run.id,
            "buildStartedOn": now.stamp(run.began),
            "buildFinishedOn": now.stamp(run.ended),
            "completeness": {
                "parameters": wanted.mode == "max",
                "environment": True,
                "materials": _is_complete(run),
            },
            "reproducible": wanted.reproducible,
            f"{_EXTRA}hermetic": run.hermetic,
            f"{_EXTRA}metadata": _metadata(run, wanted),
        },
    }
