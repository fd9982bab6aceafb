"""``dockyard build``: turns a folder with a Dockerfile into an image, or into files."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.errors import Invalid
from dockyard.base.linux import syscalls
from dockyard.base.oci.instance import data_root
from dockyard.base.oci.platform import host_platform, parse_platform
from dockyard.base.oci.reference import parse_reference
from dockyard.cli import buildflags, buildprogress

if TYPE_CHECKING:
    import argparse

    from dockyard.base.oci.imageconfig import ImageConfig
    from dockyard.base.oci.platform import Platform
    from dockyard.node.build.builder import Result
    from dockyard.node.build.checks.variables import Known
    from dockyard.node.build.contexts import Contexts, Main
    from dockyard.node.build.plan import Plan
    from dockyard.node.build.stage import Options
    from dockyard.node.image.store import ImageStore

_MS_PRIVATE_RECURSIVE = (1 << 18) | (1 << 14)


class Dockerfile(NamedTuple):
    data: bytes
    shown: str
    inside: str
    """Its path in the context, where it lies there."""


def run(argv: list[str]) -> int:
    from dockyard.node.build.checks.check import check, refuse
    from dockyard.node.build.checks.warning import brief
    from dockyard.node.build.contexts import Contexts
    from dockyard.node.build.plan import make_plan
    from dockyard.node.image.store import ImageStore

    words = buildflags.parser().parse_args(argv)
    for name in words.tag:
        parse_reference(name)
    if words.file == "-" and words.context == "-":
        raise Invalid("build: -f - and the context -: standard input can be one of them")
    wanted = buildflags.outputs(words)
    root = str(data_root())
    store = ImageStore(root)
    options = buildflags.options(words, os.path.join(root, "build-cache"))
    own_mounts()
    with store.adding(), Contexts(store, options.ssh.get("default", "")) as contexts:
        main = contexts.main(words.context, sys.stdin.buffer)
        dockerfile = _dockerfile(words.file, main)
        contexts.open_main(main, dockerfile.inside)
        for word in words.build_context:
            name, _, where = word.partition("=")
            contexts.add(name, where)
        plan = make_plan(dockerfile.data, dockerfile.shown)
        known = _known(store, contexts, options, (*_platforms(words), host_platform())[0])
        if words.check:
            return _check(plan, known)
        found = check(plan, known)
        refuse(plan, known, found)
        code = _build(words, wanted, root, store, contexts, dockerfile)
    if found and not (words.quiet or words.progress == "quiet"):
        print(f"\n{brief(found)}", file=sys.stderr)
    return code


def own_mounts() -> None:
    """What a build mounts is its own: nobody else sees it, and it ends with the build's last
    process, however that ends."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount(None, "/", None, _MS_PRIVATE_RECURSIVE)


def _build(
    words: argparse.Namespace,
    wanted: list[buildflags.Output],
    root: str,
    store: ImageStore,
    contexts: Contexts,
    dockerfile: Dockerfile,
) -> int:
    from dockyard.node.build import remotecache
    from dockyard.node.build.builder import Request, build
    from dockyard.node.build.guard import Guard
    from dockyard.node.build.runner import ContainerRunner
    from dockyard.node.image.progress import Silent
    from dockyard.node.runtime.launcher import LaunchpadLauncher
    from dockyard.node.runtime.local import LocalRuntime

    quiet = words.quiet or words.progress == "quiet"
    names = (*words.tag, *(name for each in wanted if each.kind == "image" for name in each.names))
    request = Request(
        dockerfile.data,
        dockerfile.shown,
        buildflags.options(words, os.path.join(root, "build-cache")),
        words.target,
        _platforms(words),
        names,
        buildflags.labels(words.label),
    )
    imported = tuple(
        remotecache.source(buildflags.fields(text, "--cache-from") if "=" in text else
                           {"type": "registry", "ref": text}, store)
        for text in words.cache_from
    )  # fmt: skip
    launcher = LaunchpadLauncher(os.path.join(root, "cache"))
    runtime = LocalRuntime(launcher)
    runner = ContainerRunner(runtime, root)
    with Guard(runtime, root, runner.prefix):
        display = buildprogress.display_for("quiet" if quiet else words.progress)
        failed = True
        try:
            result = build(store, runner, request, contexts, display, Silent(), imported)
            for text in words.cache_to:
                remotecache.export(buildflags.fields(text, "--cache-to"), store, result.keys)
            _export(result, wanted, store, names, display)
            failed = False
        finally:
            launcher.close()
            display.close(failed=failed)
    _tell(words, result, names)
    if quiet:
        print(result.image.id)
    return 0


def _platforms(words: argparse.Namespace) -> tuple[Platform, ...]:
    return tuple(
        parse_platform(text) for each in words.platform for text in each.split(",") if text
    )


def _export(
    result: Result,
    wanted: list[buildflags.Output],
    store: ImageStore,
    names: tuple[str, ...],
    display: buildprogress.Display,
) -> None:
    from dockyard.node.build import outputs

    for each in wanted:
        step = display.step(f"exporting to {each.kind}")
        if each.kind == "image":
            step.output(f"writing image {result.image.id} done\n".encode())
            for name in names:
                step.output(f"naming to {parse_reference(name)} done\n".encode())
            if each.push:
                outputs.push(result, names, store)
        else:
            outputs.write(each.kind, each.dest, result, (*names, *each.names), store)
        step.done()


def _tell(words: argparse.Namespace, result: Result, names: tuple[str, ...]) -> None:
    """The files that were asked for."""
    import json

    if words.iidfile:
        with open(words.iidfile, "w") as file:
            file.write(str(result.image.id))
    if words.metadata_file:
        told = {
            "containerimage.config.digest": result.image.id,
            "containerimage.descriptor": result.image.manifest.descriptor().to_json(),
            "containerimage.digest": result.image.digest,
        }
        if names:
            told["image.name"] = ",".join(str(parse_reference(name)) for name in names)
        with open(words.metadata_file, "w") as file:
            json.dump(told, file, indent=2)
            file.write("\n")


def _dockerfile(word: str | None, main: Main) -> Dockerfile:
    from dockyard.node.build.builder import read_dockerfile
    from dockyard.node.build.parse import LARGEST

    if word == "-":
        return Dockerfile(sys.stdin.buffer.read(LARGEST + 1), "Dockerfile", "")
    if main.dockerfile is not None:
        return Dockerfile(main.dockerfile, "Dockerfile", "")
    top = os.path.realpath(main.directory)
    path = os.path.join(main.directory, "Dockerfile") if word is None else word
    if word is not None and not os.path.exists(path) and not os.path.isabs(word):
        path = os.path.join(main.directory, word)  # of a context that was fetched
    real = os.path.realpath(path)
    inside = os.path.relpath(real, top) if real.startswith(top + os.sep) else ""
    if main.temporary and not inside:
        raise Invalid(f"build: {word or 'Dockerfile'}: lies outside the build context")
    shown = "Dockerfile" if word is None else word
    return Dockerfile(read_dockerfile(real), shown, inside)


def _check(plan: Plan, known: Known) -> int:
    """``--check``: 1 where there is something to say, as docker has it."""
    from dockyard.node.build.checks.check import check
    from dockyard.node.build.checks.warning import report

    found = check(plan, known)
    print(report(found, plan.dockerfile.source))
    return 1 if found else 0


def _known(store: ImageStore, contexts: Contexts, options: Options, platform: Platform) -> Known:
    from dockyard.base.errors import NotFound
    from dockyard.node.build.checks.variables import Known

    def base(word: str) -> ImageConfig | None:
        try:
            return store.resolve(word).config
        except (NotFound, Invalid):
            return None

    context = contexts("")
    assert isinstance(context, tuple)
    return Known(options.build_args, platform, context.files.ignore, base)
