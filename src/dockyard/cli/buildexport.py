"""Turns what was built into the outputs that ``dockyard build`` was asked for."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from dockyard.base.aio import now
from dockyard.base.oci.platform import host_platform
from dockyard.base.oci.reference import parse_reference

if TYPE_CHECKING:
    from dockyard.base.oci.descriptor import Descriptor
    from dockyard.cli.build import Asked, Dockerfile
    from dockyard.cli.buildprogress import Display
    from dockyard.node.build.builder import Result
    from dockyard.node.build.contexts import Contexts, Main
    from dockyard.node.build.provenance import Run
    from dockyard.node.image.store import ImageStore

_INLINE = ("image", "oci", "docker")
"""Outputs that hold attestations themselves; others get files."""


def record(
    asked: Asked,
    result: Result,
    contexts: Contexts,
    main: Main,
    dockerfile: Dockerfile,
    began: float,
) -> Run:
    """What a provenance tells of this build."""
    from dockyard.node.build.provenance import Run

    words = asked.words
    args = {f"build-arg:{name}": value for name, value in asked.options.build_args.items()}
    for text in words.label:
        name, _, value = text.partition("=")
        args[f"label:{name}"] = value
    if words.target:
        args["target"] = words.target
    materials = {*result.facts.materials, *contexts.materials}
    return Run(
        dockerfile=dockerfile.data,
        shown=dockerfile.shown,
        args=args,
        secrets=tuple(sorted(asked.options.secrets)),
        agents=tuple(sorted(asked.options.ssh)),
        contexts=contexts.local,
        source=main.source,
        materials=tuple(sorted(materials)),
        hermetic=not result.facts.used_network,
        platform=str(host_platform()),
        began=began,
        ended=now.wall(),
        id=secrets.token_hex(16),
    )


def export(
    asked: Asked, result: Result, run: Run, store: ImageStore, display: Display
) -> Descriptor:
    """Write and push all; the descriptor of what left, or of the image where nothing did."""
    from dockyard.node.build import annotate, bundle, outputs

    top: Descriptor | None = None
    seconds = run.ended if result.epoch is None else float(result.epoch)
    for each in asked.outputs:
        step = display.step(f"exporting to {each.kind}")
        names = asked.names if each.kind == "image" else (*asked.names, *each.names)
        wanted = asked.wanted._replace(
            annotations=asked.wanted.annotations + annotate.parse(each.annotations)
        )
        provenance = wanted.attestations.provenance
        if provenance is not None and provenance.inline_only and each.kind not in _INLINE:
            wanted = wanted._replace(attestations=wanted.attestations._replace(provenance=None))
        stays = each.stays and not each.push
        made = bundle.bundle(result.images, result.layers, wanted, names, store, run, seconds)
        if each.kind == "image":
            step.output(f"writing image {result.image.id} done\n".encode())
            for name in names:
                step.output(f"naming to {parse_reference(name)} done\n".encode())
            if each.push:
                step.output(f"pushing manifest {made.top.digest}\n".encode())
                outputs.push(made, names, store)
        else:
            outputs.write(each.kind, each.dest, made, names, store, is_tar=each.is_tar)
        if stays:
            outputs.keep(made, names, store)
        if each.push or each.kind == "oci" or top is None:
            top = made.top
        step.done()
    return top if top is not None else result.image.manifest.descriptor()


def tell(asked: Asked, result: Result, top: Descriptor) -> None:
    """The files that were asked for."""
    import json

    words = asked.words
    if words.iidfile:
        _write(words.iidfile, str(result.image.id))
    if words.metadata_file:
        told = {
            "containerimage.config.digest": result.image.id,
            "containerimage.descriptor": top.to_json(),
            "containerimage.digest": top.digest,
        }
        if asked.names:
            told["image.name"] = ",".join(str(parse_reference(name)) for name in asked.names)
        _write(words.metadata_file, json.dumps(told, indent=2) + "\n")


def _write(path: str, text: str) -> None:
    """Whole, or not at all: somebody may wait for it."""
    fresh = f"{path}.{secrets.token_hex(4)}"
    try:
        with open(fresh, "x") as file:
            file.write(text)
        os.rename(fresh, path)
    except BaseException:
        if os.path.exists(fresh):
            os.unlink(fresh)
        raise
